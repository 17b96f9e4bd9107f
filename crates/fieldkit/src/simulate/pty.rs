//! A pseudo-terminal that behaves as a cable.
//!
//! Promises: the path is a link to it while it is there, and nothing otherwise; whatever else stands at the path is left
//! alone. Bytes for a till that is not there, or that leaves without reading them, are lost, as on a line. A till that
//! ended without a word (killed, with the port to itself) does not keep the next one out.
//! Absent on purpose: baud, parity and lines of control, which a pseudo-terminal does not have.

use super::place::{AWAY_MS, BYTES_MAX, Happening, READ_MS_MAX};
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a cut waits for the till to have read what was sent before it.
const DRAIN_MS_MAX: u64 = 500;
/// Between two looks at what the till has not read yet.
const LOOK_MS: u64 = 4;
/// So many looks in a row must find nothing: bytes reach the other side's queue a moment after they were written.
const LOOKS: u32 = 3;
/// Most reads of what a till said before it left; the rest, of a till that does not stop, is read in turn.
const LAST_READS_MAX: u32 = 16;

/// A path and what it leads to.
#[derive(Debug)]
pub struct Pty {
    path: PathBuf,
    end: Option<End>,
    back_at: Instant,
}

/// A pseudo-terminal, seen from the device.
#[derive(Debug)]
struct End {
    name: PathBuf,
    master: AsyncFd<OwnedFd>,
    /// The till's side, kept open so that the line is never hung up.
    slave: OwnedFd,
    /// Tells when somebody opens or closes the till's side.
    comings: AsyncFd<OwnedFd>,
    /// Whether somebody is there, as far as anybody has opened it or said anything.
    present: bool,
    /// What a till said that has closed its side since.
    left: Vec<u8>,
    /// Somebody closed it while it was looked after.
    closed: bool,
}

/// What an end brings.
enum Brought {
    Bytes(Vec<u8>),
    /// Somebody closed the till's side: time for [`End::look_again`].
    Closing,
}

/// Who came and went.
#[derive(Clone, Copy, Default)]
struct Seen {
    opened: bool,
    closed: bool,
}

impl Pty {
    /// A link to a fresh pseudo-terminal at `path`.
    pub fn new(path: &Path) -> Result<Self> {
        let mut pty = Pty { path: path.to_owned(), end: None, back_at: Instant::now() };
        pty.open()?;
        Ok(pty)
    }
    /// Where the link is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// What happens next.
    pub async fn next(&mut self) -> Result<Happening> {
        while let Some(end) = &mut self.end {
            match end.next().await {
                Ok(Brought::Bytes(bytes)) => return Ok(Happening::Bytes(bytes)),
                Ok(Brought::Closing) => match self.end.take().map(End::look_again) {
                    Some(Ok(end)) => self.end = Some(end),
                    Some(Err(error)) => return Ok(self.lost(&error)),
                    None => {}
                },
                Err(error) => return Ok(self.lost(&error)),
            }
        }
        sleep_until(self.back_at).await;
        self.open()?;
        Ok(Happening::Up)
    }
    /// Sends to whoever listens.
    pub async fn send(&mut self, bytes: &[u8]) {
        let Some(end) = self.end.as_mut().filter(|end| end.present) else { return };
        let wait = Duration::from_millis(READ_MS_MAX);
        // Who does not read for so long is as good as gone, until the next word.
        end.present = matches!(timeout(wait, end.write(bytes)).await, Ok(Ok(())));
    }
    /// Pulls the cable.
    pub async fn cut(&mut self) {
        if let Some(end) = self.end.as_mut().filter(|end| end.present) {
            end.drain().await;
        }
        self.close();
        self.back_at = Instant::now() + Duration::from_millis(AWAY_MS);
    }
    /// Somebody hung it up, or holds it so that it cannot be looked after: as if the cable had been pulled.
    fn lost(&mut self, error: &io::Error) -> Happening {
        tracing::info!("the line is lost: {error}");
        self.close();
        self.back_at = Instant::now() + Duration::from_millis(AWAY_MS);
        Happening::Down
    }
    fn open(&mut self) -> Result<()> {
        let path = self.path.display();
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) if !there.is_symlink() => bail!("{path} is there already and is no link; choose another path"),
            Ok(_) => std::fs::remove_file(&self.path).with_context(|| format!("cannot replace the link {path}"))?,
            Err(_) => {}
        }
        let end = End::new().with_context(|| format!("cannot make a pseudo-terminal for {path}"))?;
        std::os::unix::fs::symlink(&end.name, &self.path).with_context(|| format!("cannot make the link {path}"))?;
        self.end = Some(end);
        Ok(())
    }
    /// The link goes first: who sees the line hung up must not find it there.
    fn close(&mut self) {
        let Some(end) = self.end.take() else { return };
        if std::fs::read_link(&self.path).is_ok_and(|name| name == end.name) {
            // Somebody else was quicker: it is gone, as it should be.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.close();
    }
}

impl End {
    fn new() -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_bytes();
        let name = PathBuf::from(std::ffi::OsString::from_vec(name));
        let slave = open_slave(&name)?;
        make_raw(&slave)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let (comings, master) = (comings(&name)?, watched(master)?);
        Ok(End { name, master, slave, comings, present: false, left: Vec::new(), closed: false })
    }
    async fn next(&mut self) -> io::Result<Brought> {
        loop {
            if !self.left.is_empty() {
                return Ok(Brought::Bytes(std::mem::take(&mut self.left)));
            }
            if self.closed {
                return Ok(Brought::Closing);
            }
            tokio::select! {
                came = self.comings.readable() => {
                    if let Ok(seen) = came?.try_io(|comings| seen(comings.get_ref())) {
                        let seen = seen?;
                        if seen.opened && !self.present {
                            tracing::info!("a till is here");
                            self.present = true;
                        }
                        if seen.closed {
                            return Ok(Brought::Closing);
                        }
                    }
                }
                ready = self.master.readable() => {
                    if let Ok(bytes) = ready?.try_io(|master| read(master.get_ref())) {
                        self.present = true;
                        return bytes.map(Brought::Bytes);
                    }
                }
            }
        }
    }
    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut ready = self.master.writable().await?;
            if let Ok(written) = ready.try_io(|master| Ok(rustix::io::write(master.get_ref(), rest)?)) {
                rest = &rest[written?..];
            }
        }
        Ok(())
    }
    /// Somebody closed the till's side. Where nobody is left, what was not read is lost, and the line is raw again. Nobody
    /// has it to himself any more: a till that was killed could not give that back.
    fn look_again(self) -> io::Result<Self> {
        let End { name, master, slave, comings: before, mut left, .. } = self;
        // A line that was seen hung up once is taken for hung up for good, so nobody watches it meanwhile.
        let master = master.into_inner();
        // What was said before was said. It is taken before the look at who is there: the next till may come at once.
        for _ in 0..LAST_READS_MAX {
            match read(&master) {
                Ok(bytes) => left.extend(bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        ioctl_tiocnxcl(&slave)?;
        // Whoever closes from here on is told of, and our own closing just now is not.
        drop((before, slave));
        let comings = comings(&name)?;
        let mut look = [PollFd::new(&master, PollFlags::empty())];
        poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        let alone = look[0].revents().contains(PollFlags::HUP);
        let slave = open_slave(&name)?;
        if alone {
            make_raw(&slave)?;
            tcflush(&slave, QueueSelector::IFlush)?;
            tracing::info!("the till has gone");
        }
        // Our own opening is among what was seen, so openings say nothing here; a till that came in the same moment is
        // noticed by its first word.
        let closed = match seen(comings.get_ref()) {
            Ok(seen) => seen.closed,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error),
        };
        Ok(End { name, master: watched(master)?, slave, comings, present: !alone, left, closed })
    }
    /// Waits until the till has read what was sent: the kernel throws the rest away with the pseudo-terminal.
    async fn drain(&self) {
        let until = Instant::now() + Duration::from_millis(DRAIN_MS_MAX);
        let mut empty = 0;
        while empty < LOOKS && Instant::now() < until {
            empty = if rustix::io::ioctl_fionread(&self.slave) == Ok(0) { empty + 1 } else { 0 };
            sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

fn open_slave(name: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?)
}

fn make_raw(slave: &OwnedFd) -> io::Result<()> {
    let mut settings = tcgetattr(slave)?;
    settings.make_raw();
    Ok(tcsetattr(slave, OptionalActions::Now, &settings)?)
}

#[expect(
    deprecated,
    reason = "its successor is unsafe to call; these descriptors are neither replaced nor closed before"
)]
fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

fn comings(name: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let comings = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&comings, name, WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE)?;
    watched(comings)
}

/// Takes all that waits.
fn seen(comings: &OwnedFd) -> io::Result<Seen> {
    let mut buffer = [MaybeUninit::uninit(); 512];
    let mut reader = inotify::Reader::new(comings, &mut buffer);
    let mut seen = Seen::default();
    loop {
        match reader.next() {
            Ok(event) => {
                seen.opened |= event.events().contains(ReadFlags::OPEN);
                seen.closed |= event.events().intersects(ReadFlags::CLOSE_WRITE | ReadFlags::CLOSE_NOWRITE);
            }
            Err(Errno::AGAIN) if seen.opened || seen.closed => return Ok(seen),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(master: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = [0; BYTES_MAX];
    match rustix::io::read(master, &mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(buffer[..count].to_vec()),
    }
}
