//! What a USB device is known by, whatever name it has today.
//!
//! Promises: reads as it prints; two texts are equal exactly where the identities are. A device with a serial number is
//! known by it at any socket; one without, or whose number another device carries too, by the socket it stands in.
//! Absent on purpose: finding the device (`scan`), and trusting it: a serial number is easily copied.

use std::fmt;

/// Longest serial number that counts; what is longer is no number but an attack.
const SERIAL_BYTES_MAX: usize = 128;

/// Vendor, product, and serial number or socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// USB vendor.
    pub vendor: u16,
    /// USB product.
    pub product: u16,
    /// What tells it from others of its kind.
    pub by: By,
    /// Which function of the device, where it has several lines.
    pub interface: u8,
}

/// What tells a device from others of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Its serial number.
    Serial(String),
    /// The socket it stands in, such as `1-2.3`: bus, then the ports of the hubs on the way.
    Socket(String),
}

impl Identity {
    /// Reads `usb:VVVV:PPPP:SERIAL` or `usb:VVVV:PPPP@SOCKET`, either with `/INTERFACE` behind it.
    pub fn from_text(text: &str) -> Option<Identity> {
        let rest = text.strip_prefix("usb:")?;
        let (rest, interface) = match rest.split_once('/') {
            Some((rest, number)) => (rest, decimal(number).filter(|number| *number != 0)?),
            None => (rest, 0),
        };
        let (vendor, rest) = rest.split_once(':')?;
        let split = rest.find([':', '@'])?;
        let (product, value) = (&rest[..split], &rest[split + 1..]);
        let by = match rest.as_bytes()[split] {
            b':' => By::Serial(unescape(value)?),
            _ => By::Socket(socket(value)?),
        };
        Some(Identity { vendor: hexadecimal(vendor)?, product: hexadecimal(product)?, by, interface })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usb:{:04x}:{:04x}", self.vendor, self.product)?;
        match &self.by {
            By::Serial(serial) => write!(f, ":{}", escape(serial))?,
            By::Socket(socket) => write!(f, "@{socket}")?,
        }
        if self.interface == 0 { Ok(()) } else { write!(f, "/{}", self.interface) }
    }
}

/// Four lower-case digits, so that one identity has one text.
fn hexadecimal(text: &str) -> Option<u16> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == 4 && text.bytes().all(plain)).then(|| u16::from_str_radix(text, 16).ok())?
}

fn decimal(text: &str) -> Option<u8> {
    let number: u8 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn socket(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (!text.is_empty() && text.bytes().all(plain)).then(|| text.to_owned())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn escape(text: &str) -> String {
    let one = |byte: u8| if is_plain(byte) { (byte as char).to_string() } else { format!("%{byte:02x}") };
    text.bytes().map(one).collect()
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if is_plain(*first) {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2).filter(|_| *first == b'%')?).ok()?;
        let byte =
            u8::from_str_radix(digits, 16).ok().filter(|byte| !is_plain(*byte) && format!("{byte:02x}") == digits)?;
        bytes.push(byte);
        rest = &after[2..];
    }
    let fits = !bytes.is_empty() && bytes.len() <= SERIAL_BYTES_MAX;
    String::from_utf8(bytes).ok().filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(By, u8)>) {
        let found = Identity::from_text(text);
        assert_eq!(found.clone().map(|identity| (identity.by, identity.interface)), expected, "{text}");
        if let Some(identity) = found {
            assert_eq!(identity.to_string(), text);
        }
    }

    #[test]
    fn identities_read_as_they_print() {
        let serial = |text: &str| By::Serial(text.to_owned());
        check("usb:0403:6001:KIT0001", Some((serial("KIT0001"), 0)));
        check("usb:0403:6010:KIT0001/1", Some((serial("KIT0001"), 1)));
        check("usb:0403:6001:a%20b%2fc%3ad%40e%25", Some((serial("a b/c:d@e%"), 0)));
        check("usb:1a86:7523@1-2.3", Some((By::Socket("1-2.3".to_owned()), 0)));
        check("usb:1a86:55d5@1-2.3/3", Some((By::Socket("1-2.3".to_owned()), 3)));
    }

    #[test]
    fn one_identity_has_one_text() {
        for text in [
            "usb:403:6001:A",
            "usb:0403:6001:",
            "usb:0403:6001",
            "usb:0403:6001@",
            "usb:0403:6001@1/2-1",
            "usb:1A86:7523:A",
            "usb:0403:6001:A/0",
            "usb:0403:6001:A/01",
            "usb:0403:6001:A/",
            "usb:0403:6001:A/256",
            "usb:+403:6001:A",
            "usb:0403:6001:%41",
            "usb:0403:6001:%2F",
            "usb:0403:6001:%2",
            "usb:0403:6001:a b",
            "usb:0403:6001:%ff",
            "0403:6001:A",
        ] {
            check(text, None);
        }
        check(&format!("usb:0403:6001:{}", "A".repeat(SERIAL_BYTES_MAX + 1)), None);
    }
}
