//! Kits with others: a hub that keeps limited goods, links between them, pages and boxes that watch, and what goes wrong
//! with all of these.
//!
//! Promises: ops travel by the exchange that ships, over links that break, and frames that are lost, doubled, late and
//! damaged; a page takes a newer head only for the one that it holds.
//! Absent on purpose: cards (kits without a hub have them), and verdicts (`check`).

mod books;
mod leases;
mod newcomer;
mod people;

use self::books::Books;
pub use self::leases::{Leases, TEE};
use crate::genesis::NOON_MS;
use crate::kit::{Kit, Taken};
use crate::log::PutBack;
use crate::swarm::Fault;
use crate::terminal::Terminal;
use crate::world::{Event, World};
use fieldkit_core::body::{Edit, Limit, RollbackNoticed};
use fieldkit_core::decide::{self, Command, NewItem, Place};
use fieldkit_core::id::{Hash, ReplicaKey, Space, StreamId};
use fieldkit_core::op::{Head, SealedOp};
use fieldkit_core::witness::{Sighting, Verdict};
use fieldkit_engine::{Foreign, Input, Policy, WitnessInput, WitnessName};
use fieldkit_sync::intake::Take;
use fieldkit_sync::session::{self, Session, Terms};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The limited item.
pub const DROP: &str = "DROP";
/// How soon limited goods should sell after a start.
const GATE_MS: u64 = 5_000;
/// Kinds of ops that others wait for: grants, asks, answers.
const URGENT: [u16; 3] = [80, 88, 89];
/// How long it takes to tell a page at most: a phone is slow.
const PAGE_MS: u64 = 200;
/// How soon pages find a kit that is back.
const PAGES_MS: u64 = 4_000;
/// How long a silent link is believed.
const IDLE_MS: u64 = 15_000;

/// Something that happens between kits.
pub enum Between {
    /// A link is tried.
    OpenLink { link: usize },
    /// A frame arrives.
    Frame { link: usize, epoch: u64, end: usize, bytes: Vec<u8> },
    /// Somebody looks whether a link still lives.
    Idle { link: usize, epoch: u64 },
    /// A kit signs the ends of its streams.
    Sign { kit: usize, life: u32 },
    /// A page is told of a newer head.
    Told { till: usize, page: u64, stream: StreamId, from: Head, to: Head },
    /// A kit hears what a page holds.
    Holds { till: usize, page: u64, life: u32 },
    /// Somebody looks whether limited goods sell again.
    Gate { kit: usize, life: u32 },
    /// Somebody leases, delivers or buys ordinary goods.
    Trade,
    /// A time service finds a kit's clock.
    Time { kit: usize, life: u32 },
    /// A kit's disk forgets what comes behind so many ops.
    Forget { kit: usize, life: u32, row: usize },
    /// The hub forgets the kit that came last, and its link is away.
    ForgetNewcomer,
}

/// A link.
#[derive(Default)]
pub struct Link {
    /// Whom it connects.
    pub ends: [usize; 2],
    epoch: u64,
    sessions: [Option<Session>; 2],
    free_ms: [u64; 2],
    until_ms: u64,
    mute: bool,
    bad: Option<u64>,
    /// Whom each end was told to be connected to.
    peers: [Option<ReplicaKey>; 2],
}

impl Link {
    fn is_open(&self) -> bool {
        self.sessions.iter().all(Option::is_some)
    }
}

/// What came of limited goods, counted outside of every kit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stall {
    /// Attempts to buy with the hub reachable, and those refused while a unit was unsold at somebody reachable.
    pub attempts: u64,
    /// See `attempts`.
    pub refused_unsold: u64,
    /// Starts after plain failures, without a link, and those after which limited goods sold again in time.
    pub blips: u64,
    /// See `blips`.
    pub blips_in_time: u64,
    /// Units sold, and sold more than once.
    pub sold: u64,
    /// See `sold`.
    pub oversold: u64,
    /// Of those sold more than once, how often without a word that names them.
    pub unnamed: u64,
    /// Units that recorded words put at risk.
    pub at_risk: u64,
}

impl Stall {
    /// Adds another world's.
    pub fn add(&mut self, other: &Stall) {
        self.attempts += other.attempts;
        self.refused_unsold += other.refused_unsold;
        self.blips += other.blips;
        self.blips_in_time += other.blips_in_time;
        self.sold += other.sold;
        self.oversold += other.oversold;
        self.unnamed += other.unnamed;
        self.at_risk += other.at_risk;
    }
}

fn box_name(kit: usize) -> WitnessName {
    Hash::derived("a black box", &kit.to_le_bytes()).half()
}

fn page_name(till: usize, page: u64) -> WitnessName {
    Hash::derived("a till page", &[till.to_le_bytes(), page.to_le_bytes()].concat()).half()
}

impl World {
    /// The hub's place among the kits.
    pub(crate) fn hub(&self) -> usize {
        self.swarm.kits
    }

    /// A hub with goods, and kits that have nothing yet.
    pub(crate) fn set_up_several(&mut self) {
        let Some(several) = self.swarm.several else { return };
        let hub = self.hub();
        for kit in 0..=hub {
            let keeper = (kit == hub).then(|| "hub".to_owned());
            self.kits[kit].policy = Some(Policy { keeper, low: several.low, batch: several.batch });
            self.kits[kit].box_apart = kit == hub || self.people.chance(400);
            self.kits[kit].start(self.planted);
            if kit < hub {
                let until_ms = if kit + 1 == hub { several.late_ms } else { 0 };
                self.links.push(Link { ends: [kit, hub], until_ms, ..Link::default() });
                let wait_ms = self.nature.within(1, 2_000);
                self.after(wait_ms, Event::Between(Between::OpenLink { link: kit }));
            }
        }
        let goods = |sku: &str, limit, count| {
            let edits = vec![
                Edit::Name(sku.to_owned()),
                Edit::Price(2_500),
                Edit::Limit(limit),
                Edit::TaxRate("standard".to_owned()),
                Edit::OpenPrice(false),
            ];
            Command::AddItem(NewItem { sku: sku.to_owned(), edits, count: Some(count) })
        };
        let todo = VecDeque::from([goods(TEE, Limit::Soft, 500), goods(DROP, Limit::Hard, several.units)]);
        self.add_till(hub, 0, todo);
        for kit in 0..hub {
            for number in 0..self.swarm.tills {
                self.add_till(kit, number, VecDeque::new());
            }
        }
        for kit in 0..=hub {
            self.begin_watch(kit);
        }
        self.trade_soon();
    }

    pub(crate) fn is_past(&self, between: &Between) -> bool {
        let lives = |kit: usize, life: u32| self.kits[kit].life == life;
        match between {
            Between::OpenLink { .. } | Between::Trade | Between::ForgetNewcomer => false,
            Between::Frame { link, epoch, .. } | Between::Idle { link, epoch } => {
                self.links[*link].epoch != *epoch || !self.links[*link].is_open()
            }
            Between::Sign { kit, life }
            | Between::Gate { kit, life }
            | Between::Time { kit, life }
            | Between::Forget { kit, life, .. } => !lives(*kit, *life),
            Between::Told { till, page, .. } => self.tills[*till].page != *page,
            Between::Holds { till, page, life } => {
                self.tills[*till].page != *page || !lives(self.tills[*till].kit, *life)
            }
        }
    }

    pub(crate) fn happen_between(&mut self, between: Between) {
        match between {
            Between::OpenLink { link } => self.open_link(link),
            Between::Frame { link, end, bytes, .. } => {
                self.log.add_bytes(&bytes);
                self.log.did("frames");
                self.session(link, end, session::Input::Frame(bytes));
            }
            Between::Idle { link, epoch } => {
                self.after(IDLE_MS, Event::Between(Between::Idle { link, epoch }));
                for end in [0, 1] {
                    self.session(link, end, session::Input::Idle);
                }
            }
            Between::Sign { kit, .. } => {
                self.kits[kit].sign_due = false;
                self.kits[kit].open = true;
                self.feed(kit, Input::SignDue);
                self.close_soon(kit);
                self.grew(kit, None);
            }
            Between::Told { till, .. } if self.now_ms < self.tills[till].asleep_ms => {}
            Between::Told { till, page, stream, from, to } => {
                let held = self.tills[till].holds.entry(stream).or_default();
                if *held == from {
                    *held = to;
                }
                let life = self.kits[self.tills[till].kit].life;
                let way_ms = self.nature.within(1, 20);
                self.after(way_ms, Event::Between(Between::Holds { till, page, life }));
            }
            Between::Holds { till, .. } => self.page_holds(till),
            Between::Gate { kit, .. } => self.look_at_gate(kit),
            Between::Trade => self.trade(),
            Between::Time { kit, .. } => self.confirm_time(kit),
            Between::Forget { kit, row, .. } => self.forget(kit, row),
            Between::ForgetNewcomer => self.forget_newcomer(),
        }
    }

    // --- who watches ---

    /// The stream in which a kit writes about the event.
    fn own_stream(&self, kit: usize) -> Option<StreamId> {
        Some(StreamId::of(&self.runs_as(kit)?, &Space::Event(self.genesis.event)))
    }

    /// A kit starts: its box says what it holds, and its links are tried.
    pub(crate) fn begin_watch(&mut self, kit: usize) {
        if self.swarm.several.is_none() {
            return;
        }
        self.set_clock(kit);
        if std::mem::take(&mut self.kits[kit].restored)
            && let Some(stream) = self.own_stream(kit)
        {
            let seen = self.known_head(kit, stream).seq;
            self.log.reached("hub_restored");
            let found = seen;
            self.follow(kit, RollbackNoticed { witness: "owner".to_owned(), stream, seen, found });
        }
        for till in self.tills.iter_mut().filter(|till| till.kit == kit) {
            till.old_slip = till.head;
        }
        self.box_holds(kit);
        self.pages_return(kit, PAGES_MS);
        for link in self.links_of(kit) {
            let wait_ms = self.nature.within(100, 3_000);
            self.after(wait_ms, Event::Between(Between::OpenLink { link }));
        }
        let life = self.kits[kit].life;
        self.after(GATE_MS, Event::Between(Between::Gate { kit, life }));
    }

    /// What a box on a medium of its own holds of the kit's stream.
    pub(crate) fn box_holds(&mut self, kit: usize) {
        let Some(stream) = self.own_stream(kit).filter(|_| self.swarm.several.is_some()) else { return };
        if !self.kits[kit].box_apart || self.kits[kit].box_behind {
            return;
        }
        let head = self.kits[kit].black_box.synced_head(&stream).unwrap_or_default();
        let holds = WitnessInput::Holds(box_name(kit), stream, head);
        self.feed(kit, Input::Witness(holds));
    }

    /// The box takes nothing any more.
    pub(crate) fn box_left(&mut self, kit: usize) {
        if self.swarm.several.is_some() && self.kits[kit].box_apart {
            self.feed(kit, Input::Witness(WitnessInput::Left(box_name(kit))));
        }
    }

    fn pages_return(&mut self, kit: usize, within_ms: u64) {
        let life = self.kits[kit].life;
        for till in (0..self.tills.len()).filter(|till| self.tills[*till].kit == kit).collect::<Vec<_>>() {
            let (wait_ms, page) = (self.people.within(1, within_ms), self.tills[till].page);
            self.after(wait_ms, Event::Between(Between::Holds { till, page, life }));
        }
    }

    /// A page says what it holds of the kit's stream.
    pub(crate) fn page_holds(&mut self, till: usize) {
        let kit = self.tills[till].kit;
        let Some(stream) = self.own_stream(kit) else { return };
        let head = self.tills[till].holds.get(&stream).copied().unwrap_or_default();
        if head.seq > 0 {
            let verdict = self.kits[kit].judge(&Sighting::Head { stream, head });
            if verdict.is_some_and(|(_, _, verdict)| verdict != Verdict::Agrees) {
                self.log.reached("witness_disagreed");
                let found = self.known_head(kit, stream).seq;
                let (witness, seen) = ("page".to_owned(), head.seq);
                return self.follow(kit, RollbackNoticed { witness, stream, seen, found });
            }
        }
        let name = page_name(till, self.tills[till].page);
        let holds = WitnessInput::Holds(name, stream, head);
        self.feed(kit, Input::Witness(holds));
    }

    /// A witness is told of a newer head.
    pub(crate) fn tell_witness(&mut self, kit: usize, name: WitnessName, stream: StreamId, from: Head, to: Head) {
        let till = (0..self.tills.len()).find(|till| page_name(*till, self.tills[*till].page) == name);
        let Some(till) = till.filter(|till| self.tills[*till].kit == kit) else { return };
        let (page, way_ms) = (self.tills[till].page, self.nature.within(1, PAGE_MS));
        self.after(way_ms, Event::Between(Between::Told { till, page, stream, from, to }));
    }

    /// A kit goes on as a new replica: whoever is with it hears of the new stream.
    pub(crate) fn followed(&mut self, kit: usize) {
        if self.swarm.several.is_none() {
            return;
        }
        self.box_holds(kit);
        self.pages_return(kit, 200);
        self.close_links(kit);
        for link in self.links_of(kit) {
            self.after(500, Event::Between(Between::OpenLink { link }));
        }
    }

    fn look_at_gate(&mut self, kit: usize) {
        let apart = !self.is_linked(kit);
        let event = self.genesis.event;
        if !std::mem::take(&mut self.kits[kit].was_open) || !apart {
            return;
        }
        let open = self.kits[kit].engine.as_mut().is_some_and(|engine| engine.gate(event) == decide::Gate::Open);
        self.stall.blips += 1;
        self.stall.blips_in_time += u64::from(open);
        let now_ms = self.now_ms;
        self.log
            .line(now_ms, || format!("BLIP at kit {kit}: limited goods {}", if open { "sell" } else { "are shut" }));
    }

    /// Units of the limited item that a kit may sell now.
    pub(crate) fn sellable(&self, kit: usize) -> i64 {
        let Some(engine) = &self.kits[kit].engine else { return 0 };
        let place = Place::at(engine.replica(), Some(self.genesis.event));
        decide::available(engine.ledger(), &place, DROP)
    }

    /// A kit goes down: whether it could sell limited goods is remembered, for when it is back.
    pub(crate) fn note_gate(&mut self, kit: usize) {
        let event = self.genesis.event;
        let open = self.kits[kit].engine.as_mut().is_some_and(|engine| engine.gate(event) == decide::Gate::Open);
        self.kits[kit].was_open = open && kit != self.hub() && self.sellable(kit) > 0;
    }

    // --- links ---

    /// The replica that a kit runs as, while it runs.
    fn runs_as(&self, kit: usize) -> Option<ReplicaKey> {
        self.kits[kit].engine.as_ref().map(fieldkit_engine::Engine::replica)
    }

    /// The end of a stream, as a kit knows it.
    fn known_head(&self, kit: usize, stream: StreamId) -> Head {
        self.kits[kit].engine.as_ref().map(|engine| engine.ledger().head(&stream)).unwrap_or_default()
    }

    fn links_of(&self, kit: usize) -> Vec<usize> {
        (0..self.links.len()).filter(|link| self.links[*link].ends.contains(&kit)).collect()
    }

    fn is_linked(&self, kit: usize) -> bool {
        self.links.iter().any(|link| link.ends.contains(&kit) && link.is_open())
    }

    fn open_link(&mut self, link: usize) {
        let now_ms = self.now_ms;
        let Link { ends, until_ms, .. } = self.links[link];
        if self.links[link].is_open() || ends.iter().any(|kit| self.kits[*kit].gone) {
            return;
        }
        if until_ms > now_ms {
            return self.after(until_ms - now_ms, Event::Between(Between::OpenLink { link }));
        }
        // A kit that is down tries its links when it is back.
        if ends.iter().any(|kit| self.kits[*kit].engine.is_none()) {
            return;
        }
        let replicas = ends.map(|kit| self.runs_as(kit));
        for end in [0, 1] {
            let books = Books::of(&self.kits[ends[end]], replicas[1 - end], self.planted);
            let (Some(own), Some(books)) = (replicas[end], books) else { return };
            self.links[link].sessions[end] = Some(Session::new(Terms::whole(own), &books));
        }
        self.links[link].epoch += 1;
        self.links[link].mute = false;
        self.links[link].free_ms = [now_ms; 2];
        let epoch = self.links[link].epoch;
        self.after(IDLE_MS, Event::Between(Between::Idle { link, epoch }));
        for end in [0, 1] {
            if let Some(peer) = replicas[1 - end] {
                self.links[link].peers[end] = Some(peer);
                self.feed(ends[end], Input::Linked(peer, true));
            }
            self.sign_soon(ends[end]);
            self.drain(link, end);
        }
    }

    fn close_link(&mut self, link: usize, wait_ms: u64) {
        let until_ms = self.now_ms + wait_ms;
        self.drop_link(link);
        let this = &mut self.links[link];
        this.until_ms = this.until_ms.max(until_ms);
        self.after(wait_ms.max(500), Event::Between(Between::OpenLink { link }));
    }

    fn drop_link(&mut self, link: usize) {
        self.links[link].sessions = [None, None];
        let ends = self.links[link].ends;
        for end in [0, 1] {
            if let Some(peer) = self.links[link].peers[end].take() {
                self.feed(ends[end], Input::Linked(peer, false));
            }
        }
    }

    /// A kit's process is gone, or another replica: its exchanges end.
    pub(crate) fn close_links(&mut self, kit: usize) {
        self.links_of(kit).into_iter().for_each(|link| self.drop_link(link));
    }

    /// Feeds one end of a link.
    fn session(&mut self, link: usize, end: usize, input: session::Input) {
        let ends = self.links[link].ends;
        let books = Books::of(&self.kits[ends[end]], self.runs_as(ends[1 - end]), self.planted);
        let Some(books) = books else { return };
        let Some(session) = &mut self.links[link].sessions[end] else { return };
        session.handle(input, &books);
        self.drain(link, end);
    }

    /// Carries out what one end of a link wants.
    fn drain(&mut self, link: usize, end: usize) {
        use session::Output;
        let ends = self.links[link].ends;
        let kit = ends[end];
        while let Some(output) = self.links[link].sessions[end].as_mut().and_then(Session::poll_output) {
            match output {
                Output::Frame(bytes) => self.send_frame(link, 1 - end, bytes),
                Output::Take(take) => self.take(kit, (link, self.links[link].epoch, end), take),
                Output::Forked { .. } => self.log.reached("fork_seen"),
                Output::OwnAhead { stream, head } => {
                    if self.kits[kit].engine.as_ref().is_some_and(|engine| engine.writes(&stream)) {
                        self.log.reached("told_by_a_peer");
                        let found = self.known_head(kit, stream).seq;
                        let (witness, seen) = ("peer".to_owned(), head.seq);
                        return self.follow(kit, RollbackNoticed { witness, stream, seen, found });
                    }
                }
                Output::PeerHolds { stream, head } => {
                    if let Some(peer) = self.runs_as(ends[1 - end]) {
                        self.feed(kit, Input::PeerHolds(peer, stream, head.seq));
                    }
                    // A second place lets grants go to others.
                    if kit == self.hub() && self.own_stream(kit) == Some(stream) {
                        self.grew(kit, Some(link));
                    }
                }
                Output::Closed(close) => {
                    let now_ms = self.now_ms;
                    self.log.line(now_ms, || format!("link {link} is closed by kit {kit}: {close:?}"));
                    return self.close_link(link, 500);
                }
            }
        }
    }

    fn send_frame(&mut self, link: usize, to: usize, bytes: Vec<u8>) {
        let Some(several) = self.swarm.several else { return };
        if self.links[link].mute {
            return;
        }
        let (now_ms, epoch) = (self.now_ms, self.links[link].epoch);
        let way_ms = self.nature.within(1, several.frame_ms);
        let at_ms = self.links[link].free_ms[to].max(now_ms + way_ms);
        self.links[link].free_ms[to] = at_ms;
        let frame = |bytes| Event::Between(Between::Frame { link, epoch, end: to, bytes });
        let Some(bad) = self.links[link].bad.take() else { return self.after(at_ms - now_ms, frame(bytes)) };
        self.log.fault(Fault::BadFrame);
        match bad % 4 {
            0 => {}
            1 => {
                self.after(at_ms - now_ms, frame(bytes.clone()));
                self.after(at_ms - now_ms, frame(bytes));
            }
            2 => self.after(at_ms - now_ms + several.frame_ms * 4, frame(bytes)),
            _ => {
                let mut bytes = bytes;
                let at = self.mishap.place(bytes.len());
                bytes[at] ^= 1 << self.mishap.below(8);
                self.after(at_ms - now_ms, frame(bytes));
            }
        }
    }

    /// Ops of others come in: they are durable with the next turn.
    fn take(&mut self, kit: usize, taken: Taken, take: Take) {
        self.note_gift(kit, &take.ops);
        let this = &mut self.kits[kit];
        let Some(engine) = &this.engine else { return };
        let mut foreign = Foreign::default();
        let mut heads: BTreeMap<StreamId, Head> = BTreeMap::new();
        let new: Vec<SealedOp> = take.ops.into_iter().filter(|op| !this.journal.holds(op)).collect();
        for op in new.into_iter().filter(|op| this.coming.insert(op.hash)) {
            let stream = op.op.stream;
            let parted = engine.ledger().forks.contains_key(&stream);
            let head = heads.get(&stream).copied().unwrap_or_else(|| engine.ledger().head(&stream));
            if !parted && op.follows(&head) && op.op.seq == head.seq + 1 {
                heads.insert(stream, Head { seq: op.op.seq, hash: op.hash });
                foreign.ops.push(op);
            } else {
                foreign.branches.push(op);
            }
        }
        foreign.heads = take.heads.iter().map(|tip| (tip.stream(), tip.head, tip.signature)).collect();
        let wanted = engine.wanted(&foreign.ops);
        foreign.orders = wanted.iter().filter_map(|id| this.state.orders.get(id)).cloned().collect();
        self.log.did("batches_taken");
        self.kits[kit].taken.push(taken);
        self.kits[kit].open = true;
        self.feed(kit, Input::Foreign(Box::new(foreign)));
        self.close_soon(kit);
    }

    /// What was taken was here before: nothing is to be waited for but the turns on their way.
    pub(crate) fn nothing_to_store(&mut self, kit: usize) {
        let taken = std::mem::take(&mut self.kits[kit].taken);
        match self.kits[kit].storing.back_mut() {
            Some(last) => last.extend(taken),
            None => self.tell_stored(taken),
        }
    }

    /// The oldest turn on its way is durable.
    pub(crate) fn stored(&mut self, kit: usize) {
        let taken = self.kits[kit].storing.pop_front().unwrap_or_default();
        self.tell_stored(taken);
        // What others wait for is told at once, everything else with the next signature that is due.
        let newest = self.kits[kit].journal.ops[..self.kits[kit].journal.synced].iter().rev().take(8);
        if newest.into_iter().any(|op| URGENT.contains(&op.op.kind)) {
            self.grew(kit, None);
        }
        self.sign_soon(kit);
    }

    fn tell_stored(&mut self, taken: Vec<Taken>) {
        for (link, epoch, end) in taken {
            if self.links[link].epoch == epoch {
                self.session(link, end, session::Input::Stored);
            }
        }
    }

    fn grew(&mut self, kit: usize, but: Option<usize>) {
        for link in (0..self.links.len()).filter(|link| Some(*link) != but) {
            for end in [0, 1] {
                if self.links[link].ends[end] == kit && self.links[link].is_open() {
                    self.session(link, end, session::Input::Grew);
                }
            }
        }
    }

    fn sign_soon(&mut self, kit: usize) {
        if self.is_linked(kit) && !std::mem::replace(&mut self.kits[kit].sign_due, true) {
            let life = self.kits[kit].life;
            let sign_ms = self.swarm.several.map_or(0, |several| several.sign_ms);
            self.after(sign_ms, Event::Between(Between::Sign { kit, life }));
        }
    }

    /// Whether all that anybody has is everywhere.
    pub(crate) fn all_is_even(&self) -> bool {
        let even = |session: &Option<Session>| session.as_ref().is_some_and(Session::is_even);
        let gone = |link: &&Link| link.ends.iter().any(|kit| self.kits[*kit].gone);
        let quiet = self.kits.iter().all(|kit| kit.on_disk.is_empty() && !kit.open);
        self.swarm.several.is_none()
            || (quiet && self.links.iter().filter(|link| !gone(link)).all(|link| link.sessions.iter().all(even)))
    }

    // --- faults ---

    pub(crate) fn inject_between(&mut self, kit: usize, fault: Fault) {
        let Some(several) = self.swarm.several else { return };
        let link = self.mishap.place(self.links.len());
        match fault {
            Fault::CutLink => {
                self.log.fault(fault);
                let outage_ms = self.mishap.within(1_000, several.outage_ms);
                self.close_link(link, outage_ms);
            }
            Fault::MuteLink if self.links[link].is_open() => {
                self.log.fault(fault);
                self.links[link].mute = true;
            }
            Fault::PageSleeps => {
                let (till, sleeps_ms) = (self.mishap.place(self.tills.len()), self.mishap.within(5_000, 60_000));
                self.log.fault(fault);
                self.tills[till].asleep_ms = self.now_ms + sleeps_ms;
            }
            Fault::BadFrame => self.links[link].bad = Some(self.mishap.number()),
            Fault::RestoreHub => {
                let (hub, back) = (self.hub(), self.kits[self.hub()].image.is_some());
                self.put_back(hub, fault);
                // Kits find it again one by one.
                for link in self.links_of(hub).into_iter().filter(|_| back) {
                    let until_ms = self.now_ms + self.mishap.within(1, several.outage_ms);
                    self.links[link].until_ms = self.links[link].until_ms.max(until_ms);
                }
            }
            Fault::HubForgets => self.arm_newcomer(),
            Fault::Clone if kit != self.hub() && self.kits.len() == self.hub() + 1 && !self.kits[kit].gone => {
                self.log.fault(fault);
                self.copy_kit(kit);
            }
            Fault::LoseKit if kit != self.hub() && !self.kits.iter().any(|kit| kit.gone) => {
                self.log.fault(fault);
                self.lose_kit(kit);
            }
            Fault::LosePage => {
                let till = self.mishap.place(self.tills.len());
                self.log.fault(fault);
                let name = page_name(till, self.tills[till].page);
                let at = self.tills[till].kit;
                self.feed(at, Input::Witness(WitnessInput::Left(name)));
                self.tills[till].page += 1;
                self.tills[till].holds.clear();
                self.pages_return(at, 30_000);
            }
            _ => {}
        }
    }

    /// A kit's disk is copied into a spare box, which starts beside it, without the box and the pages of the first.
    fn copy_kit(&mut self, kit: usize) {
        let copy = self.kits[kit].copied(&self.genesis);
        let (node, hub) = (self.kits.len(), self.hub());
        self.kits.push(copy);
        let protocol = self.swarm.protocols[kit];
        self.terminals.push(Terminal::new(node, protocol, Default::default()));
        self.terminal_lives.push(0);
        self.links.push(Link { ends: [node, hub], ..Link::default() });
        self.add_till(node, 0, VecDeque::new());
        let life = self.kits[node].life;
        self.after(1_000, Event::Start { kit: node, life });
    }

    fn lose_kit(&mut self, kit: usize) {
        let ops = self.kits[kit].all_ops();
        let destroyed = self.without_copies(kit, ops);
        self.log.put_back.push(PutBack {
            kit,
            destroyed,
            entries: 0,
            at_s: (NOON_MS + self.now_ms) / 1_000,
            noticed: None,
            both: true,
        });
        self.kits[kit].stop();
        self.kits[kit].gone = true;
        self.close_links(kit);
        for till in self.tills.iter_mut().filter(|till| till.kit == kit) {
            till.leave();
        }
    }

    /// Those of a kit's ops that nobody else holds.
    pub(crate) fn without_copies(&self, kit: usize, ops: Vec<Arc<SealedOp>>) -> Vec<Arc<SealedOp>> {
        if self.swarm.several.is_none() {
            return ops;
        }
        let others = || self.kits.iter().enumerate().filter(|(other, known)| *other != kit && !known.gone);
        let elsewhere = |op: &SealedOp| others().any(|(_, other)| other.journal.holds(op) || other.black_box.holds(op));
        ops.into_iter().filter(|op| !elsewhere(op)).collect()
    }

    /// No more outages; whoever can be connected is.
    pub(crate) fn heal_between(&mut self) {
        if self.swarm.several.is_none() {
            return;
        }
        for link in 0..self.links.len() {
            (self.links[link].until_ms, self.links[link].bad) = (self.now_ms, None);
            self.after(1_000, Event::Between(Between::OpenLink { link }));
        }
        for till in 0..self.tills.len() {
            if self.kits[self.tills[till].kit].gone {
                self.tills[till].leave();
            }
        }
    }
}

impl Kit {
    /// A kit with a copy of this one's disk.
    fn copied(&mut self, genesis: &crate::genesis::Genesis) -> Kit {
        let image = self.image.take();
        self.copy_disk(0);
        let mut kit = Kit::new(self.number, genesis);
        kit.policy = self.policy.clone();
        if let Some(taken) = std::mem::replace(&mut self.image, image) {
            kit.put_back(taken, true);
        }
        kit.stop();
        kit.copy = self.copy + 1;
        kit
    }
}
