//! Items, prices, stock and catalogue files.

use super::rights::{self, Holding};
use super::{Place, amount, shown, text};
use crate::author::Draft;
use crate::body::{Body, CatalogueImported, Edit, ItemDefined, Limit, StockMoved, StockReason};
use crate::event::{Event, Item};
use crate::id::{OpId, PoolId, Space};
use crate::ledger::Ledger;
use crate::op::{Account, Posting, Unit};
use crate::refusal::Refusal;

/// Most units that one stock change moves, and most that a count finds.
pub const STOCK_MAX: i64 = 1_000_000;
/// Longest SKU.
pub const SKU_LENGTH_MAX: usize = 64;
/// Most fields set by one command, and most options of a variant.
pub const EDITS_MAX: usize = 32;
/// Most bytes of reasons and warnings that an import's answer keeps; half of what an op may be long.
const ANSWER_BYTES_MAX: usize = crate::op::OP_BYTES_MAX / 2;
/// Longest item name.
pub const ITEM_NAME_LENGTH_MAX: usize = 200;

/// An item to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewItem {
    /// Its SKU.
    pub sku: String,
    /// Name, price and all else; the name is required, and the price unless it is open.
    pub edits: Vec<Edit>,
    /// Units at hand, `None` where they are not counted.
    pub count: Option<i64>,
}

/// A variant read from a catalogue file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    /// Its SKU.
    pub sku: String,
    /// Its fields.
    pub edits: Vec<Edit>,
    /// Units at hand, `None` where the file does not say.
    pub count: Option<i64>,
    /// What the row said, to see later whether it says something new.
    pub mark: [u8; 16],
}

/// How stock changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockChange {
    /// By so many.
    By(i64),
    /// To so many.
    To(i64),
}

/// Adds an item.
pub(super) fn add(ledger: &Ledger, new: &NewItem, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    let sku = text("the SKU", &new.sku, 1, SKU_LENGTH_MAX)?;
    if event.items.contains_key(&sku) {
        return Err(Refusal::SkuTaken(sku));
    }
    if new.count.is_some_and(|count| count < 0) {
        return Err(Refusal::StockChange(sku));
    }
    let mut edits = checked(event, &new.edits)?;
    if !edits.iter().any(|edit| matches!(edit, Edit::Name(_))) {
        return Err(Refusal::Text { what: "the name", min: 1, max: ITEM_NAME_LENGTH_MAX });
    }
    let open_price = edits.iter().any(|edit| matches!(edit, Edit::OpenPrice(true)));
    if !open_price && !edits.iter().any(|edit| matches!(edit, Edit::Price(_))) {
        return Err(Refusal::Amount { what: "the price" });
    }
    complete(event, &mut edits, new.count.is_some());
    let defined = ItemDefined { sku: sku.clone(), edits, import_mark: None };
    let mut drafts = vec![Draft::new(space.clone(), Body::ItemDefined(defined)).answering()];
    if let Some(count) = new.count.filter(|count| *count != 0) {
        drafts.push(stock_draft(&id, &space, &sku, checked_change(&sku, count)?, StockReason::Delivered));
    }
    Ok(drafts)
}

/// Changes an item.
pub(super) fn change(ledger: &Ledger, sku: &str, edits: &[Edit], place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (_, space, event) = place.open_event(ledger)?;
    if !event.items.contains_key(sku) {
        return Err(Refusal::UnknownSku(shown(sku)));
    }
    let defined = ItemDefined { sku: sku.to_owned(), edits: checked(event, edits)?, import_mark: None };
    Ok(vec![Draft::new(space, Body::ItemDefined(defined)).answering()])
}

/// Changes the stock of an item.
pub(super) fn move_stock(
    ledger: &Ledger,
    sku: &str,
    change: StockChange,
    reason: StockReason,
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    if !event.items.contains_key(sku) {
        return Err(Refusal::UnknownSku(shown(sku)));
    }
    let hard = event.is_limited(sku);
    let holding = hard.then(|| Holding::of(ledger, place, id, &space, event, sku));
    let here = holding.as_ref().map_or_else(|| event.here(PoolId::of(&id, sku)), |holding| holding.here);
    let change = match change {
        StockChange::By(0) => return Err(Refusal::StockChange(sku.to_owned())),
        StockChange::By(change) => checked_change(sku, change)?,
        StockChange::To(count) if (0..=STOCK_MAX).contains(&count) => count.saturating_sub(here),
        StockChange::To(_) => return Err(Refusal::StockChange(sku.to_owned())),
    };
    let mut drafts = match holding {
        Some(holding) if change < 0 => less(&space, sku, change, reason, holding)?,
        _ => Vec::new(),
    };
    drafts.push(stock_draft(&id, &space, sku, change, reason).answering());
    Ok(drafts)
}

/// Takes over a catalogue file. Rows that say what they said before change nothing, whatever the crew changed since;
/// a count is taken from the file only while nothing of the item was sold.
pub(super) fn import(
    ledger: &Ledger,
    file: &str,
    rows: &[ImportRow],
    rejected: &[(u32, String)],
    warnings: &[String],
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    let mut answer = CatalogueImported {
        file: text("the file's name", file, 0, 200)?,
        created: 0,
        changed: 0,
        unchanged: 0,
        rejected: Vec::new(),
        warnings: Vec::new(),
    };
    keep_answer(&mut answer, rejected, warnings);
    let mut drafts = Vec::new();
    for row in rows {
        let known = event.items.get(&row.sku);
        if known.is_some_and(|item| item.import_mark.value() == Some(&row.mark)) {
            answer.unchanged += 1;
            continue;
        }
        let sku = text("the SKU", &row.sku, 1, SKU_LENGTH_MAX)?;
        let mut edits = checked(event, &row.edits)?;
        if known.is_some() {
            answer.changed += 1;
        } else {
            answer.created += 1;
            complete(event, &mut edits, row.count.is_some());
        }
        let defined = ItemDefined { sku, edits, import_mark: Some(row.mark) };
        drafts.push(Draft::new(space.clone(), Body::ItemDefined(defined)));
        let pool = PoolId::of(&id, &row.sku);
        let untouched = event.orders == 0 && event.sold(pool) == 0;
        let mut change = row.count.filter(|_| untouched).map_or(0, |count| count.saturating_sub(event.here(pool)));
        if change < 0 && event.is_limited(&row.sku) {
            // What others hold is theirs: a file lowers what is here.
            let holding = Holding::of(ledger, place, id, &space, event, &row.sku);
            change = if holding.elsewhere.is_empty() { change } else { change.max(-holding.available()) };
            drafts.extend(less(&space, &row.sku, change, StockReason::Imported, holding)?);
        }
        if change != 0 {
            let change = checked_change(&row.sku, change)?;
            drafts.push(stock_draft(&id, &space, &row.sku, change, StockReason::Imported));
        }
    }
    drafts.push(Draft::new(space, Body::CatalogueImported(answer)).answering());
    Ok(drafts)
}

/// The edits that would make `item` anew.
pub(super) fn edits_of(item: &Item) -> Vec<Edit> {
    let mut edits = Vec::new();
    edits.extend(item.name.value().cloned().map(Edit::Name));
    edits.extend(item.price.value().copied().map(Edit::Price));
    edits.extend(item.tax_rate.value().cloned().map(Edit::TaxRate));
    edits.extend(item.open_price.value().copied().map(Edit::OpenPrice));
    edits.extend(item.barcode.value().cloned().map(Edit::Barcode));
    edits.extend(item.image.value().copied().map(Edit::Image));
    edits.extend(item.product.value().cloned().map(Edit::Product));
    edits.extend(item.options.value().cloned().map(Edit::Options));
    edits.extend(item.limit.value().copied().map(Edit::Limit));
    edits.extend(item.owner.value().cloned().map(Edit::Owner));
    edits.extend(item.offered.value().copied().map(Edit::Offered));
    edits
}

fn checked(event: &Event, edits: &[Edit]) -> Result<Vec<Edit>, Refusal> {
    let check = |edit: &Edit| -> Result<Edit, Refusal> {
        Ok(match edit {
            Edit::Name(name) => Edit::Name(text("the name", name, 1, ITEM_NAME_LENGTH_MAX)?),
            Edit::Price(price) => Edit::Price(amount("the price", *price)?),
            Edit::TaxRate(id) if event.tax_ppm(id).is_some() => Edit::TaxRate(id.clone()),
            Edit::TaxRate(id) => {
                return Err(Refusal::TaxRates(format!("this event has no tax rate {:?}", shown(id))));
            }
            Edit::Options(options) => Edit::Options(checked_options(options)?),
            Edit::Barcode(code) => Edit::Barcode(text("the barcode", code, 0, 64)?),
            Edit::Product(product) => Edit::Product(text("the product", product, 0, ITEM_NAME_LENGTH_MAX)?),
            Edit::Owner(owner) => Edit::Owner(text("the owner", owner, 0, 60)?),
            other => other.clone(),
        })
    };
    if edits.len() > EDITS_MAX {
        return Err(Refusal::TooMany { what: "changes of one item", found: edits.len(), max: EDITS_MAX });
    }
    edits.iter().map(check).collect()
}

fn checked_options(options: &[(String, String)]) -> Result<Vec<(String, String)>, Refusal> {
    if options.len() > EDITS_MAX {
        return Err(Refusal::TooMany { what: "options", found: options.len(), max: EDITS_MAX });
    }
    let check = |(name, value): &(String, String)| {
        let name = text("an option's name", name, 0, ITEM_NAME_LENGTH_MAX)?;
        Ok((name, text("an option's value", value, 0, ITEM_NAME_LENGTH_MAX)?))
    };
    options.iter().map(check).collect()
}

/// Takes over rejected lines and warnings as far as an op can hold them, and says how many more there are.
fn keep_answer(answer: &mut CatalogueImported, rejected: &[(u32, String)], warnings: &[String]) {
    let mut room = ANSWER_BYTES_MAX;
    let mut fits = |text: &String| {
        // A number and a length take at most ten bytes each.
        let left = room.checked_sub(text.len() + 20);
        room = left.unwrap_or(0);
        left.is_some()
    };
    answer.rejected.extend(rejected.iter().take_while(|(_, reason)| fits(reason)).cloned());
    answer.warnings.extend(warnings.iter().take_while(|warning| fits(warning)).cloned());
    let more = (rejected.len() - answer.rejected.len(), warnings.len() - answer.warnings.len());
    if more != (0, 0) {
        answer.warnings.push(format!("{} more rejected lines and {} more warnings are not listed", more.0, more.1));
    }
}

/// Adds what an item must have and nobody said.
fn complete(event: &Event, edits: &mut Vec<Edit>, counted: bool) {
    if !edits.iter().any(|edit| matches!(edit, Edit::TaxRate(_))) {
        edits.extend(event.opened.tax_rates.first().map(|rate| Edit::TaxRate(rate.id.clone())));
    }
    if !edits.iter().any(|edit| matches!(edit, Edit::Limit(_))) {
        edits.push(Edit::Limit(if counted { Limit::Soft } else { Limit::Uncounted }));
    }
}

fn checked_change(sku: &str, change: i64) -> Result<i64, Refusal> {
    if (-STOCK_MAX..=STOCK_MAX).contains(&change) { Ok(change) } else { Err(Refusal::StockChange(sku.to_owned())) }
}

/// Limited goods that are gone take their rights along; of what others hold, nobody here can say that it is gone.
fn less(
    space: &Space,
    sku: &str,
    change: i64,
    reason: StockReason,
    mut holding: Holding,
) -> Result<Vec<Draft>, Refusal> {
    let gone = change.unsigned_abs();
    if change.saturating_neg() > holding.available() && !holding.elsewhere.is_empty() {
        return Err(holding.sold_out(sku, change.saturating_neg()));
    }
    let mut drafts = std::mem::take(&mut holding.drafts);
    drafts.extend(rights::write_off(space, sku, holding.free.take_last(gone), reason));
    Ok(drafts)
}

fn stock_draft(event: &OpId, space: &Space, sku: &str, change: i64, reason: StockReason) -> Draft {
    let unit = Unit::Pool(PoolId::of(event, sku));
    let other =
        if matches!(reason, StockReason::Damaged | StockReason::Lost) { Account::WRITTEN_OFF } else { Account::SUPPLY };
    let body = StockMoved { sku: sku.to_owned(), change, reason };
    Draft::new(space.clone(), Body::StockMoved(body)).moving(vec![
        Posting { account: Account::STOCK, unit, amount: change },
        Posting { account: other, unit, amount: -change },
    ])
}
