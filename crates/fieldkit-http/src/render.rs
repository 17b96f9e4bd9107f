//! From the ledger to the wire.
//!
//! Promises: replies are a function of the durable state; times are in the event's zone.
//! Absent on purpose: HTML. Names leave as JSON only, and the receipt's QR contains its token and nothing else.

mod contradictions;
mod kits;
mod payments;

pub use kits::{kit, kits, meant, pool_of, pools};
pub use payments::{event_of_foreign, foreign, foreign_payments, payments};

use crate::desk::{DeviceShown, Durability, Notice, Shelf};
use crate::wire;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use chrono_tz::Tz;
use fieldkit_core::body::{CatalogueImported, Direction, Limit, Line, Prices, RefundKind, Seller, TaxRate};
use fieldkit_core::decide::space_of;
use fieldkit_core::event::{Drawer, Event, EventState, Item};
use fieldkit_core::id::{OpId, PoolId, ReplicaKey, StreamId};
use fieldkit_core::lattice::Register;
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Account, Actor, Head, Unit};
use fieldkit_core::order::{Order, Refund, line_total};
use wire::{Money, Whole};

/// What works now.
pub fn status(shelf: &Shelf<'_>) -> wire::Status {
    let open = shelf.event.and_then(|id| shelf.ledger.events.get(&id).map(|event| (id, event)));
    let newest = || shelf.ledger.events.values().max_by_key(|event| event.opened_ms);
    let shown = open.map(|(_, event)| event).or_else(newest);
    let zone = zone(shown);
    wire::Status {
        kit: shelf.kit.to_owned(),
        replica: shelf.replica.label(),
        version: env!("CARGO_PKG_VERSION"),
        event: open.map(|(id, _)| id.text()),
        event_name: open.map(|(_, event)| event.opened.name.clone()),
        currency: shown.map(|event| wire::Currency(event.opened.currency)),
        currency_exponent: shown.map_or(2, |event| event.opened.currency.exponent()),
        zone: zone.name().to_owned(),
        prices: shown.map_or(wire::Prices::Inclusive, |event| prices(event.opened.prices)),
        tax_rates: shown.map_or_else(Vec::new, |event| event.opened.tax_rates.iter().map(tax_rate).collect()),
        seller: shown.map(|event| seller(&event.opened.seller)),
        training: open.is_some_and(|(_, event)| event.opened.training),
        safe_mode: shelf.safe_mode,
        durability: wire::Durability {
            word: shelf.durability.text(),
            black_box: shelf.black_box,
            box_same_medium: shelf.box_same_medium,
            since: None,
        },
        devices: shelf.devices.iter().map(device).collect(),
        links: Vec::new(),
        exposure: open.map(|(_, event)| {
            let currency = event.opened.currency;
            Money::new(event.balance(Account::AT_RISK, Unit::Money(currency)), currency)
        }),
        power: None,
        clock: wire::Clock { quality: shelf.clock_quality, now: time(shelf.now_ms, zone) },
        head: head(shelf),
        drawer: drawer_word(shelf.event.and_then(|id| own_drawer(shelf, id)).map(|(_, drawer)| drawer)),
        shut: kits::shut(shelf),
        notices: notices(shelf),
    }
}

/// What the kit says, then what the ledger says: money in doubt first.
fn notices(shelf: &Shelf<'_>) -> Vec<wire::Notice> {
    let said = shelf.notices.iter().map(notice);
    let of_payments = payments::payment_notices(shelf).chain(payments::foreign_notices(shelf));
    said.chain(of_payments).chain(contradictions::notices(shelf)).chain(uncounted_notices(shelf)).collect()
}

/// A device.
pub fn device(shown: &DeviceShown) -> wire::Device {
    wire::Device {
        device_id: shown.device.text(),
        role: shown.role,
        label: shown.label.clone(),
        url: shown.url.clone(),
        link: shown.link.text(),
        trouble: shown.trouble.clone(),
        payment_id: shown.payment.map(|payment| payment.text()),
        text: shown.text.clone(),
    }
}

/// The head that witnesses keep.
pub fn head(shelf: &Shelf<'_>) -> wire::Head {
    let Head { seq, hash } = shelf.ledger.head(&shelf.stream);
    wire::Head { stream: shelf.stream.text(), seq, hash: hash.hex(), check: hash.check4() }
}

/// Events, newest first.
pub fn events(shelf: &Shelf<'_>) -> Vec<wire::Event> {
    let mut events: Vec<_> = shelf.ledger.events.iter().collect();
    events.sort_by_key(|(id, event)| std::cmp::Reverse((event.opened_ms, **id)));
    events.into_iter().map(|(id, known)| event(*id, known)).collect()
}

/// An event.
pub fn event(id: OpId, event: &Event) -> wire::Event {
    let zone = zone(Some(event));
    let opened = &event.opened;
    wire::Event {
        event_id: id.text(),
        name: opened.name.clone(),
        state: event.state().text(),
        zone: opened.zone.clone(),
        currency: wire::Currency(opened.currency),
        opened_at: time(event.opened_ms, zone),
        closed_at: event.closed_ms.map(|at| time(at, zone)),
        seller: seller(&opened.seller),
        tax_rates: opened.tax_rates.iter().map(tax_rate).collect(),
        prices: prices(opened.prices),
        day_cutover_minutes: opened.day_cutover_minutes,
        training: opened.training,
        cloned_from: opened.cloned_from.map(|id| id.text()),
        orders: event.orders,
    }
}

/// The event that sales go to.
pub fn current_event(shelf: &Shelf<'_>) -> Option<wire::EventName> {
    open_event(shelf).map(|(id, event)| wire::EventName { event_id: id.text(), name: event.opened.name.clone() })
}

/// Items of the open event; none without one.
pub fn items(shelf: &Shelf<'_>) -> Vec<wire::Item> {
    let Some((id, event)) = open_event(shelf) else { return Vec::new() };
    event.items.iter().map(|(sku, known)| item(shelf, id, event, sku, known)).collect()
}

/// One item of the open event.
pub fn item_of(shelf: &Shelf<'_>, sku: &str) -> Option<wire::Item> {
    let (id, event) = open_event(shelf)?;
    event.items.get(sku).map(|known| item(shelf, id, event, sku, known))
}

/// Units of one item.
pub fn stock(shelf: &Shelf<'_>, sku: &str) -> Option<wire::StockUpdate> {
    let (id, event) = open_event(shelf)?;
    let pool = PoolId::of(&id, sku);
    let (here, elsewhere) = kits::units(shelf, id, event, sku);
    let known = event.items.contains_key(sku);
    known.then(|| wire::StockUpdate { sku: sku.to_owned(), here, elsewhere, sold: event.sold(pool) })
}

fn item(shelf: &Shelf<'_>, event_id: OpId, event: &Event, sku: &str, item: &Item) -> wire::Item {
    let (here, elsewhere) = kits::units(shelf, event_id, event, sku);
    let currency = event.opened.currency;
    let pool = PoolId::of(&event_id, sku);
    let tax_rate = item.tax_rate.value().cloned().unwrap_or_default();
    wire::Item {
        sku: sku.to_owned(),
        name: item.name_or(sku).to_owned(),
        product: item.product.value().cloned().unwrap_or_default(),
        options: item.options.value().cloned().unwrap_or_default(),
        price: Money::new(item.price.value().copied().unwrap_or(0), currency),
        tax_ppm: event.tax_ppm(&tax_rate).unwrap_or(0),
        tax_rate,
        image: item.image.value().copied().flatten().map(|hash| format!("/images/{}", hash.hex())),
        barcode: item.barcode.value().filter(|code| !code.is_empty()).cloned(),
        open_price: item.open_price.value().copied().unwrap_or(false),
        limit: match item.limit() {
            Limit::Soft => wire::Limit::Soft,
            Limit::Hard => wire::Limit::Hard,
            Limit::Uncounted => wire::Limit::Uncounted,
        },
        offered: item.offered.value().copied().unwrap_or(true),
        here,
        elsewhere,
        sold: event.sold(pool),
        price_conflict: item.price.conflict().into_iter().map(|price| Money::new(*price, currency)).collect(),
    }
}

/// An order. `durability` is that of the ops known to the reply.
pub fn order(shelf: &Shelf<'_>, order: &Order, durability: Durability) -> wire::Order {
    let event = shelf.ledger.events.get(&order.event);
    let zone = zone(event);
    let (sale, paid) = (&order.sale, order.paid());
    let money = |minor| Money::new(minor, sale.currency);
    let source = &sale.source;
    let (mark, hash) = order.mark();
    wire::Order {
        order_id: order.order_id.text(),
        receipt: order.receipt().map(|(_, number)| number),
        series: series(order),
        state: order.state().text(),
        placed_at: time(order.stamp.physical_ms, zone),
        business_day: day(paid.map_or(sale.business_day, |paid| paid.business_day)),
        lines: sale.lines.iter().zip(1..).map(|(line, number)| order_line(order, line, number)).collect(),
        discount: money(sale.discount),
        discount_reason: sale.discount_reason.clone(),
        total: money(sale.total),
        left: payments::left(order),
        taxes: order.taxes().into_iter().map(|sum| tax_sum(sum, sale.currency)).collect(),
        change: money(paid.map_or(0, |paid| paid.change)),
        payments: payments(order),
        refunds: order.refunds.iter().chain(&order.beside).map(|known| refund(known, sale.currency, zone)).collect(),
        durability: durability.text(),
        slip: format!("{}-{}", mark.seq, hash.check4()),
        receipt_token: (shelf.receipt_token)(order),
        training: event.is_some_and(|event| event.opened.training),
        source: wire::Source {
            till: source.till.clone(),
            campaign: source.campaign.clone(),
            session: source.session.clone(),
            variant: source.variant.clone(),
        },
        cart_opened_at: sale.cart_opened_ms.map(|at| time(at, zone)),
        operator: match order.actor {
            Actor::Person(person) => Some(person.text()),
            Actor::Device(_) => None,
        },
        seller: event.map(|event| seller(&event.opened.seller)).unwrap_or_default(),
        event: order.event.text(),
        event_name: event.map(|event| event.opened.name.clone()).unwrap_or_default(),
        warnings: event.map_or_else(Vec::new, |event| warnings(shelf, order, event)),
    }
}

/// An order in short, for pages that follow.
pub fn order_update(order: &Order) -> wire::OrderUpdate {
    wire::OrderUpdate {
        order_id: order.order_id.text(),
        receipt: order.receipt().map(|(_, number)| number),
        series: series(order),
        state: order.state().text(),
        total: Money::new(order.sale.total, order.sale.currency),
    }
}

fn order_line(order: &Order, line: &Line, number: u32) -> wire::OrderLine {
    let money = |minor| Money::new(minor, order.sale.currency);
    wire::OrderLine {
        line: number,
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: money(line.unit_price),
        discount: money(line.discount),
        discount_reason: line.discount_reason.clone(),
        order_discount: money(line.order_discount),
        total: money(line_total(line, order.sale.prices)),
        tax_rate: line.tax_rate.clone(),
        tax_ppm: line.tax_ppm,
        tax: money(line.tax),
        refunded_quantity: order.refunded_quantity(number),
    }
}

fn tax_sum((rate, ppm, net, tax): (String, u32, i64, i64), currency: Currency) -> wire::TaxSum {
    wire::TaxSum { rate, ppm, net: Money::new(net, currency), tax: Money::new(tax, currency) }
}

/// The series of the receipt; until there is one, that of the kit that took the order.
fn series(order: &Order) -> String {
    order.receipt().map_or(order.order_id.stream, |(stream, _)| stream).series()
}

fn refund(refund: &Refund, currency: Currency, zone: Tz) -> wire::Refund {
    let whole = |number: u32| Whole(i64::from(number));
    let lines = refund.body.lines.iter();
    wire::Refund {
        refund_id: refund.refund_id.text(),
        series: refund.refund_id.stream.series(),
        receipt: refund.body.receipt,
        kind: match refund.body.kind {
            RefundKind::Refund => "refund",
            RefundKind::Void => "void",
        },
        amount: Money::new(refund.body.amount, currency),
        reason: refund.body.reason.clone(),
        at: time(refund.stamp.physical_ms, zone),
        undone: refund.undone.is_some(),
        lines: lines
            .map(|part| wire::LineQuantity { line: whole(part.line), quantity: whole(part.quantity) })
            .collect(),
        restock: refund.body.restock,
    }
}

/// Soft pools that are below zero now, by the count of the goods or by what leases leave here.
fn warnings(shelf: &Shelf<'_>, order: &Order, event: &Event) -> Vec<String> {
    let mut skus: Vec<&str> = order.sale.lines.iter().map(|line| line.sku.as_str()).collect();
    skus.sort_unstable();
    skus.dedup();
    let below = |sku: &&str| {
        let item = event.items.get(*sku).filter(|item| item.limit() == Limit::Soft)?;
        let here = event.here(PoolId::of(&order.event, sku));
        let left = kits::units(shelf, order.event, event, sku).0;
        let name = item.name_or(sku);
        if here < 0 {
            return Some(format!("{name}: sold {} more than counted", here.unsigned_abs()));
        }
        (left < 0).then(|| format!("{name}: sold {} more than leases leave here", left.unsigned_abs()))
    };
    skus.iter().filter_map(below).collect()
}

/// The drawer of this kit at an event; `None` means the open one.
pub fn drawer(shelf: &Shelf<'_>, event: Option<OpId>) -> wire::Drawer {
    let id = event.or(shelf.event);
    let found = id.and_then(|id| own_drawer(shelf, id));
    let event = id.and_then(|id| shelf.ledger.events.get(&id));
    let zone = zone(event);
    let money = |minor| event.map(|event| Money::new(minor, event.opened.currency));
    let known = found.map(|(_, drawer)| drawer);
    wire::Drawer {
        event: id.map(|id| id.text()),
        event_name: event.map(|event| event.opened.name.clone()),
        state: drawer_word(known),
        opened_at: known.and_then(|drawer| drawer.opened_ms).map(|at| time(at, zone)),
        opening: money(known.map_or(0, |drawer| drawer.opening)),
        expected: money(known.map_or(0, |drawer| clamped(drawer.expected.0))),
        while_closed: money(known.map_or(0, |drawer| clamped(drawer.while_closed.0))),
        movements: found.map_or_else(Vec::new, |(event, drawer)| movements(event, drawer, zone)),
        last_count: found.and_then(|(event, drawer)| count(event, drawer, zone)),
        uncounted: uncounted(shelf, id).map(|(_, drawer)| drawer).collect(),
    }
}

/// Drawers of this kit that are open at other events than `shown`.
fn uncounted<'a>(shelf: &Shelf<'a>, shown: Option<OpId>) -> impl Iterator<Item = (&'a Event, wire::UncountedDrawer)> {
    let others = shelf.ledger.events.keys().filter(move |id| Some(**id) != shown);
    others.filter_map(|id| {
        let (event, drawer) = own_drawer(shelf, *id).filter(|(_, drawer)| drawer.opened_ms.is_some())?;
        let expected = Money::new(clamped(drawer.expected.0), event.opened.currency);
        Some((event, wire::UncountedDrawer { event: id.text(), event_name: event.opened.name.clone(), expected }))
    })
}

/// A drawer that nobody will look for, because sales go elsewhere.
fn uncounted_notices<'a>(shelf: &Shelf<'a>) -> impl Iterator<Item = wire::Notice> {
    uncounted(shelf, shelf.event).map(|(event, drawer)| {
        let state = event.state().text();
        wire::Notice {
            level: "warn",
            code: "drawer_uncounted",
            text: format!("The drawer of {} ({state}) waits to be counted.", drawer.event_name),
            next_step: "Count it on the Drawer page, or with `fieldkit cash count AMOUNT --event NAME`.".to_owned(),
        }
    })
}

fn movements(event: &Event, drawer: &Drawer, zone: Tz) -> Vec<wire::Movement> {
    let movement = |movement: &fieldkit_core::event::Movement| wire::Movement {
        direction: match movement.body.direction {
            Direction::In => wire::Direction::In,
            Direction::Out => wire::Direction::Out,
        },
        amount: Money::new(movement.body.amount, event.opened.currency),
        reason: movement.body.reason.clone(),
        at: time(movement.at_ms, zone),
    };
    drawer.movements.iter().map(movement).collect()
}

fn count(event: &Event, drawer: &Drawer, zone: Tz) -> Option<wire::Count> {
    let count = drawer.last_count.as_ref()?;
    let money = |minor| Money::new(minor, event.opened.currency);
    Some(wire::Count {
        counted: money(count.body.counted),
        expected: money(count.body.expected),
        variance: money(count.body.counted.saturating_sub(count.body.expected)),
        note: count.body.note.clone(),
        at: time(count.at_ms, zone),
    })
}

/// What an import did.
pub fn imported(done: CatalogueImported) -> wire::ImportResult {
    let rejected = done.rejected.into_iter();
    wire::ImportResult {
        created: done.created,
        changed: done.changed,
        unchanged: done.unchanged,
        rejected: rejected.map(|(line, reason)| wire::RejectedLine { line, reason }).collect(),
        warnings: done.warnings,
    }
}

fn open_event<'a>(shelf: &Shelf<'a>) -> Option<(OpId, &'a Event)> {
    shown_event(shelf, None)
}

/// An event, `None` means the open one.
fn shown_event<'a>(shelf: &Shelf<'a>, event: Option<OpId>) -> Option<(OpId, &'a Event)> {
    let id = event.or(shelf.event)?;
    shelf.ledger.events.get(&id).map(|event| (id, event))
}

fn own_drawer<'a>(shelf: &Shelf<'a>, id: OpId) -> Option<(&'a Event, &'a Drawer)> {
    let event = shelf.ledger.events.get(&id)?;
    let stream = StreamId::of(&shelf.replica, &space_of(id, event));
    event.drawers.get(&stream).map(|drawer| (event, drawer))
}

fn drawer_word(drawer: Option<&Drawer>) -> &'static str {
    let open = drawer.is_some_and(|drawer| drawer.opened_ms.is_some());
    if open { EventState::Open.text() } else { EventState::Closed.text() }
}

fn notice(notice: &Notice) -> wire::Notice {
    let Notice { level, code, text, next_step } = notice.clone();
    wire::Notice { level, code, text, next_step }
}

fn prices(prices: Prices) -> wire::Prices {
    match prices {
        Prices::Inclusive => wire::Prices::Inclusive,
        Prices::Exclusive => wire::Prices::Exclusive,
    }
}

fn tax_rate(rate: &TaxRate) -> wire::TaxRate {
    wire::TaxRate { id: rate.id.clone(), name: rate.name.clone(), ppm: Whole(i64::from(rate.ppm)) }
}

fn seller(seller: &Seller) -> wire::Seller {
    let Seller { name, address, tax_id } = seller.clone();
    wire::Seller { name, address, tax_id }
}

fn zone(event: Option<&Event>) -> Tz {
    event.and_then(|event| event.opened.zone.parse().ok()).unwrap_or(chrono_tz::UTC)
}

/// RFC 3339 with milliseconds and offset.
fn time(at_ms: u64, zone: Tz) -> String {
    let at = i64::try_from(at_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, false)
}

/// Days since 1970-01-01 as a date.
fn day(days: i64) -> String {
    let epoch = NaiveDate::default();
    let date = u64::try_from(days).ok().and_then(|days| epoch.checked_add_days(Days::new(days)));
    date.unwrap_or(epoch).to_string()
}

fn clamped(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// Public keys.
pub fn keys(shelf: &Shelf<'_>) -> wire::Keys {
    let base64 = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let key = |(key, label): (&ReplicaKey, &Register<String>)| wire::PublicKey {
        kty: "OKP",
        crv: "Ed25519",
        kid: hex(&key.0[..8]),
        x: base64(&key.0),
        cose: hex(&fieldkit_core::receipt::cose_key(&key.0)),
        label: label.value().cloned().unwrap_or_default(),
        replica: key.label(),
        current: *key == shelf.replica,
    };
    let mut keys: Vec<wire::PublicKey> = shelf.ledger.replicas.iter().map(key).collect();
    keys.sort_by_key(|key| !key.current);
    let organisation = shelf.ledger.organisation.as_ref().map(|(_, founded)| base64(&founded.key));
    wire::Keys { keys, organisation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_the_offset_of_the_zone() {
        let berlin: Tz = "Europe/Berlin".parse().expect("a zone");
        assert_eq!(time(1_795_172_400_000, berlin), "2026-11-20T12:00:00.000+01:00");
        assert_eq!(time(0, chrono_tz::UTC), "1970-01-01T00:00:00.000+00:00");
        assert_eq!(day(20_777), "2026-11-20");
    }
}
