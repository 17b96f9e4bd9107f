//! What works now, what witnesses saw, and whether the journal is whole.

use crate::desk::{Ask, PageId, Verified};
use crate::extract::Told;
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Shop, VERIFY_SECONDS_MAX};
use crate::wire::{self, FirstBad, Keys, Status, StreamHead, Verification};
use axum::Json;
use axum::extract::State;
use fieldkit_core::id::{Hash, StreamId};
use fieldkit_core::op::Head;
use fieldkit_core::witness::Sighting;

/// What works now
#[utoipa::path(get, path = "/api/v1/status", operation_id = "status", tag = "kit",
    responses((status = 200, description = "What works now", body = Status), Problem))]
pub async fn status(State(shop): State<Shop>) -> Result<Json<Status>, Problem> {
    Ok(Json(shop.look(render::status).await?))
}

/// Say what a page or a slip saw
///
/// The page keeps the last head it saw and sends it when it loads; a kit that went back is found out. A page that
/// names itself watches over limited goods from then on. Needs no key.
#[utoipa::path(post, path = "/api/v1/witness", operation_id = "witness", tag = "kit",
    request_body = wire::Sighting,
    responses((status = 200, description = "What the sighting means", body = wire::Verdict), Problem))]
pub async fn witness(
    State(shop): State<Shop>,
    Told(sighting): Told<wire::Sighting>,
) -> Result<Json<wire::Verdict>, Problem> {
    let page = page_id(sighting.page.as_deref())?;
    let nothing = sighting.slip.is_none() && sighting.stream.is_none() && page.is_some();
    let sighting = if nothing { None } else { Some(seen(&sighting)?) };
    let verdict = shop.ask(ANSWER_SECONDS_MAX, |reply| Ask::Witness { sighting, page, reply }).await?;
    Ok(Json(wire::Verdict { verdict: verdict.text() }))
}

/// Check everything
///
/// Reads the whole journal: every op, every chain, every signed head.
#[utoipa::path(get, path = "/api/v1/verify", operation_id = "verify", tag = "kit",
    responses((status = 200, description = "The result of the check", body = Verification), Problem))]
pub async fn verify(State(shop): State<Shop>) -> Result<Json<Verification>, Problem> {
    let Verified { ops, heads, first_bad, digest } =
        shop.ask(VERIFY_SECONDS_MAX, |reply| Ask::Verify { reply }).await?;
    let head =
        |(stream, head): (StreamId, Head)| StreamHead { stream: stream.text(), seq: head.seq, hash: head.hash.hex() };
    Ok(Json(Verification {
        ok: first_bad.is_none(),
        ops,
        heads: heads.into_iter().map(head).collect(),
        first_bad: first_bad.map(|detail| FirstBad { detail }),
        digest: digest.map(|digest| digest.hex()),
    }))
}

/// Show public keys
///
/// The keys that verify receipts, as JWK (RFC 8037) and COSE_Key (RFC 9052), and the organisation's.
#[utoipa::path(get, path = "/api/v1/keys", operation_id = "keys", tag = "kit",
    responses((status = 200, description = "Public keys", body = Keys), Problem))]
pub async fn keys(State(shop): State<Shop>) -> Result<Json<Keys>, Problem> {
    Ok(Json(shop.look(render::keys).await?))
}

/// The page that asks, where it says which it is.
pub(super) fn page_id(text: Option<&str>) -> Result<Option<PageId>, Problem> {
    let read = |text| PageId::from_hex(text).ok_or_else(|| Problem::field("page: 32 hexadecimal digits are needed."));
    text.map(read).transpose()
}

/// The mark of a slip.
pub(super) fn slip(mark: &str) -> Result<Sighting, Problem> {
    let parts = mark.trim().split_once('-');
    let mark = parts.and_then(|(seq, check)| Some((seq.parse().ok()?, check.to_ascii_uppercase())));
    let fits = |(_, check): &(u64, String)| check.len() == 4 && check.bytes().all(|one| one.is_ascii_alphanumeric());
    let (seq, check) =
        mark.filter(fits).ok_or_else(|| Problem::field(r#"slip: a mark such as "52-Q4TM" is needed."#))?;
    Ok(Sighting::Slip { seq, check })
}

fn seen(sighting: &wire::Sighting) -> Result<Sighting, Problem> {
    if let Some(mark) = &sighting.slip {
        return slip(mark);
    }
    let (Some(stream), Some(seq), Some(hash)) = (&sighting.stream, sighting.seq, &sighting.hash) else {
        return Err(Problem::field("The body: either `slip`, or `stream`, `seq` and `hash` are needed."));
    };
    let stream = StreamId::from_text(stream).ok_or_else(|| Problem::field("stream: this is no stream's id."))?;
    let seq = u64::try_from(seq.0).map_err(|_| Problem::field("seq: a number from 0 is needed."))?;
    let hash = Hash::from_hex(hash).ok_or_else(|| Problem::field("hash: 64 hexadecimal digits are needed."))?;
    Ok(Sighting::Head { stream, head: Head { seq, hash } })
}
