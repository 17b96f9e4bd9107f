//! Device URLs: what a device speaks and where it is, in one text.
//!
//! Promises: a URL reads as it prints; what is not understood is refused with the nearest name or the form that was
//! expected; schemes that exist and are not driven yet say so instead of being unknown.
//! Absent on purpose: whether anything is there.

use crate::address::{Address, Frame, Place, SerialSettings, Signal};
use crate::identity::Identity;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a device is for. One device per role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes cards.
    Terminal,
    /// Bridges a power cut.
    Ups,
    /// Doors.
    Locker,
    /// Switches outlets.
    Relay,
    /// Reads codes.
    Scanner,
    /// Prints slips.
    Printer,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 6] = [Role::Terminal, Role::Ups, Role::Locker, Role::Relay, Role::Scanner, Role::Printer];

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Role::Terminal => "terminal",
            Role::Ups => "ups",
            Role::Locker => "locker",
            Role::Relay => "relay",
            Role::Scanner => "scanner",
            Role::Printer => "printer",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Role, UrlError> {
        let names = || Role::ALL.iter().map(|role| role.name());
        let found = Role::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| UrlError::UnknownRole { name: name.to_owned(), nearest: nearest(name, names()) })
    }
}

/// What a device speaks. How it is framed depends on the address: over TCP, ZVT has no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ZVT 700 of the German card industry.
    Zvt,
    /// Telium "protocol E", as terminals in France speak it.
    Telium,
}

/// How a scheme reaches its device.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// `SCHEME:PATH` or `SCHEME:usb:…`, with these settings if nothing else is said.
    Serial(SerialSettings),
    /// `SCHEME://HOST` or `SCHEME://HOST:PORT`, with this port if none is said.
    Tcp(u16),
}

/// One scheme.
#[derive(Debug)]
struct Scheme {
    name: &'static str,
    role: Role,
    /// `None`: known, not driven yet.
    driven: Option<(Protocol, Reach)>,
}

const fn driven(name: &'static str, role: Role, protocol: Protocol, reach: Reach) -> Scheme {
    Scheme { name, role, driven: Some((protocol, reach)) }
}

const fn planned(name: &'static str, role: Role) -> Scheme {
    Scheme { name, role, driven: None }
}

/// Every scheme. The first driven serial one of a role is proposed for a device that was found.
const SCHEMES: &[Scheme] = &[
    driven("zvt+tcp", Role::Terminal, Protocol::Zvt, Reach::Tcp(20_007)),
    driven("zvt+serial", Role::Terminal, Protocol::Zvt, Reach::Serial(SerialSettings::ZVT)),
    driven("telium", Role::Terminal, Protocol::Telium, Reach::Serial(SerialSettings::TELIUM)),
    planned("nut", Role::Ups),
    planned("megatec", Role::Ups),
    planned("modbus", Role::Locker),
    planned("8a", Role::Locker),
    planned("kerong", Role::Locker),
    planned("bridge", Role::Locker),
    planned("lcus", Role::Relay),
    planned("line", Role::Scanner),
    planned("escpos", Role::Printer),
    planned("escpos+tcp", Role::Printer),
];

/// Names of settings behind the question mark.
const SETTINGS: [&str; 3] = ["baud", "frame", "dtr"];

/// What a device speaks and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceUrl {
    scheme: &'static str,
    role: Role,
    protocol: Protocol,
    address: Address,
    /// What the scheme's settings are if nothing is said; these are not printed.
    built_in: Option<SerialSettings>,
}

/// Why a role or a URL is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No such role.
    #[error("there is no device role {name:?}; the nearest is {nearest}")]
    UnknownRole {
        /// What was said.
        name: String,
        /// What was perhaps meant.
        nearest: &'static str,
    },
    /// No scheme in front.
    #[error("{text:?} is no device URL: those look like zvt+tcp://HOST:PORT or telium:PATH")]
    NoScheme {
        /// What was said.
        text: String,
    },
    /// No such scheme.
    #[error("there is no device URL that begins with {name}:; the nearest is {nearest}:")]
    UnknownScheme {
        /// What was said.
        name: String,
        /// What was perhaps meant.
        nearest: &'static str,
    },
    /// A scheme of the plan.
    #[error("{scheme}: is not supported yet")]
    NotSupportedYet {
        /// The scheme.
        scheme: &'static str,
    },
    /// A device of another role.
    #[error("{scheme}: is for the role {}, not {}", of.name(), role.name())]
    OtherRole {
        /// The scheme.
        scheme: &'static str,
        /// What it is for.
        of: Role,
        /// What it was given as.
        role: Role,
    },
    /// The rest does not fit the scheme.
    #[error("{text:?} is not of the form {scheme}{form}")]
    Form {
        /// What was said.
        text: String,
        /// The scheme.
        scheme: &'static str,
        /// What should follow it.
        form: &'static str,
    },
    /// A path that depends on where the program was started.
    #[error("{path:?} is no absolute path; did you mean /dev/{path}?")]
    BarePath {
        /// What was said.
        path: String,
    },
    /// An identity that cannot be read.
    #[error("{text:?} is not of the form usb:VVVV:PPPP:SERIAL or usb:VVVV:PPPP@SOCKET")]
    Identity {
        /// What was said.
        text: String,
    },
    /// No such setting.
    #[error("there is no setting {name:?} of a serial line; the nearest is {nearest}")]
    UnknownSetting {
        /// What was said.
        name: String,
        /// What was perhaps meant.
        nearest: &'static str,
    },
    /// A setting's value cannot be.
    #[error("{name}={value} cannot be: {wanted}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What was said.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
}

impl DeviceUrl {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<DeviceUrl, UrlError> {
        let (name, rest) = text.split_once(':').ok_or_else(|| UrlError::NoScheme { text: text.to_owned() })?;
        let scheme = SCHEMES.iter().find(|scheme| scheme.name == name).ok_or_else(|| {
            let nearest = nearest(name, SCHEMES.iter().map(|scheme| scheme.name));
            UrlError::UnknownScheme { name: name.to_owned(), nearest }
        })?;
        let (protocol, reach) = scheme.driven.ok_or(UrlError::NotSupportedYet { scheme: scheme.name })?;
        let form = |form| UrlError::Form { text: text.to_owned(), scheme: scheme.name, form };
        let (address, built_in) = match reach {
            Reach::Tcp(port) => (tcp(rest, port).ok_or_else(|| form("://HOST:PORT"))?, None),
            Reach::Serial(_) if rest.is_empty() || rest.starts_with("//") => return Err(form(":PATH")),
            Reach::Serial(settings) => (serial(rest, settings)?, Some(settings)),
        };
        Ok(DeviceUrl { scheme: scheme.name, role: scheme.role, protocol, address, built_in })
    }

    /// Reads the URL of a device for `role`.
    pub fn parse_for(role: Role, text: &str) -> Result<DeviceUrl, UrlError> {
        let named = text.split_once(':').and_then(|(name, _)| SCHEMES.iter().find(|scheme| scheme.name == name));
        match named {
            Some(scheme) if scheme.role != role => {
                Err(UrlError::OtherRole { scheme: scheme.name, of: scheme.role, role })
            }
            Some(_) | None => DeviceUrl::parse(text),
        }
    }

    /// The scheme in front.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// What the device is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What it speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The identity that it names, if it names one.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.address {
            Address::Serial { place: Place::Usb(identity), .. } => Some(identity),
            Address::Serial { place: Place::Path(_), .. } | Address::Tcp { .. } => None,
        }
    }
}

impl fmt::Display for DeviceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "{}://[{host}]:{port}", self.scheme),
            Address::Tcp { host, port } => write!(f, "{}://{host}:{port}", self.scheme),
            Address::Serial { place, settings } => {
                match place {
                    Place::Path(path) => write!(f, "{}:{}", self.scheme, escape(path))?,
                    Place::Usb(identity) => write!(f, "{}:{identity}", self.scheme)?,
                }
                let built_in = self.built_in.unwrap_or(*settings);
                let mut mark = '?';
                let mut print = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
                    let written = write!(f, "{mark}{name}={value}");
                    mark = '&';
                    written
                };
                if settings.baud() != built_in.baud() {
                    print(f, "baud", &settings.baud())?;
                }
                if settings.frame() != built_in.frame() {
                    print(f, "frame", &settings.frame())?;
                }
                match settings.dtr() {
                    Signal::AsFound => Ok(()),
                    Signal::On => print(f, "dtr", &"on"),
                    Signal::Off => print(f, "dtr", &"off"),
                }
            }
        }
    }
}

/// Schemes for a serial device of a role, the one to propose first.
pub fn serial_schemes(role: Role) -> impl Iterator<Item = &'static str> {
    let fits = move |scheme: &&Scheme| scheme.role == role && matches!(scheme.driven, Some((_, Reach::Serial(_))));
    SCHEMES.iter().filter(fits).map(|scheme| scheme.name)
}

/// The URL of a serial device, with the scheme's own settings.
pub fn serial_url(scheme: &str, place: &Place) -> Result<DeviceUrl, UrlError> {
    let place = match place {
        Place::Path(path) => escape(path),
        Place::Usb(identity) => identity.to_string(),
    };
    DeviceUrl::parse(&format!("{scheme}:{place}"))
}

/// The name with the fewest letters to change.
pub fn nearest<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> &'a str {
    among.min_by_key(|name| distance(word, name)).unwrap_or_default()
}

/// Letters to change, add or leave out to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, against) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *against);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

fn tcp(rest: &str, port: u16) -> Option<Address> {
    let rest = rest.strip_prefix("//")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, behind, plain): (_, _, fn(char) -> bool) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, behind, |letter| letter.is_ascii_alphanumeric() || ":.%-_".contains(letter))
        }
        None => {
            let at = rest.find(':').unwrap_or(rest.len());
            (&rest[..at], &rest[at..], |letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter))
        }
    };
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let port = match behind.strip_prefix(':') {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().ok().filter(|port| *port != 0)?
        }
        Some(_) => return None,
        None if behind.is_empty() => port,
        None => return None,
    };
    Some(Address::Tcp { host: host.to_owned(), port })
}

fn serial(rest: &str, settings: SerialSettings) -> Result<Address, UrlError> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let place = if place.starts_with("usb:") {
        let identity = Identity::from_text(place).ok_or_else(|| UrlError::Identity { text: place.to_owned() })?;
        Place::Usb(identity)
    } else {
        Place::Path(absolute(place)?)
    };
    let mut settings = settings;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        settings = set(settings, pair)?;
    }
    Ok(Address::Serial { place, settings })
}

/// A path that means the same wherever the program is started; what says that it is relative is taken from here.
fn absolute(text: &str) -> Result<PathBuf, UrlError> {
    let bare = || UrlError::BarePath { path: text.to_owned() };
    let path = unescape(text).ok_or_else(bare)?;
    if path.starts_with('/') {
        return Ok(PathBuf::from(path));
    }
    if path.starts_with("./") || path.starts_with("../") {
        return std::path::absolute(path).map_err(|_| bare());
    }
    Err(bare())
}

fn set(settings: SerialSettings, pair: &str) -> Result<SerialSettings, UrlError> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let cannot = |name, wanted| UrlError::Setting { name, value: value.to_owned(), wanted };
    match name {
        "baud" => {
            let baud = value.parse().ok().and_then(|baud| settings.with_baud(baud));
            baud.ok_or_else(|| cannot("baud", "a number from 50 to 4000000"))
        }
        "frame" => {
            let frame = Frame::from_text(value).map(|frame| settings.with_frame(frame));
            frame.ok_or_else(|| cannot("frame", "7 or 8, then N, E or O, then 1 or 2, such as 8N1"))
        }
        "dtr" => match value {
            "on" => Ok(settings.with_dtr(Signal::On)),
            "off" => Ok(settings.with_dtr(Signal::Off)),
            _ => Err(cannot("dtr", "on or off")),
        },
        _ => Err(UrlError::UnknownSetting { name: name.to_owned(), nearest: nearest(name, SETTINGS.into_iter()) }),
    }
}

/// A path as it stands in a URL.
fn escape(path: &Path) -> String {
    let text = path.to_string_lossy();
    let special = |letter: char| "%?".contains(letter) || letter.is_control();
    let one = |letter: char| {
        let mut bytes = [0; 4];
        match special(letter) {
            true => letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}")).collect(),
            false => letter.to_string(),
        }
    };
    text.chars().map(one).collect::<String>()
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

#[cfg(test)]
mod tests;
