//! The journal of a simulated kit on the storage that ships: `fieldkit_sqlite::Store` over a disk that fails.
//!
//! Promises: after each end and each start the store is opened, verified (SQLite's own check of its pages among it) and
//! compared with what was promised: every op that was synced or that a start gave out, in order, and of the turn under way
//! all or nothing. What is otherwise is a violation of INV-29.
//! Absent on purpose: the black box, which writes by itself and stays a model, state and views.

use crate::disk::{Armed, Disk, Files, On, Planted, Tally, Trouble};
use crate::vfs::Shared;
use fieldkit_core::id::{Hash, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use fieldkit_sim::{Copied, End, Fault, Part, Random, Stopped, Storage, Violation};
use fieldkit_sqlite::{Batch, BlackBoxPlace, Options, Store, StoreError};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// In a thousand: commits after which the storage is looked after, and those after which the log is moved.
const LOOKED_AFTER_PER_MILLE: u64 = 100;
const CHECKPOINT_PER_MILLE: u64 = 40;
/// In a thousand ends: those before which it was looked after, so that this may be what was cut short.
const BUSY_PER_MILLE: u64 = 400;
/// In a thousand starts: those in which the process dies once more.
const DIES_STARTING_PER_MILLE: u64 = 200;

/// What must be there.
#[derive(Clone, Default)]
struct Kept {
    ops: Vec<Arc<SealedOp>>,
    branches: BTreeSet<Hash>,
    ends: BTreeMap<StreamId, Head>,
    signed: BTreeMap<StreamId, (Head, [u8; 64])>,
}

impl Kept {
    fn add(&mut self, part: &Part) {
        for op in &part.ops {
            self.ends.insert(op.op.stream, Head { seq: op.op.seq, hash: op.hash });
            self.ops.push(op.clone());
        }
        self.branches.extend(part.branches.iter().map(|op| op.hash));
        for signed in &part.heads {
            // The signed end of what is no end any more is not kept.
            if self.ends.get(&signed.stream) == Some(&signed.head) {
                self.signed.insert(signed.stream, (signed.head, signed.signature));
            }
        }
    }

    fn with(&self, part: &Part) -> Kept {
        let mut more = self.clone();
        more.add(part);
        more
    }

    /// How what was found differs.
    fn differs(&self, found: &Kept) -> Option<String> {
        let same = self.ops.iter().zip(&found.ops).take_while(|(one, other)| one.hash == other.hash).count();
        let (kept, there) = (self.ops.len(), found.ops.len());
        if same < kept || same < there {
            return Some(format!("{there} ops, of which {same} are the {kept} that there should be"));
        }
        if self.branches != found.branches {
            return Some(format!("{} ops of branches, not {}", found.branches.len(), self.branches.len()));
        }
        (self.signed != found.signed).then(|| "other signed ends".to_owned())
    }
}

/// What happened to a journal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    pub commits: u64,
    pub checkpoints: u64,
    pub starts: u64,
    pub starts_cut_short: u64,
    pub kills: u64,
    /// Commits that met a full disk and were done with the space held back.
    pub saved_by_ballast: u64,
    /// Turns under way at an end that were there afterwards, and those that were not.
    pub came_through: u64,
    pub did_not: u64,
}

/// The journal of one kit.
pub struct Journal {
    home: PathBuf,
    shared: Shared,
    store: Option<Store>,
    kept: Kept,
    /// A turn that may be there, whole.
    doubtful: Option<Part>,
    copies: Vec<(Files, Kept, Option<Part>)>,
    random: Random,
    /// Whether it failed, was told of, and is a model from then on.
    broken: bool,
    pub course: Course,
    pub violations: Vec<Violation>,
}

impl Journal {
    /// An empty one under `home`.
    pub fn new(home: &Path, seed: u64, kit: u64, planted: Option<Planted>) -> Self {
        std::fs::create_dir_all(home).expect("a scratch directory can be made");
        let home = home.canonicalize().expect("a scratch directory is there");
        let random = |stream| Random::new(seed, 100 + 2 * kit + stream);
        let shared = Shared::set_up(&home, Disk::new(&home, random(0), planted));
        Journal {
            home,
            shared,
            store: None,
            kept: Kept::default(),
            doubtful: None,
            copies: Vec::new(),
            random: random(1),
            broken: false,
            course: Course::default(),
            violations: Vec::new(),
        }
    }

    /// What its disk did.
    pub fn tally(&self) -> Tally {
        self.shared.disk().tally
    }

    /// One more power cut, and a look.
    pub fn finish(&mut self) {
        self.end(End::PowerCut, None);
        self.start();
        self.end_process();
        Shared::take_away(&self.home);
    }

    fn wrong(&mut self, what: String) {
        self.violations.push(Violation { invariant: "INV-29", what: format!("{}: {what}", self.home.display()) });
    }

    // --- the process ---

    fn open(&mut self) -> Result<Store, StoreError> {
        // A small one, so that the store makes none of 64 MiB.
        std::fs::write(self.home.join("ballast"), [0; 64]).expect("a scratch file can be written");
        let (store, report) = Store::open(&Options::new(&self.home, BlackBoxPlace::Off))?;
        // A log whose making was cut short may be set aside: nothing was promised before.
        let repaired = report.journal_fault.is_some() || !report.set_aside.is_empty() || report.rebuilt > 0;
        if repaired && !self.kept.ops.is_empty() {
            self.wrong(format!("a start had to repair: {report:?}"));
        }
        Ok(store)
    }

    /// The process ends; what it wrote stays.
    fn end_process(&mut self) {
        self.shared.disk().end_process();
        self.store = None;
    }

    /// Opens the journal, holds it to what was promised, and says what is there.
    fn look(&mut self) -> Kept {
        if self.random.chance(DIES_STARTING_PER_MILLE) {
            self.die_starting();
        }
        match self.open().map(|mut store| (read(&mut store), store)) {
            Ok((Ok(found), store)) => {
                let verdict = store.verify();
                if let Some(fault) = verdict.fault {
                    self.wrong(format!("verify finds {fault}"));
                }
                self.hold(&found);
                self.store = Some(store);
                found
            }
            Ok((Err(error), _)) | Err(error) => {
                self.wrong(format!("it cannot be read: {error}: {:?}", std::error::Error::source(&error)));
                self.broken = true;
                self.end_process();
                self.kept.clone()
            }
        }
    }

    /// A start that ends by a kill or a power cut.
    fn die_starting(&mut self) {
        self.course.starts_cut_short += 1;
        self.shared.disk().record();
        let opened = self.open().map(drop);
        let mut disk = self.shared.disk();
        disk.die_within();
        if self.random.chance(500) {
            disk.cut();
        }
        drop(disk);
        if let Err(error) = opened {
            self.wrong(format!("it does not open: {error}"));
        }
    }

    /// Compares what is there with what was promised.
    fn hold(&mut self, found: &Kept) {
        let with = self.doubtful.as_ref().map(|part| self.kept.with(part));
        if with.as_ref().is_some_and(|with| with.differs(found).is_none()) {
            return;
        }
        if let Some(what) = self.kept.differs(found) {
            let under_way = self.doubtful.as_ref().map_or(0, |part| part.ops.len());
            self.wrong(format!("it holds {what}, and {under_way} ops were under way"));
            self.broken = true;
        }
    }

    /// What can wait, as the daemon does it between turns.
    fn look_after(&mut self) -> Result<(), StoreError> {
        if self.random.chance(LOOKED_AFTER_PER_MILLE) {
            self.maintain()?;
        }
        if self.random.chance(CHECKPOINT_PER_MILLE) { self.checkpoint() } else { Ok(()) }
    }

    fn maintain(&mut self) -> Result<(), StoreError> {
        self.store.as_mut().map_or(Ok(()), |store| store.maintain().map(drop))
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.course.checkpoints += 1;
        self.store.as_mut().map_or(Ok(()), Store::checkpoint)
    }

    fn arm(&mut self, fault: Fault) {
        let times = if self.random.chance(500) { 1 } else { u64::MAX };
        let sync = fault == Fault::SyncFails && self.random.chance(600);
        let (trouble, on, skip) = match (fault, sync) {
            (Fault::DiskFull, _) => (Trouble::Full, On::Write, self.random.below(6)),
            (_, true) => (Trouble::Failed, On::Sync, 0),
            (_, false) => (Trouble::Failed, On::Write, self.random.below(6)),
        };
        self.shared.disk().arm(Armed { trouble, on, skip, times });
    }

    fn try_to_commit(&mut self, part: &Part) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let owned = |ops: &[Arc<SealedOp>]| ops.iter().map(|op| SealedOp::clone(op)).collect::<Vec<_>>();
        let signed = |head: &fieldkit_sim::SignedHead| fieldkit_sqlite::SignedHead {
            stream: head.stream,
            head: head.head,
            signature: head.signature,
        };
        let (ops, branches) = (owned(&part.ops), owned(&part.branches));
        let heads: Vec<_> = part.heads.iter().map(signed).collect();
        store.commit(Batch { ops: &ops, heads: &heads, branches: &branches }).map(drop)
    }

    /// The process ends at some step of what it was doing: a turn perhaps, or what can wait.
    fn die_at_work(&mut self, under_way: Option<&Part>) {
        self.shared.disk().record();
        let mut done = Ok(());
        if let Some(part) = under_way {
            self.doubtful = Some(part.clone());
            done = self.try_to_commit(part);
        }
        if self.random.chance(BUSY_PER_MILLE) {
            done = done.and_then(|()| if self.random.chance(300) { self.maintain() } else { self.checkpoint() });
        }
        if let Err(error) = done {
            self.wrong(format!("without any fault: {error}"));
        }
        self.shared.disk().die_within();
        self.store = None;
    }
}

impl Storage for Journal {
    fn commit(&mut self, part: &Part, fails: Option<Fault>) -> Result<(), Stopped> {
        if self.broken {
            self.kept.add(part);
            return Ok(());
        }
        if let Some(fault) = fails {
            self.arm(fault);
        }
        self.course.commits += 1;
        let committed = self.try_to_commit(part);
        let done = match &committed {
            Ok(()) => {
                self.kept.add(part);
                self.look_after()
            }
            Err(_) => committed,
        };
        let hit = self.shared.disk().disarm();
        match done {
            Ok(()) => {
                self.course.saved_by_ballast += u64::from(hit);
                Ok(())
            }
            Err(error) => {
                if !hit {
                    self.wrong(format!("without any fault: {error}"));
                }
                self.doubtful = Some(part.clone());
                Err(Stopped)
            }
        }
    }

    fn end(&mut self, how: End, under_way: Option<&Part>) -> Part {
        if self.broken {
            return part(&self.kept);
        }
        match how {
            End::Killed | End::PowerCut if self.store.is_some() => self.die_at_work(under_way),
            End::Killed | End::PowerCut | End::Failed => self.end_process(),
        }
        self.course.kills += u64::from(how == End::Killed);
        if how == End::PowerCut {
            self.shared.disk().cut();
        }
        let found = self.look();
        if self.doubtful.is_some() {
            let came_through = found.ops.len() > self.kept.ops.len();
            *(if came_through { &mut self.course.came_through } else { &mut self.course.did_not }) += 1;
        }
        if !self.broken {
            self.end_process();
        }
        part(&found)
    }

    fn start(&mut self) -> Part {
        if self.broken {
            return part(&self.kept);
        }
        self.end_process();
        self.course.starts += 1;
        let found = self.look();
        if !self.broken {
            (self.kept, self.doubtful) = (found, None);
        }
        part(&self.kept)
    }

    fn copy(&mut self) -> Copied {
        let files = self.shared.disk().read_all();
        self.copies.push((files, self.kept.clone(), self.doubtful.clone()));
        Copied(self.copies.len() - 1)
    }

    fn put_back(&mut self, copied: Copied) {
        self.end_process();
        let (files, kept, doubtful) = &self.copies[copied.0];
        self.shared.disk().put_back(files);
        (self.kept, self.doubtful) = (kept.clone(), doubtful.clone());
    }
}

fn read(store: &mut Store) -> Result<Kept, StoreError> {
    let mut found = Kept::default();
    store.replay::<StoreError>(0, &mut |_, op| {
        found.ends.insert(op.op.stream, Head { seq: op.op.seq, hash: op.hash });
        found.ops.push(Arc::new(op));
        Ok(())
    })?;
    found.branches = store.branches()?.into_iter().map(|(_, op)| op.hash).collect();
    let signed = store.signed_heads()?.into_iter();
    found.signed = signed.map(|signed| (signed.stream, (signed.head, signed.signature))).collect();
    Ok(found)
}

/// What a kit is told to have. Kits with branches have no such journal.
fn part(kept: &Kept) -> Part {
    let head = |(stream, (head, signature)): (&StreamId, &(Head, [u8; 64]))| fieldkit_sim::SignedHead {
        stream: *stream,
        head: *head,
        signature: *signature,
    };
    Part { ops: kept.ops.clone(), branches: Vec::new(), heads: kept.signed.iter().map(head).collect() }
}

/// A journal that the world and the test both hold.
#[derive(Clone)]
pub struct Handle(pub Rc<RefCell<Journal>>);

impl Storage for Handle {
    fn commit(&mut self, part: &Part, fails: Option<Fault>) -> Result<(), Stopped> {
        self.0.borrow_mut().commit(part, fails)
    }

    fn end(&mut self, how: End, under_way: Option<&Part>) -> Part {
        self.0.borrow_mut().end(how, under_way)
    }

    fn start(&mut self) -> Part {
        self.0.borrow_mut().start()
    }

    fn copy(&mut self) -> Copied {
        self.0.borrow_mut().copy()
    }

    fn put_back(&mut self, copied: Copied) {
        self.0.borrow_mut().put_back(copied);
    }
}
