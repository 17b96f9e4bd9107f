//! The world: one queue of events, ordered by time and number, and what each of them does.
//!
//! Promises: everything that happens is an event of this queue, and follows from the seed alone; what was meant for a
//! process, a connection or a person's wait that is over reaches nobody and is not counted.
//! Absent on purpose: what people want (`people`), which faults happen when (`faults`), and verdicts (`check`).

use crate::genesis::{Genesis, NOON_MS};
use crate::kit::{Kit, Rows};
use crate::line::Way;
use crate::log::{Given, Log, Said, Told};
use crate::people::Till;
use crate::planted::Planted;
use crate::random::Random;
use crate::several::{Between, Leases, Link, Stall};
use crate::storage::Storages;
use crate::swarm::{Fault, Swarm};
use crate::terminal::Terminal;
use fieldkit_core::body::{Body, RollbackNoticed};
use fieldkit_core::decide::Command;
use fieldkit_core::id::{OpId, StreamId, Zero};
use fieldkit_core::op::{Actor, CommandKey, Head, Key, SealedOp};
use fieldkit_core::stamp::ClockQuality;
use fieldkit_drivers::terminal_peer::{Numbers, PeerInput};
use fieldkit_engine::{Answer, Asked, DeviceInput, DeviceOutput, Input, Outcome, Output, Ticket, Turn};
use std::collections::{BTreeMap, BTreeSet};

/// How soon a closed line is opened again.
pub(crate) const REOPEN_MS: u64 = 500;
/// How long a process takes to start.
const START_MS: u64 = 800;
/// How long the store waits for a box.
const BOX_WAIT_MS: u64 = 250;
/// Ticks in a row without a millisecond between them that are too many.
const SPINS_MAX: u32 = 8_000;
/// In a thousand turns: those that sign the ends of streams without being due.
const SIGN_PER_MILLE: u64 = 15;
/// In a thousand new keys: those whose process dies at once, where processes die.
const KILL_NEW_PER_MILLE: u64 = 150;
/// `PaymentIntended`; a test holds it to `Body::KINDS`.
const PAYMENT_INTENDED: u16 = 64;

/// Something that happens.
pub enum Event {
    /// A command reaches a kit.
    Ask { kit: usize, till: usize, key: CommandKey, command: Box<Command>, again: Again },
    /// Its answer reaches who asked.
    Answered { till: usize, key: Key, said: Said, two_devices: bool, head: Option<(StreamId, Head)> },
    /// A kit closes its turn.
    Close { kit: usize, life: u32 },
    /// A lookup is answered.
    Loaded { kit: usize, life: u32, input: Box<Input> },
    /// A journal has synced up to here.
    JournalSynced { kit: usize, life: u32, end: usize, fails: Option<Fault> },
    /// A box has synced up to here.
    BoxSynced { kit: usize, life: u32, end: usize, fails: bool },
    /// The store says that a turn is durable.
    Durable { kit: usize, life: u32 },
    /// Rows are written.
    RowsWritten { kit: usize, life: u32 },
    /// A kit starts.
    Start { kit: usize, life: u32 },
    /// Time passes for a kit's terminals.
    KitTick { kit: usize, life: u32, at_ms: u64 },
    /// Time passes for a terminal.
    TerminalTick { kit: usize, at_ms: u64 },
    /// A terminal's journal is synced.
    TerminalSynced { kit: usize, life: u64 },
    /// Bytes arrive at a terminal.
    ToTerminal { kit: usize, connection: u64, bytes: Vec<u8> },
    /// Bytes arrive at a kit.
    ToKit { kit: usize, connection: u64, life: u32, bytes: Vec<u8> },
    /// A line is opened.
    OpenLine { kit: usize },
    /// A person does something.
    Person { till: usize, turn: u64 },
    /// A page tells what it had seen.
    Page { till: usize, life: u32 },
    /// Something goes wrong.
    Fault,
    /// Something between kits.
    Between(Between),
}

/// Why a command comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is wanted.
    No,
    /// It was answered, and comes again.
    Repeat,
    /// Its key was used for something else.
    Reuse,
}

/// The world.
pub struct World {
    /// What the seed has.
    pub swarm: Swarm,
    /// Sources of numbers: disks and lines, people, faults.
    pub nature: Random,
    /// See `nature`.
    pub people: Random,
    /// See `nature`.
    pub mishap: Random,
    /// Now, in milliseconds since the beginning.
    pub now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    number: u64,
    /// The kits.
    pub kits: Vec<Kit>,
    /// Their terminals.
    pub terminals: Vec<Terminal>,
    /// Their tills.
    pub tills: Vec<Till>,
    /// What stands outside.
    pub log: Log,
    /// What all began with.
    pub genesis: Genesis,
    /// Whether faults have ended and people finish what is open.
    pub healing: bool,
    /// The mistake in this world.
    pub planted: Option<Planted>,
    /// Connections and keys are numbered over all kits.
    pub keys_made: u8,
    /// Numbers the lives of terminals.
    pub terminal_lives: Vec<u64>,
    /// Faults that wait for their moment.
    pub armed: BTreeSet<(usize, Fault)>,
    /// Links between kits.
    pub links: Vec<Link>,
    /// What came of limited goods.
    pub stall: Stall,
    /// Ordinary goods that kits lease.
    pub leases: Leases,
    /// A grant that a newcomer is about to get, before the hub forgets it.
    pub gift: Option<OpId>,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, swarm: Swarm, planted: Option<Planted>, traced: bool, storages: Storages<'_>) -> Self {
        let nodes = swarm.kits + usize::from(swarm.several.is_some());
        let newcomer = swarm.several.filter(|several| several.newcomer).map(|_| swarm.kits - 1);
        let genesis = Genesis::new(nodes, newcomer);
        let mut kits: Vec<Kit> = (0..nodes).map(|number| Kit::new(number, &genesis)).collect();
        for kit in &mut kits {
            if let Some(storage) = storages(kit.number) {
                kit.keep_on(storage);
            }
        }
        let mut nature = Random::new(seed, 2);
        let near_wrap = nature.chance(300);
        let numbers = if near_wrap { Numbers { receipt: 9_990, trace: 999_990 } } else { Numbers::default() };
        let terminals = swarm.protocols.iter().enumerate();
        let terminals = terminals.map(|(number, protocol)| Terminal::new(number, *protocol, numbers)).collect();
        let lines = traced.then(Vec::new);
        let mut world = World {
            nature,
            people: Random::new(seed, 3),
            mishap: Random::new(seed, 4),
            now_ms: 1_000,
            queue: BTreeMap::new(),
            number: 0,
            terminal_lives: vec![0; nodes],
            kits,
            terminals,
            tills: Vec::new(),
            log: Log { lines, ..Log::default() },
            genesis,
            healing: false,
            planted,
            keys_made: 0,
            gift: None,
            armed: BTreeSet::new(),
            links: Vec::new(),
            stall: Stall::default(),
            leases: Leases::new(seed),
            swarm,
        };
        if world.swarm.several.is_some() {
            world.set_up_several();
        } else {
            (0..world.kits.len()).for_each(|kit| world.set_up(kit));
        }
        if !world.swarm.faults.is_empty() {
            let first = world.mishap.within(1, world.swarm.between_ms);
            world.after(first, Event::Fault);
        }
        world
    }

    /// Puts an event into the queue.
    pub fn after(&mut self, delay_ms: u64, event: Event) {
        self.number += 1;
        self.queue.insert((self.now_ms + delay_ms, self.number), event);
    }

    /// Lets the next event happen; `false` where none is left or all that is left lies behind `until_ms`.
    pub fn step(&mut self, until_ms: u64) -> bool {
        let Some(next) = self.queue.first_entry() else { return false };
        let (at_ms, number) = *next.key();
        if at_ms > until_ms {
            return false;
        }
        let event = next.remove();
        self.now_ms = at_ms;
        if self.is_over(&event) {
            return true;
        }
        self.log.events += 1;
        self.log.add(at_ms);
        self.log.add(number);
        self.happen(event);
        true
    }

    /// Whether an event is for somebody who is no more.
    fn is_over(&self, event: &Event) -> bool {
        match event {
            Event::Close { kit, life }
            | Event::Loaded { kit, life, .. }
            | Event::JournalSynced { kit, life, .. }
            | Event::BoxSynced { kit, life, .. }
            | Event::Durable { kit, life }
            | Event::RowsWritten { kit, life }
            | Event::Start { kit, life } => self.kits[*kit].life != *life,
            Event::KitTick { kit, life, at_ms } => {
                self.kits[*kit].life != *life || self.kits[*kit].tick_ms != Some(*at_ms)
            }
            Event::TerminalTick { kit, at_ms } => self.terminals[*kit].tick_ms != Some(*at_ms),
            Event::TerminalSynced { kit, life } => self.terminal_lives[*kit] != *life,
            Event::ToTerminal { kit, connection, .. } => self.is_broken(*kit, *connection),
            Event::ToKit { kit, connection, life, .. } => {
                self.is_broken(*kit, *connection) || self.kits[*kit].life != *life
            }
            Event::Person { till, turn } => self.tills[*till].turn != *turn,
            Event::Page { till, life } => self.kits[self.tills[*till].kit].life != *life,
            Event::Between(between) => self.is_past(between),
            Event::Ask { .. } | Event::Answered { .. } | Event::Fault | Event::OpenLine { .. } => false,
        }
    }

    fn is_broken(&self, kit: usize, connection: u64) -> bool {
        !self.terminals[kit].up || self.terminals[kit].connection != connection
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { kit, till, key, command, again } => self.ask(kit, till, key, *command, again),
            Event::Answered { till, key, said, two_devices, head } => {
                self.answered(till, &key, said, two_devices, head);
            }
            Event::Close { kit, .. } => {
                self.kits[kit].close_due = false;
                self.close(kit);
            }
            Event::Loaded { kit, input, .. } => {
                self.kits[kit].loading -= 1;
                self.kits[kit].open = true;
                self.feed(kit, *input);
                self.close_soon(kit);
            }
            Event::JournalSynced { kit, end, fails, .. } => {
                if let Some(fault) = self.kits[kit].sync(end, fails) {
                    self.die_of(kit, fault);
                }
            }
            Event::BoxSynced { kit, end, fails, .. } => self.box_synced(kit, end, fails),
            Event::Durable { kit, .. } => self.durable(kit),
            Event::RowsWritten { kit, .. } => {
                if let Some(turn) = self.kits[kit].write_rows() {
                    self.feed(kit, Input::Projected(turn));
                }
            }
            Event::Start { kit, .. } => self.start(kit),
            Event::KitTick { kit, .. } => {
                self.kits[kit].tick_ms = None;
                if self.spins(kit) {
                    return;
                }
                match self.kits[kit].device {
                    Some(device) => self.feed(kit, Input::Device(device, self.now_ms, DeviceInput::Tick)),
                    None => self.feed(kit, Input::Tick(self.now_ms)),
                }
                self.names_what_is_over(kit);
            }
            Event::TerminalTick { kit, .. } => {
                self.terminals[kit].tick_ms = None;
                self.tell_terminal(kit, PeerInput::Tick);
            }
            Event::TerminalSynced { kit, .. } => {
                self.terminals[kit].synced = self.terminals[kit].entries.len();
                self.tell_terminal(kit, PeerInput::Journalled);
            }
            Event::ToTerminal { kit, bytes, .. } => {
                self.log.add_bytes(&bytes);
                self.tell_terminal(kit, PeerInput::Bytes(bytes));
            }
            Event::ToKit { kit, bytes, .. } => {
                self.log.add_bytes(&bytes);
                if let Some(device) = self.kits[kit].device {
                    self.feed(kit, Input::Device(device, self.now_ms, DeviceInput::Bytes(bytes)));
                }
            }
            Event::OpenLine { kit } => self.open_line(kit),
            Event::Person { till, .. } => self.act(till),
            Event::Page { till, .. } => self.tell_head(till),
            Event::Fault => self.go_wrong(),
            Event::Between(between) => self.happen_between(between),
        }
    }

    /// Whether a kit wants to be told of the time again and again although it does not pass: its loop would never end.
    fn spins(&mut self, kit: usize) -> bool {
        let (last_ms, spins) = self.kits[kit].spins;
        let spins = if self.now_ms <= last_ms + 5 { spins + 1 } else { 0 };
        self.kits[kit].spins = (self.now_ms, spins);
        if spins == SPINS_MAX {
            self.log
                .wrong("INV-05", format!("kit {kit} asks for the same moment again and again: its loop never ends"));
        }
        spins >= SPINS_MAX
    }

    /// Whoever was told of the time must not wait for it any more: a shell would ask at once, for as long as it lasts.
    fn names_what_is_over(&mut self, kit: usize) {
        let named = self.kits[kit].engine.as_ref().and_then(fieldkit_engine::Engine::poll_timeout);
        let now_ms = self.now_ms;
        if let Some((at_ms, _)) = named.filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.log.wrong("INV-05", format!("kit {kit} was told that it is {now_ms} ms, and waits for {at_ms} ms"));
        }
    }

    /// Whether a kit reports again and again without anything being written.
    fn repeats_itself(&mut self, kit: usize) -> bool {
        let (ops, reports) = self.kits[kit].reports;
        let now = self.kits[kit].journal.ops.len();
        let reports = if now == ops { reports + 1 } else { 0 };
        self.kits[kit].reports = (now, reports);
        if reports == SPINS_MAX {
            self.log.wrong("INV-05", format!("kit {kit} reports the same again and again: its loop never ends"));
        }
        reports >= SPINS_MAX
    }

    // --- the kit's shell ---

    fn ask(&mut self, kit: usize, till: usize, key: CommandKey, command: Command, again: Again) {
        let now_ms = self.now_ms;
        if self.kits[kit].engine.is_none() {
            return self.log.line(now_ms, || format!("kit {kit} is down: {} goes nowhere", name(&command)));
        }
        self.log.line(now_ms, || format!("kit {kit} till {till} {again:?} {} {:?}", name(&command), key.key.bytes()));
        if again == Again::No {
            let given = Given { kit, key: key.clone(), answers: Vec::new() };
            self.log.given.entry(key.key.clone()).or_insert(given);
        }
        self.kits[kit].tickets += 1;
        let ticket = Ticket(self.kits[kit].tickets);
        self.kits[kit].asked.insert(ticket, (till, key.key.clone()));
        self.hand(kit, ticket, command, self.genesis.owner, key);
    }

    /// Gives a command to the engine.
    pub(crate) fn hand(&mut self, kit: usize, ticket: Ticket, command: Command, actor: Actor, key: CommandKey) {
        let (wall_ms, quality) = self.wall(kit);
        let asked = Asked { command, event: Some(self.genesis.event), actor, key, wall_ms, quality };
        self.kits[kit].open = true;
        self.feed(kit, Input::Command(ticket, Box::new(asked)));
        self.close_soon(kit);
    }

    /// The kit's wall clock, and how far it is to be believed.
    pub fn wall(&mut self, kit: usize) -> (u64, ClockQuality) {
        let wall_ms = (NOON_MS + self.now_ms).saturating_add_signed(self.kits[kit].wall_offset_ms);
        let floor_ms = self.kits[kit].engine.as_ref().map_or(0, |engine| engine.ledger().floor_ms);
        if wall_ms + 300_000 < floor_ms {
            self.log.reached("clock_behind_floor");
            return (wall_ms, ClockQuality::Unverified);
        }
        let confirmed = self.kits[kit].confirmed && wall_ms >= floor_ms;
        (wall_ms, if confirmed { ClockQuality::Confirmed } else { ClockQuality::System })
    }

    pub(crate) fn close_soon(&mut self, kit: usize) {
        let this = &mut self.kits[kit];
        if this.open && !this.close_due {
            this.close_due = true;
            let life = this.life;
            let wait_ms = self.nature.below(3);
            self.after(wait_ms, Event::Close { kit, life });
        }
    }

    fn close(&mut self, kit: usize) {
        let this = &mut self.kits[kit];
        if !this.on_disk.is_empty() && !self.swarm.pipelined {
            // The storage commits one turn at a time; the next waits for it.
            return;
        }
        if this.on_disk.len() > 1 {
            self.log.reached("two_turns_on_their_way");
        }
        this.open = false;
        if self.nature.chance(SIGN_PER_MILLE) {
            self.feed(kit, Input::SignDue);
        }
        self.feed(kit, Input::EndOfBatch);
        self.nothing_to_store(kit);
    }

    /// Feeds the engine and carries out what it wants.
    pub fn feed(&mut self, kit: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(engine) = &mut self.kits[kit].engine else { return };
        engine.tell_time(now_ms);
        engine.handle(input);
        self.pump(kit);
    }

    /// Carries out what the engine wants.
    pub fn pump(&mut self, kit: usize) {
        let mut refold = false;
        while let Some(output) = self.kits[kit].engine.as_mut().and_then(fieldkit_engine::Engine::poll_output) {
            match output {
                Output::Load(load) => {
                    let (input, life) = (self.kits[kit].look_up(&load), self.kits[kit].life);
                    let wait_ms = self.nature.below(self.swarm.load_ms + 1);
                    if wait_ms == 0 {
                        if let Some(engine) = &mut self.kits[kit].engine {
                            engine.handle(input);
                        }
                    } else {
                        self.kits[kit].loading += 1;
                        self.after(wait_ms, Event::Loaded { kit, life, input: Box::new(input) });
                    }
                }
                Output::Append(turn) => self.append(kit, &turn),
                Output::Reply(ticket, answer) => self.reply(kit, ticket, *answer),
                Output::Payments(_) => {}
                Output::Project(projection) => {
                    self.print(kit, &projection.orders);
                    self.project(kit, *projection);
                }
                Output::Tell(name, stream, from, to) => self.tell_witness(kit, name, stream, from, to),
                Output::Refold => refold = true,
                Output::Decide(ticket, _, command, key) => {
                    let now_ms = self.now_ms;
                    self.log.line(now_ms, || format!("kit {kit} reports {command:.180?}"));
                    if !self.repeats_itself(kit) {
                        self.hand(kit, ticket, *command, Actor::Device(Zero), key);
                    }
                }
                Output::Device(_, DeviceOutput::Send(bytes)) => self.carry(kit, Way::ToTerminal, bytes),
                Output::Device(_, DeviceOutput::CloseLink) => self.break_line(kit, REOPEN_MS),
                Output::Device(_, DeviceOutput::Show(shown)) => self.kits[kit].link = shown.link,
            }
        }
        if refold {
            self.log.reached("folded_with_branches");
            self.end_process(kit, 0);
        }
        self.wind(kit);
    }

    /// Sees to it that the engine hears of the time that it waits for.
    fn wind(&mut self, kit: usize) {
        let Some(engine) = &self.kits[kit].engine else { return };
        let watch = engine.poll_watch();
        let Some(at_ms) = engine.poll_timeout().map(|(at_ms, _)| at_ms).into_iter().chain(watch).min() else { return };
        let at_ms = at_ms.max(self.now_ms + 1);
        if self.kits[kit].tick_ms.is_none_or(|known| at_ms < known) {
            self.kits[kit].tick_ms = Some(at_ms);
            let life = self.kits[kit].life;
            self.after(at_ms - self.now_ms, Event::KitTick { kit, life, at_ms });
        }
    }

    fn append(&mut self, kit: usize, turn: &Turn) {
        let entries = self.terminals[kit].entries.len();
        let ops = self.kits[kit].write(turn, self.planted);
        self.print_at_once(kit);
        self.note_leases(kit, &ops);
        self.note_grant(kit, &ops);
        for op in &ops {
            self.log.add_bytes(&op.hash.0[..8]);
            if op.op.kind == PAYMENT_INTENDED {
                self.kits[kit].intended.insert(op.id(), entries);
            }
        }
        let now_ms = self.now_ms;
        self.log.line(now_ms, || {
            let kinds = ops.iter().map(|op| tell(op)).collect::<Vec<_>>();
            format!("kit {kit} writes turn {}: {}", turn.number, kinds.join(", "))
        });
        let slow = self.take_armed(kit, Fault::SlowSync);
        let fails = [Fault::SyncFails, Fault::DiskFull].into_iter().find(|fault| self.take_armed(kit, *fault));
        let box_fails = self.take_armed(kit, Fault::BoxFails);
        let slow_ms = if slow { self.nature.within(1_000, 6_000) } else { 0 };
        let journal_ms = self.nature.within(1, self.swarm.sync_ms) + slow_ms;
        let box_ms = self.nature.within(1, self.swarm.box_ms);
        let this = &mut self.kits[kit];
        let Some(way) = this.on_disk.back().copied() else { return };
        let life = this.life;
        let done = |free_ms: &mut u64, takes_ms: u64| {
            *free_ms = (*free_ms).max(now_ms) + takes_ms;
            *free_ms
        };
        let journal_at = done(&mut this.free_ms[0], journal_ms);
        let box_at = way.box_end.map(|_| done(&mut this.free_ms[1], box_ms));
        let both = journal_at.max(box_at.unwrap_or(0).min(now_ms + BOX_WAIT_MS));
        let durable_at = both.max(this.free_ms[2]);
        this.free_ms[2] = durable_at;
        let durable_at = if self.planted == Some(Planted::SkipSync) { now_ms } else { durable_at };
        self.after(journal_at - now_ms, Event::JournalSynced { kit, life, end: way.end, fails });
        if let (Some(end), Some(at)) = (way.box_end, box_at) {
            self.after(at - now_ms, Event::BoxSynced { kit, life, end, fails: box_fails });
        }
        self.after(durable_at - now_ms, Event::Durable { kit, life });
    }

    fn box_synced(&mut self, kit: usize, end: usize, fails: bool) {
        let this = &mut self.kits[kit];
        if fails {
            this.box_behind = true;
            for turn in &mut this.on_disk {
                turn.box_end = None;
            }
            self.log.reached("box_behind");
            self.box_left(kit);
        } else if !this.box_behind {
            this.black_box.sync(end);
            self.box_holds(kit);
        }
    }

    fn durable(&mut self, kit: usize) {
        self.box_holds(kit);
        self.feed(kit, Input::Synced);
        self.kits[kit].on_disk.pop_front();
        self.stored(kit);
        self.close_soon(kit);
    }

    fn reply(&mut self, kit: usize, ticket: Ticket, answer: Answer) {
        let Some((till, key)) = self.kits[kit].asked.remove(&ticket) else { return };
        if answer.repeated {
            self.log.reached("answer_repeated");
        }
        let said = match &answer.result {
            Ok(Outcome::Order(order)) => Said::Order(order.order_id, order.state().text(), order.sale.total),
            Ok(_) => Said::Done,
            Err(refusal) => Said::Refused(refusal.code().to_owned()),
        };
        let this = &self.kits[kit];
        let box_has_it = this.on_disk.front().and_then(|way| way.box_end);
        let two_devices = !this.box_behind && this.black_box.synced >= box_has_it.unwrap_or(this.black_box.ops.len());
        let stream = this.engine.as_ref().map(fieldkit_engine::Engine::newest_stream);
        let head = stream.and_then(|stream| Some((stream, this.journal.synced_head(&stream)?)));
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("kit {kit} answers till {till} {:?}: {said:?}", key.bytes()));
        let lost = self.swarm.giver(Fault::LoseAnswer);
        if self.people.chance(lost) {
            return self.log.fault(Fault::LoseAnswer);
        }
        let way_ms = self.nature.within(1, 20);
        if matches!(said, Said::Order(..))
            && let Some(row) = self.kits[kit].journal.late_turn_of(&key)
            && self.take_armed(kit, Fault::DiskForgets)
        {
            // The moment is short, and chance alone would hardly hit it.
            let life = self.kits[kit].life;
            self.after(1, Event::Between(Between::Forget { kit, life, row }));
        }
        self.after(way_ms, Event::Answered { till, key, said, two_devices, head });
    }

    fn project(&mut self, kit: usize, projection: fieldkit_engine::Projection) {
        let snapshots = self.swarm.snapshot_ops;
        let this = &mut self.kits[kit];
        let row = this.journal.ops.len();
        // The ledger holds only what is durable where nothing is open and this turn is the last on its way.
        let whole = !this.open && this.on_disk.len() <= 1 && this.loading == 0;
        let due = whole && row >= this.snapshot_row + snapshots;
        let taken = |engine: &fieldkit_engine::Engine| {
            let hash = this.journal.ops.last().map(|op| op.hash).unwrap_or_default();
            (row, hash, engine.ledger().state_bytes())
        };
        let snapshot = this.engine.as_ref().filter(|_| due).map(taken);
        if snapshot.is_some() {
            this.snapshot_row = row;
        }
        this.rows.push_back(Rows { projection, snapshot });
        let lag_ms = self.nature.below(self.swarm.lag_ms + 1);
        let at_ms = self.kits[kit].free_ms[3].max(self.now_ms + lag_ms);
        self.kits[kit].free_ms[3] = at_ms;
        let life = self.kits[kit].life;
        self.after(at_ms - self.now_ms, Event::RowsWritten { kit, life });
    }

    fn start(&mut self, kit: usize) {
        let planted = self.planted;
        let started = self.kits[kit].start(planted);
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("kit {kit} starts: {started:?}"));
        self.log.reached(if started.from_snapshot { "state_from_snapshot" } else { "state_folded_anew" });
        if started.adopted > 0 {
            self.log.reached("box_adopted");
        }
        if started.refilled > 0 {
            self.log.reached("box_refilled");
        }
        if let Some(op) = started.contradiction {
            self.log.wrong("INV-28", format!("journal and box of kit {kit} have op {op} differently"));
        }
        self.go_on(kit);
        if self.kits[kit].engine.is_none() {
            return;
        }
        self.begin_watch(kit);
        self.attach(kit);
        let at_kit = |till: &usize| self.swarm.pages && self.tills[*till].kit == kit;
        let pages: Vec<usize> = (0..self.tills.len()).filter(at_kit).collect();
        for till in pages {
            let wait_ms = self.people.within(1, 4_000);
            let life = self.kits[kit].life;
            self.after(wait_ms, Event::Page { till, life });
        }
    }

    /// What a start does before anything else: a key that is older than the journal is given up, and what a new key is
    /// owed is written.
    fn go_on(&mut self, kit: usize) {
        if let Some(noticed) = self.kits[kit].engine.as_ref().and_then(fieldkit_engine::Engine::key_went_back) {
            // Of two copies of one kit, the one goes on under a new key, and the other hears of it.
            let alone = self.swarm.several.is_none();
            if alone && !self.log.put_back.iter().any(|put_back| put_back.kit == kit) {
                self.log
                    .wrong("INV-27", format!("kit {kit} believes that its key went back, and nothing was put back"));
            }
            self.log.reached("key_went_back");
            return self.follow(kit, noticed);
        }
        let (wall_ms, quality) = self.wall(kit);
        let this = &mut self.kits[kit];
        let (Some(engine), Some(succession)) = (&mut this.engine, &this.succession) else { return };
        if engine.complete(succession, wall_ms, quality) {
            self.log.reached("succession_completed");
            self.close(kit);
        }
    }

    /// Goes on as a new replica.
    pub(crate) fn follow(&mut self, kit: usize, noticed: RollbackNoticed) {
        if matches!(self.planted, Some(Planted::SameReplica | Planted::PlainEscrow)) {
            return;
        }
        self.log.reached("roll_back_noticed");
        self.log.told.push(Told { kit, noticed: noticed.clone() });
        self.keys_made += 1;
        let (wall_ms, quality) = self.wall(kit);
        self.kits[kit].follow(self.keys_made, noticed, wall_ms, quality);
        self.kits[kit].followed_ms = Some(self.now_ms);
        self.close(kit);
        self.followed(kit);
        // The moment is short, and chance alone would seldom hit it.
        if self.swarm.faults.iter().any(|(fault, _)| *fault == Fault::Kill) && self.mishap.chance(KILL_NEW_PER_MILLE) {
            self.kill(kit);
        }
    }

    /// Works the terminal from now on.
    pub fn attach(&mut self, kit: usize) {
        let driver = self.terminals[kit].driver();
        let this = &mut self.kits[kit];
        if let (Some(device), Some(engine)) = (this.device, &mut this.engine) {
            engine.add_terminal(device, driver);
        }
        self.open_soon(kit, REOPEN_MS);
        self.pump(kit);
    }

    /// The process ends; another one starts.
    pub fn end_process(&mut self, kit: usize, down_ms: u64) {
        self.kits[kit].stop();
        self.close_links(kit);
        if self.terminals[kit].up {
            self.terminals[kit].up = false;
            self.tell_terminal(kit, PeerInput::LinkDown);
        }
        let life = self.kits[kit].life;
        self.after(START_MS + down_ms, Event::Start { kit, life });
    }

    /// Whether the kit shows that its terminal takes cards.
    pub fn takes_cards(&self, kit: usize) -> bool {
        self.kits[kit].link == fieldkit_engine::Link::Ready
    }

    /// Orders of a kit that wait for something, as the kit shows them.
    pub fn open_orders(&self, kit: usize) -> Vec<OpId> {
        let events = self.kits[kit].engine.as_ref().map(|engine| engine.ledger().events.values());
        events.into_iter().flatten().flat_map(|event| event.open_orders.iter().copied()).collect()
    }
}

/// What an op says, in short.
fn tell(op: &SealedOp) -> String {
    match Body::open(op.op.kind, &op.op.body) {
        Ok(Body::PaymentMoved(body)) => {
            let step = format!("{:?}", body.step);
            format!("payment {} {}", body.payment.seq, step.chars().take(90).collect::<String>())
        }
        Ok(Body::PaymentIntended(body)) => format!("payment {} intended over {}", op.op.seq, body.amount),
        Ok(Body::OrderPaid(body)) => format!("order {} paid", body.order.seq),
        _ => Body::name(op.op.kind).to_owned(),
    }
}

/// What a command is called.
pub fn name(command: &Command) -> String {
    let text = format!("{command:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_told_by_their_number_are_those_in_the_table() {
        assert_eq!(Body::name(PAYMENT_INTENDED), "PaymentIntended");
    }
}
