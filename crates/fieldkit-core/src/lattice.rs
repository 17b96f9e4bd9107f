//! The few CRDTs in use, behind one door.
//!
//! Promises: state is compared and written in a form of our own, never in that of the `crdts` crate; a register keeps
//! concurrent writes until a later write has seen them all.
//! Absent on purpose: `crdts::Map` (it diverges when keys are removed) and every serialised state of that crate.

use crate::codec::{Canonical, DecodeError, Reader};
use crate::id::{OpId, StreamId};
use crdts::{CmRDT, VClock};
use std::collections::BTreeMap;

/// What a stream's author had seen: the newest position per stream.
pub type Seen = VClock<StreamId>;

/// Adds one op to what was seen.
pub fn see(seen: &mut Seen, op: OpId) {
    seen.apply(crdts::Dot::new(op.stream, op.seq));
}

/// Whether `seen` contains `op`.
pub fn contains(seen: &Seen, op: OpId) -> bool {
    seen.get(&op.stream) >= op.seq
}

/// A clock as ordered entries.
pub fn entries(seen: &Seen) -> BTreeMap<StreamId, u64> {
    seen.dots.iter().map(|(stream, seq)| (*stream, *seq)).collect()
}

/// A clock from its entries.
pub fn from_entries(entries: BTreeMap<StreamId, u64>) -> Seen {
    VClock { dots: entries }
}

/// One write of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write<V> {
    /// Depth of the op, for choosing among concurrent writes.
    pub lamport: u64,
    /// The op.
    pub op: OpId,
    /// The value.
    pub value: V,
}

/// A register that keeps concurrent writes side by side (an MVReg with op dots).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register<V> {
    /// The writes that no other write has seen, ordered by (Lamport depth, stream, seq).
    writes: Vec<Write<V>>,
}

impl<V> Default for Register<V> {
    fn default() -> Self {
        Register { writes: Vec::new() }
    }
}

impl<V: Clone + PartialEq> Register<V> {
    /// Applies a write whose author had seen `seen`. Order and repetition do not matter, given that causes come first.
    pub fn set(&mut self, seen: &Seen, write: Write<V>) {
        if self.writes.iter().any(|known| known.op == write.op) {
            return;
        }
        self.writes.retain(|known| !contains(seen, known.op));
        self.writes.push(write);
        self.writes.sort_by_key(|known| (known.lamport, known.op));
    }

    /// The value to work with: the last write by (Lamport depth, stream, seq), never by a clock.
    pub fn value(&self) -> Option<&V> {
        self.writes.last().map(|write| &write.value)
    }

    /// Different values that were written without knowing of each other; empty where there is no contradiction.
    pub fn conflict(&self) -> Vec<&V> {
        let mut values: Vec<&V> = Vec::new();
        for write in &self.writes {
            if !values.contains(&&write.value) {
                values.push(&write.value);
            }
        }
        if values.len() > 1 { values } else { Vec::new() }
    }
}

impl<V: Canonical> Canonical for Register<V> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.writes.len() as u64).write(out);
        for write in &self.writes {
            write.lamport.write(out);
            write.op.write(out);
            write.value.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = u64::read(input)?;
        let mut writes = Vec::new();
        for _ in 0..count {
            writes.push(Write { lamport: u64::read(input)?, op: OpId::read(input)?, value: V::read(input)? });
        }
        Ok(Register { writes })
    }
}
