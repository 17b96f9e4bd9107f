//! Bytes on a serial line, in pieces and with pauses: never more held than a command has, and the next good frame is read.
#![no_main]

use fieldkit_drivers::zvt::apdu::{Apdu, BYTES_MAX};
use fieldkit_drivers::zvt::link::{Event, FRAME_MS, Link, Repeat, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut link = Link::default();
    let mut now_ms = 0;
    for piece in data.split(|byte| *byte == 0xfe) {
        link.bytes(now_ms, piece);
        assert!(link.held() <= BYTES_MAX);
        now_ms += u64::from(piece.first().copied().unwrap_or(0)) * 3;
        link.tick(now_ms);
        if piece.len() % 5 == 4 {
            link.send(now_ms, &Apdu::accepted(), if piece.len() % 2 == 0 { Repeat::Always } else { Repeat::OnNak });
        }
        while link.poll().is_some() {}
    }
    link.tick(now_ms + FRAME_MS);
    let good = Apdu::whole(&[6, 1, 2, 0x10, 0xa5]).expect("an APDU");
    while link.poll().is_some() {}
    link.bytes(now_ms + FRAME_MS, &frame(&good.bytes()));
    assert!(std::iter::from_fn(|| link.poll()).any(|event| event == Event::Apdu(good.clone())));
});
