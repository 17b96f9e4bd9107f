//! Bytes on a Telium line: little is held, and what is read writes the same bytes.
#![no_main]

use fieldkit_drivers::telium::codec::{Answer, Ask, DATA_MAX, FRAME_MS, Heard, Line, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut line = Line::default();
    for (at, byte) in data.iter().enumerate() {
        let now_ms = at as u64 * 40;
        if let Some(Heard::Data(data)) = line.byte(now_ms, *byte) {
            read(&data);
        }
        let _ = line.tick(now_ms);
        assert!(line.held() <= DATA_MAX);
    }
    read(data);
    let _ = line.tick(u64::MAX - FRAME_MS);
    let read: Vec<Heard> = frame(b"good").into_iter().filter_map(|byte| line.byte(u64::MAX - FRAME_MS, byte)).collect();
    assert_eq!(read.last(), Some(&Heard::Data(b"good".to_vec())));
});

fn read(data: &[u8]) {
    if let Some(ask) = Ask::read(data) {
        assert_eq!(Ask::read(&ask.bytes()), Some(ask));
    }
    if let Some(answer) = Answer::read(data) {
        assert_eq!(answer.bytes(), data);
    }
}
