//! Starting: the journal and the black box are brought together before anything is sold.
//!
//! Promises: the shorter adopts the longer one's sound tail; a damaged file is moved aside under a dated name, never
//! overwritten; cut short at any point, the next start ends in the same place; a box never keeps a sound journal shut.
//! Absent on purpose: guessing. Two sound histories that differ are an error that names the first differing op.

use crate::black_box::{BadRecord, BoxFile, End, Record};
use crate::box_place::{self, BoxAbsence};
use crate::error::StoreError;
use crate::failpoint;
use crate::journal::{self, Journal};
use crate::place::{self, BlackBoxPlace, Options, Place};
use crate::space::Ballast;
use crate::store::{SignedHead, StartReport};
use fieldkit_core::chain::ChainError;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Ops adopted in one transaction.
const ADOPT_OPS: usize = 1024;
/// Where a damaged journal is rebuilt before it takes the old one's name.
const REBUILT: &str = "journal.db.rebuilt";

/// What a start has put together.
pub(crate) struct Started {
    pub place: Place,
    pub journal: Journal,
    pub black_box: Option<Boxed>,
    pub report: StartReport,
}

/// A box that belongs to the journal.
pub(crate) struct Boxed {
    pub file: BoxFile,
    /// It holds every row up to here.
    pub row: u64,
    /// Ops behind `row` that it holds too, by stream.
    pub covered: BTreeMap<StreamId, u64>,
}

pub(crate) fn start(options: &Options) -> Result<Started, StoreError> {
    let place = Place::take(&options.data)?;
    failpoint::hit("start.after_lock");
    let box_absence = box_place::absence(options, &place);
    let mut report = StartReport { box_absence, ..StartReport::default() };
    tidy_up(&place, &mut report)?;
    let path = place.join(place::JOURNAL);
    let (journal, black_box) = match bring_together(options, &place, &mut report) {
        Err(error) if error.is_damage() => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let detail = source.unwrap_or_else(|| error.to_string());
            tracing::error!(path = %path.display(), detail, "the journal is damaged");
            let black_box = open_box(options, &place, &mut report);
            let black_box = black_box.filter(|file| is_known(file, &place) || options.restore);
            rebuild(&path, &place.join(REBUILT), black_box, detail, &mut report)?;
            bring_together(options, &place, &mut report)?
        }
        other => other?,
    };
    failpoint::hit("start.after_compare");
    report.ops = journal.last_row;
    Ok(Started { place, journal, black_box, report })
}

fn bring_together(
    options: &Options,
    place: &Place,
    report: &mut StartReport,
) -> Result<(Journal, Option<Boxed>), StoreError> {
    let black_box = open_box(options, place, report);
    let mut journal = Journal::open(&place.join(place::JOURNAL))?;
    failpoint::hit("start.after_journal");
    let boxed = match black_box {
        Some(file) if belongs(&journal, &file, options, place, report)? => compare(&mut journal, file, place, report)?,
        _ => None,
    };
    if let Some(boxed) = &boxed {
        box_place::remember(options, place, boxed.file.device)?;
    }
    Ok((journal, boxed))
}

/// Opens the box; what stands in the way is reported, because selling goes on without it.
pub(crate) fn open_box(options: &Options, place: &Place, report: &mut StartReport) -> Option<BoxFile> {
    let path = options.box_path(&place.path)?;
    if let Some(BoxAbsence::NotThere(dir)) = &report.box_absence {
        tracing::error!(path = %dir.display(), "the black box is not there");
        return None;
    }
    match BoxFile::open(&path) {
        Ok(file) => Some(file),
        Err(error @ StoreError::Damaged { .. }) => {
            // Its records cannot be trusted to be this kit's. It is kept under another name.
            let aside = set_aside(&path).ok();
            report.box_fault = Some(error.to_string());
            report.set_aside.extend(aside.clone());
            aside.and_then(|_| BoxFile::open(&path).ok())
        }
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            report.box_fault = Some(format!("{error}{source}"));
            None
        }
    }
}

/// Ends what an earlier start began, and keeps logs apart that belong to no journal here.
fn tidy_up(place: &Place, report: &mut StartReport) -> Result<(), StoreError> {
    let path = place.join(place::JOURNAL);
    let rebuilt = place.join(REBUILT);
    if !path.exists() && rebuilt.exists() {
        // A repair was cut short between its two renames; the rebuilt file was whole before the first one.
        fs::rename(&rebuilt, &path).map_err(StoreError::io("rename", &rebuilt))?;
        place::sync_directory(&place.path)?;
    }
    for leftover in [rebuilt.clone(), journal::wal_path(&rebuilt)] {
        if leftover.exists() {
            fs::remove_file(&leftover).map_err(StoreError::io("remove", &leftover))?;
        }
    }
    let wal = journal::wal_path(&path);
    // A log that the file does not know may still be its own; then all of it fits together.
    let strange = || Ok::<_, StoreError>(journal::wal_is_strange(&path)? && !crate::verify::journal_is_sound(&path));
    if wal.exists() && (!path.exists() || strange()?) {
        report.journal_fault = Some("the log beside the journal was written for another copy of it".into());
        report.set_aside.push(set_aside(&wal)?);
    }
    Ok(())
}

/// Rebuilds a damaged journal from the box and what can still be read, if together they miss nothing readable.
fn rebuild(
    path: &Path,
    rebuilt: &Path,
    black_box: Option<BoxFile>,
    detail: String,
    report: &mut StartReport,
) -> Result<(), StoreError> {
    let mut fresh = Journal::open(rebuilt)?;
    if let Some(file) = black_box {
        adopt(&mut fresh, &file, file.first())?;
    }
    let (mut lacking, mut pending) = (0, Vec::new());
    salvage(path, &mut |op| {
        if op.op.seq <= fresh.head(&op.op.stream).seq {
            return Ok(());
        }
        if !op.follows(&fresh.head(&op.op.stream)) {
            lacking += 1;
            return Ok(());
        }
        pending.clear();
        pending.push(op);
        let plan = fresh.plan(&pending, &[], &[])?;
        fresh.append(&plan)
    })?;
    if lacking > 0 || fresh.last_row == 0 {
        drop(fresh);
        fs::remove_file(rebuilt).map_err(StoreError::io("remove", rebuilt))?;
        return Err(StoreError::Unrepaired { path: path.to_owned(), detail, lacking });
    }
    report.rebuilt = fresh.last_row;
    report.journal_fault = Some(detail);
    fresh.close(None)?;
    report.set_aside.push(set_aside(path)?);
    failpoint::hit("start.after_set_aside");
    let wal = journal::wal_path(path);
    match fs::metadata(&wal) {
        Ok(found) if found.len() > 0 => report.set_aside.push(set_aside(&wal)?),
        Ok(_) => fs::remove_file(&wal).map_err(StoreError::io("remove", &wal))?,
        Err(_) => {}
    }
    fs::rename(rebuilt, path).map_err(StoreError::io("rename", rebuilt))?;
    place::sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Moves a file to a dated name beside it.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let date = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).format("%Y%m%dT%H%M%S%3fZ");
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{date}"));
    let aside = PathBuf::from(name);
    fs::rename(path, &aside).map_err(StoreError::io("move aside", path))?;
    place::sync_directory(path.parent().unwrap_or(Path::new("/")))?;
    tracing::warn!(path = %path.display(), aside = %aside.display(), "a damaged file was moved aside");
    Ok(aside)
}

/// Gives out every op of a damaged journal that can still be read and is itself whole, in row order.
pub(crate) fn salvage(path: &Path, each: &mut dyn FnMut(SealedOp) -> Result<(), StoreError>) -> Result<(), StoreError> {
    use crate::sqlite::{Durability, Sharing, open};
    let Ok(connection) = open(path, Durability::Full, Sharing::Exclusive) else { return Ok(()) };
    let mut after = 0i64;
    let mut stride = 1i64;
    while stride < 1 << 40 {
        let Ok(mut select) = connection.prepare("SELECT row, hash, bytes FROM op WHERE row > ?1 ORDER BY row") else {
            return Ok(());
        };
        let Ok(mut rows) = select.query([after]) else { return Ok(()) };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                // A page that cannot be read: try again behind it, further and further.
                Err(_) => break,
            };
            let Ok(at) = row.get(0) else { break };
            (after, stride) = (at, 1);
            let (Ok(hash), Ok(bytes)) = (row.get(1), row.get_ref(2)) else { continue };
            let opened = bytes.as_blob().ok().and_then(|bytes| SealedOp::open(bytes).ok());
            if let Some(op) = opened
                && op.hash == Hash(hash)
            {
                each(op)?;
            }
        }
        after += stride;
        stride *= 2;
    }
    Ok(())
}

/// Whether the box is this kit's. A strange one is reported, or refused where the journal is empty.
fn belongs(
    journal: &Journal,
    file: &BoxFile,
    options: &Options,
    place: &Place,
    report: &mut StartReport,
) -> Result<bool, StoreError> {
    if is_known(file, place) {
        return Ok(true);
    }
    let first = match file.records(file.first()).next()? {
        Ok(Some(record)) => record.ops.into_iter().next(),
        Ok(None) | Err(_) => None,
    };
    let ours = match &first {
        None => {
            // The box that was known here is gone, or its medium was changed for an empty one.
            let known = report.box_fault.is_none() && place.join(place::BOX_ID).exists();
            if let Some(dir) = box_place::same_as_before(options, place).filter(|_| known) {
                report.box_absence = Some(BoxAbsence::BegunAnew(dir));
            }
            true
        }
        Some(op) if journal.last_row == 0 => {
            if options.black_box != BlackBoxPlace::InData && !options.restore {
                let series = op.op.stream.series();
                return Err(StoreError::ForeignBox { path: file.path().to_owned(), series });
            }
            true
        }
        Some(op) => journal.hash_at(&op.id())? == Some(op.hash),
    };
    if ours {
        match place::write_whole(&place.join(place::BOX_ID), id_text(file).as_bytes()) {
            Ok(()) | Err(StoreError::NoSpace { .. }) => {}
            Err(error) => return Err(error),
        }
    } else if let Some(op) = first {
        let series = op.op.stream.series();
        let error = StoreError::ForeignBox { path: file.path().to_owned(), series };
        tracing::error!(path = %file.path().display(), "{error}; it is not used");
        report.box_fault = Some(error.to_string());
    }
    Ok(ours)
}

/// Whether the directory has this box written down as its own.
fn is_known(file: &BoxFile, place: &Place) -> bool {
    fs::read_to_string(place.join(place::BOX_ID)).is_ok_and(|known| known.trim() == id_text(file))
}

fn id_text(file: &BoxFile) -> String {
    file.id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Brings journal and box together. `None` where the box cannot be used.
fn compare(
    journal: &mut Journal,
    mut file: BoxFile,
    place: &Place,
    report: &mut StartReport,
) -> Result<Option<Boxed>, StoreError> {
    let mark = journal.box_mark()?.filter(|mark| mark.id == file.id && mark.row <= journal.last_row);
    let marked = match mark {
        Some(mark) => {
            let end = End { offset: mark.end, number: mark.number, sum: mark.sum };
            file.ends_at(end)?.then_some((end, mark.row))
        }
        None => None,
    };
    let (from, row) = marked.unwrap_or((file.first(), 0));
    let ballast = Ballast::at(place.join(place::BALLAST));
    let walked = match adopt(journal, &file, from) {
        Err(StoreError::NoSpace { .. }) if ballast.release() => adopt(journal, &file, from),
        other => other,
    };
    if let Err(StoreError::NoSpace { path }) = &walked {
        // Looking at what there is must go on; what would be sold now could contradict the box.
        tracing::error!(path = %path.display(), "no space to take over what the black box holds; nothing can be sold");
        report.full = true;
        return Ok(None);
    }
    let mut walked = walked?;
    report.adopted += walked.adopted;
    let mut row = row;
    if walked.beyond && from != file.first() {
        // The mark was of another time: everything is looked at.
        walked = adopt(journal, &file, file.first())?;
        (report.adopted, row) = (report.adopted + walked.adopted, 0);
    }
    if let Some(reason) = walked.unsigned {
        tracing::error!(path = %file.path().display(), reason, "the black box is not used");
        report.box_fault = Some(reason);
        return Ok(None);
    }
    if let Some(bad) = &walked.bad {
        let name = format!("record {} at byte {}: {}", bad.number, bad.offset, bad.why);
        tracing::warn!(path = %file.path().display(), record = name, "the black box ends in a bad record");
        report.box_fault = Some(format!("{}: {name}", file.path().display()));
    }
    let path = file.path().to_owned();
    let repaired = if walked.beyond {
        // Sound records are there that the journal cannot place. They are kept under another name.
        report.set_aside.push(set_aside(&path)?);
        walked.seen.clear();
        row = 0;
        BoxFile::open(&path).map(|new| file = new)
    } else if walked.bad.is_some() {
        file.cut(walked.end)
    } else {
        file.end = walked.end;
        Ok(())
    };
    if let Err(error) = repaired {
        report.box_fault = Some(error.to_string());
        return Ok(None);
    }
    let row = first_uncovered(journal, &walked.seen, row)?;
    Ok(Some(Boxed { file, row, covered: walked.seen }))
}

/// A box that was missing at the start, if it is this kit's and holds nothing that the journal lacks: only a start may take
/// ops over, because the ledger in memory would not have them.
pub(crate) fn returned(journal: &Journal, options: &Options, place: &Place) -> Result<Option<Boxed>, StoreError> {
    let Some(path) = options.box_path(&place.path).filter(|path| path.exists()) else { return Ok(None) };
    let mut file = BoxFile::open(&path)?;
    // Without a mark the whole box would have to be read, which nobody has time for now.
    let Some(mark) = journal.box_mark()?.filter(|mark| mark.id == file.id && mark.row <= journal.last_row) else {
        return Ok(None);
    };
    let end = End { offset: mark.end, number: mark.number, sum: mark.sum };
    if !is_known(&file, place) || !file.ends_at(end)? {
        return Ok(None);
    }
    let (mut seen, mut records) = (BTreeMap::new(), file.records(end));
    while let Ok(found) = records.next()? {
        let Some(record) = found else {
            file.end = records.end;
            let row = first_uncovered(journal, &seen, mark.row)?;
            return Ok(Some(Boxed { file, row, covered: seen }));
        };
        for op in record.ops {
            if journal.hash_at(&op.id())? != Some(op.hash) {
                return Ok(None);
            }
            seen.insert(op.op.stream, op.op.seq);
        }
    }
    Ok(None)
}

/// The last row before the first op that the box lacks.
fn first_uncovered(journal: &Journal, seen: &BTreeMap<StreamId, u64>, covered: u64) -> Result<u64, StoreError> {
    let mut first = journal.last_row + 1;
    for (stream, known) in &journal.streams {
        let row: Option<u64> = match seen.get(stream) {
            Some(seq) => journal.connection().query_row(
                "SELECT min(row) FROM op WHERE stream = ?1 AND seq = ?2",
                rusqlite::params![known.no, seq + 1],
                |row| row.get(0),
            ),
            None => journal.connection().query_row(
                "SELECT min(row) FROM op WHERE stream = ?1 AND row > ?2",
                rusqlite::params![known.no, covered],
                |row| row.get(0),
            ),
        }
        .map_err(StoreError::sqlite("read", journal.path()))?;
        first = first.min(row.unwrap_or(u64::MAX));
    }
    Ok(first - 1)
}

/// What a walk over the box found.
pub(crate) struct Walk {
    pub adopted: u64,
    /// Newest position of each stream seen on the way.
    pub seen: BTreeMap<StreamId, u64>,
    /// The end of the sound part.
    pub end: End,
    /// The first bad record.
    pub bad: Option<BadRecord>,
    /// Whether ops behind the bad record could not be placed.
    pub beyond: bool,
    /// A head that its key did not sign.
    pub unsigned: Option<String>,
}

/// Walks the box from `from` and gives the journal what it lacks.
pub(crate) fn adopt(journal: &mut Journal, file: &BoxFile, from: End) -> Result<Walk, StoreError> {
    let mut walk = Walk { adopted: 0, seen: BTreeMap::new(), end: from, bad: None, beyond: false, unsigned: None };
    let mut intake = Intake { heads: BTreeMap::new(), ops: Vec::new(), signed: BTreeMap::new() };
    let mut records = file.records(from);
    loop {
        match records.next()? {
            Ok(Some(record)) => {
                let (end, sound) = (record.end, walk.bad.is_none());
                let placed = intake.take(journal, file.path(), record, |op| {
                    if sound {
                        walk.seen.insert(op.stream, op.seq);
                    }
                })?;
                walk.beyond |= !placed;
                if sound {
                    walk.end = end;
                }
                if intake.ops.len() >= ADOPT_OPS {
                    walk.adopted += intake.commit(journal, &mut walk.unsigned)?;
                }
            }
            Ok(None) => break,
            Err(bad) => {
                let Some(next) = file.resync(bad.offset + 1)? else {
                    walk.bad.get_or_insert(bad);
                    break;
                };
                walk.bad.get_or_insert(bad);
                records = file.records(next);
            }
        }
        if walk.unsigned.is_some() {
            return Ok(walk);
        }
    }
    walk.adopted += intake.commit(journal, &mut walk.unsigned)?;
    Ok(walk)
}

/// Ops on their way from the box into the journal.
struct Intake {
    heads: BTreeMap<StreamId, Head>,
    ops: Vec<SealedOp>,
    signed: BTreeMap<StreamId, SignedHead>,
}

impl Intake {
    /// Takes the ops of a record that are new; `false` where one cannot be placed.
    fn take(
        &mut self,
        journal: &Journal,
        path: &Path,
        record: Record,
        mut seen: impl FnMut(OpId),
    ) -> Result<bool, StoreError> {
        let mut placed = true;
        for op in record.ops {
            let id = op.id();
            let head = self.heads.get(&id.stream).copied().unwrap_or_else(|| journal.head(&id.stream));
            let contradiction =
                || StoreError::Contradiction { path: path.to_owned(), series: id.stream.series(), seq: id.seq };
            if id.seq <= head.seq {
                let pending = self.ops.iter().find(|known| known.id() == id).map(|known| known.hash);
                let known = match pending {
                    Some(hash) => Some(hash),
                    None => journal.hash_at(&id)?,
                };
                if known != Some(op.hash) {
                    return Err(contradiction());
                }
            } else if op.follows(&head) {
                self.heads.insert(id.stream, Head { seq: id.seq, hash: op.hash });
                self.ops.push(op);
            } else if id.seq == head.seq + 1 {
                return Err(contradiction());
            } else {
                placed = false;
                continue;
            }
            seen(id);
        }
        for signed in record.heads {
            self.signed.insert(signed.stream, signed);
        }
        Ok(placed)
    }

    /// Commits what was taken, if the newest signed heads on the way hold.
    fn commit(&mut self, journal: &mut Journal, unsigned: &mut Option<String>) -> Result<u64, StoreError> {
        let mut heads = Vec::new();
        for signed in self.signed.values() {
            let known = self.hash(journal, &signed.stream, signed.head.seq)?;
            if known.is_none() {
                // A head of ops that could not be placed says nothing here.
                continue;
            }
            let key = self.key(journal, signed.stream)?;
            let valid = known == Some(signed.head.hash)
                && key.is_some_and(|key| signed.head.verify(&signed.stream, &key, &signed.signature));
            if !valid {
                let error = ChainError::Signature { series: signed.stream.series(), seq: signed.head.seq };
                *unsigned = Some(error.to_string());
                return Ok(0);
            }
            heads.push(signed.clone());
        }
        if self.ops.is_empty() {
            self.signed.clear();
            return Ok(0);
        }
        failpoint::hit("start.adopt.before_commit");
        let plan = journal.plan(&self.ops, &[], &heads)?;
        journal.append(&plan)?;
        failpoint::hit("start.adopt.after_commit");
        let adopted = plan.ops.len() as u64;
        drop(plan);
        if journal.wants_checkpoint()? {
            journal.checkpoint(None)?;
        }
        (self.ops, self.heads, self.signed) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Ok(adopted)
    }

    fn hash(&self, journal: &Journal, stream: &StreamId, seq: u64) -> Result<Option<Hash>, StoreError> {
        if let Some(head) = self.heads.get(stream)
            && head.seq == seq
        {
            return Ok(Some(head.hash));
        }
        let id = OpId { stream: *stream, seq };
        match self.ops.iter().find(|op| op.id() == id) {
            Some(op) => Ok(Some(op.hash)),
            None => journal.hash_at(&id),
        }
    }

    fn key(&self, journal: &Journal, stream: StreamId) -> Result<Option<ReplicaKey>, StoreError> {
        match self.ops.iter().find(|op| op.id() == OpId { stream, seq: 1 }) {
            Some(op) => Ok(journal::opened_by(op)),
            None => journal.replica(stream),
        }
    }
}
