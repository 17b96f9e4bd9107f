//! Bytes, unplugging, devices that take nothing, and commands, on pseudo-terminals.

use crate::pty::Pty;
use crate::told::{Told, runtime, start};
use fieldkit_ports::port::COMMANDS_MAX;
use fieldkit_ports::{DeviceUrl, LinkNumber, Plan, Port, PortCommand, PortEvent};
use rustix::termios::{ControlModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

/// A port on a pseudo-terminal, and the other end.
struct Bench {
    dir: TempDir,
    pty: Pty,
    port: Port,
    told: Told,
    link: LinkNumber,
    _runtime: Runtime,
}

fn plan(url: &str, at: &Path) -> Plan {
    let url = DeviceUrl::parse(&url.replace("PATH", &at.display().to_string())).expect("a good URL");
    Plan::new("test", url.address().clone())
}

impl Bench {
    fn new(url: &str) -> Bench {
        Bench::limited(url, |_| ())
    }

    fn limited(url: &str, limit: impl FnOnce(&mut Plan)) -> Bench {
        let dir = tempdir().expect("a directory");
        let at = dir.path().join("tty");
        let pty = Pty::at(&at);
        let mut plan = plan(url, &at);
        limit(&mut plan);
        let runtime = runtime();
        let (port, told) = start(&runtime, plan);
        let (link, _) = told.up();
        Bench { dir, pty, port, told, link, _runtime: runtime }
    }

    fn bytes(&self, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            let (some, _) = self.told.find(|event| match event {
                PortEvent::Bytes(bytes) => Some(bytes.clone()),
                _ => None,
            });
            all.extend(some);
        }
        all
    }
}

/// Reads on a thread of its own, so that a device that brings nothing fails the test instead of hanging it.
fn heard(master: &File, count: usize) -> Vec<u8> {
    let mut master = master.try_clone().expect("a second handle");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = vec![0; count];
        sender.send(master.read_exact(&mut bytes).map(|()| bytes))
    });
    receiver.recv_timeout(Duration::from_secs(10)).expect("the bytes come").expect("the line is open")
}

#[test]
fn every_byte_passes_as_it_is() {
    let bench = Bench::new("zvt+serial:PATH");
    let all: Vec<u8> = (0..=255).collect();
    (&bench.pty.master).write_all(&all).expect("the port reads");
    assert_eq!(bench.bytes(all.len()), all);
    bench.port.send(bench.link, all.clone()).expect("there is room");
    assert_eq!(heard(&bench.pty.master, all.len()), all);
    let counts = bench.port.counts();
    assert_eq!((counts.received, counts.dropped, counts.stale), (256, 0, 0));
}

#[test]
fn the_line_is_set_as_asked() {
    let set = |url: &str| {
        let bench = Bench::new(url);
        let found = tcgetattr(&bench.pty.master).expect("a line");
        (found.output_speed(), found.control_modes.contains(ControlModes::CSTOPB))
    };
    assert_eq!(set("zvt+serial:PATH"), (9_600, true));
    assert_eq!(set("telium:PATH"), (9_600, false));
    assert_eq!(set("zvt+serial:PATH?baud=115200"), (115_200, true));
    // A pseudo-terminal has no parity and no modem signals; the port opens all the same.
    assert_eq!(set("telium:PATH?frame=7E1&dtr=on"), (9_600, false));
}

#[test]
fn an_unplugged_device_is_told_within_two_seconds() {
    let bench = Bench::new("zvt+serial:PATH");
    let told = &bench.told;
    bench.pty.unplug();
    let (why, after) = told.down();
    assert_eq!(why, "the device is gone");
    assert!(after < Duration::from_secs(2), "it took {after:?}");
    let (why, _) = told.find(|event| match event {
        PortEvent::OpenFailed { why, retry_ms } => Some((why.to_string(), *retry_ms)),
        _ => None,
    });
    assert!(why.0.starts_with("there is no /") && why.0.ends_with("/tty"), "{why:?}");
    assert_eq!(why.1, 250);
}

#[test]
fn a_device_that_comes_back_as_another_is_found() {
    let bench = Bench::new("zvt+serial:PATH");
    let at = bench.dir.path().join("tty");
    // Opened while the first is open, so that it has another number.
    let other = Pty::at(&bench.dir.path().join("other"));
    assert_ne!(bench.pty.real, other.real);
    bench.pty.unplug();
    std::fs::rename(bench.dir.path().join("other"), &at).expect("the link moves");
    let (found, after) = bench.told.find(|event| match event {
        PortEvent::Up { link, at, .. } => Some((*link, at.clone())),
        _ => None,
    });
    assert!(after < Duration::from_secs(2), "it took {after:?}");
    assert_eq!(Path::new(&found.1), other.real);
    // What is sent on the old link goes nowhere; what is sent on the new one arrives first.
    bench.port.send(bench.link, b"old".to_vec()).expect("there is room");
    bench.port.send(found.0, b"new".to_vec()).expect("there is room");
    assert_eq!(heard(&other.master, 3), b"new");
    assert_eq!(bench.port.counts().stale, 1);
}

#[test]
fn a_device_that_takes_nothing_is_let_go() {
    let bench = Bench::limited("zvt+serial:PATH", |plan| plan.limits.write_ms_max = 300);
    let begun = std::time::Instant::now();
    bench.port.send(bench.link, vec![b'x'; 64 * 1024]).expect("there is room");
    // Once the kernel is full, the queue fills, and says so.
    while bench.port.counts().sent == 0 {
        assert!(begun.elapsed() < Duration::from_millis(300), "nothing was sent");
        std::thread::yield_now();
    }
    let mut queued = 0;
    let full = loop {
        match bench.port.send(bench.link, b"y".to_vec()) {
            Ok(()) => queued += 1,
            Err(full) => break full,
        }
    };
    assert_eq!(full.0, PortCommand::Send { link: bench.link, bytes: b"y".to_vec() });
    assert_eq!(queued, COMMANDS_MAX);
    let (why, _) = bench.told.down();
    let after = begun.elapsed();
    assert!(why.starts_with("the device took no bytes for 300 ms; "), "{why}");
    assert!(after >= Duration::from_millis(300) && after < Duration::from_secs(2), "it took {after:?}");
    // The process lives, and the device is opened again; what was meant for the old link is dropped.
    let (link, _) = bench.told.up();
    assert!(link > bench.link);
    bench.port.send(link, b"z".to_vec()).expect("there is room");
    bench.told.nothing_for(Duration::from_millis(1));
    assert_eq!(bench.port.counts().stale, u64::try_from(queued).expect("few"));
}

#[test]
fn reading_goes_on_while_a_device_takes_nothing() {
    let bench = Bench::limited("zvt+serial:PATH", |plan| plan.limits.write_ms_max = 2_000);
    bench.port.send(bench.link, vec![b'x'; 64 * 1024]).expect("there is room");
    (&bench.pty.master).write_all(b"busy").expect("the port reads");
    assert_eq!(bench.bytes(4), b"busy");
    // It takes them after all.
    assert_eq!(heard(&bench.pty.master, 64 * 1024), vec![b'x'; 64 * 1024]);
    assert_eq!(bench.port.counts().sent, 64 * 1024);
}

#[test]
fn a_taker_that_takes_its_time_loses_nothing() {
    let dir = tempdir().expect("a directory");
    let at = dir.path().join("tty");
    let pty = Pty::at(&at);
    let mut plan = plan("zvt+serial:PATH", &at);
    (plan.limits.bytes_per_s_max, plan.limits.burst_bytes_max) = (u32::MAX, u32::MAX);
    let runtime = runtime();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (sender, bytes) = std::sync::mpsc::channel();
    let (open, opened) = std::sync::mpsc::channel();
    let mut held = Some(gone);
    let tell = move |event| match event {
        PortEvent::Bytes(bytes) => {
            // The first bytes wait until the test lets them go.
            let _ = held.take().map(|gone| gone.recv());
            let _ = sender.send(bytes);
        }
        other => drop(open.send(other)),
    };
    let _port = Port::start(runtime.handle(), plan, tell).expect("a thread");
    // What is written earlier is thrown away at opening.
    let first = opened.recv_timeout(Duration::from_secs(10)).expect("the link opens");
    assert!(matches!(first, PortEvent::Up { .. }), "{first:?}");
    let sent: Vec<u8> = (0..600_000u32).map(|at| at.to_le_bytes()[usize::from(at % 3 == 0)]).collect();
    let (mut master, all) = (pty.master.try_clone().expect("a second handle"), sent.clone());
    let writer = std::thread::spawn(move || master.write_all(&all));
    // The queue holds 64 events of 4 KiB; the writer cannot be through before the taker takes.
    assert!(bytes.recv_timeout(Duration::from_millis(500)).is_err());
    assert!(!writer.is_finished());
    go.send(()).expect("the taker waits");
    let mut taken = Vec::new();
    while taken.len() < sent.len() {
        taken.extend(bytes.recv_timeout(Duration::from_secs(10)).expect("the bytes come"));
    }
    assert!(taken == sent, "what was taken is not what was sent");
    writer.join().expect("it ends").expect("all was written");
}

#[test]
fn a_port_closes_and_opens_when_told() {
    let bench = Bench::new("zvt+serial:PATH");
    bench.port.command(PortCommand::Close).expect("there is room");
    assert_eq!(bench.told.down().0, "the link was closed");
    bench.port.send(bench.link, b"x".to_vec()).expect("there is room");
    bench.told.nothing_for(Duration::from_millis(600));
    bench.port.command(PortCommand::Reopen).expect("there is room");
    let (link, _) = bench.told.up();
    assert!(link > bench.link);
    bench.port.command(PortCommand::Reopen).expect("there is room");
    assert_eq!(bench.told.down().0, "the link was closed");
    assert!(bench.told.up().0 > link);
}

#[test]
fn a_stopped_port_leaves_the_line_free() {
    let Bench { dir, pty, port, told, _runtime, .. } = Bench::new("zvt+serial:PATH");
    port.stop();
    let (_port, second) = start(&_runtime, plan("zvt+serial:PATH", &dir.path().join("tty")));
    let (first, _) = second.find(|event| match event {
        PortEvent::Up { .. } => Some(Ok(())),
        PortEvent::OpenFailed { why, .. } => Some(Err(why.whole())),
        _ => None,
    });
    assert_eq!(first, Ok(()));
    // The first one told nothing more; its taker is gone.
    told.nothing_for(Duration::from_secs(1));
    drop(pty);
}

#[test]
fn what_was_said_before_is_not_heard() {
    let dir = tempdir().expect("a directory");
    let at = dir.path().join("tty");
    let mut pty = Pty::at(&at);
    pty.master.write_all(b"a late answer to somebody else\n").expect("the kernel keeps it");
    let runtime = runtime();
    let (_port, told) = start(&runtime, plan("zvt+serial:PATH", &at));
    told.up();
    pty.master.write_all(b"now").expect("the port reads");
    let (bytes, _) = told.find(|event| match event {
        PortEvent::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(bytes, b"now");
}
