//! The devices of a kit: one per role, from options and `kit.toml`.
//!
//! Promises: what is wrong is refused before anything is opened; an option takes the place of the file's device of the
//! same role.
//! Absent on purpose: links (`fieldkit-ports`), and which device may move money: accepting one is an op.

use crate::commands::Usage;
use crate::config::Config;
use anyhow::Result;
use fieldkit_ports::url::{Protocol, nearest};
use fieldkit_ports::{DeviceUrl, Role};

/// Longest name of a device.
const LABEL_CHARS_MAX: usize = 60;

/// A device that the kit is told to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it speaks and where it is.
    pub url: DeviceUrl,
    /// What the crew calls it.
    pub label: Option<String>,
    /// How it departs from the paper.
    pub departures: Vec<Departure>,
    /// The till's password at the terminal, six digits.
    pub password: Option<u32>,
}

/// How a terminal departs from the paper; facts that its maker or its behaviour tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Departure {
    /// A payment that nobody acknowledged becomes declined, without a reversal.
    NoAutoReversal,
    /// Asked for the last transaction, it says that it is done and nothing else.
    BareRepeat,
    /// A reversal takes back the last payment, whatever number it names.
    LastOnly,
}

impl Departure {
    /// All of them.
    pub const ALL: [Departure; 3] = [Departure::NoAutoReversal, Departure::BareRepeat, Departure::LastOnly];

    /// Its name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Departure::NoAutoReversal => "no-auto-reversal",
            Departure::BareRepeat => "bare-repeat",
            Departure::LastOnly => "last-only",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Departure, String> {
        let names = || Departure::ALL.iter().map(|departure| departure.name());
        let found = Departure::ALL.into_iter().find(|departure| departure.name() == name);
        found.ok_or_else(|| format!("there is no profile {name:?}; the nearest is {}", nearest(name, names())))
    }
}

impl Device {
    /// With a name of 1 to 60 characters, if any.
    pub fn new(url: DeviceUrl, label: Option<String>) -> Result<Device, String> {
        let fits = |label: &String| {
            !label.trim().is_empty() && label.chars().count() <= LABEL_CHARS_MAX && !label.chars().any(char::is_control)
        };
        match &label {
            Some(label) if !fits(label) => Err(format!("a device's label has 1 to {LABEL_CHARS_MAX} characters")),
            Some(_) | None => Ok(Device { url, label, departures: Vec::new(), password: None }),
        }
    }

    /// The same for a terminal that departs from the paper, or wants a password of six digits.
    pub fn with(mut self, profile: &[String], password: Option<&str>) -> Result<Device, String> {
        if (!profile.is_empty() || password.is_some()) && self.url.protocol() != Protocol::Zvt {
            return Err(format!("{}: knows no profile and no password; ZVT does", self.url.scheme()));
        }
        self.departures = profile.iter().map(|name| Departure::parse(name)).collect::<Result<_, _>>()?;
        self.departures.sort_unstable();
        self.departures.dedup();
        let digits = |text: &str| {
            let fits = text.len() == 6 && text.bytes().all(|digit| digit.is_ascii_digit());
            text.parse().ok().filter(|_| fits).ok_or_else(|| "a terminal's password has six digits".to_owned())
        };
        self.password = password.map(digits).transpose()?;
        Ok(self)
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.url.role()
    }

    /// Reads `ROLE=URL`.
    pub fn parse(text: &str) -> Result<Device> {
        let form =
            || Usage(format!("{text:?} is not of the form ROLE=URL, such as terminal=zvt+tcp://192.168.1.5:20007"));
        let (role, url) = text.split_once('=').ok_or_else(form)?;
        let url = Role::parse(role).and_then(|role| DeviceUrl::parse_for(role, url));
        let url = url.map_err(|error| Usage(format!("{text:?}: {error}")))?;
        Ok(Device { url, label: None, departures: Vec::new(), password: None })
    }
}

/// Devices by option, else by file; in the order of roles.
pub fn chosen(config: &Config, options: &[String]) -> Result<Vec<Device>> {
    let mut chosen = config.devices.clone();
    let mut named = Vec::new();
    for option in options {
        let device = Device::parse(option)?;
        let role = device.role();
        if named.contains(&role) {
            return Err(Usage(format!("there are two devices for the role {}; one is enough", role.name())).into());
        }
        named.push(role);
        // A URL by option for a device that the file names otherwise keeps no label: it may be another device.
        chosen.insert(role, device);
    }
    Ok(chosen.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn check(file: &str, options: &[&str], expected: Result<&[&str], &str>) {
        let config = crate::config::parse(file, Path::new("kit.toml")).expect("a good file");
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let found = chosen(&config, &options);
        let found = found.map(|devices| devices.iter().map(|device| device.url.to_string()).collect::<Vec<_>>());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
                assert!(error.downcast_ref::<Usage>().is_some(), "{error} is wrong usage");
            }
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn an_option_takes_the_place_of_the_files_device() {
        let file = "devices.terminal = \"telium:/dev/a\"";
        check(file, &[], Ok(&["telium:/dev/a"]));
        check(file, &["terminal=zvt+tcp://h:1"], Ok(&["zvt+tcp://h:1"]));
        check("", &["terminal=zvt+serial:/dev/a?frame=8N1"], Ok(&["zvt+serial:/dev/a?frame=8N1"]));
        check("", &[], Ok(&[]));
    }

    #[test]
    fn wrong_options_are_refused_with_the_nearest_name() {
        check("", &["zvt+tcp://h:1"], Err("is not of the form ROLE=URL"));
        check("", &["terminl=zvt+tcp://h:1"], Err("the nearest is terminal"));
        check("", &["terminal=zvt+tpc://h:1"], Err("the nearest is zvt+tcp:"));
        check("", &["terminal=zvt+tcp://h:99999"], Err("is not of the form zvt+tcp://HOST:PORT"));
        check("", &["locker=modbus:/dev/a?unit=1"], Err("modbus: is not supported yet"));
        check("", &["terminal=telium:/dev/a", "terminal=telium:/dev/b"], Err("two devices for the role terminal"));
    }
}
