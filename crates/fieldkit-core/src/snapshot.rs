//! The ledger's own bytes: what `state.db` keeps, and what digests are taken of.
//!
//! Promises: equal states have equal bytes; bytes that are not a state are an error and lead to a refold.
//! Absent on purpose: exchange between replicas — no snapshot is trusted over the wire.

use crate::body::{OrganisationFounded, Role};
use crate::codec::{Canonical, DecodeError, Reader};
use crate::device::{Device, LastRecord};
use crate::event::Event;
use crate::id::{OpId, ReplicaKey, Space, StreamId};
use crate::lattice::{self, Register};
use crate::ledger::{Anomaly, Ledger, Stream};
use crate::op::Head;
use std::collections::{BTreeMap, BTreeSet};

impl Canonical for Stream {
    fn write(&self, out: &mut Vec<u8>) {
        self.replica.write(out);
        self.space.write(out);
        self.head.write(out);
        lattice::entries(&self.seen).write(out);
        self.receipts.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Stream {
            replica: Option::<ReplicaKey>::read(input)?,
            space: Option::<Space>::read(input)?,
            head: Head::read(input)?,
            seen: lattice::from_entries(BTreeMap::<StreamId, u64>::read(input)?),
            receipts: u64::read(input)?,
        })
    }
}

/// The layout of these bytes and the folding that filled them, of this build. Bytes of any other are folded anew.
/// 2: cash outside a drawer's session stands apart. 3: devices, what terminals told last, and what is open at events.
/// 4: more than one record of a terminal. 5: who holds which units, and forks. 6: witnesses, keepers, asks.
/// 8: leases. 9: what another branch gave back, and units sold again in a later generation.
const SNAPSHOT_VERSION: u32 = 9;

/// Appends the whole state but its orders.
pub fn write(ledger: &Ledger, out: &mut Vec<u8>) {
    SNAPSHOT_VERSION.write(out);
    ledger.streams.write(out);
    ledger.lamport.write(out);
    ledger.floor_ms.write(out);
    write_business(ledger, out);
}

/// Appends what the crew's business is: no heads, no depth, so that refused commands leave it as it was.
pub fn write_business(ledger: &Ledger, out: &mut Vec<u8>) {
    ledger.organisation.write(out);
    ledger.replicas.write(out);
    ledger.follows.write(out);
    ledger.devices.write(out);
    ledger.terminals.write(out);
    ledger.persons.write(out);
    ledger.events.write(out);
    ledger.anomalies.write(out);
    ledger.forks.write(out);
}

/// Reads a state back; `DecodeError` leads to a refold, never to a guess.
pub fn read(bytes: &[u8]) -> Result<Ledger, DecodeError> {
    let mut input = Reader::new(bytes);
    if u32::read(&mut input)? != SNAPSHOT_VERSION {
        return Err(DecodeError::Range("snapshot version"));
    }
    let ledger = Ledger {
        streams: BTreeMap::<StreamId, Stream>::read(&mut input)?,
        lamport: u64::read(&mut input)?,
        floor_ms: u64::read(&mut input)?,
        organisation: Option::<(OpId, OrganisationFounded)>::read(&mut input)?,
        replicas: BTreeMap::<ReplicaKey, Register<String>>::read(&mut input)?,
        follows: BTreeMap::<ReplicaKey, ReplicaKey>::read(&mut input)?,
        devices: BTreeMap::<OpId, Device>::read(&mut input)?,
        terminals: BTreeMap::<String, Vec<LastRecord>>::read(&mut input)?,
        persons: BTreeMap::<OpId, BTreeSet<Role>>::read(&mut input)?,
        events: BTreeMap::<OpId, Event>::read(&mut input)?,
        anomalies: BTreeMap::<(OpId, u16), Anomaly>::read(&mut input)?,
        forks: BTreeMap::<StreamId, u64>::read(&mut input)?,
        ..Ledger::default()
    };
    match input.left() {
        0 => Ok(ledger),
        more => Err(DecodeError::Trailing(more)),
    }
}
