//! Kits, and limited goods that they share.

use crate::desk::Shelf;
use crate::wire;
use fieldkit_core::decide::{Gate, is_own};
use fieldkit_core::event::Event;
use fieldkit_core::id::{OpId, PoolId, ReplicaKey};
use fieldkit_core::pool::Pool;

/// All kits of the organisation, in the order of their names.
pub fn kits(shelf: &Shelf<'_>) -> Vec<wire::KitOf> {
    let mut kits: Vec<wire::KitOf> = shelf.ledger.replicas.keys().map(|replica| kit(shelf, replica)).collect();
    kits.sort_by(|one, other| (one.retired, &one.kit, &one.replica).cmp(&(other.retired, &other.kit, &other.replica)));
    kits
}

/// One kit.
pub fn kit(shelf: &Shelf<'_>, replica: &ReplicaKey) -> wire::KitOf {
    wire::KitOf {
        kit: shelf.ledger.label(replica),
        replica: replica.label(),
        own: *replica == shelf.replica,
        retired: is_retired(shelf, replica),
    }
}

/// Whether another key goes on for a replica.
fn is_retired(shelf: &Shelf<'_>, replica: &ReplicaKey) -> bool {
    shelf.ledger.follows.values().any(|before| before == replica)
}

/// The replicas that a name can mean: by the whole name, else by the beginning of the key's. Of one name, those that
/// nobody goes on for come first.
pub fn meant(shelf: &Shelf<'_>, name: &str) -> Vec<ReplicaKey> {
    let name = name.trim().to_lowercase();
    let matching = |matches: &dyn Fn(&ReplicaKey) -> bool| -> Vec<ReplicaKey> {
        shelf.ledger.replicas.keys().filter(|replica| matches(replica)).copied().collect()
    };
    let named = matching(&|replica| shelf.ledger.label(replica).to_lowercase() == name);
    let current: Vec<ReplicaKey> = named.iter().filter(|replica| !is_retired(shelf, replica)).copied().collect();
    match (current.is_empty(), named.is_empty()) {
        (false, _) => current,
        (true, false) => named,
        (true, true) if name.is_empty() => Vec::new(),
        (true, true) => matching(&|replica| replica.label().to_lowercase().starts_with(&name)),
    }
}

/// Limited goods of the open event, and ordinary ones of which some are leased.
pub fn pools(shelf: &Shelf<'_>) -> Vec<wire::Pool> {
    let Some((id, event)) = super::open_event(shelf) else { return Vec::new() };
    let leased = |sku: &String| event.leases.values().any(|lease| lease.sku == *sku);
    let shared = event.items.keys().filter(|sku| event.is_limited(sku) || leased(sku));
    shared.filter_map(|sku| pool(shelf, id, event, sku)).collect()
}

/// Limited goods of one SKU of the open event.
pub fn pool_of(shelf: &Shelf<'_>, sku: &str) -> Option<wire::Pool> {
    let (id, event) = super::open_event(shelf)?;
    pool(shelf, id, event, sku)
}

fn pool(shelf: &Shelf<'_>, id: OpId, event: &Event, sku: &str) -> Option<wire::Pool> {
    let item = event.items.get(sku)?;
    let pool_id = PoolId::of(&id, sku);
    let (here, elsewhere) = units(shelf, id, event, sku);
    let rights = event.pools.get(&pool_id);
    let holders = rights.map(Pool::holders).unwrap_or_default();
    let holder = |(replica, held): (ReplicaKey, i64)| {
        let wire::KitOf { kit, replica, own, .. } = kit(shelf, &replica);
        wire::Holder { kit, replica, own, held }
    };
    let asks = event.asks.iter().filter(|((pool, _), _)| *pool == pool_id);
    let asked = |((_, by), ask): (&(PoolId, ReplicaKey), &fieldkit_core::event::Ask)| wire::Asked {
        by: shelf.ledger.label(by),
        of: shelf.ledger.label(&ask.of),
        quantity: ask.quantity,
    };
    let mut holders: Vec<wire::Holder> = holders.into_iter().map(holder).collect();
    holders.sort_by(|one, other| (&one.kit, &one.replica).cmp(&(&other.kit, &other.replica)));
    Some(wire::Pool {
        sku: sku.to_owned(),
        name: item.name_or(sku).to_owned(),
        here,
        elsewhere,
        sold: event.sold(pool_id),
        at_rest: rights.map_or(0, Pool::frozen).saturating_add(event.resting(pool_id, &shelf.replica)),
        shut: event.is_limited(sku) && shelf.gate == Gate::Shut,
        holders,
        asks: asks.map(asked).collect(),
        leases: leases(shelf, pool_id, event),
    })
}

/// Leases of a pool that are not over, and how they stand here.
fn leases(shelf: &Shelf<'_>, pool_id: PoolId, event: &Event) -> Vec<wire::Lease> {
    let Some(pool) = event.pools.get(&pool_id) else { return Vec::new() };
    let zone = super::zone(Some(event));
    let of_pool = event.leases.iter().filter(|(_, lease)| lease.ranges.iter().any(|range| range.pool == pool_id));
    let told = of_pool.map(|(id, lease)| wire::Lease {
        lease_id: id.text(),
        from: shelf.ledger.label(&lease.from),
        to: shelf.ledger.label(&lease.to),
        own: lease.to == shelf.replica,
        held: i64::try_from(lease.held(pool_id, pool).count()).unwrap_or(i64::MAX),
        until: super::time(lease.given_ms.saturating_add(lease.term_ms), zone),
        rests: lease.to == shelf.replica && !shelf.leases.live.contains(id),
    });
    told.collect()
}

/// Units that this kit may sell, and those that others may. Ordinary goods are everybody's but for what is leased.
pub fn units(shelf: &Shelf<'_>, id: OpId, event: &Event, sku: &str) -> (i64, i64) {
    let pool_id = PoolId::of(&id, sku);
    let hard = event.is_limited(sku);
    if !hard && !event.leases.is_empty() {
        let away = event.leased(pool_id, |_, lease| lease.to != shelf.replica).count();
        let here = event.here_for(pool_id, &shelf.replica, &shelf.leases.live);
        return (here, i64::try_from(away).unwrap_or(i64::MAX));
    }
    let Some(rights) = event.pools.get(&pool_id).filter(|_| hard && shelf.ledger.replicas.len() > 1) else {
        return (event.here(pool_id), 0);
    };
    let own = |replica: &ReplicaKey| is_own(shelf.ledger, shelf.replica, replica);
    let others = rights.holders().into_iter().filter(|(replica, held)| *held > 0 && !own(replica));
    let here = event.here_at(pool_id, own).saturating_sub(event.resting(pool_id, &shelf.replica));
    (here, others.map(|(_, held)| held).fold(0, i64::saturating_add))
}

/// Limited goods that a witness must open first, or the owner.
pub fn shut(shelf: &Shelf<'_>) -> Option<wire::Shut> {
    let (id, event) = super::open_event(shelf)?;
    let waits = shelf.gate == Gate::Shut;
    let held = |sku: &str| match waits {
        true => units(shelf, id, event, sku).0,
        false => event.resting(PoolId::of(&id, sku), &shelf.replica),
    };
    let items: Vec<wire::ShutItem> = event
        .limited()
        .map(|(sku, item)| wire::ShutItem { sku: sku.clone(), name: item.name_or(sku).to_owned(), here: held(sku) })
        .filter(|item| item.here > 0)
        .collect();
    let (text, next_step) = match waits {
        true => (
            "This kit was started anew, and other kits sell these limited goods too. Somebody must say first that this \
             kit was not put back.",
            "Open a till page that was open before, or type the mark of the last slip.",
        ),
        false => (
            "This kit goes by a person's word that it was not put back. These limited goods were left out of it: nobody \
             can tell whether they were sold before.",
            "The owner opens them: fieldkit rights admit --owner.",
        ),
    };
    (!items.is_empty()).then(|| wire::Shut { items, text: text.to_owned(), next_step: next_step.to_owned() })
}
