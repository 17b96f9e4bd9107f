//! What may not stand in code: impurity in pure crates, shortcuts anywhere, SQL and HTTP outside their homes.

use crate::source::{Source, code, is_test, rust, test_lines};

/// Crates named after a concept.
const PURE: &[&str] =
    &["crates/fieldkit-core/", "crates/fieldkit-drivers/", "crates/fieldkit-sync/", "crates/fieldkit-engine/"];

/// What pure crates may not name, tests included: a test of a pure crate is pure.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "files are an adapter's"),
    ("std::net", "the network is an adapter's"),
    ("std::time", "time comes as an argument"),
    ("std::thread", "tasks are the shell's"),
    ("std::env", "settings come as arguments"),
    ("std::process", "processes are the binary's"),
    ("HashMap", "its order differs from run to run: BTreeMap"),
    ("HashSet", "its order differs from run to run: BTreeSet"),
    ("getrandom", "randomness comes as an argument"),
    ("OsRng", "randomness comes as an argument"),
    ("Utc::now", "time comes as an argument"),
    ("f32", "no floats in pure crates"),
    ("f64", "no floats in pure crates"),
    ("tokio", "tasks are the shell's"),
];

/// What nobody may write outside tests.
const SHORTCUTS: &[(&str, &str)] = &[
    (".unwrap()", "`expect(\"why this holds\")`, or an error"),
    ("todo!", "finish it, or open an issue"),
    ("unimplemented!", "finish it, or open an issue"),
    ("dbg!", "it was for a moment"),
];

/// What nobody may write at all.
const NEVER: &[(&str, &str)] = &[
    ("unsafe {", "no unsafe anywhere"),
    ("unsafe fn", "no unsafe anywhere"),
    ("unsafe impl", "no unsafe anywhere"),
    ("#[ignore", "a test that does not run tests nothing"),
    ("#[should_panic", "call it and look at the result"),
];

/// Where waiting by the clock is meant, each with its reason.
const SLEEPERS: &[(&str, &str)] = &[
    ("crates/fieldkit/src/", "the daemon waits between tries, each with a bound"),
    ("crates/fieldkit-http/src/", "streams send a sign of life by the clock"),
    ("crates/fieldkit-sqlite/src/", "the box is given its time by the clock"),
    ("tests/crash/", "the campaign polls a process that it started, until a deadline"),
    ("tests/bench/", "the bench measures time"),
];

/// Words of a technology and the places where it lives.
const HOMES: &[(&[&str], &[&str], &str)] = &[
    (&["rusqlite", "refinery"], &["crates/fieldkit-sqlite/", "tests/"], "SQL stands in fieldkit-sqlite alone"),
    (
        &["axum", "utoipa"],
        &["crates/fieldkit-http/", "crates/fieldkit/", "tests/"],
        "HTTP stands in fieldkit-http alone",
    ),
    (
        &["tokio_serial", "mio_serial", "serialport"],
        &["crates/fieldkit-ports/"],
        "handles of devices stand in fieldkit-ports alone",
    ),
];

/// How SQL begins inside a string.
const SQL: &[&str] = &["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA "];

/// Whether `word` stands in `line` and is not part of a longer name.
fn names(line: &str, word: &str) -> bool {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (bytes, whole) = (line.as_bytes(), word.as_bytes());
    let begins = whole[0].is_ascii_alphanumeric();
    let ends = whole[whole.len() - 1].is_ascii_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !(begins && part(before) || ends && part(bytes.get(at + word.len())))
    })
}

fn faults(source: &Source) -> Vec<String> {
    let Source { path, text } = source;
    let code = code(text);
    let tests = test_lines(&code);
    let mut faults = Vec::new();
    let pure = PURE.iter().any(|home| path.starts_with(home)) && !path.contains("/tests/golden");
    for (at, line) in code.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        let tested = is_test(path) || tests.iter().any(|lines| lines.contains(&at));
        let mut look = |words: &[(&str, &str)]| {
            for (word, reason) in words.iter().filter(|(word, _)| names(line, word)) {
                faults.push(format!("{path}:{at}: {word}: {reason}"));
            }
        };
        look(NEVER);
        if pure {
            look(IMPURE);
        }
        if !tested {
            look(SHORTCUTS);
        }
        if !SLEEPERS.iter().any(|(home, _)| path.starts_with(home)) {
            look(&[("sleep", "drive time by hand; at the edges wait for a state with a deadline")]);
        }
        for (words, homes, reason) in HOMES {
            if !homes.iter().any(|home| path.starts_with(home)) {
                words.iter().for_each(|word| look(&[(word, reason)]));
            }
        }
    }
    faults.extend(sql(path, text));
    faults
}

/// SQL in the strings of a file where no SQL lives.
fn sql(path: &str, text: &str) -> Vec<String> {
    if path.starts_with("crates/fieldkit-sqlite/") || path.starts_with("tests/") {
        return Vec::new();
    }
    let begins = |line: &str| SQL.iter().any(|word| line.contains(&format!("\"{word}")));
    let found = text.lines().enumerate().filter(|(_, line)| begins(line));
    found.map(|(at, _)| format!("{path}:{}: SQL stands in fieldkit-sqlite alone", at + 1)).collect()
}

#[test]
fn no_banned_word_stands_in_code() {
    crate::expect_none(rust().iter().flat_map(faults).collect());
}

#[test]
fn planted_bans_are_found() {
    let check = |path: &str, text: &str, part: &str| {
        crate::expect_one(faults(&Source { path: path.to_owned(), text: text.to_owned() }), part);
    };
    let (core, any) = ("crates/fieldkit-core/src/a.rs", "crates/fieldkit/src/a.rs");
    check(core, "use std::fs;", "std::fs");
    check(core, "use std::time::Duration;", "std::time");
    check(core, "let a: std::collections::HashMap<u8, u8>;", "HashMap");
    check(core, "fn a(b: f64) {}", "no floats");
    check(core, "getrandom::fill(&mut a);", "randomness");
    check(any, "fn a() { b.unwrap() }", ".unwrap()");
    check(any, "fn a() { todo!() }", "todo!");
    check(any, "fn a() { dbg!(b); }", "dbg!");
    check(any, "fn a() { unsafe { b() } }", "unsafe");
    check(any, &format!("#[{}]\nfn a() {{}}", "ignore"), "tests nothing");
    check(any, &format!("#[{}]\nfn a() {{}}", "should_panic"), "look at the result");
    check("tests/tidy/a.rs", "std::thread::sleep(b);", "sleep");
    check("crates/fieldkit-engine/src/a.rs", "use rusqlite::Connection;", "fieldkit-sqlite alone");
    check("crates/fieldkit-sqlite/src/a.rs", "use axum::Router;", "fieldkit-http alone");
    check("crates/fieldkit/src/a.rs", "use tokio_serial::SerialStream;", "fieldkit-ports alone");
    check("crates/fieldkit-http/src/a.rs", &format!("let a = \"{}1\";", "SELECT "), "SQL");
}

#[test]
fn what_is_allowed_is_not_found() {
    let check = |path: &str, text: &str| {
        crate::expect_none(faults(&Source { path: path.to_owned(), text: text.to_owned() }));
    };
    check("crates/fieldkit/src/a.rs", "// unwrap() here\nlet a = \"dbg!\"; b.unwrap_or(1);");
    check("crates/fieldkit/src/a.rs", "#[cfg(test)]\nmod tests {\n    fn a() { b.unwrap(); }\n}");
    check("crates/fieldkit/src/a/tests.rs", "fn a() { b.unwrap(); }");
    check("crates/fieldkit-sqlite/src/a.rs", "use std::fs; use rusqlite::Connection;");
}
