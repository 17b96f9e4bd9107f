//! The simulated card terminal: the shell around its machine.
//!
//! Promises: an entry is on disk before the answer that tells of it leaves; what cannot be written ends the program.
//! Everything that can be refused is refused before anything is opened. Time is a clock that only goes forward; nothing
//! spins. On SIGTERM or SIGINT it ends with 0 between two entries.
//! Absent on purpose: the protocols (`fieldkit_drivers::{zvt, telium}`).

use super::beginnings::{Beginnings, Line, Running, Stream, Telium};
use super::faults::{self, Script};
use super::journal::Journal;
use super::place::{self, Happening, Place};
use crate::cli::{SimulateTerminal, TerminalProfile, TerminalProtocol};
use crate::commands::Usage;
use crate::say::{self, Exit};
use anyhow::{Context, Result};
use fieldkit_core::money::Currency;
use fieldkit_drivers::terminal::{Profile, Repeat, ReversalReach, Unanswered};
use fieldkit_drivers::terminal_peer::{Entry, Fault, Numbers, Peer, PeerInput, PeerOutput};
use fieldkit_drivers::zvt::carrier::Framing;
use fieldkit_drivers::{telium, zvt};
use std::convert::Infallible;
use std::io::BufRead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Trace numbers begin so far ahead of receipt numbers, as on a terminal whose bytes were recorded: a till that takes one
/// for the other is found out.
const TRACE_AHEAD: u32 = 744;
/// Lines of standard input that wait for their turn.
const LINES_MAX: usize = 64;

/// `simulate terminal`
pub async fn run(options: &SimulateTerminal) -> Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut shell, url) = open(options).await?;
    say::line(&format!("READY {url}"));
    tokio::select! {
        served = shell.serve(lines()?) => match served? {},
        _ = terminate.recv() => Ok(Exit::Fine),
        _ = interrupt.recv() => Ok(Exit::Fine),
    }
}

/// A terminal that can be found, and its URL.
async fn open(options: &SimulateTerminal) -> Result<(Shell, String)> {
    refuse(options)?;
    let script = script(options)?;
    let currency = currency(options)?;
    let (journal, past) = Journal::open(&options.journal)?;
    let place = match (&options.place.pty, &options.place.tcp) {
        (Some(path), _) => Place::pty(path)?,
        (None, Some(address)) => Place::tcp(address).await?,
        (None, None) => return Err(Usage("say where: --pty PATH or --tcp HOST:PORT".to_owned()).into()),
    };
    let scheme = match (options.protocol, &place) {
        (TerminalProtocol::Zvt, Place::Tcp(_)) => "zvt+",
        (TerminalProtocol::Zvt, Place::Pty(_)) => "zvt+serial:",
        (TerminalProtocol::Telium, _) => "telium:",
    };
    let mut shell = Shell {
        beginnings: beginnings(options.protocol, &place),
        machine: machine(options, currency, &place, &past)?,
        journal,
        script,
        begun: Instant::now(),
        ticked_ms: 0,
        place,
    };
    // What nobody acknowledged before the last end is taken back first.
    shell.settle().await?;
    if matches!(shell.place, Place::Pty(_)) {
        shell.link(PeerInput::LinkUp);
    }
    let url = format!("{scheme}{}", shell.place.name()?);
    Ok((shell, url))
}

/// Plays a terminal beside a kit of this program, until the program ends; gives its URL once it can be found.
pub fn beside(options: SimulateTerminal) -> Result<String> {
    let (told, found) = std::sync::mpsc::channel();
    let play = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (mut shell, url) = open(&options).await?;
            // Whoever started it waits for this.
            let _ = told.send(url);
            let (_nobody, no_lines) = mpsc::channel(1);
            match shell.serve(no_lines).await? {}
        })
    };
    let play = move || -> Result<Infallible> { play() };
    let thread = std::thread::Builder::new().name("terminal".into()).spawn(play)?;
    found.recv().or_else(|_| match thread.join() {
        Ok(Err(error)) => Err(error),
        _ => anyhow::bail!("the simulated terminal ended"),
    })
}

/// What no file or port is needed to refuse.
fn refuse(options: &SimulateTerminal) -> Result<(), Usage> {
    if let Some(address) = &options.place.tcp {
        place::refuse(address)?;
    }
    if options.protocol == TerminalProtocol::Zvt {
        return Ok(());
    }
    if options.place.tcp.is_some() {
        return Err(Usage("Telium is spoken over a line only; say --pty PATH".to_owned()));
    }
    let deviates = options.profiles.iter().any(|profile| *profile != TerminalProfile::Standard);
    if deviates || options.counts || options.message_ids || options.restart_numbers {
        let only =
            "--profile, --counts, --message-ids and --restart-numbers are for ZVT; Telium has nothing of the kind";
        return Err(Usage(only.to_owned()));
    }
    Ok(())
}

fn script(options: &SimulateTerminal) -> Result<Script> {
    let Some(path) = &options.script else { return Ok(Script::default()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the script {}", path.display()))?;
    Script::read(&text).map_err(|why| Usage(format!("{}: {why}", path.display())).into())
}

fn currency(options: &SimulateTerminal) -> Result<Currency, Usage> {
    let code = &options.currency;
    Currency::from_code(code).ok_or_else(|| Usage(format!("{code:?} is not an ISO 4217 currency, such as EUR")))
}

fn beginnings(protocol: TerminalProtocol, place: &Place) -> Beginnings {
    match (protocol, place) {
        (TerminalProtocol::Zvt, Place::Tcp(_)) => Beginnings::ZvtStream(Stream::default(), Running::No),
        (TerminalProtocol::Zvt, Place::Pty(_)) => Beginnings::ZvtLine(Line::default(), Running::No),
        (TerminalProtocol::Telium, _) => Beginnings::Telium(Telium::default()),
    }
}

fn machine(options: &SimulateTerminal, currency: Currency, place: &Place, past: &[Entry]) -> Result<Box<dyn Peer>> {
    let before = options.receipt_start - 1;
    let numbers = Numbers { receipt: before, trace: before + TRACE_AHEAD };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    let (terminal_id, epoch_s, buyer_ms) = (options.terminal_id.clone(), since_1970.as_secs(), options.buyer_ms);
    if options.protocol == TerminalProtocol::Telium {
        let config = telium::peer::Config { terminal_id, currency, numbers, epoch_s, buyer_ms };
        return Ok(Box::new(telium::peer::Terminal::new(config, past)));
    }
    let config = zvt::peer::Config {
        framing: if matches!(place, Place::Tcp(_)) { Framing::Tcp } else { Framing::Serial },
        terminal_id,
        currency,
        profile: profile(&options.profiles),
        numbers,
        epoch_s,
        buyer_ms,
        counts: options.counts,
        message_ids: options.message_ids,
        numbers_restart: options.restart_numbers,
    };
    Ok(Box::new(zvt::peer::Terminal::new(config, past)))
}

fn profile(options: &[TerminalProfile]) -> Profile {
    let mut profile = Profile::default();
    for option in options {
        match option {
            TerminalProfile::Standard => {}
            TerminalProfile::NoAutoReversal => profile.unanswered = Unanswered::Declined,
            TerminalProfile::BareRepeat => profile.repeat = Repeat::Bare,
            TerminalProfile::LastOnly => profile.reversal = ReversalReach::LastOnly,
        }
    }
    profile
}

/// Lines of standard input; its end ends nothing.
fn lines() -> Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    let read = move || {
        for line in std::io::stdin().lock().lines() {
            match line.map(|line| sender.blocking_send(line)) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(error) => return say::talk(&format!("standard input is read no more: {error}")),
            }
        }
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(read).context("cannot read standard input")?;
    Ok(receiver)
}

/// The machine with its journal, its link and its faults.
struct Shell {
    machine: Box<dyn Peer>,
    journal: Journal,
    script: Script,
    beginnings: Beginnings,
    begun: Instant,
    /// When it was last called only because time had passed.
    ticked_ms: u64,
    place: Place,
}

impl Shell {
    async fn serve(&mut self, mut lines: mpsc::Receiver<String>) -> Result<Infallible> {
        loop {
            self.settle().await?;
            // A machine that wants to be called in the past is called once a millisecond.
            let due_ms = self.machine.poll_timeout().map(|due_ms| due_ms.max(self.ticked_ms + 1));
            let due = due_ms.map(|due_ms| self.begun + Duration::from_millis(due_ms));
            let time = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                happened = self.place.next() => match happened? {
                    Happening::Up => self.link(PeerInput::LinkUp),
                    Happening::Down => self.link(PeerInput::LinkDown),
                    Happening::Bytes(bytes) => self.heard(&bytes),
                },
                Some(line) = lines.recv() => self.typed(&line),
                () = time => {
                    self.ticked_ms = self.now_ms();
                    self.give(PeerInput::Tick);
                }
            }
        }
    }
    /// Carries out what the machine wants, in its order.
    async fn settle(&mut self) -> Result<()> {
        while let Some(output) = self.machine.poll_output() {
            match output {
                PeerOutput::Send(bytes) => {
                    self.beginnings.said(&bytes);
                    if self.place.send(&bytes).await.is_some() {
                        self.link(PeerInput::LinkDown);
                    }
                }
                // Nothing else may happen before it is on disk, so nothing is lost by waiting right here.
                PeerOutput::Journal(entry) => {
                    self.journal.append(&entry)?;
                    self.give(PeerInput::Journalled);
                }
                PeerOutput::CloseLink => {
                    self.place.cut().await;
                    self.beginnings.reset();
                }
            }
        }
        Ok(())
    }
    /// Bytes of the till. Where a transaction begins in them, the next line of the script is due before the machine has its
    /// first byte, as far as that has not come earlier.
    fn heard(&mut self, bytes: &[u8]) {
        let mut given = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let Some(length) = self.beginnings.byte(*byte) else { continue };
            let begins = (at + 1).saturating_sub(length).max(given);
            self.bytes(&bytes[given..begins]);
            given = begins;
            let before = (length - (at + 1 - begins)) as u64;
            for fault in self.script.next() {
                self.give(PeerInput::Fault(match fault {
                    // Counted from the first byte of the transaction's command.
                    Fault::CutAfterReceived(bytes) => Fault::CutAfterReceived(bytes.saturating_sub(before)),
                    other => other,
                }));
            }
        }
        self.bytes(&bytes[given..]);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.give(PeerInput::Bytes(bytes.to_vec()));
        }
    }
    /// A line of standard input.
    fn typed(&mut self, line: &str) {
        if line.trim() == "help" {
            return say::talk(faults::help().trim_end());
        }
        match faults::read(line) {
            Ok(faults) => faults.into_iter().flatten().for_each(|fault| self.give(PeerInput::Fault(fault))),
            Err(why) => say::talk(&format!("{why}\nhint: help lists what there is")),
        }
    }
    fn link(&mut self, input: PeerInput) {
        self.beginnings.reset();
        self.give(input);
    }
    fn give(&mut self, input: PeerInput) {
        self.machine.handle(self.now_ms(), input);
    }
    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
