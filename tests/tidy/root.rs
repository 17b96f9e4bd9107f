//! What stands in the root: what the architecture names, and dot-files.

use crate::source::paths;
use std::collections::BTreeSet;

const NAMES: &[&str] =
    &["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "crates", "docs", "kits", "scripts", "tests"];

fn faults(paths: &[String]) -> Vec<String> {
    let found: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    let strange = found.iter().filter(|name| !name.starts_with('.') && !NAMES.contains(name));
    let missing = NAMES.iter().filter(|name| !found.contains(*name));
    let strange = strange.map(|name| format!("{name} does not belong into the root"));
    strange.chain(missing.map(|name| format!("{name} is missing in the root"))).collect()
}

#[test]
fn the_root_holds_what_it_should() {
    crate::expect_none(faults(&paths()));
}

#[test]
fn planted_names_in_the_root_are_found() {
    let mut paths: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    paths.push(".gitignore".to_owned());
    crate::expect_none(faults(&paths));
    paths.push("notes/a.md".to_owned());
    crate::expect_one(faults(&paths), "notes does not belong");
    paths.retain(|path| path != "notes/a.md" && path != "LICENSE");
    crate::expect_one(faults(&paths), "LICENSE is missing");
}
