//! Watching: who could tell that this kit went back, who may go on without, and what is left of a lost keeper.
//!
//! Promises: a lost keeper's goods are taken over only when every other replica said that no further grant of it counts
//! for them, or the owner said so for one that is absent. Whoever opens limited goods on a word alone has that written
//! down, with the units at risk.
//! Absent on purpose: when the gate is shut, and whom to ask (`fieldkit-engine`).

use super::rights::{self, is_own};
use super::{Place, text};
use crate::author::{Context, Draft};
use crate::body::{
    Admission, Body, HolderAnswered, HolderDeclaredLost, HoldingAdmitted, KeeperVowed, RightsAsked, WatchSet,
};
use crate::event::{Event, HolderAnswer};
use crate::id::{PoolId, ReplicaKey, StreamId};
use crate::ledger::Ledger;
use crate::op::Actor;
use crate::refusal::Refusal;

/// Most witnesses at a time.
const WITNESSES_MAX: usize = 16;
/// Most kits that a risk names.
const NAMED_MAX: usize = 8;

/// Asks another replica for rights.
pub(super) fn ask(
    ledger: &Ledger,
    sku: &str,
    of: ReplicaKey,
    quantity: u32,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.open_event(ledger)?;
    rights::limited(event, sku)?;
    other_kit(ledger, of, place)?;
    let max = super::sale::QUANTITY_MAX;
    if quantity == 0 || quantity > max {
        return Err(Refusal::Quantity { sku: sku.to_owned(), quantity: i64::from(quantity), max });
    }
    let body = RightsAsked { sku: sku.to_owned(), of, quantity };
    Ok(vec![Draft::new(space, Body::RightsAsked(body)).answering()])
}

/// Keeps limited goods for others from now on.
pub(super) fn vow(ledger: &Ledger, label: &str, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, _) = place.open_event(ledger)?;
    let label = text("the label", label, 1, 80)?;
    Ok(vec![Draft::new(space, Body::KeeperVowed(KeeperVowed { label })).answering()])
}

/// Says who watches.
pub(super) fn set(
    ledger: &Ledger,
    witnesses: &[[u8; 16]],
    lost: &[[u8; 16]],
    nonce: [u8; 16],
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.any_event(ledger)?;
    if witnesses.len().max(lost.len()) > WITNESSES_MAX {
        let found = witnesses.len().max(lost.len());
        return Err(Refusal::TooMany { what: "witnesses", found, max: WITNESSES_MAX });
    }
    let sorted = |names: &[[u8; 16]]| -> Vec<[u8; 16]> {
        let names: std::collections::BTreeSet<[u8; 16]> = names.iter().copied().collect();
        names.into_iter().collect()
    };
    let hard = event.pools.iter().filter(|(_, pool)| event.is_limited(&pool.sku));
    let at_risk = hard.map(|(id, _)| event.usable(*id, &place.replica).count()).sum();
    let body = WatchSet { witnesses: sorted(witnesses), lost: sorted(lost), at_risk, nonce };
    Ok(vec![Draft::new(space, Body::WatchSet(body)).answering()])
}

/// Opens limited goods on a person's word: on a slip's, only those of which this replica never gave any away, because
/// no slip tells of that.
pub(super) fn admit(
    ledger: &Ledger,
    how: Admission,
    seen: u64,
    nonce: [u8; 16],
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    let opens = |pool: &PoolId| how == Admission::Owner || !event.gave(pool, &place.replica);
    let hard = event.limited().map(|(sku, _)| PoolId::of(&id, sku));
    let pools: Vec<PoolId> = hard.filter(opens).collect();
    let held =
        |pool: &PoolId| event.pools.get(pool).map(|known| known.usable(*pool, &place.replica)).unwrap_or_default();
    let ranges = pools.iter().flat_map(|pool| held(pool).iter().collect::<Vec<_>>()).collect();
    let body = HoldingAdmitted { how, seen, pools, ranges, nonce };
    Ok(vec![Draft::new(space, Body::HoldingAdmitted(body)).answering()])
}

/// Says that no further grant of a lost keeper counts.
pub(super) fn answer(
    ledger: &Ledger,
    keeper: ReplicaKey,
    on_behalf: ReplicaKey,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.any_event(ledger)?;
    other_kit(ledger, keeper, place)?;
    if !event.keepers.contains(&keeper) {
        return Err(Refusal::UnknownKit(ledger.label(&keeper)));
    }
    if on_behalf != place.replica && matches!(context.actor, Actor::Device(_)) {
        return Err(Refusal::NotAllowed { who: "the kit itself".to_owned() });
    }
    let forgetful = place.is_shut() || event.words.contains_key(&place.replica);
    if on_behalf == place.replica && forgetful {
        // A kit that was put back would forget what it used.
        return Err(Refusal::GateShut("what the lost keeper gave".to_owned()));
    }
    let seen = ledger.head(&StreamId::of(&keeper, &space)).seq;
    let body = HolderAnswered { holder: keeper, on_behalf, seen };
    Ok(vec![Draft::new(space, Body::HolderAnswered(body)).answering()])
}

/// Takes over what a lost keeper held.
pub(super) fn take_over(ledger: &Ledger, keeper: ReplicaKey, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.open_event(ledger)?;
    let next = ledger.goes_on_for(place.replica, keeper) && keeper != place.replica;
    if !next || !event.keepers.contains(&keeper) {
        return Err(Refusal::UnknownKit(ledger.label(&keeper)));
    }
    if place.is_shut() {
        return Err(Refusal::GateShut("what the lost keeper held".to_owned()));
    }
    let missing = unanswered(ledger, event, keeper, place.replica);
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|replica| ledger.label(replica)).collect();
        return Err(Refusal::Unanswered(names.join(", ")));
    }
    let spoken_for = |((of, _), answer): &(&(ReplicaKey, ReplicaKey), &HolderAnswer)| *of == keeper && !answer.own;
    let absent: Vec<String> =
        event.answers.iter().filter(spoken_for).map(|((_, holder), _)| ledger.label(holder)).take(NAMED_MAX).collect();
    let risk = if !absent.is_empty() {
        format!("what {} gave to {} and nobody knows of is sold again", ledger.label(&keeper), absent.join(", "))
    } else if event.words.contains_key(&place.replica) {
        "what this kit gave before its limited goods were opened by a word is sold again".to_owned()
    } else {
        String::new()
    };
    let mut drafts = Vec::new();
    for (pool_id, pool) in &event.pools {
        let ranges: Vec<_> = pool.usable(*pool_id, &keeper).iter().collect();
        if !event.is_limited(&pool.sku) || ranges.is_empty() {
            continue;
        }
        let body = HolderDeclaredLost { sku: pool.sku.clone(), holder: keeper, ranges, risk: risk.clone() };
        drafts.push(Draft::new(space.clone(), Body::HolderDeclaredLost(body)));
    }
    match drafts.pop() {
        None => Err(Refusal::NothingHeld { kit: ledger.label(&keeper), sku: "anything limited".to_owned() }),
        Some(last) => Ok(drafts.into_iter().chain([last.answering()]).collect()),
    }
}

/// Replicas that have not said yet what they have of a lost keeper, or have nobody who says it for them.
pub fn unanswered(ledger: &Ledger, event: &Event, keeper: ReplicaKey, successor: ReplicaKey) -> Vec<ReplicaKey> {
    let line = |replica: &ReplicaKey| {
        *replica == keeper || ledger.goes_on_for(successor, *replica) || ledger.goes_on_for(keeper, *replica)
    };
    let missing = ledger.replicas.keys().filter(|replica| !line(replica));
    missing.filter(|replica| !event.answers.contains_key(&(keeper, **replica))).copied().collect()
}

fn other_kit(ledger: &Ledger, other: ReplicaKey, place: &Place) -> Result<(), Refusal> {
    if !ledger.replicas.contains_key(&other) || is_own(ledger, place.replica, &other) {
        return Err(Refusal::UnknownKit(other.label()));
    }
    Ok(())
}
