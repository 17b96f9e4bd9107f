//! A port: one device's link, kept by a task and a thread of its own.
//!
//! Promises: events come one at a time and in order, on a thread of the port's own, so that their taker may take its
//! time: the port then stops reading, and the device waits. Commands never block. What is sent on a link goes to that
//! link or nowhere: after an unplug nothing old reaches a new device. After `stop` no event comes.
//! Every queue has a bound, every wait a deadline; the numbers stand in [`Limits`].
//! Absent on purpose: saying that bytes arrived. Taken by the kernel is not heard by the device.

use crate::address::Address;
use crate::aside::Asides;
use crate::error::{Lost, OpenError};
use crate::holder::Holder;
use crate::identity::Identity;
use crate::pump::Pump;
use crate::scan::Roots;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Most commands that wait for a port.
pub const COMMANDS_MAX: usize = 64;
/// Most events that wait for their taker; then the port stops reading.
pub const EVENTS_MAX: usize = 64;
/// `stop` waits this long for an event's taker to come back.
const STOP_MS_MAX: u64 = 2_000;

/// What a port keeps open.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the device is called in logs, such as its role.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// How long and how much.
    pub limits: Limits,
    /// Where the kernel's tables are.
    pub roots: Roots,
}

impl Plan {
    /// With built-in limits, on this machine.
    pub fn new(name: &str, address: Address) -> Plan {
        Plan { name: name.to_owned(), address, limits: Limits::default(), roots: Roots::default() }
    }
}

/// How long a port waits and how much it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Between two looks for a device that is not there, and before the first new try after anything else.
    pub rescan_ms: u64,
    /// Between two tries that failed for the same reason, at most.
    pub backoff_ms_max: u64,
    /// To open a serial line, before the attempt is abandoned.
    pub open_ms_max: u64,
    /// To close one, before that is.
    pub close_ms_max: u64,
    /// To reach a TCP peer.
    pub connect_ms_max: u64,
    /// Without a byte taken of what is sent, before the device counts as gone.
    pub write_ms_max: u64,
    /// Bytes a second that are passed on; more is dropped and counted.
    pub bytes_per_s_max: u32,
    /// Bytes passed on at once after a rest.
    pub burst_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            rescan_ms: 250,
            backoff_ms_max: 2_000,
            open_ms_max: 3_000,
            close_ms_max: 500,
            connect_ms_max: 2_000,
            write_ms_max: 2_000,
            // Five times a line of 115,200 baud; a TCP terminal with long receipts stays far below.
            bytes_per_s_max: 64 * 1_024,
            burst_bytes_max: 64 * 1_024,
        }
    }
}

/// Which link of a port: each time it opens, the next number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkNumber(pub(crate) u64);

impl fmt::Display for LinkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a port tells.
#[derive(Debug)]
pub enum PortEvent {
    /// The link is open.
    Up {
        /// Its number, for what is sent on it.
        link: LinkNumber,
        /// The real path, or the address and port.
        at: String,
        /// What the device is known by; none over TCP and for lines without USB.
        identity: Option<Identity>,
        /// Programs that hold the line open as well: what they send is mixed into ours.
        also_held_by: Vec<Holder>,
    },
    /// Bytes from the device, in any pieces.
    Bytes(Vec<u8>),
    /// The link has ended. What was sent and not answered may or may not have arrived.
    Down {
        /// Why.
        why: Lost,
    },
    /// The device cannot be opened. Told once for each new reason, while the port goes on trying.
    OpenFailed {
        /// Why not.
        why: OpenError,
        /// When the port tries again.
        retry_ms: u64,
    },
}

/// What a port is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortCommand {
    /// Send bytes on a link; nothing happens if that link has ended.
    Send {
        /// The number from [`PortEvent::Up`].
        link: LinkNumber,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// End the link and leave the device alone.
    Close,
    /// End the link, if there is one, and open another at once.
    Reopen,
    /// As `Reopen`, and take whatever device is at the path for ours from now on ([`OpenError::Replaced`]).
    Accept,
}

/// The port has more to do than its queue holds; the command is given back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the port's queue is full")]
pub struct QueueFull(pub PortCommand);

/// What went through a port so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes read, dropped ones included.
    pub received: u64,
    /// Bytes read and dropped, for they were too many.
    pub dropped: u64,
    /// Bytes that the kernel took.
    pub sent: u64,
    /// Sends for a link that had ended.
    pub stale: u64,
}

/// Counts, while they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub received: AtomicU64,
    pub dropped: AtomicU64,
    pub sent: AtomicU64,
    pub stale: AtomicU64,
}

/// A device's link, kept until this is stopped or dropped.
#[derive(Debug)]
pub struct Port {
    name: String,
    commands: mpsc::Sender<PortCommand>,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    ended: Receiver<()>,
}

impl Port {
    /// Begins to keep the link of `plan` open. `tell` is called on a thread of the port's own.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(runtime: &Handle, plan: Plan, mut tell: impl FnMut(PortEvent) + Send + 'static) -> io::Result<Port> {
        let name = plan.name.clone();
        let (commands, waiting) = mpsc::channel(COMMANDS_MAX);
        let (events, mut told) = mpsc::channel(EVENTS_MAX);
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = sync_channel(1);
        let counters = Arc::new(Counters::default());
        std::thread::Builder::new().name(format!("port-{name}")).spawn(move || {
            while let Some(event) = told.blocking_recv() {
                tell(event);
            }
            drop(tell);
            // Nobody waits where the port was dropped.
            let _ = end.send(());
        })?;
        let pump = Pump::new(plan, runtime.clone(), waiting, events, counters.clone(), Asides::new(&name));
        runtime.spawn(pump.run(stopped));
        Ok(Port { name, commands, counters, stop: Some(stop), ended })
    }

    /// Gives a command. Never blocks.
    ///
    /// # Errors
    /// The queue is full: the device has taken nothing for a while, and [`PortEvent::Down`] is near.
    pub fn command(&self, command: PortCommand) -> Result<(), QueueFull> {
        self.commands.try_send(command).map_err(|error| QueueFull(error.into_inner()))
    }

    /// Sends bytes on a link; see [`PortCommand::Send`].
    ///
    /// # Errors
    /// As [`Port::command`].
    pub fn send(&self, link: LinkNumber, bytes: Vec<u8>) -> Result<(), QueueFull> {
        self.command(PortCommand::Send { link, bytes })
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        let Counters { received, dropped, sent, stale } = &*self.counters;
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { received: now(received), dropped: now(dropped), sent: now(sent), stale: now(stale) }
    }

    /// Ends the link and waits until the line is free and the last event was taken. Not to be called from a task: it
    /// blocks, for at most a few seconds.
    pub fn stop(mut self) {
        self.stop.take();
        if self.ended.recv_timeout(Duration::from_millis(STOP_MS_MAX)).is_err() {
            tracing::warn!(device = self.name, "a port did not end in time and was left behind");
        }
    }
}
