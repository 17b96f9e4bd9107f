//! The task behind a port: open, pump, close, look again.
//!
//! Promises: a line is dropped before anything looks for it again, else the kernel gives the device another name; the end
//! of a line is never read twice, for it reads as fast as the processor can; every try is at least `rescan_ms` after the
//! last one.
//! Absent on purpose: events and commands as their user sees them (`port`).

use crate::address::Address;
use crate::allowance::Allowance;
use crate::aside::Asides;
use crate::error::{Lost, OpenError};
use crate::identity::Identity;
use crate::line::{Line, Opened, Wanted, connect, open_serial};
use crate::port::{Counters, LinkNumber, Plan, PortCommand, PortEvent};
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// Most bytes read at once; the kernel's own buffer of a line holds as many.
const READ_BYTES_MAX: usize = 4_096;
/// Between two reads, so that a line that brings byte after byte wakes us 500 times a second at most.
const READ_GAP: Duration = Duration::from_millis(2);
/// Between two reads while a device brings more than it may: 200 KiB a second are looked at, the rest waits in the kernel.
const FLOOD_GAP: Duration = Duration::from_millis(20);
/// A link that ends earlier counts as a failed try, so that a peer that hangs up at once is not called without rest.
const STEADY: Duration = Duration::from_secs(5);
/// A device may take what is sent at a quarter of its line's speed, and 8 KiB a second over TCP, before all of it is late.
const TCP_BYTES_PER_S_MIN: u32 = 8 * 1_024;
/// Bits on the line for a byte, at a quarter of the speed.
const LATE_BITS: u32 = 40;

/// The task's own.
pub(crate) struct Pump {
    plan: Plan,
    runtime: Handle,
    commands: mpsc::Receiver<PortCommand>,
    events: mpsc::Sender<PortEvent>,
    counters: Arc<Counters>,
    asides: Asides,
    /// Whether the link is to be open.
    wanted: bool,
    /// What the device at the path was known by when it was open last.
    known_as: Option<Identity>,
    links: u64,
    link: Option<Link>,
    /// Why opening failed last, so that a reason is told once.
    told: String,
}

/// Whether to go on waiting.
#[derive(PartialEq, Eq)]
enum Next {
    Wait,
    Try,
}

impl Pump {
    pub fn new(
        plan: Plan,
        runtime: Handle,
        commands: mpsc::Receiver<PortCommand>,
        events: mpsc::Sender<PortEvent>,
        counters: Arc<Counters>,
        asides: Asides,
    ) -> Pump {
        let told = String::new();
        let (known_as, link) = (None, None);
        Pump { plan, runtime, commands, events, counters, asides, wanted: true, known_as, links: 0, link, told }
    }

    /// Keeps the link until `stop` ends.
    pub async fn run(mut self, stop: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.keep() => {}
            _ = stop => {}
        }
        self.close().await;
    }

    async fn keep(&mut self) {
        let mut failures = 0;
        loop {
            while !self.wanted {
                let command = next(&mut self.commands).await;
                self.heed(command);
            }
            let waits = match self.open().await {
                Ok(opened) => {
                    let begun = Instant::now();
                    self.up(opened).await;
                    let why = self.pump().await;
                    self.close().await;
                    tracing::info!(device = self.plan.name, "the link ended: {}", why.whole());
                    let asked = matches!(why, Lost::Closed);
                    self.tell(PortEvent::Down { why }).await;
                    failures = if asked || begun.elapsed() >= STEADY { 0 } else { failures + 1 };
                    if asked {
                        continue;
                    }
                    self.backoff(failures)
                }
                Err(why) => {
                    failures = if matches!(why, OpenError::NotThere { .. }) { 0 } else { failures + 1 };
                    let waits = self.backoff(failures);
                    self.failed(why, waits).await;
                    waits
                }
            };
            self.pause(waits).await;
        }
    }

    /// How long to wait after so many failures in a row.
    fn backoff(&self, failures: u32) -> Duration {
        let limits = &self.plan.limits;
        let doubled = limits.rescan_ms.saturating_mul(1 << failures.saturating_sub(1).min(16));
        Duration::from_millis(doubled.min(limits.backoff_ms_max))
    }

    async fn open(&mut self) -> Result<Opened, OpenError> {
        let limits = self.plan.limits;
        match &self.plan.address {
            Address::Tcp { host, port } => connect(host, *port, Duration::from_millis(limits.connect_ms_max)).await,
            Address::Serial { place, settings } => {
                let waited_ms = limits.open_ms_max;
                let hangs = OpenError::Hangs { place: place.clone(), waited_ms };
                if self.asides.is_full() {
                    return Err(hangs);
                }
                let wanted = Wanted { place: place.clone(), settings: *settings, known_as: self.known_as.clone() };
                let (roots, runtime) = (self.plan.roots.clone(), self.runtime.clone());
                let opening = self.asides.begin(move || open_serial(&roots, &runtime, &wanted));
                match timeout(Duration::from_millis(waited_ms), opening).await {
                    Ok(Ok(opened)) => opened,
                    Ok(Err(_)) | Err(_) => Err(hangs),
                }
            }
        }
    }

    async fn up(&mut self, opened: Opened) {
        let Opened { line, at, identity, also_held_by } = opened;
        self.links += 1;
        let number = LinkNumber(self.links);
        self.link = Some(Link::new(number, line, &self.plan.address, self.asides.clone()));
        self.known_as = identity.clone().or(self.known_as.take());
        self.told.clear();
        tracing::info!(device = self.plan.name, "the link is open at {at}");
        // The other end of a pseudo-terminal is held by the program that plays the device.
        for holder in also_held_by.iter().filter(|_| !at.starts_with("/dev/pts/")) {
            tracing::warn!(device = self.plan.name, "{at} is held by {holder} as well: {}", holder.hint());
        }
        self.tell(PortEvent::Up { link: number, at, identity, also_held_by }).await;
    }

    async fn failed(&mut self, why: OpenError, waits: Duration) {
        let text = why.whole();
        if text == self.told {
            return;
        }
        tracing::info!(device = self.plan.name, "no link: {text}; {}", why.hint());
        self.told = text;
        let retry_ms = u64::try_from(waits.as_millis()).unwrap_or(u64::MAX);
        self.tell(PortEvent::OpenFailed { why, retry_ms }).await;
    }

    /// Moves bytes until the link ends.
    async fn pump(&mut self) -> Lost {
        let limits = self.plan.limits;
        let mut buffer = vec![0; READ_BYTES_MAX];
        let mut allowance = Allowance::new(std::time::Instant::now(), limits.bytes_per_s_max, limits.burst_bytes_max);
        let mut flooded = false;
        let mut room = None;
        let mut read_at = None;
        loop {
            let Some(link) = &mut self.link else { return Lost::Closed };
            let stuck_at = link.writing.as_ref().map(|writing| writing.stuck_at(limits.write_ms_max));
            let may_read = room.is_some() && read_at.is_none();
            tokio::select! {
                biased;
                command = next(&mut self.commands), if stuck_at.is_none() => {
                    if let Some(lost) = self.obey(command) {
                        return lost;
                    }
                }
                () = until(stuck_at) => {
                    let left = link.writing.as_ref().map_or(0, |writing| writing.rest().len() as u64);
                    return Lost::Stuck { waited_ms: limits.write_ms_max, left };
                }
                reserved = self.events.clone().reserve_owned(), if room.is_none() => match reserved {
                    Ok(permit) => room = Some(permit),
                    // The taker is gone for good; so is the use of this port.
                    Err(_) => pending().await,
                },
                () = until(read_at) => read_at = None,
                moved = link.moved(&mut buffer, may_read) => match moved {
                    Ok(Moved::Wrote(bytes)) => drop(self.counters.sent.fetch_add(bytes as u64, Ordering::Relaxed)),
                    Ok(Moved::Read(0)) => return link.ended(),
                    Ok(Moved::Read(bytes)) => {
                        let pass = allowance.take(std::time::Instant::now(), bytes);
                        self.counters.received.fetch_add(bytes as u64, Ordering::Relaxed);
                        self.counters.dropped.fetch_add((bytes - pass) as u64, Ordering::Relaxed);
                        if pass < bytes && !flooded {
                            let limit = limits.bytes_per_s_max;
                            tracing::warn!(device = self.plan.name, "more than {limit} bytes a second; the rest is dropped");
                            flooded = true;
                        }
                        read_at = Some(Instant::now() + if pass < bytes { FLOOD_GAP } else { READ_GAP });
                        if let Some(permit) = room.take_if(|_| pass > 0) {
                            permit.send(PortEvent::Bytes(buffer[..pass].to_vec()));
                        }
                    }
                    Err(error) => return lost(error),
                },
            }
        }
    }

    /// A command on an open link; the reason to end it, if it is one.
    fn obey(&mut self, command: PortCommand) -> Option<Lost> {
        match command {
            PortCommand::Send { link: number, bytes } => {
                match &mut self.link {
                    Some(link) if link.number == number => link.write(bytes),
                    Some(_) | None => drop(self.counters.stale.fetch_add(1, Ordering::Relaxed)),
                }
                None
            }
            PortCommand::Close => {
                self.wanted = false;
                Some(Lost::Closed)
            }
            PortCommand::Reopen => Some(Lost::Closed),
            PortCommand::Accept => {
                self.known_as = None;
                Some(Lost::Closed)
            }
        }
    }

    /// A command while there is no link.
    fn heed(&mut self, command: PortCommand) -> Next {
        match command {
            PortCommand::Send { .. } => {
                self.counters.stale.fetch_add(1, Ordering::Relaxed);
                Next::Wait
            }
            PortCommand::Close => {
                self.wanted = false;
                Next::Try
            }
            PortCommand::Reopen => {
                self.wanted = true;
                Next::Try
            }
            PortCommand::Accept => {
                self.known_as = None;
                self.wanted = true;
                Next::Try
            }
        }
    }

    /// Waits, unless a command says otherwise.
    async fn pause(&mut self, waits: Duration) {
        let end = Instant::now() + waits;
        loop {
            tokio::select! {
                () = sleep_until(end) => return,
                command = next(&mut self.commands) => {
                    if self.heed(command) == Next::Try {
                        return;
                    }
                }
            }
        }
    }

    /// Lets go of the line, and waits until the kernel did; one that hangs is left behind.
    async fn close(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        let Some(closing) = link.close() else { return };
        if timeout(Duration::from_millis(self.plan.limits.close_ms_max), closing).await.is_err() {
            tracing::warn!(device = self.plan.name, "the line does not close; it is left to the kernel");
        }
    }

    async fn tell(&mut self, event: PortEvent) {
        // Without a taker there is nobody to tell; the port is about to be stopped.
        let _ = self.events.send(event).await;
    }
}

/// The next command; never, once nobody can give one.
async fn next(commands: &mut mpsc::Receiver<PortCommand>) -> PortCommand {
    match commands.recv().await {
        Some(command) => command,
        None => pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// What an error on an open line means.
fn lost(error: io::Error) -> Lost {
    let errno = rustix::io::Errno::from_io_error(&error);
    match errno {
        Some(rustix::io::Errno::IO | rustix::io::Errno::NXIO | rustix::io::Errno::NODEV) => Lost::Gone,
        _ => Lost::System { source: error },
    }
}

/// An open line, and what is being written to it.
struct Link {
    number: LinkNumber,
    /// `None` once it was closed.
    line: Option<Box<dyn Line>>,
    is_tcp: bool,
    bytes_per_s_min: u32,
    writing: Option<Writing>,
    asides: Asides,
}

/// What moved on a line.
enum Moved {
    Wrote(usize),
    Read(usize),
}

impl Link {
    fn new(number: LinkNumber, line: Box<dyn Line>, address: &Address, asides: Asides) -> Link {
        let (is_tcp, bytes_per_s_min) = match address {
            Address::Tcp { .. } => (true, TCP_BYTES_PER_S_MIN),
            Address::Serial { settings, .. } => (false, (settings.baud() / LATE_BITS).max(1)),
        };
        Link { number, line: Some(line), is_tcp, bytes_per_s_min, writing: None, asides }
    }

    fn write(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.writing = Some(Writing::new(bytes, self.bytes_per_s_min));
        }
    }

    /// Writes what waits, else reads if that is wanted.
    async fn moved(&mut self, buffer: &mut [u8], may_read: bool) -> io::Result<Moved> {
        poll_fn(|context| {
            let Some(line) = &mut self.line else { return Poll::Pending };
            if let Some(writing) = &mut self.writing
                && let Poll::Ready(written) = Pin::new(&mut *line).poll_write(context, writing.rest())
            {
                let bytes = written?;
                if bytes == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                if writing.took(bytes) {
                    self.writing = None;
                }
                return Poll::Ready(Ok(Moved::Wrote(bytes)));
            }
            if !may_read {
                return Poll::Pending;
            }
            let mut read = ReadBuf::new(buffer);
            std::task::ready!(Pin::new(&mut *line).poll_read(context, &mut read))?;
            Poll::Ready(Ok(Moved::Read(read.filled().len())))
        })
        .await
    }

    /// What the end of the line means.
    fn ended(&self) -> Lost {
        if self.is_tcp { Lost::HungUp } else { Lost::Gone }
    }

    /// Begins to close the line; `None` if that was begun before. Closing a serial line may hang, so it is done aside.
    fn close(&mut self) -> Option<oneshot::Receiver<()>> {
        let line = self.line.take()?;
        let close = move || {
            line.discard();
            drop(line);
        };
        Some(self.asides.begin(close))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.close());
    }
}

/// A command's bytes on their way into the kernel.
struct Writing {
    bytes: Vec<u8>,
    taken: usize,
    moved: Instant,
    end: Instant,
}

impl Writing {
    fn new(bytes: Vec<u8>, bytes_per_s_min: u32) -> Writing {
        let now = Instant::now();
        let seconds = bytes.len() as u64 / u64::from(bytes_per_s_min);
        // A grace of a few seconds, so that a short command is judged by progress alone.
        Writing { bytes, taken: 0, moved: now, end: now + Duration::from_secs(seconds + 5) }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Notes progress; whether all was taken.
    fn took(&mut self, bytes: usize) -> bool {
        self.taken += bytes;
        self.moved = Instant::now();
        self.rest().is_empty()
    }

    /// When the device has taken too long: for any byte at all, or for all of them.
    fn stuck_at(&self, write_ms_max: u64) -> Instant {
        self.end.min(self.moved + Duration::from_millis(write_ms_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_on_an_open_line_says_what_became_of_it() {
        let check = |errno: rustix::io::Errno, expected: &str| assert_eq!(lost(errno.into()).whole(), expected);
        for gone in [rustix::io::Errno::IO, rustix::io::Errno::NXIO, rustix::io::Errno::NODEV] {
            check(gone, "the device is gone");
        }
        check(rustix::io::Errno::CONNRESET, "the link failed: Connection reset by peer (os error 104)");
    }
}
