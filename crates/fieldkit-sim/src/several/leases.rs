//! Ordinary goods among kits: people lease them to other kits for a while and sell them, and clocks are wrong after a start.
//!
//! Promises: its numbers come from a source of their own, so that a seed's course is disturbed by what happens and not by the
//! drawing of it. When a lease was given, and when a sale named its units, is written down here in true time, from the
//! ops alone.
//! Absent on purpose: answers to these people, who ask once and go, and verdicts (`check`).

use super::Between;
use super::people::sale_of;
use crate::random::Random;
use crate::world::{Event, World};
use fieldkit_core::body::{Body, StockReason, UnitRange};
use fieldkit_core::decide::{Command, StockChange};
use fieldkit_core::id::{Hash, PoolId};
use fieldkit_core::lease::TERM_MS_MIN;
use fieldkit_core::op::{CommandKey, SealedOp};
use fieldkit_engine::Ticket;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// The ordinary item.
pub const TEE: &str = "TEE";
/// How far a clock may be off after a start, either way: up to ten years.
const OFF_MS: [i64; 6] = [90_000, 600_000, 3_600_000, 259_200_000, 34_560_000_000, 315_360_000_000];
/// Kinds of ops that have to do with leases: sales, leases, lapses; a test holds them to `Body::KINDS`.
const NOTED: [u16; 3] = [32, 90, 91];
/// In a thousand people with ordinary goods: those after whom hardly anybody comes for a while.
const LULL_PER_MILLE: u64 = 150;
/// How far a confirmed clock may be off.
const CONFIRMED_OFF_MS: i64 = 500;

/// What stands outside of every kit about leases.
pub struct Leases {
    random: Random,
    /// Whether anybody leases anything in this seed: every other one is as it would be without.
    on: bool,
    /// Whether clocks may be wrong after a start.
    wrong: bool,
    given: u32,
    /// When ops that lease units, or sell ordinary goods by name, were written.
    pub written_ms: BTreeMap<Hash, u64>,
    /// When each kit began the life that it has.
    started_ms: BTreeMap<usize, u64>,
    /// Until when nobody comes for anything but ordinary goods: so a few events last as long as a lease.
    lull_until_ms: u64,
    /// Events when somebody came last, and those that happened in lulls: they come on top of what a plan asks for.
    before: u64,
    /// See `before`.
    pub lull_events: u64,
}

impl Leases {
    /// Of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 6);
        let (on, wrong) = (random.chance(500), random.chance(500));
        let (written_ms, started_ms) = (BTreeMap::new(), BTreeMap::new());
        let (lull_until_ms, before, lull_events) = (0, 0, 0);
        Leases { random, on, wrong, given: 0, written_ms, started_ms, lull_until_ms, before, lull_events }
    }
}

impl World {
    /// The next person with ordinary goods.
    pub(crate) fn trade_soon(&mut self) {
        let Leases { random, on, lull_until_ms, before, lull_events, .. } = &mut self.leases;
        if !*on {
            return;
        }
        let lull = *lull_until_ms > self.now_ms;
        let happened = self.log.events - std::mem::replace(before, self.log.events);
        *lull_events += if lull { happened } else { 0 };
        if !lull && random.chance(LULL_PER_MILLE) {
            *lull_until_ms = self.now_ms + random.within(120_000, 480_000);
        }
        let wait_ms = if lull { random.within(5_000, 20_000) } else { random.within(15_000, 45_000) };
        self.after(wait_ms, Event::Between(Between::Trade));
    }

    /// How long a lull still lasts, for a till that has nothing to do until then.
    pub(crate) fn lull(&mut self) -> Option<u64> {
        let left_ms = self.leases.lull_until_ms.checked_sub(self.now_ms).filter(|left_ms| *left_ms > 0)?;
        Some(left_ms + self.leases.random.within(1, 10_000))
    }

    /// A kit starts: its clock may be wrong, and a time service may find it some time.
    pub(crate) fn set_clock(&mut self, kit: usize) {
        let Leases { random, on, wrong, started_ms, .. } = &mut self.leases;
        if !*on {
            return;
        }
        started_ms.insert(kit, self.now_ms);
        let first = self.kits[kit].life == 0;
        let (off, back, by_ms) = (random.chance(300), random.chance(600), *random.pick(&OFF_MS));
        let off_ms = if back { -by_ms } else { by_ms };
        let found_ms = random.chance(800).then(|| random.within(1_000, 60_000));
        self.kits[kit].wall_offset_ms = if off && *wrong && !first { off_ms } else { 0 };
        self.kits[kit].confirmed = false;
        if let Some(wait_ms) = found_ms {
            let life = self.kits[kit].life;
            self.after(wait_ms, Event::Between(Between::Time { kit, life }));
        }
    }

    /// A time service sets a kit's clock.
    pub(crate) fn confirm_time(&mut self, kit: usize) {
        let off_ms = self.leases.random.within(0, 2 * CONFIRMED_OFF_MS.unsigned_abs());
        self.kits[kit].wall_offset_ms = i64::try_from(off_ms).unwrap_or(0) - CONFIRMED_OFF_MS;
        self.kits[kit].confirmed = true;
    }

    /// Somebody leases, delivers or buys ordinary goods, now at the hub and now at any kit.
    pub(crate) fn trade(&mut self) {
        if self.healing {
            return;
        }
        self.trade_soon();
        let hub = self.hub();
        let random = &mut self.leases.random;
        let deed = random.weighed(&[30, 8, 62]);
        let at_hub = random.chance(400);
        let (kit, to) = (random.place(self.kits.len()), random.place(self.kits.len()));
        let (quantity, more_ms) = (i64::try_from(random.within(1, 6)).unwrap_or(1), random.below(240_000));
        let kit = match deed {
            0 if at_hub => hub,
            2 => self.a_holder(kit),
            _ => kit,
        };
        let Some(engine) = &self.kits[kit].engine else { return };
        let known = engine.ledger().events.get(&self.genesis.event);
        if !known.is_some_and(|event| event.items.contains_key(TEE)) {
            return;
        }
        let sku = TEE.to_owned();
        let command = match deed {
            0 if to != kit && !self.kits[to].gone => {
                let (to, term_ms, reason) = (self.kits[to].replica(), TERM_MS_MIN + more_ms, String::new());
                Command::LeaseRights { sku, quantity, to, term_ms, reason }
            }
            1 => Command::MoveStock { sku, change: StockChange::By(8 + quantity), reason: StockReason::Delivered },
            _ if kit != hub => sale_of(TEE, 1 + quantity % 2, "beside"),
            _ => return,
        };
        self.leases.given += 1;
        let name = [b"trade", &self.leases.given.to_be_bytes()[..]].concat();
        let key = CommandKey::named(Hash::of(&name), &name);
        self.kits[kit].tickets += 1;
        let (ticket, owner) = (Ticket(self.kits[kit].tickets), self.genesis.owner);
        self.hand(kit, ticket, command, owner, key);
    }

    /// A kit that has a lease, the first from `kit` on; `kit` where none has.
    fn a_holder(&self, kit: usize) -> usize {
        let has = |kit: &usize| {
            let engine = self.kits[*kit].engine.as_ref();
            let event = engine.and_then(|engine| engine.ledger().events.get(&self.genesis.event));
            let own = self.kits[*kit].replica();
            event.is_some_and(|event| event.leases.values().any(|lease| lease.to == own))
        };
        (kit..self.kits.len()).chain(0..kit).find(has).unwrap_or(kit)
    }

    /// Notes when a kit wrote what has to do with leases.
    pub(crate) fn note_leases(&mut self, kit: usize, ops: &[Arc<SealedOp>]) {
        if self.swarm.several.is_none() || !self.leases.on {
            return;
        }
        let pool = PoolId::of(&self.genesis.event, TEE);
        for op in ops.iter().filter(|op| NOTED.contains(&op.op.kind)) {
            match Body::open(op.op.kind, &op.op.body) {
                Ok(Body::RightsLeased(_)) => drop(self.leases.written_ms.entry(op.hash).or_insert(self.now_ms)),
                Ok(Body::OrderPlaced(body)) => {
                    let units = body.lines.into_iter().flat_map(|line| line.units);
                    let Some(range) = units.into_iter().find(|range| range.pool == pool) else { continue };
                    if let Entry::Vacant(entry) = self.leases.written_ms.entry(op.hash) {
                        entry.insert(self.now_ms);
                        self.note_leased_sale(kit, &range);
                    }
                }
                Ok(Body::LeaseLapsed(body)) if body.ranges.is_empty() => self.log.did("leases_sold_out"),
                Ok(Body::LeaseLapsed(_)) => self.log.did("leases_lapsed"),
                _ => {}
            }
        }
    }

    /// A unit was sold by name: perhaps by a kit that was down since it got it.
    fn note_leased_sale(&mut self, kit: usize, range: &UnitRange) {
        self.log.did("leased_sales");
        let this = &self.kits[kit];
        let event = this.engine.as_ref().and_then(|engine| engine.ledger().events.get(&self.genesis.event));
        let of = |known: &UnitRange| known.first < range.end() && range.first < known.end();
        let leases = event.into_iter().flat_map(|event| &event.leases);
        let given = leases.filter(|(_, lease)| lease.to == this.replica() && lease.ranges.iter().any(of));
        let written = given.filter_map(|(id, _)| this.journal.find(id)).map(|(_, op)| op.hash);
        let given_ms = written.filter_map(|hash| self.leases.written_ms.get(&hash)).max();
        let started_ms = self.leases.started_ms.get(&kit).copied().unwrap_or(0);
        if given_ms.is_some_and(|given_ms| *given_ms < started_ms) {
            self.log.reached("lease_woken");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_told_by_their_number_are_those_in_the_table() {
        assert_eq!(NOTED.map(Body::name), ["OrderPlaced", "RightsLeased", "LeaseLapsed"]);
    }
}
