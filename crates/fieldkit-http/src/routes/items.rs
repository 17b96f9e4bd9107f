//! Items, prices, stock, pictures, catalogue files.

use crate::catalogue;
use crate::desk::Gain;
use crate::extract::{Asked, At, Write, WriteFile};
use crate::problem::Problem;
use crate::render;
use crate::shop::{ANSWER_SECONDS_MAX, Answer, IMPORT_SECONDS_MAX, Shop};
use crate::wire;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use fieldkit_core::body::{Edit, Limit, StockReason};
use fieldkit_core::decide::{Command, NewItem, StockChange};
use fieldkit_core::id::Hash;
use fieldkit_core::op::CommandKey;

const PICTURE_POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";

/// List the items of the open event
#[utoipa::path(get, path = "/api/v1/items", operation_id = "list_items", tag = "catalogue",
    responses((status = 200, description = "Items in the order of their SKUs", body = Vec<wire::Item>), Problem))]
pub async fn list(State(shop): State<Shop>) -> Result<Json<Vec<wire::Item>>, Problem> {
    Ok(Json(shop.look(render::items).await?))
}

/// Add an item
#[utoipa::path(post, path = "/api/v1/items", operation_id = "add_item", tag = "catalogue",
    request_body = wire::NewItem,
    params(("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 201, description = "The item", body = wire::Item), Problem))]
pub async fn add(State(shop): State<Shop>, write: Write<wire::NewItem>) -> Result<Answer<wire::Item>, Problem> {
    let wire::NewItem { sku, name, price, tax_rate, open_price, count, barcode, limit } = write.body;
    let mut edits = vec![Edit::Name(name)];
    if let Some(price) = price {
        edits.push(Edit::Price(super::in_event_currency(&shop, None, price).await?));
    }
    edits.extend(tax_rate.map(Edit::TaxRate));
    edits.push(Edit::OpenPrice(open_price));
    edits.extend(barcode.map(Edit::Barcode));
    edits.extend(limit.map(limit_edit));
    let command = Command::AddItem(NewItem { sku, edits, count: count.map(|count| count.0) });
    give(&shop, command, write.key, StatusCode::CREATED).await
}

/// Change an item
///
/// What is left out stays. Orders placed before keep what they were sold as.
#[utoipa::path(patch, path = "/api/v1/items/{sku}", operation_id = "change_item", tag = "catalogue",
    request_body = wire::ItemChange,
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The item as it is now", body = wire::Item), Problem))]
pub async fn change(
    State(shop): State<Shop>,
    At(sku): At<String>,
    write: Write<wire::ItemChange>,
) -> Result<Answer<wire::Item>, Problem> {
    let wire::ItemChange { name, price, tax_rate, open_price, barcode, limit, offered } = write.body;
    let mut edits = Vec::new();
    edits.extend(name.map(Edit::Name));
    if let Some(price) = price {
        edits.push(Edit::Price(super::in_event_currency(&shop, None, price).await?));
    }
    edits.extend(tax_rate.map(Edit::TaxRate));
    edits.extend(open_price.map(Edit::OpenPrice));
    edits.extend(barcode.map(Edit::Barcode));
    edits.extend(limit.map(limit_edit));
    edits.extend(offered.map(Edit::Offered));
    if edits.is_empty() {
        return Err(Problem::field("The body: at least one field to change is needed."));
    }
    give(&shop, Command::ChangeItem { sku, edits }, write.key, StatusCode::OK).await
}

/// Change the stock of an item
#[utoipa::path(post, path = "/api/v1/stock/{sku}", operation_id = "change_stock", tag = "catalogue",
    request_body = wire::StockChange,
    params(("sku" = String, Path, description = "The SKU, percent-encoded"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "The item with its stock as it is now", body = wire::Item), Problem))]
pub async fn stock(
    State(shop): State<Shop>,
    At(sku): At<String>,
    write: Write<wire::StockChange>,
) -> Result<Answer<wire::Item>, Problem> {
    let change = match (write.body.change, write.body.count) {
        (Some(change), None) => StockChange::By(change.0),
        (None, Some(count)) => StockChange::To(count.0),
        _ => return Err(Problem::field("The body: either `change` or `count` is needed.")),
    };
    let reason = match write.body.reason {
        wire::StockReason::Delivered => StockReason::Delivered,
        wire::StockReason::Counted => StockReason::Counted,
        wire::StockReason::Found => StockReason::Found,
        wire::StockReason::Damaged => StockReason::Damaged,
        wire::StockReason::Lost => StockReason::Lost,
    };
    give(&shop, Command::MoveStock { sku, change, reason }, write.key, StatusCode::OK).await
}

/// Take over a catalogue file
///
/// A Shopify product CSV. A product is taken whole or rejected whole, with the line and the reason. The same file again
/// changes nothing; counts are taken only before the first sale. Pictures are fetched now, or a warning says why not.
#[utoipa::path(post, path = "/api/v1/catalog/import", operation_id = "import_catalogue", tag = "catalogue",
    request_body(content = String, content_type = "text/csv"),
    params(wire::ImportQuery,
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it can be repeated")),
    responses((status = 200, description = "What was taken over, what not", body = wire::ImportResult), Problem))]
pub async fn import(
    State(shop): State<Shop>,
    Asked(query): Asked<wire::ImportQuery>,
    write: WriteFile,
) -> Result<Answer<wire::ImportResult>, Problem> {
    let command = catalogue::command(&shop, query.name.unwrap_or_default(), query.pictures, write.bytes).await?;
    let (gain, done) = shop.give(command, None, write.key, IMPORT_SECONDS_MAX).await?;
    let Gain::Imported(imported) = gain else { return Err(Problem::shown_later()) };
    Ok(Answer::done(render::imported(imported), done))
}

/// A picture of an item
#[utoipa::path(get, path = "/images/{hash}", operation_id = "picture", tag = "catalogue",
    params(("hash" = String, Path, description = "BLAKE3 of the picture, hexadecimal")),
    responses((status = 200, description = "The picture; it never changes", content_type = "image/*"), Problem))]
pub async fn picture(State(shop): State<Shop>, At(hash): At<String>) -> Result<Response, Problem> {
    let found = match Hash::from_hex(&hash) {
        Some(hash) => shop.pictures.open(hash).await,
        None => None,
    };
    let missing = || {
        let detail = "There is no such picture on this kit.";
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_picture",
            detail,
            "Import the catalogue again while there is a network.",
        )
    };
    let (bytes, media) = found.ok_or_else(missing)?;
    let headers = [
        (header::CONTENT_TYPE, media),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A picture opened by itself is a document: nothing in it may run or load.
        (header::CONTENT_SECURITY_POLICY, PICTURE_POLICY),
    ];
    Ok((headers, bytes).into_response())
}

async fn give(
    shop: &Shop,
    command: Command,
    key: CommandKey,
    status: StatusCode,
) -> Result<Answer<wire::Item>, Problem> {
    let (gain, done) = shop.give(command, None, key, ANSWER_SECONDS_MAX).await?;
    let Gain::Item(sku) = gain else { return Err(Problem::shown_later()) };
    let item = shop.show(move |shelf| render::item_of(shelf, &sku)).await?;
    let body = item.ok_or_else(Problem::shown_later)?;
    Ok(Answer { status, body, repeated: done.repeated })
}

fn limit_edit(limit: wire::Limit) -> Edit {
    Edit::Limit(match limit {
        wire::Limit::Soft => Limit::Soft,
        wire::Limit::Hard => Limit::Hard,
        wire::Limit::Uncounted => Limit::Uncounted,
    })
}
