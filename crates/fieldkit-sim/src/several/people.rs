//! People at kits with a hub: buyers of limited goods, a crew that has its slips, and the owner beside the hub.
//!
//! Promises: a crew knows the slips that it has and what its till says; the owner declares absent only whom nobody can
//! bring back.
//! Absent on purpose: cards, and what people do at kits alone (`people`).

use super::{DROP, TEE};
use crate::kit::Kit;
use crate::log::Said;
use crate::world::World;
use fieldkit_core::body::{Admission, RollbackNoticed, Source, StockReason};
use fieldkit_core::decide::{self, Command, LineRequest, OrderRequest, StockChange, TenderRequest};
use fieldkit_core::id::{PoolId, ReplicaKey};
use fieldkit_core::order::Discount;
use fieldkit_core::witness::{Sighting, Verdict};

/// How long somebody waits with a shut gate before typing the last slip's number.
const SLIP_MS: u64 = 10_000;
/// How long the owner waits for answers before declaring somebody absent.
const ABSENT_MS: u64 = 120_000;
/// How long the owner leaves the hub's goods shut before speaking for it.
const OWNER_MS: u64 = 60_000;
/// How soon buyers come after the stall was set up.
const OPENING_MS: u64 = 20_000;

fn none() -> String {
    String::new()
}

/// A sale for cash of so many of an item.
pub(super) fn sale_of(sku: &str, quantity: i64, till: &str) -> Command {
    let line =
        LineRequest { sku: sku.to_owned(), quantity, price: None, discount: Discount::None, discount_reason: none() };
    Command::PlaceOrder(OrderRequest {
        lines: vec![line],
        discount: Discount::None,
        discount_reason: none(),
        tenders: vec![TenderRequest::Cash { minor: 10_000, currency: "EUR".to_owned() }],
        expected_total: None,
        source: Source { till: till.to_owned(), campaign: none(), session: none(), variant: none() },
        cart_opened_ms: None,
    })
}

impl World {
    /// A till of a kit among others: buyers of limited goods, and a crew that knows its last slip.
    pub(crate) fn visit(&mut self, till: usize) {
        let kit = self.tills[till].kit;
        if kit == self.hub() {
            return self.keep_hub(till);
        }
        let shut_ms = self.tills[till].shut_ms;
        if shut_ms.is_some_and(|since_ms| self.now_ms > since_ms + SLIP_MS) {
            self.tills[till].shut_ms = None;
            if let Some(command) = self.by_slip(kit) {
                return self.give(till, command);
            }
        }
        if self.healing {
            self.tills[till].rests = true;
            return self.wake(till, 10_000);
        }
        if let Some(wait_ms) = self.lull() {
            return self.wake(till, wait_ms);
        }
        let ledger = self.kits[kit].engine.as_ref().map(fieldkit_engine::Engine::ledger);
        let event = ledger.and_then(|ledger| ledger.events.get(&self.genesis.event));
        if !event.is_some_and(|event| event.items.contains_key(DROP)) || self.now_ms < OPENING_MS {
            let wait_ms = self.people.within(1_000, OPENING_MS);
            return self.wake(till, wait_ms);
        }
        let orders = &self.tills[till].orders;
        let some = (!orders.is_empty()).then(|| orders[self.people.place(orders.len())]);
        let command = match (self.people.weighed(&[80, 8, 6, 2]), some) {
            (1, Some(order)) => {
                let restock = self.people.chance(800);
                Command::Refund { order, lines: None, reason: "changed mind".to_owned(), restock, in_cash: true }
            }
            (2, Some(order)) => Command::Void { order, reason: "mistyped".to_owned() },
            (3, Some(order)) => Command::ReleaseUnits { order },
            _ => self.buy(till),
        };
        self.give(till, command);
    }

    fn buy(&mut self, till: usize) -> Command {
        let quantity = i64::try_from(self.people.within(1, 2)).unwrap_or(1);
        let sku = if self.people.chance(650) { DROP } else { TEE };
        sale_of(sku, quantity, &format!("till {till}"))
    }

    /// The newest slip that the crew of a kit has, typed in.
    fn by_slip(&mut self, kit: usize) -> Option<Command> {
        let stream = self.own_stream(kit)?;
        let of_kit = self.tills.iter().filter(|till| till.kit == kit).filter_map(|till| till.old_slip);
        let (_, head) = of_kit.filter(|(of, _)| *of == stream).max_by_key(|(_, head)| head.seq)?;
        let (_, seen, verdict) = self.kits[kit].judge(&Sighting::Slip { seq: head.seq, check: head.hash.check4() })?;
        match verdict {
            Verdict::Agrees => {
                self.log.reached("admission_by_slip");
                let nonce = self.kits[kit].engine.as_ref()?.nonce()?;
                Some(Command::AdmitHolding { how: Admission::Slip, seen, nonce })
            }
            Verdict::Ahead | Verdict::Contradicts => {
                let found = self.known_head(kit, stream).seq;
                self.log.reached("slip_disagreed");
                self.follow(kit, RollbackNoticed { witness: "slip".to_owned(), stream, seen, found });
                None
            }
            Verdict::UnknownStream => None,
        }
    }

    /// The owner at the hub: new goods now and then, and words about those who are absent.
    fn keep_hub(&mut self, till: usize) {
        let hub = self.hub();
        self.tills[till].rests = true;
        let pause_ms = self.people.within(5_000, 20_000);
        if let Some(command) = self.open_hub(till) {
            return self.give(till, command);
        }
        let Some(engine) = &self.kits[hub].engine else { return self.wake(till, pause_ms) };
        let (ledger, own) = (engine.ledger(), engine.replica());
        let Some(event) = ledger.events.get(&self.genesis.event) else { return self.wake(till, pause_ms) };
        let lost = event.keepers.iter().find(|keeper| **keeper != own && ledger.goes_on_for(own, **keeper)).copied();
        let mut command = None;
        if let Some(keeper) = lost {
            let missing = decide::unanswered(ledger, event, keeper, own);
            let lives = |replica: &ReplicaKey| self.kits.iter().any(|kit| !kit.gone && kit.replica() == *replica);
            if missing.is_empty() {
                self.log.reached("epoch_answered");
            }
            let waited = self.kits[hub].followed_ms.is_none_or(|since_ms| self.now_ms > since_ms + ABSENT_MS);
            let absent = missing.into_iter().find(|replica| waited && !lives(replica));
            if let Some(on_behalf) = absent {
                self.log.reached("absent_declared");
                command = Some(Command::AnswerKeeper { keeper, on_behalf });
            }
        }
        let pool = PoolId::of(&self.genesis.event, DROP);
        // A copy that is gone was no kit of its own.
        let alive = |replica: &ReplicaKey| self.kits.iter().any(|kit| !kit.gone && kit.replica() == *replica);
        let mut gone = self.kits.iter().filter(|kit| kit.gone).map(Kit::replica).filter(|gone| !alive(gone));
        let held =
            |replica: &ReplicaKey| event.pools.get(&pool).is_some_and(|known| known.usable(pool, replica).count() > 0);
        if let Some(holder) = gone.find(held).filter(|_| command.is_none()) {
            self.log.reached("absent_holder_declared");
            command = Some(Command::DeclareLost { sku: DROP.to_owned(), holder });
        }
        if command.is_none() && !self.healing && self.people.chance(20) {
            let change = StockChange::By(i64::try_from(self.people.within(5, 20)).unwrap_or(5));
            command = Some(Command::MoveStock { sku: DROP.to_owned(), change, reason: StockReason::Delivered });
        }
        match command {
            Some(command) => self.give(till, command),
            None => self.wake(till, pause_ms),
        }
    }

    /// The owner's word for a hub whose witnesses do not come back; until then nothing can be declared there.
    fn open_hub(&mut self, till: usize) -> Option<Command> {
        let (hub, event, now_ms) = (self.hub(), self.genesis.event, self.now_ms);
        let engine = self.kits[hub].engine.as_mut()?;
        if engine.gate(event) == decide::Gate::Open {
            self.tills[till].shut_ms = None;
            return None;
        }
        let since_ms = *self.tills[till].shut_ms.get_or_insert(now_ms);
        if now_ms < since_ms + OWNER_MS {
            return None;
        }
        self.tills[till].shut_ms = Some(now_ms);
        self.log.reached("admission_by_owner");
        let nonce = engine.nonce()?;
        let stream = self.own_stream(hub)?;
        let seen = self.known_head(hub, stream).seq;
        Some(Command::AdmitHolding { how: Admission::Owner, seen, nonce })
    }

    /// What an answer says about limited goods.
    pub(crate) fn weigh_answer(&mut self, till: usize, said: &Said) {
        let kit = self.tills[till].kit;
        let drop = self.tills[till].wants(DROP);
        if self.swarm.several.is_none() || !drop {
            return;
        }
        let shut = *said == Said::Refused("gate_shut".to_owned());
        if !shut {
            self.tills[till].shut_ms = None;
        } else if self.tills[till].shut_ms.is_none() {
            self.tills[till].shut_ms = Some(self.now_ms);
        }
        let hub = self.hub();
        let reachable = |one: usize| {
            self.links.iter().any(|link| link.is_open() && link.ends == [one, hub]) && self.kits[one].engine.is_some()
        };
        if shut || !reachable(kit) {
            return;
        }
        self.stall.attempts += 1;
        if ["sold_out", "at_rest"].iter().any(|code| *said == Said::Refused((*code).to_owned())) {
            let others = (0..self.kits.len()).filter(|other| *other != kit && (*other == hub || reachable(*other)));
            let unsold: i64 = others.map(|other| self.sellable(other)).sum();
            self.stall.refused_unsold += u64::from(unsold > 0);
            let at_hub = self.sellable(hub);
            self.log.did(if unsold == 0 {
                "refused_rightly"
            } else if at_hub > 0 {
                "refused_hub_has"
            } else {
                "refused_kits_have"
            });
            let now_ms = self.now_ms;
            let all: Vec<i64> = (0..self.kits.len()).map(|kit| self.sellable(kit)).collect();
            self.log.line(now_ms, || format!("REFUSED at kit {kit}: {unsold} unsold elsewhere, {all:?}"));
        }
    }
}
