//! The journal of a simulated terminal: NDJSON, one object an entry.
//!
//! Promises: an entry is on disk when `append` returns; what was appended reads back the same; a last line without an end,
//! as a power cut leaves it, is cut off: it was never confirmed, so no answer told of it. One process writes at a time.
//! Absent on purpose: what entries mean (`fieldkit_drivers::terminal_peer`). Names that are not known are skipped.

use crate::say;
use anyhow::{Context, Result, anyhow, bail};
use fieldkit_core::money::{Currency, Money};
use fieldkit_drivers::terminal_peer::{Entry, Event, Numbers};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// An entry as it is written.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    event: String,
    amount: i64,
    currency: String,
    receipt: u32,
    trace: u32,
    terminal_id: String,
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_receipt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_trace: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    offline: bool,
}

impl Journal {
    /// Opens the journal, makes it where there is none, and reads what it has.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Entry>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            bail!("the journal {} is no plain file", path.display());
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another process writes the journal {}; give each device its own", path.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the journal {}", path.display()));
            }
        }
        // The name must be as durable as the lines.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .with_context(|| format!("cannot sync {}", folder.display()))?;
        let past = read(path, &mut file)?;
        Ok((Journal { path: path.to_owned(), file }, past))
    }

    /// Writes an entry and waits until it is on disk.
    pub fn append(&mut self, entry: &Entry) -> Result<()> {
        let failed = || format!("cannot write the journal {}", self.path.display());
        let mut text = serde_json::to_string(&Line::of(entry)).with_context(failed)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data()).with_context(failed)
    }
}

/// What the file has, after a torn end was cut off.
fn read(path: &Path, file: &mut File) -> Result<Vec<Entry>> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the journal {}", path.display()))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < bytes.len() {
        let torn = bytes.len() - whole;
        say::talk(&format!("{}: the last line has no end; its {torn} bytes were cut off", path.display()));
        file.set_len(whole as u64)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot cut the torn line off {}", path.display()))?;
    }
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entry = |(at, line): (usize, &[u8])| {
        let line: Result<Line> = serde_json::from_slice(line).map_err(Into::into);
        let entry = line.and_then(|line| line.entry());
        entry.with_context(|| format!("{}: line {} is no journal entry", path.display(), at + 1))
    };
    lines.enumerate().map(entry).collect()
}

impl Line {
    fn of(entry: &Entry) -> Self {
        Line {
            event: entry.event.word().to_owned(),
            amount: entry.amount.minor,
            currency: entry.amount.currency.code().to_owned(),
            receipt: entry.receipt,
            trace: entry.trace,
            terminal_id: entry.terminal_id.clone(),
            at: entry.at_s,
            own_receipt: entry.own.map(|own| own.receipt),
            own_trace: entry.own.map(|own| own.trace),
            offline: entry.offline,
        }
    }
    fn entry(self) -> Result<Entry> {
        let currency = Currency::from_code(&self.currency);
        let own = self.own_receipt.zip(self.own_trace);
        Ok(Entry {
            event: Event::from_word(&self.event).ok_or_else(|| anyhow!("there is no event {:?}", self.event))?,
            amount: Money::new(
                self.amount,
                currency.ok_or_else(|| anyhow!("there is no currency {:?}", self.currency))?,
            ),
            receipt: self.receipt,
            trace: self.trace,
            terminal_id: self.terminal_id,
            at_s: self.at,
            own: own.map(|(receipt, trace)| Numbers { receipt, trace }),
            offline: self.offline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal in a directory of its own, which goes when the test ends.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("fieldkit-journal-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a place for files");
            Place(folder)
        }
        fn path(&self) -> PathBuf {
            self.0.join("journal")
        }
        fn text(&self) -> String {
            std::fs::read_to_string(self.path()).expect("the journal is text")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            // Left behind, it is only a leftover.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn entry(event: Event) -> Entry {
        let euro = Currency::from_code("EUR").expect("EUR is in ISO 4217");
        Entry {
            event,
            amount: Money::new(950, euro),
            receipt: 231,
            trace: 975,
            terminal_id: "52523535".to_owned(),
            at_s: 1_795_268_000,
            own: None,
            offline: false,
        }
    }

    fn reversal() -> Entry {
        let own = Some(Numbers { receipt: 232, trace: 976 });
        Entry { own, offline: true, ..entry(Event::Reversed) }
    }

    #[test]
    fn entries_read_back_as_they_were_written() {
        let place = Place::new("whole");
        let (mut journal, past) = Journal::open(&place.path()).expect("a new journal");
        assert_eq!(past, vec![]);
        journal.append(&entry(Event::Approved)).expect("room for a line");
        journal.append(&reversal()).expect("room for a line");
        let expected = concat!(
            r#"{"event":"approved","amount":950,"currency":"EUR","receipt":231,"trace":975,"#,
            r#""terminal_id":"52523535","at":1795268000}"#,
            "\n",
            r#"{"event":"reversed","amount":950,"currency":"EUR","receipt":231,"trace":975,"#,
            r#""terminal_id":"52523535","at":1795268000,"own_receipt":232,"own_trace":976,"offline":true}"#,
            "\n",
        );
        assert_eq!(place.text(), expected);
        drop(journal);
        let (_, past) = Journal::open(&place.path()).expect("the journal again");
        assert_eq!(past, vec![entry(Event::Approved), reversal()]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        let place = Place::new("torn");
        let (mut journal, _) = Journal::open(&place.path()).expect("a new journal");
        journal.append(&entry(Event::Approved)).expect("room for a line");
        drop(journal);
        let whole = place.text();
        // Cut anywhere, and even whole but for its end: what has no end was never confirmed.
        for torn in [&whole[..9], &whole[..whole.len() - 1], "\0\0\0"] {
            std::fs::write(place.path(), format!("{whole}{torn}")).expect("the file is ours");
            let (_, past) = Journal::open(&place.path()).expect("a torn journal");
            assert_eq!((past, place.text()), (vec![entry(Event::Approved)], whole.clone()), "{torn:?}");
        }
    }

    #[test]
    fn a_broken_line_is_named() {
        let place = Place::new("broken");
        let check = |line: &str, part: &str| {
            std::fs::write(place.path(), format!("{line}\n")).expect("the file is ours");
            let error = Journal::open(&place.path()).expect_err("the line is no entry");
            let text = format!("{error:#}");
            assert!(text.contains("line 1") && text.contains(part), "{text}");
        };
        check("{\"event\":\"approved\"}", "missing field");
        check("approved", "expected value");
        let line = serde_json::to_string(&Line::of(&entry(Event::Foreign))).expect("an entry is JSON");
        check(&line.replace("foreign", "stolen"), "no event \"stolen\"");
        check(&line.replace("EUR", "EUX"), "no currency \"EUX\"");
    }

    #[test]
    fn a_journal_has_one_writer() {
        let place = Place::new("two");
        let (_kept, _) = Journal::open(&place.path()).expect("a new journal");
        let error = Journal::open(&place.path()).expect_err("it is taken");
        assert!(error.to_string().contains("another process"), "{error}");
    }
}
