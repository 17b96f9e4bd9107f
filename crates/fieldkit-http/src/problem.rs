//! Problems: every answer that is no success, as RFC 9457 wants it, with what was touched and the one next step.
//!
//! Promises: no 5xx and no 4xx without a stable code; "nothing was recorded" is only said where that is certain.
//! Absent on purpose: causes for the log. What a person at the till can do is all that leaves.

use crate::desk::{Closed, Failure};
use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fieldkit_core::refusal::{NOTHING_MOVED, Refusal};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as ApiResponse, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// Says that the answer repeats an earlier one.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

const NOT_KNOWN: &str = "It is not known whether this was recorded; ask again with the same key.";
const NOT_BY_THIS: &str = "This request recorded nothing.";
const SHOWN_LATER: &str = "This was recorded, but the kit was too busy to show it; ask again with the same key.";

/// Each code with its status and its meaning.
pub const CODES: &[(&str, u16, &str)] = &[
    ("json", 400, "The body is not JSON."),
    ("body", 400, "The body broke off."),
    ("path", 400, "The address is not UTF-8."),
    ("key_missing", 400, "A write came without `Idempotency-Key`."),
    ("key_form", 400, "The key is not 1 to 63 visible ASCII characters, or it was given twice."),
    ("not_allowed", 403, "The actor's roles do not allow it."),
    ("cross_site", 403, "The request came from a page of another origin."),
    ("not_found", 404, "There is nothing at this address."),
    ("unknown_event", 404, "The event is not known."),
    ("unknown_order", 404, "The order is not known."),
    ("unknown_refund", 404, "The refund is not known."),
    ("unknown_kit", 404, "The kit is none of the organisation, or the one that asks."),
    ("unknown_payment", 404, "The payment is not known."),
    ("unknown_device", 404, "The device is not known, or not this kit's."),
    ("unknown_foreign", 404, "The payment without order is not known."),
    ("no_picture", 404, "There is no such picture."),
    ("method", 405, "The address does not know this method."),
    ("body_slow", 408, "The body took too long to arrive."),
    ("no_event", 409, "No event is open."),
    ("event_closed", 409, "The event is closed."),
    ("sku_taken", 409, "The SKU is in the catalogue already."),
    ("total_differs", 409, "The total is not the one that the caller expected."),
    ("sold_out", 409, "A hard pool has not enough units here; the detail says which kits hold more."),
    ("gate_shut", 409, "The item is limited, and after a start no witness told yet that this kit was not put back."),
    ("at_rest", 409, "The kit goes by a person's word, which left these units out."),
    (
        "done_beside",
        409,
        "The same was done in a history of this kit that stands beside its record; it is counted there.",
    ),
    ("slip_of_now", 409, "The slip was printed since the start; it says nothing about the time before."),
    ("keeper", 409, "The item is limited, and this kit keeps it for others."),
    ("unanswered", 409, "Not every kit has answered yet."),
    ("kit_known", 409, "The kit was admitted before."),
    ("ambiguous_kit", 409, "The name means several kits; the detail lists them."),
    ("slip_differs", 409, "The slip is none that this kit has written."),
    ("bundle_organisation", 409, "The bundle belongs to another organisation."),
    ("bundle_gap", 409, "The bundle leaves out what this kit does not have."),
    ("not_limited", 409, "The item is not limited: every kit sells it without asking."),
    ("not_leased", 409, "Only counted goods that are not limited are given for a time."),
    ("term", 422, "A term is from 2 minutes to 12 hours."),
    ("unknown_lease", 404, "There is no such lease that this kit gave."),
    ("lease_runs", 409, "The lease is not over by a clock that can be trusted."),
    ("nothing_held", 409, "The kit holds nothing that could be taken over or asked for."),
    ("nothing_left", 409, "Nothing of the order is left to give back."),
    ("void_too_late", 409, "The business day is over, or something was given back before."),
    ("undone_before", 409, "The refund was undone before."),
    ("drawer_open", 409, "The drawer is open already."),
    ("drawer_closed", 409, "The drawer is not open."),
    ("drawer_uncounted", 409, "The event's drawer is open: it is counted before the event is closed."),
    ("payment_running", 409, "A payment of the order runs; a second one waits for its outcome."),
    ("payment_unknown", 409, "Nobody knows yet whether a card was charged; nothing else is until then."),
    ("payment_state", 409, "The payment is in no state that fits."),
    ("payment_elsewhere", 409, "Another kit runs the payment."),
    ("terminal_held", 409, "The terminal has a payment whose outcome is open."),
    ("no_terminal", 409, "This kit has no card terminal."),
    ("order_not_open", 409, "The order is paid or was given up."),
    ("order_not_paid", 409, "The order is not paid; there is nothing to give back."),
    ("money_taken", 409, "Money was taken for the order; it goes back first."),
    ("card_refund", 409, "The order was paid by card, and nobody asked for cash."),
    ("undo_card", 409, "The money of the void went back to a card."),
    ("still_open", 409, "Orders or payments of the event are not finished."),
    ("device_known", 409, "The device is accepted already."),
    ("transaction_known", 409, "The terminal's transaction is recorded already."),
    ("foreign_settled", 409, "The payment without order was cleared up before."),
    ("no_receipt", 409, "The order is not paid and has no receipt yet."),
    ("key_reused", 409, "The key was used for another request."),
    ("too_large", 413, "The body is longer than 1 MiB (catalogue files: 16 MiB, bundles: 256 MiB)."),
    ("media_type", 415, "The body is of another media type than the address wants."),
    ("wrong_host", 421, "The request names a host that this kit does not answer to."),
    ("field", 422, "A field or parameter is missing, unknown, of the wrong type or out of range; the detail names it."),
    ("bundle", 422, "The file is no bundle, is damaged, or breaks the rules; nothing of it was taken."),
    ("bundle_version", 422, "The bundle is of a version that this program does not know."),
    ("catalogue_file", 422, "The catalogue file cannot be read at all."),
    ("text", 422, "A text is missing, too long or has control characters."),
    ("unknown_zone", 422, "The zone is not in the IANA database."),
    ("unknown_currency", 422, "The currency is not in ISO 4217."),
    ("tax_rates", 422, "The tax rates do not make sense, or the event has no such rate."),
    ("unknown_sku", 422, "The SKU is not in the catalogue."),
    ("not_offered", 422, "The item is not offered any more."),
    ("amount", 422, "An amount is negative or beyond the limit."),
    ("overflow", 422, "The amounts are too large to add up."),
    ("quantity", 422, "A quantity is zero, negative or absurd."),
    ("stock_change", 422, "A stock change is zero or absurd."),
    ("lines", 422, "The order has no lines, or too many."),
    ("price_fixed", 422, "A price was given for an item of fixed price."),
    ("price_missing", 422, "No price was given for an item of open price."),
    ("discount", 422, "A discount is negative or more than there is to pay."),
    ("discount_reason", 422, "A discount has no reason."),
    ("wrong_currency", 422, "An amount is in another currency than the event."),
    ("tender_missing", 422, "The tenders do not cover the total."),
    ("card_amount", 422, "An amount for a card is nothing, or more than is left to pay."),
    ("card_tender", 422, "What is asked for is not done with a card here."),
    ("card_number", 422, "A card number stands where none is stored."),
    ("refund_amount", 422, "More than is still with the kit."),
    ("unknown_line", 422, "The order has no such line."),
    ("refund_quantity", 422, "More units than are left of the line."),
    ("variance_note", 422, "The count differs from what was expected, and no note says why."),
    ("receipt_too_long", 422, "The receipt does not fit into a QR code."),
    ("busy", 503, "The kit's queue is full; ask again after the seconds in `Retry-After`."),
    ("stopped", 503, "The kit has stopped or is stopping."),
    ("not_readable", 503, "What was asked for could not be read from the kit's disk; nothing was asked to change."),
    ("too_slow", 504, "The kit did not answer a question in time; nothing was asked to change."),
    ("outcome_unknown", 504, "The kit did not answer a write in time; ask again with the same key."),
];

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    touched: &'static str,
    next_step: String,
    replayed: bool,
}

impl Problem {
    /// A problem before which nothing was recorded.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>, next_step: impl Into<String>) -> Self {
        Problem {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            touched: NOTHING_MOVED,
            next_step: next_step.into(),
            replayed: false,
        }
    }

    /// A field or parameter that cannot be read; `detail` names it.
    pub fn field(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "field", detail, "Correct the field and send it again.")
    }

    /// The rules say no.
    pub fn refused(refusal: &Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Problem::new(status, refusal.code(), sentence(&refusal.to_string()), refusal.next_step())
    }

    /// A command that gave nothing.
    pub fn failed(failure: &Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Problem::refused(refusal),
            Failure::Bundle { code, detail, next_step } => {
                let known = CODES.iter().find(|(known, _, _)| known == code);
                let status = known.and_then(|(_, status, _)| StatusCode::from_u16(*status).ok());
                let status = status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
                Problem::new(status, code, sentence(detail), *next_step)
            }
            Failure::Unable { code, detail, next_step } => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, sentence(detail), next_step)
            }
        }
    }

    /// Whether the answer was given before.
    pub fn replayed(mut self, replayed: bool) -> Self {
        self.replayed = replayed;
        self
    }

    /// The loop cannot take the ask.
    pub fn closed(closed: Closed) -> Self {
        let (code, detail, next) = match closed {
            Closed::Busy => {
                ("busy", "The kit has too much to do just now.", "Ask again in a second, with the same key.")
            }
            Closed::Ended => ("stopped", "The kit has stopped.", "Start it with `fieldkit up`, then ask again."),
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, next).not_by_this()
    }

    /// An earlier request with the same key may have been recorded; only this one was not.
    fn not_by_this(mut self) -> Self {
        self.touched = NOT_BY_THIS;
        self
    }

    /// A question whose answer could not be read; the kit lives, and its log says why.
    pub fn not_readable() -> Self {
        let detail = "The kit could not read this from its disk.";
        let next = "Ask again; if this stays so, restart the kit: it checks everything first.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_readable", detail, next).not_by_this()
    }

    /// A question that was not answered in time.
    pub fn too_slow() -> Self {
        let next = "Ask again; if this stays so, look at `fieldkit doctor`.";
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "too_slow", "The kit did not answer in time.", next).not_by_this()
    }

    /// A write whose answer did not come.
    pub fn outcome_unknown() -> Self {
        let detail = "The kit did not answer this write in time.";
        let mut problem =
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", detail, "Ask again with the same key.");
        problem.touched = NOT_KNOWN;
        problem
    }

    /// A write that was recorded and cannot be shown now.
    pub fn shown_later() -> Self {
        let mut problem = Problem::outcome_unknown();
        problem.detail = "The kit recorded this and then could not show it.".to_owned();
        problem.touched = SHOWN_LATER;
        problem
    }

    /// A name that means several kits.
    pub fn ambiguous_kit(detail: String) -> Self {
        let next = "Say the beginning of its key instead of its name.";
        Problem::new(StatusCode::CONFLICT, "ambiguous_kit", detail, next)
    }

    /// Nobody can be asked.
    pub fn nobody_holds() -> Self {
        let detail = "No other kit holds any of it, as far as this kit knows.";
        Problem::new(
            StatusCode::CONFLICT,
            "nothing_held",
            detail,
            "Exchange files with the other kits, then look again.",
        )
    }

    /// A slip that this kit has not written.
    pub fn slip_differs() -> Self {
        let detail = "This kit has not written that slip: the mark was mistyped, or the kit was put back.";
        let next = "Type it once more. If it is right, this kit lacks sales: open a till page that was open before, or take \
                    a file of another kit.";
        Problem::new(StatusCode::CONFLICT, "slip_differs", detail, next)
    }

    /// An address where there is nothing.
    pub fn not_found() -> Self {
        let next = "Look at the addresses in /api/openapi.json.";
        Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.", next)
    }

    /// An address that does not know the method.
    pub fn method() -> Self {
        let detail = "This address does not know the method of the request.";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail, "Use a method named in the `Allow` header.")
    }

    /// Its stable word.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem::refused(&refusal)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            touched: self.touched,
            next_step: self.next_step,
        };
        let retry = body.code == "busy";
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<ApiResponse>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("What happened, whether money or stock moved, and the one next step")
            .content(PROBLEM_JSON, content)
            .build();
        BTreeMap::from([("default".to_owned(), RefOr::T(response))])
    }
}

/// RFC 9457 problem document with three members of our own: `code`, `touched`, `next_step`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Always `about:blank`: the code says more than an address could.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The HTTP status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Stable word for scripts.
    pub code: String,
    /// What happened, in one sentence.
    pub detail: String,
    /// Whether money or stock moved, in one sentence.
    pub touched: &'static str,
    /// The one next step.
    pub next_step: String,
}

/// A text of the rules as a sentence: first letter large, full stop at the end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_rules_become_sentences() {
        assert_eq!(sentence("no event is open"), "No event is open.");
        assert_eq!(sentence(""), "");
        assert_eq!(sentence("\"X\" is not offered any more"), "\"X\" is not offered any more.");
    }

    #[test]
    fn codes_are_named_once() {
        let mut seen = std::collections::BTreeSet::new();
        assert!(CODES.iter().all(|(code, _, _)| seen.insert(code)));
    }
}
