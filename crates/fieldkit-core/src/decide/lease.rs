//! Leases: units of a soft pool that another replica has for a time.
//!
//! Promises: only soft pools lease, for there a mistake about time is an anomaly and not a buyer without goods. No more
//! is leased than the count of the goods leaves here, and nothing that is leased already. A sale names leased units where
//! they cover a line whole, and only while the lease may be trusted; else it sells on without them, as any soft pool does.
//! Absent on purpose: clocks. Whether a lease may be used, or is over, is said by whoever has one (`fieldkit-engine`).

use super::rights::{is_own, limit};
use super::{Place, text};
use crate::author::{Context, Draft};
use crate::body::{Body, LeaseLapsed, Limit, Line, RightsLeased};
use crate::event::Event;
use crate::id::{OpId, PoolId, ReplicaKey};
use crate::lease::{Lease, TERM_MS_MAX, TERM_MS_MIN};
use crate::ledger::Ledger;
use crate::pool::Pool;
use crate::refusal::Refusal;
use crate::rights::RangeSet;
use crate::stamp::ClockQuality;

/// A lease asked for.
pub(super) struct Wanted<'a> {
    /// The SKU.
    pub sku: &'a str,
    /// How many.
    pub quantity: i64,
    /// To whom.
    pub to: ReplicaKey,
    /// For how long.
    pub term_ms: u64,
    /// Why.
    pub reason: &'a str,
}

/// Gives rights to another replica for a time: SKU, pool, kit, reason, quantity, term, units, in this order.
pub(super) fn lease(
    ledger: &Ledger,
    wanted: &Wanted<'_>,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    let Wanted { sku, quantity, to, term_ms, reason } = *wanted;
    if !event.items.contains_key(sku) {
        return Err(Refusal::UnknownSku(super::shown(sku)));
    }
    if limit(event, sku) != Limit::Soft {
        return Err(Refusal::NotLeased(sku.to_owned()));
    }
    if !ledger.replicas.contains_key(&to) || is_own(ledger, place.replica, &to) {
        return Err(Refusal::UnknownKit(to.label()));
    }
    let reason = text("the reason", reason, 0, 80)?;
    let max = super::sale::QUANTITY_MAX;
    let units = u64::try_from(quantity).ok().filter(|units| (1..=u64::from(max)).contains(units));
    let units = units.ok_or_else(|| Refusal::Quantity { sku: sku.to_owned(), quantity, max })?;
    if !(TERM_MS_MIN..=TERM_MS_MAX).contains(&term_ms) {
        return Err(Refusal::Term);
    }
    let pool_id = PoolId::of(&id, sku);
    let usable = event.pools.get(&pool_id).map(|pool| pool.usable(pool_id, &place.replica)).unwrap_or_default();
    let mut free = for_good(event, pool_id, place.replica, usable);
    let left = event.here_for(pool_id, &place.replica, &Default::default()).max(0);
    let here = i64::try_from(free.count()).unwrap_or(i64::MAX).min(left);
    if here < quantity {
        let holders = event.pools.get(&pool_id).map(Pool::holders).unwrap_or_default();
        let others = holders.into_iter().filter(|(holder, held)| *holder != place.replica && *held > 0);
        let elsewhere = others.map(|(holder, held)| (ledger.label(&holder), held)).collect();
        return Err(Refusal::SoldOut { sku: sku.to_owned(), here, wanted: quantity, elsewhere });
    }
    let confirmed_ms = (context.quality == ClockQuality::Confirmed).then_some(context.wall_ms);
    let body = RightsLeased { sku: sku.to_owned(), to, ranges: free.take_last(units), term_ms, confirmed_ms, reason };
    Ok(vec![Draft::new(space, Body::RightsLeased(body)).answering()])
}

/// Says that a lease is over. In a pool that became limited meanwhile only its holder or the owner gives units back.
pub(super) fn lapse(ledger: &Ledger, lease_id: OpId, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.open_event(ledger)?;
    let lease = event.leases.get(&lease_id).filter(|lease| ledger.goes_on_for(place.replica, lease.from));
    let lease = lease.ok_or_else(|| Refusal::UnknownLease(lease_id.text()))?;
    if event.is_limited(&lease.sku) {
        return Err(Refusal::NotLeased(lease.sku.clone()));
    }
    if !place.leases.over.contains(&lease_id) {
        return Err(Refusal::LeaseRuns(lease.sku.clone()));
    }
    let mut ranges = RangeSet::default();
    for (pool_id, pool) in event.pools.iter().filter(|(id, _)| lease.ranges.iter().any(|range| range.pool == **id)) {
        lease.held(*pool_id, pool).iter().for_each(|range| ranges.insert(&range));
    }
    let (sku, holder, ranges) = (lease.sku.clone(), lease.to, ranges.iter().collect());
    let body = LeaseLapsed { sku, lease: lease_id, holder, ranges };
    Ok(vec![Draft::new(space, Body::LeaseLapsed(body)).answering()])
}

/// Names leased units in lines from soft pools, where they cover a line whole.
pub(super) fn name_leased(event: &Event, id: OpId, lines: &mut [Line], place: &Place) {
    if place.leases.live.is_empty() {
        return;
    }
    let live = |lease_id: &OpId, lease: &Lease| lease.to == place.replica && place.leases.live.contains(lease_id);
    let mut skus: Vec<String> = lines.iter().map(|line| line.sku.clone()).collect();
    skus.sort_unstable();
    skus.dedup();
    for sku in skus.into_iter().filter(|sku| limit(event, sku) == Limit::Soft) {
        let mut units = event.leased(PoolId::of(&id, &sku), live);
        for line in lines.iter_mut().filter(|line| line.sku == sku) {
            if units.count() >= u64::from(line.quantity) {
                line.units = units.take(u64::from(line.quantity));
            }
        }
    }
}

/// Of the units that a replica may use, those that it has for good.
pub(super) fn for_good(event: &Event, pool_id: PoolId, replica: ReplicaKey, mut usable: RangeSet) -> RangeSet {
    event.leased(pool_id, |_, lease| lease.to == replica).iter().for_each(|range| usable.remove(&range));
    usable
}
