//! Payments: each attempt to collect, and cash; cards to charge for orders that wait, and what can be done with both.

use super::orders;
use crate::desk::Ask;
use crate::extract::{Asked, At, Write};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::body::Charged;
use fieldkit_core::decide::Command;
use fieldkit_core::id::OpId;
use fieldkit_core::refusal::{PaymentRefusal, Refusal};

/// List payments, those of the newest orders first
#[utoipa::path(get, path = "/api/v1/payments", operation_id = "list_payments", tag = "payments",
    params(wire::PaymentsQuery),
    responses((status = 200, description = "Payments, those of the newest orders first", body = Vec<wire::Payment>), Problem))]
pub async fn list(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::PaymentsQuery>,
) -> Result<Json<Vec<wire::Payment>>, Problem> {
    let limit = super::list_length(query.limit)?;
    let before = query.before.clone();
    let found = shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Payments { limit, before, reply }).await?;
    let unknown = || Refusal::from(PaymentRefusal::UnknownPayment(super::shortened(&query.before.unwrap_or_default())));
    let mut payments = Vec::new();
    for (id, order) in found.ok_or_else(unknown)? {
        payments.extend(render::payments(&order).into_iter().find(|payment| payment.payment_id == id));
    }
    Ok(Json(payments))
}

/// Begin another attempt to charge a card
///
/// For an order that waits: after a no, or for its next part. Refused while a payment of it runs or is not known.
#[utoipa::path(post, path = "/api/v1/orders/{id}/payments", operation_id = "begin_payment",
    tag = "payments", request_body = wire::NewPayment,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The order with its new payment; the outcome comes with the updates", body = wire::Order), Problem))]
pub async fn begin(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::NewPayment>,
) -> Result<Answer<wire::Order>, Problem> {
    let wire::NewPayment { amount, device } = write.body;
    let device = device.as_deref().map(super::device_id).transpose()?;
    let order = orders::order_id(&shop, &id).await?;
    let command = Command::BeginPayment { order, amount: amount.map(orders::coded), device };
    let (order, done) = orders::give(&shop, command, write.key).await?;
    Ok(Answer::created(order, done))
}

/// Pay an order that waits, in cash or by a reader of the crew's own
///
/// The tenders cover what is left to pay. Refused while a payment of it runs or is not known.
#[utoipa::path(post, path = "/api/v1/orders/{id}/settle", operation_id = "settle_order",
    tag = "payments", request_body = wire::NewSettlement,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The order, paid", body = wire::Order), Problem))]
pub async fn settle(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::NewSettlement>,
) -> Result<Answer<wire::Order>, Problem> {
    let tenders = write.body.tenders.into_iter().enumerate().map(orders::tender).collect::<Result<_, Problem>>()?;
    let order = orders::order_id(&shop, &id).await?;
    let command = Command::SettleOrder { order, tenders };
    let (order, done) = orders::give(&shop, command, write.key).await?;
    Ok(Answer::created(order, done))
}

/// Give an order up that waits for its payment
///
/// Its units can be sold again. Refused while a payment of it runs or is not known, and while money was taken for it.
#[utoipa::path(post, path = "/api/v1/orders/{id}/cancel", operation_id = "cancel_order",
    tag = "payments", request_body = wire::NewCancellation,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The order, given up", body = wire::Order), Problem))]
pub async fn cancel(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::NewCancellation>,
) -> Result<Answer<wire::Order>, Problem> {
    let order = orders::order_id(&shop, &id).await?;
    let command = Command::CancelOrder { order, reason: write.body.reason };
    let (order, done) = orders::give(&shop, command, write.key).await?;
    Ok(Answer::done(order, done))
}

/// Close a payment whose outcome no terminal can tell
///
/// By a person who has looked at the terminal's journal or receipt.
#[utoipa::path(post, path = "/api/v1/orders/{id}/payments/{payment_id}/close", operation_id = "close_payment",
    tag = "payments", request_body = wire::NewClosing,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("payment_id" = String, Path, description = "The payment"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The order; paid, where the card was charged and this covers it", body = wire::Order), Problem))]
pub async fn close(
    State(shop): State<Shop>,
    At((id, payment)): At<(String, String)>,
    write: Write<wire::NewClosing>,
) -> Result<Answer<wire::Order>, Problem> {
    let wire::NewClosing { charged, evidence } = write.body;
    let charged = if charged { Charged::Yes } else { Charged::No };
    let payment = payment_id(&payment)?;
    let order = orders::order_id(&shop, &id).await?;
    let command = Command::ClosePayment { order, payment, charged, evidence };
    let (order, done) = orders::give(&shop, command, write.key).await?;
    Ok(Answer::done(order, done))
}

/// Undo a charge that did not pay its order
///
/// One that did is undone by voiding the order.
#[utoipa::path(post, path = "/api/v1/orders/{id}/payments/{payment_id}/reverse", operation_id = "reverse_payment",
    tag = "payments", request_body = wire::NewReversal,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("payment_id" = String, Path, description = "The payment"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The order; the outcome at the terminal comes with the updates", body = wire::Order), Problem))]
pub async fn reverse(
    State(shop): State<Shop>,
    At((id, payment)): At<(String, String)>,
    write: Write<wire::NewReversal>,
) -> Result<Answer<wire::Order>, Problem> {
    let payment = payment_id(&payment)?;
    let order = orders::order_id(&shop, &id).await?;
    let command = Command::ReversePayment { order, payment, reason: write.body.reason };
    let (order, done) = orders::give(&shop, command, write.key).await?;
    Ok(Answer::done(order, done))
}

fn payment_id(text: &str) -> Result<OpId, Problem> {
    let unknown = || Refusal::from(PaymentRefusal::UnknownPayment(super::shortened(text)));
    Ok(OpId::from_text(text).ok_or_else(unknown)?)
}
