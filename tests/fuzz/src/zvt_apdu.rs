//! Commands and their fields from anywhere: read or refused; what is read writes bytes that read the same, and no text lets
//! more through than its mask.
#![no_main]

use fieldkit_drivers::zvt::apdu::{Apdu, BYTES_MAX, Command, Kind};
use fieldkit_drivers::zvt::fields::{Fields, Tagged};
use fieldkit_drivers::zvt::message::{Done, Shown, Status, print_lines};
use fieldkit_drivers::zvt::tcp::{Event, Stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut stream = Stream::default();
    let mut apdus = Vec::new();
    for piece in data.chunks(7) {
        for event in stream.bytes(0, piece) {
            if let Event::Apdu(apdu) = event {
                apdus.push(apdu);
            }
        }
        assert!(stream.held() <= BYTES_MAX);
    }
    for apdu in &apdus {
        assert_eq!(Apdu::whole(&apdu.bytes()).as_ref(), Some(apdu));
        read(apdu);
    }
    fields(data);
});

fn read(apdu: &Apdu) {
    let _ = (Status::read(apdu.data()), Shown::read(apdu.data()), Done::read(apdu.data()));
    if let Kind::Command(command @ (Command::PrintLine | Command::PrintBlock)) = apdu.kind() {
        let lines = print_lines(command, apdu.data());
        assert!(lines.iter().map(|line| line.text.chars().count()).sum::<usize>() <= apdu.data().len());
    }
    fields(apdu.data());
}

fn fields(data: &[u8]) {
    let (fields, result) = Fields::read(data);
    let bytes = fields.bytes();
    assert!(bytes.len() <= data.len());
    let (again, ok) = Fields::read(&bytes);
    assert!(again == fields && ok.is_ok());
    if result.is_ok() {
        assert_eq!(Fields::read(&bytes).0.bytes(), bytes);
    }
    for tagged in fields.tagged() {
        let written = Tagged::write(std::slice::from_ref(&tagged));
        assert!(Tagged::read(&written) == [tagged]);
    }
}
