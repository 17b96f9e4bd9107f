//! USB devices that we know by number, in one table: what they are, and what they may be at a stall.
//!
//! Promises: the table says for each whether a driver may ever speak to it unasked, and it is never: the numbers name a
//! chip, and the same chip is in a relay board, a terminal's cable and a stranger's machine. `kits/udev` is made from
//! this table (`udev_rules`), a test keeps the two equal.
//! Absent on purpose: guessing from the product's name, which anybody may choose.

use crate::url::Role;
use std::fmt::Write;

/// One device or one maker's devices.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// USB vendor.
    pub vendor: u16,
    /// USB product; `None` for all of the maker's.
    pub product: Option<u16>,
    /// What it is.
    pub name: &'static str,
    /// What it may be at a stall.
    pub could_be: &'static [Role],
    /// Whether it may be asked what it is.
    pub probe: Probe,
}

/// Whether bytes may be sent to find out what a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Never: only a role that a person gave it makes a driver speak to it. A relay would switch, a locker open.
    Never,
}

impl Probe {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Probe::Never => "never",
        }
    }
}

/// Anything with a serial cable.
const ANY_SERIAL: &[Role] = &[Role::Terminal, Role::Ups, Role::Locker, Role::Relay, Role::Scanner, Role::Printer];
/// What cheap boards with this chip are.
const BOARDS: &[Role] = &[Role::Relay, Role::Locker, Role::Scanner, Role::Printer];

const fn chip(vendor: u16, product: u16, name: &'static str, could_be: &'static [Role]) -> Known {
    Known { vendor, product: Some(product), name, could_be, probe: Probe::Never }
}

const fn maker(vendor: u16, name: &'static str, could_be: &'static [Role]) -> Known {
    Known { vendor, product: None, name, could_be, probe: Probe::Never }
}

/// The table. Numbers from the public list of USB ids; a product stands before its maker.
pub const KNOWN: &[Known] = &[
    chip(0x0403, 0x6001, "FTDI FT232 serial adapter", ANY_SERIAL),
    chip(0x0403, 0x6010, "FTDI FT2232 serial adapter, two lines", ANY_SERIAL),
    chip(0x0403, 0x6011, "FTDI FT4232 serial adapter, four lines", ANY_SERIAL),
    chip(0x0403, 0x6014, "FTDI FT232H serial adapter", ANY_SERIAL),
    chip(0x0403, 0x6015, "FTDI FT-X serial adapter", ANY_SERIAL),
    chip(0x067b, 0x2303, "Prolific PL2303 serial adapter", ANY_SERIAL),
    chip(0x067b, 0x23a3, "Prolific PL2303 serial adapter", ANY_SERIAL),
    chip(0x10c4, 0xea60, "Silicon Labs CP210x serial adapter", ANY_SERIAL),
    chip(0x10c4, 0xea70, "Silicon Labs CP2105 serial adapter, two lines", ANY_SERIAL),
    chip(0x10c4, 0xea71, "Silicon Labs CP2108 serial adapter, four lines", ANY_SERIAL),
    chip(0x1a86, 0x5523, "QinHeng CH341 serial adapter", BOARDS),
    chip(0x1a86, 0x7522, "QinHeng CH340 serial adapter", BOARDS),
    chip(0x1a86, 0x7523, "QinHeng CH340 serial adapter", BOARDS),
    chip(0x0483, 0x5740, "STMicroelectronics serial port in a device", BOARDS),
    maker(0x0b00, "Ingenico terminal", &[Role::Terminal]),
    maker(0x11ca, "Verifone terminal", &[Role::Terminal]),
    maker(0x05e0, "Symbol (Zebra) scanner", &[Role::Scanner]),
    maker(0x05f9, "PSC (Datalogic) scanner", &[Role::Scanner]),
    maker(0x0c2e, "Metrologic (Honeywell) scanner", &[Role::Scanner]),
];

/// What is known of a device.
pub fn known(vendor: u16, product: u16) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.vendor == vendor && known.product.is_none_or(|of| of == product))
}

/// The text of `kits/udev/70-fieldkit.rules`.
pub fn udev_rules() -> String {
    let mut text = RULES_HEAD.to_owned();
    for known in KNOWN {
        // A string always takes what is written.
        let _ = writeln!(text, "\n# {}", known.name);
        let _ = write!(text, "ATTR{{idVendor}}==\"{:04x}\", ", known.vendor);
        if let Some(product) = known.product {
            let _ = write!(text, "ATTR{{idProduct}}==\"{product:04x}\", ");
        }
        let _ = writeln!(text, "GOTO=\"fieldkit_ours\"");
    }
    text.push_str(RULES_TAIL);
    text
}

const RULES_HEAD: &str = r#"# Keeps ModemManager and brltty off serial devices that a stall uses.
#
# Both reach for a serial device the moment it is plugged in, to see whether it is a modem or a braille display: the
# first seconds of a terminal's line are theirs, and what they send is nonsense to it. Install as root:
#
#   cp 70-fieldkit.rules /etc/udev/rules.d/ && udevadm control --reload && udevadm trigger --subsystem-match=usb
#
# Then plug the devices in again. On a machine that uses a modem or a braille display behind one of the adapters below,
# take that line out. Made from the table in crates/fieldkit-ports/src/known.rs, where a test compares the two.

ACTION=="remove", GOTO="fieldkit_end"
SUBSYSTEM!="usb", GOTO="fieldkit_end"
ENV{DEVTYPE}!="usb_device", GOTO="fieldkit_end"
"#;

const RULES_TAIL: &str = r#"
GOTO="fieldkit_end"

LABEL="fieldkit_ours"
# ModemManager asks for this mark before it opens any line of the device.
ENV{ID_MM_DEVICE_IGNORE}="1"
# brltty's rules (85-brltty.rules, 90-brltty-*.rules) know no such mark. They compare PRODUCT, and start brltty where it
# matches: with a word in front it does not. Drivers are loaded by MODALIAS, which stays as it is.
ENV{PRODUCT}!="fieldkit/*", ENV{PRODUCT}="fieldkit/$env{PRODUCT}"

LABEL="fieldkit_end"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kits/udev/70-fieldkit.rules");
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        // To take a change of the table over: write what this prints into the file.
        assert_eq!(shipped, udev_rules(), "kits/udev/70-fieldkit.rules is not what the table says");
    }

    #[test]
    fn nothing_is_ever_probed() {
        assert!(KNOWN.iter().all(|known| known.probe == Probe::Never));
        assert_eq!(known(0x1a86, 0x7523).map(|known| known.name), Some("QinHeng CH340 serial adapter"));
        assert_eq!(known(0x0b00, 0x1234).map(|known| known.could_be), Some(&[Role::Terminal][..]));
        assert_eq!(known(0x0403, 0xffff), None);
    }

    #[test]
    fn no_entry_hides_behind_another() {
        for (at, entry) in KNOWN.iter().enumerate() {
            let found = known(entry.vendor, entry.product.unwrap_or(0xffff));
            assert_eq!(found, Some(&KNOWN[at]), "{}", entry.name);
        }
    }
}
