//! The journal: ops in append order in one SQLite file, the truth of a kit.
//!
//! Promises: one connection; a returned `append` is on the disk; every op continues its stream; rows are dense from 1;
//! commits overwrite a write-ahead log that was grown beforehand, so that a sync needs no change of the file's size.
//! Absent on purpose: the black box, and any reading of what ops say beyond the opening of a stream.

use crate::error::StoreError;
use crate::failpoint;
use crate::sqlite::{self, Durability, Sharing};
use crate::store::SignedHead;
use fieldkit_core::body::{Body, StreamOpened};
use fieldkit_core::chain::ChainError;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use rusqlite::{Connection, OptionalExtension, params};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod schema {
    refinery::embed_migrations!("migrations/journal");
}

const PAGE_BYTES: u64 = 4096;
/// A page in the log with its header.
const FRAME_BYTES: usize = 24 + 4096;
/// Frames that the log is grown to: 16 MiB. A checkpoint comes before they are used up.
const WAL_FRAMES: u64 = 4096;
/// Frames left before the log's end at which it is grown, and by how many: 2 MiB take a card 0.1 s with the next sync.
const GROW_LOW: u64 = 256;
const GROW_FRAMES: u64 = 512;
/// Pages that the connection keeps at hand, and as many as make it spill; negative ones are KiB (`PRAGMA cache_size`).
const CACHE_KIB: i64 = -2000;
const SPILLING_PAGES: i64 = 16;
/// Frames in the log from which a checkpoint is worth its syncs.
const CHECKPOINT_FRAMES: u64 = 3584;
/// Newest ops of a stream that a start verifies where no segment boundary is nearer.
const TAIL_OPS: u64 = 8192;

/// Where the box was whole when the journal was last checkpointed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoxMark {
    pub id: [u8; 16],
    pub end: u64,
    pub number: u64,
    pub sum: [u8; 16],
    /// All rows up to here are in the box before `end`.
    pub row: u64,
}

impl BoxMark {
    fn check(&self) -> [u8; 32] {
        let mut bytes = [&self.id[..], &self.sum].concat();
        for number in [self.end, self.number, self.row] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Hash::derived("fieldkit 2026-11 box mark", &bytes).0
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamRow {
    pub no: i64,
    pub head: Head,
}

pub(crate) struct Journal {
    connection: Connection,
    path: PathBuf,
    pub streams: BTreeMap<StreamId, StreamRow>,
    pub last_row: u64,
    /// Streams with branches.
    pub parted: BTreeSet<StreamId>,
    /// Whether the file knows its log, so that the log is not taken for another's after a kill.
    log_noted: Cell<bool>,
}

/// The ops of a batch that are new, and where they lead.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    pub ops: Vec<&'a SealedOp>,
    /// Signed ends that hold after the batch.
    pub signed: Vec<SignedHead>,
    /// Ops of other branches that are new.
    pub branches: Vec<&'a SealedOp>,
    /// Signed ends of other branches.
    pub branch_heads: Vec<SignedHead>,
    heads: BTreeMap<StreamId, Head>,
}

impl Journal {
    /// Opens or makes the journal, and verifies its heads and its newest ops.
    pub fn open(path: &Path) -> Result<Journal, StoreError> {
        let mut connection =
            sqlite::open(path, Durability::Full, Sharing::Exclusive).map_err(StoreError::sqlite("open", path))?;
        sqlite::migrate(&mut connection, path, schema::migrations::runner())?;
        let mut journal = Journal {
            connection,
            path: path.to_owned(),
            streams: BTreeMap::new(),
            last_row: 0,
            parted: BTreeSet::new(),
            log_noted: Cell::new(wal_salt(path)?.is_some()),
        };
        journal.verify_length()?;
        journal.read_ends()?;
        journal.verify_ends()?;
        journal.verify_mark()?;
        journal.box_mark()?;
        if journal.log_noted.get() {
            journal.press()?;
        }
        Ok(journal)
    }

    /// A journal in memory, for a safe mode in which the box alone is durable.
    pub fn in_memory() -> Result<Journal, StoreError> {
        let path = PathBuf::from("the journal in memory");
        let failed = StoreError::sqlite("make", &path);
        let mut connection = Connection::open_in_memory().map_err(failed)?;
        sqlite::migrate(&mut connection, &path, schema::migrations::runner())?;
        let (streams, parted) = (BTreeMap::new(), BTreeSet::new());
        Ok(Journal { connection, path, streams, last_row: 0, parted, log_noted: Cell::new(true) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn head(&self, stream: &StreamId) -> Head {
        self.streams.get(stream).map(|known| known.head).unwrap_or_default()
    }

    /// Sorts out what is new. What is known changes nothing; what contradicts or leaves a gap is an error. Signatures
    /// were checked by whoever brought them.
    pub fn plan<'a>(
        &self,
        ops: &'a [SealedOp],
        branches: &'a [SealedOp],
        signed: &[SignedHead],
    ) -> Result<Plan<'a>, StoreError> {
        let mut plan = Plan { ops: Vec::with_capacity(ops.len()), ..Plan::default() };
        for op in ops {
            let stream = op.op.stream;
            let head = plan.heads.get(&stream).copied().unwrap_or_else(|| self.head(&stream));
            if op.op.seq > head.seq {
                if !op.follows(&head) {
                    return Err(StoreError::Gap { series: stream.series(), seq: op.op.seq, head: head.seq });
                }
                plan.heads.insert(stream, Head { seq: op.op.seq, hash: op.hash });
                plan.ops.push(op);
                continue;
            }
            let planned = plan.ops.iter().find(|known| known.id() == op.id()).map(|known| known.hash);
            let known = match planned {
                Some(hash) => Some(hash),
                None => self.hash_at(&op.id())?,
            };
            if known != Some(op.hash) {
                return Err(StoreError::Fork { series: stream.series(), seq: op.op.seq });
            }
        }
        plan.branches = self.plan_branches(branches, &plan.ops)?;
        for signed in signed {
            let end = plan.heads.get(&signed.stream).copied().unwrap_or_else(|| self.head(&signed.stream));
            if signed.head == end {
                plan.signed.push(signed.clone());
            } else if self.ends_branch(signed.stream, &signed.head, &plan.branches)? {
                plan.branch_heads.push(signed.clone());
            } else if signed.head.seq >= end.seq {
                return Err(StoreError::Gap { series: signed.stream.series(), seq: signed.head.seq, head: end.seq });
            }
        }
        Ok(plan)
    }

    /// Commits a plan. On `NoSpace` the journal is as before; after any other error nothing is known.
    pub fn append(&mut self, plan: &Plan) -> Result<(), StoreError> {
        if !self.log_noted.get() {
            self.checkpoint(None)?;
        }
        let begun = self.last_row;
        failpoint::hit("journal.before_begin");
        let mut fresh = Vec::new();
        let written = self.write(plan, &mut fresh).and_then(|()| {
            failpoint::hit("journal.before_commit");
            self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]))
        });
        failpoint::hit("journal.after_commit");
        if let Err(error) = written {
            let error = self.failed(error);
            let rolled_back = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
            self.last_row = begun;
            return Err(match error {
                StoreError::NoSpace { path } if !rolled_back => {
                    StoreError::damaged(&path, "a transaction could not be rolled back")
                }
                other => other,
            });
        }
        for (stream, no) in fresh {
            self.streams.insert(stream, StreamRow { no, head: Head::default() });
        }
        for (stream, head) in &plan.heads {
            if let Some(known) = self.streams.get_mut(stream) {
                known.head = *head;
            }
        }
        self.parted.extend(plan.branches.iter().map(|op| op.op.stream));
        Ok(())
    }

    fn write(&mut self, plan: &Plan, fresh: &mut Vec<(StreamId, i64)>) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = self.connection.prepare_cached("INSERT INTO op VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut last: Option<(StreamId, i64)> = None;
        for op in &plan.ops {
            let stream = op.op.stream;
            let no = match last {
                Some((known, no)) if known == stream => no,
                _ => self.stream_no(stream, fresh)?,
            };
            last = Some((stream, no));
            self.last_row += 1;
            insert.execute(params![self.last_row, no, op.op.seq, op.hash.0, op.bytes])?;
        }
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO head VALUES (?1, ?2, ?3, ?4) ON CONFLICT (stream) DO UPDATE
             SET seq = excluded.seq, hash = excluded.hash, signature = excluded.signature
             WHERE excluded.seq >= head.seq",
        )?;
        for signed in &plan.signed {
            let no = match last {
                Some((known, no)) if known == signed.stream => no,
                _ => self.stream_no(signed.stream, fresh)?,
            };
            upsert.execute(params![no, signed.head.seq, signed.head.hash.0, signed.signature])?;
        }
        self.write_branches(plan, |stream| {
            let new = fresh.iter().find(|(known, _)| known == stream).map(|(_, no)| *no);
            new.or_else(|| self.streams.get(stream).map(|known| known.no))
        })
    }

    fn stream_no(&self, stream: StreamId, fresh: &mut Vec<(StreamId, i64)>) -> rusqlite::Result<i64> {
        if let Some(known) = self.streams.get(&stream) {
            return Ok(known.no);
        }
        if let Some((_, no)) = fresh.iter().find(|(known, _)| *known == stream) {
            return Ok(*no);
        }
        let no = (self.streams.len() + fresh.len()) as i64 + 1;
        self.connection.prepare_cached("INSERT INTO stream VALUES (?1, ?2)")?.execute(params![no, stream.0])?;
        fresh.push((stream, no));
        Ok(no)
    }

    /// The op at a dot.
    pub fn op(&self, id: &OpId) -> Result<Option<SealedOp>, StoreError> {
        let Some(stream) = self.streams.get(&id.stream) else { return Ok(None) };
        let stored = self
            .connection
            .prepare_cached("SELECT hash, bytes FROM op WHERE stream = ?1 AND seq = ?2")
            .and_then(|mut select| {
                select
                    .query_row(params![stream.no, id.seq], |row| {
                        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?))
                    })
                    .optional()
            })
            .map_err(StoreError::sqlite("read", &self.path))?;
        stored.map(|(hash, bytes)| self.checked(*id, hash, &bytes)).transpose()
    }

    /// The stored hash at a dot.
    pub fn hash_at(&self, id: &OpId) -> Result<Option<Hash>, StoreError> {
        let Some(stream) = self.streams.get(&id.stream) else { return Ok(None) };
        self.connection
            .prepare_cached("SELECT hash FROM op WHERE stream = ?1 AND seq = ?2")
            .and_then(|mut select| select.query_row(params![stream.no, id.seq], |row| row.get(0)).optional())
            .map(|hash| hash.map(Hash))
            .map_err(StoreError::sqlite("read", &self.path))
    }

    /// The stored hash in a row.
    pub fn hash_in_row(&self, row: u64) -> Result<Option<Hash>, StoreError> {
        self.connection
            .query_row("SELECT hash FROM op WHERE row = ?1", [row], |row| row.get(0))
            .optional()
            .map(|hash| hash.map(Hash))
            .map_err(StoreError::sqlite("read", &self.path))
    }

    /// Calls `each` with every op after a row, in append order, one at a time. `each` may stop with `Ok(false)`.
    pub fn rows<E: From<StoreError>>(
        &self,
        after_row: u64,
        each: &mut dyn FnMut(u64, SealedOp) -> Result<bool, E>,
    ) -> Result<(), E> {
        let failed = |error| StoreError::sqlite("read", &self.path)(error);
        let names: BTreeMap<i64, StreamId> = self.streams.iter().map(|(id, row)| (row.no, *id)).collect();
        let mut select = self
            .connection
            .prepare_cached("SELECT row, stream, seq, hash, bytes FROM op WHERE row > ?1 ORDER BY row")
            .map_err(failed)?;
        let mut rows = select.query([after_row]).map_err(failed)?;
        let mut before = after_row;
        while let Some(row) = rows.next().map_err(failed)? {
            let at: u64 = row.get(0).map_err(failed)?;
            if at != before + 1 {
                return Err(StoreError::damaged(&self.path, format!("row {} is missing", before + 1)).into());
            }
            before = at;
            let (no, seq, hash) = (|| Ok((row.get(1)?, row.get(2)?, row.get(3)?)))().map_err(failed)?;
            let Some(stream) = names.get(&no) else {
                return Err(StoreError::damaged(&self.path, format!("row {at} names no stream")).into());
            };
            let bytes = row.get_ref(4).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
            let op = self.checked(OpId { stream: *stream, seq }, hash, bytes)?;
            if !each(at, op)? {
                return Ok(());
            }
        }
        if before < self.last_row {
            return Err(StoreError::damaged(&self.path, format!("row {} is missing", before + 1)).into());
        }
        Ok(())
    }

    /// The signed heads.
    pub fn signed_heads(&self) -> Result<Vec<SignedHead>, StoreError> {
        self.connection
            .prepare_cached("SELECT id, seq, hash, signature FROM head JOIN stream ON no = stream ORDER BY id")
            .and_then(|mut select| {
                let rows = select.query_map([], |row| {
                    let head = Head { seq: row.get(1)?, hash: Hash(row.get(2)?) };
                    Ok(SignedHead { stream: StreamId(row.get(0)?), head, signature: row.get(3)? })
                })?;
                rows.collect()
            })
            .map_err(StoreError::sqlite("read", &self.path))
    }

    /// The key that may write a stream, from the stream's first op.
    pub fn replica(&self, stream: StreamId) -> Result<Option<ReplicaKey>, StoreError> {
        Ok(self.op(&OpId { stream, seq: 1 })?.and_then(|op| opened_by(&op)))
    }

    /// Grows the log ahead of its end by one short step, so that commits overwrite it and change no file's size.
    pub fn grow_wal(&mut self) -> Result<(), StoreError> {
        let length = std::fs::metadata(wal_path(&self.path)).map_or(0, |found| found.len() / FRAME_BYTES as u64);
        let (logged, moved) = self.log_frames()?;
        // A log that was moved whole begins anew with the next commit.
        let end = if logged == moved { 0 } else { logged };
        if length >= WAL_FRAMES || length.saturating_sub(end) >= GROW_LOW {
            return Ok(());
        }
        failpoint::hit("journal.before_grow");
        let grown = (|| {
            // A cache of a few pages spills what a transaction changes into the log; rolled back, it leaves the length.
            self.connection.pragma_update(None, "cache_size", SPILLING_PAGES)?;
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let spilled = self.connection.execute("UPDATE mark SET box_sum = zeroblob(?1)", [GROW_FRAMES * PAGE_BYTES]);
            // A full disk may have rolled it back already.
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
            spilled
        })();
        let roomy = self.connection.pragma_update(None, "cache_size", CACHE_KIB);
        roomy.map_err(StoreError::failing(&self.path))?;
        failpoint::hit("journal.after_grow");
        match grown.map(drop).map_err(|error| self.failed(error)) {
            // Without room the log grows with the commits instead; the space report will have warned.
            Ok(()) | Err(StoreError::NoSpace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the log has grown enough for a checkpoint.
    pub fn wants_checkpoint(&self) -> Result<bool, StoreError> {
        let (logged, moved) = self.log_frames()?;
        Ok(logged.saturating_sub(moved) >= CHECKPOINT_FRAMES)
    }

    /// Frames in the log, and how many of them the last checkpoint moved.
    fn log_frames(&self) -> Result<(u64, u64), StoreError> {
        // NOOP reports the log's length and does nothing (SQLite 3.51); -1 stands for a log that was never begun.
        let frames = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
            .and_then(|mut ask| ask.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))))
            .map_err(StoreError::failing(&self.path))?;
        Ok((u64::try_from(frames.0).unwrap_or(0), u64::try_from(frames.1).unwrap_or(0)))
    }

    /// Moves the log into the database, checking what SQLite says about it. `mark` says where the box is whole.
    pub fn checkpoint(&mut self, mark: Option<&BoxMark>) -> Result<(), StoreError> {
        // The checkpoint syncs the log before it moves a page, so the notes in it need no sync of their own.
        self.connection.pragma_update(None, "synchronous", "NORMAL").map_err(StoreError::failing(&self.path))?;
        let noted = mark.map_or(Ok(()), |mark| self.set_box_mark(mark)).and_then(|()| self.note_wal());
        self.connection.pragma_update(None, "synchronous", "FULL").map_err(StoreError::failing(&self.path))?;
        noted?;
        failpoint::hit("journal.before_checkpoint");
        let (busy, log, moved) = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(FULL)")
            .and_then(|mut run| {
                run.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
            })
            .map_err(|error| self.failed(error))?;
        failpoint::hit("journal.after_checkpoint");
        if busy != 0 || log != moved {
            let text = format!("a checkpoint moved {moved} of {log} pages");
            return Err(StoreError::damaged(&self.path, text));
        }
        self.log_noted.set(true);
        Ok(())
    }

    /// Presses what a killed process left in the system's cache onto the disk: whoever starts shows it, and power may fail
    /// before the next commit. A commit syncs the log as far as it goes.
    fn press(&self) -> Result<(), StoreError> {
        let counted = self.connection.execute("UPDATE mark SET grown = grown + 1", []);
        match counted.map_err(|error| self.failed(error)) {
            // Looking must go on without room for a page; the log itself can be synced.
            Err(StoreError::NoSpace { .. }) => {
                let log = wal_path(&self.path);
                std::fs::File::open(&log).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &log))
            }
            other => other.map(drop),
        }
    }

    /// Writes down which log belongs to the file that the next checkpoint makes.
    fn note_wal(&self) -> Result<(), StoreError> {
        // Writing the note may itself begin the log anew, under another salt; then the note is written once more.
        for _ in 0..3 {
            let noted = wal_salt(&self.path)?;
            self.connection
                .prepare_cached(
                    // Counting makes it a write: SQLite leaves out those that change nothing.
                    "UPDATE mark SET wal_salt = ?1, grown = grown + 1 WHERE wal_salt IS NOT ?1 OR ?1 IS NULL",
                )
                .and_then(|mut update| update.execute([noted]))
                .map_err(|error| self.failed(error))?;
            if noted.is_some() && wal_salt(&self.path)? == noted {
                return Ok(());
            }
        }
        Err(StoreError::damaged(&self.path, "its log does not stand still"))
    }

    /// Remembers a segment: from here on a start verifies only what follows it.
    pub fn note_segment(&self, no: i64, number: u64, last: &Hash, sum: &Hash) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO segment VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut put| put.execute(params![no, number, last.0, sum.0]))
            .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// A failed write. It may have begun the log anew, so the file must be told of it before the next commit.
    fn failed(&self, error: rusqlite::Error) -> StoreError {
        self.log_noted.set(false);
        StoreError::failing(&self.path)(error)
    }

    /// Where the box was whole, as of the last mark.
    pub fn box_mark(&self) -> Result<Option<BoxMark>, StoreError> {
        let found = self.connection.query_row(
            "SELECT box_id, box_end, box_number, box_sum, box_row, box_check FROM mark WHERE box_id IS NOT NULL",
            [],
            |row| {
                let (id, end, number) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((BoxMark { id, end, number, sum: row.get(3)?, row: row.get(4)? }, row.get::<_, [u8; 32]>(5)?))
            },
        );
        let found = found.optional().map_err(StoreError::sqlite("read", &self.path))?;
        // A mark that is not what was written is no mark: the whole box is walked instead.
        Ok(found.filter(|(mark, check)| mark.check() == *check).map(|(mark, _)| mark))
    }

    /// Remembers where the box is whole.
    fn set_box_mark(&self, mark: &BoxMark) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE mark SET box_id = ?1, box_end = ?2, box_number = ?3, box_sum = ?4, box_row = ?5, box_check = ?6",
            )
            .and_then(|mut set| {
                set.execute(params![mark.id, mark.end, mark.number, mark.sum, mark.row, mark.check()])
            })
            .map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Checkpoints and closes, leaving one file without a log.
    pub fn close(mut self, mark: Option<&BoxMark>) -> Result<(), StoreError> {
        self.checkpoint(mark)?;
        // The log goes with the last connection, and the next one has a salt of its own.
        self.connection.execute("UPDATE mark SET wal_salt = NULL", []).map_err(StoreError::failing(&self.path))?;
        self.connection.flush_prepared_statement_cache();
        self.connection
            .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(StoreError::failing(&self.path))?;
        self.connection.close().map_err(|(_, error)| StoreError::failing(&self.path)(error))
    }

    /// Every page that the journal counts is in the file or in its log; SQLite itself would read a lost one as zeros.
    fn verify_length(&self) -> Result<(), StoreError> {
        let counted: u64 = self
            .connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .map_err(StoreError::sqlite("read", &self.path))?;
        let length = std::fs::metadata(&self.path).map_err(StoreError::io("look at", &self.path))?.len();
        let present = length / PAGE_BYTES;
        if counted <= present {
            return Ok(());
        }
        let logged = pages_in_log(&self.path)?;
        match (present + 1..=counted).find(|page| !logged.contains(page)) {
            None => Ok(()),
            Some(page) => {
                Err(StoreError::damaged(&self.path, format!("it is cut off before page {page} of {counted}")))
            }
        }
    }

    /// The one row of marks is there: without it nothing would be noted any more, and nobody would say so.
    fn verify_mark(&self) -> Result<(), StoreError> {
        let rows: u64 = self
            .connection
            .query_row("SELECT count(*) FROM mark", [], |row| row.get(0))
            .map_err(StoreError::sqlite("read", &self.path))?;
        if rows == 1 { Ok(()) } else { Err(StoreError::damaged(&self.path, "its page of marks is not what it was")) }
    }

    fn read_ends(&mut self) -> Result<(), StoreError> {
        let failed = StoreError::sqlite("read", &self.path);
        let ends = (|| {
            let mut streams = BTreeMap::new();
            let mut select = self
                .connection
                .prepare("SELECT no, id, (SELECT max(seq) FROM op WHERE op.stream = no) FROM stream ORDER BY no")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let (no, id): (i64, [u8; 16]) = (row.get(0)?, row.get(1)?);
                let seq: Option<u64> = row.get(2)?;
                let head = match seq {
                    None => Head::default(),
                    Some(seq) => {
                        let mut newest =
                            self.connection.prepare_cached("SELECT hash FROM op WHERE stream = ?1 AND seq = ?2")?;
                        Head { seq, hash: Hash(newest.query_row(params![no, seq], |row| row.get(0))?) }
                    }
                };
                streams.insert(StreamId(id), StreamRow { no, head });
            }
            let last_row: Option<u64> = self.connection.query_row("SELECT max(row) FROM op", [], |row| row.get(0))?;
            Ok((streams, last_row.unwrap_or(0), Journal::read_parted(&self.connection)?))
        })();
        (self.streams, self.last_row, self.parted) = ends.map_err(failed)?;
        let dense = self.streams.values().map(|row| row.no).max().unwrap_or(0) == self.streams.len() as i64;
        if dense { Ok(()) } else { Err(StoreError::damaged(&self.path, "the list of streams has a hole")) }
    }

    /// Compares the signed heads with the ops, and verifies each stream from its last segment boundary.
    fn verify_ends(&self) -> Result<(), StoreError> {
        let chain = |error| StoreError::Chain { path: self.path.clone(), source: error };
        for signed in self.signed_heads()? {
            let (stream, seq) = (signed.stream, signed.head.seq);
            let series = stream.series();
            let found = self.head(&stream).seq;
            if found < seq {
                return Err(chain(ChainError::Short { series, found, signed: seq }));
            }
            let same = self.hash_at(&OpId { stream, seq })? == Some(signed.head.hash);
            let key = self.replica(stream)?;
            if !same || !key.is_some_and(|key| signed.head.verify(&stream, &key, &signed.signature)) {
                return Err(chain(ChainError::Signature { series, seq }));
            }
        }
        for (stream, row) in &self.streams {
            let sealed = crate::segment::sealed_up_to(self, row.no)?;
            let from = sealed.max(row.head.seq.saturating_sub(TAIL_OPS));
            self.verify_stream(*stream, *row, from)?;
        }
        Ok(())
    }

    fn verify_stream(&self, stream: StreamId, row: StreamRow, from: u64) -> Result<(), StoreError> {
        let series = || stream.series();
        let chain = |error| StoreError::Chain { path: self.path.clone(), source: error };
        let mut head = match from {
            0 => Head::default(),
            seq => {
                let Some(hash) = self.hash_at(&OpId { stream, seq })? else {
                    return Err(chain(ChainError::Broken { series: series(), seq }));
                };
                Head { seq, hash }
            }
        };
        self.stream_ops(row.no, from, &mut |seq, hash, bytes| {
            let op = self.checked(OpId { stream, seq }, hash, bytes)?;
            if !op.follows(&head) {
                return Err(chain(ChainError::Broken { series: series(), seq }));
            }
            head = Head { seq, hash: op.hash };
            Ok(true)
        })
    }

    /// Calls `each` with the stored ops of a stream after a position, unchecked. `each` may stop with `Ok(false)`.
    pub fn stream_ops(&self, no: i64, after: u64, each: EachStored<'_>) -> Result<(), StoreError> {
        let failed = |error| StoreError::sqlite("read", &self.path)(error);
        let mut select = self
            .connection
            .prepare_cached("SELECT seq, hash, bytes FROM op WHERE stream = ?1 AND seq > ?2 ORDER BY seq")
            .map_err(failed)?;
        let mut rows = select.query(params![no, after]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (seq, hash) = (|| Ok((row.get(0)?, row.get(1)?)))().map_err(failed)?;
            let bytes = row.get_ref(2).map_err(failed)?.as_blob().map_err(|error| failed(error.into()))?;
            if !each(seq, hash, bytes)? {
                break;
            }
        }
        Ok(())
    }

    fn checked(&self, id: OpId, hash: [u8; 32], bytes: &[u8]) -> Result<SealedOp, StoreError> {
        let (series, seq) = (|| id.stream.series(), id.seq);
        let op = SealedOp::open(bytes)
            .map_err(|source| ChainError::Unreadable { series: series(), seq, source })
            .map_err(StoreError::chain(&self.path))?;
        if op.id() != id || op.hash != Hash(hash) {
            return Err(StoreError::chain(&self.path)(ChainError::Misfiled { series: series(), seq }));
        }
        Ok(op)
    }
}

/// Takes a position, the stored hash and the stored bytes, and says whether to go on.
type EachStored<'a> = &'a mut dyn FnMut(u64, [u8; 32], &[u8]) -> Result<bool, StoreError>;

/// The key that a stream's first op binds it to.
pub(crate) fn opened_by(op: &SealedOp) -> Option<ReplicaKey> {
    opening(op).map(|opened| opened.replica)
}

/// What the op that binds a stream to its key and space says.
pub(crate) fn opening(op: &SealedOp) -> Option<StreamOpened> {
    match Body::open(op.op.kind, &op.op.body) {
        Ok(Body::StreamOpened(opened)) => {
            let bound = op.op.seq == 1 && StreamId::of(&opened.replica, &opened.space) == op.op.stream;
            bound.then_some(opened)
        }
        _ => None,
    }
}

/// The name of the log beside a database.
pub(crate) fn wal_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// The pages that the current run of a journal's log holds.
fn pages_in_log(journal: &Path) -> Result<BTreeSet<u64>, StoreError> {
    let path = wal_path(journal);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    // A header of 32 bytes with the salts at 16, then frames: page number, size, salts, checksums, the page.
    let Some((header, frames)) = bytes.split_at_checked(32) else { return Ok(BTreeSet::new()) };
    let current = frames.chunks_exact(FRAME_BYTES).take_while(|frame| frame[8..16] == header[16..24]);
    Ok(current.map(|frame| u64::from(u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]))).collect())
}

/// Whether the log beside a journal was written for another copy of it. SQLite would mix the two.
pub(crate) fn wal_is_strange(journal: &Path) -> Result<bool, StoreError> {
    let Some(found) = wal_salt(journal)? else { return Ok(false) };
    let uri = journal.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    // `immutable` reads the file as if it had no log. What cannot be read here is found damaged in a moment.
    let noted = Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)
        .and_then(|file| file.query_row("SELECT wal_salt FROM mark", [], |row| row.get::<_, Option<u32>>(0)));
    Ok(match noted {
        // SQLite counts the salt up by one each time it begins the log anew after a checkpoint.
        Ok(Some(noted)) => !matches!(found.wrapping_sub(noted), 0 | 1),
        // Closed cleanly, so without a log. One begun since holds nothing that was promised before its first checkpoint.
        Ok(None) => true,
        Err(_) => false,
    })
}

/// The first salt of the log beside a journal, `None` where there is no log.
pub(crate) fn wal_salt(journal: &Path) -> Result<Option<u32>, StoreError> {
    use std::os::unix::fs::FileExt;
    let path = wal_path(journal);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("open", &path)(error)),
    };
    let mut salt = [0; 4];
    match file.read_exact_at(&mut salt, 16) {
        Ok(()) => Ok(Some(u32::from_be_bytes(salt))),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}
