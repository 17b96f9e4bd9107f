//! `views.db`: plain tables of orders, money, goods and drawers for any SQLite tool.
//!
//! Promises: a function of the journal alone — built again from nothing it holds the same rows, byte for byte; money is
//! whole minor units beside its currency, times are RFC 3339 in UTC; a batch is written whole or not at all.
//! Absent on purpose: decisions. Nothing here is read by a rule; damage is answered by building the file again.

use crate::error::StoreError;
use crate::failpoint;
use crate::place;
use crate::sqlite::{self, Durability, Sharing};
use crate::state::remove;
use chrono::{DateTime, NaiveDate, SecondsFormat};
use fieldkit_core::body::Fiscal;
use fieldkit_core::event::{Event, EventState};
use fieldkit_core::id::{Hash, OpId, PoolId, StreamId};
use fieldkit_core::ledger::Anomaly;
use fieldkit_core::listing::listed;
use fieldkit_core::op::Actor;
use fieldkit_core::order::{Order, line_total};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::path::{Path, PathBuf};

mod schema {
    refinery::embed_migrations!("migrations/views");
}

/// An order that changed.
#[derive(Clone, Copy, Debug)]
pub struct OrderRow<'a> {
    /// The journal's row of the op that placed it, or of the first op about it in this batch.
    pub row: u64,
    /// The order as it is now.
    pub order: &'a Order,
}

/// An item as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRow {
    /// The event.
    pub event: OpId,
    /// The SKU.
    pub sku: String,
    /// Name on tiles and receipts.
    pub name: String,
    /// The event's currency.
    pub currency: String,
    /// Price of one.
    pub price_minor: i64,
    /// Tax rate id.
    pub tax_rate: String,
    /// Barcode, empty for none.
    pub barcode: String,
    /// The product that a variant belongs to.
    pub product: String,
    /// Whose goods, empty for the seller's own.
    pub owner: String,
    /// Whether it is offered.
    pub offered: bool,
    /// What happens at zero.
    pub limit_rule: &'static str,
    /// Units that may still be sold here.
    pub here: i64,
    /// Units that buyers hold.
    pub sold: i64,
}

impl ItemRow {
    /// The row of one SKU, `None` where the event has no such item.
    pub fn of(event_id: OpId, event: &Event, sku: &str) -> Option<ItemRow> {
        let item = event.items.get(sku)?;
        let pool = PoolId::of(&event_id, sku);
        Some(ItemRow {
            event: event_id,
            sku: sku.to_owned(),
            name: item.name_or(sku).to_owned(),
            currency: event.opened.currency.code().to_owned(),
            price_minor: item.price.value().copied().unwrap_or(0),
            tax_rate: item.tax_rate.value().cloned().unwrap_or_default(),
            barcode: item.barcode.value().cloned().unwrap_or_default(),
            product: item.product.value().cloned().unwrap_or_default(),
            owner: item.owner.value().cloned().unwrap_or_default(),
            offered: item.offered.value().copied().unwrap_or(true),
            limit_rule: item.limit().text(),
            here: event.here(pool),
            sold: event.sold(pool),
        })
    }
}

/// A drawer as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrawerRow {
    /// The event.
    pub event: OpId,
    /// The stream of its kit.
    pub stream: StreamId,
    /// The event's currency.
    pub currency: String,
    /// When the running session began.
    pub opened_ms: Option<u64>,
    /// Opening cash of the running session.
    pub opening_minor: i64,
    /// What should be in it.
    pub expected_minor: i64,
    /// Cash taken less cash given back while no session ran.
    pub while_closed_minor: i64,
    /// When it was last counted, and what was found.
    pub counted: Option<(u64, i64)>,
}

impl DrawerRow {
    /// The row of one kit's drawer, `None` where it has none.
    pub fn of(event_id: OpId, event: &Event, stream: StreamId) -> Option<DrawerRow> {
        let drawer = event.drawers.get(&stream)?;
        let clamped = |sum: i128| sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        Some(DrawerRow {
            event: event_id,
            stream,
            currency: event.opened.currency.code().to_owned(),
            opened_ms: drawer.opened_ms,
            opening_minor: drawer.opening,
            expected_minor: clamped(drawer.expected.0),
            while_closed_minor: clamped(drawer.while_closed.0),
            counted: drawer.last_count.as_ref().map(|count| (count.at_ms, count.body.counted)),
        })
    }
}

/// An event as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The event.
    pub event: OpId,
    /// What it is called.
    pub name: String,
    /// IANA time zone.
    pub zone: String,
    /// Its currency.
    pub currency: String,
    /// Whether it sells.
    pub state: EventState,
    /// Whether it is for practice.
    pub training: bool,
    /// When it was opened.
    pub opened_ms: u64,
    /// When it was closed.
    pub closed_ms: Option<u64>,
    /// Orders placed.
    pub orders: u64,
    /// Refunds and voids.
    pub refunds: u64,
}

impl EventRow {
    /// The row of an event.
    pub fn of(event_id: OpId, event: &Event) -> EventRow {
        EventRow {
            event: event_id,
            name: event.opened.name.clone(),
            zone: event.opened.zone.clone(),
            currency: event.opened.currency.code().to_owned(),
            state: event.state(),
            training: event.opened.training,
            opened_ms: event.opened_ms,
            closed_ms: event.closed_ms,
            orders: event.orders,
            refunds: event.refunds,
        }
    }
}

/// What changed between two rows of the journal.
#[derive(Clone, Copy, Debug)]
pub struct ViewBatch<'a> {
    /// The journal's row up to which this goes.
    pub row: u64,
    /// Hash of the op in that row.
    pub row_hash: Hash,
    /// Orders that changed.
    pub orders: &'a [OrderRow<'a>],
    /// Items that changed.
    pub items: &'a [ItemRow],
    /// Drawers that changed.
    pub drawers: &'a [DrawerRow],
    /// Events that changed.
    pub events: &'a [EventRow],
    /// All anomalies there are; settled ones disappear.
    pub anomalies: &'a [Anomaly],
}

/// Writes the views; owned by the projector, after the state.
pub struct ViewsWriter {
    connection: Connection,
    path: PathBuf,
    row: u64,
}

impl ViewsWriter {
    /// Opens the views in `directory`. Damaged ones, those of another version or another journal are begun anew.
    ///
    /// `hash_at_row` says which op the journal has in a row; see `Store::row_hash`.
    pub fn open(
        directory: &Path,
        hash_at_row: &mut dyn FnMut(u64) -> Result<Option<Hash>, StoreError>,
    ) -> Result<ViewsWriter, StoreError> {
        let path = directory.join(place::VIEWS);
        match ViewsWriter::existing(&path) {
            Ok((writer, hash)) => {
                if writer.row == 0 || hash_at_row(writer.row)?.map(|hash| hash.hex()) == Some(hash) {
                    return Ok(writer);
                }
                tracing::warn!(row = writer.row, "views.db is not of this journal and is rebuilt");
            }
            Err(error) if error.is_damage() || matches!(error, StoreError::Newer { .. }) => {
                tracing::warn!("{error}; it is rebuilt");
            }
            Err(error) => return Err(error),
        }
        ViewsWriter::begin_anew(directory)
    }

    /// Removes the views in `directory` and starts at row 0.
    pub fn begin_anew(directory: &Path) -> Result<ViewsWriter, StoreError> {
        let path = directory.join(place::VIEWS);
        remove(&path)?;
        ViewsWriter::existing(&path).map(|(writer, _)| writer)
    }

    fn existing(path: &Path) -> Result<(ViewsWriter, String), StoreError> {
        let mut connection =
            sqlite::open(path, Durability::Normal, Sharing::Shared).map_err(StoreError::sqlite("open", path))?;
        sqlite::migrate(&mut connection, path, schema::migrations::runner())?;
        let meta = |key: &str| {
            connection
                .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0))
                .map_err(StoreError::sqlite("read", path))
        };
        let row = meta("row")?.parse().map_err(|_| StoreError::damaged(path, "its watermark is no number"))?;
        let hash = meta("row_hash")?;
        Ok((ViewsWriter { connection, path: path.to_owned(), row }, hash))
    }

    /// The journal's row up to which the views stand.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// Writes a batch, whole or not at all.
    pub fn put(&mut self, batch: ViewBatch<'_>) -> Result<(), StoreError> {
        self.write(&batch).map_err(StoreError::sqlite("write", &self.path))?;
        failpoint::hit("views.after_commit");
        self.row = batch.row;
        Ok(())
    }

    fn write(&mut self, batch: &ViewBatch<'_>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for row in batch.orders {
            put_order(&transaction, row)?;
        }
        for item in batch.items {
            put_item(&transaction, item)?;
        }
        for drawer in batch.drawers {
            put_drawer(&transaction, drawer)?;
        }
        for event in batch.events {
            put_event(&transaction, event)?;
        }
        transaction.prepare_cached("DELETE FROM anomalies")?.execute([])?;
        for anomaly in batch.anomalies {
            transaction.prepare_cached("INSERT OR REPLACE INTO anomalies VALUES (?1, ?2, ?3)")?.execute(params![
                anomaly.op.text(),
                anomaly.kind.text(),
                anomaly.detail
            ])?;
        }
        let mut set = transaction.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?;
        set.execute(params!["row", batch.row.to_string()])?;
        set.execute(params!["row_hash", batch.row_hash.hex()])?;
        drop(set);
        failpoint::hit("views.before_commit");
        transaction.commit()
    }
}

/// Reads lists from the views.
pub struct ViewsReader {
    connection: Connection,
    path: PathBuf,
}

impl ViewsReader {
    /// Opens the views in `directory`, which a `ViewsWriter` has made.
    pub fn open(directory: &Path) -> Result<ViewsReader, StoreError> {
        let path = directory.join(place::VIEWS);
        let connection = sqlite::open_reader(&path).map_err(StoreError::sqlite("open", &path))?;
        Ok(ViewsReader { connection, path })
    }

    /// The newest orders before a row (or all), newest first, with their rows.
    pub fn orders(&self, limit: u32, before: Option<u64>) -> Result<Vec<(u64, OpId)>, StoreError> {
        let listed = self
            .connection
            .prepare_cached("SELECT row, order_id FROM orders WHERE row < ?1 ORDER BY row DESC LIMIT ?2")
            .and_then(|mut select| {
                let before = before.map_or(i64::MAX, |row| i64::try_from(row).unwrap_or(i64::MAX));
                let rows = select.query_map(params![before, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<rusqlite::Result<Vec<(u64, String)>>>()
            })
            .map_err(StoreError::sqlite("read", &self.path))?;
        let parse = |(row, text): (u64, String)| {
            let id = OpId::from_text(&text);
            id.map(|id| (row, id)).ok_or_else(|| StoreError::damaged(&self.path, format!("{text} is no order's id")))
        };
        listed.into_iter().map(parse).collect()
    }

    /// The order whose receipt, or the receipt of whose refund, has this number in this series.
    pub fn order_by_receipt(&self, series: &str, number: u64) -> Result<Option<OpId>, StoreError> {
        self.one_id(
            "SELECT order_id FROM orders WHERE series = ?1 AND receipt = ?2
             UNION SELECT order_id FROM refunds WHERE series = ?1 AND receipt = ?2",
            params![series, number],
        )
    }

    /// The order that a refund belongs to.
    pub fn order_of_refund(&self, refund: &OpId) -> Result<Option<OpId>, StoreError> {
        self.one_id("SELECT order_id FROM refunds WHERE refund_id = ?1", params![refund.text()])
    }

    /// Payments before one (or all), those of the newest orders first, as their orders and their own ids; `None` where
    /// there is no payment to begin before.
    pub fn payments(&self, limit: u32, before: Option<&str>) -> Result<Option<Vec<(OpId, String)>>, StoreError> {
        let place = "SELECT row, position FROM payments JOIN orders USING (order_id) WHERE payment_id = ?1";
        let begin = match before {
            None => Some((i64::MAX, 0)),
            Some(before) => self
                .connection
                .prepare_cached(place)
                .and_then(|mut select| select.query_row([before], |row| Ok((row.get(0)?, row.get(1)?))).optional())
                .map_err(StoreError::sqlite("read", &self.path))?,
        };
        let Some((row, position)) = begin else { return Ok(None) };
        let listed = self
            .connection
            .prepare_cached(
                "SELECT order_id, payment_id FROM orders JOIN payments USING (order_id)
                 WHERE row <= ?1 AND (row < ?1 OR position < ?2) ORDER BY row DESC, position DESC LIMIT ?3",
            )
            .and_then(|mut select| {
                let rows = select.query_map(params![row, position, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
            })
            .map_err(StoreError::sqlite("read", &self.path))?;
        let parse = |(order, payment): (String, String)| {
            let damaged = || StoreError::damaged(&self.path, format!("{order} is no order's id"));
            OpId::from_text(&order).map(|id| (id, payment)).ok_or_else(damaged)
        };
        listed.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
    }

    /// The row of an order in the list.
    pub fn row_of(&self, order: &OpId) -> Result<Option<u64>, StoreError> {
        self.connection
            .prepare_cached("SELECT row FROM orders WHERE order_id = ?1")
            .and_then(|mut select| select.query_row([order.text()], |row| row.get(0)).optional())
            .map_err(StoreError::sqlite("read", &self.path))
    }

    fn one_id(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Option<OpId>, StoreError> {
        let text: Option<String> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row(parameters, |row| row.get(0)).optional())
            .map_err(StoreError::sqlite("read", &self.path))?;
        let damaged = |text: &String| StoreError::damaged(&self.path, format!("{text} is no order's id"));
        text.map(|text| OpId::from_text(&text).ok_or_else(|| damaged(&text))).transpose()
    }
}

fn put_order(transaction: &Transaction<'_>, row: &OrderRow<'_>) -> rusqlite::Result<()> {
    let (order, sale, paid) = (row.order, &row.order.sale, row.order.paid());
    let (id, receipt) = (order.order_id.text(), order.receipt());
    let tax = sale.lines.iter().fold(0i64, |sum, line| sum.saturating_add(line.tax));
    let refunded = order.standing_refunds().fold(0i64, |sum, refund| sum.saturating_add(refund.body.amount));
    transaction
        .prepare_cached(
            "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
             ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25) ON CONFLICT (order_id) DO UPDATE SET
             row = min(row, excluded.row), state = excluded.state, refunded_minor = excluded.refunded_minor,
             series = excluded.series, receipt = excluded.receipt, change_minor = excluded.change_minor,
             fiscal = excluded.fiscal, business_day = excluded.business_day, paid_at = excluded.paid_at",
        )?
        .execute(params![
            id,
            row.row,
            order.event.text(),
            receipt.map(|(stream, _)| stream.series()),
            receipt.map(|(_, number)| int(number)),
            order.state().text(),
            sale.currency.code(),
            sale.prices.text(),
            sale.total,
            sale.discount,
            sale.discount_reason,
            tax,
            paid.map_or(0, |paid| paid.change),
            refunded,
            actor_text(&order.actor),
            sale.source.till,
            sale.source.campaign,
            sale.source.session,
            sale.source.variant,
            paid.map(|paid| fiscal_text(&paid.fiscal)),
            day_text(paid.map_or(sale.business_day, |paid| paid.business_day)),
            sale.cart_opened_ms.map(time_text),
            paid.map(|paid| time_text(paid.paid_ms)),
            time_text(order.stamp.physical_ms),
            order.stamp.quality.text(),
        ])?;
    put_lines(transaction, &id, order)?;
    put_payments(transaction, &id, order)?;
    put_refunds(transaction, &id, order)
}

fn put_payments(transaction: &Transaction<'_>, id: &str, order: &Order) -> rusqlite::Result<()> {
    // Which cash counts is known once an open order is paid, and may change where two kits paid it.
    if order.paid().is_none_or(|paid| paid.by.is_some()) {
        transaction.prepare_cached("DELETE FROM payments WHERE order_id = ?1")?.execute([id])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO payments
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for (position, payment) in (1u32..).zip(listed(order)) {
        let record = payment.record;
        put.execute(params![
            payment.payment_id,
            id,
            position,
            payment.tender,
            payment.state,
            order.sale.currency.code(),
            payment.amount,
            payment.tendered,
            payment.taken,
            payment.reference,
            record.map(|record| &record.terminal_id),
            record.map(|record| record.receipt),
            record.map(|record| record.trace),
            record.map(|record| format!("{} {}", record.card_name, record.masked_pan).trim().to_owned()),
            record.map(|record| record.amount),
            record.map(|record| record.currency.code().to_owned()),
        ])?;
    }
    Ok(())
}

fn put_lines(transaction: &Transaction<'_>, id: &str, order: &Order) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO lines
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for (number, line) in (1u32..).zip(&order.sale.lines) {
        put.execute(params![
            id,
            number,
            line.sku,
            line.name,
            line.owner,
            line.quantity,
            int(order.refunded_quantity(number)),
            order.sale.currency.code(),
            line.unit_price,
            line.discount,
            line.discount_reason,
            line.order_discount,
            line_total(line, order.sale.prices),
            line.tax_rate,
            line.tax_ppm,
            line.tax,
        ])?;
    }
    Ok(())
}

fn put_refunds(transaction: &Transaction<'_>, id: &str, order: &Order) -> rusqlite::Result<()> {
    let currency = order.sale.currency.code();
    let mut put = transaction.prepare_cached(
        "INSERT OR REPLACE INTO refunds VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let mut put_line =
        transaction.prepare_cached("INSERT OR REPLACE INTO refund_lines VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for refund in &order.refunds {
        let refund_id = refund.refund_id.text();
        put.execute(params![
            refund_id,
            id,
            match refund.body.kind {
                fieldkit_core::body::RefundKind::Refund => "refund",
                fieldkit_core::body::RefundKind::Void => "void",
            },
            refund.refund_id.stream.series(),
            int(refund.body.receipt),
            currency,
            refund.body.amount,
            refund.body.reason,
            refund.body.restock,
            day_text(refund.body.business_day),
            time_text(refund.stamp.physical_ms),
            refund.undone.map(|(op, _)| op.text()),
            refund.undone.map(|(_, receipt)| int(receipt)),
        ])?;
        for (position, line) in (1u32..).zip(&refund.body.lines) {
            put_line.execute(params![
                refund_id,
                position,
                line.line,
                line.quantity,
                currency,
                line.amount,
                line.tax
            ])?;
        }
    }
    Ok(())
}

fn put_item(transaction: &Transaction<'_>, item: &ItemRow) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO items VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?
        .execute(params![
            item.event.text(),
            item.sku,
            item.name,
            item.currency,
            item.price_minor,
            item.tax_rate,
            item.barcode,
            item.product,
            item.owner,
            item.offered,
            item.limit_rule,
            item.here,
            item.sold,
        ])?;
    Ok(())
}

fn put_drawer(transaction: &Transaction<'_>, drawer: &DrawerRow) -> rusqlite::Result<()> {
    transaction.prepare_cached("INSERT OR REPLACE INTO drawers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(
        params![
            drawer.event.text(),
            drawer.stream.text(),
            drawer.currency,
            drawer.opened_ms.map(time_text),
            drawer.opening_minor,
            drawer.expected_minor,
            drawer.while_closed_minor,
            drawer.counted.map(|(at, _)| time_text(at)),
            drawer.counted.map(|(_, counted)| counted),
        ],
    )?;
    Ok(())
}

fn put_event(transaction: &Transaction<'_>, event: &EventRow) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
        .execute(params![
            event.event.text(),
            event.name,
            event.zone,
            event.currency,
            event.state.text(),
            event.training,
            time_text(event.opened_ms),
            event.closed_ms.map(time_text),
            int(event.orders),
            int(event.refunds),
        ])?;
    Ok(())
}

/// A count as SQLite holds it. Another kit's bytes may say anything, and must not stop the views.
fn int(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC; empty where the number is no time that a calendar knows.
fn time_text(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis);
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

/// The date of a day counted from 1970-01-01; empty where there is none.
fn day_text(day: i64) -> String {
    let date = i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days);
    date.map(|date| date.to_string()).unwrap_or_default()
}

fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Device(_) => "device".into(),
        Actor::Person(person) => person.text(),
    }
}

fn fiscal_text(fiscal: &Fiscal) -> &'static str {
    match fiscal {
        Fiscal::NotRequired(_) => "not_required",
        Fiscal::Pending(_) => "pending",
        Fiscal::Failed(_) => "failed",
        Fiscal::Signed(_) => "signed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::order;
    use fieldkit_core::ledger::AnomalyKind;
    use fieldkit_core::order::By;
    use rusqlite::types::Value;

    fn id(seq: u64) -> OpId {
        OpId { stream: StreamId([3; 16]), seq }
    }

    fn put(writer: &mut ViewsWriter, row: u64, orders: &[OrderRow<'_>]) {
        let event = EventRow {
            event: id(2),
            name: "Night market".into(),
            zone: "Europe/Berlin".into(),
            currency: "EUR".into(),
            state: EventState::Open,
            training: false,
            opened_ms: 1_750_000_000_000,
            closed_ms: None,
            orders: row,
            refunds: 0,
        };
        let anomaly = Anomaly { op: id(9), kind: AnomalyKind::Missing, detail: "the order is not known".into() };
        let drawer = DrawerRow {
            event: id(2),
            stream: StreamId([3; 16]),
            currency: "EUR".into(),
            opened_ms: Some(0),
            opening_minor: 10_000,
            expected_minor: row as i64,
            while_closed_minor: 0,
            counted: None,
        };
        let (events, anomalies, drawers) = ([event], [anomaly], [drawer]);
        let batch = ViewBatch {
            row,
            row_hash: Hash([4; 32]),
            orders,
            items: &[],
            drawers: &drawers,
            events: &events,
            anomalies: &anomalies,
        };
        writer.put(batch).unwrap();
    }

    fn dump(connection: &Connection) -> Vec<(String, Vec<Value>)> {
        let mut rows = Vec::new();
        for table in [
            "meta",
            "events",
            "orders",
            "lines",
            "payments",
            "refunds",
            "refund_lines",
            "items",
            "drawers",
            "anomalies",
        ] {
            let mut select = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
            let columns = select.column_count();
            let mut found = select.query([]).unwrap();
            while let Some(row) = found.next().unwrap() {
                rows.push((table.to_owned(), (0..columns).map(|at| row.get(at).unwrap()).collect()));
            }
        }
        rows
    }

    #[test]
    fn views_rebuilt_in_other_batches_hold_the_same_rows() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let orders: Vec<Order> = (1..=40).map(|seq| order(id(seq * 10), 3)).collect();
        let unrefunded: Vec<Order> = orders.iter().map(|order| Order { refunds: vec![], ..order.clone() }).collect();
        let mut step_by_step = ViewsWriter::open(one.path(), &mut |_| Ok(None)).unwrap();
        for (row, order) in (1..).zip(&unrefunded) {
            put(&mut step_by_step, row, &[OrderRow { row, order }]);
        }
        for (row, order) in (1..).zip(&orders) {
            put(&mut step_by_step, 40 + row, &[OrderRow { row: 40 + row, order }]);
        }
        let mut at_once = ViewsWriter::open(two.path(), &mut |_| Ok(None)).unwrap();
        let rows: Vec<_> = (1..).zip(&orders).map(|(row, order)| OrderRow { row, order }).collect();
        put(&mut at_once, 80, &rows);
        let dumped = dump(&step_by_step.connection);
        assert!(dumped.len() > 40 * 5);
        assert_eq!(dumped, dump(&at_once.connection));
    }

    #[test]
    fn lists_come_newest_first_and_page_by_row() {
        let home = tempfile::tempdir().unwrap();
        let mut writer = ViewsWriter::open(home.path(), &mut |_| Ok(None)).unwrap();
        let orders: Vec<Order> = (1..=5).map(|seq| order(id(seq * 10), 1)).collect();
        let rows: Vec<_> = (1..).zip(&orders).map(|(row, order)| OrderRow { row: row * 100, order }).collect();
        put(&mut writer, 500, &rows);
        let reader = ViewsReader::open(home.path()).unwrap();
        assert_eq!(reader.orders(2, None).unwrap(), [(500, id(50)), (400, id(40))]);
        assert_eq!(reader.orders(2, Some(400)).unwrap(), [(300, id(30)), (200, id(20))]);
        assert_eq!(reader.orders(9, Some(100)).unwrap(), []);
    }

    #[test]
    fn payments_page_within_and_across_orders() {
        let home = tempfile::tempdir().unwrap();
        let mut writer = ViewsWriter::open(home.path(), &mut |_| Ok(None)).unwrap();
        let mut orders: Vec<Order> = (1..=3).map(|seq| order(id(seq * 10), 1)).collect();
        // The second order was paid with two notes that were counted one by one.
        let tenders = &mut orders[1].paid[0].tenders;
        tenders.push(tenders[0].clone());
        let rows: Vec<_> = (1..).zip(&orders).map(|(row, order)| OrderRow { row: row * 100, order }).collect();
        put(&mut writer, 300, &rows);
        let reader = ViewsReader::open(home.path()).unwrap();
        let name = |seq: u64, cash: u32| (id(seq), format!("{}.{cash}", id(seq).text()));
        let all = [name(30, 1), name(20, 2), name(20, 1), name(10, 1)];
        assert_eq!(reader.payments(9, None).unwrap().unwrap(), all);
        assert_eq!(reader.payments(2, None).unwrap().unwrap(), all[..2]);
        assert_eq!(reader.payments(2, Some(&all[1].1)).unwrap().unwrap(), all[2..]);
        assert_eq!(reader.payments(2, Some(&all[3].1)).unwrap().unwrap(), []);
        assert_eq!(reader.payments(2, Some("nothing")).unwrap(), None);
    }

    #[test]
    fn an_order_that_is_paid_later_has_its_rows_then() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut paid = order(id(10), 1);
        paid.refunds.clear();
        let stamp = paid.stamp;
        let actor = paid.actor;
        paid.paid[0].by = Some(By { lamport: 9, op: id(11), hash: Hash([7; 32]), actor, stamp });
        let waiting = Order { paid: vec![], ..paid.clone() };
        let mut slowly = ViewsWriter::open(one.path(), &mut |_| Ok(None)).unwrap();
        put(&mut slowly, 1, &[OrderRow { row: 1, order: &waiting }]);
        let state = |writer: &ViewsWriter| {
            let sql = "SELECT state, receipt, (SELECT count(*) FROM payments) FROM orders";
            writer.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
        };
        assert_eq!(state(&slowly), ("awaiting_payment".to_owned(), None::<u64>, 0));
        put(&mut slowly, 2, &[OrderRow { row: 2, order: &paid }]);
        assert_eq!(state(&slowly), ("paid".to_owned(), Some(10), 1));
        let mut at_once = ViewsWriter::open(two.path(), &mut |_| Ok(None)).unwrap();
        put(&mut at_once, 2, &[OrderRow { row: 1, order: &paid }]);
        assert_eq!(dump(&slowly.connection), dump(&at_once.connection));
    }

    #[test]
    fn times_and_days_are_plain_text() {
        assert_eq!(time_text(1_750_000_000_000), "2025-06-15T15:06:40.000Z");
        assert_eq!(time_text(u64::MAX), "");
        assert_eq!(day_text(20_254), "2025-06-15");
        assert_eq!(day_text(i64::MIN), "");
    }
}
