//! Cash in the drawer.

use crate::extract::Write;
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use fieldkit_core::body::Direction;
use fieldkit_core::decide::Command;
use fieldkit_core::op::CommandKey;

/// Show the drawer of this kit
#[utoipa::path(get, path = "/api/v1/drawer", tag = "drawer", responses((status = 200, body = wire::Drawer), Problem))]
pub async fn show(State(shop): State<Shop>) -> Result<Json<wire::Drawer>, Problem> {
    Ok(Json(shop.look(render::drawer).await?))
}

/// Begin a session with opening cash
#[utoipa::path(post, path = "/api/v1/drawer/open", tag = "drawer", request_body = wire::DrawerOpening,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, body = wire::Drawer), Problem))]
pub async fn open(
    State(shop): State<Shop>,
    write: Write<wire::DrawerOpening>,
) -> Result<Answer<wire::Drawer>, Problem> {
    let amount = super::in_event_currency(&shop, write.body.amount).await?;
    give(&shop, Command::OpenDrawer { amount }, write.key).await
}

/// Count the drawer and end its session
///
/// A difference to what was expected needs a note.
#[utoipa::path(post, path = "/api/v1/drawer/count", tag = "drawer", request_body = wire::DrawerCount,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, body = wire::Drawer), Problem))]
pub async fn count(State(shop): State<Shop>, write: Write<wire::DrawerCount>) -> Result<Answer<wire::Drawer>, Problem> {
    let counted = super::in_event_currency(&shop, write.body.counted).await?;
    let note = write.body.note.unwrap_or_default();
    give(&shop, Command::CountDrawer { counted, note }, write.key).await
}

/// Put cash in or take it out
#[utoipa::path(post, path = "/api/v1/drawer/move", tag = "drawer", request_body = wire::CashMove,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, body = wire::Drawer), Problem))]
pub async fn move_cash(
    State(shop): State<Shop>,
    write: Write<wire::CashMove>,
) -> Result<Answer<wire::Drawer>, Problem> {
    let amount = super::in_event_currency(&shop, write.body.amount).await?;
    let direction = match write.body.direction {
        wire::Direction::In => Direction::In,
        wire::Direction::Out => Direction::Out,
    };
    give(&shop, Command::MoveCash { direction, amount, reason: write.body.reason }, write.key).await
}

async fn give(shop: &Shop, command: Command, key: CommandKey) -> Result<Answer<wire::Drawer>, Problem> {
    let (_, done) = shop.give(command, None, key, ANSWER_SECONDS_MAX).await?;
    Ok(Answer::done(shop.show(render::drawer).await?, done))
}
