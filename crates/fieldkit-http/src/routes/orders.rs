//! Sales, what is given back, receipts.

use crate::desk::{Ask, Gain, OrderSelector};
use crate::extract::{Asked, At, Write};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Done, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use chrono::DateTime;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, Mode, QRBuilder, QRCode};
use fieldkit_core::body::Source;
use fieldkit_core::decide::{Command, LineRequest, OrderRequest, TenderRequest};
use fieldkit_core::id::OpId;
use fieldkit_core::op::CommandKey;
use fieldkit_core::order::{Discount, Order};
use fieldkit_core::refusal::Refusal;

/// List orders, newest first
#[utoipa::path(get, path = "/api/v1/orders", operation_id = "list_orders", tag = "orders",
    params(wire::OrdersQuery),
    responses((status = 200, description = "Orders, newest first", body = Vec<wire::Order>), Problem))]
pub async fn list(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::OrdersQuery>,
) -> Result<Json<Vec<wire::Order>>, Problem> {
    let limit = super::list_length(query.limit)?;
    let id = |text: &str| OpId::from_text(text).ok_or_else(|| unknown(text));
    let before = query.before.as_deref().map(id).transpose()?;
    let orders = shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Orders { limit, before, reply }).await?;
    let shown = shop.look(move |shelf| {
        orders.iter().map(|order| render::order(shelf, order, shelf.durability)).collect::<Vec<_>>()
    });
    Ok(Json(shown.await?))
}

/// Sell
///
/// Lines, discounts, total, tenders and stock are checked in this order; the first refusal is the answer. Soft pools
/// sell below zero and warn, hard ones refuse.
#[utoipa::path(post, path = "/api/v1/orders", operation_id = "place_order", tag = "orders",
    request_body = wire::NewOrder,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The order, paid; with a card, waiting for it", body = wire::Order), Problem))]
pub async fn place(State(shop): State<Shop>, write: Write<wire::NewOrder>) -> Result<Answer<wire::Order>, Problem> {
    let command = Command::PlaceOrder(request(write.body)?);
    let (order, done) = give(&shop, command, write.key).await?;
    Ok(Answer::created(order, done))
}

/// Show one order
#[utoipa::path(get, path = "/api/v1/orders/{id}", operation_id = "order", tag = "orders",
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`")),
    responses((status = 200, description = "The order", body = wire::Order), Problem))]
pub async fn one(State(shop): State<Shop>, At(id): At<String>) -> Result<Json<wire::Order>, Problem> {
    let order = find(&shop, &id).await?;
    Ok(Json(shop.look(move |shelf| render::order(shelf, &order, shelf.durability)).await?))
}

/// The signed receipt as a QR code
#[utoipa::path(get, path = "/api/v1/orders/{id}/receipt.svg", operation_id = "receipt", tag = "orders",
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`")),
    responses((status = 200, description = "The QR code", content_type = "image/svg+xml", body = String), Problem))]
pub async fn receipt(State(shop): State<Shop>, At(id): At<String>) -> Result<impl IntoResponse, Problem> {
    let order = find(&shop, &id).await?;
    let token = shop.look(move |shelf| (shelf.receipt_token)(&order)).await?.ok_or_else(|| {
        let detail = "The order is not paid and has no receipt yet.";
        Problem::new(StatusCode::CONFLICT, "no_receipt", detail, "Ask again once it is paid.")
    })?;
    let too_long = || {
        let detail = "The receipt has too much text for a QR code.";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "receipt_too_long", detail, "Show the receipt's token instead.")
    };
    let code = qr(&token, ECL::M).or_else(|| qr(&token, ECL::L)).ok_or_else(too_long)?;
    let svg = SvgBuilder::default().to_str(&code);
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg))
}

/// Give goods and money back
#[utoipa::path(post, path = "/api/v1/orders/{id}/refund", operation_id = "refund_order", tag = "orders",
    request_body = wire::NewRefund,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The order with its refund", body = wire::Order), Problem))]
pub async fn refund(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::NewRefund>,
) -> Result<Answer<wire::Order>, Problem> {
    let wire::NewRefund { lines, reason, tender, restock } = write.body;
    let lines = lines.map(parts).transpose()?;
    let in_cash = match tender {
        None => false,
        Some(wire::TenderKind::Cash) => true,
        Some(wire::TenderKind::Card | wire::TenderKind::CardExternal) => {
            return Err(Problem::field("tender: a refund gives cash; a card is paid back by voiding the order."));
        }
    };
    let order = order_id(&shop, &id).await?;
    let command = Command::Refund { order, lines, reason, restock, in_cash };
    let (order, done) = give(&shop, command, write.key).await?;
    Ok(Answer::created(order, done))
}

/// Undo a whole order on its business day
#[utoipa::path(post, path = "/api/v1/orders/{id}/void", operation_id = "void_order", tag = "orders",
    request_body = wire::NewVoid,
    params(("id" = String, Path, description = "Order id, receipt number, or `SERIES-NUMBER`"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The order, voided; paid by card, it is once the terminal has paid the card back", body = wire::Order), Problem))]
pub async fn void(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::NewVoid>,
) -> Result<Answer<wire::Order>, Problem> {
    let order = order_id(&shop, &id).await?;
    let command = Command::Void { order, reason: write.body.reason };
    let (order, done) = give(&shop, command, write.key).await?;
    Ok(Answer::created(order, done))
}

/// Undo a refund or void
#[utoipa::path(post, path = "/api/v1/refunds/{refund_id}/undo", operation_id = "undo_refund", tag = "orders",
    request_body = wire::Empty,
    params(("refund_id" = String, Path, description = "The refund or void"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The order as it is now", body = wire::Order), Problem))]
pub async fn undo(
    State(shop): State<Shop>,
    At(refund_id): At<String>,
    write: Write<wire::Empty>,
) -> Result<Answer<wire::Order>, Problem> {
    let unknown = || Problem::from(Refusal::UnknownRefund(super::shortened(&refund_id)));
    let refund = OpId::from_text(&refund_id).ok_or_else(unknown)?;
    let order = shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::OrderOfRefund { refund, reply }).await?;
    let order = order.ok_or_else(unknown)?;
    let (order, done) = give(&shop, Command::UndoRefund { order, refund }, write.key).await?;
    Ok(Answer::done(order, done))
}

/// Gives a command about an order; the order as it is then.
pub(super) async fn give(shop: &Shop, command: Command, key: CommandKey) -> Result<(wire::Order, Done), Problem> {
    let (gain, done) = shop.give(command, None, key, ANSWER_SECONDS_MAX).await?;
    let Gain::Order(order) = gain else { return Err(Problem::shown_later()) };
    Ok((shop.show(move |shelf| render::order(shelf, &order, done.durability)).await?, done))
}

async fn find(shop: &Shop, text: &str) -> Result<Order, Problem> {
    let selector = selector(text).ok_or_else(|| unknown(text))?;
    shop.order(selector).await?.ok_or_else(|| unknown(text))
}

/// The id of an order that is written in whatever way. An id needs no look-up: the rules know whether it is there.
pub(super) async fn order_id(shop: &Shop, text: &str) -> Result<OpId, Problem> {
    match OpId::from_text(text) {
        Some(id) => Ok(id),
        None => Ok(find(shop, text).await?.order_id),
    }
}

fn unknown(text: &str) -> Problem {
    Refusal::UnknownOrder(super::shortened(text)).into()
}

/// `17`, `7F3K-17`, or an id.
fn selector(text: &str) -> Option<OrderSelector> {
    if let Some(id) = OpId::from_text(text) {
        return Some(OrderSelector::Id(id));
    }
    let (series, number) = match text.rsplit_once('-') {
        Some((series, number)) => (Some(series), number),
        None => (None, text),
    };
    let number = number.parse().ok().filter(|_| number.bytes().all(|digit| digit.is_ascii_digit()))?;
    let spelled = |series: &str| {
        let plain = series.to_ascii_uppercase().replace(['I', 'L'], "1").replace('O', "0");
        (plain.len() == 4 && plain.bytes().all(|symbol| symbol.is_ascii_alphanumeric())).then_some(plain)
    };
    match series {
        None => Some(OrderSelector::Receipt { series: None, number }),
        Some(series) => spelled(series).map(|series| OrderSelector::Receipt { series: Some(series), number }),
    }
}

fn qr(token: &str, level: ECL) -> Option<QRCode> {
    QRBuilder::new(token).mode(Mode::Alphanumeric).ecl(level).build().ok()
}

fn request(body: wire::NewOrder) -> Result<OrderRequest, Problem> {
    let line = |(at, line): (usize, wire::NewLine)| {
        Ok(LineRequest {
            sku: line.sku,
            quantity: line.quantity.0,
            price: line.price.map(Into::into),
            discount: discount(&format!("lines[{at}].discount"), line.discount)?,
            discount_reason: line.discount_reason.unwrap_or_default(),
        })
    };
    let wire::Source { till, campaign, session, variant } = body.source.unwrap_or_default();
    Ok(OrderRequest {
        lines: body.lines.into_iter().enumerate().map(line).collect::<Result<_, Problem>>()?,
        discount: discount("discount", body.discount)?,
        discount_reason: body.discount_reason.unwrap_or_default(),
        tenders: body.tenders.into_iter().enumerate().map(tender).collect::<Result<_, Problem>>()?,
        expected_total: body.expected_total.map(coded),
        source: Source { till, campaign, session, variant },
        cart_opened_ms: body.cart_opened_at.as_deref().map(opened).transpose()?,
    })
}

pub(super) fn coded(money: wire::Money) -> (i64, String) {
    (money.minor.0, money.currency.0.code().to_owned())
}

pub(super) fn tender((at, tender): (usize, wire::NewTender)) -> Result<TenderRequest, Problem> {
    let wire::NewTender { kind, amount, reference, reader, device } = tender;
    let needed = |field: &str| Problem::field(format!("tenders[{at}].{field}: this means of paying needs it."));
    let strange = |field: &str| Problem::field(format!("tenders[{at}].{field}: this means of paying has none."));
    if kind != wire::TenderKind::CardExternal {
        reference.as_ref().map_or(Ok(()), |_| Err(strange("reference")))?;
        reader.as_ref().map_or(Ok(()), |_| Err(strange("reader")))?;
    }
    if kind != wire::TenderKind::Card {
        device.as_ref().map_or(Ok(()), |_| Err(strange("device")))?;
    }
    Ok(match kind {
        wire::TenderKind::Cash => {
            let (minor, currency) = amount.map(coded).ok_or_else(|| needed("amount"))?;
            TenderRequest::Cash { minor, currency }
        }
        wire::TenderKind::Card => {
            let device = device.as_deref().map(super::device_id).transpose()?;
            TenderRequest::Card { amount: amount.map(coded), device }
        }
        wire::TenderKind::CardExternal => {
            let (minor, currency) = amount.map(coded).ok_or_else(|| needed("amount"))?;
            let reference = reference.ok_or_else(|| needed("reference"))?;
            TenderRequest::CardExternal { minor, currency, reader: reader.unwrap_or_default(), reference }
        }
    })
}

fn discount(field: &str, given: Option<wire::Discount>) -> Result<Discount, Problem> {
    match given {
        None => Ok(Discount::None),
        Some(wire::Discount { minor: Some(minor), ppm: None }) => Ok(Discount::Minor(minor.0)),
        // What is out of range becomes what the rules refuse.
        Some(wire::Discount { minor: None, ppm: Some(ppm) }) => {
            Ok(Discount::Ppm(u32::try_from(ppm.0).unwrap_or(u32::MAX)))
        }
        Some(_) => Err(Problem::field(format!("{field}: either `minor` or `ppm` is needed."))),
    }
}

fn opened(text: &str) -> Result<u64, Problem> {
    let moment = DateTime::parse_from_rfc3339(text).ok();
    let at_ms = moment.and_then(|moment| u64::try_from(moment.timestamp_millis()).ok());
    at_ms.ok_or_else(|| Problem::field("cart_opened_at: a time such as 2026-11-20T12:00:00+01:00 is needed."))
}

fn parts(lines: Vec<wire::LineQuantity>) -> Result<Vec<(u32, u32)>, Problem> {
    if lines.is_empty() {
        return Err(Problem::field("lines: at least one is needed, or null for all that is left."));
    }
    let number = |at: usize, field: &str, given: wire::Whole| {
        let problem = || Problem::field(format!("lines[{at}].{field}: a number from 1 to {} is needed.", u32::MAX));
        u32::try_from(given.0).ok().filter(|number| *number > 0).ok_or_else(problem)
    };
    let part = |(at, part): (usize, wire::LineQuantity)| {
        Ok((number(at, "line", part.line)?, number(at, "quantity", part.quantity)?))
    };
    lines.into_iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fieldkit_core::id::StreamId;

    #[test]
    fn orders_are_named_in_three_ways() {
        let id = OpId { stream: StreamId([7; 16]), seq: 3 };
        assert_eq!(selector(&id.text()), Some(OrderSelector::Id(id)));
        assert_eq!(selector("17"), Some(OrderSelector::Receipt { series: None, number: 17 }));
        let series = Some("7F3K".to_owned());
        assert_eq!(selector("7f3k-17"), Some(OrderSelector::Receipt { series, number: 17 }));
        for wrong in ["", "-", "x", "+17", "7F3-17", "7F3K-", "7F3K-x", "18446744073709551616"] {
            assert_eq!(selector(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn long_tokens_fall_to_the_lowest_level() {
        assert!(qr(&"A".repeat(4_296), ECL::M).is_none());
        assert!(qr(&"A".repeat(4_296), ECL::L).is_some());
        assert!(qr(&"A".repeat(4_297), ECL::L).is_none());
    }
}
