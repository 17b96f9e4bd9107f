//! Licences and bans of all dependencies, from `cargo metadata` and `.cargo/deny.toml` (decision 0005).

use crate::arrows::metadata;
use crate::source::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The machine that the product is built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What `.cargo/deny.toml` says.
#[derive(Default)]
struct Rules {
    allow: BTreeSet<String>,
    exceptions: BTreeMap<String, BTreeSet<String>>,
    deny: BTreeMap<String, String>,
}

/// The quoted texts of a line.
fn texts(line: &str) -> Vec<String> {
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Reads the few forms that the file uses.
fn rules(file: &str) -> Rules {
    let mut rules = Rules::default();
    let mut list = "";
    for line in file.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once(" = [").filter(|_| !line.starts_with('{')) {
            list = name;
            continue;
        }
        let mut texts = texts(line).into_iter();
        match (list, texts.next()) {
            ("allow", Some(licence)) => drop(rules.allow.insert(licence)),
            ("exceptions", Some(name)) => drop(rules.exceptions.insert(name, texts.collect())),
            ("deny", Some(name)) => drop(rules.deny.insert(name, texts.next().unwrap_or_default())),
            _ => {}
        }
    }
    rules
}

/// Whether an SPDX expression can be met: `OR` needs one side, `AND` both; `AND` binds closer.
fn met(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (value, rest) = either(&words, allowed);
    value && rest.is_empty()
}

fn either<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut value, mut rest) = both(words, allowed);
    while let ["OR", more @ ..] = rest {
        let (other, after) = both(more, allowed);
        (value, rest) = (value || other, after);
    }
    (value, rest)
}

fn both<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    let (mut value, mut rest) = one(words, allowed);
    while let ["AND", more @ ..] = rest {
        let (other, after) = one(more, allowed);
        (value, rest) = (value && other, after);
    }
    (value, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &dyn Fn(&str) -> bool) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inner @ ..] => {
            let (value, rest) = either(inner, allowed);
            (value, rest.strip_prefix(&[")"]).unwrap_or(&["unclosed"]))
        }
        [name, "WITH", exception, rest @ ..] => (allowed(&format!("{name} WITH {exception}")), rest),
        [name, rest @ ..] => (allowed(name), rest),
        [] => (false, words),
    }
}

fn faults(packages: &[(String, Option<String>)], rules: &Rules) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, licence) in packages {
        if let Some(reason) = rules.deny.get(name) {
            faults.push(format!("{name} is banned: {reason}"));
        }
        let extra = rules.exceptions.get(name);
        let allowed =
            |licence: &str| rules.allow.contains(licence) || extra.is_some_and(|extra| extra.contains(licence));
        match licence {
            Some(licence) if met(licence, &allowed) => {}
            Some(licence) => faults.push(format!("{name}: the licence {licence} is not allowed")),
            None => faults.push(format!("{name} names no licence")),
        }
    }
    faults
}

/// What is compiled for our machine outside tests, and for building: names and licences.
fn packages(metadata: &Value) -> Vec<(String, Option<String>)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let ids: BTreeSet<String> =
        list(&metadata["resolve"]["nodes"]).iter().filter_map(|node| text(&node["id"])).collect();
    let known = list(&metadata["packages"])
        .into_iter()
        .filter(|package| text(&package["id"]).is_some_and(|id| ids.contains(&id)));
    known.map(|package| (text(&package["name"]).unwrap_or_default(), text(&package["license"]))).collect()
}

/// Metadata of what our machine compiles; other platforms' crates are in the lock file and never built.
fn compiled() -> Value {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]).current_dir(root());
    let output = cargo.output().expect("cargo runs its own tests");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Crates that are linked into the program or run to build it. `cargo metadata` names optional crates that no feature
/// turns on, so bans ask `cargo tree`, which knows what is compiled.
fn product() -> BTreeSet<String> {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    let what = ["tree", "--locked", "-p", "fieldkit", "-e", "normal,build", "--target", TARGET];
    cargo.args(what).args(["--prefix", "none", "--format", "{p}"]).current_dir(root());
    let output = cargo.output().expect("cargo runs its own tests");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn licences_are_allowed_and_bans_are_kept() {
    let file = std::fs::read_to_string(root().join(".cargo/deny.toml")).expect("the rules stand in .cargo/deny.toml");
    let mut rules = rules(&file);
    let compiled = compiled();
    let product = product();
    assert!(product.contains("blake3"), "the product's crates are listed");
    rules.deny.retain(|name, _| product.contains(name));
    crate::expect_none(faults(&packages(&compiled), &rules));
}

#[test]
fn all_locked_crates_name_a_licence() {
    let nameless = packages(&metadata()).into_iter().filter(|(_, licence)| licence.is_none());
    crate::expect_none(nameless.map(|(name, _)| format!("{name} names no licence")).collect());
}

#[test]
fn planted_licences_and_bans_are_found() {
    let file = "[licenses]\nallow = [\n    \"MIT\",\n    \"Apache-2.0\",\n]\nexceptions = [\n    { crate = \"a\", allow = [\"MPL-2.0\"] },\n]\n[bans]\ndeny = [\n    { crate = \"ring\", reason = \"no\" },\n]\n";
    let rules = rules(file);
    let check = |name: &str, licence: &str| faults(&[(name.to_owned(), Some(licence.to_owned()))], &rules);
    crate::expect_none(check("b", "MIT OR GPL-3.0"));
    crate::expect_none(check("b", "(MIT OR GPL-3.0) AND Apache-2.0"));
    crate::expect_none(check("b", "MIT/Apache-2.0"));
    crate::expect_none(check("a", "MPL-2.0"));
    crate::expect_one(check("b", "MPL-2.0"), "MPL-2.0 is not allowed");
    crate::expect_one(check("b", "MIT AND GPL-3.0"), "is not allowed");
    crate::expect_one(check("b", "Apache-2.0 WITH LLVM-exception"), "is not allowed");
    crate::expect_one(check("ring", "MIT"), "ring is banned: no");
    crate::expect_one(faults(&[("b".to_owned(), None)], &rules), "names no licence");
}
