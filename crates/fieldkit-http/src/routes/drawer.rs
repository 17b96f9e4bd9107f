//! Cash in the drawer.

use crate::extract::{Asked, Write};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::body::Direction;
use fieldkit_core::decide::Command;
use fieldkit_core::id::OpId;
use fieldkit_core::op::CommandKey;
use fieldkit_core::refusal::Refusal;

/// Show the drawer of this kit
///
/// At the open event, or at the one that is named; `uncounted` names the others that wait to be counted.
#[utoipa::path(get, path = "/api/v1/drawer", operation_id = "drawer", tag = "drawer",
    params(wire::DrawerQuery),
    responses((status = 200, description = "The drawer", body = wire::Drawer), Problem))]
pub async fn show(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::DrawerQuery>,
) -> Result<Json<wire::Drawer>, Problem> {
    let event = named(&shop, query.event).await?;
    Ok(Json(shop.look(move |shelf| render::drawer(shelf, event)).await?))
}

/// Begin a session with opening cash
#[utoipa::path(post, path = "/api/v1/drawer/open", operation_id = "open_drawer", tag = "drawer",
    request_body = wire::DrawerOpening,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The drawer, open", body = wire::Drawer), Problem))]
pub async fn open(
    State(shop): State<Shop>,
    write: Write<wire::DrawerOpening>,
) -> Result<Answer<wire::Drawer>, Problem> {
    let amount = super::in_event_currency(&shop, None, write.body.amount).await?;
    give(&shop, Command::OpenDrawer { amount }, None, write.key).await
}

/// Count the drawer and end its session
///
/// A difference to what was expected needs a note. The drawer of a closed event is counted by naming the event.
#[utoipa::path(post, path = "/api/v1/drawer/count", operation_id = "count_drawer", tag = "drawer",
    request_body = wire::DrawerCount,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The drawer, closed, with its count", body = wire::Drawer), Problem))]
pub async fn count(State(shop): State<Shop>, write: Write<wire::DrawerCount>) -> Result<Answer<wire::Drawer>, Problem> {
    let event = named(&shop, write.body.event).await?;
    let counted = super::in_event_currency(&shop, event, write.body.counted).await?;
    let note = write.body.note.unwrap_or_default();
    give(&shop, Command::CountDrawer { counted, note }, event, write.key).await
}

/// Put cash in or take it out
#[utoipa::path(post, path = "/api/v1/drawer/move", operation_id = "move_cash", tag = "drawer",
    request_body = wire::CashMove,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The drawer as it is now", body = wire::Drawer), Problem))]
pub async fn move_cash(
    State(shop): State<Shop>,
    write: Write<wire::CashMove>,
) -> Result<Answer<wire::Drawer>, Problem> {
    let amount = super::in_event_currency(&shop, None, write.body.amount).await?;
    let direction = match write.body.direction {
        wire::Direction::In => Direction::In,
        wire::Direction::Out => Direction::Out,
    };
    give(&shop, Command::MoveCash { direction, amount, reason: write.body.reason }, None, write.key).await
}

/// The event that a request names; it need not be open.
async fn named(shop: &Shop, text: Option<String>) -> Result<Option<OpId>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let id = super::events::id_of(&text)?;
    let known = shop.look(move |shelf| shelf.ledger.events.contains_key(&id)).await?;
    if known { Ok(Some(id)) } else { Err(Refusal::UnknownEvent(id.text()).into()) }
}

async fn give(
    shop: &Shop,
    command: Command,
    event: Option<OpId>,
    key: CommandKey,
) -> Result<Answer<wire::Drawer>, Problem> {
    let (_, done) = shop.give(command, event, key, ANSWER_SECONDS_MAX).await?;
    Ok(Answer::done(shop.show(move |shelf| render::drawer(shelf, event)).await?, done))
}
