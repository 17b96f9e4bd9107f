//! The addresses and their description.
//!
//! Promises: the OpenAPI document is made from the same list as the router, so the two cannot drift apart.
//! Absent on purpose: what the handlers do (the files below).

mod checks;
mod devices;
mod drawer;
mod events;
mod foreign;
mod items;
mod kits;
mod orders;
mod payments;
mod rights;
mod updates;

use crate::desk::Desk;
use crate::extract::{BODY_BYTES_MAX, BUNDLE_BYTES_MAX, FILE_BYTES_MAX};
use crate::guard::{Policy, guard};
use crate::pages;
use crate::pictures::Pictures;
use crate::problem::{CODES, Problem, ProblemBody};
use crate::shop::{Shop, Watchers};
use crate::wire::Money;
use axum::extract::DefaultBodyLimit;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use fieldkit_core::id::OpId;
use fieldkit_core::refusal::{PaymentRefusal, Refusal};
use std::fmt::Write;
use std::sync::Arc;
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Entries of a list where no number is said, and the most.
const LIST_LENGTH: u32 = 50;
const LIST_LENGTH_MAX: u32 = 200;
/// Most pages that follow the updates at once.
const FOLLOWERS_MAX: usize = 64;

#[derive(OpenApi)]
#[openapi(
    info(title = "fieldkit", description = "The API of a kit, version 1."),
    components(schemas(ProblemBody, crate::wire::StockUpdate, crate::wire::OrderUpdate, crate::wire::Head, crate::wire::Remember)),
    tags(
        (name = "kit", description = "What works now, and whether the journal is whole"),
        (name = "events", description = "Selling occasions"),
        (name = "catalogue", description = "Items, prices, stock, pictures"),
        (name = "orders", description = "Sales, refunds, receipts"),
        (name = "payments", description = "Cards: attempts to charge, their outcome, charges that belong to no order"),
        (name = "devices", description = "Terminals: their contact, what they show, what the crew wants of them"),
        (name = "kits", description = "Kits of one organisation, files between them, limited goods that they share"),
        (name = "drawer", description = "Cash in the drawer"),
    )
)]
struct Description;

/// Pages and API over `desk`. Called once for each way in, with the policy of that way.
pub fn router(desk: Desk, policy: Policy, pictures: Arc<dyn Pictures>) -> Router {
    router_with(desk, policy, pictures, pages::embedded())
}

/// As [`router`], with files of the page that were not embedded.
pub(crate) fn router_with(desk: Desk, policy: Policy, pictures: Arc<dyn Pictures>, pages: Vec<pages::Page>) -> Router {
    let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
    let local_files = policy == Policy::Socket;
    let shop = Shop { desk, pictures, local_files, pages: Arc::new(pages), followers, watchers: Watchers::default() };
    let (routes, document) = api().split_for_parts();
    let document = described(document);
    let inside = routes
        .route("/api/openapi.json", get(move || std::future::ready(Json(document.clone()))))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .fallback(pages::page)
        .method_not_allowed_fallback(|| std::future::ready(Problem::method().into_response()))
        .with_state(shop);
    // The guard stands around the router, so that it speaks before anything is routed.
    Router::new().fallback_service(inside).layer(middleware::from_fn_with_state(Arc::new(policy), guard))
}

/// The OpenAPI document.
pub fn open_api() -> Document {
    described(api().into_openapi())
}

fn api() -> OpenApiRouter<Shop> {
    let file = OpenApiRouter::new().routes(routes!(items::import)).layer(DefaultBodyLimit::max(FILE_BYTES_MAX));
    let bundle = OpenApiRouter::new().routes(routes!(kits::export, kits::import));
    let bundle = bundle.layer(DefaultBodyLimit::max(BUNDLE_BYTES_MAX));
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(checks::status))
        .routes(routes!(checks::witness))
        .routes(routes!(checks::verify))
        .routes(routes!(checks::keys))
        .routes(routes!(updates::updates))
        .routes(routes!(events::list, events::create))
        .routes(routes!(events::open))
        .routes(routes!(events::close))
        .routes(routes!(items::list, items::add))
        .routes(routes!(items::change))
        .routes(routes!(items::stock))
        .routes(routes!(items::picture))
        .routes(routes!(orders::list, orders::place))
        .routes(routes!(orders::one))
        .routes(routes!(orders::receipt))
        .routes(routes!(orders::refund))
        .routes(routes!(orders::void))
        .routes(routes!(orders::undo))
        .routes(routes!(payments::list))
        .routes(routes!(payments::begin))
        .routes(routes!(payments::settle))
        .routes(routes!(payments::cancel))
        .routes(routes!(payments::close))
        .routes(routes!(payments::reverse))
        .routes(routes!(foreign::list))
        .routes(routes!(foreign::settle))
        .routes(routes!(devices::list))
        .routes(routes!(devices::ask))
        .routes(routes!(devices::stop))
        .routes(routes!(drawer::show))
        .routes(routes!(drawer::open))
        .routes(routes!(drawer::count))
        .routes(routes!(drawer::move_cash))
        .routes(routes!(kits::list, kits::admit))
        .routes(routes!(rights::list))
        .routes(routes!(rights::grant))
        .routes(routes!(rights::ask))
        .routes(routes!(rights::lost))
        .routes(routes!(rights::admit))
        .merge(file)
        .merge(bundle)
}

/// Adds what the macros cannot know: the version and every code.
fn described(mut document: Document) -> Document {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let mut text = String::from(
        "The API of a kit, version 1. Amounts are whole minor units with their currency; times are RFC 3339 with \
         offset.\n\nEvery POST and PATCH but `/witness`, `/bundle` and the wishes at `/devices` needs `Idempotency-Key` (1 to 63 visible \
         ASCII characters). \
         The same key with the same request gets the same answer again, with `Idempotency-Replayed: true`; with \
         another request it gets 409 `key_reused`. After `outcome_unknown`, and after no answer at all, ask again \
         with the same key.\n\nEverything that fails is a `Problem`. Its codes:\n\n| code | status | meaning |\n\
         |---|---|---|\n",
    );
    for (code, status, meaning) in CODES {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| `{code}` | {status} | {meaning} |");
    }
    document.info.description = Some(text);
    document
}

/// An amount of an event's currency; `None` means the open one. Without an event the rules have the answer, not this.
async fn in_event_currency(shop: &Shop, event: Option<OpId>, money: Money) -> Result<i64, Problem> {
    let currency = shop.look(move |shelf| {
        let event = event.or(shelf.event).and_then(|id| shelf.ledger.events.get(&id));
        event.map(|event| event.opened.currency)
    });
    match currency.await? {
        Some(event) if event != money.currency.0 => {
            Err(Refusal::WrongCurrency { event, given: money.currency.0.code().to_owned() }.into())
        }
        _ => Ok(money.minor.0),
    }
}

/// The id of a device.
fn device_id(text: &str) -> Result<OpId, Problem> {
    let unknown = || Refusal::from(PaymentRefusal::UnknownDevice(shortened(text)));
    Ok(OpId::from_text(text).ok_or_else(unknown)?)
}

/// How many entries a list has: what was asked for, within bounds.
fn list_length(asked: Option<u32>) -> Result<u32, Problem> {
    let length = asked.unwrap_or(LIST_LENGTH);
    if (1..=LIST_LENGTH_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(Problem::field(format!("limit: a number from 1 to {LIST_LENGTH_MAX} is needed.")))
    }
}

/// What somebody wrote, short enough to be quoted.
fn shortened(text: &str) -> String {
    const QUOTED_LENGTH_MAX: usize = 64;
    text.chars().filter(|letter| !letter.is_control()).take(QUOTED_LENGTH_MAX).collect()
}
