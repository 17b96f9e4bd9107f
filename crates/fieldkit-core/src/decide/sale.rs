//! Selling.

use super::{Place, amount, next_receipt, shown, space_of, text};
use crate::author::{Context, Draft};
use crate::body::{Body, CashTender, Fiscal, Limit, Line, OrderPlaced, Prices, Source, Tender};
use crate::event::Event;
use crate::id::{OpId, PoolId, Zero};
use crate::ledger::Ledger;
use crate::money::{self, Currency, Money};
use crate::op::{Account, Posting, Unit};
use crate::order::{self, Discount};
use crate::refusal::Refusal;
use std::collections::BTreeMap;

/// Most lines of an order.
pub const LINES_MAX: usize = 500;
/// Most tenders of an order.
pub const TENDERS_MAX: usize = 20;
/// Most units of a line.
pub const QUANTITY_MAX: u32 = 100_000;

/// A line asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRequest {
    /// The SKU.
    pub sku: String,
    /// How many; checked here, so that absurd numbers get a clear answer.
    pub quantity: i64,
    /// The price, for open-price items only.
    pub price: Option<Money>,
    /// Discount on the line.
    pub discount: Discount,
    /// Why.
    pub discount_reason: String,
}

/// A tender offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenderRequest {
    /// Cash handed over, with its currency code.
    Cash {
        /// Minor units.
        minor: i64,
        /// ISO code.
        currency: String,
    },
}

/// A sale asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    /// Its lines.
    pub lines: Vec<LineRequest>,
    /// Discount on the whole.
    pub discount: Discount,
    /// Why.
    pub discount_reason: String,
    /// What the buyer gives.
    pub tenders: Vec<TenderRequest>,
    /// The total that the buyer was shown.
    pub expected_total: Option<(i64, String)>,
    /// Where it came from.
    pub source: Source,
    /// When the cart was opened.
    pub cart_opened_ms: Option<u64>,
}

/// Decides a sale: lines, discounts, total, tenders, stock, in this order.
pub(super) fn place(
    ledger: &Ledger,
    request: &OrderRequest,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    let currency = event.opened.currency;
    if !(1..=LINES_MAX).contains(&request.lines.len()) {
        return Err(Refusal::Lines { found: request.lines.len(), max: LINES_MAX });
    }
    let mut lines = Vec::with_capacity(request.lines.len());
    for asked in &request.lines {
        lines.push(line(event, asked)?);
    }
    let prices = event.opened.prices;
    let (discount, total) = order::price(&mut lines, request.discount, prices)
        .map_err(|_| Refusal::Overflow)?
        .ok_or_else(|| Refusal::Discount("the order".to_owned()))?;
    let discount_reason = reason("the order", discount, &request.discount_reason)?;
    amount("the total", total)?;
    check_expected(request, total, currency)?;
    let (tenders, change) = tenders(request, total, currency)?;
    let units = units(event, &id, &lines)?;
    let source = checked_source(&request.source)?;
    let placed = OrderPlaced {
        receipt: next_receipt(ledger, place, &space),
        currency,
        prices,
        discount,
        discount_reason,
        total,
        tenders,
        change,
        source,
        cart_opened_ms: request.cart_opened_ms,
        paid_ms: context.wall_ms,
        business_day: super::business_day(event, context.wall_ms),
        fiscal: Fiscal::NotRequired(Zero),
        lines,
    };
    let mut postings = money_postings(&placed, currency, prices);
    postings.extend(units);
    debug_assert_eq!(space_of(id, event), space);
    Ok(vec![Draft::new(space, Body::OrderPlaced(placed)).moving(postings).answering()])
}

fn line(event: &Event, asked: &LineRequest) -> Result<Line, Refusal> {
    let sku = &asked.sku;
    let item = event.items.get(sku).ok_or_else(|| Refusal::UnknownSku(shown(sku)))?;
    if item.offered.value() == Some(&false) {
        return Err(Refusal::NotOffered(sku.clone()));
    }
    let quantity = u32::try_from(asked.quantity).ok().filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
    let refused = || Refusal::Quantity { sku: sku.clone(), quantity: asked.quantity, max: QUANTITY_MAX };
    let quantity = quantity.ok_or_else(refused)?;
    let open = item.open_price.value() == Some(&true);
    let unit_price = match (open, &asked.price) {
        (true, Some(price)) if price.currency != event.opened.currency => {
            let given = price.currency.code().to_owned();
            return Err(Refusal::WrongCurrency { event: event.opened.currency, given });
        }
        (true, Some(price)) => amount("the price", price.minor)?,
        (true, None) => return Err(Refusal::PriceMissing(sku.clone())),
        (false, Some(_)) => return Err(Refusal::PriceFixed(sku.clone())),
        (false, None) => item.price.value().copied().unwrap_or(0),
    };
    let gross = money::times(unit_price, quantity).map_err(|_| Refusal::Overflow)?;
    let discount = asked.discount.of(gross).ok_or_else(|| Refusal::Discount(format!("{sku:?}")))?;
    let tax_rate = item.tax_rate.value().cloned().unwrap_or_default();
    Ok(Line {
        sku: sku.clone(),
        name: item.name_or(sku).to_owned(),
        quantity,
        unit_price,
        discount,
        discount_reason: reason(sku, discount, &asked.discount_reason)?,
        order_discount: 0,
        tax_ppm: event.tax_ppm(&tax_rate).unwrap_or(0),
        tax_rate,
        tax: 0,
        owner: item.owner.value().cloned().unwrap_or_default(),
        units: Vec::new(),
    })
}

fn reason(of: &str, discount: i64, given: &str) -> Result<String, Refusal> {
    if discount == 0 {
        return Ok(String::new());
    }
    if given.trim().is_empty() {
        return Err(Refusal::DiscountReason(format!("{of:?}")));
    }
    text("the discount's reason", given, 1, 80)
}

fn check_expected(request: &OrderRequest, total: i64, currency: Currency) -> Result<(), Refusal> {
    let Some((expected, code)) = &request.expected_total else { return Ok(()) };
    if code != currency.code() {
        return Err(Refusal::WrongCurrency { event: currency, given: shown(code) });
    }
    if *expected != total {
        let total = Money::new(total, currency);
        return Err(Refusal::TotalDiffers { total, expected: Money::new(*expected, currency) });
    }
    Ok(())
}

fn tenders(request: &OrderRequest, total: i64, currency: Currency) -> Result<(Vec<Tender>, i64), Refusal> {
    if request.tenders.len() > TENDERS_MAX {
        return Err(Refusal::TooMany { what: "tenders", found: request.tenders.len(), max: TENDERS_MAX });
    }
    let mut tendered = 0;
    let mut tenders = Vec::new();
    for offered in &request.tenders {
        let TenderRequest::Cash { minor, currency: code } = offered;
        if code != currency.code() {
            return Err(Refusal::WrongCurrency { event: currency, given: shown(code) });
        }
        amount("a tender", *minor)?;
        tendered = money::add(tendered, *minor).map_err(|_| Refusal::Overflow)?;
        tenders.push(Tender::Cash(CashTender { tendered: *minor }));
    }
    if tendered < total {
        return Err(Refusal::TenderMissing {
            missing: Money::new(total - tendered, currency),
            tendered: Money::new(tendered, currency),
            total: Money::new(total, currency),
        });
    }
    Ok((tenders, tendered - total))
}

/// Units leave the stock; hard pools refuse below zero.
fn units(event: &Event, id: &OpId, lines: &[Line]) -> Result<Vec<Posting>, Refusal> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for line in lines {
        *wanted.entry(&line.sku).or_default() += i64::from(line.quantity);
    }
    let mut postings = Vec::with_capacity(wanted.len() * 2);
    for (sku, quantity) in wanted {
        let pool = PoolId::of(id, sku);
        let here = event.here(pool);
        let limit = event.items.get(sku).map_or(Limit::Soft, crate::event::Item::limit);
        if limit == Limit::Hard && here < quantity {
            return Err(Refusal::SoldOut { sku: sku.to_owned(), here: here.max(0), wanted: quantity });
        }
        let unit = Unit::Pool(pool);
        postings.push(Posting { account: Account::STOCK, unit, amount: -quantity });
        postings.push(Posting { account: Account::SOLD, unit, amount: quantity });
    }
    Ok(postings)
}

fn money_postings(placed: &OrderPlaced, currency: Currency, prices: Prices) -> Vec<Posting> {
    let unit = Unit::Money(currency);
    let tax: i64 = placed.lines.iter().map(|line| line.tax).sum();
    let total: i64 = placed.lines.iter().map(|line| order::line_total(line, prices)).sum();
    vec![
        Posting { account: Account::CASH, unit, amount: total },
        Posting { account: Account::SALES, unit, amount: -(total - tax) },
        Posting { account: Account::TAX, unit, amount: -tax },
    ]
}

fn checked_source(given: &Source) -> Result<Source, Refusal> {
    Ok(Source {
        till: text("the till", &given.till, 0, 60)?,
        campaign: text("the campaign", &given.campaign, 0, 60)?,
        session: text("the session", &given.session, 0, 60)?,
        variant: text("the variant", &given.variant, 0, 60)?,
    })
}
