//! Payments without order: charges on a terminal that no order asked for.

use crate::desk::Gain;
use crate::extract::{Asked, At, Write};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::decide::Command;
use fieldkit_core::id::OpId;
use fieldkit_core::refusal::{PaymentRefusal, Refusal};

/// List payments without order, oldest first
#[utoipa::path(get, path = "/api/v1/foreign-payments", operation_id = "list_foreign_payments", tag = "payments",
    params(wire::ForeignQuery),
    responses((status = 200, description = "Payments without order, cleared up or not", body = Vec<wire::ForeignPayment>), Problem))]
pub async fn list(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::ForeignQuery>,
) -> Result<Json<Vec<wire::ForeignPayment>>, Problem> {
    let unknown = |text: &str| Refusal::UnknownEvent(super::shortened(text));
    let event = match &query.event {
        None => None,
        Some(text) => Some(OpId::from_text(text).ok_or_else(|| unknown(text))?),
    };
    let found = shop.look(move |shelf| {
        let known = event.is_none_or(|id| shelf.ledger.events.contains_key(&id));
        known.then(|| render::foreign_payments(shelf, event))
    });
    Ok(Json(found.await?.ok_or_else(|| unknown(&query.event.unwrap_or_default()))?))
}

/// Clear a payment without order up
#[utoipa::path(post, path = "/api/v1/foreign-payments/{id}/settle", operation_id = "settle_foreign_payment",
    tag = "payments", request_body = wire::NewNote,
    params(("id" = String, Path, description = "The payment without order"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The payment without order, cleared up", body = wire::ForeignPayment), Problem))]
pub async fn settle(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::NewNote>,
) -> Result<Answer<wire::ForeignPayment>, Problem> {
    let unknown = || Refusal::from(PaymentRefusal::UnknownForeign(super::shortened(&id)));
    let found = OpId::from_text(&id).ok_or_else(unknown)?;
    // It may be of another event than the open one.
    let event = shop.look(move |shelf| render::event_of_foreign(shelf, found)).await?;
    let command = Command::SettleForeign { found, note: write.body.note };
    let (gain, done) = shop.give(command, event, write.key, ANSWER_SECONDS_MAX).await?;
    let Gain::Foreign(found) = gain else { return Err(Problem::shown_later()) };
    let shown = shop.show(move |shelf| render::foreign(shelf, found)).await?;
    Ok(Answer::done(shown.ok_or_else(Problem::shown_later)?, done))
}
