//! Where a simulated device can be reached: a TCP port, or a pseudo-terminal at a path.
//!
//! Promises: one till at a time; over TCP a second one waits in the kernel until the first has gone. Bytes that were sent
//! before a cut arrive. After a cut the link stays away for [`AWAY_MS`]: as long the path is gone, or nobody is let in.
//! `next` can be dropped at any time and loses nothing.
//! Absent on purpose: what the bytes mean.

use super::pty::Pty;
use crate::commands::Usage;
use anyhow::{Context, Result};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

/// How long a link stays away after a cut: a cable that is plugged in again, or a terminal that starts.
pub const AWAY_MS: u64 = 500;
/// How long a till may take to read; what it has not read by then is lost.
pub const READ_MS_MAX: u64 = 5_000;
/// Most bytes read at once.
pub const BYTES_MAX: usize = 4_096;

/// Whether a text is an address to listen at.
pub fn refuse(address: &str) -> Result<(), Usage> {
    match address.rsplit_once(':').map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Err(Usage(format!("{address:?} is not of the form 127.0.0.1:20007"))),
    }
}

/// A TCP port or a pseudo-terminal.
#[derive(Debug)]
pub enum Place {
    /// A port.
    Tcp(Tcp),
    /// A path.
    Pty(Pty),
}

/// What happened at the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A till can speak.
    Up,
    /// It has gone.
    Down,
    /// It has spoken.
    Bytes(Vec<u8>),
}

impl Place {
    /// Listens at `HOST:PORT`.
    pub async fn tcp(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
        Ok(Place::Tcp(Tcp { listener, link: None, back_at: Instant::now() }))
    }
    /// Makes `path` a link to a fresh pseudo-terminal.
    pub fn pty(path: &Path) -> Result<Self> {
        Pty::new(path).map(Place::Pty)
    }
    /// What follows the scheme in the URL by which a till finds it.
    pub fn name(&self) -> Result<String> {
        match self {
            Place::Tcp(tcp) => Ok(format!("tcp://{}", tcp.listener.local_addr()?)),
            Place::Pty(pty) => Ok(pty.path().display().to_string()),
        }
    }
    /// What happens next.
    pub async fn next(&mut self) -> Result<Happening> {
        match self {
            Place::Tcp(tcp) => tcp.next().await.context("cannot accept a till"),
            Place::Pty(pty) => pty.next().await,
        }
    }
    /// Sends; [`Happening::Down`] where the till has gone instead.
    pub async fn send(&mut self, bytes: &[u8]) -> Option<Happening> {
        match self {
            Place::Tcp(tcp) => tcp.send(bytes).await,
            Place::Pty(pty) => {
                pty.send(bytes).await;
                None
            }
        }
    }
    /// Breaks the link.
    pub async fn cut(&mut self) {
        tracing::info!("the link is cut");
        match self {
            Place::Tcp(tcp) => tcp.cut().await,
            Place::Pty(pty) => pty.cut().await,
        }
    }
}

/// A port.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    link: Option<TcpStream>,
    back_at: Instant,
}

impl Tcp {
    async fn next(&mut self) -> io::Result<Happening> {
        let Some(link) = &mut self.link else {
            sleep_until(self.back_at).await;
            loop {
                match self.listener.accept().await {
                    Ok((link, _)) => {
                        link.set_nodelay(true)?;
                        tracing::info!("a till is here");
                        self.link = Some(link);
                        return Ok(Happening::Up);
                    }
                    // It had gone before it was let in.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(error) => return Err(error),
                }
            }
        };
        let mut buffer = [0; BYTES_MAX];
        match link.read(&mut buffer).await {
            Ok(count) if count > 0 => Ok(Happening::Bytes(buffer[..count].to_vec())),
            Ok(_) | Err(_) => {
                tracing::info!("the till has gone");
                self.link = None;
                Ok(Happening::Down)
            }
        }
    }
    async fn send(&mut self, bytes: &[u8]) -> Option<Happening> {
        let link = self.link.as_mut()?;
        let sent = timeout(Duration::from_millis(READ_MS_MAX), link.write_all(bytes)).await;
        if matches!(sent, Ok(Ok(()))) {
            return None;
        }
        self.link = None;
        Some(Happening::Down)
    }
    async fn cut(&mut self) {
        self.back_at = Instant::now() + Duration::from_millis(AWAY_MS);
        let Some(mut link) = self.link.take() else { return };
        // A till that has gone needs no goodbye.
        let _ = link.shutdown().await;
        // Unread bytes would turn the goodbye into a reset, which may overtake what was sent.
        let mut buffer = [0; BYTES_MAX];
        while link.try_read(&mut buffer).is_ok_and(|count| count > 0) {}
    }
}
