//! Devices: their contact, what they show, and what the crew wants of them.
//!
//! Promises: a wish is handed to whoever drives the device and never written down: it needs no key, and repeating it
//! does no harm. Absent on purpose: outcomes. They stand in the orders and come with the updates.

use crate::desk::{Ask, DeviceWish};
use crate::extract::{At, Told};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fieldkit_core::refusal::{PaymentRefusal, Refusal};
use serde_json::{Value, json};

/// List devices
#[utoipa::path(get, path = "/api/v1/devices", operation_id = "list_devices", tag = "devices",
    responses((status = 200, description = "Devices that this kit drives", body = Vec<wire::Device>), Problem))]
pub async fn list(State(shop): State<Shop>) -> Result<Json<Vec<wire::Device>>, Problem> {
    Ok(Json(shop.look(|shelf| shelf.devices.iter().map(render::device).collect()).await?))
}

/// Ask a terminal once more for its last transaction
///
/// Tells what became of a payment whose outcome is not known. Charges nothing. Needs no key.
#[utoipa::path(post, path = "/api/v1/devices/{id}/ask", operation_id = "ask_device", tag = "devices",
    request_body = wire::Empty,
    params(("id" = String, Path, description = "The device")),
    responses((status = 202, description = "The terminal is asked", body = Value), Problem))]
pub async fn ask(
    State(shop): State<Shop>,
    At(id): At<String>,
    Told(wire::Empty {}): Told<wire::Empty>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    wish(&shop, &id, DeviceWish::AskAgain).await
}

/// Stop what runs on a device, if that is still possible
///
/// What was charged before the terminal heard of it stays charged, and is told as such. Needs no key.
#[utoipa::path(post, path = "/api/v1/devices/{id}/stop", operation_id = "stop_device", tag = "devices",
    request_body = wire::Empty,
    params(("id" = String, Path, description = "The device")),
    responses((status = 202, description = "The terminal is told", body = Value), Problem))]
pub async fn stop(
    State(shop): State<Shop>,
    At(id): At<String>,
    Told(wire::Empty {}): Told<wire::Empty>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    wish(&shop, &id, DeviceWish::Stop).await
}

async fn wish(shop: &Shop, id: &str, wish: DeviceWish) -> Result<(StatusCode, Json<Value>), Problem> {
    let device = super::device_id(id)?;
    if shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Device { device, wish, reply }).await? {
        Ok((StatusCode::ACCEPTED, Json(json!({}))))
    } else {
        Err(Refusal::from(PaymentRefusal::UnknownDevice(device.text())).into())
    }
}
