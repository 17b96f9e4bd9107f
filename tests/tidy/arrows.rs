//! Which crate may use which: the table of the architecture, checked against `cargo metadata`.

use crate::source::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate of the workspace and what it may use in it. Adding an arrow is a decision record, not a detail.
const ARROWS: &[(&str, &[&str])] = &[
    ("fieldkit-core", &[]),
    ("fieldkit-drivers", &["fieldkit-core"]),
    ("fieldkit-engine", &["fieldkit-core", "fieldkit-drivers"]),
    ("fieldkit-sqlite", &["fieldkit-core"]),
    ("fieldkit-http", &["fieldkit-core"]),
    ("fieldkit-ports", &[]),
    ("fieldkit-sync", &["fieldkit-core"]),
    ("fieldkit-sim", &["fieldkit-core", "fieldkit-drivers", "fieldkit-sync", "fieldkit-engine"]),
    (
        "fieldkit",
        &[
            "fieldkit-core",
            "fieldkit-drivers",
            "fieldkit-engine",
            "fieldkit-sqlite",
            "fieldkit-http",
            "fieldkit-ports",
            "fieldkit-sync",
        ],
    ),
    (
        "fieldkit-tests",
        &["fieldkit-core", "fieldkit-drivers", "fieldkit-engine", "fieldkit-sqlite", "fieldkit-http", "fieldkit"],
    ),
];
/// Most direct dependencies of a pure crate, those of its tests not counted.
const PURE_DEPENDENCIES_MAX: usize = 11;
const PURE: &[&str] = &["fieldkit-core", "fieldkit-drivers", "fieldkit-sync", "fieldkit-engine"];

/// All packages with their dependencies, as cargo sees them.
pub fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root());
    let output = cargo.output().expect("cargo runs its own tests");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Names of members and of what each uses outside its tests.
fn members(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ids: BTreeSet<String> = list(&metadata["workspace_members"]).iter().map(text).collect();
    let packages = list(&metadata["packages"]).into_iter().filter(|package| ids.contains(&text(&package["id"])));
    let uses = |package: &Value| {
        let shipped = list(&package["dependencies"]).into_iter().filter(|used| used["kind"].as_str() != Some("dev"));
        shipped.map(|used| text(&used["name"])).collect()
    };
    packages.map(|package| (text(&package["name"]), uses(&package))).collect()
}

fn faults(members: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, uses) in members {
        let Some((_, may)) = ARROWS.iter().find(|(known, _)| known == name) else {
            faults.push(format!("{name} stands nowhere in the arrows"));
            continue;
        };
        for used in uses.iter().filter(|used| members.contains_key(*used) && !may.contains(&used.as_str())) {
            faults.push(format!("{name} may not use {used}"));
        }
        let outside = uses.iter().filter(|used| !members.contains_key(*used)).count();
        if PURE.contains(&name.as_str()) && outside > PURE_DEPENDENCIES_MAX {
            faults
                .push(format!("{name} has {outside} direct dependencies, at most {PURE_DEPENDENCIES_MAX} are allowed"));
        }
    }
    faults
}

#[test]
fn crates_use_only_what_they_may() {
    crate::expect_none(faults(&members(&metadata())));
}

#[test]
fn a_planted_arrow_is_found() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut members = BTreeMap::from([
        ("fieldkit-core".to_owned(), set(&["csv"])),
        ("fieldkit-engine".to_owned(), set(&["fieldkit-core"])),
    ]);
    assert_eq!(faults(&members), Vec::<String>::new());
    members.insert("fieldkit-core".to_owned(), set(&["fieldkit-engine"]));
    crate::expect_one(faults(&members), "fieldkit-core may not use fieldkit-engine");
    members.insert("fieldkit-core".to_owned(), (0..12).map(|number| format!("crate-{number}")).collect());
    crate::expect_one(faults(&members), "12 direct dependencies");
    members.insert("fieldkit-core".to_owned(), set(&[]));
    members.insert("fieldkit-common".to_owned(), set(&[]));
    crate::expect_one(faults(&members), "fieldkit-common stands nowhere");
}
