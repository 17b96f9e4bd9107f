//! What goes wrong: processes, power, disks, lines, clocks, terminals.
//!
//! Promises: each fault is written into the injector's log with what it destroyed; a fault that needs a moment of its own
//! (a sync, a byte) waits armed for it.
//! Absent on purpose: which kinds a seed has (`swarm`).

use crate::genesis::NOON_MS;
use crate::log::PutBack;
use crate::storage::End;
use crate::swarm::Fault;
use crate::world::{Event, World};
use fieldkit_drivers::terminal_peer::{Fault as PeerFault, PeerInput};

/// How far a clock may jump.
const JUMPS_MS: [i64; 6] = [90_000, 600_000, 3_600_000, 259_200_000, 34_560_000_000, 315_360_000_000];
/// Keys that a seed may use up before nothing is put back any more: each roll-back that is noticed takes one, at each kit
/// by its journal and by a page.
const KEYS_MAX: u8 = 240;
/// What happens between kits.
const BETWEEN: &[Fault] = &[
    Fault::CutLink,
    Fault::BadFrame,
    Fault::RestoreHub,
    Fault::Clone,
    Fault::LoseKit,
    Fault::LosePage,
    Fault::PageSleeps,
    Fault::MuteLink,
    Fault::HubForgets,
];

impl World {
    /// Something goes wrong, and the next thing is due.
    pub(crate) fn go_wrong(&mut self) {
        if self.swarm.faults.is_empty() {
            return;
        }
        let weights: Vec<u64> = self.swarm.faults.iter().map(|(_, weight)| *weight).collect();
        let fault = self.swarm.faults[self.mishap.weighed(&weights)].0;
        let kit = self.mishap.place(self.kits.len());
        let next_ms = self.mishap.within(1, self.swarm.between_ms * 2);
        self.after(next_ms, Event::Fault);
        // What a kit is made of stands first.
        if self.kits[kit].device.is_none() && self.swarm.several.is_none() {
            return;
        }
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("FAULT {} at kit {kit}", fault.word()));
        self.inject(kit, fault);
    }

    fn inject(&mut self, kit: usize, fault: Fault) {
        if self.kits[kit].gone {
            return;
        }
        let runs = self.kits[kit].engine.is_some();
        match fault {
            Fault::Kill if runs => self.kill(kit),
            Fault::StateLost if runs => {
                self.log.fault(fault);
                self.kits[kit].state = crate::disk::State::default();
                self.tear(kit);
            }
            Fault::PowerCut => {
                self.log.fault(fault);
                self.note_gate(kit);
                let lost = self.kits[kit].lose_power(&mut self.mishap);
                self.lost(lost);
                let down_ms = self.mishap.below(10_000);
                self.end_process(kit, down_ms);
            }
            // Nobody puts the hub back without saying so.
            Fault::Restore if self.swarm.several.is_some() && kit == self.hub() => {}
            Fault::Restore | Fault::RestoreBoth => self.put_back(kit, fault),
            Fault::TerminalPower => self.cut_terminal(kit),
            Fault::CutLine if self.terminals[kit].up => {
                self.log.fault(fault);
                let outage_ms = self.mishap.within(100, 8_000);
                self.break_line(kit, outage_ms);
            }
            Fault::LoseBytes
            | Fault::SyncFails
            | Fault::DiskFull
            | Fault::SlowSync
            | Fault::BoxFails
            | Fault::DiskForgets
                if runs =>
            {
                self.armed.insert((kit, fault));
            }
            Fault::Clock => {
                self.log.fault(fault);
                let by_ms = *self.mishap.pick(&JUMPS_MS);
                let offset_ms = &mut self.kits[kit].wall_offset_ms;
                *offset_ms = match self.mishap.below(3) {
                    0 => 0,
                    1 => (*offset_ms + by_ms).min(JUMPS_MS[5]),
                    _ => (*offset_ms - by_ms).max(-JUMPS_MS[5]),
                };
            }
            Fault::Terminal => {
                self.log.fault(fault);
                let fault = self.peer_fault();
                self.tell_terminal(kit, PeerInput::Fault(fault));
            }
            Fault::ByHand => {
                self.log.fault(fault);
                let minor = i64::try_from(self.mishap.within(1, 60)).unwrap_or(1) * 50;
                self.tell_terminal(kit, PeerInput::Fault(PeerFault::Foreign(minor)));
            }
            _ if BETWEEN.contains(&fault) => self.inject_between(kit, fault),
            _ => {}
        }
    }

    /// The process ends at once.
    pub(crate) fn kill(&mut self, kit: usize) {
        self.log.fault(Fault::Kill);
        self.tear(kit);
    }

    /// The process ends while it writes: the last turn may be torn on either device.
    fn tear(&mut self, kit: usize) {
        let black_box = self.mishap.chance(500);
        let on_storage = self.kits[kit].end_on_storage(End::Killed);
        let mut lost = on_storage.unwrap_or_else(|| self.kits[kit].journal.tear(&mut self.mishap));
        if black_box {
            lost += self.kits[kit].black_box.tear(&mut self.mishap);
        }
        self.lost(lost);
        self.note_gate(kit);
        let down_ms = self.mishap.below(2_000);
        self.end_process(kit, down_ms);
    }

    fn lost(&mut self, lost: usize) {
        if lost > 0 {
            self.log.reached("journal_lost_tail");
        }
    }

    fn peer_fault(&mut self) -> PeerFault {
        let few = u32::try_from(self.mishap.within(1, 3)).unwrap_or(1);
        let minor = i64::try_from(self.mishap.within(1, 4_000)).unwrap_or(1);
        match self.mishap.below(16) {
            0 | 1 => PeerFault::Decline(0x6c),
            2 => PeerFault::Abort,
            3 => PeerFault::Late(self.mishap.within(1, 20_000)),
            4 => PeerFault::WrongAmount(minor),
            5 => PeerFault::Partial(minor),
            6 => PeerFault::Offline,
            7 => PeerFault::Busy(few),
            8 => PeerFault::CardInserted(few),
            9 => PeerFault::RepeatApproval,
            10 => PeerFault::BadChecksum(few),
            11 => PeerFault::Nak(few),
            12 => PeerFault::Garbage(few * 9),
            13 => PeerFault::CutAfter(self.mishap.within(1, 120)),
            14 => PeerFault::CutAfterReceived(self.mishap.within(1, 60)),
            _ => PeerFault::WrongCurrency(840),
        }
    }

    /// The terminal loses power; what it was writing may be gone.
    fn cut_terminal(&mut self, kit: usize) {
        self.log.fault(Fault::TerminalPower);
        let gone = self.mishap.chance(500);
        let terminal = &mut self.terminals[kit];
        if gone {
            terminal.entries.truncate(terminal.synced);
        }
        let open = terminal.restart();
        self.terminal_lives[kit] += 1;
        if open {
            self.log.reached("terminal_restarted_open");
        }
        self.tell_terminal(kit, PeerInput::Tick);
        let outage_ms = self.mishap.within(1_000, 8_000);
        self.break_line(kit, outage_ms);
    }

    /// The first time a copy of the disk is made; the next time it is put back.
    pub(crate) fn put_back(&mut self, kit: usize, fault: Fault) {
        let entries = self.terminals[kit].entries.len();
        let Some(image) = self.kits[kit].image.take().filter(|_| self.keys_made < KEYS_MAX) else {
            return self.kits[kit].copy_disk(entries);
        };
        self.log.fault(fault);
        let both = match self.swarm.several {
            None => fault == Fault::RestoreBoth,
            Some(_) => kit == self.hub() || !self.kits[kit].box_apart,
        };
        let from = image.entries;
        self.kits[kit].lose_power(&mut self.mishap);
        let noticed = self.kits[kit].succession.as_ref().map(|succession| succession.noticed.clone());
        let destroyed = self.kits[kit].put_back(image, both);
        let destroyed = self.without_copies(kit, destroyed);
        (self.kits[kit].was_open, self.kits[kit].restored) = (false, kit == self.hub());
        if !destroyed.is_empty() {
            self.log.reached("only_copy_destroyed");
        }
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("kit {kit} is put back; {} ops have no copy left", destroyed.len()));
        let at_s = (NOON_MS + now_ms) / 1_000;
        self.log.put_back.push(PutBack { kit, destroyed, noticed, entries: from, at_s, both });
        let down_ms = self.mishap.below(20_000);
        self.end_process(kit, down_ms);
    }

    /// Power goes, and what stood behind so many ops is not there, durable as it was called; nor is it in a box on the same
    /// disk.
    pub(crate) fn forget(&mut self, kit: usize, row: usize) {
        let this = &mut self.kits[kit];
        let both = !this.box_apart;
        let destroyed = this.forget(row, both);
        let noticed = this.succession.as_ref().map(|succession| succession.noticed.clone());
        let destroyed = self.without_copies(kit, destroyed);
        let (entries, at_s) = (self.terminals[kit].entries.len(), (NOON_MS + self.now_ms) / 1_000);
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("the disk of kit {kit} forgets; {} ops have no copy left", destroyed.len()));
        self.log.put_back.push(PutBack { kit, destroyed, noticed, entries, at_s, both });
        self.note_gate(kit);
        let down_ms = self.mishap.below(10_000);
        self.end_process(kit, down_ms);
    }

    /// The process ends because its disk failed.
    pub(crate) fn die_of(&mut self, kit: usize, fault: Fault) {
        let full = fault == Fault::DiskFull;
        self.log.reached(if full { "died_of_full_disk" } else { "died_of_sync" });
        if self.kits[kit].end_on_storage(End::Failed).is_none() {
            match full {
                // Nothing of the turn was written to the journal; the box has it, or not.
                true => self.kits[kit].journal.lose_all(),
                false => self.kits[kit].journal.lose(&mut self.mishap),
            };
        }
        let now_ms = self.now_ms;
        self.log.line(now_ms, || format!("kit {kit} dies: {}", fault.word()));
        self.end_process(kit, 0);
    }

    /// Whether a fault waited for this moment.
    pub(crate) fn take_armed(&mut self, kit: usize, fault: Fault) -> bool {
        let armed = self.armed.remove(&(kit, fault));
        if armed {
            self.log.fault(fault);
        }
        armed
    }

    /// No more faults; what is broken heals.
    pub fn heal(&mut self) {
        self.healing = true;
        self.swarm.heal();
        self.armed.clear();
        for kit in 0..self.kits.len() {
            self.tell_terminal(kit, PeerInput::Fault(PeerFault::Speak));
        }
        self.heal_between();
        for till in 0..self.tills.len() {
            let wait_ms = self.people.within(1, 1_000);
            self.wake(till, wait_ms);
        }
    }
}
