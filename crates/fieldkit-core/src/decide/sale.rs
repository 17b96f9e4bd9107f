//! Selling: what is agreed, what is offered for it, and the units that leave the stock.
//!
//! Promises: a sale for cash alone is one op; any other opens an order, and what pays it comes as ops of its own.
//! Absent on purpose: what becomes of a payment (`settle`, `report`).

use super::rights::{self, Holding};
use super::{Place, amount, dot, lease, next_receipt, plain, settle, shown, sum, text};
use crate::author::{Context, Draft};
use crate::body::{Body, CashTender, Fiscal, Line, OrderOpened, OrderPlaced, Plan, Source, Tender};
use crate::event::Event;
use crate::id::{OpId, PoolId, Zero};
use crate::ledger::Ledger;
use crate::money::{self, Currency, Money};
use crate::op::{Account, Posting, Unit};
use crate::order::{self, Discount, Sale};
use crate::refusal::{PaymentRefusal, Refusal};
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
    /// A card at a terminal of this kit.
    Card {
        /// Minor units and their currency code; `None` for what is left to pay.
        amount: Option<(i64, String)>,
        /// Which terminal; `None` for the one there is.
        device: Option<OpId>,
    },
    /// A card charged on a reader of the crew's own.
    CardExternal {
        /// Minor units.
        minor: i64,
        /// ISO code.
        currency: String,
        /// The reader, in the crew's words.
        reader: String,
        /// The reader's reference, or the card's last four digits.
        reference: String,
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

impl OrderRequest {
    /// Whether it is paid in cash alone.
    pub fn is_cash(&self) -> bool {
        self.tenders.iter().all(|tender| matches!(tender, TenderRequest::Cash { .. }))
    }
}

/// Decides a sale: lines, discounts, total, tenders, stock, source, terminal, in this order.
pub(super) fn place(
    ledger: &Ledger,
    request: &OrderRequest,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    let mut sale = agreed(event, request, context)?;
    let offer = offer(&request.tenders, Money::new(sale.total, sale.currency))?;
    let to = if request.is_cash() { Account::SOLD } else { Account::HELD };
    let mut drafts = name_units(ledger, &mut sale.lines, place)?;
    let units = unit_postings(&id, &sale.lines, Account::STOCK, to);
    sale.source = checked_source(&request.source)?;
    if !request.is_cash() {
        return open(ledger, sale, offer, drafts, units, place, context);
    }
    let mut postings = money_postings(&sale)?;
    postings.extend(units);
    let placed = OrderPlaced {
        receipt: next_receipt(ledger, place, &space),
        currency: sale.currency,
        prices: sale.prices,
        lines: sale.lines,
        discount: sale.discount,
        discount_reason: sale.discount_reason,
        total: sale.total,
        tenders: offer.cash().into_iter().map(Tender::Cash).collect(),
        change: offer.change,
        source: sale.source,
        cart_opened_ms: sale.cart_opened_ms,
        paid_ms: context.wall_ms,
        business_day: sale.business_day,
        fiscal: Fiscal::NotRequired(Zero),
    };
    drafts.push(Draft::new(space, Body::OrderPlaced(placed)).moving(postings).answering());
    Ok(drafts)
}

/// Opens an order: its goods are set aside; what the crew's own readers took is written down; then it is paid, or the
/// first card is to be charged.
fn open(
    ledger: &Ledger,
    sale: Sale,
    offer: Offer,
    mut drafts: Vec<Draft>,
    units: Vec<Posting>,
    place: &Place,
    context: &Context,
) -> Result<Vec<Draft>, Refusal> {
    let (_, space, _) = place.open_event(ledger)?;
    let order = dot(ledger, place, &space, drafts.len() as u64 + 1);
    let card = offer.plan.iter().find_map(|plan| if let Plan::Card(minor) = plan { Some(*minor) } else { None });
    let device = card.map(|_| settle::terminal(ledger, offer.device, place)).transpose()?;
    let opened = OrderOpened {
        currency: sale.currency,
        prices: sale.prices,
        lines: sale.lines.clone(),
        discount: sale.discount,
        discount_reason: sale.discount_reason.clone(),
        total: sale.total,
        planned: offer.plan.clone(),
        source: sale.source.clone(),
        cart_opened_ms: sale.cart_opened_ms,
        business_day: sale.business_day,
    };
    drafts.push(Draft::new(space.clone(), Body::OrderOpened(opened)).moving(units));
    let mut tenders: Vec<Tender> = offer.cash().into_iter().map(Tender::Cash).collect();
    for reader in &offer.readers {
        let payment = dot(ledger, place, &space, drafts.len() as u64 + 1);
        drafts.push(settle::attested(&space, order, reader, sale.currency));
        tenders.push(settle::external(payment, reader));
    }
    drafts.push(match (card, device) {
        (Some(minor), Some((device, label))) => {
            settle::intended(&space, order, Money::new(minor, sale.currency), device, label)
        }
        _ => settle::paid(ledger, order, &sale, tenders, offer.change, place, context)?,
    });
    Ok(drafts)
}

/// What is agreed, before anything is known of its payment; the source comes later.
fn agreed(event: &Event, request: &OrderRequest, context: &Context) -> Result<Sale, Refusal> {
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
    Ok(Sale {
        currency,
        prices,
        lines,
        discount,
        discount_reason,
        total,
        planned: Vec::new(),
        source: request.source.clone(),
        cart_opened_ms: request.cart_opened_ms,
        business_day: super::business_day(event, context.wall_ms),
    })
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
    plain("the discount's reason", given, 1, 80)
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

/// What is offered for an order.
pub(super) struct Offer {
    /// Its parts, in the order in which they were given.
    pub plan: Vec<Plan>,
    /// What the crew's own readers took.
    pub readers: Vec<Reader>,
    /// The terminal that was named.
    pub device: Option<OpId>,
    /// Cash that goes back.
    pub change: i64,
}

/// A card charged on a reader of the crew's own.
pub(super) struct Reader {
    /// Minor units.
    pub amount: i64,
    /// The reader.
    pub reader: String,
    /// What it is known by.
    pub reference: String,
}

impl Offer {
    /// Its cash.
    pub fn cash(&self) -> Vec<CashTender> {
        let cash = |plan: &Plan| if let Plan::Cash(cash) = plan { Some(*cash) } else { None };
        self.plan.iter().filter_map(cash).collect()
    }
}

/// Checks what is offered for `due`: cards take no more than is due, and only cash has change.
pub(super) fn offer(asked: &[TenderRequest], due: Money) -> Result<Offer, Refusal> {
    if asked.len() > TENDERS_MAX {
        return Err(Refusal::TooMany { what: "tenders", found: asked.len(), max: TENDERS_MAX });
    }
    let mut offer = Offer { plan: Vec::new(), readers: Vec::new(), device: None, change: 0 };
    let (mut cash, mut cards, mut rest) = (0, 0, None);
    for tender in asked {
        match tender {
            TenderRequest::Cash { minor, currency } => {
                let tendered = offered(*minor, currency, due)?;
                cash = money::add(cash, tendered).map_err(|_| Refusal::Overflow)?;
                offer.plan.push(Plan::Cash(CashTender { tendered }));
            }
            TenderRequest::Card { amount: None, device } => {
                if rest.replace(offer.plan.len()).is_some() {
                    return Err(Refusal::TooMany { what: "card tenders without an amount", found: 2, max: 1 });
                }
                offer.device = offer.device.or(*device);
                offer.plan.push(Plan::Card(0));
            }
            TenderRequest::Card { amount: Some((minor, currency)), device } => {
                let minor = charged(*minor, currency, due)?;
                cards = money::add(cards, minor).map_err(|_| Refusal::Overflow)?;
                offer.device = offer.device.or(*device);
                offer.plan.push(Plan::Card(minor));
            }
            TenderRequest::CardExternal { minor, currency, reader, reference } => {
                let amount = charged(*minor, currency, due)?;
                cards = money::add(cards, amount).map_err(|_| Refusal::Overflow)?;
                let reader = plain("the reader", reader, 0, 40)?;
                let reference = plain("the reference", reference, 1, 64)?;
                offer.readers.push(Reader { amount, reader, reference });
                offer.plan.push(Plan::CardExternal(amount));
            }
        }
    }
    if let Some(at) = rest {
        let left = due.minor.saturating_sub(cash).saturating_sub(cards);
        offer.plan[at] = Plan::Card(charged(left, due.currency.code(), due)?);
        cards += left;
    }
    if cards > due.minor {
        return Err(PaymentRefusal::CardAmount { left: due }.into());
    }
    let tendered = money::add(cash, cards).map_err(|_| Refusal::Overflow)?;
    if tendered < due.minor {
        return Err(Refusal::TenderMissing {
            missing: Money::new(due.minor - tendered, due.currency),
            tendered: Money::new(tendered, due.currency),
            total: due,
        });
    }
    offer.change = tendered - due.minor;
    Ok(offer)
}

fn offered(minor: i64, currency: &str, due: Money) -> Result<i64, Refusal> {
    if currency != due.currency.code() {
        return Err(Refusal::WrongCurrency { event: due.currency, given: shown(currency) });
    }
    amount("a tender", minor)
}

/// An amount for a card: more than nothing, and no more than is due.
pub(super) fn charged(minor: i64, currency: &str, due: Money) -> Result<i64, Refusal> {
    match offered(minor, currency, due)? {
        minor if (1..=due.minor).contains(&minor) => Ok(minor),
        _ => Err(PaymentRefusal::CardAmount { left: due }.into()),
    }
}

/// Names the units of lines from hard pools, which refuse what this replica does not hold, and leased ones of others.
fn name_units(ledger: &Ledger, lines: &mut [Line], place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (id, space, event) = place.open_event(ledger)?;
    lease::name_leased(event, id, lines, place);
    let hard = |(sku, _): &(&str, i64)| event.is_limited(sku);
    let wanted = quantities(lines).into_iter().filter(hard).map(|(sku, quantity)| (sku.to_owned(), quantity));
    let wanted: Vec<(String, i64)> = wanted.collect();
    let mut drafts = Vec::new();
    for (sku, quantity) in wanted {
        rights::sells(event, place, &sku)?;
        let mut holding = Holding::of(ledger, place, id, &space, event, &sku);
        if holding.available() < quantity {
            return Err(holding.sold_out(&sku, quantity));
        }
        drafts.append(&mut holding.drafts);
        for line in lines.iter_mut().filter(|line| line.sku == sku) {
            line.units = holding.free.take(u64::from(line.quantity));
        }
    }
    Ok(drafts)
}

/// Units of all lines, from one account to another.
pub(super) fn unit_postings(event: &OpId, lines: &[Line], from: Account, to: Account) -> Vec<Posting> {
    let mut postings = Vec::with_capacity(lines.len() * 2);
    for (sku, quantity) in quantities(lines) {
        let unit = Unit::Pool(PoolId::of(event, sku));
        postings.push(Posting { account: from, unit, amount: -quantity });
        postings.push(Posting { account: to, unit, amount: quantity });
    }
    postings
}

fn quantities(lines: &[Line]) -> BTreeMap<&str, i64> {
    let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
    for line in lines {
        *wanted.entry(&line.sku).or_default() += i64::from(line.quantity);
    }
    wanted
}

/// Revenue and tax of a sale, against the cash that pays it.
pub(super) fn money_postings(sale: &Sale) -> Result<Vec<Posting>, Refusal> {
    let unit = Unit::Money(sale.currency);
    let tax = sum(sale.lines.iter().map(|line| line.tax))?;
    let total = sum(sale.lines.iter().map(|line| order::line_total(line, sale.prices)))?;
    Ok(vec![
        Posting { account: Account::CASH, unit, amount: total },
        Posting { account: Account::SALES, unit, amount: -(total - tax) },
        Posting { account: Account::TAX, unit, amount: -tax },
    ])
}

fn checked_source(given: &Source) -> Result<Source, Refusal> {
    Ok(Source {
        till: text("the till", &given.till, 0, 60)?,
        campaign: text("the campaign", &given.campaign, 0, 60)?,
        session: text("the session", &given.session, 0, 60)?,
        variant: text("the variant", &given.variant, 0, 60)?,
    })
}
