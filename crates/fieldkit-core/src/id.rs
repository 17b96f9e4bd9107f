//! Who and what: replicas, spaces, streams, dots, hashes, and how ids are printed.
//!
//! Promises: a stream id is bound to its replica key and space, so a stream cannot be claimed by another key; printed
//! ids carry a check character (Luhn mod 32) that catches every single mistyped character.
//! Absent on purpose: random ids. Where a secret is needed, the caller brings the randomness.

use crate::codec::{Canonical, DecodeError, Reader, choice, put_varint, record};
use data_encoding::{Encoding, Specification};
use std::fmt;
use std::sync::LazyLock;

/// Crockford's base32 alphabet; letters that look like digits are read as those digits.
const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str(ALPHABET);
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzIiLlOo");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ111100");
    spec.encoding().expect("the alphabet has 32 symbols and the translation has equal lengths")
});

/// A BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Hash(*blake3::hash(bytes).as_bytes())
    }
    /// The hash of `bytes` in its own domain, so that equal bytes of different meaning never collide.
    pub fn derived(domain: &str, bytes: &[u8]) -> Self {
        Hash(blake3::derive_key(domain, bytes))
    }
    /// Its first 16 bytes.
    pub fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.0[..16]);
        half
    }
    /// Lower-case hexadecimal.
    pub fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
    /// Reads hexadecimal back.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Hash)
    }
    /// Four base32 characters that a person can type from a slip.
    pub fn check4(&self) -> String {
        BASE32.encode(&self.0[..5])[..4].to_owned()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex()[..12])
    }
}

impl Canonical for Hash {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Canonical::read(input).map(Hash)
    }
}

/// A replica's Ed25519 public key: one key, one incarnation, one replica.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaKey(pub [u8; 32]);

impl ReplicaKey {
    /// The key's short printed name.
    pub fn label(&self) -> String {
        print_id(&Hash::of(&self.0).0[..10])
    }
}

impl fmt::Debug for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl Canonical for ReplicaKey {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Canonical::read(input).map(ReplicaKey)
    }
}

/// One writer's ops in one space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

impl StreamId {
    /// The stream that `replica` writes in `space`.
    pub fn of(replica: &ReplicaKey, space: &Space) -> Self {
        let mut bytes = replica.0.to_vec();
        space.write(&mut bytes);
        StreamId(Hash::derived("fieldkit 2026-11 stream id", &bytes).half())
    }
    /// The printed id.
    pub fn text(&self) -> String {
        print_id(&self.0)
    }
    /// Reads a printed id.
    pub fn from_text(text: &str) -> Option<Self> {
        read_id(text)?.try_into().ok().map(StreamId)
    }
    /// Four characters that name the stream's receipt series.
    pub fn series(&self) -> String {
        BASE32.encode(&self.0[..5])[..4].to_owned()
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.series())
    }
}

impl Canonical for StreamId {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Canonical::read(input).map(StreamId)
    }
}

record! {
    /// A dot: the op of `stream` at `seq`. The id of every aggregate is the dot of the op that made it.
    #[derive(Copy, PartialOrd, Ord)]
    pub struct OpId {
        /// The stream.
        pub stream: StreamId,
        /// Position in it, from 1.
        pub seq: u64,
    }
}

impl OpId {
    /// The printed id: base32 of stream and sequence number, with a check character.
    pub fn text(&self) -> String {
        print_id(&self.to_bytes())
    }
    /// Reads a printed id; `None` where the check character or the form is wrong.
    pub fn from_text(text: &str) -> Option<Self> {
        OpId::from_bytes(&read_id(text)?).ok()
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

choice! {
    /// What is replicated together.
    #[derive(PartialOrd, Ord)]
    pub enum Space {
        /// Persons, roles, kits, events of one organisation (the value is always 0).
        0 = Organisation(Zero),
        /// One event: its catalogue, stock, orders, money.
        1 = Event(OpId),
        /// A training event: never in real totals, series of its own.
        2 = Training(OpId),
    }
}

impl Space {
    /// The organisation's space.
    pub const ORGANISATION: Space = Space::Organisation(Zero);

    /// The event of this space, `None` for the organisation.
    pub fn event(&self) -> Option<OpId> {
        match self {
            Space::Organisation(_) => None,
            Space::Event(event) | Space::Training(event) => Some(*event),
        }
    }
}

/// A value without content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Zero;

impl Canonical for Zero {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, 0);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.varint()? {
            0 => Ok(Zero),
            value => Err(DecodeError::Tag { what: "zero", value }),
        }
    }
}

/// The pool that holds the units of one SKU of one event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolId(pub [u8; 16]);

impl PoolId {
    /// The pool of `sku` in `event`.
    pub fn of(event: &OpId, sku: &str) -> Self {
        let mut bytes = event.to_bytes();
        bytes.extend_from_slice(sku.as_bytes());
        PoolId(Hash::derived("fieldkit 2026-11 pool id", &bytes).half())
    }
}

impl fmt::Debug for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_id(&self.0))
    }
}

impl Canonical for PoolId {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Canonical::read(input).map(PoolId)
    }
}

/// Base32 of `bytes` and a check character.
pub fn print_id(bytes: &[u8]) -> String {
    let mut text = BASE32.encode(bytes);
    let check = luhn(text.bytes().rev().enumerate().map(|(at, symbol)| (digit(symbol), at % 2 == 0)));
    text.push(ALPHABET.as_bytes()[((32 - check) % 32) as usize] as char);
    text
}

/// The bytes of a printed id; `None` where a character or the check is wrong.
pub fn read_id(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() < 2 || text.len() > 64 {
        return None;
    }
    let plain = text.to_ascii_uppercase().replace(['I', 'L'], "1").replace('O', "0");
    if !plain.bytes().all(|symbol| ALPHABET.as_bytes().contains(&symbol)) {
        return None;
    }
    let sum = luhn(plain.bytes().rev().enumerate().map(|(at, symbol)| (digit(symbol), at % 2 == 1)));
    if sum != 0 {
        return None;
    }
    BASE32.decode(&plain.as_bytes()[..plain.len() - 1]).ok()
}

fn digit(symbol: u8) -> u32 {
    ALPHABET.bytes().position(|known| known == symbol).map_or(0, |at| at as u32)
}

/// Luhn's sum mod 32 (the "mod N" form): doubled digits are folded back by adding their two base-32 digits.
fn luhn(symbols: impl Iterator<Item = (u32, bool)>) -> u32 {
    let sum: u32 = symbols
        .map(|(value, doubled)| {
            let part = if doubled { value * 2 } else { value };
            part / 32 + part % 32
        })
        .sum();
    sum % 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> OpId {
        OpId { stream: StreamId(*b"0123456789abcdef"), seq: 300 }
    }

    #[test]
    fn printed_ids_read_back_in_any_case() {
        let text = sample().text();
        assert_eq!(OpId::from_text(&text), Some(sample()));
        assert_eq!(OpId::from_text(&text.to_lowercase()), Some(sample()));
    }

    #[test]
    fn every_single_wrong_character_is_caught() {
        let text = sample().text();
        for at in 0..text.len() {
            for other in ALPHABET.chars() {
                let mut wrong = text.clone();
                wrong.replace_range(at..=at, &other.to_string());
                if wrong != text {
                    assert_eq!(OpId::from_text(&wrong), None, "{wrong}");
                }
            }
        }
    }

    #[test]
    fn a_stream_is_bound_to_its_key_and_space() {
        let key = ReplicaKey([7; 32]);
        let other = ReplicaKey([8; 32]);
        let event = Space::Event(sample());
        assert_ne!(StreamId::of(&key, &event), StreamId::of(&other, &event));
        assert_ne!(StreamId::of(&key, &event), StreamId::of(&key, &Space::Training(sample())));
    }
}
