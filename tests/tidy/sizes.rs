//! How long files and functions may be, and how files begin.

use crate::source::{Source, block_end, code, is_test, line_at, rust, test_lines};

/// Longest file, tests apart.
const FILE_LINES_MAX: usize = 800;
/// Longest function, tests apart.
const FUNCTION_LINES_MAX: usize = 70;
/// Longer functions that stood before the limit did; they may only shrink.
const LONGER: &[(&str, &str, usize)] = &[];

fn faults(source: &Source) -> Vec<String> {
    let Source { path, text } = source;
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{path}:1: a file begins with //! and says what it is"));
    }
    if is_test(path) {
        return faults;
    }
    let code = code(text);
    let tests = test_lines(&code);
    let tested: usize = tests.iter().map(|lines| lines.end() - lines.start() + 1).sum();
    let lines = text.lines().count().saturating_sub(tested);
    if lines > FILE_LINES_MAX {
        faults.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX} are allowed"));
    }
    for (name, first, last) in functions(&code) {
        let known = LONGER.iter().find(|(of, known, _)| of == path && *known == name);
        let most = known.map_or(FUNCTION_LINES_MAX, |(_, _, lines)| *lines);
        if last - first + 1 > most && !tests.iter().any(|lines| lines.contains(&first)) {
            faults.push(format!("{path}:{first}: {name} has {} lines, at most {most} are allowed", last - first + 1));
        }
    }
    faults
}

/// Names of functions with their first and last line.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let word = at.checked_sub(1).map(|before| code.as_bytes()[before]);
        if word.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !name.is_empty() {
            found.push((name, line_at(code, at), line_at(code, block_end(code, at))));
        }
    }
    found
}

#[test]
fn files_and_functions_are_short_and_introduced() {
    crate::expect_none(rust().iter().flat_map(faults).collect());
}

#[test]
fn planted_lengths_are_found() {
    let check = |text: String, part: &str| {
        crate::expect_one(faults(&Source { path: "crates/fieldkit/src/a.rs".to_owned(), text }), part);
    };
    let body = |lines: usize| "    b();\n".repeat(lines);
    check("fn a() {}\n".to_owned(), "begins with //!");
    check(format!("//! A.\nfn a() {{\n{}}}\n", body(69)), "a has 71 lines");
    check(format!("//! A.\n{}", "// a\n".repeat(800)), "801 lines");
    let fine = format!("//! A.\nfn a() {{\n{}}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", body(68), body(900));
    crate::expect_none(faults(&Source { path: "crates/fieldkit/src/a.rs".to_owned(), text: fine }));
}
