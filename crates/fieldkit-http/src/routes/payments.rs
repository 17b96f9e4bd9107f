//! Payments: each attempt to collect, and cash.

use crate::desk::Ask;
use crate::extract::Asked;
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::refusal::{PaymentRefusal, Refusal};

/// Payments of a list where none is said, and the most.
const LIST_LENGTH: u32 = 50;
const LIST_LENGTH_MAX: u32 = 200;

/// List payments, those of the newest orders first
#[utoipa::path(get, path = "/api/v1/payments", operation_id = "list_payments", tag = "orders",
    params(wire::PaymentsQuery),
    responses((status = 200, description = "Payments, those of the newest orders first", body = Vec<wire::Payment>), Problem))]
pub async fn list(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::PaymentsQuery>,
) -> Result<Json<Vec<wire::Payment>>, Problem> {
    let limit = query.limit.unwrap_or(LIST_LENGTH);
    if !(1..=LIST_LENGTH_MAX).contains(&limit) {
        return Err(Problem::field(format!("limit: a number from 1 to {LIST_LENGTH_MAX} is needed.")));
    }
    let before = query.before.clone();
    let found = shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Payments { limit, before, reply }).await?;
    let unknown = || Refusal::from(PaymentRefusal::UnknownPayment(super::shortened(&query.before.unwrap_or_default())));
    let mut payments = Vec::new();
    for (id, order) in found.ok_or_else(unknown)? {
        payments.extend(render::payments(&order).into_iter().find(|payment| payment.payment_id == id));
    }
    Ok(Json(payments))
}
