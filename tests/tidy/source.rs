//! Source files as the checks see them: all tracked files, and Rust code without its comments and strings.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the tree.
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the root").to_owned()
}

/// Paths that git tracks or would track.
pub fn paths() -> Vec<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let output = git.output().expect("git is needed to list the tree");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let all = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let listed = all.split('\0').filter(|path| !path.is_empty() && root().join(path).is_file());
    listed.map(str::to_owned).collect()
}

/// Files whose text is UTF-8; pictures and the like are left out.
pub fn texts() -> Vec<Source> {
    let read = |path: String| std::fs::read_to_string(root().join(&path)).ok().map(|text| Source { path, text });
    paths().into_iter().filter_map(read).collect()
}

pub fn rust() -> Vec<Source> {
    texts().into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

/// The code alone: comments, strings and characters are blanks, lines stay where they are.
pub fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = blank_length(&bytes[at..], out.last().copied());
        if length == 0 {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(bytes[at..at + length].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at += length;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How many bytes at the front are comment, string or character; 0 where it is code. `before` is the byte before.
fn blank_length(rest: &[u8], before: Option<u8>) -> usize {
    let word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => 1 + quoted(&rest[1..], b'"'),
        [b'b', b'"', ..] if !word => 2 + quoted(&rest[2..], b'"'),
        [b'r', ..] | [b'b', b'r', ..] if !word => raw_string(rest),
        // A character ends within a few bytes; a lifetime does not end with a quotation mark.
        [b'\'', b'\\', ..] => 1 + quoted(&rest[1..], b'\''),
        [b'\'', ..] => rest.iter().take(6).skip(2).position(|byte| *byte == b'\'').map_or(0, |end| end + 3),
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn quoted(rest: &[u8], end: u8) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == end => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> usize {
    let start = if rest[0] == b'b' { 2 } else { 1 };
    let hashes = rest[start..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(start + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let body = &rest[start + hashes + 1..];
    let found = body.windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |at| start + hashes + 1 + at + end.len())
}

/// Line numbers, from 1, of blocks that follow `#[cfg(test)]`.
pub fn test_lines(code: &str) -> Vec<std::ops::RangeInclusive<usize>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("#[cfg(test)]") {
        let start = from + found;
        let end = block_end(code, start);
        blocks.push(line_at(code, start)..=line_at(code, end));
        from = end.max(start + 1);
    }
    blocks
}

/// Where the block that opens after `start` closes; a `;` before any brace ends it too.
pub fn block_end(code: &str, start: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return at,
            _ => {}
        }
    }
    code.len().saturating_sub(1)
}

pub fn line_at(code: &str, at: usize) -> usize {
    code.as_bytes()[..at.min(code.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Whether a file is a test as a whole.
pub fn is_test(path: &str) -> bool {
    let in_folder = path.split('/').rev().skip(1).any(|folder| folder == "tests");
    in_folder || path.ends_with("/tests.rs")
}

#[test]
fn comments_and_strings_are_no_code() {
    let text = "let a = \"unwrap()\"; // unwrap()\nlet b = r#\"x\"y\"#; /* a /* b */ c */ let c = '\"'; let d: &'a str = b\"\\\"\";";
    let code = code(text);
    assert!(!code.contains("unwrap") && code.contains("let c =") && code.contains("&'a str"), "{code}");
    assert_eq!(code.len(), text.len());
    assert_eq!(code.lines().count(), 2);
}

#[test]
fn test_blocks_are_found() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
    assert_eq!(test_lines(code), vec![2..=5, 7..=8]);
}
