//! Bytes recorded from a Feig cVEND terminal, which lie in the package `zvt`: read to the end, written back the same.

use fieldkit_drivers::terminal::{Date, Kind, Time};
use fieldkit_drivers::zvt::apdu::{Apdu, Command, Kind as Apdus};
use fieldkit_drivers::zvt::fields::{Fields, Tagged};
use fieldkit_drivers::zvt::message::{Done, Shown, Status, print_lines};
use fieldkit_drivers::zvt::tcp::{Event, Stream};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The recorded files by name.
fn recorded() -> BTreeMap<String, Vec<u8>> {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().expect("cargo runs its own tests");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages are a list");
    let zvt = packages.iter().find(|package| package["name"] == "zvt").expect("zvt is a dependency of these tests");
    let manifest = PathBuf::from(zvt["manifest_path"].as_str().expect("a path"));
    let folder = manifest.parent().expect("a manifest lies in a folder").join("data");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("the folder can be listed");
        let bytes = std::fs::read(entry.path()).expect("the file can be read");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    files.map(read).filter(|(name, _)| name.ends_with(".blob")).collect()
}

fn named(name: &str) -> Apdu {
    let bytes = &recorded()[name];
    Apdu::whole(bytes).unwrap_or_else(|| panic!("{name} is one APDU"))
}

/// How many bytes stand before the fields; `None` where there are no fields.
fn fixed(apdu: &Apdu) -> Option<usize> {
    match (apdu.kind(), apdu.data()) {
        (Apdus::Command(Command::Register), _) => Some(6),
        (Apdus::Command(Command::EndOfDay | Command::Other(0x08, 0x14)), _) => Some(3),
        (Apdus::Command(Command::Abort), _) => Some(1),
        // Reading a card: for how many seconds.
        (Apdus::Command(Command::Other(0x06, 0xc0)), _) => Some(1),
        (Apdus::Command(Command::Intermediate | Command::Other(0x0f, 0xa1)), _) => None,
        // Software version with its length and a state come first; or plain text of this maker.
        (Apdus::Command(Command::Completion), [0xf0, 0xf4, 0xf0, ..]) => Some(44),
        (Apdus::Command(Command::Completion), [b'1', ..]) => None,
        _ => Some(0),
    }
}

#[test]
fn recorded_bytes_are_read_to_the_end_and_written_back() {
    let recorded = recorded();
    assert_eq!(recorded.len(), 23);
    let mut with_fields = 0;
    for (name, bytes) in &recorded {
        let events = Stream::default().bytes(0, bytes);
        let [Event::Apdu(apdu)] = events.as_slice() else { panic!("{name}: {events:?}") };
        assert_eq!(&apdu.bytes(), bytes, "{name}");
        let Some(fixed) = fixed(apdu) else { continue };
        let data = &apdu.data()[fixed..];
        let (fields, result) = Fields::read(data);
        assert_eq!(result, Ok(()), "{name}");
        assert_eq!(fields.bytes(), data, "{name}");
        if let Some(container) = fields.first(0x06) {
            written_back(container, name);
        }
        with_fields += 1;
    }
    assert_eq!(with_fields, 20, "the others have none");
}

/// Tagged values write the same bytes, and so do those inside them.
fn written_back(bytes: &[u8], name: &str) {
    let tagged = Tagged::read(bytes);
    assert_eq!(Tagged::write(&tagged), bytes, "{name}");
    for constructed in tagged.iter().filter(|tagged| tagged.constructed()) {
        written_back(&constructed.value, name);
    }
}

#[test]
fn a_recorded_result_means_what_it_meant() {
    let apdu = named("1680728165.675509000_pt_ecr.blob");
    let status = Status::read(apdu.data()).expect("a result");
    let euro = fieldkit_core::money::Currency::from_code("EUR").expect("EUR is in ISO 4217");
    let told = status.transaction(Kind::Payment, euro, "");
    assert_eq!((told.amount.minor, told.amount.currency, told.result), (2_500, euro, 0));
    assert_eq!((told.receipt, told.trace, told.terminal_id.as_str()), (231, 975, "52523535"));
    assert_eq!((told.masked_pan.as_str(), told.card_name.as_str()), ("559883******8074", "MasterCard"));
    assert_eq!(told.authorisation, "750071");
    assert_eq!(told.date, Some(Date { month: 4, day: 5 }));
    assert_eq!(told.time, Some(Time { hour: 22, minute: 55, second: 58 }));
    assert!(!status.pan_seen);
    // Another card of the same terminal came with all its digits.
    let status = Status::read(named("1682066249.409078000_pt_ecr.blob").data()).expect("a result");
    assert_eq!((status.pan.as_str(), status.pan_seen), ("471100*********8004", true));
    let texts = Status::read(named("1680728215.659492000_pt_ecr.blob").data()).expect("a result").lines;
    assert_eq!(texts, ["AS-Proc-Code= 00 076 06", "Capt.-Ref.= 0099", "AID59= 081520", "DAUER   7 TAGE"]);
    let totals = Status::read(named("1680761828.489701000_pt_ecr.blob").data()).and_then(|status| status.totals);
    let totals = totals.expect("totals");
    assert_eq!((totals.amount, totals.receipt_first, totals.receipt_last), (Some(958), Some(233), Some(234)));
    assert_eq!(totals.brands.iter().map(|brand| (brand.count, brand.amount)).collect::<Vec<_>>(), [(2, 958)]);
}

#[test]
fn recorded_lines_and_states_are_read() {
    let lines = |name| print_lines(Command::PrintBlock, named(name).data());
    let receipt = lines("1680728215.585561000_pt_ecr.blob");
    assert_eq!(receipt.len(), 33);
    assert_eq!(receipt[1].text.trim(), "** Customer Receipt **");
    assert!(receipt.iter().all(|line| !line.seen), "a receipt with a masked number raises nothing");
    assert_eq!(lines("print_system_configuration_reply.blob").len(), 118);
    let shown = Shown::read(named("1680728162.647465000_pt_ecr.blob").data()).expect("shown");
    assert_eq!((shown.code, shown.text.text.as_str()), (0x17, "please wait"));
    let done = Done::read(named("1680761818.641601000_pt_ecr.blob").data());
    assert_eq!((done.needs, done.terminal_id.as_deref(), done.currency), (0x10, Some("52523535"), Some(978)));
    let state = Done::read(named("1680728219.054216000_pt_ecr.blob").data()).state;
    assert_eq!(state, Some(0));
}
