//! Golden frames: each of `tests/golden/zvt` and `tests/golden/telium` is read and written back to the same bytes.
//!
//! Promises: over both carriers; fields inside are read to the end and written back too.
//! Absent on purpose: the frames recorded by others that may not lie here; `tests/peers` reads those where they are.

use fieldkit_drivers::telium::codec::{self, Answer, Ask, Detail, Heard, Wish};
use fieldkit_drivers::zvt::apdu::{Apdu, Command, Kind};
use fieldkit_drivers::zvt::fields::Fields;
use fieldkit_drivers::zvt::link::{self, Link};
use fieldkit_drivers::zvt::tcp::{self, Stream};

const FRAMES: &str = include_str!("../../../tests/golden/zvt/frames.txt");

const TELIUM: &str = include_str!("../../../tests/golden/telium/frames.txt");

struct Golden {
    name: &'static str,
    tcp: Vec<u8>,
    serial: Option<Vec<u8>>,
}

fn bytes(text: &str) -> Vec<u8> {
    let byte = |word| u8::from_str_radix(word, 16).unwrap_or_else(|_| panic!("{word:?} is no byte"));
    text.split_whitespace().map(byte).collect()
}

fn frames() -> Vec<Golden> {
    let lines = FRAMES.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let frame = |line: &'static str| {
        let mut parts = line.split('|').map(str::trim);
        let mut part = || parts.next().unwrap_or_else(|| panic!("{line:?} has three parts"));
        let (name, tcp, serial) = (part(), part(), part());
        Golden { name, tcp: bytes(tcp), serial: (serial != "-").then(|| bytes(serial)) }
    };
    lines.map(frame).collect()
}

#[test]
fn frames_over_tcp_read_and_write_the_same_bytes() {
    let frames = frames();
    assert_eq!(frames.len(), 21);
    for Golden { name, tcp, .. } in frames {
        let events = Stream::default().bytes(0, &tcp);
        let [tcp::Event::Apdu(apdu)] = events.as_slice() else { panic!("{name}: {events:?}") };
        assert_eq!(apdu.bytes(), tcp, "{name}");
    }
}

#[test]
fn frames_on_a_line_read_and_write_the_same_bytes() {
    let serial = frames().into_iter().filter_map(|frame| frame.serial.map(|serial| (frame.name, frame.tcp, serial)));
    let serial: Vec<_> = serial.collect();
    assert_eq!(serial.len(), 13);
    for (name, tcp, serial) in serial {
        assert_eq!(link::frame(&tcp), serial, "{name}");
        let mut line = Link::default();
        line.bytes(0, &serial);
        let read: Vec<_> = std::iter::from_fn(|| line.poll()).collect();
        let apdu = Apdu::whole(&tcp).expect("an APDU");
        assert_eq!(read, vec![link::Event::Wire(vec![0x06], None), link::Event::Apdu(apdu)], "{name}");
    }
}

/// How many bytes stand before the fields, by command.
fn fixed(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Command(Command::Register) => Some(6),
        Kind::Command(Command::Authorise) => Some(0),
        Kind::Command(Command::Reverse | Command::RepeatReceipt | Command::EndOfDay) => Some(3),
        Kind::Command(Command::Abort) => Some(1),
        _ => None,
    }
}

#[test]
fn fields_are_read_to_the_end_and_write_the_same_bytes() {
    let mut checked = 0;
    for Golden { name, tcp, .. } in frames() {
        let apdu = Apdu::whole(&tcp).expect("an APDU");
        let Some(fixed) = fixed(apdu.kind()) else { continue };
        let data = &apdu.data()[fixed..];
        let (fields, result) = Fields::read(data);
        assert_eq!(result, Ok(()), "{name}");
        assert_eq!(fields.bytes(), data, "{name}");
        checked += 1;
    }
    assert_eq!(checked, 11);
}

/// The data of the frame with this name.
fn telium(name: &str) -> Vec<u8> {
    let line = TELIUM.lines().find(|line| line.split('|').next().is_some_and(|found| found.trim() == name));
    let frame = bytes(line.and_then(|line| line.split('|').nth(1)).unwrap_or_else(|| panic!("there is no {name:?}")));
    let mut line = codec::Line::default();
    let heard: Vec<Heard> = frame.iter().filter_map(|byte| line.byte(0, *byte)).collect();
    let [Heard::Data(data)] = heard.as_slice() else { panic!("{name}: {heard:?}") };
    assert_eq!(codec::frame(data), frame, "{name}");
    data.clone()
}

#[test]
fn telium_asks_read_and_write_the_same_bytes() {
    let check = |name, minor, detail, wish, currency| {
        let data = telium(name);
        let ask = Ask { till: 1, minor, detail, means: b'1', wish, currency, private: *b"          " };
        assert_eq!(Ask::read(&data).as_ref(), Some(&ask), "{name}");
        assert_eq!(ask.bytes(), data, "{name}");
    };
    check("ask for 9.50, full answer", 950, Detail::Full, Wish::Debit, 978);
    check("ask for 1010.10, short answer", 101_010, Detail::Short, Wish::Debit, 978);
    check("ask for a credit of 2.50 in USD", 250, Detail::Short, Wish::Credit, 840);
}

#[test]
fn telium_answers_read_and_write_the_same_bytes() {
    let check = |name, result, minor, report: Option<&str>, private: &[u8; 10]| {
        let data = telium(name);
        let answer = Answer::read(&data).unwrap_or_else(|| panic!("{name} is an answer"));
        assert_eq!((answer.result, answer.minor, &answer.private), (result, minor, private), "{name}");
        let shown = answer.report.as_deref().map(|report| String::from_utf8_lossy(report).trim().to_owned());
        assert_eq!(shown.as_deref(), report, "{name}");
        assert_eq!(answer.bytes(), data, "{name}");
    };
    check("answer yes, full", b'0', 950, Some("559883******8074"), b"TX00000042");
    check("answer yes, short", b'0', 950, None, b"TX00000042");
    check("answer no, short", b'7', 950, None, b"          ");
    check("answer not verified, short", b'9', 9_999_999, None, b"0000000000");
}
