//! Verifying a data directory: structure, chains, hashes, places, signed heads, segments, black box; or a box alone.
//!
//! Promises: what is clean holds exactly the ops and heads that it says; the first bad thing is named — an op where an
//! op is wrong, a page where the file's structure is, a record or file elsewhere; nothing is written.
//! Absent on purpose: repair, which is the start's.

use crate::black_box::{BoxFile, Record};
use crate::error::StoreError;
use crate::journal;
use crate::place::{self, Place};
use crate::segment;
use crate::store::SignedHead;
use fieldkit_core::chain::{ChainCheck, ChainError};
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Ops that are sound, up to the first bad one.
    pub ops: u64,
    /// The ends of the streams.
    pub heads: BTreeMap<StreamId, Head>,
    /// Streams whose end is signed.
    pub signed: u64,
    /// Segment files looked at.
    pub segments: u64,
    /// Records of the black box in the data directory, or of the box that was verified alone.
    pub records: u64,
    /// The first bad thing.
    pub fault: Option<Fault>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.fault.is_none()
    }
}

/// The first bad thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An op or a signed head.
    #[error("{0}")]
    Op(ChainError),
    /// A row that is not where it should be.
    #[error("row {row} of the journal: {detail}")]
    Row {
        /// The row.
        row: i64,
        /// What is wrong.
        detail: String,
    },
    /// The structure of the journal file.
    #[error("page {page} of the journal: {detail}")]
    Page {
        /// The page, from 1.
        page: u64,
        /// What SQLite says.
        detail: String,
    },
    /// A record of the black box.
    #[error("record {number} of the black box: {why}")]
    Record {
        /// The record, from 1.
        number: u64,
        /// What is wrong.
        why: String,
    },
    /// Another file.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Verifies a data directory that no daemon uses. An error means that it could not be looked at.
pub fn verify(data: &Path) -> Result<Verdict, StoreError> {
    let place = Place::take(data)?;
    Ok(verify_files(&place.path))
}

/// Verifies the files of a directory that is held already, or that is a copy.
pub fn verify_files(directory: &Path) -> Verdict {
    let path = directory.join(place::JOURNAL);
    match open(&path) {
        Ok(connection) => verify_open(&connection, directory),
        Err(error) => Verdict { fault: Some(file_fault(&path, &error)), ..Verdict::default() },
    }
}

/// The black box that a path means: the file itself, or the one in a directory that holds no journal.
pub fn black_box_at(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let file = path.join(place::BLACK_BOX);
    (file.is_file() && !path.join(place::JOURNAL).exists()).then_some(file)
}

/// Verifies a black box alone: every record, every chain in it, the newest signed head of each stream.
pub fn verify_box(path: &Path) -> Result<Verdict, StoreError> {
    let verdict = walk_box(path)?;
    match verdict.fault {
        // A kit may be writing its last record just now; a second look finds it whole.
        Some(Fault::Record { .. }) => walk_box(path),
        _ => Ok(verdict),
    }
}

fn walk_box(path: &Path) -> Result<Verdict, StoreError> {
    let file = BoxFile::look(path)?;
    let mut records = file.records(file.first());
    let (mut verdict, mut boxed) = (Verdict::default(), Boxed::default());
    verdict.fault = loop {
        let number = records.end.number + 1;
        match records.next()? {
            Ok(Some(record)) => match boxed.take(record) {
                Ok(()) => verdict.records = number,
                Err(fault) => break Some(fault),
            },
            Ok(None) => break boxed.signatures(&mut verdict.signed).err(),
            Err(bad) => break Some(Fault::Record { number: bad.number, why: bad.why.to_owned() }),
        }
    };
    (verdict.ops, verdict.heads) = (boxed.check.ops(), boxed.check.heads().collect());
    Ok(verdict)
}

/// What a box held so far. Ops may stand in it twice, where it was filled up; then they are the same.
#[derive(Default)]
struct Boxed {
    check: ChainCheck,
    hashes: BTreeMap<StreamId, Vec<Hash>>,
    keys: BTreeMap<StreamId, ReplicaKey>,
    signed: BTreeMap<StreamId, SignedHead>,
}

impl Boxed {
    fn take(&mut self, record: Record) -> Result<(), Fault> {
        for op in &record.ops {
            let OpId { stream, seq } = op.id();
            let known = self.hashes.entry(stream).or_default();
            match usize::try_from(seq).ok().and_then(|seq| known.get(seq.checked_sub(1)?)) {
                Some(hash) if *hash == op.hash => continue,
                Some(_) => return Err(Fault::Op(ChainError::Broken { series: stream.series(), seq })),
                None => {}
            }
            self.check.next(stream, seq, &op.bytes).map_err(Fault::Op)?;
            known.push(op.hash);
            if let (1, Some(key)) = (seq, journal::opened_by(op)) {
                self.keys.insert(stream, key);
            }
        }
        for signed in record.heads {
            self.signed.insert(signed.stream, signed);
        }
        Ok(())
    }

    /// The newest signed head of each stream names an op of the box and is signed by the stream's key.
    fn signatures(&self, count: &mut u64) -> Result<(), Fault> {
        for SignedHead { stream, head, signature } in self.signed.values() {
            let hashes = self.hashes.get(stream);
            let there = usize::try_from(head.seq).ok().and_then(|seq| hashes?.get(seq.checked_sub(1)?));
            let key = self.keys.get(stream).filter(|_| there == Some(&head.hash));
            if !key.is_some_and(|key| head.verify(stream, key, signature)) {
                return Err(Fault::Op(ChainError::Signature { series: stream.series(), seq: head.seq }));
            }
            *count += 1;
        }
        Ok(())
    }
}

/// Whether a journal and the log beside it are one sound file.
pub(crate) fn journal_is_sound(path: &Path) -> bool {
    let Ok(connection) = open(path) else { return false };
    structure(&connection).is_none() && walk(&connection, &mut Verdict::default()).is_ok()
}

/// Opens for looking only: without a log the file is taken as it is; with one, SQLite has to recover it in memory.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let has_log = std::fs::metadata(journal::wal_path(path)).is_ok_and(|found| found.len() > 0);
    let connection = if has_log {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection
    } else {
        let uri = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)?
    };
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

pub(crate) fn verify_open(connection: &Connection, directory: &Path) -> Verdict {
    let mut verdict = Verdict::default();
    let structure = structure(connection);
    let walked = walk(connection, &mut verdict);
    verdict.fault = match (walked, structure) {
        (Err(WalkError::Fault(fault)), _) => Some(fault),
        (_, Some(fault)) => Some(fault),
        (Err(WalkError::Sqlite(error)), None) => Some(file_fault(&directory.join(place::JOURNAL), &error)),
        (Ok(()), None) => None,
    };
    if verdict.fault.is_none() {
        verdict.fault = segments(connection, directory, &mut verdict).err();
    }
    if verdict.fault.is_none() {
        verdict.fault = black_box(connection, directory, &mut verdict).err();
    }
    verdict
}

/// SQLite's own check of pages, trees and indices.
fn structure(connection: &Connection) -> Option<Fault> {
    let first = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match first {
        Ok(text) if text == "ok" => None,
        Ok(text) => Some(Fault::Page { page: page_in(connection, &text), detail: text }),
        Err(error) => Some(Fault::Page { page: 1, detail: error.to_string() }),
    }
}

/// The page that a message of `integrity_check` is about; the root of the index or table where it names no page.
fn page_in(connection: &Connection, text: &str) -> u64 {
    let number_after = |word: &str| {
        let rest = &text[text.find(word)? + word.len()..];
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    };
    let named = number_after(" page ").or_else(|| number_after("Page ")).or_else(|| number_after("Tree "));
    let root = || {
        let last = text.split([' ', '.']).rfind(|word| !word.is_empty())?;
        let select = "SELECT rootpage FROM sqlite_schema WHERE name = ?1 OR tbl_name = ?1 ORDER BY rootpage DESC";
        connection.query_row(select, [last], |row| row.get(0)).ok()
    };
    named.or_else(root).unwrap_or(1)
}

fn file_fault(path: &Path, error: &rusqlite::Error) -> Fault {
    if crate::sqlite::is_damage(error) {
        // A schema or header that SQLite cannot make sense of: both are on the first page.
        return Fault::Page { page: 1, detail: error.to_string() };
    }
    Fault::File { path: path.to_owned(), detail: error.to_string() }
}

enum WalkError {
    Fault(Fault),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for WalkError {
    fn from(error: rusqlite::Error) -> Self {
        WalkError::Sqlite(error)
    }
}

impl From<ChainError> for WalkError {
    fn from(error: ChainError) -> Self {
        WalkError::Fault(Fault::Op(error))
    }
}

/// Every op in append order, then every signed head.
fn walk(connection: &Connection, verdict: &mut Verdict) -> Result<(), WalkError> {
    let names = streams(connection)?;
    let mut check = ChainCheck::default();
    let mut select = connection.prepare("SELECT row, stream, seq, hash, bytes FROM op ORDER BY row")?;
    let mut rows = select.query([])?;
    let (mut before, mut keys) = (0i64, BTreeMap::new());
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(0)?;
        let wrong = |detail: &str| WalkError::Fault(Fault::Row { row: at, detail: detail.to_owned() });
        if at != before + 1 {
            return Err(wrong("it does not follow the row before it"));
        }
        before = at;
        let (ValueRef::Integer(no), ValueRef::Integer(seq)) = (row.get_ref(1)?, row.get_ref(2)?) else {
            return Err(wrong("it names no place in a stream"));
        };
        let Some(stream) = names.get(&no) else { return Err(wrong("it names no stream")) };
        let (series, seq) = (stream.series(), seq as u64);
        let (ValueRef::Blob(hash), ValueRef::Blob(bytes)) = (row.get_ref(3)?, row.get_ref(4)?) else {
            return Err(ChainError::Misfiled { series, seq }.into());
        };
        let op = check.next(*stream, seq, bytes)?;
        if op.hash.0 != hash {
            return Err(ChainError::Misfiled { series, seq }.into());
        }
        if let (1, Some(key)) = (seq, journal::opened_by(&op)) {
            keys.insert(*stream, key);
        }
        verdict.ops += 1;
    }
    verdict.heads = check.heads().collect();
    if names.len() != verdict.heads.len() {
        return Err(WalkError::Fault(Fault::Row { row: before, detail: "a stream has no ops".into() }));
    }
    let mut select = connection.prepare(
        "SELECT stream, seq, hash, signature, (SELECT hash FROM op WHERE op.stream = head.stream AND op.seq = head.seq)
         FROM head ORDER BY stream",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let no: i64 = row.get(0)?;
        let Some(stream) = names.get(&no) else {
            return Err(WalkError::Fault(Fault::Row { row: no, detail: "a signed head names no stream".into() }));
        };
        let read = (|| Ok((Head { seq: row.get(1)?, hash: Hash(row.get(2)?) }, row.get(3)?, row.get(4)?)))();
        let Ok::<_, rusqlite::Error>((signed, signature, there)) = read else {
            return Err(ChainError::Signature { series: stream.series(), seq: 0 }.into());
        };
        let there: Option<[u8; 32]> = there;
        check.signed_head(*stream, signed, there.map(Hash), &signature)?;
        verdict.signed += 1;
    }
    branches(connection, &names, &keys, verdict)
}

/// Every op of another branch hangs together with the rows, and every signed end of one is its author's.
fn branches(
    connection: &Connection,
    names: &BTreeMap<i64, StreamId>,
    keys: &BTreeMap<StreamId, ReplicaKey>,
    verdict: &mut Verdict,
) -> Result<(), WalkError> {
    let mut row_of = connection.prepare("SELECT hash FROM op WHERE stream = ?1 AND seq = ?2")?;
    let mut known: BTreeSet<(StreamId, u64, Hash)> = BTreeSet::new();
    let mut select = connection.prepare("SELECT hash, stream, seq, bytes FROM branch ORDER BY position")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (hash, no, seq, bytes): ([u8; 32], i64, u64, Vec<u8>) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let Some(stream) = names.get(&no).copied() else {
            return Err(WalkError::Fault(Fault::Row { row: no, detail: "a branch names no stream".into() }));
        };
        let series = || stream.series();
        let op = SealedOp::open(&bytes).map_err(|source| ChainError::Unreadable { series: series(), seq, source })?;
        if op.hash.0 != hash || op.id() != (OpId { stream, seq }) {
            return Err(ChainError::Misfiled { series: series(), seq }.into());
        }
        let before = seq.saturating_sub(1);
        let below: Option<[u8; 32]> = row_of.query_row((no, before), |row| row.get(0)).optional()?;
        let continues = below == Some(op.op.prev.0) || known.contains(&(stream, before, op.op.prev));
        if seq != 1 && !continues {
            return Err(ChainError::Broken { series: series(), seq }.into());
        }
        known.insert((stream, seq, op.hash));
        verdict.ops += 1;
    }
    let mut select = connection.prepare("SELECT stream, seq, hash, signature FROM branch_head ORDER BY stream, seq")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (no, seq, signature): (i64, u64, [u8; 64]) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let head = Head { seq, hash: Hash(row.get(2)?) };
        let sound = names.get(&no).filter(|stream| {
            let signed = keys.get(*stream).is_some_and(|key| head.verify(stream, key, &signature));
            signed && known.contains(&(**stream, seq, head.hash))
        });
        if sound.is_none() {
            let series = names.get(&no).map(StreamId::series).unwrap_or_default();
            return Err(ChainError::Signature { series, seq }.into());
        }
        verdict.signed += 1;
    }
    Ok(())
}

fn streams(connection: &Connection) -> Result<BTreeMap<i64, StreamId>, WalkError> {
    let mut select = connection.prepare("SELECT no, id FROM stream ORDER BY no")?;
    let mut rows = select.query([])?;
    let mut names = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let no: i64 = row.get(0)?;
        match row.get::<_, [u8; 16]>(1) {
            Ok(id) if no == names.len() as i64 + 1 => names.insert(no, StreamId(id)),
            _ => return Err(WalkError::Fault(Fault::Row { row: no, detail: "it is no stream".into() })),
        };
    }
    Ok(names)
}

/// Every segment on record: the file as it was written, with the ops that the journal has.
fn segments(connection: &Connection, directory: &Path, verdict: &mut Verdict) -> Result<(), Fault> {
    let journal = directory.join(place::JOURNAL);
    let failed = |error: rusqlite::Error| file_fault(&journal, &error);
    let mut select = connection
        .prepare(
            "SELECT stream.id, segment.no, segment.hash, segment.sum FROM segment JOIN stream ON stream.no = stream",
        )
        .map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let read = (|| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))();
        let (id, number, hash, sum): ([u8; 16], u64, [u8; 32], [u8; 32]) = read.map_err(failed)?;
        let path = segment::path(&directory.join(place::SEGMENTS), &StreamId(id), number);
        // One that is missing is made again; only a wrong one is a fault.
        if !path.exists() {
            continue;
        }
        let found = segment::read(&path, &mut |_| ()).map_err(|error| match error {
            StoreError::Damaged { path, detail } => Fault::File { path, detail },
            other => Fault::File { path: path.clone(), detail: other.to_string() },
        })?;
        if found.sum.0 != sum || found.last.hash.0 != hash || found.stream.0 != id {
            return Err(Fault::File { path, detail: "it is not the segment that was written".into() });
        }
        verdict.segments += 1;
    }
    Ok(())
}

/// Every record of a box in the data directory, and that its ops are the journal's.
fn black_box(connection: &Connection, directory: &Path, verdict: &mut Verdict) -> Result<(), Fault> {
    let path = directory.join(place::BLACK_BOX);
    if !path.exists() {
        return Ok(());
    }
    let failed = |detail: String| Fault::File { path: path.clone(), detail };
    let file = BoxFile::look(&path).map_err(|error| failed(error.to_string()))?;
    let mut select = connection
        .prepare("SELECT hash FROM op WHERE stream = (SELECT no FROM stream WHERE id = ?1) AND seq = ?2")
        .map_err(|error| failed(error.to_string()))?;
    let mut records = file.records(file.first());
    loop {
        let number = records.end.number + 1;
        let record = match records.next().map_err(|error| failed(error.to_string()))? {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(bad) => return Err(Fault::Record { number: bad.number, why: bad.why.to_owned() }),
        };
        for op in &record.ops {
            let OpId { stream, seq } = op.id();
            let stored = select.query_row(rusqlite::params![stream.0, seq], |row| row.get::<_, [u8; 32]>(0));
            if stored.ok() != Some(op.hash.0) {
                let why = format!("op {seq} of series {} is not the journal's", stream.series());
                return Err(Fault::Record { number, why });
            }
        }
        verdict.records += 1;
    }
}
