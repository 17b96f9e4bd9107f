//! Kits of the organisation, and files between them.

use crate::desk::{Ask, Gain};
use crate::extract::{Asked, TakenFile, Write};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, IMPORT_SECONDS_MAX, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fieldkit_core::decide::Command;
use fieldkit_core::id::{Hash, ReplicaKey};
use fieldkit_core::refusal::Refusal;

/// List the kits of the organisation
#[utoipa::path(get, path = "/api/v1/kits", operation_id = "list_kits", tag = "kits",
    responses((status = 200, description = "Kits in the order of their names", body = Vec<wire::KitOf>), Problem))]
pub async fn list(State(shop): State<Shop>) -> Result<Json<Vec<wire::KitOf>>, Problem> {
    Ok(Json(shop.look(render::kits).await?))
}

/// Let a kit into the organisation
#[utoipa::path(post, path = "/api/v1/kits", operation_id = "admit_kit", tag = "kits", request_body = wire::NewKit,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The kit", body = wire::KitOf), Problem))]
pub async fn admit(State(shop): State<Shop>, write: Write<wire::NewKit>) -> Result<Answer<wire::KitOf>, Problem> {
    let key = Hash::from_hex(&write.body.key);
    let replica = ReplicaKey(key.ok_or_else(|| Problem::field("key: 64 hexadecimal digits are needed."))?.0);
    // The kit signs it where it is given.
    let command = Command::AdmitReplica { replica, label: write.body.kit, proof: [0; 64] };
    let (gain, done) = shop.give(command, None, write.key, ANSWER_SECONDS_MAX).await?;
    let Gain::Rights = gain else { return Err(Problem::shown_later()) };
    let shown = shop.show(move |shelf| render::kit(shelf, &replica)).await?;
    Ok(Answer::created(shown, done))
}

/// Make a bundle for another kit
///
/// All ops of the organisation that this kit has, or those that a kit is not known to have. As open as the journal.
#[utoipa::path(get, path = "/api/v1/bundle", operation_id = "export_bundle", tag = "kits", params(wire::BundleQuery),
    responses((status = 200, description = "The bundle", content_type = "application/octet-stream"), Problem))]
pub async fn export(State(shop): State<Shop>, Asked(query): Asked<wire::BundleQuery>) -> Result<Response, Problem> {
    let receiver = match query.r#for {
        Some(name) => Some(kit_named(&shop, name).await?),
        None => None,
    };
    let made = shop.ask(IMPORT_SECONDS_MAX, |reply| Ask::Export { receiver, reply }).await?;
    let bytes = made.map_err(|failure| Problem::failed(&failure))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// Take a bundle of another kit
///
/// It is verified whole before anything of it is taken; taken again it changes nothing. Needs no key.
#[utoipa::path(post, path = "/api/v1/bundle", operation_id = "import_bundle", tag = "kits",
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, description = "What it brought", body = wire::BundleTaken), Problem))]
pub async fn import(State(shop): State<Shop>, TakenFile(bytes): TakenFile) -> Result<Json<wire::BundleTaken>, Problem> {
    let bytes = bytes.to_vec();
    let taken = shop.ask(IMPORT_SECONDS_MAX, |reply| Ask::Import { bytes, reply }).await?;
    let taken = taken.map_err(|failure| Problem::failed(&failure))?;
    Ok(Json(wire::BundleTaken {
        from: taken.from,
        ops: taken.ops,
        new: taken.new,
        streams: taken.streams,
        rolled_back: taken.rolled_back,
        forked: taken.forked,
    }))
}

/// A kit by its name, and not by a key that another one went on for: nobody could use what that one got.
pub(super) async fn kit_that_writes(shop: &Shop, name: String) -> Result<ReplicaKey, Problem> {
    let replica = kit_named(shop, name).await?;
    let kit = shop.look(move |shelf| render::kit(shelf, &replica)).await?;
    if kit.retired {
        return Err(Refusal::UnknownKit(format!("{} under its old key {}", kit.kit, kit.replica)).into());
    }
    Ok(replica)
}

/// The one kit that a name means.
pub(super) async fn kit_named(shop: &Shop, name: String) -> Result<ReplicaKey, Problem> {
    let shown = super::shortened(&name);
    let meant = shop.look(move |shelf| {
        let meant = render::meant(shelf, &name);
        meant.into_iter().map(|replica| (replica, render::kit(shelf, &replica))).collect::<Vec<_>>()
    });
    let meant = meant.await?;
    match meant.as_slice() {
        [] => Err(Refusal::UnknownKit(shown).into()),
        [(replica, _)] => Ok(*replica),
        several => {
            let names: Vec<String> = several.iter().map(|(_, kit)| format!("{} ({})", kit.kit, kit.replica)).collect();
            let detail = format!("{shown:?} can mean {}.", names.join(", "));
            Err(Problem::ambiguous_kit(detail))
        }
    }
}
