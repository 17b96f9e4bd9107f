//! Which serial devices the machine has, read from the kernel's own tables.
//!
//! Promises: nothing is opened and not one byte is sent; text from a device is stripped of control characters and cut;
//! devices come in an order that plugging in another does not shuffle; where two devices carry one serial number, each
//! is known by its socket instead.
//! Absent on purpose: udev and `/dev/serial/by-id`, which containers lack; USB devices that are no serial line.

use crate::identity::{By, Identity};
use crate::known::{Known, known};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longest text of a device that is kept.
const TEXT_CHARS_MAX: usize = 128;
/// How far above a line its USB device stands: line, adapter's port, interface, device, and one to spare.
const ANCESTORS_MAX: usize = 5;
/// Most symbolic links from a path to a device.
const LINKS_MAX: usize = 8;

/// Where the kernel's tables are. Tests have their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// `/sys`
    pub sys: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots { sys: "/sys".into(), dev: "/dev".into(), proc: "/proc".into() }
    }
}

/// A serial device that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name today, such as `ttyUSB0`.
    pub name: String,
    /// Its path today.
    pub path: PathBuf,
    /// The kernel's driver.
    pub driver: Option<String>,
    /// The USB device behind it, if it is one.
    pub usb: Option<Usb>,
    /// What it is known by, if it has anything to be known by.
    pub identity: Option<Identity>,
    /// What we know of its kind.
    pub known: Option<&'static Known>,
    /// Whether the kernel writes its own log there: not a device to use.
    pub console: bool,
}

/// What a USB device says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usb {
    /// Vendor number.
    pub vendor: u16,
    /// Product number.
    pub product: u16,
    /// Serial number; many have none.
    pub serial: Option<String>,
    /// Name of the product.
    pub product_name: Option<String>,
    /// Name of the maker.
    pub manufacturer: Option<String>,
    /// The socket it stands in, such as `1-2.3`.
    pub socket: String,
    /// Which of the device's functions this line is.
    pub interface: u8,
}

/// The kernel's table cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot list serial devices: {} cannot be read", path.display())]
pub struct ScanError {
    /// The directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Every serial device that is there.
pub fn scan(roots: &Roots) -> Result<Vec<Found>, ScanError> {
    let class = roots.sys.join("class/tty");
    let entries = fs::read_dir(&class).map_err(|source| ScanError { path: class.clone(), source })?;
    let consoles = text(&class.join("console/active")).unwrap_or_default();
    let consoles: Vec<&str> = consoles.split_whitespace().collect();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<Found> = names.filter_map(|name| look(roots, &class, name, &consoles)).collect();
    found.sort_by_key(|found| order(&found.name));
    tell_apart(&mut found);
    Ok(found)
}

/// The devices with an identity; more than one where a serial number was used twice.
pub(crate) fn with_identity(roots: &Roots, identity: &Identity) -> Vec<Found> {
    let Ok(found) = scan(roots) else { return Vec::new() };
    found.into_iter().filter(|found| found.is(identity)).collect()
}

impl Found {
    /// Whether this is the device with an identity, or one that carries the same serial number.
    pub fn is(&self, identity: &Identity) -> bool {
        self.usb.as_ref().is_some_and(|usb| usb.is(identity))
    }
}

/// What the device at `path` is known by.
pub fn identity_at(roots: &Roots, path: &Path) -> Option<Identity> {
    let name = name_at(roots, path)?;
    scan(roots).ok()?.into_iter().find(|found| found.name == name)?.identity
}

/// The name of the device that a path leads to, over any links.
fn name_at(roots: &Roots, path: &Path) -> Option<String> {
    let dev = roots.dev.canonicalize().ok()?;
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let parent = path.parent()?.canonicalize().ok()?;
        let name = path.file_name()?.to_str()?.to_owned();
        if parent == dev && roots.sys.join("class/tty").join(&name).exists() {
            return Some(name);
        }
        path = parent.join(fs::read_link(&path).ok()?);
    }
    None
}

impl Usb {
    /// What it is known by, as long as nothing else carries its serial number.
    fn identity(&self) -> Identity {
        let by = match &self.serial {
            Some(serial) => By::Serial(serial.clone()),
            None => By::Socket(self.socket.clone()),
        };
        Identity { vendor: self.vendor, product: self.product, by, interface: self.interface }
    }

    fn is(&self, identity: &Identity) -> bool {
        let same = match &identity.by {
            By::Serial(serial) => self.serial.as_ref() == Some(serial),
            By::Socket(socket) => self.socket == *socket,
        };
        same && (self.vendor, self.product, self.interface) == (identity.vendor, identity.product, identity.interface)
    }
}

fn look(roots: &Roots, class: &Path, name: String, consoles: &[&str]) -> Option<Found> {
    let entry = class.join(&name);
    // Virtual terminals and the like have no device.
    let device = entry.join("device").canonicalize().ok()?;
    // The kernel makes a row of ttyS whether the machine has them or not; those without a chip have type 0.
    if text(&entry.join("type")).is_some_and(|kind| kind == "0") {
        return None;
    }
    let usb = usb_of(&device);
    let identity = usb.as_ref().map(Usb::identity);
    let known = usb.as_ref().and_then(|usb| known(usb.vendor, usb.product));
    let path = roots.dev.join(&name);
    let console = consoles.contains(&name.as_str());
    Some(Found { driver: driver_of(&device), path, usb, identity, known, console, name })
}

/// The first driver on the way up that is not the serial core's own.
fn driver_of(device: &Path) -> Option<String> {
    let drivers = device.ancestors().take(ANCESTORS_MAX).filter_map(|at| fs::read_link(at.join("driver")).ok());
    let names = drivers.filter_map(|link| link.file_name()?.to_str().map(clean));
    names.into_iter().find(|name| name != "port" && name != "ctrl")
}

fn usb_of(line: &Path) -> Option<Usb> {
    let mut ancestors = line.ancestors().take(ANCESTORS_MAX);
    let interface = ancestors.clone().find_map(|at| text(&at.join("bInterfaceNumber")));
    let device = ancestors.find(|at| at.join("idVendor").exists())?;
    let number = |name: &str| u16::from_str_radix(&text(&device.join(name))?, 16).ok();
    let socket: String = device.file_name()?.to_str()?.to_owned();
    Some(Usb {
        vendor: number("idVendor")?,
        product: number("idProduct")?,
        serial: text(&device.join("serial")).filter(|serial| serial.len() <= TEXT_CHARS_MAX),
        product_name: text(&device.join("product")),
        manufacturer: text(&device.join("manufacturer")),
        socket,
        interface: interface.and_then(|digits| u8::from_str_radix(&digits, 16).ok()).unwrap_or(0),
    })
}

/// Where one serial number is there twice it tells nothing; the sockets do.
fn tell_apart(found: &mut [Found]) {
    let mut carriers: BTreeMap<Identity, u32> = BTreeMap::new();
    for identity in found.iter().filter_map(|found| found.identity.clone()) {
        *carriers.entry(identity).or_default() += 1;
    }
    for found in found {
        let (Some(identity), Some(usb)) = (&mut found.identity, &found.usb) else { continue };
        if carriers.get(identity).is_some_and(|carriers| *carriers > 1) {
            identity.by = By::Socket(usb.socket.clone());
        }
    }
}

/// `ttyUSB10` after `ttyUSB9`.
fn order(name: &str) -> (String, u32) {
    let letters = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (letters.to_owned(), name[letters.len()..].parse().unwrap_or(0))
}

/// A line of the kernel's tables; `None` where there is none or it is empty.
fn text(path: &Path) -> Option<String> {
    let text = clean(&String::from_utf8_lossy(&fs::read(path).ok()?));
    Some(text).filter(|text| !text.is_empty())
}

/// What a device says, made fit for a screen.
fn clean(text: &str) -> String {
    let shown = text.trim().chars().filter(|letter| !letter.is_control());
    shown.take(TEXT_CHARS_MAX).collect()
}
