//! The line between a kit and its terminal: bytes on their way, and what becomes of them.
//!
//! Promises: bytes of one way arrive in their order; what was under way when a line broke reaches nobody.
//! Absent on purpose: what the bytes say (`fieldkit-drivers`), and when a line breaks (`faults`).

use crate::swarm::Fault;
use crate::world::{Event, REOPEN_MS, World};
use fieldkit_drivers::terminal_peer::{PeerInput, PeerOutput};
use fieldkit_engine::{DeviceInput, Input};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToTerminal,
    ToKit,
}

impl World {
    pub(crate) fn carry(&mut self, kit: usize, way: Way, bytes: Vec<u8>) {
        if !self.terminals[kit].up {
            return;
        }
        let (now_ms, connection, life) = (self.now_ms, self.terminals[kit].connection, self.kits[kit].life);
        let mut bytes = bytes;
        if self.terminals[kit].is_serial() && self.take_armed(kit, Fault::LoseBytes) {
            let at = self.mishap.place(bytes.len() + 1);
            bytes.truncate(at);
            self.log.line(now_ms, || format!("line {kit}: bytes are lost behind the first {at}"));
        }
        let way_ms = self.nature.within(1, self.swarm.line_ms);
        let free_ms = &mut self.terminals[kit].free_ms[way as usize];
        let at_ms = (*free_ms).max(now_ms + way_ms);
        *free_ms = at_ms;
        self.after(
            at_ms - now_ms,
            match way {
                Way::ToTerminal => Event::ToTerminal { kit, connection, bytes },
                Way::ToKit => Event::ToKit { kit, connection, life, bytes },
            },
        );
    }

    /// The line breaks; both ends notice, and it is opened again.
    pub fn break_line(&mut self, kit: usize, outage_ms: u64) {
        let now_ms = self.now_ms;
        self.terminals[kit].broken_until_ms = self.terminals[kit].broken_until_ms.max(now_ms + outage_ms);
        if std::mem::take(&mut self.terminals[kit].up) {
            self.log.line(now_ms, || format!("line {kit} breaks"));
            self.tell_terminal(kit, PeerInput::LinkDown);
            if let Some(device) = self.kits[kit].device {
                self.feed(kit, Input::Device(device, now_ms, DeviceInput::LinkDown));
            }
        }
        self.open_soon(kit, outage_ms.max(REOPEN_MS));
    }

    pub(crate) fn open_soon(&mut self, kit: usize, wait_ms: u64) {
        if !self.terminals[kit].opening {
            self.terminals[kit].opening = true;
            self.after(wait_ms, Event::OpenLine { kit });
        }
    }

    pub(crate) fn open_line(&mut self, kit: usize) {
        let now_ms = self.now_ms;
        self.terminals[kit].opening = false;
        if self.terminals[kit].up {
            return;
        }
        let Some(device) = self.kits[kit].device.filter(|_| self.kits[kit].engine.is_some()) else { return };
        let broken_until_ms = self.terminals[kit].broken_until_ms;
        if broken_until_ms > now_ms {
            return self.open_soon(kit, broken_until_ms - now_ms);
        }
        self.terminals[kit].up = true;
        self.terminals[kit].connection += 1;
        self.terminals[kit].free_ms = [now_ms; 2];
        self.tell_terminal(kit, PeerInput::LinkUp);
        self.feed(kit, Input::Device(device, now_ms, DeviceInput::LinkUp));
    }

    /// Tells a terminal something, and carries out what it wants.
    pub fn tell_terminal(&mut self, kit: usize, input: PeerInput) {
        self.terminals[kit].peer.handle(self.now_ms, input);
        while let Some(output) = self.terminals[kit].peer.poll_output() {
            match output {
                PeerOutput::Send(bytes) => self.carry(kit, Way::ToKit, bytes),
                PeerOutput::CloseLink => self.break_line(kit, REOPEN_MS),
                PeerOutput::Journal(entry) => {
                    let now_ms = self.now_ms;
                    self.log.line(now_ms, || {
                        format!("terminal {kit}: {} {} receipt {}", entry.event.word(), entry.amount, entry.receipt)
                    });
                    self.log.add(u64::from(entry.receipt) << 8 | entry.event as u64);
                    self.terminals[kit].entries.push(entry);
                    let (wait_ms, life) = (self.nature.within(1, 5), self.terminal_lives[kit]);
                    self.after(wait_ms, Event::TerminalSynced { kit, life });
                }
            }
        }
        let Some(at_ms) = self.terminals[kit].peer.poll_timeout() else { return };
        let at_ms = at_ms.max(self.now_ms + 1);
        if self.terminals[kit].tick_ms.is_none_or(|known| at_ms < known) {
            self.terminals[kit].tick_ms = Some(at_ms);
            self.after(at_ms - self.now_ms, Event::TerminalTick { kit, at_ms });
        }
    }
}
