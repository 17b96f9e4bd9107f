//! `kit.toml`: what this kit is told by file.
//!
//! Order of precedence: flag, then `FIELDKIT_*`, then this file, then what is built in. Unknown names are refused with
//! the place in the file and the names that exist.

use anyhow::{Context, Result};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_with_its_place() {
        let error = parse("listen = \"127.0.0.1:1\"\nblak_box = \"off\"\n", Path::new("kit.toml"));
        let text = format!("{:?}", error.expect_err("the name is wrong"));
        assert!(text.contains("blak_box") && text.contains("line 2") && text.contains("black_box"), "{text}");
    }
}
