//! The store: one group commit at a time, into the journal and the black box together.
//!
//! Promises: `commit` returns when the journal is on the disk and the box has it too, or has been given up on, loudly,
//! after at most `BOX_WAIT`; an op known already changes nothing; no stored op is ever changed. After any error of
//! `commit` the ledger in memory is ahead of the disk and the process must end. An op that reached only the box is not
//! taken back: nobody was told of it, and the next start adopts it.
//! Absent on purpose: what ops mean, and what to tell the till.

use crate::black_box;
use crate::box_place::{self, BoxAbsence};
use crate::branches::{Placed, Position};
use crate::error::StoreError;
use crate::failpoint;
use crate::journal::{BoxMark, Journal};
use crate::keeper::Keeper;
use crate::place::{self, Options, Place};
use crate::segment::Sealer;
use crate::space::{Ballast, Level, Space};
use crate::start::{self, Boxed};
use crate::verify::{self, Verdict};
use fieldkit_core::body::StreamOpened;
use fieldkit_core::id::{Hash, OpId, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a reply waits for the box.
pub const BOX_WAIT: Duration = Duration::from_millis(250);
/// How long safe mode waits for the box, which is all it has.
const BOX_WAIT_ALONE: Duration = Duration::from_secs(30);
/// How often a failed box is tried again.
const BOX_RETRY: Duration = Duration::from_secs(5);
/// Time that a start spends on filling a box up before it goes on beside the sales.
const REFILL_AT_START: Duration = Duration::from_millis(300);
/// Ops and bytes of one refill step.
const REFILL_OPS: usize = 256;
const REFILL_BYTES: usize = 256 << 10;
/// Bytes of ops in one record of the box.
const RECORD_BYTES: usize = 4 << 20;

/// The end of a stream, signed by its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// The stream.
    pub stream: StreamId,
    /// Its end.
    pub head: Head,
    /// Ed25519 of the replica over both.
    pub signature: [u8; 64],
}

/// What one group commit writes.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Ops, causes first.
    pub ops: &'a [SealedOp],
    /// The new ends of their streams.
    pub heads: &'a [SignedHead],
    /// Ops of other branches of forked streams, causes first; those among `ops` come before them.
    pub branches: &'a [SealedOp],
}

/// How many devices hold what was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// One device, whether or not a box lies on it too.
    OnThisKit,
    /// The journal's and the box's.
    OnTwoDevices,
}

/// How the box stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxState {
    /// There is none.
    Off,
    /// It holds everything.
    Whole,
    /// It lacks ops; `maintain` fills it up when it can.
    Behind,
}

/// A finished commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Where the ops are.
    pub copies: Copies,
    /// How the box stands.
    pub box_state: BoxState,
    /// The journal's newest row.
    pub row: u64,
}

/// What `maintain` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Whether there is more to do now; if not, call again after a commit or in a while.
    pub more: bool,
    /// How the box stands.
    pub box_state: BoxState,
}

/// What a start found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartReport {
    /// Ops in the journal.
    pub ops: u64,
    /// Ops that the journal took over from the box.
    pub adopted: u64,
    /// Ops that the box got from the journal before the store opened.
    pub refilled: u64,
    /// Ops that a damaged journal was rebuilt with.
    pub rebuilt: u64,
    /// What was wrong with the journal.
    pub journal_fault: Option<String>,
    /// What is wrong with the box.
    pub box_fault: Option<String>,
    /// A box that was known and is not where it should be.
    pub box_absence: Option<BoxAbsence>,
    /// Damaged files, under the names they have now.
    pub set_aside: Vec<PathBuf>,
    /// Whether the disk is too full to take over what the box holds: everything can be read, nothing sold.
    pub full: bool,
}

/// The journal and its black box, open.
pub struct Store {
    options: Options,
    place: Place,
    journal: Journal,
    link: Link,
    ballast: Ballast,
    sealer: Sealer,
    mode: Mode,
}

/// What a store can do.
enum Mode {
    /// Everything.
    Whole,
    /// Read: there was no room to bring the journal up to the box.
    Full,
    /// Safe mode: the box alone is durable.
    Alone,
    /// Safe mode with a box that takes nothing, and why.
    AloneReading(String),
}

impl Store {
    /// Takes the directory, brings journal and box together, and is ready.
    pub fn open(options: &Options) -> Result<(Store, StartReport), StoreError> {
        let started = start::start(options)?;
        let mut report = started.report;
        let wanted = options.box_path(&started.place.path).is_some();
        let mut link = Link::new(&started.place, wanted);
        link.awaited = matches!(report.box_absence, Some(BoxAbsence::NotThere(_)));
        if let Some(boxed) = started.black_box {
            link.attach(boxed, started.journal.last_row)?;
        }
        failpoint::hit("start.before_refill");
        if link.keeper.is_some() {
            report.refilled = link.refill_for(&started.journal, REFILL_AT_START)?;
        }
        failpoint::hit("start.after_refill");
        if link.state == BoxState::Behind && !report.full {
            link.raise_marker();
        } else if link.state == BoxState::Whole {
            link.lower_marker()?;
        }
        let ballast = Ballast::at(started.place.join(place::BALLAST));
        ballast.restore();
        let mode = if report.full { Mode::Full } else { Mode::Whole };
        let sealer = Sealer::start(&started.journal, started.place.join(place::SEGMENTS))?;
        failpoint::hit("start.before_ready");
        let (options, place, journal) = (options.clone(), started.place, started.journal);
        Ok((Store { options, place, journal, link, ballast, sealer, mode }, report))
    }

    /// Safe mode: opens the box alone. Ops come from it, into memory, and go to it; the journal is only read, for ops of
    /// a last unacknowledged commit that never reached the box, as far as it can be read.
    ///
    /// A box that was behind can be read but takes nothing: an op appended to it could contradict the journal. Where
    /// the journal cannot be read at all, sell in a fresh stream (a new replica): then nothing can contradict.
    pub fn open_black_box_only(options: &Options) -> Result<(Store, StartReport), StoreError> {
        let place = Place::take(&options.data)?;
        let box_absence = box_place::absence(options, &place);
        let mut report = StartReport { box_absence, ..StartReport::default() };
        let Some(mut file) = start::open_box(options, &place, &mut report) else {
            let reason = report.box_fault.unwrap_or_else(|| "there is none".into());
            return Err(StoreError::BoxNotWhole { reason });
        };
        let mut journal = Journal::in_memory()?;
        let walked = start::adopt(&mut journal, &file, file.first())?;
        let mut reason = walked.unsigned;
        if walked.beyond {
            reason.get_or_insert_with(|| "a record in its middle is damaged".into());
        }
        if place.join(place::BEHIND).exists() {
            reason.get_or_insert_with(|| "it lacks sales that only the journal has".into());
        }
        report.box_fault = walked.bad.map(|bad| format!("record {} at byte {}: {}", bad.number, bad.offset, bad.why));
        (report.ops, report.adopted) = (journal.last_row, walked.adopted);
        let mut link = Link::new(&place, true);
        if reason.is_none() {
            if report.box_fault.is_some() {
                file.cut(walked.end)?;
            }
            file.end = walked.end;
            let row = journal.last_row;
            let mut tail = Vec::new();
            start::salvage(&place.join(place::JOURNAL), &mut |op| {
                if op.follows(&journal.head(&op.op.stream)) {
                    tail.clear();
                    tail.push(op);
                    let plan = journal.plan(&tail, &[], &[])?;
                    journal.append(&plan)?;
                }
                Ok(())
            })?;
            link.attach(Boxed { file, row, covered: BTreeMap::new() }, journal.last_row)?;
            report.refilled = link.refill_for(&journal, BOX_WAIT_ALONE)?;
        }
        let ballast = Ballast::at(place.join(place::BALLAST));
        let sealer = Sealer::idle(place.join(place::SEGMENTS));
        let mode = reason.map_or(Mode::Alone, Mode::AloneReading);
        let options = options.clone();
        Ok((Store { options, place, journal, link, ballast, sealer, mode }, report))
    }

    /// Writes a batch and returns when it is durable. Any error means that the process must end.
    pub fn commit(&mut self, batch: Batch<'_>) -> Result<Commit, StoreError> {
        match &self.mode {
            Mode::Whole | Mode::Alone => {}
            Mode::Full => return Err(StoreError::NoSpace { path: self.journal.path().to_owned() }),
            Mode::AloneReading(reason) => return Err(StoreError::BoxNotWhole { reason: reason.clone() }),
        }
        let plan = self.journal.plan(batch.ops, batch.branches, batch.heads)?;
        let row = self.journal.last_row + plan.ops.len() as u64;
        self.link.hand(&plan.ops, &plan.signed, row);
        match self.journal.append(&plan) {
            // The space held back is for exactly this: sales that were begun.
            Err(StoreError::NoSpace { .. }) if self.ballast.release() => self.journal.append(&plan)?,
            other => other?,
        }
        match self.mode {
            Mode::Alone | Mode::AloneReading(_) => self.link.settle_alone(row)?,
            Mode::Whole | Mode::Full => self.link.settle(row),
        }
        Ok(Commit { copies: self.link.copies(), box_state: self.link.state, row })
    }

    /// Whether a batch can be committed at all.
    pub fn takes_ops(&self) -> bool {
        matches!(self.mode, Mode::Whole | Mode::Alone)
    }

    /// One op by its dot.
    pub fn op(&mut self, id: OpId) -> Result<Option<SealedOp>, StoreError> {
        self.journal.op(&id)
    }

    /// Gives out every op after a row, in append order (causes first), one at a time.
    pub fn replay<E: From<StoreError>>(
        &mut self,
        after_row: u64,
        each: &mut dyn FnMut(u64, SealedOp) -> Result<(), E>,
    ) -> Result<(), E> {
        self.journal.rows(after_row, &mut |row, op| each(row, op).map(|()| true))
    }

    /// The journal's newest row; rows are dense from 1.
    pub fn last_row(&self) -> u64 {
        self.journal.last_row
    }

    /// The hash of the op in a row, `None` where there is none.
    pub fn row_hash(&self, row: u64) -> Result<Option<Hash>, StoreError> {
        self.journal.hash_in_row(row)
    }

    /// The end of every stream.
    pub fn heads(&self) -> BTreeMap<StreamId, Head> {
        self.journal.streams.iter().map(|(stream, row)| (*stream, row.head)).collect()
    }

    /// Ops of other branches of forked streams and where they stand, causes first.
    pub fn branches(&self) -> Result<Vec<(Position, SealedOp)>, StoreError> {
        self.journal.branches()
    }

    /// Whether a stream has branches.
    pub fn is_parted(&self, stream: &StreamId) -> bool {
        self.journal.parted.contains(stream)
    }

    /// Whether any stream has.
    pub fn has_branches(&self) -> bool {
        !self.journal.parted.is_empty()
    }

    /// What stands for a row where ops are ordered: with branches, rows leave room for the ops behind them.
    pub fn place_of_row(&self, row: u64) -> u64 {
        if self.has_branches() { Position::of_row(row).0 } else { row }
    }

    /// Hashes of the ops at a place, one for each branch.
    pub fn hashes(&self, id: OpId) -> Result<Vec<Hash>, StoreError> {
        self.journal.hashes(id)
    }

    /// The ops at a place, one for each branch, as bytes.
    pub fn placed(&self, id: OpId) -> Result<Vec<Placed>, StoreError> {
        self.journal.placed(id)
    }

    /// The row of an op that stands in one.
    pub fn row_at(&self, id: OpId) -> Result<Option<u64>, StoreError> {
        self.journal.row_at(id)
    }

    /// The key that a stream is bound to by the op that opens it.
    pub fn opened_by(&self, stream: StreamId) -> Result<Option<StreamOpened>, StoreError> {
        let first = self.journal.op(&OpId { stream, seq: 1 })?;
        Ok(first.and_then(|op| crate::journal::opening(&op)))
    }

    /// The signed ends of streams, then those of branches.
    pub fn signed_ends(&self) -> Result<Vec<SignedHead>, StoreError> {
        let mut ends = self.journal.signed_heads()?;
        ends.extend(self.journal.branch_heads()?);
        Ok(ends)
    }

    /// The signed ends of streams.
    pub fn signed_heads(&self) -> Result<Vec<SignedHead>, StoreError> {
        self.journal.signed_heads()
    }

    /// How the box stands.
    pub fn box_state(&self) -> BoxState {
        self.link.state
    }

    /// Whether the box lies on another device than the journal.
    pub fn box_on_own_medium(&self) -> bool {
        self.link.keeper.as_ref().is_some_and(|keeper| keeper.device != self.link.journal_device)
    }

    /// The name of a box on another device than the journal that holds all there is.
    pub fn box_witness(&self) -> Option<[u8; 16]> {
        let whole = self.link.keeper.as_ref().filter(|_| self.link.copies() == Copies::OnTwoDevices);
        whole.map(|keeper| keeper.id)
    }

    /// Why the box takes nothing, where it does not.
    pub fn box_fault(&self) -> Option<String> {
        self.link.keeper.as_ref().and_then(|keeper| keeper.progress().failed)
    }

    /// The data directory, as it was found.
    pub fn directory(&self) -> &Path {
        &self.place.path
    }

    /// One short step of what can wait: the box's gaps, a checkpoint, a segment. Call when idle and after commits.
    pub fn maintain(&mut self) -> Result<Maintenance, StoreError> {
        if self.is_alone() {
            return Ok(Maintenance { more: false, box_state: self.link.state });
        }
        if self.link.looks_for_it() {
            self.take_back()?;
        }
        let mut more = self.link.maintain(&self.journal)?;
        // Worth it for a kit that stays open, not for one command: so it is done here and not at the start. Where space
        // is short, it belongs to sales.
        if self.space()?.level == Level::Ok {
            self.journal.grow_wal()?;
        }
        if self.journal.wants_checkpoint()? {
            match self.checkpoint() {
                // The log holds everything and goes on growing while there is room; the space report says the rest.
                Err(StoreError::NoSpace { path }) => {
                    tracing::error!(path = %path.display(), "no space for a checkpoint");
                }
                other => other?,
            }
        } else {
            more |= self.sealer.step(&self.journal)?;
        }
        Ok(Maintenance { more, box_state: self.link.state })
    }

    /// Takes a box that was missing at the start, once it is there and can go on where it ended.
    fn take_back(&mut self) -> Result<(), StoreError> {
        if box_place::absence(&self.options, &self.place).is_some() {
            return Ok(());
        }
        match start::returned(&self.journal, &self.options, &self.place) {
            Ok(Some(boxed)) => {
                tracing::info!(path = %boxed.file.path().display(), "the black box is back");
                self.link.attach(boxed, self.journal.last_row)?;
                if self.link.state == BoxState::Whole {
                    self.link.lower_marker()?;
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("the black box is not taken back: {error}"),
        }
        Ok(())
    }

    /// Folds the log into the journal file now.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.journal.checkpoint(self.link.mark().as_ref())
    }

    /// How much room there is.
    pub fn space(&self) -> Result<Space, StoreError> {
        let mut space = Space::look(&self.place.path, &self.ballast, self.journal.last_row)?;
        if matches!(self.mode, Mode::Full) {
            space.level = Level::Critical;
        }
        Ok(space)
    }

    fn is_alone(&self) -> bool {
        match self.mode {
            Mode::Alone | Mode::AloneReading(_) => true,
            Mode::Whole | Mode::Full => false,
        }
    }

    /// Gives the space held back to the journal; `false` where none was held.
    pub fn release_ballast(&mut self) -> bool {
        self.ballast.release()
    }

    /// Holds space back again, where there is room.
    pub fn restore_ballast(&mut self) -> bool {
        self.ballast.restore()
    }

    /// Verifies everything that is stored; see `verify`.
    ///
    /// It takes seconds where there are many ops: call it when nobody waits, or verify a copy.
    pub fn verify(&self) -> Verdict {
        verify::verify_open(self.journal.connection(), &self.place.path)
    }

    /// Checkpoints, syncs the box, gives the directory back.
    pub fn close(mut self) -> Result<(), StoreError> {
        if self.is_alone() {
            self.link.close();
            return Ok(());
        }
        if let (BoxState::Whole, Some(keeper)) = (self.link.state, &self.link.keeper) {
            keeper.wait(self.journal.last_row, BOX_WAIT);
        }
        let mark = self.link.mark();
        self.link.close();
        self.journal.close(mark.as_ref())
    }
}

/// The writer's side of the box.
struct Link {
    keeper: Option<Keeper>,
    state: BoxState,
    /// Ops that a box being filled up holds already.
    covered: BTreeMap<StreamId, u64>,
    marker: PathBuf,
    journal_device: u64,
    tried: Instant,
    /// Whether the box was missing at the start and may come back.
    awaited: bool,
}

impl Link {
    fn new(place: &Place, wanted: bool) -> Link {
        let state = if wanted { BoxState::Behind } else { BoxState::Off };
        let marker = place.join(place::BEHIND);
        let tried = Instant::now();
        let journal_device = place.device;
        Link { keeper: None, state, covered: BTreeMap::new(), marker, journal_device, tried, awaited: false }
    }

    /// Whether it is time to look for a box that was missing at the start.
    fn looks_for_it(&mut self) -> bool {
        let due = self.awaited && self.tried.elapsed() >= BOX_RETRY;
        if due {
            self.tried = Instant::now();
        }
        due
    }

    fn attach(&mut self, boxed: Boxed, last_row: u64) -> Result<(), StoreError> {
        self.awaited = false;
        self.state = if boxed.row == last_row { BoxState::Whole } else { BoxState::Behind };
        self.covered = boxed.covered;
        self.keeper = Some(Keeper::start(boxed.file, boxed.row)?);
        Ok(())
    }

    fn copies(&self) -> Copies {
        match (&self.keeper, self.state) {
            (Some(keeper), BoxState::Whole) if keeper.device != self.journal_device => Copies::OnTwoDevices,
            _ => Copies::OnThisKit,
        }
    }

    /// Hands a batch to the box, before the journal's transaction begins.
    fn hand(&mut self, ops: &[&SealedOp], heads: &[SignedHead], row: u64) {
        if self.state != BoxState::Whole || (ops.is_empty() && heads.is_empty()) {
            return;
        }
        let Some(keeper) = &mut self.keeper else { return };
        let first = row - ops.len() as u64;
        let mut from = 0;
        let mut bytes = 0;
        for (at, op) in ops.iter().enumerate() {
            if bytes > 0 && bytes + op.bytes.len() > RECORD_BYTES {
                let payload = black_box::encode(ops[from..at].iter().copied(), &[]);
                if !keeper.hand(payload, first + at as u64) {
                    return;
                }
                (from, bytes) = (at, 0);
            }
            bytes += op.bytes.len();
        }
        keeper.hand(black_box::encode(ops[from..].iter().copied(), heads), row);
    }

    /// Waits for the box after the journal's commit.
    fn settle(&mut self, row: u64) {
        if self.state != BoxState::Whole {
            return;
        }
        let held = self.keeper.as_ref().is_some_and(|keeper| keeper.handed >= row && keeper.wait(row, BOX_WAIT));
        if !held {
            tracing::error!(row, "the black box is behind; this sale is on this kit only");
            self.state = BoxState::Behind;
            self.raise_marker();
        }
    }

    /// In safe mode the box is all there is.
    fn settle_alone(&mut self, row: u64) -> Result<(), StoreError> {
        let held = self.keeper.as_ref().is_some_and(|keeper| keeper.handed >= row && keeper.wait(row, BOX_WAIT_ALONE));
        let why = || self.keeper.as_ref().and_then(|keeper| keeper.progress().failed);
        if held {
            Ok(())
        } else {
            Err(StoreError::BoxNotWhole { reason: why().unwrap_or("it does not answer".into()) })
        }
    }

    /// Writes down, durably, that the box lacks ops. Without room for it the sale goes on, and the log says so.
    fn raise_marker(&self) {
        if self.marker.exists() {
            return;
        }
        failpoint::hit("box.before_marker");
        let raised = std::fs::File::create(&self.marker)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("write", &self.marker))
            .and_then(|()| place::sync_directory(self.marker.parent().unwrap_or(Path::new("/"))));
        if let Err(error) = raised {
            tracing::error!("{error}; safe mode would take the black box for whole");
        }
        failpoint::hit("box.after_marker");
    }

    fn lower_marker(&self) -> Result<(), StoreError> {
        failpoint::hit("box.before_marker_removed");
        match std::fs::remove_file(&self.marker) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &self.marker)(error))
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.close();
        }
    }

    /// Where the box is whole up to; for the journal to remember.
    fn mark(&self) -> Option<BoxMark> {
        let keeper = self.keeper.as_ref()?;
        let progress = keeper.progress();
        // While a box is being filled up behind ops it holds already, its end says nothing about rows.
        let plain = self.covered.is_empty() || self.state == BoxState::Whole;
        let end = progress.end;
        plain.then_some(BoxMark { id: keeper.id, end: end.offset, number: end.number, sum: end.sum, row: progress.row })
    }

    /// One step towards a whole box; says whether there is another to do at once.
    fn maintain(&mut self, journal: &Journal) -> Result<bool, StoreError> {
        let Some(keeper) = &mut self.keeper else { return Ok(false) };
        if self.state != BoxState::Behind {
            return Ok(false);
        }
        let progress = keeper.progress();
        if progress.failed.is_some() {
            if self.tried.elapsed() >= BOX_RETRY {
                self.tried = Instant::now();
                keeper.reopen();
            }
            return Ok(false);
        }
        if progress.row >= journal.last_row {
            self.covered.clear();
            self.state = BoxState::Whole;
            self.lower_marker()?;
            tracing::info!(row = progress.row, "the black box has caught up");
            return Ok(false);
        }
        if keeper.handed < journal.last_row {
            self.refill_step(journal)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Hands the box the next rows that it lacks; returns how many ops.
    fn refill_step(&mut self, journal: &Journal) -> Result<u64, StoreError> {
        let Some(keeper) = &mut self.keeper else { return Ok(0) };
        let (mut ops, mut bytes, mut last) = (Vec::new(), 0, keeper.handed);
        journal.rows::<StoreError>(keeper.handed, &mut |row, op| {
            last = row;
            if self.covered.get(&op.op.stream).is_none_or(|seq| *seq < op.op.seq) {
                bytes += op.bytes.len();
                ops.push(op);
            }
            Ok(ops.len() < REFILL_OPS && bytes < REFILL_BYTES)
        })?;
        let mut heads = journal.signed_heads()?;
        heads.retain(|signed| {
            let newest = ops.iter().rev().find(|op| op.op.stream == signed.stream);
            newest.is_some_and(|op| op.op.seq == signed.head.seq)
        });
        let count = ops.len() as u64;
        if ops.is_empty() {
            // Only ops that the box has: the row moves on with an empty record, which says nothing.
            keeper.hand(black_box::encode([].into_iter(), &[]), last);
        } else {
            keeper.hand(black_box::encode(ops.iter(), &heads), last);
        }
        Ok(count)
    }

    /// Fills the box up for a while.
    fn refill_for(&mut self, journal: &Journal, at_most: Duration) -> Result<u64, StoreError> {
        let begun = Instant::now();
        let mut refilled = 0;
        while self.state == BoxState::Behind && begun.elapsed() < at_most {
            let handed = self.keeper.as_ref().map_or(0, |keeper| keeper.handed);
            if handed < journal.last_row {
                refilled += self.refill_step(journal)?;
            }
            let Some(keeper) = &self.keeper else { break };
            if !keeper.wait(keeper.handed, at_most.saturating_sub(begun.elapsed())) {
                break;
            }
            if keeper.handed >= journal.last_row {
                self.covered.clear();
                self.state = BoxState::Whole;
            }
        }
        Ok(refilled)
    }
}

#[cfg(test)]
mod tests;
