//! A kit: the shipped engine over a simulated disk, and how it starts again.
//!
//! Promises: a start does what the storage's start does — journal and box adopt each other's tails, the state is used
//! where it belongs to this journal, else everything is folded anew; what is in memory dies with the process.
//! Absent on purpose: time, lines and people (`world`).

use crate::disk::{Device, SignedHead, State};
use crate::genesis::{self, Genesis};
use crate::planted::Planted;
use crate::random::Random;
use crate::storage::{Copied, End, Part, Stopped, Storage};
use crate::swarm::Fault;
use ed25519_dalek::SigningKey;
use fieldkit_core::body::RollbackNoticed;
use fieldkit_core::id::{Hash, OpId, ReplicaKey, StreamId};
use fieldkit_core::ledger::Ledger;
use fieldkit_core::op::{Key, SealedOp};
use fieldkit_core::order::Order;
use fieldkit_core::snapshot;
use fieldkit_core::stamp::ClockQuality;
use fieldkit_core::witness::{Sighting, Verdict};
use fieldkit_engine::{Engine, Input, Link, Load, Policy, Projection, Succession, Ticket, Turn};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Ops folded between two writes of the state at a start.
const FOLD_OPS: usize = 256;

/// A disk as it was at some time.
#[derive(Clone)]
pub struct Image {
    pub journal: Device,
    black_box: Device,
    state: State,
    copied: Option<Copied>,
    nth: u8,
    succession: Option<Succession>,
    /// Entries of the terminal's journal then.
    pub entries: usize,
}

/// An exchange that brought something: its link, the link's epoch, and which end.
pub type Taken = (usize, u64, usize);

/// A turn on its way to the disk.
#[derive(Clone, Copy, Debug)]
pub struct OnItsWay {
    /// Where it ends in the journal.
    pub end: usize,
    /// Where it ends in the box, if the box takes it.
    pub box_end: Option<usize>,
}

/// Rows on their way to the state, with a snapshot of the ledger perhaps.
pub struct Rows {
    /// The rows.
    pub projection: Projection,
    /// Ops of the journal, the hash of the last, and the ledger's bytes.
    pub snapshot: Option<(usize, Hash, Vec<u8>)>,
}

/// What a start found and did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Started {
    /// Ops that the journal took over from the box.
    pub adopted: usize,
    /// Ops that the box got from the journal.
    pub refilled: usize,
    /// Whether a snapshot was used.
    pub from_snapshot: bool,
    /// An op that journal and box have differently.
    pub contradiction: Option<OpId>,
}

/// A kit.
pub struct Kit {
    /// Which.
    pub number: usize,
    /// Which copy of it, where it was copied.
    pub copy: u64,
    /// Which of its keys it has.
    pub nth: u8,
    /// What that key goes on with, as its file has it.
    pub succession: Option<Succession>,
    /// The brain; none while the process is down.
    pub engine: Option<Engine>,
    /// Processes so far: what was meant for one that died reaches no other.
    pub life: u32,
    /// The journal.
    pub journal: Device,
    /// What keeps the journal, where it is not the model.
    storage: Option<Box<dyn Storage>>,
    /// Turns that it was not given yet.
    parts: VecDeque<Part>,
    /// The black box.
    pub black_box: Device,
    /// Whether the box takes nothing until the next start.
    pub box_behind: bool,
    /// The state, and an older one that a power cut may leave.
    pub state: State,
    older: State,
    /// A copy of the disk that somebody made.
    pub image: Option<Image>,
    /// Turns on their way to the disk.
    pub on_disk: VecDeque<OnItsWay>,
    /// When journal, box, store and state have done what they were given.
    pub free_ms: [u64; 4],
    /// Rows on their way.
    pub rows: VecDeque<Rows>,
    /// Where the last snapshot was taken.
    pub snapshot_row: usize,
    /// Its terminal.
    pub device: Option<OpId>,
    /// Whether commands came since the last turn was closed, and whether its end is due.
    pub open: bool,
    /// See `open`.
    pub close_due: bool,
    /// The link to the terminal, as the crew sees it.
    pub link: Link,
    /// When the engine is told that time has passed.
    pub tick_ms: Option<u64>,
    /// How far the wall clock is from the truth.
    pub wall_offset_ms: i64,
    /// Whether a time service set it in this life.
    pub confirmed: bool,
    /// The terminal's journal at the time when a payment was intended.
    pub intended: BTreeMap<OpId, usize>,
    /// Tickets so far, and who waits for which.
    pub tickets: u64,
    /// Commands under way: whose, and under which key.
    pub asked: BTreeMap<Ticket, (usize, Key)>,
    /// Lookups that are not answered yet.
    pub loading: usize,
    /// When it was told of the time last, and how often in a row without time passing.
    pub spins: (u64, u32),
    /// How it shares limited goods out, where it has others beside it; then it is guarded, too.
    pub policy: Option<Policy>,
    /// Whether the black box lies on a medium of its own.
    pub box_apart: bool,
    /// Whether it is gone for good.
    pub gone: bool,
    /// Exchanges that wait until what they brought is durable: of the open turn, and of each turn on its way.
    pub taken: Vec<Taken>,
    /// Ops that came in with the open turn, by hash.
    pub coming: BTreeSet<Hash>,
    /// See `taken`.
    pub storing: VecDeque<Vec<Taken>>,
    /// Whether the ends of its streams are to be signed soon.
    pub sign_due: bool,
    /// Whether it was put back by somebody who says so at its next start.
    pub restored: bool,
    /// Whether limited goods sold when it went down.
    pub was_open: bool,
    /// When it went on as a new replica.
    pub followed_ms: Option<u64>,
    /// Ops when it last reported something of its own, and how often it did since.
    pub reports: (usize, u32),
}

impl Kit {
    /// A kit with what all begin with.
    pub fn new(number: usize, genesis: &Genesis) -> Self {
        let mut journal = Device::default();
        journal.write(&genesis.ops, &[]);
        if let Some((_, admission)) = genesis.newcomer.as_ref().filter(|(kit, _)| *kit == number) {
            journal.write(admission, &[]);
        }
        journal.sync_all();
        let mut kit = Kit {
            number,
            copy: 0,
            nth: 0,
            succession: None,
            engine: None,
            life: 0,
            black_box: journal.clone(),
            journal,
            storage: None,
            parts: VecDeque::new(),
            box_behind: false,
            state: State::default(),
            older: State::default(),
            image: None,
            on_disk: VecDeque::new(),
            free_ms: [0; 4],
            rows: VecDeque::new(),
            snapshot_row: 0,
            device: None,
            open: false,
            close_due: false,
            link: Link::Down,
            tick_ms: None,
            wall_offset_ms: 0,
            confirmed: false,
            intended: BTreeMap::new(),
            tickets: 0,
            asked: BTreeMap::new(),
            loading: 0,
            policy: None,
            box_apart: false,
            gone: false,
            taken: Vec::new(),
            coming: BTreeSet::new(),
            storing: VecDeque::new(),
            sign_due: false,
            restored: false,
            was_open: false,
            followed_ms: None,
            spins: (0, 0),
            reports: (0, 0),
        };
        kit.start(None);
        kit
    }

    /// Keeps the journal on a storage that is new, from now on.
    pub fn keep_on(&mut self, mut storage: Box<dyn Storage>) {
        storage.start();
        if storage.commit(&self.journal.behind((0, 0, 0)), None).is_ok() {
            self.storage = Some(storage);
        }
    }

    /// The key that it has now.
    pub fn key(&self) -> SigningKey {
        genesis::key(self.number, self.nth)
    }

    /// The replica of that key.
    pub fn replica(&self) -> ReplicaKey {
        genesis::replica(&self.key())
    }

    /// What a sighting means to it: the stream, the position, the verdict. Nothing while it is down.
    pub fn judge(&self, sighting: &Sighting) -> Option<(StreamId, u64, Verdict)> {
        let hash_at = |id: OpId| self.journal.find(&id).map(|(_, op)| op.hash);
        Some(self.engine.as_ref()?.judge(sighting, hash_at))
    }

    /// An order as the kit shows it.
    pub fn order(&self, id: &OpId) -> Option<&Arc<Order>> {
        let at_hand = self.engine.as_ref().and_then(|engine| engine.ledger().orders.get(id));
        at_hand.or_else(|| self.state.orders.get(id))
    }

    /// Takes a turn; returns the ops.
    pub fn write(&mut self, turn: &Turn, planted: Option<Planted>) -> Vec<Arc<SealedOp>> {
        let ops: Vec<Arc<SealedOp>> = turn.ops.iter().cloned().map(Arc::new).collect();
        let branches: Vec<Arc<SealedOp>> = turn.branches.iter().cloned().map(Arc::new).collect();
        self.storing.push_back(std::mem::take(&mut self.taken));
        self.coming.clear();
        let signed =
            |(stream, head, signature): &(_, _, _)| SignedHead { stream: *stream, head: *head, signature: *signature };
        let heads: Vec<SignedHead> = turn.heads.iter().map(signed).collect();
        let before = self.journal.size();
        for device in [&mut self.journal].into_iter().chain((!self.box_behind).then_some(&mut self.black_box)) {
            device.write(&ops, &heads);
        }
        if planted == Some(Planted::ForkOverwritten) {
            self.journal.forget_branches(&branches);
        }
        self.journal.write_branches(&branches);
        if self.storage.is_some() {
            self.parts.push_back(self.journal.behind(before));
        }
        let box_end = (!self.box_behind).then_some(self.black_box.ops.len());
        self.on_disk.push_back(OnItsWay { end: self.journal.ops.len(), box_end });
        ops
    }

    /// The journal is synced up to `end`, unless something fails; says of what the process dies then.
    pub fn sync(&mut self, end: usize, fails: Option<Fault>) -> Option<Fault> {
        let dies_of = match (&mut self.storage, self.parts.pop_front()) {
            (Some(storage), Some(part)) => match storage.commit(&part, fails) {
                Ok(()) => None,
                Err(Stopped) => Some(fails.unwrap_or(Fault::SyncFails)),
            },
            _ => fails,
        };
        if dies_of.is_none() {
            self.journal.sync(end);
        }
        dies_of
    }

    /// Where a storage keeps the journal: the process on it ends, and the journal is what is left. Says how many ops are
    /// lost.
    pub fn end_on_storage(&mut self, how: End) -> Option<usize> {
        let storage = self.storage.as_mut()?;
        let left = storage.end(how, self.parts.front());
        self.parts.clear();
        let lost = self.journal.ops.len().saturating_sub(left.ops.len());
        self.journal = Device::holding(left);
        Some(lost)
    }

    /// What the rows say.
    pub fn look_up(&self, load: &Load) -> Input {
        let answered = load.key.as_ref().and_then(|key| self.state.keys.get(key));
        let answered = answered.map(|(known, op)| (*known, SealedOp::clone(op)));
        let spoken_of = answered.as_ref().and_then(|(_, op)| Ledger::wants(op).or_else(|| makes_order(op)));
        let wanted = [load.order, spoken_of].into_iter().flatten();
        let orders = wanted.filter_map(|id| self.state.orders.get(&id)).cloned().collect();
        Input::Loaded { ticket: load.ticket, answered, orders }
    }

    /// Writes the oldest rows that are on their way; their turn.
    pub fn write_rows(&mut self) -> Option<u64> {
        let Rows { projection, snapshot } = self.rows.pop_front()?;
        if let Some((row, hash, bytes)) = snapshot {
            self.older = self.state.clone();
            (self.state.row, self.state.hash, self.state.snapshot) = (row, hash, bytes);
        }
        let turn = projection.turn;
        self.apply_rows(projection);
        Some(turn)
    }

    fn apply_rows(&mut self, projection: Projection) {
        for order in projection.orders {
            self.state.orders.insert(order.order_id, order);
        }
        for (key, known) in projection.commands {
            // The branch that is folded as a stream may be another one than the journal has as its rows.
            let answers =
                |op: &&Arc<SealedOp>| op.id() == known.op && op.op.key.as_ref().is_some_and(|own| own.key == key);
            let row = self.journal.find(&known.op).map(|(_, op)| op).filter(answers);
            let op = row.or_else(|| self.journal.branches.iter().map(|(_, op)| op).find(answers));
            if let Some(op) = op.cloned() {
                self.state.keys.insert(key, (known, op));
            }
        }
    }

    /// The process is gone.
    pub fn stop(&mut self) {
        self.life += 1;
        self.engine = None;
        self.on_disk.clear();
        self.rows.clear();
        self.asked.clear();
        self.taken.clear();
        self.coming.clear();
        self.storing.clear();
        self.sign_due = false;
        (self.open, self.close_due, self.tick_ms, self.link, self.loading) = (false, false, None, Link::Down, 0);
        self.free_ms = [0; 4];
    }

    /// Power is gone: what was not synced may be lost; the state may be an older one.
    pub fn lose_power(&mut self, random: &mut Random) -> usize {
        if random.chance(300) {
            self.state = self.older.clone();
        }
        let lost = self.end_on_storage(End::PowerCut).unwrap_or_else(|| self.journal.lose(random));
        self.black_box.lose(random);
        lost
    }

    /// A copy of the disk as it is now.
    pub fn copy_disk(&mut self, entries: usize) {
        let (mut journal, mut black_box) = (self.journal.clone(), self.black_box.clone());
        // What was on its way is not on the copy: were it there and lost elsewhere, two histories would be sound.
        journal.lose_all();
        black_box.lose_all();
        let copied = self.storage.as_mut().map(|storage| storage.copy());
        let (state, nth, succession) = (self.state.clone(), self.nth, self.succession.clone());
        self.image = Some(Image { journal, black_box, state, copied, nth, succession, entries });
    }

    /// The disk is as it was when the copy was made; the box as well, where it lies on it. What no copy is left of comes
    /// back.
    pub fn put_back(&mut self, image: Image, both: bool) -> Vec<Arc<SealedOp>> {
        let mut before: BTreeMap<Hash, Arc<SealedOp>> = self.all_ops().into_iter().map(|op| (op.hash, op)).collect();
        (self.journal, self.state, self.older) = (image.journal, image.state.clone(), image.state);
        (self.nth, self.succession) = (image.nth, image.succession);
        if let (Some(storage), Some(copied)) = (&mut self.storage, image.copied) {
            storage.put_back(copied);
        }
        if both {
            self.black_box = image.black_box;
        }
        for op in self.all_ops() {
            before.remove(&op.hash);
        }
        let mut lost: Vec<Arc<SealedOp>> = before.into_values().collect();
        lost.sort_by_key(|op| (op.id(), op.hash));
        lost
    }

    /// Power goes, and the journal ends at `row`, whatever was called durable; the box as well, where it lies on the same
    /// disk, and the rows. What no copy is left of comes back.
    pub fn forget(&mut self, row: usize, both: bool) -> Vec<Arc<SealedOp>> {
        let mut before: BTreeMap<Hash, Arc<SealedOp>> = self.all_ops().into_iter().map(|op| (op.hash, op)).collect();
        let last = self.journal.ops.get(row.wrapping_sub(1)).map(|op| op.hash);
        self.journal.forget(row);
        self.black_box.lose_all();
        if both && let Some(end) = self.black_box.ops.iter().position(|op| Some(op.hash) == last) {
            self.black_box.forget(end + 1);
        }
        (self.state, self.older) = (State::default(), State::default());
        for op in self.all_ops() {
            before.remove(&op.hash);
        }
        before.into_values().collect()
    }

    /// All that its devices hold, whichever branch it is of.
    pub fn all_ops(&self) -> Vec<Arc<SealedOp>> {
        let of = |device: &Device| -> Vec<Arc<SealedOp>> {
            device.ops.iter().chain(device.branches.iter().map(|(_, op)| op)).cloned().collect()
        };
        of(&self.journal).into_iter().chain(of(&self.black_box)).collect()
    }

    /// Goes on with a key that nobody had: its file is written first, with all that admits it.
    pub fn follow(&mut self, nth: u8, noticed: RollbackNoticed, wall_ms: u64, quality: ClockQuality) {
        let key = genesis::key(self.number, nth);
        let Some(engine) = &mut self.engine else { return };
        let succession = engine.succession(&key, &genesis::label(self.number), noticed);
        (self.nth, self.succession) = (nth, Some(succession.clone()));
        engine.follow(key, &succession, wall_ms, quality);
        self.open = true;
    }

    /// Starts: brings journal and box together, and folds.
    pub fn start(&mut self, planted: Option<Planted>) -> Started {
        let mut started = Started::default();
        self.parts.clear();
        match &mut self.storage {
            Some(storage) => self.journal = Device::holding(storage.start()),
            None => self.journal.sync_all(),
        }
        self.black_box.sync_all();
        let before = self.journal.size();
        if planted != Some(Planted::IgnoreBox) {
            match self.journal.adopt(&self.black_box) {
                Ok(adopted) => started.adopted = adopted,
                Err(op) => started.contradiction = Some(op),
            }
            match self.black_box.adopt(&self.journal) {
                Ok(refilled) => started.refilled = refilled,
                Err(op) => started.contradiction = Some(op),
            }
        }
        if let Some(storage) = self.storage.as_mut().filter(|_| self.journal.size() != before)
            && storage.commit(&self.journal.behind(before), None).is_err()
        {
            self.storage = None;
        }
        self.box_behind = false;
        let found = if self.state.fits(&self.journal) { snapshot::read(&self.state.snapshot).ok() } else { None };
        started.from_snapshot = found.is_some();
        if found.is_none() {
            self.state = State::default();
        }
        self.older = self.state.clone();
        let row = self.state.row;
        let follows = self.succession.as_ref().map(|succession| succession.follows);
        let mut engine = Engine::new(found.unwrap_or_default(), self.key(), follows);
        if let Some(planted) = planted {
            planted.plant(&mut engine);
        }
        if self.journal.branches.is_empty() {
            self.fold(&mut engine, row);
        } else {
            self.fold_all(&mut engine);
        }
        if let Some(policy) = &self.policy {
            let life = [self.number as u64, u64::from(self.life), u64::from(self.nth), self.copy].map(u64::to_le_bytes);
            engine.guard(Hash::of(&life.concat()).half(), policy.clone());
        }
        let mut heads = BTreeMap::new();
        for (_, signed) in &self.journal.heads {
            let known = heads.entry(signed.stream).or_insert(signed.head);
            if known.seq < signed.head.seq {
                *known = signed.head;
            }
        }
        engine.signed(&heads);
        self.snapshot_row = self.state.row;
        self.engine = Some(engine);
        started
    }

    /// Folds the journal anew, branches too, and writes the state.
    fn fold_all(&mut self, engine: &mut Engine) {
        let branches = self.journal.branches.iter().map(|(_, op)| op.as_ref());
        let ops: Vec<SealedOp> = self.journal.ops.iter().map(AsRef::as_ref).chain(branches).cloned().collect();
        engine.fold_all(&ops);
        self.state = State::default();
        let projection = engine.take_folded();
        let turn = projection.turn;
        self.apply_rows(projection);
        engine.handle(Input::Projected(turn));
    }

    /// Folds the journal from `row` on, and writes the state as it goes.
    fn fold(&mut self, engine: &mut Engine, row: usize) {
        for at in row..self.journal.ops.len() {
            let op = self.journal.ops[at].clone();
            let wanted = Ledger::wants(&op).filter(|id| !engine.ledger().orders.contains_key(id));
            let order = wanted.and_then(|id| self.state.orders.get(&id)).map(|order| Order::clone(order));
            engine.fold(&op, order);
            if (at + 1) % FOLD_OPS == 0 || at + 1 == self.journal.ops.len() {
                let projection = engine.take_folded();
                let turn = projection.turn;
                self.apply_rows(projection);
                (self.state.row, self.state.hash) = (at + 1, op.hash);
                self.state.snapshot = engine.ledger().state_bytes();
                engine.handle(Input::Projected(turn));
            }
        }
    }
}

/// The order that an op makes, where it makes one.
fn makes_order(op: &SealedOp) -> Option<OpId> {
    const MAKES_ORDER: [&str; 2] = ["OrderPlaced", "OrderOpened"];
    MAKES_ORDER.contains(&fieldkit_core::body::Body::name(op.op.kind)).then(|| op.id())
}
