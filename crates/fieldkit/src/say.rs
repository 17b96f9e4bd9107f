//! What the program prints: data on stdout, talk on stderr, and how it ends.
//!
//! Promises: a closed pipe is no error; with `--json` exactly one document goes to stdout; every failure prints its
//! whole chain once, then `hint:` lines.

use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Fine.
    Fine,
    /// Failed or refused.
    Failed,
    /// Wrong usage.
    Usage,
    /// The outcome is not known: do not repeat with a new key.
    Unknown,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unknown => 4,
        })
    }
}

/// Prints a document.
pub fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a line of data; a closed pipe ends the program quietly.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints talk.
pub fn talk(text: &str) {
    // Nobody reads: nothing to do about it.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints rows as aligned columns; columns named in `right` are flushed right.
pub fn table(heads: &[&str], right: &[usize], rows: &[Vec<String>]) {
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([heads[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let print = |cells: &[String]| {
        let mut text = String::new();
        for (at, cell) in cells.iter().enumerate() {
            let pad = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
            let (before, after) = if right.contains(&at) { (pad.as_str(), "") } else { ("", pad.as_str()) };
            text.push_str(&format!("{before}{cell}{after}  "));
        }
        line(text.trim_end());
    };
    print(&heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>());
    for row in rows {
        print(row);
    }
}

/// Prints a problem as the API gave it; says how the command ends.
pub fn problem(body: &Value, as_json: bool) -> Exit {
    let part = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    if as_json {
        json(body);
    }
    match part("detail") {
        "" => talk(&format!("error: {body}")),
        detail => talk(&format!("error: {detail}")),
    }
    for (prefix, name) in [("", "touched"), ("hint: ", "next_step")] {
        if !part(name).is_empty() {
            talk(&format!("{prefix}{}", part(name)));
        }
    }
    if part("code") == "outcome_unknown" { Exit::Unknown } else { Exit::Failed }
}

/// Prints an error with its causes.
pub fn error(error: &anyhow::Error) -> Exit {
    talk(&format!("error: {error}"));
    for cause in error.chain().skip(1) {
        talk(&format!("  because: {cause}"));
    }
    match error.downcast_ref::<crate::client::OutcomeUnknown>() {
        Some(unknown) => {
            repeat(&unknown.key);
            Exit::Unknown
        }
        None => {
            if error.downcast_ref::<crate::client::NoAnswer>().is_some() {
                talk("This asked a question only: nothing was recorded.");
                talk("hint: the program may be stopped or its disk may hang; ask again, or end it and start it anew");
            }
            Exit::Failed
        }
    }
}

/// What to do about a write whose outcome is not known.
pub fn repeat(key: &str) {
    talk(&format!(
        "hint: do not repeat this without its key: once the kit answers, say the same again with --idempotency-key {key}"
    ));
}

/// `EUR 12.50` of the API's money.
pub fn money(value: &Value) -> String {
    let minor = value.get("minor").and_then(Value::as_i64);
    let code = value.get("currency").and_then(Value::as_str);
    let currency = code.and_then(fieldkit_core::money::Currency::from_code);
    match (minor, currency) {
        (Some(minor), Some(currency)) => fieldkit_core::money::Money::new(minor, currency).to_string(),
        _ => String::new(),
    }
}

/// A text of a document, empty where there is none.
pub fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
