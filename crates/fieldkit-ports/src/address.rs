//! Where a device is reached, and how its line is set.
//!
//! Promises: a baud rate that exists cannot be 0 or absurd; every setting prints as it is read.
//! Absent on purpose: device URLs (`url`), and flow control, which none of our devices uses.

use crate::identity::Identity;
use std::fmt;
use std::path::PathBuf;

/// Slowest line.
pub const BAUD_MIN: u32 = 50;
/// Fastest line.
pub const BAUD_MAX: u32 = 4_000_000;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At a serial line.
    Serial {
        /// Which one.
        place: Place,
        /// How it is set.
        settings: SerialSettings,
    },
    /// In the network.
    Tcp {
        /// Name or address.
        host: String,
        /// Port number.
        port: u16,
    },
}

/// Which serial line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The one at this path, whatever is there.
    Path(PathBuf),
    /// The USB device with this identity, whatever it is called today.
    Usb(Identity),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(path) => write!(f, "{}", path.display()),
            Place::Usb(identity) => write!(f, "{identity}"),
        }
    }
}

/// How a line is set. Always raw, exclusive, without flow control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialSettings {
    baud: u32,
    frame: Frame,
    dtr: Signal,
}

impl SerialSettings {
    /// ZVT terminals: two stop bits by the specification.
    pub const ZVT: SerialSettings = SerialSettings { baud: 9_600, frame: Frame::N8_2, dtr: Signal::AsFound };
    /// Telium terminals; natively 7E1, mostly shipped as 8N1.
    pub const TELIUM: SerialSettings = SerialSettings { baud: 9_600, frame: Frame::N8_1, dtr: Signal::AsFound };

    /// At another speed; `None` outside [`BAUD_MIN`] to [`BAUD_MAX`].
    pub fn with_baud(self, baud: u32) -> Option<SerialSettings> {
        (BAUD_MIN..=BAUD_MAX).contains(&baud).then_some(SerialSettings { baud, ..self })
    }

    /// With another frame.
    pub fn with_frame(self, frame: Frame) -> SerialSettings {
        SerialSettings { frame, ..self }
    }

    /// With another treatment of the DTR signal.
    pub fn with_dtr(self, dtr: Signal) -> SerialSettings {
        SerialSettings { dtr, ..self }
    }

    /// Bits a second.
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// Bits of a byte.
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// The DTR signal.
    pub fn dtr(&self) -> Signal {
        self.dtr
    }
}

/// What to do with a modem signal once the line is open. Pseudo-terminals have none; that is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Leave it as the kernel sets it at opening.
    AsFound,
    /// Raise it.
    On,
    /// Lower it, for boards that reset on it.
    Off,
}

/// The bits of a byte on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Data bits.
    pub data: DataBits,
    /// Parity.
    pub parity: Parity,
    /// Stop bits.
    pub stop: StopBits,
}

/// Data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataBits {
    /// 7.
    Seven,
    /// 8.
    Eight,
}

/// Parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// None.
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Stop bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBits {
    /// 1.
    One,
    /// 2.
    Two,
}

impl Frame {
    /// 8N1.
    pub const N8_1: Frame = Frame { data: DataBits::Eight, parity: Parity::None, stop: StopBits::One };
    /// 8N2.
    pub const N8_2: Frame = Frame { data: DataBits::Eight, parity: Parity::None, stop: StopBits::Two };
    /// 7E1.
    pub const E7_1: Frame = Frame { data: DataBits::Seven, parity: Parity::Even, stop: StopBits::One };

    /// Reads `8N1` and the like.
    pub fn from_text(text: &str) -> Option<Frame> {
        let [data, parity, stop] = *text.as_bytes() else { return None };
        let data = match data {
            b'7' => DataBits::Seven,
            b'8' => DataBits::Eight,
            _ => return None,
        };
        let parity = match parity.to_ascii_uppercase() {
            b'N' => Parity::None,
            b'E' => Parity::Even,
            b'O' => Parity::Odd,
            _ => return None,
        };
        let stop = match stop {
            b'1' => StopBits::One,
            b'2' => StopBits::Two,
            _ => return None,
        };
        Some(Frame { data, parity, stop })
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self.data {
            DataBits::Seven => '7',
            DataBits::Eight => '8',
        };
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        let stop = match self.stop {
            StopBits::One => '1',
            StopBits::Two => '2',
        };
        write!(f, "{data}{parity}{stop}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_reads_as_it_prints() {
        for data in ["7", "8"] {
            for parity in ["N", "E", "O"] {
                for stop in ["1", "2"] {
                    let text = format!("{data}{parity}{stop}");
                    assert_eq!(Frame::from_text(&text).map(|frame| frame.to_string()), Some(text));
                }
            }
        }
        for text in ["", "8N", "9N1", "8X1", "8N3", "8N11", "８N1"] {
            assert_eq!(Frame::from_text(text), None, "{text}");
        }
    }

    #[test]
    fn absurd_speeds_do_not_exist() {
        let baud = |baud| SerialSettings::ZVT.with_baud(baud).map(|settings| settings.baud());
        assert_eq!(baud(BAUD_MIN), Some(BAUD_MIN));
        assert_eq!(baud(BAUD_MAX), Some(BAUD_MAX));
        assert_eq!((baud(0), baud(BAUD_MIN - 1), baud(BAUD_MAX + 1)), (None, None, None));
    }
}
