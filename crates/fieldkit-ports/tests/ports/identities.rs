//! Devices that come back under other names, and others that stand in their place.

use crate::pty::Pty;
use crate::told::{Told, runtime, start};
use crate::tree::{Stick, Tree};
use fieldkit_ports::{DeviceUrl, Plan, Port, PortCommand, PortEvent};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A machine with made-up tables and pseudo-terminals for lines.
struct Machine {
    tree: Tree,
    runtime: Runtime,
}

impl Machine {
    fn new() -> Machine {
        Machine { tree: Tree::new(), runtime: runtime() }
    }

    fn plug(&self, stick: Stick) -> Pty {
        let pty = Pty::at(&self.tree.dev(stick.name));
        self.tree.plug(stick);
        pty
    }

    fn unplug(&self, stick: Stick, pty: Pty) {
        self.tree.unplug(stick);
        drop(pty);
    }

    fn start(&self, place: &str) -> (Port, Told) {
        let url = DeviceUrl::parse(&format!("telium:{place}")).expect("a good URL");
        start(&self.runtime, Plan { roots: self.tree.roots(), ..Plan::new("test", url.address().clone()) })
    }

    fn start_at(&self, path: &Path) -> (Port, Told) {
        self.start(&path.display().to_string())
    }
}

/// Where the link went up and what it is known by, and how long that took.
fn up(told: &Told) -> (String, String, Duration) {
    let (found, after) = told.find(|event| match event {
        PortEvent::Up { at, identity, .. } => Some((at.clone(), identity.as_ref().map(ToString::to_string))),
        _ => None,
    });
    (found.0, found.1.unwrap_or_default(), after)
}

fn failed(told: &Told, part: &str) -> String {
    let (why, _) = told.find(|event| match event {
        PortEvent::OpenFailed { why, .. } => Some(why.whole()).filter(|why| why.contains(part)),
        _ => None,
    });
    why
}

const KIT: Stick<'static> =
    Stick { name: "ttyUSB0", socket: "1-1", ids: ("0403", "6001"), serial: Some("KIT0001"), interface: "00" };

#[test]
fn a_device_is_found_again_under_another_name() {
    let machine = Machine::new();
    let pty = machine.plug(KIT);
    let (_port, told) = machine.start_at(&machine.tree.dev("ttyUSB0"));
    assert_eq!(up(&told).1, "usb:0403:6001:KIT0001");
    machine.unplug(KIT, pty);
    assert_eq!(told.down().0, "the device is gone");
    let again = Stick { name: "ttyUSB1", socket: "1-4", ..KIT };
    let pty = machine.plug(again);
    let (at, identity, after) = up(&told);
    assert_eq!((Path::new(&at), identity.as_str()), (pty.real.as_path(), "usb:0403:6001:KIT0001"));
    assert!(after < Duration::from_secs(2), "it took {after:?}");
}

#[test]
fn another_device_at_the_path_is_not_touched_until_it_is_accepted() {
    let machine = Machine::new();
    let pty = machine.plug(KIT);
    let (port, told) = machine.start_at(&machine.tree.dev("ttyUSB0"));
    up(&told);
    machine.unplug(KIT, pty);
    let locker = Stick { serial: Some("LOCKER9"), ..KIT };
    let pty = machine.plug(locker);
    let why = failed(&told, "another device");
    let path = machine.tree.dev("ttyUSB0");
    let both = "usb:0403:6001:LOCKER9, where usb:0403:6001:KIT0001 was";
    assert_eq!(why, format!("another device is at {}: {both}", path.display()));
    // The device comes back elsewhere: found, though its path is taken.
    let elsewhere = Stick { name: "ttyUSB1", socket: "1-2", ..KIT };
    let second = machine.plug(elsewhere);
    assert_eq!(Path::new(&up(&told).0), second.real);
    machine.unplug(elsewhere, second);
    failed(&told, "another device");
    port.command(PortCommand::Accept).expect("there is room");
    let (at, identity, _) = up(&told);
    assert_eq!((Path::new(&at), identity.as_str()), (pty.real.as_path(), "usb:0403:6001:LOCKER9"));
}

#[test]
fn a_device_named_by_identity_needs_no_path() {
    let machine = Machine::new();
    let (_port, told) = machine.start("usb:0403:6001:KIT0001");
    assert_eq!(failed(&told, "there is no"), "there is no usb:0403:6001:KIT0001");
    let other = machine.plug(Stick { serial: Some("OTHER"), ..KIT });
    let pty = machine.plug(Stick { name: "ttyUSB7", socket: "2-1.4", ..KIT });
    assert_eq!(Path::new(&up(&told).0), pty.real);
    drop(other);
}

#[test]
fn a_device_without_a_number_is_found_at_its_socket() {
    let machine = Machine::new();
    let relay = Stick { ids: ("1a86", "7523"), serial: None, ..KIT };
    let pty = machine.plug(relay);
    let (_port, told) = machine.start("usb:1a86:7523@1-1");
    assert_eq!(up(&told).1, "usb:1a86:7523@1-1");
    machine.unplug(relay, pty);
    told.down();
    // The same kind at another socket is another board.
    let _other = machine.plug(Stick { name: "ttyUSB0", socket: "1-2", ..relay });
    failed(&told, "there is no usb:1a86:7523@1-1");
    let pty = machine.plug(Stick { name: "ttyUSB1", ..relay });
    assert_eq!(Path::new(&up(&told).0), pty.real);
}

#[test]
fn two_devices_with_one_number_are_not_guessed() {
    let machine = Machine::new();
    let (one, two) = (KIT, Stick { name: "ttyUSB1", socket: "1-2", ..KIT });
    let (first, _second) = (machine.plug(one), machine.plug(two));
    let (_port, told) = machine.start("usb:0403:6001:KIT0001");
    let why = failed(&told, "two devices are usb:0403:6001:KIT0001");
    assert!(why.contains("ttyUSB0 and ") && why.ends_with("ttyUSB1"), "{why}");
    machine.unplug(one, first);
    up(&told);
}

#[test]
fn a_device_that_hangs_the_system_costs_a_thread_and_not_the_program() {
    let machine = Machine::new();
    let pty = machine.plug(KIT);
    let url = DeviceUrl::parse(&format!("telium:{}", machine.tree.dev("ttyUSB0").display())).expect("a good URL");
    let mut plan = Plan { roots: machine.tree.roots(), ..Plan::new("test", url.address().clone()) };
    plan.limits.open_ms_max = 50;
    // A table of the kernel that never ends stands for an ioctl that never returns.
    let table = machine.tree.class("console").join("active");
    std::fs::remove_file(&table).expect("it was there");
    mknodat(CWD, &table, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let held = File::options().read(true).write(true).open(&table).expect("both ends of it");
    let (_port, told) = start(&machine.runtime, plan);
    let why = failed(&told, "does not answer the system");
    assert!(why.ends_with("it did not open within 50 ms"), "{why}");
    // The runtime has one worker, and it is free: another port works.
    let other = Pty::at(&machine.tree.dev("other"));
    let (_second, works) = machine.start_at(&machine.tree.dev("other"));
    assert_eq!(Path::new(&up(&works).0), other.real);
    // The device comes to its senses.
    std::fs::remove_file(&table).expect("it was there");
    std::fs::write(&table, "tty0\n").expect("a table again");
    drop(held);
    assert_eq!(Path::new(&up(&told).0), pty.real);
}
