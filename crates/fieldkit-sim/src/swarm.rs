//! What a seed has: how many kits, how its disks and lines are, which faults happen to it and how often.
//!
//! Promises: a function of the seed and of the kinds of faults that are let in; a kind that is left out changes nothing
//! about the others. One seed in five is calm, one in five is long-suffering: every kind, often.
//! Absent on purpose: when a fault happens (`world`).

use crate::random::Random;

/// A kind of fault that is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The kit's process is killed; what it wrote stays in the cache of the system.
    Kill,
    /// The kit loses power: what was not synced may be lost, on each device by itself.
    PowerCut,
    /// The terminal loses power.
    TerminalPower,
    /// The line between them breaks for a while.
    CutLine,
    /// Bytes on the line are lost.
    LoseBytes,
    /// The journal's sync fails: the process ends.
    SyncFails,
    /// The journal's disk is full: the process ends.
    DiskFull,
    /// A sync takes seconds.
    SlowSync,
    /// The black box fails until the next start.
    BoxFails,
    /// The kit's disk is put back to an earlier state; the black box is on another.
    Restore,
    /// Disk and box are put back together.
    RestoreBoth,
    /// The wall clock jumps.
    Clock,
    /// A command comes again under its key.
    Repeat,
    /// A key comes again with something else.
    KeyReused,
    /// An answer never reaches who asked.
    LoseAnswer,
    /// Who asked walks away.
    Abandon,
    /// The terminal says no, stops, is late, busy, charges something else.
    Terminal,
    /// Somebody charges a card at the terminal by hand.
    ByHand,
    /// The state on disk is lost.
    StateLost,
    /// The link between a kit and the hub breaks, and stays away for a while.
    CutLink,
    /// A frame between two kits is lost, comes twice, late, or damaged.
    BadFrame,
    /// The hub is put back to a backup, and whoever does it says so.
    RestoreHub,
    /// A kit's disk is copied into a spare box, and both run.
    Clone,
    /// A kit is gone for good.
    LoseKit,
    /// A page's device is gone, with all that it remembered; another one is opened.
    LosePage,
    /// A page hears nothing for a while, and nobody is told.
    PageSleeps,
    /// A link carries nothing any more, which nobody notices before it was silent for long.
    MuteLink,
    /// Power goes when an answer has just left, and the disk forgets the turn that it had said was durable.
    DiskForgets,
    /// The hub is put back when a kit that its backup does not know has just got goods, and that kit goes out of reach.
    HubForgets,
}

/// All kinds with their words.
pub const FAULTS: &[(Fault, &str)] = &[
    (Fault::Kill, "kill"),
    (Fault::PowerCut, "power_cut"),
    (Fault::TerminalPower, "terminal_power"),
    (Fault::CutLine, "cut_line"),
    (Fault::LoseBytes, "lose_bytes"),
    (Fault::SyncFails, "sync_fails"),
    (Fault::DiskFull, "disk_full"),
    (Fault::SlowSync, "slow_sync"),
    (Fault::BoxFails, "box_fails"),
    (Fault::Restore, "restore"),
    (Fault::RestoreBoth, "restore_both"),
    (Fault::Clock, "clock"),
    (Fault::Repeat, "repeat"),
    (Fault::KeyReused, "key_reused"),
    (Fault::LoseAnswer, "lose_answer"),
    (Fault::Abandon, "abandon"),
    (Fault::Terminal, "terminal"),
    (Fault::ByHand, "by_hand"),
    (Fault::StateLost, "state_lost"),
    (Fault::CutLink, "cut_link"),
    (Fault::BadFrame, "bad_frame"),
    (Fault::RestoreHub, "restore_hub"),
    (Fault::Clone, "clone"),
    (Fault::LoseKit, "lose_kit"),
    (Fault::LosePage, "lose_page"),
    (Fault::PageSleeps, "page_sleeps"),
    (Fault::MuteLink, "mute_link"),
    (Fault::DiskForgets, "disk_forgets"),
    (Fault::HubForgets, "hub_forgets"),
];

/// Faults that kits without others can have.
const ALONE: usize = 19;
/// Faults of kits with others: those of their own disks and people, and those between them, with the weights of the rare.
const SEVERAL: &[(Fault, u64)] = &[
    (Fault::Kill, 6),
    (Fault::PowerCut, 12),
    (Fault::SyncFails, 3),
    (Fault::SlowSync, 4),
    (Fault::BoxFails, 3),
    (Fault::StateLost, 2),
    (Fault::Restore, 20),
    (Fault::CutLink, 20),
    (Fault::BadFrame, 8),
    (Fault::RestoreHub, 4),
    (Fault::Clone, 3),
    (Fault::LoseKit, 1),
    (Fault::LosePage, 3),
    (Fault::PageSleeps, 3),
    (Fault::MuteLink, 4),
    (Fault::Repeat, 2),
    (Fault::LoseAnswer, 2),
    (Fault::Abandon, 1),
    (Fault::DiskForgets, 3),
];

impl Fault {
    /// Its word.
    pub fn word(self) -> &'static str {
        FAULTS.iter().find(|(fault, _)| *fault == self).map_or("", |(_, word)| word)
    }

    /// Of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        FAULTS.iter().find(|(_, known)| *known == word).map(|(fault, _)| *fault)
    }

    /// Whether somebody gives it: such a fault happens at what a till does, the others by themselves.
    fn is_giver(self) -> bool {
        matches!(self, Fault::Repeat | Fault::KeyReused | Fault::LoseAnswer | Fault::Abandon)
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    /// Every kind.
    pub const ALL: Kinds = Kinds(u32::MAX);

    /// Whether `fault` is in it.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & bit(fault) != 0
    }

    /// These kinds and no others.
    pub fn only(faults: &[Fault]) -> Self {
        Kinds(faults.iter().fold(0, |kinds, fault| kinds | bit(*fault)))
    }

    /// Without `fault`.
    #[must_use]
    pub fn without(self, fault: Fault) -> Self {
        Kinds(self.0 & !bit(fault))
    }

    /// The words of what is left out.
    pub fn left_out(self) -> Vec<&'static str> {
        FAULTS.iter().filter(|(fault, _)| !self.has(*fault)).map(|(_, word)| *word).collect()
    }
}

fn bit(fault: Fault) -> u32 {
    FAULTS.iter().position(|(known, _)| *known == fault).map_or(0, |place| 1 << place)
}

/// How a terminal speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ZVT over TCP.
    ZvtTcp,
    /// ZVT over a serial line.
    ZvtSerial,
    /// Telium: it cannot tell its last transaction.
    Telium,
}

/// How bad a seed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// No faults at all.
    Calm,
    /// Some kinds.
    Mixed,
    /// Every kind.
    Wild,
}

/// What a seed has.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// How bad it is.
    pub temper: Temper,
    /// How many kits.
    pub kits: usize,
    /// Tills at each.
    pub tills: usize,
    /// How the terminal of each kit speaks.
    pub protocols: Vec<Protocol>,
    /// Whether turns are given to the disk while one is on its way.
    pub pipelined: bool,
    /// Whether pages tell the kit what they saw when it is back.
    pub pages: bool,
    /// Longest sync of a journal.
    pub sync_ms: u64,
    /// Longest sync of a box.
    pub box_ms: u64,
    /// Longest lag of the rows behind the journal.
    pub lag_ms: u64,
    /// Longest lookup of a row.
    pub load_ms: u64,
    /// Ops between two snapshots of the state.
    pub snapshot_ops: usize,
    /// Longest way of bytes.
    pub line_ms: u64,
    /// Longest pause of a person.
    pub pause_ms: u64,
    /// In a thousand: cards among the buyers.
    pub cards: u64,
    /// In a thousand: deeds that are no sale.
    pub deeds: u64,
    /// Faults that happen by themselves and their weights.
    pub faults: Vec<(Fault, u64)>,
    /// Mean time between two of them.
    pub between_ms: u64,
    /// In a thousand, by giver's fault.
    giver: Vec<(Fault, u64)>,
    /// What kits with a hub have, where they have one.
    pub several: Option<Several>,
}

/// What kits with a hub have.
#[derive(Clone, Copy, Debug)]
pub struct Several {
    /// Units of the limited item.
    pub units: i64,
    /// Units from which down a kit asks for more.
    pub low: i64,
    /// How many it asks for.
    pub batch: u32,
    /// Longest way of a frame.
    pub frame_ms: u64,
    /// Longest time that a link is away.
    pub outage_ms: u64,
    /// How soon the ends of streams are signed for others.
    pub sign_ms: u64,
    /// When the last of the kits comes.
    pub late_ms: u64,
    /// Whether nobody has heard of that one before.
    pub newcomer: bool,
}

impl Swarm {
    /// Draws what `seed` has, of the kinds that are let in.
    pub fn drawn(seed: u64, kinds: Kinds) -> Self {
        let mut random = Random::new(seed, 1);
        let temper = match random.below(5) {
            0 => Temper::Calm,
            1 => Temper::Wild,
            _ => Temper::Mixed,
        };
        let kits = 1 + random.weighed(&[5, 3, 1]);
        let mut protocols = Vec::new();
        for _ in 0..kits {
            protocols.push([Protocol::ZvtTcp, Protocol::ZvtSerial, Protocol::Telium][random.weighed(&[5, 3, 2])]);
        }
        let (mut faults, mut giver) = (Vec::new(), Vec::new());
        for (fault, _) in &FAULTS[..ALONE] {
            // Both draws are made for every kind, so that a kind that is left out leaves the others where they were.
            let (on, weight) = (random.chance(450), random.within(1, 20));
            let on = match temper {
                Temper::Calm => false,
                Temper::Mixed => on,
                Temper::Wild => true,
            };
            if on && kinds.has(*fault) {
                let list = if fault.is_giver() { &mut giver } else { &mut faults };
                list.push((*fault, weight * if fault.is_giver() { 4 } else { 1 }));
            }
        }
        Swarm {
            temper,
            kits,
            tills: 1 + random.place(3),
            protocols,
            pipelined: random.chance(300),
            pages: random.chance(700),
            sync_ms: *random.pick(&[4, 15, 60]),
            box_ms: *random.pick(&[4, 30, 400]),
            lag_ms: *random.pick(&[1, 50, 3_000]),
            load_ms: *random.pick(&[0, 0, 8]),
            snapshot_ops: *random.pick(&[32, 128, 512]),
            line_ms: *random.pick(&[2, 20, 300]),
            pause_ms: *random.pick(&[500, 5_000, 20_000]),
            cards: *random.pick(&[100, 300, 500]),
            deeds: *random.pick(&[100, 250, 400]),
            faults,
            between_ms: *random.pick(&[4_000, 15_000, 60_000]),
            giver,
            several: None,
        }
    }

    /// Draws what `seed` has, where its kits have a hub.
    pub fn several(seed: u64, kinds: Kinds) -> Self {
        let mut random = Random::new(seed, 5);
        let base = Swarm::drawn(seed, kinds);
        let kits = 2 + random.weighed(&[4, 4, 2]);
        let (mut faults, mut giver) = (Vec::new(), Vec::new());
        for (fault, weight) in SEVERAL {
            let (on, times) = (random.chance(600), random.within(1, 3));
            let on = match base.temper {
                Temper::Calm => false,
                Temper::Mixed => on,
                Temper::Wild => true,
            };
            if on && kinds.has(*fault) {
                let list = if fault.is_giver() { &mut giver } else { &mut faults };
                list.push((*fault, weight * times * if fault.is_giver() { 4 } else { 1 }));
            }
        }
        let mut several = Several {
            units: i64::try_from(random.within(60, 600)).unwrap_or(100),
            low: i64::try_from(random.within(3, 6)).unwrap_or(3),
            batch: u32::try_from(random.within(6, 14)).unwrap_or(6),
            frame_ms: *random.pick(&[2, 20, 200]),
            outage_ms: *random.pick(&[5_000, 60_000, 600_000]),
            sign_ms: *random.pick(&[1_000, 4_000, 10_000]),
            late_ms: 0,
            newcomer: false,
        };
        let (between_ms, pause_ms) = (*random.pick(&[10_000, 30_000, 120_000]), *random.pick(&[8_000, 20_000]));
        if random.chance(300) {
            several.late_ms = random.within(20_000, 300_000);
        }
        Swarm {
            kits,
            tills: 1 + random.place(2),
            protocols: vec![Protocol::ZvtTcp; kits + 1],
            pages: true,
            cards: 0,
            between_ms,
            pause_ms,
            faults,
            giver,
            several: Some(several),
            ..base
        }
    }

    /// Only these faults, often, and one kit that comes late: worlds in which a rule is on trial. No faults change nothing.
    pub fn try_rule(&mut self, faults: &[(Fault, u64)]) {
        let Some(several) = self.several.as_mut().filter(|_| !faults.is_empty()) else { return };
        several.late_ms = several.late_ms.max(60_000);
        several.newcomer = faults.iter().any(|(fault, _)| *fault == Fault::HubForgets);
        (self.faults, self.between_ms) = (faults.to_vec(), 10_000);
        self.giver.clear();
    }

    /// In how many of a thousand cases a giver's fault happens.
    pub fn giver(&self, fault: Fault) -> u64 {
        self.giver.iter().find(|(known, _)| *known == fault).map_or(0, |(_, rate)| *rate)
    }

    /// The same without faults: what is broken heals.
    pub fn heal(&mut self) {
        self.faults.clear();
        self.giver.clear();
    }
}
