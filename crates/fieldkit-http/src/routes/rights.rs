//! Limited goods that several kits share: who holds how many, and how they move.

use super::kits::{kit_named, kit_that_writes};
use crate::desk::{Ask, Gain};
use crate::extract::Write;
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Done, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::body::Admission;
use fieldkit_core::decide::Command;
use fieldkit_core::id::ReplicaKey;
use fieldkit_core::op::CommandKey;
use fieldkit_core::witness::{Sighting, Verdict};

/// List limited goods and who may sell them
#[utoipa::path(get, path = "/api/v1/pools", operation_id = "list_pools", tag = "kits",
    responses((status = 200, description = "In the order of their SKUs", body = Vec<wire::Pool>), Problem))]
pub async fn list(State(shop): State<Shop>) -> Result<Json<Vec<wire::Pool>>, Problem> {
    Ok(Json(shop.look(render::pools).await?))
}

/// Give limited goods to another kit, or ordinary ones for a time
///
/// With `term_ms` ordinary goods are leased: the other kit has them until the term is over, then they are this kit's again.
/// Without it limited goods are given for good.
#[utoipa::path(post, path = "/api/v1/rights/grant", operation_id = "grant_rights", tag = "kits",
    request_body = wire::NewGrant,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "Who may sell them now", body = wire::Pool), Problem))]
pub async fn grant(State(shop): State<Shop>, write: Write<wire::NewGrant>) -> Result<Answer<wire::Pool>, Problem> {
    let wire::NewGrant { sku, quantity, to, reason, term_ms } = write.body;
    let to = kit_that_writes(&shop, to).await?;
    let quantity = quantity.0;
    let command = match term_ms {
        None => Command::GrantRights { sku, quantity, to, reason, answers: None },
        // A term that is no number of milliseconds is as wrong as one of none.
        Some(term) => {
            let term_ms = u64::try_from(term.0).unwrap_or(0);
            Command::LeaseRights { sku, quantity, to, term_ms, reason }
        }
    };
    let (pool, done) = give(&shop, command, write.key).await?;
    Ok(Answer::created(pool, done))
}

/// Ask another kit for limited goods
#[utoipa::path(post, path = "/api/v1/rights/ask", operation_id = "ask_rights", tag = "kits", request_body = wire::NewAsk,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "Who may sell them now, and who asks", body = wire::Pool), Problem))]
pub async fn ask(State(shop): State<Shop>, write: Write<wire::NewAsk>) -> Result<Answer<wire::Pool>, Problem> {
    let wire::NewAsk { sku, quantity, of } = write.body;
    let quantity = u32::try_from(quantity.0).map_err(|_| Problem::field("quantity: a number from 1 is needed."))?;
    let of = match of {
        Some(name) => kit_named(&shop, name).await?,
        None => best_holder(&shop, sku.clone()).await?,
    };
    let (pool, done) = give(&shop, Command::AskRights { sku, of, quantity }, write.key).await?;
    Ok(Answer::created(pool, done))
}

/// Take over limited goods of a kit that will not come back
///
/// What it sold of them before it was lost is then sold twice.
#[utoipa::path(post, path = "/api/v1/rights/lost", operation_id = "declare_lost", tag = "kits",
    request_body = wire::NewLoss,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "Who may sell them now", body = wire::Pool), Problem))]
pub async fn lost(State(shop): State<Shop>, write: Write<wire::NewLoss>) -> Result<Answer<wire::Pool>, Problem> {
    let holder = kit_named(&shop, write.body.kit).await?;
    let (pool, done) = give(&shop, Command::DeclareLost { sku: write.body.sku, holder }, write.key).await?;
    Ok(Answer::created(pool, done))
}

/// Open limited goods after a start by the last slip, or by the owner's word
///
/// A slip opens those of which this kit never gave any away, because no slip tells of that; the owner's word opens all
/// of them. What the kit holds of them then is written down: it is sold twice where the word is wrong.
#[utoipa::path(post, path = "/api/v1/rights/admit", operation_id = "admit_holding", tag = "kits",
    request_body = wire::NewAdmission,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "Limited goods and who may sell them", body = Vec<wire::Pool>), Problem))]
pub async fn admit(
    State(shop): State<Shop>,
    write: Write<wire::NewAdmission>,
) -> Result<Answer<Vec<wire::Pool>>, Problem> {
    let (how, seen) = match (&write.body.slip, write.body.owner) {
        (Some(mark), false) => (Admission::Slip, seen_by_slip(&shop, mark).await?),
        (None, true) => (Admission::Owner, 0),
        _ => return Err(Problem::field("Either `slip` or `owner` is needed.")),
    };
    // The kit knows the number of this life.
    let command = Command::AdmitHolding { how, seen, nonce: [0; 16] };
    let (gain, done) = shop.give(command, None, write.key, ANSWER_SECONDS_MAX).await?;
    let Gain::Rights = gain else { return Err(Problem::shown_later()) };
    Ok(Answer::created(shop.show(render::pools).await?, done))
}

/// The position that a slip names, where this kit has written it.
async fn seen_by_slip(shop: &Shop, mark: &str) -> Result<u64, Problem> {
    let sighting = super::checks::slip(mark)?;
    let Sighting::Slip { seq, .. } = sighting else { return Err(Problem::field("slip: a mark is needed.")) };
    let (sighting, page) = (Some(sighting), None);
    let verdict = shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Witness { sighting, page, reply }).await?;
    if verdict == Verdict::Agrees { Ok(seq) } else { Err(Problem::slip_differs()) }
}

/// The other kit that holds most of a SKU.
async fn best_holder(shop: &Shop, sku: String) -> Result<ReplicaKey, Problem> {
    let found = shop.look(move |shelf| {
        let pool = render::pool_of(shelf, &sku);
        let others = pool.into_iter().flat_map(|pool| pool.holders).filter(|holder| !holder.own && holder.held > 0);
        let best = others.max_by_key(|holder| holder.held)?;
        shelf.ledger.replicas.keys().find(|replica| replica.label() == best.replica).copied()
    });
    found.await?.ok_or_else(Problem::nobody_holds)
}

async fn give(shop: &Shop, command: Command, key: CommandKey) -> Result<(wire::Pool, Done), Problem> {
    let (gain, done) = shop.give(command, None, key, ANSWER_SECONDS_MAX).await?;
    let Gain::Item(sku) = gain else { return Err(Problem::shown_later()) };
    let pool = shop.show(move |shelf| render::pool_of(shelf, &sku)).await?;
    Ok((pool.ok_or_else(Problem::shown_later)?, done))
}
