//! The line: worked frames, repeats, losses, garbage.

use super::*;
use proptest::prelude::*;

/// Events until there are none.
fn all(link: &mut Link) -> Vec<Event> {
    std::iter::from_fn(|| link.poll()).collect()
}

/// An acknowledgement or its opposite.
fn wire(bytes: &[u8]) -> Event {
    Event::Wire(bytes.to_vec(), None)
}

/// A block.
fn block(number: u64, apdu: &Apdu) -> Event {
    Event::Wire(frame(&apdu.bytes()), Some(number))
}

fn apdu(bytes: &[u8]) -> Apdu {
    Apdu::whole(bytes).expect("an APDU")
}

/// `06 01` over 10.10, with doubled bytes and one that is in the checksum's range.
fn payment() -> Apdu {
    apdu(&[6, 1, 0x0a, 4, 0, 0, 0, 0, 0x10, 0x10, 0x49, 0x09, 0x78])
}

#[test]
fn blocks_are_acknowledged_and_passed_on() {
    let mut link = Link::default();
    link.bytes(0, &frame(&payment().bytes()));
    assert_eq!(all(&mut link), vec![wire(&[ACK]), Event::Apdu(payment())]);
    assert_eq!(link.deadline_ms(), None);
}

#[test]
fn a_wrong_checksum_is_refused_and_the_next_frame_is_read() {
    let mut link = Link::default();
    let mut bytes = frame(&payment().bytes());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes.extend(frame(&payment().bytes()));
    link.bytes(0, &bytes);
    assert_eq!(all(&mut link), vec![wire(&[NAK]), wire(&[ACK]), Event::Apdu(payment()), Event::Noise(1)]);
}

#[test]
fn a_frame_that_begins_within_another_is_read() {
    let mut link = Link::default();
    let mut bytes = frame(&payment().bytes())[..9].to_vec();
    bytes.extend(frame(&payment().bytes()));
    link.bytes(0, &bytes);
    assert_eq!(all(&mut link), vec![wire(&[ACK]), Event::Apdu(payment())]);
    // Garbage that looks like the end of a frame swallows no more than the checksum, not the frame behind it.
    link.bytes(20_000, &[DLE, STX, 1, DLE, ETX]);
    link.bytes(20_000, &frame(&payment().bytes()));
    assert_eq!(all(&mut link), vec![wire(&[NAK]), wire(&[ACK]), Event::Apdu(payment()), Event::Noise(1)]);
}

#[test]
fn a_pause_within_a_frame_ends_it() {
    let mut link = Link::default();
    let bytes = frame(&payment().bytes());
    link.bytes(0, &bytes[..5]);
    assert_eq!(link.deadline_ms(), Some(T1_MS));
    link.tick(T1_MS - 1);
    assert_eq!(all(&mut link), vec![]);
    link.tick(T1_MS);
    assert_eq!(all(&mut link), vec![wire(&[NAK])]);
    assert_eq!((link.deadline_ms(), link.held()), (None, 0));
}

#[test]
fn slow_bytes_end_by_the_time_in_all() {
    let mut link = Link::default();
    // Just under the pause each, so that only the limit of the whole frame can end it.
    let mut now = 0;
    let block = apdu(&[&[6, 0xd3, 200][..], &[b' '; 200]].concat());
    for byte in frame(&block.bytes()) {
        link.bytes(now, &[byte]);
        now += T1_MS - 1;
        link.tick(now);
    }
    let events = all(&mut link);
    assert_eq!(events.first(), Some(&wire(&[NAK])));
    assert!(!events.iter().any(|event| matches!(event, Event::Apdu(_))), "{events:?}");
    // A short one at the same pace fits.
    let mut link = Link::default();
    for byte in frame(&payment().bytes()) {
        link.bytes(now, &[byte]);
        now += T1_MS - 1;
        link.tick(now);
    }
    assert!(all(&mut link).contains(&Event::Apdu(payment())));
}

#[test]
fn silence_repeats_what_may_be_repeated() {
    let mut link = Link::default();
    let enquiry = apdu(&[5, 1, 0]);
    link.send(0, &enquiry, Repeat::Always);
    for sent in 1..=3 {
        assert_eq!(all(&mut link), vec![block(1, &enquiry)], "sending {sent}");
        link.tick(T2_MS * sent - 1);
        assert_eq!(all(&mut link), vec![]);
        link.tick(T2_MS * sent);
    }
    assert_eq!(all(&mut link), vec![Event::Lost(1)]);
    assert_eq!(link.deadline_ms(), None);
}

#[test]
fn a_payment_is_never_repeated_on_silence() {
    let mut link = Link::default();
    link.send(0, &payment(), Repeat::OnNak);
    link.bytes(1, &[NAK]);
    assert_eq!(all(&mut link), vec![block(1, &payment()); 2]);
    link.tick(T2_MS + 1);
    assert_eq!(all(&mut link), vec![Event::Lost(1)]);
    // And on refusals only twice.
    link.send(0, &payment(), Repeat::OnNak);
    link.bytes(1, &[NAK, NAK, NAK, NAK]);
    let mut expected = vec![block(2, &payment()); 3];
    expected.push(Event::Lost(2));
    assert_eq!(all(&mut link), expected);
}

#[test]
fn a_block_in_place_of_an_acknowledgement_acknowledges() {
    let mut link = Link::default();
    link.send(0, &payment(), Repeat::OnNak);
    link.bytes(1, &frame(&[0x80, 0, 0]));
    link.bytes(2, &[ACK]);
    let events = all(&mut link);
    assert_eq!(events[1..], [wire(&[ACK]), Event::Taken(1), Event::Apdu(Apdu::accepted())]);
}

#[test]
fn a_block_twice_is_passed_on_once_until_we_speak() {
    let mut link = Link::default();
    let block = frame(&payment().bytes());
    link.bytes(0, &block);
    link.bytes(5_000, &block);
    let events = all(&mut link);
    assert_eq!(events, vec![wire(&[ACK]), Event::Apdu(payment()), wire(&[ACK])]);
    link.bytes(TWICE_MS, &block);
    assert!(all(&mut link).contains(&Event::Apdu(payment())), "too late to be a repeat");
    link.send(TWICE_MS + 1, &Apdu::accepted(), Repeat::Always);
    link.bytes(TWICE_MS + 2, &block);
    assert!(all(&mut link).contains(&Event::Apdu(payment())), "an answer was sent in between");
}

#[test]
fn blocks_wait_for_their_turn_and_not_without_end() {
    let mut link = Link::default();
    for _ in 0..=WAITING_MAX {
        link.send(0, &Apdu::accepted(), Repeat::Always);
    }
    assert_eq!(all(&mut link).len(), 1);
    link.send(0, &Apdu::accepted(), Repeat::Always);
    assert_eq!(all(&mut link), vec![Event::Lost(WAITING_MAX as u64 + 2)]);
    link.bytes(1, &[ACK]);
    assert_eq!(all(&mut link), vec![Event::Taken(1), block(2, &Apdu::accepted())]);
}

#[test]
fn garbage_never_panics_and_holds_little() {
    let mut state = 7u64;
    let mut link = Link::default();
    for at in 0..100_000u64 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // One byte in four is one that frames are made of.
        let byte =
            if state >> 62 == 0 { [DLE, STX, ETX, ACK][(state >> 40) as usize % 4] } else { (state >> 33) as u8 };
        link.bytes(at, &[byte]);
        link.tick(at);
        assert!(link.held() <= BYTES_MAX);
        all(&mut link);
    }
    // A frame of its full size without end is dropped at the limit.
    link.tick(200_000);
    link.bytes(200_000, &[DLE, STX]);
    for _ in 0..BYTES_MAX {
        link.bytes(200_000, &[1]);
    }
    assert_eq!(link.held(), BYTES_MAX);
    link.bytes(200_000, &[1]);
    assert_eq!(link.held(), 0);
    link.tick(300_000);
    all(&mut link);
    link.bytes(300_001, &frame(&payment().bytes()));
    assert!(all(&mut link).contains(&Event::Apdu(payment())), "one frame later all is well");
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_commands(
        data in prop::collection::vec(prop::collection::vec(prop_oneof![Just(DLE), Just(STX), Just(ETX), any::<u8>()], 0..90), 1..6),
        cuts in prop::collection::vec(1usize..30, 1..40),
    ) {
        // Each differs from the one before it, else it would be a repeat.
        let commands: Vec<Apdu> = data.iter().enumerate().map(|(at, data)| {
            apdu(&[&[6, at as u8, data.len() as u8][..], data].concat())
        }).collect();
        let bytes: Vec<u8> = commands.iter().flat_map(|command| frame(&command.bytes())).collect();
        let mut link = Link::default();
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            link.bytes(0, piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let read: Vec<Apdu> = all(&mut link).into_iter().filter_map(|event| match event {
            Event::Apdu(apdu) => Some(apdu),
            _ => None,
        }).collect();
        prop_assert_eq!(read, commands);
    }

    #[test]
    fn one_spoilt_byte_spoils_one_frame(at in 0usize..26, by in 1u8..=255) {
        let mut link = Link::default();
        let mut bytes = frame(&payment().bytes());
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= by;
        link.bytes(0, &bytes);
        let first = all(&mut link);
        prop_assert!(!first.contains(&Event::Apdu(payment())));
        prop_assert!(!first.iter().any(|event| matches!(event, Event::Apdu(_))), "{:?}", first);
        link.tick(FRAME_MS);
        all(&mut link);
        link.bytes(FRAME_MS, &frame(&payment().bytes()));
        prop_assert!(all(&mut link).contains(&Event::Apdu(payment())));
    }
}
