//! Words that may not stand in the tree: paths of one machine, names of tools that wrote it, marks of haste.

use crate::source::{Source, texts};

/// Each word in two halves, so that this list does not trip over itself, and why it is not wanted.
const WORDS: &[(&str, &str, &str)] = &[
    ("/wo", "rk/", "a path of one machine"),
    ("/ro", "ot/", "a path of one machine"),
    ("/tmp/br", "iefs", "a path of one machine"),
    ("Cla", "ude", "the tree names no assistant"),
    ("Anth", "ropic", "the tree names no assistant"),
    ("Chat", "GPT", "the tree names no assistant"),
    ("Open", "AI", "the tree names no assistant"),
    ("Co-Auth", "ored-By", "commits and files name people by their own hand"),
    ("FIX", "ME", "finish it, or say when it will be"),
    ("XX", "X:", "finish it, or say when it will be"),
    ("<<<<", "<<<", "a merge was not finished"),
];

fn faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        for (front, back, reason) in WORDS {
            let word = format!("{front}{back}");
            let found = line.match_indices(&word).any(|(at, _)| !inside(line, at, &word));
            if found {
                faults.push(format!("{}:{}: {word}: {reason}", source.path, at + 1));
            }
        }
    }
    faults
}

/// Whether a path is only the end of a longer one, such as `a/work/b`.
fn inside(line: &str, at: usize, word: &str) -> bool {
    let before = at.checked_sub(1).map(|before| line.as_bytes()[before]);
    word.starts_with('/') && before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._-}".contains(&byte))
}

#[test]
fn no_unwanted_word_stands_in_the_tree() {
    // Locked versions and hashes are not ours to word.
    let ours = |source: &&Source| !source.path.ends_with("Cargo.lock") && !source.path.ends_with("package-lock.json");
    crate::expect_none(texts().iter().filter(ours).flat_map(faults).collect());
}

#[test]
fn planted_words_are_found() {
    for (front, back, reason) in WORDS {
        let text = format!("a line\nsee {front}{back}here\n");
        crate::expect_one(faults(&Source { path: "a.md".to_owned(), text }), reason);
    }
    let fine = "frame/work/shop and a workshop".to_owned();
    crate::expect_none(faults(&Source { path: "a.md".to_owned(), text: fine }));
}
