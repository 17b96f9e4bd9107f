//! Catalogue files: from bytes to the command that takes them over.
//!
//! Promises: a picture that cannot be had is a warning; what a file says beyond the limits of an answer is counted, not
//! dropped in silence.
//! Absent on purpose: the format (`fieldkit_core::shopify`) and the decision what changes (`decide`).

use crate::desk::Shelf;
use crate::problem::Problem;
use crate::shop::Shop;
use axum::body::Bytes;
use axum::http::StatusCode;
use fieldkit_core::body::{Edit, TaxRate};
use fieldkit_core::decide::{Command, ImportRow};
use fieldkit_core::id::Hash;
use fieldkit_core::money::Currency;
use fieldkit_core::refusal::Refusal;
use fieldkit_core::shopify::{self, Catalogue, Product, ReadError, Variant};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most rejected lines and most warnings that an answer names: they stand in one op, which has a limit.
pub const REJECTED_MAX: usize = 2_000;
/// Most warnings that an answer has.
pub const WARNINGS_MAX: usize = 500;
/// How long pictures may take in all.
const PICTURES_SECONDS_MAX: u64 = 60;

/// What the open event says about prices.
#[derive(Clone)]
struct Terms {
    currency: Currency,
    untaxed: Option<String>,
}

/// Reads a file, fetches its pictures, and makes the command.
pub async fn command(shop: &Shop, file: String, pictures: Option<String>, bytes: Bytes) -> Result<Command, Problem> {
    let terms = shop.look(terms).await?.ok_or(Refusal::NoEvent)?;
    let currency = terms.currency;
    let reading = tokio::task::spawn_blocking(move || shopify::read(&bytes, currency)).await;
    let catalogue = reading.map_err(|_| unreadable("The file could not be read.".to_owned()))?;
    let catalogue = catalogue.map_err(|error: ReadError| unreadable(error.to_string()))?;
    let pictures = fetch(shop, &catalogue, pictures.as_deref()).await;
    Ok(catalogue_rows(file, catalogue, &terms, &pictures))
}

fn terms(shelf: &Shelf<'_>) -> Option<Terms> {
    let event = shelf.ledger.events.get(&shelf.event?)?;
    let untaxed = |rate: &&TaxRate| rate.ppm == 0;
    let untaxed = event.opened.tax_rates.iter().find(untaxed).map(|rate| rate.id.clone());
    Some(Terms { currency: event.opened.currency, untaxed })
}

fn unreadable(detail: String) -> Problem {
    let next = "Export the products from the shop again and import that file.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "catalogue_file", detail, next)
}

/// Fetches the pictures that a file names; `dir` is where names without a host are looked up.
async fn fetch(shop: &Shop, catalogue: &Catalogue, dir: Option<&str>) -> BTreeMap<String, Result<Hash, String>> {
    let mut urls: Vec<String> = variants(catalogue).filter_map(|variant| variant.image.clone()).collect();
    urls.sort_unstable();
    urls.dedup();
    if urls.is_empty() {
        return BTreeMap::new();
    }
    let late = |url| (url, Err(format!("not fetched within {PICTURES_SECONDS_MAX} seconds")));
    let mut results = BTreeMap::new();
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for url in urls {
        match (url.starts_with("https://") || url.starts_with("http://"), dir.filter(|_| shop.local_files)) {
            (true, _) => drop(wanted.insert(url.clone(), url)),
            (false, Some(dir)) => drop(wanted.insert(format!("{dir}/{url}"), url)),
            (false, None) => drop(results.insert(url, Err("only https and http addresses are fetched".to_owned()))),
        }
    }
    let places: Vec<String> = wanted.keys().cloned().collect();
    let fetching = shop.pictures.fetch(places.clone());
    let fetched = match tokio::time::timeout(Duration::from_secs(PICTURES_SECONDS_MAX), fetching).await {
        Ok(fetched) => fetched,
        Err(_) => places.into_iter().map(late).collect(),
    };
    results.extend(fetched.into_iter().filter_map(|(place, result)| Some((wanted.remove(&place)?, result))));
    results
}

fn variants(catalogue: &Catalogue) -> impl Iterator<Item = &Variant> {
    catalogue.products.iter().flat_map(|product| &product.variants)
}

/// The command for a catalogue that was read.
fn catalogue_rows(
    file: String,
    catalogue: Catalogue,
    terms: &Terms,
    pictures: &BTreeMap<String, Result<Hash, String>>,
) -> Command {
    let of = |product: &Product| {
        product.variants.iter().map(|variant| row(product, variant, terms, pictures)).collect::<Vec<_>>()
    };
    let rows = catalogue.products.iter().flat_map(of).collect();
    let mut warnings = catalogue.warnings.clone();
    let untaxed = variants(&catalogue).filter(|variant| !variant.taxable).count();
    if untaxed > 0 && terms.untaxed.is_none() {
        warnings.push(format!(
            "{untaxed} of the variants are not taxable, but this event has no tax rate of 0 %: check their tax rates"
        ));
    }
    let failed = |(url, fetched): (&String, &Result<Hash, String>)| {
        let reason = fetched.as_ref().err()?;
        Some(format!("no picture from {}: {reason}", shortened(url)))
    };
    warnings.extend(pictures.iter().filter_map(failed));
    let rejected = catalogue.rejected.into_iter().map(|rejected| (rejected.line, shortened(&rejected.reason)));
    let mut rejected: Vec<(u32, String)> = rejected.collect();
    if let Some(more) = rejected.len().checked_sub(REJECTED_MAX).filter(|more| *more > 0) {
        rejected.truncate(REJECTED_MAX);
        warnings.insert(0, format!("{more} more lines were rejected and are not listed"));
    }
    if let Some(more) = warnings.len().checked_sub(WARNINGS_MAX).filter(|more| *more > 0) {
        warnings.truncate(WARNINGS_MAX);
        warnings.push(format!("{more} more warnings are not listed"));
    }
    let warnings = warnings.iter().map(|warning| shortened(warning)).collect();
    Command::Import { file, rows, rejected, warnings }
}

fn row(
    product: &Product,
    variant: &Variant,
    terms: &Terms,
    pictures: &BTreeMap<String, Result<Hash, String>>,
) -> ImportRow {
    let mut edits = vec![
        Edit::Name(variant.name.clone()),
        Edit::Price(variant.price),
        Edit::Barcode(variant.barcode.clone()),
        Edit::Product(product.title.clone()),
        Edit::Options(variant.options.clone()),
        Edit::Limit(variant.limit),
    ];
    if !variant.taxable {
        edits.extend(terms.untaxed.clone().map(Edit::TaxRate));
    }
    if let Some(Ok(hash)) = variant.image.as_ref().and_then(|url| pictures.get(url)) {
        edits.push(Edit::Image(Some(*hash)));
    }
    ImportRow { sku: variant.sku.clone(), edits, count: variant.count.map(i64::from), mark: variant.mark }
}

fn shortened(text: &str) -> String {
    const TEXT_LENGTH_MAX: usize = 300;
    text.chars().take(TEXT_LENGTH_MAX).collect()
}
