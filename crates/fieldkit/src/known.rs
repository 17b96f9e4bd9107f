//! Data directories that were used on this machine: so that a missing card is told from a kit that was never made.
//!
//! Promises: one short file of the user's own, `fieldkit/kits` where the system keeps state; nothing depends on it, and a
//! failure to read or write it is no error. Where a kit was, nobody is told to make a new one.
//! Absent on purpose: anything but paths.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// So many directories are remembered, the newest last.
const KITS_MAX: usize = 16;
/// So many of them are shown.
const SHOWN_MAX: usize = 3;
/// What a kit leaves in its directory, beside the key.
const TRACES: &[&str] = &[crate::config::FILE, "journal.db", "black-box.fkb", "box-id", "state.db", "views.db", "keys"];

/// Remembers that a kit was used in `data`.
pub fn remember(data: &Path) {
    let (Some(path), Ok(data)) = (file(), data.canonicalize()) else { return };
    if let Err(error) = add(&path, &data) {
        tracing::debug!("the kit's place is not remembered in {}: {error}", path.display());
    }
}

/// Why there is no kit in `data`, and what to do about it.
pub fn no_kit(data: &Path) -> anyhow::Error {
    if crate::identity::Identity::is_joining(data) {
        let shown = data.display();
        return anyhow::anyhow!(
            "the kit in {shown} asked to join and has not begun: carry its request to a kit of the organisation, then \
             `fieldkit join finish FILE`"
        );
    }
    let known = file().map(|path| list(&path)).unwrap_or_default();
    anyhow::Error::msg(told(data, &known))
}

fn told(data: &Path, known: &[PathBuf]) -> String {
    let shown = data.display();
    let traces: Vec<&str> = TRACES.iter().copied().filter(|name| data.join(name).exists()).collect();
    if !traces.is_empty() {
        let found = traces.join(", ");
        return format!(
            "{shown} holds parts of a kit ({found}) and not its key file keys/kit.key; put the key's copy back. Nothing \
             was opened or changed"
        );
    }
    let here = whole_name(data);
    if known.contains(&here) {
        let is = if data.is_dir() { "is empty" } else { "is not there" };
        return format!(
            "{shown} {is}, and a kit was in it: if it is on a card, a stick or another disk, put that in and mount it. \
             Nothing was opened or made"
        );
    }
    let mut text = format!(
        "there is no kit in {shown}: mount the card or disk that it is on, or make one with `fieldkit init --name NAME`, \
         or try `fieldkit demo`"
    );
    if !known.is_empty() {
        let known: Vec<String> = known.iter().rev().take(SHOWN_MAX).map(|path| path.display().to_string()).collect();
        text.push_str(&format!(". Kits were used here in: {}", known.join(", ")));
    }
    text
}

/// The directory by its whole name, though it may not be there.
fn whole_name(data: &Path) -> PathBuf {
    data.canonicalize().or_else(|_| std::path::absolute(data)).unwrap_or_else(|_| data.to_owned())
}

fn file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    Some(state.or_else(home)?.join("fieldkit").join("kits"))
}

fn list(path: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
}

fn add(path: &Path, data: &Path) -> io::Result<()> {
    let mut known = list(path);
    // A name that is no line of text is not remembered.
    let name = data.to_str().filter(|name| !name.contains('\n'));
    if known.iter().any(|other| other == data) || name.is_none() {
        return Ok(());
    }
    known.push(data.to_owned());
    let newest = known.split_off(known.len().saturating_sub(KITS_MAX));
    let text: String = newest.iter().map(|path| format!("{}\n", path.display())).collect();
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_remembered_once_and_the_newest_stay() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("state/fieldkit/kits");
        for at in (0..20).chain([19, 18]) {
            add(&path, &PathBuf::from(format!("/kits/{at}"))).expect("it is written");
        }
        let names: Vec<PathBuf> = (4..20).map(|at| PathBuf::from(format!("/kits/{at}"))).collect();
        assert_eq!(list(&path), names);
    }

    #[test]
    fn nobody_is_told_to_make_a_kit_where_one_was() {
        let home = tempfile::tempdir().expect("a directory");
        let data = home.path().canonicalize().expect("it is there").join("data");
        let check = |known: &[PathBuf], parts: &[&str], init: bool| {
            let text = told(&data, known);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
            assert_eq!(text.contains("fieldkit init"), init, "{text}");
        };
        let (card, ours) = ([PathBuf::from("/media/card/kit")], [data.clone()]);
        check(&[], &["there is no kit in"], true);
        check(&card, &["there is no kit in", "used here in: /media/card/kit"], true);
        check(&ours, &["is not there", "mount it"], false);
        fs::create_dir(&data).expect("made");
        check(&ours, &["is empty", "mount it"], false);
        fs::write(data.join("kit.toml"), "").expect("written");
        check(&[], &["parts of a kit (kit.toml)", "keys/kit.key"], false);
    }
}
