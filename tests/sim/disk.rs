//! A disk under SQLite that loses power, is full, and fails: files in a directory, and what of them would survive.
//!
//! Promises: what the process wrote is what it reads, and what a killed process wrote stays; at a power cut each file has
//! what was synced, and of the writes since then none, all, a beginning, or any of them, each whole or by sectors; bytes
//! that nobody wrote are as they were. All of it follows from the seed.
//! Absent on purpose: SQLite (`vfs`), and files that SQLite does not open: lock and ballast stay as they are.

use fieldkit_sim::Random;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A mistake that this disk makes, to see whether anybody notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A sync says that it is done, and does nothing: `PRAGMA synchronous=OFF` does the same.
    SyncLies,
    /// A write that is lost takes the rest of its sectors with it.
    SpoilsNeighbours,
    /// Now and then a write says that it is done, and does nothing.
    SwallowsWrites,
    /// After a sync that failed, what it was to write counts as written: the next one does not try again. File systems of
    /// Linux may do so; the storage does not bear it, and no test says that it does.
    ForgetsAfterFailing,
}

/// Mistakes that nothing could bear.
pub const MISTAKES: &[Planted] = &[Planted::SyncLies, Planted::SpoilsNeighbours, Planted::SwallowsWrites];

/// All of them with their words.
pub const PLANTED: &[(Planted, &str)] = &[
    (Planted::SyncLies, "sync_lies"),
    (Planted::SpoilsNeighbours, "spoils_neighbours"),
    (Planted::SwallowsWrites, "swallows_writes"),
    (Planted::ForgetsAfterFailing, "forgets_after_failing"),
];

/// What a call ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// EIO.
    Failed,
    /// ENOSPC.
    Full,
}

/// Where trouble comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Write,
    Sync,
}

/// Trouble that waits for its moment.
#[derive(Clone, Copy, Debug)]
pub struct Armed {
    pub trouble: Trouble,
    pub on: On,
    /// Calls that go well before.
    pub skip: u64,
    /// Calls that go wrong.
    pub times: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub cuts: u64,
    pub writes: u64,
    pub syncs: u64,
    /// Writes that were not synced at a cut, and what came of them.
    pub lost: u64,
    pub torn: u64,
    pub survived: u64,
    /// Cuts after which a file had a later write and not an earlier one.
    pub reordered: u64,
    pub eio_on_write: u64,
    pub eio_on_sync: u64,
    pub enospc: u64,
}

/// A file: what is on the medium, and what was done to it since.
#[derive(Clone, Debug, Default)]
struct Medium {
    /// None where the medium knows no such name.
    bytes: Option<Vec<u8>>,
    since: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Made,
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
    Gone,
}

impl Change {
    fn apply(&self, file: &mut Option<Vec<u8>>) {
        match self {
            Change::Made => drop(file.get_or_insert_default()),
            Change::Gone => *file = None,
            Change::Length(length) => file.get_or_insert_default().resize(*length, 0),
            Change::Write { at, bytes } => {
                let (file, end) = (file.get_or_insert_default(), at + bytes.len());
                file.resize(file.len().max(end), 0);
                file[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Change(Change),
    Sync,
    SyncNames,
}

/// What a process does from a moment on, so that it can be made to have died in the middle.
struct Tape {
    media: BTreeMap<String, Medium>,
    seen: BTreeMap<String, Option<Vec<u8>>>,
    steps: Vec<(String, Step)>,
}

/// All files as they were read at some time.
pub struct Files(BTreeMap<String, Option<Vec<u8>>>);

/// The disk of one kit.
pub struct Disk {
    home: PathBuf,
    media: BTreeMap<String, Medium>,
    tape: Option<Tape>,
    armed: Option<Armed>,
    hit: bool,
    random: Random,
    sector: usize,
    planted: Option<Planted>,
    /// Processes so far; calls of an earlier one reach nothing.
    pub life: u64,
    pub tally: Tally,
}

impl Disk {
    /// An empty disk at `home`.
    pub fn new(home: &Path, mut random: Random, planted: Option<Planted>) -> Disk {
        let sector = *random.pick(&[512, 4096]);
        let (home, media) = (home.to_owned(), BTreeMap::new());
        let (tape, armed, tally) = (None, None, Tally::default());
        Disk { home, media, tape, armed, hit: false, random, sector, planted, life: 0, tally }
    }

    // --- what a process does ---

    /// Opens a file, made if it may be.
    pub fn open(&mut self, name: &str, make: bool) -> io::Result<File> {
        let path = self.home.join(name);
        let found = File::options().read(true).write(true).open(&path);
        match found {
            Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                let file = File::options().read(true).write(true).create_new(true).open(&path)?;
                self.note(name, Change::Made);
                Ok(file)
            }
            other => other,
        }
    }

    /// Writes into a file.
    pub fn write(&mut self, name: &str, file: &File, at: usize, bytes: &[u8]) -> Result<(), Trouble> {
        self.tally.writes += 1;
        let trouble = self.trouble(On::Write);
        let done = match trouble {
            // A part of it may have found room.
            Some(_) => &bytes[..self.random.place(bytes.len())],
            None if self.planted == Some(Planted::SwallowsWrites) && self.random.chance(2) => &bytes[..0],
            None => bytes,
        };
        file.write_all_at(done, at as u64).expect("a scratch file can be written");
        if !done.is_empty() {
            self.note(name, Change::Write { at, bytes: done.to_vec() });
        }
        match trouble {
            Some(Trouble::Full) => self.tally.enospc += 1,
            Some(_) => self.tally.eio_on_write += 1,
            None => {}
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Cuts a file off, or makes it longer.
    pub fn set_length(&mut self, name: &str, file: &File, length: usize) {
        file.set_len(length as u64).expect("a scratch file can be cut");
        self.note(name, Change::Length(length));
    }

    /// Removes a file; `false` where there is none.
    pub fn remove(&mut self, name: &str) -> bool {
        let removed = fs::remove_file(self.home.join(name)).is_ok();
        if removed {
            self.note(name, Change::Gone);
        }
        removed
    }

    /// Brings a file onto the medium, its name as well.
    pub fn sync(&mut self, name: &str) -> Result<(), Trouble> {
        self.tally.syncs += 1;
        if let Some(trouble) = self.trouble(On::Sync) {
            self.tally.eio_on_sync += 1;
            if self.planted == Some(Planted::ForgetsAfterFailing) {
                self.forget(name);
            }
            return Err(trouble);
        }
        if self.planted == Some(Planted::SyncLies) {
            return Ok(());
        }
        if let Some(tape) = &mut self.tape {
            tape.steps.push((name.to_owned(), Step::Sync));
        }
        settle(self.media.entry(name.to_owned()).or_default());
        Ok(())
    }

    /// Brings the directory onto the medium: which names there are.
    pub fn sync_names(&mut self) {
        if self.planted == Some(Planted::SyncLies) {
            return;
        }
        if let Some(tape) = &mut self.tape {
            tape.steps.push((String::new(), Step::SyncNames));
        }
        self.media.values_mut().for_each(settle_name);
    }

    /// Some of it is on the medium, and nobody tries the rest again.
    fn forget(&mut self, name: &str) {
        let medium = self.media.entry(name.to_owned()).or_default();
        for change in std::mem::take(&mut medium.since) {
            if self.random.chance(500) {
                change.apply(&mut medium.bytes);
            }
        }
    }

    fn note(&mut self, name: &str, change: Change) {
        if let Some(tape) = &mut self.tape {
            tape.steps.push((name.to_owned(), Step::Change(change.clone())));
        }
        self.media.entry(name.to_owned()).or_default().since.push(change);
    }

    fn trouble(&mut self, on: On) -> Option<Trouble> {
        let armed = self.armed.as_mut().filter(|armed| armed.on == on && armed.times > 0)?;
        if armed.skip > 0 {
            armed.skip -= 1;
            return None;
        }
        armed.times -= 1;
        self.hit = true;
        Some(armed.trouble)
    }

    // --- what goes wrong ---

    /// Trouble is to come.
    pub fn arm(&mut self, armed: Armed) {
        (self.armed, self.hit) = (Some(armed), false);
    }

    /// No more trouble; says whether there was any.
    pub fn disarm(&mut self) -> bool {
        self.armed = None;
        std::mem::take(&mut self.hit)
    }

    /// From here on the process may turn out to have died.
    pub fn record(&mut self) {
        let seen = self.read_all().0;
        self.tape = Some(Tape { media: self.media.clone(), seen, steps: Vec::new() });
    }

    /// The process died at some step since `record`: what came later never happened.
    pub fn die_within(&mut self) {
        let Some(Tape { media, mut seen, mut steps }) = self.tape.take() else { return };
        let last = self.random.place(steps.len() + 1);
        let begun = steps.get(last).cloned();
        steps.truncate(last);
        if let Some((name, Step::Change(Change::Write { at, bytes }))) = begun
            && self.random.chance(500)
        {
            let bytes = bytes[..self.random.place(bytes.len())].to_vec();
            steps.push((name, Step::Change(Change::Write { at, bytes })));
        }
        // A file that was made since may never have been.
        for name in std::mem::replace(&mut self.media, media).into_keys() {
            seen.entry(name).or_default();
        }
        for (name, step) in steps {
            match step {
                Step::Sync => settle(self.media.entry(name).or_default()),
                Step::SyncNames => self.media.values_mut().for_each(settle_name),
                Step::Change(change) => {
                    change.apply(seen.entry(name.clone()).or_default());
                    self.media.entry(name).or_default().since.push(change);
                }
            }
        }
        self.write_all(&seen);
        self.end_process();
    }

    /// Whoever is running reaches nothing any more.
    pub fn end_process(&mut self) {
        (self.tape, self.armed) = (None, None);
        self.life += 1;
    }

    /// Power is gone.
    pub fn cut(&mut self) {
        self.end_process();
        self.tally.cuts += 1;
        let mut media = std::mem::take(&mut self.media);
        for medium in media.values_mut() {
            self.lose(medium);
        }
        let left = media.iter().map(|(name, medium)| (name.clone(), medium.bytes.clone())).collect();
        self.media = media;
        self.write_all(&left);
    }

    /// What was not synced is lost, or not.
    fn lose(&mut self, medium: &mut Medium) {
        let since = std::mem::take(&mut medium.since);
        let longest = since.iter().fold(0, |longest, change| match change {
            Change::Write { at, bytes } => longest.max(at + bytes.len()),
            Change::Made | Change::Length(_) | Change::Gone => longest,
        });
        // In a thousand: whole writes, and torn ones among the rest.
        let (whole, torn, end) = match self.random.below(5) {
            0 => (0, 0, 0),
            1 => (1_000, 0, since.len()),
            2 => (1_000, 0, self.random.place(since.len() + 1)),
            3 => (500, 0, since.len()),
            _ => (300, 500, since.len()),
        };
        let mut lost_before = false;
        let mut reordered = false;
        for (nth, change) in since.iter().enumerate() {
            let write = matches!(change, Change::Write { .. });
            if nth < end && self.random.chance(whole) {
                change.apply(&mut medium.bytes);
                self.tally.survived += u64::from(write);
                reordered |= lost_before && write;
            } else if (nth == end || self.random.chance(torn)) && self.tear(change, medium) {
                self.tally.torn += 1;
                reordered |= lost_before;
            } else {
                self.tally.lost += u64::from(write);
                lost_before |= write;
                if self.planted == Some(Planted::SpoilsNeighbours) {
                    self.spoil(change, medium);
                }
            }
        }
        self.tally.reordered += u64::from(reordered);
        // The length may have reached the medium where the bytes did not.
        if let Some(bytes) = medium.bytes.as_mut().filter(|bytes| bytes.len() < longest && self.random.chance(200)) {
            bytes.resize(longest, 0);
        }
    }

    /// Some sectors of a write are on the medium, and others are not; `false` where it has but one.
    fn tear(&mut self, change: &Change, medium: &mut Medium) -> bool {
        let Change::Write { at, bytes } = change else { return false };
        let (mut kept, mut lost) = (Vec::new(), 0);
        let mut from = 0;
        while from < bytes.len() {
            let to = ((at + from) / self.sector + 1) * self.sector - at;
            let to = to.min(bytes.len());
            if self.random.chance(500) {
                kept.push(Change::Write { at: at + from, bytes: bytes[from..to].to_vec() });
            } else {
                lost += 1;
            }
            from = to;
        }
        let torn = !kept.is_empty() && lost > 0;
        if torn {
            kept.iter().for_each(|part| part.apply(&mut medium.bytes));
        }
        torn
    }

    fn spoil(&self, change: &Change, medium: &mut Medium) {
        let (Change::Write { at, bytes }, Some(file)) = (change, &mut medium.bytes) else { return };
        let end = ((at + bytes.len()).div_ceil(self.sector) * self.sector).min(file.len());
        let begin = (at / self.sector * self.sector).min(end);
        file[begin..end].fill(0xa5);
    }

    // --- all files ---

    /// The files as a process reads them.
    pub fn read_all(&self) -> Files {
        let read = |name: &String| (name.clone(), fs::read(self.home.join(name)).ok());
        Files(self.media.keys().map(read).collect())
    }

    /// The files are these, and they are on the medium.
    pub fn put_back(&mut self, files: &Files) {
        self.end_process();
        let mut all: BTreeMap<String, Option<Vec<u8>>> = self.media.keys().map(|name| (name.clone(), None)).collect();
        all.extend(files.0.clone());
        self.write_all(&all);
        let medium = |(name, bytes)| (name, Medium { bytes, since: Vec::new() });
        self.media = all.into_iter().map(medium).collect();
    }

    fn write_all(&self, files: &BTreeMap<String, Option<Vec<u8>>>) {
        for (name, bytes) in files {
            let path = self.home.join(name);
            match bytes {
                // Cut off afterwards and not before: some file systems flush what replaces a file's content.
                Some(bytes) => File::options()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path)
                    .and_then(|file| file.write_all_at(bytes, 0).and_then(|()| file.set_len(bytes.len() as u64)))
                    .expect("a scratch file can be written"),
                // It may not have been there.
                None => drop(fs::remove_file(&path)),
            }
        }
    }
}

/// What was done to a file is on the medium.
fn settle(medium: &mut Medium) {
    for change in std::mem::take(&mut medium.since) {
        change.apply(&mut medium.bytes);
    }
}

/// Whether there is such a file is on the medium; what is in it need not be.
fn settle_name(medium: &mut Medium) {
    let is_name = |change: &Change| matches!(change, Change::Made | Change::Gone);
    let named = medium.since.iter().rposition(is_name).map_or(0, |last| last + 1);
    medium.since.drain(..named).filter(is_name).for_each(|change| change.apply(&mut medium.bytes));
}
