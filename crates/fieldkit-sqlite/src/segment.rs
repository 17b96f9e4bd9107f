//! Segments: every 4,096 ops of a stream as an immutable file, for whoever reads history without the journal.
//!
//! Layout of `segments/SERIES-HEX/00000001.seg`: magic, stream, first position, count; each op with its length; the last
//! op's hash; BLAKE3 of all bytes before. Promises: a file has its name only when it is whole and on the disk; it is
//! made from ops whose chain was checked on the way; one that is missing or damaged is made again; no step takes longer
//! than a few milliseconds, and syncs happen beside the writer.
//! Absent on purpose: the newest ops of a stream, which only the journal has.

use crate::error::StoreError;
use crate::failpoint;
use crate::journal::Journal;
use crate::place;
use fieldkit_core::chain::ChainError;
use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::op::{Head, OP_BYTES_MAX, SealedOp};
use rusqlite::params;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ops in a segment.
pub const SEGMENT_OPS: u64 = 4096;
const MAGIC: &[u8; 8] = b"FKSEG\0\0\x01";
/// How long a step reads before it lets the writer go on.
const STEP: Duration = Duration::from_millis(2);

/// A segment read to its end and found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The stream.
    pub stream: StreamId,
    /// Position of its first op.
    pub first: u64,
    /// Its last op.
    pub last: Head,
    /// BLAKE3 of the file before its last 32 bytes.
    pub sum: Hash,
}

/// The file of a stream's segment, numbered from 1.
pub fn path(segments: &Path, stream: &StreamId, number: u64) -> PathBuf {
    let hex: String = stream.0.iter().map(|byte| format!("{byte:02x}")).collect();
    segments.join(format!("{}-{hex}", stream.series())).join(format!("{number:08}.seg"))
}

/// Reads a segment, giving out its ops in order. What was given out counts only if the whole file proves sound.
pub fn read(path: &Path, each: &mut dyn FnMut(SealedOp)) -> Result<Segment, StoreError> {
    let bad = |detail: &str| StoreError::damaged(path, detail);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::damaged(path, "it is cut off"),
        _ => StoreError::io("read", path)(error),
    };
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut input = Hashing { inner: BufReader::with_capacity(256 << 10, file), hasher: blake3::Hasher::new() };
    let mut header = [0; 36];
    input.read_exact(&mut header).map_err(failed)?;
    let (mut stream, mut first, mut count) = ([0; 16], [0; 8], [0; 4]);
    stream.copy_from_slice(&header[8..24]);
    first.copy_from_slice(&header[24..32]);
    count.copy_from_slice(&header[32..36]);
    let (stream, first, count) = (StreamId(stream), u64::from_le_bytes(first), u32::from_le_bytes(count));
    if header[..8] != MAGIC[..] || first == 0 || u64::from(count) > SEGMENT_OPS {
        return Err(bad("it does not begin like a segment"));
    }
    let mut last = None::<Head>;
    for seq in first..first.saturating_add(u64::from(count)) {
        let mut length = [0; 4];
        input.read_exact(&mut length).map_err(failed)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > OP_BYTES_MAX {
            return Err(bad("an op in it is longer than ops can be"));
        }
        let mut bytes = vec![0; length];
        input.read_exact(&mut bytes).map_err(failed)?;
        let op = SealedOp::open(&bytes).map_err(|_| bad(&format!("op {seq} in it cannot be read")))?;
        if op.id() != (OpId { stream, seq }) || last.is_some_and(|last| !op.follows(&last)) {
            return Err(bad(&format!("op {seq} in it does not continue the chain")));
        }
        last = Some(Head { seq, hash: op.hash });
        each(op);
    }
    let mut last_hash = [0; 32];
    input.read_exact(&mut last_hash).map_err(failed)?;
    let sum = Hash(*input.hasher.finalize().as_bytes());
    let mut stored = [0; 32];
    input.inner.read_exact(&mut stored).map_err(failed)?;
    let more = input.inner.read(&mut [0]).map_err(failed)?;
    let last = last.ok_or_else(|| bad("it holds no ops"))?;
    if stored != sum.0 || last.hash != Hash(last_hash) || more != 0 {
        return Err(bad("its checksum is wrong"));
    }
    Ok(Segment { stream, first, last, sum })
}

/// The position up to which a stream is sealed in segments.
pub(crate) fn sealed_up_to(journal: &Journal, no: i64) -> Result<u64, StoreError> {
    let newest: Option<u64> = journal
        .connection()
        .prepare_cached("SELECT max(no) FROM segment WHERE stream = ?1")
        .and_then(|mut select| select.query_row([no], |row| row.get(0)))
        .map_err(StoreError::sqlite("read", journal.path()))?;
    Ok(newest.unwrap_or(0).saturating_mul(SEGMENT_OPS))
}

/// Makes segments and looks after those that are there, in short steps.
pub(crate) struct Sealer {
    directory: PathBuf,
    /// Segments on record that this run has not looked at yet, with their checksums.
    unchecked: Vec<(Task, Hash)>,
    /// Segments to make.
    tasks: Vec<Task>,
    building: Option<Building>,
    finishing: Option<(JoinHandle<Result<(), StoreError>>, Task, Segment)>,
    /// After an error nothing is tried for the rest of the run: selling matters more than segments.
    given_up: bool,
}

#[derive(Clone, Copy)]
struct Task {
    stream: StreamId,
    no: i64,
    number: u64,
}

struct Building {
    task: Task,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    head: Head,
}

impl Sealer {
    pub fn idle(directory: PathBuf) -> Sealer {
        Sealer { directory, unchecked: vec![], tasks: vec![], building: None, finishing: None, given_up: true }
    }

    /// Takes up what is on record.
    pub fn start(journal: &Journal, directory: PathBuf) -> Result<Sealer, StoreError> {
        let mut sealer = Sealer { given_up: false, ..Sealer::idle(directory) };
        for (stream, row) in &journal.streams {
            let mut select = journal
                .connection()
                .prepare_cached("SELECT no, sum FROM segment WHERE stream = ?1")
                .map_err(StoreError::sqlite("read", journal.path()))?;
            let rows = select
                .query_map([row.no], |found| {
                    let task = Task { stream: *stream, no: row.no, number: found.get(0)? };
                    Ok((task, Hash(found.get(1)?)))
                })
                .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>);
            sealer.unchecked.extend(rows.map_err(StoreError::sqlite("read", journal.path()))?);
        }
        Ok(sealer)
    }

    /// One step; says whether there is another to do at once.
    pub fn step(&mut self, journal: &Journal) -> Result<bool, StoreError> {
        if self.given_up {
            return Ok(false);
        }
        match self.try_step(journal) {
            Err(error @ (StoreError::StorageFailing { .. } | StoreError::Chain { .. })) => Err(error),
            Err(error) => {
                tracing::warn!("{error}; segments are made again at the next start");
                self.given_up = true;
                Ok(false)
            }
            other => other,
        }
    }

    fn try_step(&mut self, journal: &Journal) -> Result<bool, StoreError> {
        if let Some((thread, task, segment)) = self.finishing.take() {
            if !thread.is_finished() {
                self.finishing = Some((thread, task, segment));
                return Ok(false);
            }
            match thread.join() {
                Ok(result) => result?,
                Err(_) => return Err(StoreError::damaged(&self.directory, "the thread that syncs segments died")),
            }
            record(journal, &task, &segment)?;
            return Ok(true);
        }
        if let Some(building) = self.building.take() {
            return self.build_on(journal, building).map(|()| true);
        }
        if let Some((task, sum)) = self.unchecked.pop() {
            let sound = read(&path(&self.directory, &task.stream, task.number), &mut |_| ());
            if !sound.is_ok_and(|segment| segment.sum == sum) {
                self.tasks.push(task);
            }
            return Ok(true);
        }
        match self.tasks.pop().map_or_else(|| next_task(journal), |task| Ok(Some(task)))? {
            None => Ok(false),
            Some(task) => {
                self.building = Some(self.begin(journal, task)?);
                Ok(true)
            }
        }
    }

    fn begin(&self, journal: &Journal, task: Task) -> Result<Building, StoreError> {
        let target = path(&self.directory, &task.stream, task.number).with_extension("new");
        let directory = target.parent().unwrap_or(&self.directory);
        fs::create_dir_all(directory).map_err(StoreError::io("make", directory))?;
        place::sync_directory(&self.directory)?;
        let file = File::create(&target).map_err(StoreError::io("make", &target))?;
        let before = (task.number - 1) * SEGMENT_OPS;
        let head = match before {
            0 => Head::default(),
            seq => {
                let hash = journal.hash_at(&OpId { stream: task.stream, seq })?;
                Head { seq, hash: hash.ok_or_else(|| broken(journal, &task.stream, seq))? }
            }
        };
        let mut building =
            Building { task, file: BufWriter::with_capacity(256 << 10, file), hasher: blake3::Hasher::new(), head };
        let first = (before + 1).to_le_bytes();
        let header = [&MAGIC[..], &task.stream.0, &first, &(SEGMENT_OPS as u32).to_le_bytes()].concat();
        building.put(&header).map_err(StoreError::io("write", &target))?;
        Ok(building)
    }

    fn build_on(&mut self, journal: &Journal, mut building: Building) -> Result<(), StoreError> {
        let begun = Instant::now();
        let task = building.task;
        let end = task.number * SEGMENT_OPS;
        let target = path(&self.directory, &task.stream, task.number).with_extension("new");
        journal.stream_ops(task.no, building.head.seq, &mut |seq, hash, bytes| {
            let op = SealedOp::open(bytes).map_err(|source| {
                let series = task.stream.series();
                StoreError::chain(journal.path())(ChainError::Unreadable { series, seq, source })
            })?;
            if op.hash != Hash(hash) || !op.follows(&building.head) || op.op.stream != task.stream {
                return Err(broken(journal, &task.stream, seq));
            }
            building.head = Head { seq, hash: op.hash };
            building
                .put(&(bytes.len() as u32).to_le_bytes())
                .and_then(|()| building.put(bytes))
                .map_err(StoreError::io("write", &target))?;
            Ok(seq < end && begun.elapsed() < STEP)
        })?;
        if building.head.seq < end {
            self.building = Some(building);
            return Ok(());
        }
        let last = building.head;
        building.put(&last.hash.0).map_err(StoreError::io("write", &target))?;
        let sum = Hash(*building.hasher.finalize().as_bytes());
        building.file.write_all(&sum.0).map_err(StoreError::io("write", &target))?;
        failpoint::hit("segment.after_write");
        let file = building.file.into_inner().map_err(|error| StoreError::io("write", &target)(error.into_error()))?;
        let segment = Segment { stream: task.stream, first: end - SEGMENT_OPS + 1, last, sum };
        let thread = std::thread::Builder::new()
            .name("segment-sync".into())
            .spawn(move || finish(&file, &target))
            .map_err(StoreError::io("start a thread for", &self.directory))?;
        self.finishing = Some((thread, task, segment));
        Ok(())
    }
}

impl Building {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }
}

/// Presses a written segment onto the disk and gives it its name.
fn finish(file: &File, written: &Path) -> Result<(), StoreError> {
    let target = written.with_extension("seg");
    file.sync_all().map_err(StoreError::io("sync", written))?;
    fs::rename(written, &target).map_err(StoreError::io("rename", written))?;
    failpoint::hit("segment.after_rename");
    place::sync_directory(target.parent().unwrap_or(Path::new("/")))
}

/// Notes a segment in the journal: from here on a start verifies only what follows it.
fn record(journal: &Journal, task: &Task, segment: &Segment) -> Result<(), StoreError> {
    journal
        .connection()
        .prepare_cached("INSERT OR REPLACE INTO segment VALUES (?1, ?2, ?3, ?4)")
        .and_then(|mut put| put.execute(params![task.no, task.number, segment.last.hash.0, segment.sum.0]))
        .map_err(StoreError::failing(journal.path()))?;
    failpoint::hit("segment.after_record");
    Ok(())
}

fn next_task(journal: &Journal) -> Result<Option<Task>, StoreError> {
    for (stream, row) in &journal.streams {
        if row.head.seq < SEGMENT_OPS {
            continue;
        }
        let sealed = sealed_up_to(journal, row.no)?;
        if row.head.seq - sealed.min(row.head.seq) >= SEGMENT_OPS {
            return Ok(Some(Task { stream: *stream, no: row.no, number: sealed / SEGMENT_OPS + 1 }));
        }
    }
    Ok(None)
}

fn broken(journal: &Journal, stream: &StreamId, seq: u64) -> StoreError {
    StoreError::chain(journal.path())(ChainError::Broken { series: stream.series(), seq })
}

/// A reader that hashes what passes through it.
struct Hashing {
    inner: BufReader<File>,
    hasher: blake3::Hasher,
}

impl Hashing {
    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(buffer)?;
        self.hasher.update(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{BlackBoxPlace, Options};
    use crate::store::Store;
    use crate::testing::Pen;

    fn seal_all(store: &mut Store, wanted: &[PathBuf]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !wanted.iter().all(|path| read(path, &mut |_| ()).is_ok()) || store.maintain().unwrap().more {
            assert!(Instant::now() < deadline, "no segments");
            store.maintain().unwrap();
        }
        for _ in 0..3 {
            store.maintain().unwrap();
        }
    }

    #[test]
    fn segments_hold_the_journals_ops_and_come_back_when_lost() {
        let home = tempfile::tempdir().unwrap();
        let options = Options::new(home.path().join("data"), BlackBoxPlace::Off);
        let (mut store, _) = Store::open(&options).unwrap();
        let mut pen = Pen::new(5);
        let written = pen.write(9000, 16);
        store.commit(written.batch()).unwrap();
        let segments = options.data.join("segments");
        let paths = [1, 2].map(|number| path(&segments, &pen.stream(), number));
        seal_all(&mut store, &paths);
        let mut ops = Vec::new();
        for path in &paths {
            read(path, &mut |op| ops.push(op)).unwrap();
        }
        assert_eq!(ops[..], written.ops[..8192]);
        assert!(!path(&segments, &pen.stream(), 3).exists());
        drop(store);
        fs::remove_file(&paths[0]).unwrap();
        let mut bytes = fs::read(&paths[1]).unwrap();
        bytes[1000] ^= 1;
        fs::write(&paths[1], bytes).unwrap();
        let (mut store, _) = Store::open(&options).unwrap();
        seal_all(&mut store, &paths);
    }
}
