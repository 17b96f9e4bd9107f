//! The ledger: the folded state of all ops that a replica holds.
//!
//! Promises: `apply` is total — an op that contradicts what is known becomes an `Anomaly`, whoever wrote it; the state
//! is a function of the op set, whatever the order of arrival, as long as causes come first. Memory grows with what is
//! open (items, drawers, events, running payments), not with history: orders are loaded by id and let go again.
//! Absent on purpose: rules about what may be done (`decide`), and storage.

mod payments;
mod rights;

pub use rights::about;

use crate::body::{Body, BodyError, OrganisationFounded, RefundUndone, ReplicaAdmitted, Role};
use crate::codec::{Canonical, record, words};
use crate::device::{Device, LastRecord};
use crate::event::{Count, Event, Movement};
use crate::id::{Hash, OpId, ReplicaKey, Space, StreamId};
use crate::lattice::{self, Register, Seen, Write};
use crate::op::{Actor, Head, SealedOp};
use crate::order::{Order, Undo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The rules of folding of this build.
pub const FOLD_VERSION: u32 = 1;

words! {
    /// What is contradictory about an op.
    pub enum AnomalyKind {
        /// The body is not what its kind says.
        0 = Malformed "malformed",
        /// The stream is not bound to the key that opened it, or was not opened.
        1 = Stream "stream",
        /// It speaks of something that is not there.
        2 = Missing "missing",
        /// It stands in the wrong space.
        3 = Space "space",
        /// It repeats what can be only once.
        4 = Repeated "repeated",
        /// Its proof does not verify, or its author was not admitted.
        5 = Proof "proof",
        /// It gives back more than was sold.
        6 = OverRefund "over_refund",
        /// Its kind is of a later version: kept and counted by its postings.
        8 = UnknownKind "unknown_kind",
        /// A step of a payment contradicts the steps before it.
        9 = Payment "payment",
        /// Money was taken offline and never came.
        10 = Lost "lost",
        /// A terminal charged something else than was asked.
        11 = Mismatch "mismatch",
        /// Two kits took the money for one order.
        12 = PaidTwice "paid_twice",
        /// An order was paid and given up.
        13 = PaidCancelled "paid_cancelled",
        /// Two ops of one replica stand at one position.
        14 = Fork "fork",
        /// Units were sold more than once.
        15 = Oversold "oversold",
        /// Replicas contradict each other about who holds units.
        16 = Contested "contested",
    }
}

record! {
    /// A contradiction for a person to settle. Its id is derived from the op.
    pub struct Anomaly {
        /// The op.
        pub op: OpId,
        /// What is wrong.
        pub kind: AnomalyKind,
        /// In words.
        pub detail: String,
    }
}

/// A stream and what its author had seen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stream {
    /// The key that may write it; `None` where its first op was not an opening.
    pub replica: Option<ReplicaKey>,
    /// Its space.
    pub space: Option<Space>,
    /// Its newest op.
    pub head: Head,
    /// What the author had seen at the newest op.
    pub seen: Seen,
    /// The last receipt number of its series.
    pub receipts: u64,
}

/// The folded state.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Streams by id.
    pub streams: BTreeMap<StreamId, Stream>,
    /// The deepest op known.
    pub lamport: u64,
    /// The newest time that any op carries: no later op is stamped before it.
    pub floor_ms: u64,
    /// The organisation and the op that founded it.
    pub organisation: Option<(OpId, OrganisationFounded)>,
    /// Labels of the replicas admitted, by key; two kits may have admitted one replica under different labels.
    pub replicas: BTreeMap<ReplicaKey, Register<String>>,
    /// Replicas and the one that each follows; the least where a replica named several.
    pub follows: BTreeMap<ReplicaKey, ReplicaKey>,
    /// Devices by the op that accepted them.
    pub devices: BTreeMap<OpId, Device>,
    /// What each terminal told last, by terminal id.
    pub terminals: BTreeMap<String, Vec<LastRecord>>,
    /// Persons and their roles.
    pub persons: BTreeMap<OpId, BTreeSet<Role>>,
    /// Events by the op that opened them.
    pub events: BTreeMap<OpId, Event>,
    /// Contradictions by op.
    pub anomalies: BTreeMap<(OpId, u16), Anomaly>,
    /// Streams with two branches, and where they part.
    pub forks: BTreeMap<StreamId, u64>,
    /// Orders at hand: new, touched, or loaded. Not part of the state's bytes.
    pub orders: BTreeMap<OpId, Arc<Order>>,
    /// Orders changed since they were last taken by `take_changed`.
    pub(crate) changed: BTreeSet<OpId>,
}

impl Ledger {
    /// The head of a stream, zero where it is unknown.
    pub fn head(&self, stream: &StreamId) -> Head {
        self.streams.get(stream).map(|known| known.head).unwrap_or_default()
    }

    /// The order that must be at hand before `op` is applied.
    pub fn wants(op: &SealedOp) -> Option<OpId> {
        match Body::open(op.op.kind, &op.op.body).ok()? {
            Body::OrderRefunded(body) => Some(body.order),
            Body::RefundUndone(body) => Some(body.order),
            Body::OrderPaid(body) => Some(body.order),
            Body::OrderCancelled(body) => Some(body.order),
            Body::PaymentIntended(body) => Some(body.order),
            Body::PaymentMoved(body) => Some(body.order),
            Body::PaymentAttested(body) => Some(body.order),
            Body::RightsReturned(body) => Some(body.order),
            Body::RightsUsed(body) => Some(body.order),
            _ => None,
        }
    }

    /// Orders that changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<OpId> {
        std::mem::take(&mut self.changed)
    }

    /// Folds one op in. Ops known already change nothing; one that leaves a gap is left out and `false` comes back.
    pub fn apply(&mut self, op: &SealedOp) -> bool {
        self.apply_read(op, Body::open(op.op.kind, &op.op.body))
    }

    /// Folds in an op whose body is at hand, as its author has it.
    pub(crate) fn apply_read(&mut self, op: &SealedOp, body: Result<Body, BodyError>) -> bool {
        let head = self.head(&op.op.stream);
        if op.op.seq <= head.seq {
            return true;
        }
        if !op.follows(&head) {
            return false;
        }
        self.lamport = self.lamport.max(op.op.lamport);
        self.floor_ms = self.floor_ms.max(op.op.stamp.physical_ms);
        let stream = self.streams.entry(op.op.stream).or_default();
        stream.head = Head { seq: op.op.seq, hash: op.hash };
        lattice::see(&mut stream.seen, op.id());
        for dep in &op.op.deps {
            lattice::see(&mut stream.seen, dep.op);
        }
        let space = stream.space.clone();
        self.fold(op, space, body);
        true
    }

    fn fold(&mut self, op: &SealedOp, space: Option<Space>, body: Result<Body, BodyError>) {
        let body = match body {
            Ok(Body::StreamOpened(opened)) => return self.fold_opening(op, opened),
            Ok(body) => Some(body),
            Err(BodyError::Unknown(kind)) => {
                self.anomaly(op, AnomalyKind::UnknownKind, &format!("kind {kind} is of a later version"));
                None
            }
            Err(BodyError::Malformed(error)) => {
                self.anomaly(op, AnomalyKind::Malformed, &error.to_string());
                None
            }
        };
        let Some(space) = space else {
            return self.anomaly(op, AnomalyKind::Stream, "the stream was never opened");
        };
        match space.event() {
            None => self.fold_organisation(op, body),
            Some(event) => self.fold_event(op, event, body),
        }
    }

    fn fold_opening(&mut self, op: &SealedOp, opened: crate::body::StreamOpened) {
        let bound = StreamId::of(&opened.replica, &opened.space) == op.op.stream;
        if op.op.seq != 1 || !bound {
            return self.anomaly(op, AnomalyKind::Stream, "the opening does not name this stream");
        }
        if let Some(before) = opened.follows {
            let known = self.follows.entry(opened.replica).or_insert(before);
            *known = before.min(*known);
        }
        if let Some(stream) = self.streams.get_mut(&op.op.stream) {
            stream.replica = Some(opened.replica);
            stream.space = Some(opened.space);
        }
    }

    fn fold_organisation(&mut self, op: &SealedOp, body: Option<Body>) {
        let Some(body) = body else { return };
        match body {
            Body::OrganisationFounded(founded) => match &self.organisation {
                None => self.organisation = Some((op.id(), founded)),
                Some(_) => self.anomaly(op, AnomalyKind::Repeated, "the organisation was founded before"),
            },
            Body::ReplicaAdmitted(admitted) => self.fold_admission(op, admitted),
            Body::PersonAdded(_) => {
                self.persons.insert(op.id(), BTreeSet::new());
            }
            Body::RoleGranted(granted) => match self.persons.get_mut(&granted.person) {
                Some(roles) => {
                    roles.insert(granted.role);
                }
                None => self.anomaly(op, AnomalyKind::Missing, "the person is not known"),
            },
            Body::EventOpened(opened) => {
                self.events.insert(op.id(), Event::new(opened, op.op.stamp.physical_ms));
            }
            Body::EventClosed(closed) => match self.events.get_mut(&closed.event) {
                Some(event) => {
                    let at = op.op.stamp.physical_ms;
                    event.closed_ms = Some(event.closed_ms.map_or(at, |known| known.min(at)));
                }
                None => self.anomaly(op, AnomalyKind::Missing, "the event is not known"),
            },
            Body::FoldRaised(raised) => match self.events.get_mut(&raised.event) {
                Some(event) => event.fold_version = event.fold_version.max(raised.fold_version),
                None => self.anomaly(op, AnomalyKind::Missing, "the event is not known"),
            },
            Body::DeviceAccepted(body) => self.fold_device(op, body),
            Body::DeviceRetired(body) => self.fold_retirement(op, &body),
            Body::RollbackNoticed(_) | Body::CommandRefused(_) => {}
            _ => self.anomaly(op, AnomalyKind::Space, "this kind belongs to an event"),
        }
    }

    fn fold_admission(&mut self, op: &SealedOp, admitted: ReplicaAdmitted) {
        let by_organisation = self.organisation.as_ref().is_some_and(|(_, org)| org.key == admitted.admitted_by);
        let by_replica = self.replicas.contains_key(&ReplicaKey(admitted.admitted_by));
        if (by_organisation || by_replica) && admitted.is_signed() {
            let Some(Stream { seen, .. }) = self.streams.get(&op.op.stream) else { return };
            let write = Write { lamport: op.op.lamport, op: op.id(), value: admitted.label };
            self.replicas.entry(admitted.replica).or_default().set(seen, write);
        } else {
            self.anomaly(op, AnomalyKind::Proof, "the admission is not signed by the organisation or an admitted kit");
        }
    }

    fn fold_event(&mut self, op: &SealedOp, event_id: OpId, body: Option<Body>) {
        let stream_id = op.op.stream;
        let Some(event) = self.events.get_mut(&event_id) else {
            return self.anomaly(op, AnomalyKind::Missing, "the event is not known");
        };
        let at_ms = op.op.stamp.physical_ms;
        if let Some(Body::DrawerOpened(opened)) = &body {
            event.drawers.entry(stream_id).or_default().open(opened.amount, at_ms);
        }
        // Postings count for every kind, known or not.
        event.post(stream_id, &op.op.postings);
        let Some(body) = body else { return };
        self.fold_rights(op, event_id, &body);
        let Some(event) = self.events.get_mut(&event_id) else { return };
        match body {
            Body::ItemDefined(defined) => {
                let item = event.items.entry(defined.sku).or_default();
                let Some(Stream { seen, .. }) = self.streams.get(&stream_id) else { return };
                for edit in defined.edits {
                    item.edit(seen, op.op.lamport, op.id(), edit);
                }
                if let Some(value) = defined.import_mark {
                    item.import_mark.set(seen, Write { lamport: op.op.lamport, op: op.id(), value });
                }
            }
            Body::OrderPlaced(placed) => {
                event.orders += 1;
                self.take_receipt(stream_id, placed.receipt);
                self.changed.insert(op.id());
                self.orders.insert(op.id(), Arc::new(Order::placed(op, event_id, placed)));
            }
            Body::OrderRefunded(refunded) => {
                event.refunds += 1;
                self.take_receipt(stream_id, refunded.receipt);
                self.fold_refund(op, refunded, false);
            }
            Body::RefundUndone(undone) => {
                self.take_receipt(stream_id, undone.receipt);
                self.fold_undo(op, &undone, false);
            }
            Body::CashMoved(body) => {
                event.drawers.entry(stream_id).or_default().movements.push(Movement { body, at_ms });
            }
            Body::DrawerCounted(body) => {
                event.drawers.entry(stream_id).or_default().count(Count { body, at_ms });
            }
            Body::RightsReturned(body) => self.fold_units_of_order(op, body.order, true, body.ranges),
            Body::RightsUsed(body) => self.fold_units_of_order(op, body.order, false, body.ranges),
            Body::RightsGranted(_) | Body::RightsWrittenOff(_) | Body::HolderDeclaredLost(_) => {}
            Body::RightsLeased(_) | Body::LeaseLapsed(_) => {}
            Body::WatchSet(body) => self.fold_watch(op, event_id, body),
            Body::KeeperVowed(_) => self.fold_vow(op, event_id),
            Body::RightsAsked(body) => self.fold_ask(op, event_id, &body),
            Body::HolderAnswered(body) => self.fold_answer(op, event_id, &body),
            Body::HoldingAdmitted(body) => self.fold_word(op, event_id, body),
            Body::DrawerOpened(_) | Body::StockMoved(_) | Body::CatalogueImported(_) | Body::CommandRefused(_) => {}
            body => self.fold_payment(op, event_id, body),
        }
    }

    /// Folds a refund in; `beside` says that it stands on another branch of its stream.
    fn fold_refund(&mut self, op: &SealedOp, refunded: crate::body::OrderRefunded, beside: bool) {
        let Some(order) = self.orders.get_mut(&refunded.order) else {
            return self.anomaly(op, AnomalyKind::Missing, "the order is not known");
        };
        let order_id = refunded.order;
        Arc::make_mut(order).add_refund(op.id(), refunded, op.op.stamp, beside);
        self.changed.insert(order_id);
        self.weigh_refunds(order_id);
    }

    /// A refund on another branch of a forked stream: what it gave back of an order that all branches know is given back.
    fn fold_beside(&mut self, op: &SealedOp, body: Body) {
        let parted = |id: &OpId| self.forks.get(&id.stream).is_some_and(|fork| id.seq >= *fork);
        match body {
            Body::OrderRefunded(refunded) if !parted(&refunded.order) => self.fold_refund(op, refunded, true),
            Body::RefundUndone(undone) if !parted(&undone.order) => {
                let beside = parted(&undone.refund);
                self.fold_undo(op, &undone, beside);
            }
            _ => {}
        }
    }

    fn fold_undo(&mut self, op: &SealedOp, undone: &RefundUndone, beside: bool) {
        let order = self.orders.get_mut(&undone.order);
        let known = order.and_then(|order| Arc::make_mut(order).add_undo(op.id(), undone, beside));
        match known {
            None => return self.anomaly(op, AnomalyKind::Missing, "the refund is not known"),
            Some(Undo::First) => {}
            // Money moved twice. The anomaly is about the refund, so that it is the same whichever undo came first.
            Some(Undo::Again) => self.contradict(undone.refund, AnomalyKind::Repeated, "the refund was undone twice"),
        }
        self.changed.insert(undone.order);
        self.weigh_refunds(undone.order);
    }

    /// Whether more stands given back than was sold is a matter of the order as it is now, not of who came last.
    fn weigh_refunds(&mut self, order: OpId) {
        if self.orders.get(&order).is_some_and(|order| order.over_refunded()) {
            self.contradict(order, AnomalyKind::OverRefund, "more was given back than was sold");
        } else {
            self.anomalies.remove(&(order, number(AnomalyKind::OverRefund)));
        }
    }

    fn take_receipt(&mut self, stream: StreamId, receipt: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.receipts = stream.receipts.max(receipt);
        }
    }

    fn anomaly(&mut self, op: &SealedOp, kind: AnomalyKind, detail: &str) {
        self.contradict(op.id(), kind, detail);
    }

    fn contradict(&mut self, op: OpId, kind: AnomalyKind, detail: &str) {
        self.anomalies.insert((op, number(kind)), Anomaly { op, kind, detail: detail.to_owned() });
    }

    /// Whether `actor` holds one of `roles`; the replica itself holds none.
    pub fn holds(&self, actor: &Actor, roles: &[Role]) -> bool {
        match actor {
            Actor::Device(_) => false,
            Actor::Person(person) => {
                self.persons.get(person).is_some_and(|held| roles.iter().any(|role| held.contains(role)))
            }
        }
    }

    /// What people call the kit of a replica; its key's short name where nobody said.
    pub fn label(&self, replica: &ReplicaKey) -> String {
        let known = self.replicas.get(replica).and_then(|label| label.value().cloned());
        known.unwrap_or_else(|| replica.label())
    }

    /// The state's canonical bytes: everything but the orders, which are rows of their own.
    pub fn state_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        crate::snapshot::write(self, &mut out);
        out
    }

    /// The bytes of the crew's business: no heads, no depth, so that refused commands leave them as they were.
    pub fn business_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        crate::snapshot::write_business(self, &mut out);
        out
    }
}

/// A digest that equal replicas share: the business, then each order in ascending order of its id.
pub struct Digest {
    hasher: blake3::Hasher,
}

impl Digest {
    /// Begins with `Ledger::business_bytes`.
    pub fn new(business: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("fieldkit 2026-11 state digest");
        hasher.update(business);
        Digest { hasher }
    }

    /// Adds the next order: BLAKE3 of its canonical bytes.
    pub fn add(&mut self, order: Hash) {
        self.hasher.update(&order.0);
    }

    /// The digest.
    pub fn finish(self) -> Hash {
        Hash(*self.hasher.finalize().as_bytes())
    }
}

/// The number of a kind of anomaly, as it is written.
fn number(kind: AnomalyKind) -> u16 {
    u16::from_bytes(&kind.to_bytes()).unwrap_or(u16::MAX)
}
