//! A tree of the kernel's tables in a directory of its own: devices to plug in and out by hand.
//!
//! Absent on purpose: lines that carry bytes; a test links a pseudo-terminal to a name in `dev`.

use fieldkit_ports::Roots;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub struct Tree {
    dir: tempfile::TempDir,
}

/// A USB serial adapter or modem-like device to plug in.
#[derive(Clone, Copy)]
pub struct Stick<'a> {
    pub name: &'a str,
    pub socket: &'a str,
    pub ids: (&'a str, &'a str),
    pub serial: Option<&'a str>,
    pub interface: &'a str,
}

impl<'a> Stick<'a> {
    pub fn ftdi(name: &'a str, socket: &'a str, serial: &'a str) -> Self {
        Stick { name, socket, ids: ("0403", "6001"), serial: Some(serial), interface: "00" }
    }
}

impl Tree {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory for the test");
        for name in ["sys/class/tty/console", "sys/bus/drivers", "dev", "proc"] {
            fs::create_dir_all(dir.path().join(name)).expect("a directory in it");
        }
        fs::write(dir.path().join("sys/class/tty/console/active"), "tty0 ttyS0\n").expect("a file");
        Tree { dir }
    }

    pub fn roots(&self) -> Roots {
        let at = |name: &str| self.dir.path().join(name);
        Roots { sys: at("sys"), dev: at("dev"), proc: at("proc") }
    }

    pub fn dev(&self, name: &str) -> PathBuf {
        self.dir.path().join("dev").join(name)
    }

    /// Plugs a device in as the kernel shows it: interface and tty below the USB device, links from the class.
    pub fn plug(&self, stick: Stick) {
        let usb = self.dir.path().join("sys/devices/pci0/usb1").join(stick.socket);
        let interface = usb.join(format!("{}:1.{}", stick.socket, stick.interface));
        let modem = stick.name.starts_with("ttyACM");
        let device = if modem { interface.clone() } else { interface.join(stick.name) };
        let tty = device.join("tty").join(stick.name);
        fs::create_dir_all(&tty).expect("a directory");
        self.write(&usb, "idVendor", stick.ids.0);
        self.write(&usb, "idProduct", stick.ids.1);
        self.write(&usb, "product", "USB\u{1b}[31m Serial");
        self.write(&usb, "manufacturer", "Maker");
        if let Some(serial) = stick.serial {
            self.write(&usb, "serial", serial);
        }
        self.write(&interface, "bInterfaceNumber", stick.interface);
        let driver = self.dir.path().join("sys/bus/drivers").join(if modem { "cdc_acm" } else { "ftdi_sio" });
        self.link(&driver, &device.join("driver"));
        self.link(&device, &tty.join("device"));
        self.link(&tty, &self.class(stick.name));
    }

    /// Pulls it out.
    pub fn unplug(&self, stick: Stick) {
        fs::remove_file(self.class(stick.name)).expect("it was plugged in");
        let usb = self.dir.path().join("sys/devices/pci0/usb1").join(stick.socket);
        fs::remove_dir_all(usb).expect("it was plugged in");
        // A test that needs no bytes made no line.
        let _ = fs::remove_file(self.dev(stick.name));
    }

    /// A line of the machine itself.
    pub fn onboard(&self, name: &str, kind: &str) {
        let device = self.dir.path().join("sys/devices/pnp0/serial8250").join(name);
        let port = device.join("port");
        let tty = port.join("tty").join(name);
        fs::create_dir_all(&tty).expect("a directory");
        self.write(&tty, "type", kind);
        self.link(&self.dir.path().join("sys/bus/drivers/port"), &port.join("driver"));
        self.link(&self.dir.path().join("sys/bus/drivers/serial8250"), &device.join("driver"));
        self.link(&port, &tty.join("device"));
        self.link(&tty, &self.class(name));
    }

    /// A virtual terminal: no device behind it.
    pub fn virtual_terminal(&self, name: &str) {
        fs::create_dir_all(self.class(name)).expect("a directory");
    }

    pub fn class(&self, name: &str) -> PathBuf {
        self.dir.path().join("sys/class/tty").join(name)
    }

    pub fn link(&self, to: &Path, at: &Path) {
        // A second line of one device finds some links made.
        if at.symlink_metadata().is_err() {
            symlink(to, at).expect("a link");
        }
    }

    fn write(&self, dir: &Path, name: &str, text: &str) {
        fs::write(dir.join(name), format!("{text}\n")).expect("a file");
    }
}
