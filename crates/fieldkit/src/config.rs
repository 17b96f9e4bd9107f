//! `kit.toml`: what this kit is told by file.
//!
//! Order of precedence: flag, then `FIELDKIT_*`, then this file, then what is built in. Unknown names are refused with
//! the place in the file and the names that exist.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::Path;

/// The file's name in the data directory.
pub const FILE: &str = "kit.toml";

/// The settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the till is served, `HOST:PORT`.
    pub listen: Option<String>,
    /// Directory of the second copy, or `off`.
    pub black_box: Option<String>,
}

/// Reads `text` of `path`.
pub fn parse(text: &str, path: &Path) -> Result<Config> {
    toml::from_str(text).with_context(|| format!("{} is not understood", path.display()))
}

/// The configuration in `data`, built-in values where there is none.
pub fn load(data: &Path) -> Result<Config> {
    let path = data.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes the place of the second copy, a directory or `off`, into the configuration in `data`, so that each later start
/// knows it.
pub fn remember_black_box(data: &Path, place: &str) -> Result<()> {
    let path = data.join(FILE);
    let Some(place) = unknown_black_box(data, place)? else { return Ok(()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    // First, because a key behind a table's head would belong to the table.
    let text = format!("black_box = {}\n{text}", quoted(&place));
    parse(&text, &path)?;
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text)
        .and_then(|()| std::fs::rename(&fresh, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The place by its whole name, because the next start may be somewhere else; `None` where the configuration has it. One
/// that names another place is an error.
pub fn unknown_black_box(data: &Path, place: &str) -> Result<Option<String>> {
    let place = match place {
        "off" => place.to_owned(),
        dir => {
            let path = std::path::absolute(dir).with_context(|| format!("{dir:?} is no directory's name"))?;
            path.to_string_lossy().into_owned()
        }
    };
    match load(data)?.black_box {
        Some(known) if known == place => Ok(None),
        Some(known) => bail!("{} says black_box = {known:?}, the option {place:?}", data.join(FILE).display()),
        None => Ok(Some(place)),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_copy_is_remembered_before_everything_else() {
        let home = tempfile::tempdir().expect("a directory");
        let data = home.path();
        std::fs::write(data.join(FILE), "# mine\nlisten = \"127.0.0.1:1\"\n").expect("written");
        remember_black_box(data, "/media/a \"b\" \\c").expect("remembered");
        let config = load(data).expect("it can be read");
        assert_eq!(config.black_box.as_deref(), Some("/media/a \"b\" \\c"));
        assert_eq!(config.listen.as_deref(), Some("127.0.0.1:1"));
        remember_black_box(data, "/media/a \"b\" \\c").expect("the same again changes nothing");
        let error = remember_black_box(data, "off").expect_err("it says something else");
        assert!(error.to_string().contains("kit.toml says black_box"), "{error}");
        let text = std::fs::read_to_string(data.join(FILE)).expect("it can be read");
        assert!(text.starts_with("black_box = ") && text.contains("# mine\n"), "{text}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_place() {
        let error = parse("listen = \"127.0.0.1:1\"\nblak_box = \"off\"\n", Path::new("kit.toml"));
        let text = format!("{:?}", error.expect_err("the name is wrong"));
        assert!(text.contains("blak_box") && text.contains("line 2") && text.contains("black_box"), "{text}");
    }
}
