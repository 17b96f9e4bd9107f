//! A world as text files, for a checker of another make: ops, journals of terminals, answers, the injector's log.
//!
//! Promises: ops stand as they lie on each device, in order, one a line in hexadecimal; what a terminal wrote stands as
//! `fieldkit simulate` writes it; of what is only in memory, nothing but the contradictions that a kit names.
//! Absent on purpose: writing files (`main`), and verdicts.

use crate::disk::Device;
use crate::kit::Kit;
use crate::log::{Given, PutBack, Said};
use crate::terminal::Terminal;
use crate::world::World;
use fieldkit_core::id::OpId;
use fieldkit_drivers::terminal_peer::Entry;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The files of a world, by name.
pub fn files(world: &World) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (number, kit) in world.kits.iter().enumerate().filter(|(_, kit)| !kit.gone) {
        files.insert(format!("kit-{number}.journal"), ops(&kit.journal));
        files.insert(format!("kit-{number}.box"), ops(&kit.black_box));
        files.insert(format!("kit-{number}.heads"), heads(&kit.journal));
        files.insert(format!("kit-{number}.named"), named(kit));
    }
    for (number, terminal) in world.terminals.iter().enumerate() {
        files.insert(format!("terminal-{number}.ndjson"), lines(terminal.entries.iter().map(entry)));
    }
    files.insert("answers.ndjson".to_owned(), lines(world.log.given.values().map(given)));
    let by_hand = world.terminals.iter().enumerate().map(|(number, terminal)| by_hand(number, terminal));
    let injected = lines(world.log.put_back.iter().map(put_back)) + &by_hand.collect::<String>();
    files.insert("injector.ndjson".to_owned(), injected);
    files
}

fn lines(of: impl Iterator<Item = String>) -> String {
    of.map(|line| line + "\n").collect()
}

fn ops(device: &Device) -> String {
    let branches = device.branches.iter().map(|(_, op)| op);
    lines(device.ops.iter().chain(branches).map(|op| hex(&op.bytes)))
}

fn heads(device: &Device) -> String {
    lines(device.heads.iter().map(|(_, signed)| {
        let (stream, head, signature) = (hex(&signed.stream.0), signed.head, hex(&signed.signature));
        let hash = hex(&head.hash.0);
        format!(r#"{{"stream":"{stream}","seq":{},"hash":"{hash}","signature":"{signature}"}}"#, head.seq)
    }))
}

/// Contradictions that a kit names, and units that it knows to be sold more than once; nothing where it does not run.
fn named(kit: &Kit) -> String {
    let Some(engine) = &kit.engine else { return String::new() };
    let ledger = engine.ledger();
    let anomalies = ledger.anomalies.values().map(|anomaly| {
        let (kind, detail) = (anomaly.kind.text(), text(&anomaly.detail));
        format!(r#"{{"kind":"{kind}","op":{},"detail":{detail}}}"#, dot(&anomaly.op))
    });
    let oversold = ledger.events.keys().flat_map(|event| ledger.oversold(*event)).map(|(range, extra)| {
        let (pool, first, count, generation) = (hex(&range.pool.0), range.first, range.count, range.generation);
        format!(
            r#"{{"kind":"units","pool":"{pool}","first":{first},"count":{count},"generation":{generation},"extra":{extra}}}"#
        )
    });
    lines(std::iter::once(r#"{"kind":"runs"}"#.to_owned()).chain(anomalies).chain(oversold))
}

fn entry(entry: &Entry) -> String {
    let (event, amount, currency) = (entry.event.word(), entry.amount.minor, entry.amount.currency.code());
    let own = entry.own.map(|own| format!(r#","own_receipt":{},"own_trace":{}"#, own.receipt, own.trace));
    let offline = if entry.offline { r#","offline":true"# } else { "" };
    format!(
        r#"{{"event":"{event}","amount":{amount},"currency":"{currency}","receipt":{},"trace":{},"terminal_id":{},"at":{}{}{offline}}}"#,
        entry.receipt,
        entry.trace,
        text(&entry.terminal_id),
        entry.at_s,
        own.unwrap_or_default()
    )
}

fn given(given: &Given) -> String {
    let answers = given.answers.iter().map(|(said, two_devices)| {
        let said = match said {
            Said::Order(order, state, total) => {
                format!(r#""said":"order","order":{},"state":"{state}","total":{total}"#, dot(order))
            }
            Said::Refused(code) => format!(r#""said":"refused","code":{}"#, text(code)),
            Said::Done => r#""said":"done""#.to_owned(),
        };
        format!(r#"{{{said},"two_devices":{two_devices}}}"#)
    });
    let answers = answers.collect::<Vec<_>>().join(",");
    format!(r#"{{"kit":{},"key":"{}","answers":[{answers}]}}"#, given.kit, hex(given.key.key.bytes()))
}

fn put_back(put_back: &PutBack) -> String {
    let destroyed = put_back.destroyed.iter().map(|op| format!(r#""{}""#, hex(&op.bytes)));
    let destroyed = destroyed.collect::<Vec<_>>().join(",");
    format!(
        r#"{{"what":"put_back","kit":{},"entries":{},"at":{},"both":{},"destroyed":[{destroyed}]}}"#,
        put_back.kit, put_back.entries, put_back.at_s, put_back.both
    )
}

/// Charges that somebody undid at the terminal itself, by the line of its journal from 0.
fn by_hand(number: usize, terminal: &Terminal) -> String {
    let undone = |line: &usize| format!(r#"{{"what":"undone_by_hand","terminal":{number},"line":{line}}}"#);
    lines(terminal.undone.iter().map(undone))
}

fn dot(id: &OpId) -> String {
    format!(r#"["{}",{}]"#, hex(&id.stream.0), id.seq)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(of: &str) -> String {
    let mut quoted = String::from('"');
    for letter in of.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_json_wants() {
        assert_eq!(text("2 of \"PIN\" \\ \n"), r#""2 of \"PIN\" \\ \u000a""#);
    }
}
