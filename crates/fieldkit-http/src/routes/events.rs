//! Selling occasions.

use crate::desk::{Ask, Gain};
use crate::extract::{At, Write};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::body::{Prices, Seller, TaxRate};
use fieldkit_core::decide::{Command, NewEvent};
use fieldkit_core::event::EventState;
use fieldkit_core::id::OpId;
use fieldkit_core::refusal::Refusal;

/// List events, newest first
#[utoipa::path(get, path = "/api/v1/events", operation_id = "list_events", tag = "events",
    responses((status = 200, description = "Events, newest first", body = Vec<wire::Event>), Problem))]
pub async fn list(State(shop): State<Shop>) -> Result<Json<Vec<wire::Event>>, Problem> {
    Ok(Json(shop.look(render::events).await?))
}

/// Open a new event
///
/// Sales go to it from then on. `clone_from` begins with another event's catalogue, without its stock.
#[utoipa::path(post, path = "/api/v1/events", operation_id = "create_event", tag = "events",
    request_body = wire::NewEvent,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The event, open", body = wire::Event), Problem))]
pub async fn create(State(shop): State<Shop>, write: Write<wire::NewEvent>) -> Result<Answer<wire::Event>, Problem> {
    let command = Command::OpenEvent(new_event(write.body)?);
    let (gain, done) = shop.give(command, None, write.key, ANSWER_SECONDS_MAX).await?;
    Ok(Answer::created(show(&shop, gain).await?, done))
}

/// Let sales go to an open event
///
/// A closed event stays closed. Which event is chosen is this kit's own matter: it is no op.
#[utoipa::path(post, path = "/api/v1/events/{id}/open", operation_id = "open_event", tag = "events",
    request_body = wire::Empty,
    params(("id" = String, Path, description = "The event"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The event", body = wire::Event), Problem))]
pub async fn open(
    State(shop): State<Shop>,
    At(id): At<String>,
    _: Write<wire::Empty>,
) -> Result<Json<wire::Event>, Problem> {
    let known = id_of(&id)?;
    let found = shop
        .look(move |shelf| shelf.ledger.events.get(&known).map(|event| (event.state(), render::event(known, event))));
    match found.await? {
        None => Err(Refusal::UnknownEvent(id).into()),
        Some((EventState::Closed, event)) => Err(Refusal::EventClosed(event.name).into()),
        Some((EventState::Open, event)) => {
            shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Choose { event: known, reply }).await?;
            Ok(Json(event))
        }
    }
}

/// Close an event
///
/// Nothing is sold at it any more; refunds stay possible. Sales go to the newest event that is still open, if any:
/// `sales_go_to` names it.
#[utoipa::path(post, path = "/api/v1/events/{id}/close", operation_id = "close_event", tag = "events",
    request_body = wire::Empty,
    params(("id" = String, Path, description = "The event"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The event, closed", body = wire::ClosedEvent), Problem))]
pub async fn close(
    State(shop): State<Shop>,
    At(id): At<String>,
    write: Write<wire::Empty>,
) -> Result<Answer<wire::ClosedEvent>, Problem> {
    let event = id_of(&id)?;
    let (gain, done) = shop.give(Command::CloseEvent, Some(event), write.key, ANSWER_SECONDS_MAX).await?;
    let event = show(&shop, gain).await?;
    let sales_go_to = shop.show(render::current_event).await?;
    Ok(Answer::done(wire::ClosedEvent { event, sales_go_to }, done))
}

async fn show(shop: &Shop, gain: Gain) -> Result<wire::Event, Problem> {
    let Gain::Event(id) = gain else { return Err(Problem::shown_later()) };
    let event = shop.show(move |shelf| shelf.ledger.events.get(&id).map(|event| render::event(id, event)));
    event.await?.ok_or_else(Problem::shown_later)
}

pub(super) fn id_of(text: &str) -> Result<OpId, Problem> {
    OpId::from_text(text).ok_or_else(|| Refusal::UnknownEvent(super::shortened(text)).into())
}

fn new_event(body: wire::NewEvent) -> Result<NewEvent, Problem> {
    let cutover = u16::try_from(body.day_cutover_minutes.0)
        .map_err(|_| Problem::field("day_cutover_minutes: a number from 0 to 1439 is needed."))?;
    let wire::Seller { name, address, tax_id } = body.seller;
    let rate = |(at, rate): (usize, wire::TaxRate)| {
        let ppm = u32::try_from(rate.ppm.0)
            .map_err(|_| Problem::field(format!("tax_rates[{at}].ppm: a number from 0 to 1000000 is needed.")))?;
        Ok(TaxRate { id: rate.id, name: rate.name, ppm })
    };
    Ok(NewEvent {
        name: body.name,
        zone: body.zone,
        day_cutover_minutes: cutover,
        currency: body.currency,
        seller: Seller { name, address, tax_id },
        tax_rates: body.tax_rates.into_iter().enumerate().map(rate).collect::<Result<_, Problem>>()?,
        prices: match body.prices {
            wire::Prices::Inclusive => Prices::Inclusive,
            wire::Prices::Exclusive => Prices::Exclusive,
        },
        training: body.training,
        clone_from: body.clone_from.as_deref().map(id_of).transpose()?,
    })
}
