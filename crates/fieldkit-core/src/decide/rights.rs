//! Rights: which named units of a hard pool a replica may sell, give away, take back or end.
//!
//! Promises: only what this replica holds, by all that it knows, and only while the count of the goods agrees. Units
//! come free where they were taken: another kit's refund leaves them at rest until the kit that sold them lets them go.
//! A kit that is alone holds everything, its own past lives included.
//! Absent on purpose: when to give to whom, and the gate after a start (`fieldkit-engine`).

use super::{Place, lease, text};
use crate::author::Draft;
use crate::body::{
    Body, HolderDeclaredLost, Limit, RightsGranted, RightsReturned, RightsUsed, RightsWrittenOff, StockReason,
    UnitRange,
};
use crate::event::{Event, Item};
use crate::id::{OpId, PoolId, ReplicaKey, Space, StreamId};
use crate::ledger::Ledger;
use crate::order::{Order, Stage};
use crate::refusal::{PaymentRefusal, Refusal};
use crate::rights::RangeSet;

/// What a replica may do in one hard pool now.
pub(super) struct Holding {
    /// Units that it may name.
    pub free: RangeSet,
    /// Units that it may sell by the count of the goods, less what others hold.
    pub here: i64,
    /// Ops that must stand before those that name the units: what past lives of this kit held is taken over.
    pub drafts: Vec<Draft>,
    /// Who holds more, and how much.
    pub elsewhere: Vec<(String, i64)>,
    /// Whether nothing of it may be used before a witness is heard.
    pub shut: bool,
    /// Units that it holds and that a word of its own left out.
    pub resting: i64,
}

impl Holding {
    /// Of `replica` in the pool of `sku`.
    pub fn of(ledger: &Ledger, place: &Place, id: OpId, space: &Space, event: &Event, sku: &str) -> Self {
        let pool_id = PoolId::of(&id, sku);
        let here = event.here_at(pool_id, |other| is_own(ledger, place.replica, other));
        let shut = place.is_shut();
        let (free, drafts, elsewhere) = (RangeSet::default(), Vec::new(), Vec::new());
        let mut holding =
            Holding { free, here, drafts, elsewhere, shut, resting: event.resting(pool_id, &place.replica) };
        let Some(pool) = event.pools.get(&pool_id) else { return holding };
        // What it had for a time when the pool became limited rests.
        holding.free = lease::for_good(event, pool_id, place.replica, event.usable(pool_id, &place.replica));
        for (holder, held) in pool.holders() {
            if holder == place.replica || held <= 0 {
                continue;
            }
            if !is_own(ledger, place.replica, &holder) {
                holding.elsewhere.push((ledger.label(&holder), held));
                continue;
            }
            let ranges: Vec<UnitRange> = pool.usable(pool_id, &holder).iter().collect();
            ranges.iter().for_each(|range| holding.free.insert(&range.next()));
            let risk = "what this kit sold in the part of its past that is lost is sold again".to_owned();
            let body = HolderDeclaredLost { sku: sku.to_owned(), holder, ranges, risk };
            if !body.ranges.is_empty() {
                holding.drafts.push(Draft::new(space.clone(), Body::HolderDeclaredLost(body)));
            }
        }
        holding
    }

    /// Units that may be sold here now.
    pub fn available(&self) -> i64 {
        if self.shut {
            return 0;
        }
        i64::try_from(self.free.count()).unwrap_or(i64::MAX).min(self.here.max(0))
    }

    /// Takes `wanted` units out, first of all those that are `liked`.
    pub fn take(&mut self, wanted: u64, liked: &RangeSet) -> Vec<UnitRange> {
        let overlap = liked.iter().flat_map(|range| self.free.overlap(&range));
        let mut taken = RangeSet::of(overlap.collect::<Vec<_>>().iter()).take(wanted);
        taken.iter().for_each(|range| self.free.remove(range));
        taken.extend(self.free.take(wanted.saturating_sub(crate::rights::count(&taken))));
        taken
    }

    /// The no to `wanted` units.
    pub fn sold_out(&self, sku: &str, wanted: i64) -> Refusal {
        if self.shut {
            return Refusal::GateShut(sku.to_owned());
        }
        let (here, resting) = (self.available(), self.resting);
        if resting > 0 && here.saturating_add(resting) >= wanted {
            return Refusal::AtRest { sku: sku.to_owned(), resting };
        }
        Refusal::SoldOut { sku: sku.to_owned(), here, wanted, elsewhere: self.elsewhere.clone() }
    }
}

/// Limited units of a SKU that a replica may use now, 0 where the SKU is not limited.
pub fn available(ledger: &Ledger, place: &Place, sku: &str) -> i64 {
    let Ok((id, space, event)) = place.open_event(ledger) else { return 0 };
    if !event.is_limited(sku) {
        return 0;
    }
    Holding::of(ledger, place, id, &space, event, sku).available()
}

/// Gives rights to another replica. What the count of the goods does not cover is ended first, so that nobody is given
/// a right to goods that are gone.
pub(super) fn grant(
    ledger: &Ledger,
    sku: &str,
    quantity: i64,
    to: ReplicaKey,
    reason: &str,
    answers: Option<OpId>,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    limited(event, sku)?;
    if !ledger.replicas.contains_key(&to) || is_own(ledger, place.replica, &to) {
        return Err(Refusal::UnknownKit(to.label()));
    }
    let reason = text("the reason", reason, 0, 80)?;
    let wanted = u64::try_from(quantity).ok().filter(|wanted| (1..=crate::rights::ISSUE_MAX).contains(wanted));
    let max = super::sale::QUANTITY_MAX;
    let wanted = wanted.ok_or_else(|| Refusal::Quantity { sku: sku.to_owned(), quantity, max })?;
    let mut holding = Holding::of(ledger, place, id, &space, event, sku);
    if holding.available() < quantity {
        return Err(holding.sold_out(sku, quantity));
    }
    let mut drafts = std::mem::take(&mut holding.drafts);
    let surplus = holding.free.count().saturating_sub(u64::try_from(holding.here).unwrap_or(0));
    drafts.extend(write_off(&space, sku, holding.free.take_last(surplus), StockReason::Counted));
    let ranges = holding.free.take_last(wanted);
    let body = RightsGranted { sku: sku.to_owned(), to, ranges, reason, answers };
    drafts.push(Draft::new(space, Body::RightsGranted(body)).answering());
    Ok(drafts)
}

/// Takes over what a holder that is lost held.
pub(super) fn declare_lost(
    ledger: &Ledger,
    sku: &str,
    holder: ReplicaKey,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    limited(event, sku)?;
    if !ledger.replicas.contains_key(&holder) || holder == place.replica {
        return Err(Refusal::UnknownKit(holder.label()));
    }
    let pool_id = PoolId::of(&id, sku);
    if place.is_shut() {
        return Err(Refusal::GateShut(sku.to_owned()));
    }
    let usable = event.pools.get(&pool_id).map(|pool| pool.usable(pool_id, &holder)).unwrap_or_default();
    let kit = ledger.label(&holder);
    if usable.count() == 0 {
        return Err(Refusal::NothingHeld { kit, sku: sku.to_owned() });
    }
    let risk = format!("what {kit} sold of these {} before it was lost is sold twice", usable.count());
    let body = HolderDeclaredLost { sku: sku.to_owned(), holder, ranges: usable.iter().collect(), risk };
    Ok(vec![Draft::new(space, Body::HolderDeclaredLost(body)).answering()])
}

/// Lets units go that another kit took back, or gave up, for an order of this one: they are free at that kit.
pub(super) fn release(ledger: &Ledger, order_id: OpId, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let order = ledger.orders.get(&order_id).map(AsRef::as_ref);
    let order = order.ok_or_else(|| Refusal::UnknownOrder(order_id.text()))?;
    if !took(ledger, place.replica, order.order_id.stream) {
        return Err(PaymentRefusal::Elsewhere.into());
    }
    let (event, space, _) = place.of(order).any_event(ledger)?;
    let (all, own) = (order.units_out(|_| true), order.units_out(|stream| took(ledger, place.replica, stream)));
    let mut ranges = Vec::new();
    let mut skus: Vec<&str> = order.sale.lines.iter().map(|line| line.sku.as_str()).collect();
    skus.sort_unstable();
    skus.dedup();
    for sku in skus {
        let pool = PoolId::of(&event, sku);
        let surplus = all.within(pool).count().saturating_sub(kept(order, sku));
        ranges.extend(own.within(pool).take_last(surplus));
    }
    let restocked = order.standing_refunds().filter(|refund| refund.body.restock).map(|refund| refund.refund_id.stream);
    let taker = restocked.chain(order.cancelled.iter().map(|cancelled| cancelled.by.op.stream)).last();
    let to = taker.and_then(|stream| ledger.streams.get(&stream)).and_then(|stream| stream.replica);
    if ranges.is_empty() {
        return Err(Refusal::NothingLeft);
    }
    let body = RightsReturned { order: order_id, to: to.unwrap_or(place.replica), ranges };
    Ok(vec![Draft::new(space, Body::RightsReturned(body)).answering()])
}

/// Units of a SKU that the buyer keeps.
fn kept(order: &Order, sku: &str) -> u64 {
    if let Stage::Cancelled(_) = order.stage() {
        return 0;
    }
    let lines = order.sale.lines.iter().enumerate().filter(|(_, line)| line.sku == sku);
    let kept = lines.map(|(at, line)| {
        let parts = order.standing_refunds().filter(|refund| refund.body.restock).flat_map(|refund| &refund.body.lines);
        let parts = parts.filter(|part| part.line as usize == at + 1);
        let back: u64 = parts.map(|part| u64::from(part.quantity)).sum();
        u64::from(line.quantity).saturating_sub(back)
    });
    kept.sum()
}

/// Named units of an order that come free here: `wanted` of each SKU, as far as this replica took them for it.
pub(super) fn returned<'a>(
    ledger: &Ledger,
    space: &Space,
    order: &Order,
    wanted: impl IntoIterator<Item = (&'a str, u64)>,
    place: &Place,
) -> Option<Draft> {
    let mut out = order.units_out(|stream| took(ledger, place.replica, stream));
    let mut ranges = Vec::new();
    for (sku, quantity) in wanted {
        let back = out.within(PoolId::of(&order.event, sku)).take_last(quantity);
        back.iter().for_each(|range| out.remove(range));
        ranges.extend(back);
    }
    let body = RightsReturned { order: order.order_id, to: place.replica, ranges };
    (!body.ranges.is_empty()).then(|| Draft::new(space.clone(), Body::RightsReturned(body)))
}

/// Limited goods that came back go to the buyer again, the same units where they are still here. They may have been
/// sold since; then the refund stands.
pub(super) fn retaken<'a>(
    ledger: &Ledger,
    order: &Order,
    wanted: impl IntoIterator<Item = (&'a str, u64)>,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.any_event(ledger)?;
    let back = order.units.iter().filter(|moved| moved.back).flat_map(|moved| &moved.ranges);
    let liked = RangeSet::of(back.map(UnitRange::next).collect::<Vec<_>>().iter());
    let (mut drafts, mut ranges) = (Vec::new(), Vec::new());
    for (sku, quantity) in wanted {
        if !event.is_limited(sku) {
            continue;
        }
        sells(event, place, sku)?;
        let mut holding = Holding::of(ledger, place, id, &space, event, sku);
        let quantity_signed = i64::try_from(quantity).unwrap_or(i64::MAX);
        if holding.available() < quantity_signed {
            return Err(holding.sold_out(sku, quantity_signed));
        }
        drafts.append(&mut holding.drafts);
        ranges.extend(holding.take(quantity, &liked));
    }
    if !ranges.is_empty() {
        let body = RightsUsed { order: order.order_id, ranges };
        drafts.push(Draft::new(space, Body::RightsUsed(body)));
    }
    Ok(drafts)
}

/// Refuses where another kit set the goods of an open order aside: only that kit knows whether they are still.
pub(super) fn own_goods(ledger: &Ledger, order: &Order, place: &Place) -> Result<(), Refusal> {
    let named = order.sale.lines.iter().any(|line| !line.units.is_empty());
    let author = ledger.streams.get(&order.order_id.stream).and_then(|stream| stream.replica);
    let own = author.is_some_and(|author| ledger.goes_on_for(place.replica, author));
    if !named || own { Ok(()) } else { Err(PaymentRefusal::Elsewhere.into()) }
}

/// The end of rights, where there are any to end.
pub(super) fn write_off(space: &Space, sku: &str, ranges: Vec<UnitRange>, reason: StockReason) -> Option<Draft> {
    let body = RightsWrittenOff { sku: sku.to_owned(), ranges, reason };
    (!body.ranges.is_empty()).then(|| Draft::new(space.clone(), Body::RightsWrittenOff(body)))
}

/// Refuses at a replica that only keeps limited goods.
pub(super) fn sells(event: &Event, place: &Place, sku: &str) -> Result<(), Refusal> {
    if event.keepers.contains(&place.replica) { Err(Refusal::Keeper(sku.to_owned())) } else { Ok(()) }
}

/// What a pool does at zero.
pub(super) fn limit(event: &Event, sku: &str) -> Limit {
    event.items.get(sku).map_or(Limit::Soft, Item::limit)
}

pub(super) fn limited(event: &Event, sku: &str) -> Result<(), Refusal> {
    match event.items.get(sku) {
        None => Err(Refusal::UnknownSku(super::shown(sku))),
        Some(item) if item.limit() == Limit::Hard => Ok(()),
        Some(_) => Err(Refusal::NotLimited(sku.to_owned())),
    }
}

/// Whether what `other` holds is `replica`'s: its own, or a past life's of a kit that is alone in its organisation.
/// Where there are others, a past life may have given them what this one forgot.
pub fn is_own(ledger: &Ledger, replica: ReplicaKey, other: &ReplicaKey) -> bool {
    let alone = || ledger.replicas.keys().all(|known| ledger.goes_on_for(replica, *known));
    *other == replica || (ledger.goes_on_for(replica, *other) && alone())
}

/// Whether the author of `stream` is `replica`, or what it took is.
fn took(ledger: &Ledger, replica: ReplicaKey, stream: StreamId) -> bool {
    let author = ledger.streams.get(&stream).and_then(|stream| stream.replica);
    author.is_some_and(|author| is_own(ledger, replica, &author))
}
