//! Folding rights: what each op does with the units that it names, and the contradictions that the sums show.
//!
//! Promises: as the ledger does — total, and a function of the op set. Ops of both branches of a forked replica are
//! summed up; what it gave away behind the fork rests. Contradictions stand under the pool: its id in place of a
//! stream, and position 0, where no op can be.
//! Absent on purpose: the sums themselves (`pool`), and which ops belong to a branch (`fork`).

use super::{AnomalyKind, Ledger, Stream, number};
use crate::body::{
    Body, HolderAnswered, HoldingAdmitted, LeaseLapsed, RightsAsked, RightsGranted, RightsLeased, UnitRange, WatchSet,
};
use crate::event::{Ask, Fresh, HolderAnswer, KeeperGrant, Watch, Word};
use crate::id::{OpId, PoolId, ReplicaKey, Space, StreamId};
use crate::lattice;
use crate::lease::Lease;
use crate::op::SealedOp;
use crate::order::UnitsMoved;
use crate::pool::{Deed, deeds, too_many};
use crate::rights;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most serials that an anomaly lists.
const LISTED_MAX: usize = 10;

impl Ledger {
    /// What an op does with rights that its body names.
    pub(super) fn fold_rights(&mut self, op: &SealedOp, event_id: OpId, body: &Body) {
        if let Body::StockMoved(moved) = body
            && let Some(event) = self.events.get_mut(&event_id)
        {
            event.pools.entry(PoolId::of(&event_id, &moved.sku)).or_default().sku.clone_from(&moved.sku);
        }
        if let Body::RightsGranted(granted) = body
            && !self.fold_grant(op, event_id, granted)
        {
            return;
        }
        for (deed, ranges) in deeds(&op.hash, &event_id, body) {
            self.fold_deed(op, event_id, &ranges, deed);
            self.fold_fresh(op, event_id, &ranges, deed);
        }
        match body {
            Body::RightsLeased(leased) => self.fold_lease(op, event_id, leased),
            Body::LeaseLapsed(lapsed) => self.fold_lapse(op, event_id, lapsed),
            _ => {}
        }
    }

    /// From here on the author goes by a person's word.
    pub(super) fn fold_word(&mut self, op: &SealedOp, event_id: OpId, body: HoldingAdmitted) {
        let Some(author) = self.author_of(op) else { return };
        let Some(event) = self.events.get_mut(&event_id) else { return };
        let new = Word { nonce: body.nonce, since: op.op.seq, ranges: Vec::new(), fresh: BTreeMap::new() };
        let word = event.words.entry(author).or_insert_with(|| new.clone());
        if word.nonce != body.nonce {
            let mut fresh = std::mem::take(&mut word.fresh);
            fresh.retain(|_, fresh| fresh.seen >= op.op.seq);
            *word = Word { fresh, ..new };
        }
        word.ranges.extend(body.ranges.iter().filter(|range| range.is_sound()));
    }

    /// What a replica that goes by a word gets from whoever had seen that word, it cannot have used before.
    fn fold_fresh(&mut self, op: &SealedOp, event_id: OpId, ranges: &[UnitRange], deed: Deed) {
        let Some(author) = self.author_of(op).filter(|_| !self.is_behind_a_fork(op)) else { return };
        let to = match deed {
            Deed::Grant(to) | Deed::Return(to) => to,
            Deed::Issue | Deed::Declare(_) => author,
            Deed::Freeze | Deed::Use | Deed::WriteOff => return,
        };
        let Some(event) = self.events.get_mut(&event_id) else { return };
        let Some(word) = event.words.get_mut(&to) else { return };
        let stream = self.streams.get(&op.op.stream);
        let space = stream.and_then(|stream| stream.space.as_ref());
        let seen = match (to == author, stream, space) {
            (true, ..) => op.op.seq,
            (false, Some(stream), Some(space)) => stream.seen.get(&StreamId::of(&to, space)),
            _ => return,
        };
        if seen < word.since {
            return;
        }
        let sound = ranges.iter().filter(|range| range.is_sound()).copied();
        let fresh = word.fresh.entry(op.id()).or_insert_with(|| Fresh { seen, ranges: Vec::new(), back: Vec::new() });
        match deed {
            Deed::Return(_) => fresh.back.extend(sound),
            Deed::Declare(_) => fresh.ranges.extend(sound.map(|range| range.next())),
            _ => fresh.ranges.extend(sound),
        }
    }

    /// A lease runs until its giver says that it is over. What a forked replica leases behind its fork rests.
    fn fold_lease(&mut self, op: &SealedOp, event_id: OpId, body: &RightsLeased) {
        let Some(Stream { replica: Some(from), space: Some(space), seen, .. }) = self.streams.get(&op.op.stream) else {
            return;
        };
        let (from, seen) = (*from, seen.get(&StreamId::of(&body.to, space)));
        if self.is_behind_a_fork(op) {
            return;
        }
        let Some(event) = self.events.get_mut(&event_id) else { return };
        let ranges: Vec<UnitRange> = body.ranges.iter().filter(|range| range.is_sound()).copied().collect();
        for range in ranges.iter().filter(|_| body.to != from) {
            event.pools.entry(range.pool).or_default().givers.insert(from);
        }
        let (sku, to, term_ms, confirmed_ms) = (body.sku.clone(), body.to, body.term_ms, body.confirmed_ms);
        let given_ms = op.op.stamp.physical_ms;
        event.leases.insert(op.id(), Lease { sku, from, to, ranges, term_ms, confirmed_ms, given_ms, seen });
    }

    /// A lease is over for everybody. One that the author had not seen may come in later, and would be there or not by
    /// the order of arrival.
    fn fold_lapse(&mut self, op: &SealedOp, event_id: OpId, body: &LeaseLapsed) {
        let knew = self.streams.get(&op.op.stream).is_some_and(|known| lattice::contains(&known.seen, body.lease));
        let Some(event) = self.events.get_mut(&event_id).filter(|_| knew) else {
            return self.anomaly(op, AnomalyKind::Missing, "the lease is not known");
        };
        event.leases.remove(&body.lease);
    }

    /// What a grant is beside its rights: the answer to an ask, and a keeper's word. `false` where it comes too late for
    /// the one it names.
    fn fold_grant(&mut self, op: &SealedOp, event_id: OpId, body: &RightsGranted) -> bool {
        let Some(author) = self.author_of(op) else { return true };
        let forked = self.is_behind_a_fork(op);
        let Some(event) = self.events.get_mut(&event_id) else { return true };
        if let Some(ask) = body.answers {
            event.asks.retain(|_, known| known.op != ask);
        }
        let sound: Vec<UnitRange> = body.ranges.iter().filter(|range| range.is_sound()).copied().collect();
        for range in sound.iter().filter(|_| body.to != author) {
            event.pools.entry(range.pool).or_default().givers.insert(author);
        }
        if forked || !event.keepers.contains(&author) {
            return true;
        }
        if event.answers.get(&(author, body.to)).is_some_and(|answer| op.op.seq > answer.seen) {
            return false;
        }
        event.keeper_grants.insert(op.id(), KeeperGrant { to: body.to, ranges: sound });
        true
    }

    fn is_behind_a_fork(&self, op: &SealedOp) -> bool {
        self.forks.get(&op.op.stream).is_some_and(|fork| op.op.seq >= *fork)
    }

    /// Who watches the author from here on.
    pub(super) fn fold_watch(&mut self, op: &SealedOp, event_id: OpId, body: WatchSet) {
        let Some(author) = self.author_of(op) else { return };
        let Some(event) = self.events.get_mut(&event_id) else { return };
        event.watches.insert(author, Watch { witnesses: body.witnesses, op: op.id() });
    }

    /// The author sells nothing limited from here on.
    pub(super) fn fold_vow(&mut self, op: &SealedOp, event_id: OpId) {
        let Some(author) = self.author_of(op) else { return };
        self.events.get_mut(&event_id).map(|event| event.keepers.insert(author));
    }

    /// The author's newest ask for some goods.
    pub(super) fn fold_ask(&mut self, op: &SealedOp, event_id: OpId, body: &RightsAsked) {
        let Some(author) = self.author_of(op) else { return };
        let Some(event) = self.events.get_mut(&event_id) else { return };
        let ask = Ask { op: op.id(), of: body.of, quantity: body.quantity };
        event.asks.insert((PoolId::of(&event_id, &body.sku), author), ask);
    }

    /// What a replica has of a lost keeper is all that counts for it; what came to it later goes back to the keeper.
    pub(super) fn fold_answer(&mut self, op: &SealedOp, event_id: OpId, body: &HolderAnswered) {
        let own = self.author_of(op) == Some(body.on_behalf);
        let Some(event) = self.events.get_mut(&event_id) else { return };
        let first = HolderAnswer { seen: body.seen, own };
        let answer = event.answers.entry((body.holder, body.on_behalf)).or_insert(first);
        (answer.seen, answer.own) = (body.seen.min(answer.seen), own || answer.own);
        let seen = answer.seen;
        let late = |id: &OpId, grant: &KeeperGrant| {
            let author = self.streams.get(&id.stream).and_then(|stream| stream.replica);
            author == Some(body.holder) && grant.to == body.on_behalf && id.seq > seen
        };
        let late: Vec<OpId> =
            event.keeper_grants.iter().filter(|(id, grant)| late(id, grant)).map(|(id, _)| *id).collect();
        let mut pools = BTreeSet::new();
        for id in late {
            let Some(grant) = event.keeper_grants.remove(&id) else { continue };
            if let Some(word) = event.words.get_mut(&grant.to) {
                word.fresh.remove(&id);
            }
            for range in &grant.ranges {
                event.pools.entry(range.pool).or_default().withdraw(body.holder, grant.to, range);
                pools.insert(range.pool);
            }
        }
        for pool in pools {
            self.weigh_pool(event_id, pool);
        }
    }

    fn author_of(&self, op: &SealedOp) -> Option<ReplicaKey> {
        self.streams.get(&op.op.stream).and_then(|stream| stream.replica)
    }

    /// The order's side of units that it gives back or takes once more.
    pub(super) fn fold_units_of_order(&mut self, op: &SealedOp, order_id: OpId, back: bool, ranges: Vec<UnitRange>) {
        let Some(order) = self.orders.get_mut(&order_id) else {
            return self.anomaly(op, AnomalyKind::Missing, "the order is not known");
        };
        Arc::make_mut(order).add_units(UnitsMoved { op: op.id(), stamp: op.op.stamp, back, ranges });
        self.changed.insert(order_id);
    }

    /// Counts an op of another branch of a forked stream: money, units and rights, what it gave back, and nothing else of it.
    pub(crate) fn apply_branch(&mut self, op: &SealedOp) {
        let body = Body::open(op.op.kind, &op.op.body);
        if let Ok(Body::StreamOpened(opened)) = &body
            && StreamId::of(&opened.replica, &opened.space) == op.op.stream
        {
            // A stream that forks at its very beginning has one replica and one space all the same.
            let stream = self.streams.entry(op.op.stream).or_default();
            (stream.replica, stream.space) = (Some(opened.replica), Some(opened.space.clone()));
        }
        let known = self.streams.get(&op.op.stream).and_then(|stream| stream.space.as_ref());
        let Some(event_id) = known.and_then(Space::event) else { return };
        let Some(event) = self.events.get_mut(&event_id) else { return };
        event.post(op.op.stream, &op.op.postings);
        if let Ok(body) = body {
            self.fold_rights(op, event_id, &body);
            self.fold_beside(op, body);
        }
    }

    /// Names a fork: two ops of one author at one position.
    pub(crate) fn name_fork(&mut self, stream: StreamId, seq: u64) {
        self.forks.insert(stream, seq);
        let detail = format!("two ops of one kit stand at position {seq}: it was copied or put back; both are counted");
        self.contradict(OpId { stream, seq }, AnomalyKind::Fork, &detail);
    }

    fn fold_deed(&mut self, op: &SealedOp, event_id: OpId, ranges: &[UnitRange], deed: Deed) {
        let stream = &op.op.stream;
        let Some(author) = self.streams.get(stream).and_then(|stream| stream.replica) else { return };
        let deed = if self.is_behind_a_fork(op) { behind_a_fork(deed, author) } else { deed };
        let mut weigh = BTreeSet::new();
        for range in ranges {
            if !range.is_sound() {
                self.anomaly(op, AnomalyKind::Malformed, "it names units that cannot be");
                continue;
            }
            let Some(event) = self.events.get_mut(&event_id) else { return };
            if !event.pools.entry(range.pool).or_default().add(author, range, deed) {
                weigh.insert(range.pool);
            }
            if self.anomalies.contains_key(&(about(range.pool), number(AnomalyKind::Contested))) {
                weigh.insert(range.pool);
            }
        }
        for pool in weigh {
            self.weigh_pool(event_id, pool);
        }
    }

    /// Whether more was sold than there is, and what is contested, is a matter of the pool as it is now.
    fn weigh_pool(&mut self, event_id: OpId, id: PoolId) {
        let Some(pool) = self.events.get(&event_id).and_then(|event| event.pools.get(&id)) else { return };
        let (over, contested, sku) = (pool.oversold(id), pool.contested(), pool.sku.clone());
        let extra = too_many(&over);
        let mut named: Vec<String> = over.iter().take(LISTED_MAX).map(|(range, _)| serials(range)).collect();
        if over.len() > LISTED_MAX {
            named.push("and more".to_owned());
        }
        let oversold = format!("{extra} of {sku:?} were sold more than once: {}", named.join(", "));
        let resting = format!("kits contradict each other about {contested} of {sku:?}, which rest where they are");
        for (kind, holds, detail) in
            [(AnomalyKind::Oversold, extra > 0, oversold), (AnomalyKind::Contested, contested > 0, resting)]
        {
            if holds {
                self.contradict(about(id), kind, &detail);
            } else {
                self.anomalies.remove(&(about(id), number(kind)));
            }
        }
    }

    /// Units of an event that more buyers have than can have them, by the sums.
    pub fn oversold(&self, event: OpId) -> Vec<(UnitRange, u64)> {
        let pools = self.events.get(&event).into_iter().flat_map(|event| &event.pools);
        pools.flat_map(|(id, pool)| pool.oversold(*id)).collect()
    }
}

/// What a forked replica gives to others behind its fork rests; what it sold is sold.
fn behind_a_fork(deed: Deed, author: ReplicaKey) -> Deed {
    match deed {
        Deed::Grant(to) if to != author => Deed::Freeze,
        other => other,
    }
}

/// The id of contradictions about a pool.
pub fn about(pool: PoolId) -> OpId {
    OpId { stream: StreamId(pool.0), seq: 0 }
}

fn serials(range: &UnitRange) -> String {
    let (first, last) = (range.serial(), range.serial() + range.count - 1);
    if rights::count(&[*range]) == 1 { format!("no. {first}") } else { format!("no. {first} to {last}") }
}
