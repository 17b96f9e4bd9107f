//! The engine among others: ops of other replicas, the watch over own ones, and goods on the move.
//!
//! Promises: as the engine does. What another replica wrote is written here like an own op, in a turn of its own or with
//! others; what uses rights is released once witnesses hold it, or are given up.
//! Absent on purpose: which witness says what, and when goods move (`watch_desk`, `stock_desk`).

use super::*;
use fieldkit_core::body::{Admission, UnitRange};
use fieldkit_core::decide::LeaseTimes;
use fieldkit_core::fork;
use fieldkit_core::pool::deeds;

/// Kinds of ops that may use rights or speak of the watch: sales, open orders, and all about rights; a test holds them
/// to `Body::KINDS`.
const USES_RIGHTS: [std::ops::RangeInclusive<u16>; 3] = [32..=32, 35..=35, 80..=89];

impl Engine {
    /// From now on limited goods of several kits are sold only under the eyes of witnesses; `nonce` is drawn by lot at
    /// each start.
    pub fn guard(&mut self, nonce: [u8; 16], policy: Policy) {
        let own = self.ledger.streams.iter().filter(|(_, known)| known.replica == Some(self.author.replica));
        self.begun = own.map(|(stream, known)| (*stream, known.head.seq)).collect();
        self.watch.begin(nonce);
        self.stock.begin(policy);
    }

    /// Whether limited goods may be sold at an event, and what may be if not.
    pub fn gate(&mut self, event: OpId) -> Gate {
        self.gate_of(Some(event))
    }

    /// What this replica may do about the leases of an event, by the time that it was told last.
    pub fn leases(&self, event: OpId) -> LeaseTimes {
        let trusting = self.planted.is(Mistake::LeaseAfterReboot);
        self.leases.times(&self.ledger, self.author.replica, event, trusting)
    }

    /// Where a command is decided, and when.
    pub(super) fn place_of(&mut self, asked: &Asked) -> Place {
        if asked.quality == ClockQuality::Confirmed {
            self.leases.confirm(asked.wall_ms);
        }
        let leases = asked.event.map(|event| self.leases(event)).unwrap_or_default();
        Place { replica: self.author.replica, event: asked.event, gate: self.gate_of(asked.event), leases }
    }

    /// When an `Input::Tick` is wanted, if nothing else comes.
    pub fn poll_watch(&self) -> Option<u64> {
        let needs = self.unwitnessed.front().and_then(|release| release.needs.first());
        // Leases are looked at when all is durable, which is an input of its own.
        let lease = self.leases.poll_timeout().filter(|_| self.is_durable());
        self.watch.poll_timeout(needs).into_iter().chain(lease).min()
    }

    pub(super) fn gate_of(&mut self, event: Option<OpId>) -> Gate {
        gate(&mut self.watch, &self.planted, &self.ledger, self.author.replica, event)
    }

    /// A slip that was printed since the start says nothing about the time before it.
    pub(super) fn slip_of_now(&self, asked: &Asked) -> Option<Refusal> {
        self.watch.nonce()?;
        let Command::AdmitHolding { how: Admission::Slip, seen, .. } = &asked.command else { return None };
        let event = asked.event.and_then(|id| Some((id, self.ledger.events.get(&id)?)));
        let stream = event.map(|(id, event)| self.author.stream(&decide::space_of(id, event)))?;
        let begun = self.begun.get(&stream).copied().unwrap_or(0);
        (*seen > begun).then_some(Refusal::SlipOfNow)
    }

    /// The number drawn for this life, where it is guarded.
    pub fn nonce(&self) -> Option<[u8; 16]> {
        self.watch.nonce()
    }

    /// How far an own stream may be told to `peer`, where not all of it may: a keeper's grant leaves for the one it names
    /// once somebody else holds it, so that no copy of the keeper that is put back forgets what it gave. Where nobody
    /// else is connected it leaves at once; the grant says so.
    pub fn tellable(&self, peer: &ReplicaKey) -> BTreeMap<StreamId, u64> {
        let mut limits = BTreeMap::new();
        let alone = !self.linked.iter().any(|other| other != peer);
        if alone || self.planted.is(Mistake::GrantAtOnce) {
            return limits;
        }
        for (id, event) in self.ledger.events.iter().filter(|(_, event)| event.keepers.contains(&self.author.replica)) {
            let stream = self.author.stream(&decide::space_of(*id, event));
            let others = self.held_by.iter().filter(|((of, by), _)| *of == stream && by != peer);
            // Whoever wrote an op that an own one caused held that one.
            let author = |author: Option<ReplicaKey>| author.is_some_and(|by| by != *peer && by != self.author.replica);
            let writers = self.ledger.streams.values().filter(|known| author(known.replica));
            let seen = writers.map(|known| known.seen.get(&stream));
            let elsewhere = others.map(|(_, seq)| *seq).chain(seen).max().unwrap_or(0);
            let own = event.keeper_grants.range(OpId { stream, seq: elsewhere + 1 }..=OpId { stream, seq: u64::MAX });
            let first = own.filter(|(_, grant)| grant.to == *peer).map(|(id, _)| id.seq - 1).next();
            limits.extend(first.map(|seq| (stream, seq)));
        }
        limits
    }

    /// Folds everything anew, branches of forked streams too, in place of what was folded before.
    pub fn fold_all<'a>(&mut self, ops: impl IntoIterator<Item = &'a SealedOp> + Clone) {
        self.ledger = self.planted.folded(ops.clone());
        let beside = fork::beside(ops.clone());
        ops.clone().into_iter().filter(|op| !beside.contains(&op.hash)).for_each(|op| self.note(op));
        ops.clone().into_iter().filter(|op| beside.contains(&op.hash)).for_each(|op| self.note_beside(op));
        ops.into_iter().for_each(|op| self.note_holder(op));
        self.collect_orders();
    }

    /// What a command did on another branch is done: its order has the place, and so the name, of another one here.
    fn note_beside(&mut self, op: &SealedOp) {
        let Some(key) = op.op.key.as_ref().filter(|key| !self.recent_keys.contains_key(&key.key)) else { return };
        let refusal = match Body::open(op.op.kind, &op.op.body) {
            Ok(Body::OrderPlaced(body)) => Refusal::DoneBeside { receipt: format!(" (receipt {})", body.receipt) },
            Ok(Body::CommandRefused(body)) => {
                Refusal::Repeated { code: body.code, detail: body.detail, next_step: body.next_step }
            }
            _ => Refusal::DoneBeside { receipt: String::new() },
        };
        self.done_beside.insert(key.key.clone(), (key.fingerprint, refusal));
    }

    /// The answer to a command that was done on another branch.
    pub(super) fn repeat_beside(&self, asked: &Asked) -> Option<Answer> {
        let (fingerprint, refusal) = self.done_beside.get(&asked.key.key)?;
        Some(Answer { result: Err(reused(asked, fingerprint).unwrap_or_else(|| refusal.clone())), repeated: true })
    }

    /// Whoever wrote an op that own ones caused held those.
    fn note_holder(&mut self, op: &SealedOp) {
        let author = |stream| self.ledger.streams.get(stream).and_then(|known| known.replica);
        let Some(holder) = author(&op.op.stream) else { return };
        let own = op.op.deps.iter().filter(|dep| author(&dep.op.stream) == Some(self.author.replica));
        for dep in own {
            let held = self.held_by.entry((dep.op.stream, holder)).or_default();
            *held = dep.op.seq.max(*held);
        }
    }

    /// Orders that must be at hand before these ops of other replicas come in.
    pub fn wanted(&self, ops: &[SealedOp]) -> BTreeSet<OpId> {
        let wanted = ops.iter().filter_map(Ledger::wants);
        wanted.filter(|id| !self.ledger.orders.contains_key(id)).collect()
    }

    pub(super) fn work_watch(&mut self) {
        self.watch.act(&self.ledger, self.author.replica);
        while let Some(wish) = self.watch.poll_wish() {
            match wish {
                watch_desk::Wish::Decide(event, command, key) => self.report(Reporter::Watch, event, command, key),
                watch_desk::Wish::Tell(name, stream, from, to) => {
                    self.outputs.push_back(Output::Tell(name, stream, from, to));
                }
            }
        }
    }

    pub(super) fn work_stock(&mut self) {
        if !self.stock.is_begun() {
            return;
        }
        self.planted.look(&self.ledger, self.author.replica);
        let Engine { ledger, watch, stock, linked, planted, author, .. } = self;
        let gate = |event: OpId| gate(watch, planted, ledger, author.replica, Some(event));
        if let Some((event, command, key)) = stock.act(planted.or_instead(ledger), author.replica, gate, linked) {
            self.report(Reporter::Stock, event, command, key);
        }
    }

    pub(super) fn work_leases(&mut self) {
        if let Some((event, command, key)) = self.leases.act(&self.ledger, self.author.replica) {
            self.report(Reporter::Lease, event, command, key);
        }
    }

    fn report(&mut self, reporter: Reporter, event: OpId, command: Command, key: CommandKey) {
        let ticket = self.reports.begin(reporter);
        self.outputs.push_back(Output::Decide(ticket, Some(event), Box::new(command), key));
    }

    /// Takes over ops of other replicas: they are written like own ones, and become durable with the next turn.
    pub(super) fn take(&mut self, foreign: Foreign) {
        for order in foreign.orders {
            self.order_turns.insert(order.order_id, self.turns + 1);
            self.ledger.orders.entry(order.order_id).or_insert(order);
        }
        for op in foreign.ops {
            let head = self.ledger.head(&op.op.stream);
            if op.op.seq > head.seq && self.ledger.apply(&op) {
                self.note(&op);
                self.turn.ops.push(op);
            }
        }
        self.collect_orders();
        foreign.branches.iter().for_each(|op| self.note_holder(op));
        self.turn.branches.extend(foreign.branches);
        let parted: BTreeSet<StreamId> = self.turn.branches.iter().map(|op| op.op.stream).collect();
        let known = |(stream, head, _): &(StreamId, Head, [u8; 64])| {
            let forked = parted.contains(stream) || self.ledger.forks.contains_key(stream);
            forked || self.ledger.head(stream) == *head
        };
        self.turn.heads.extend(foreign.heads.into_iter().filter(known));
    }

    /// Notes what an own op does with rights, and what it says about the watch.
    pub(super) fn note_rights(&mut self, op: &SealedOp) {
        if self.watch.nonce().is_none() || !USES_RIGHTS.iter().any(|kinds| kinds.contains(&op.op.kind)) {
            return;
        }
        let space = self.ledger.streams.get(&op.op.stream).and_then(|stream| stream.space.as_ref());
        let Some(event) = space.and_then(Space::event) else { return };
        let Ok(body) = Body::open(op.op.kind, &op.op.body) else { return };
        match body {
            Body::WatchSet(_) | Body::HoldingAdmitted(_) => self.watch_ops.push((event, op.op.seq, body)),
            body => {
                let limited = |range: &UnitRange| self.is_limited(event, range.pool);
                let deeds = deeds(&op.hash, &event, &body);
                let mut ranges = deeds.iter().flat_map(|(_, ranges)| ranges);
                let uses = matches!(body, Body::HolderAnswered(_)) || ranges.any(limited);
                if uses {
                    let head = Head { seq: op.op.seq, hash: op.hash };
                    self.used.insert(event, (op.op.stream, head));
                }
            }
        }
    }

    fn is_limited(&self, event: OpId, pool: PoolId) -> bool {
        let event = self.ledger.events.get(&event);
        event.is_some_and(|event| event.pools.get(&pool).is_some_and(|pool| event.is_limited(&pool.sku)))
    }

    /// Releases what is durable and seen by whoever watches; witnesses that take too long are given up.
    pub(super) fn release_witnessed(&mut self) {
        while let Some(first) = self.unwitnessed.front() {
            let unmet = first.needs.iter().find(|needs| !self.watch.is_met(needs)).copied();
            if let Some(needs) = unmet.filter(|_| !self.planted.is(Mistake::DeafToWitnesses)) {
                return self.watch.give_up(&needs);
            }
            if let Some(release) = self.unwitnessed.pop_front() {
                self.release(release);
            }
        }
    }
}

/// The no to a key that names another request.
pub(super) fn reused(asked: &Asked, then: &[u8; 16]) -> Option<Refusal> {
    let hex = |bytes: &[u8; 16]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let differs = *then != asked.key.fingerprint;
    differs.then(|| Refusal::KeyReused { then: hex(then), now: hex(&asked.key.fingerprint) })
}

/// Whether a replica may use its rights at an event.
fn gate(watch: &mut WatchDesk, planted: &Planted, ledger: &Ledger, own: ReplicaKey, event: Option<OpId>) -> Gate {
    let gate = watch.gate(ledger, own, event);
    if planted.is(Mistake::OpenGate) { Gate::Open } else { gate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_told_by_their_number_are_those_in_the_table() {
        let told = Body::KINDS.iter().filter(|(kind, _)| USES_RIGHTS.iter().any(|kinds| kinds.contains(kind)));
        let names: Vec<&str> = told.map(|(_, name)| *name).collect();
        let rights = ["RightsGranted", "RightsReturned", "RightsUsed", "RightsWrittenOff", "HolderDeclaredLost"];
        let watch = ["WatchSet", "HoldingAdmitted", "KeeperVowed", "RightsAsked", "HolderAnswered"];
        assert_eq!(names, [&["OrderPlaced", "OrderOpened"][..], &rights, &watch].concat());
    }
}
