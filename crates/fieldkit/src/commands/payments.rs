//! `payments`: the list; and what is done about orders that wait, payments in doubt, charges that belong to no order.

use super::{Session, amount, event, given, key, sale, segment, waiting};
use crate::cli::{ChargedArg, Payments, PaymentsCommand, Repeat};
use crate::say::{self, Exit};
use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

/// `payments`
pub async fn run(session: &Session, options: Payments) -> Result<Exit> {
    let Some(command) = options.command else { return list(session, options.limit).await };
    match command {
        PaymentsCommand::Begin { order, amount: part, waiting, repeat } => {
            let mut body = json!({});
            if let Some(part) = &part {
                let currency = given!(session.currency().await?);
                body["amount"] = json!({"minor": amount(part, currency)?, "currency": currency.code()});
            }
            let key = key(&repeat)?;
            let path = format!("/api/v1/orders/{}/payments", segment(&order));
            let order = given!(session.write(Method::POST, &path, &key, &body).await?);
            waiting::finish(session, order, &waiting, &key).await
        }
        PaymentsCommand::Settle { order, tenders, repeat } => {
            let currency = given!(session.currency().await?);
            let tenders = tenders.iter().map(|text| sale::tender(text, currency)).collect::<Result<Vec<Value>>>()?;
            write(session, &order, "settle", &json!({"tenders": tenders}), &repeat).await
        }
        PaymentsCommand::Cancel { order, reason, repeat } => {
            write(session, &order, "cancel", &json!({"reason": reason}), &repeat).await
        }
        PaymentsCommand::Close { order, payment, charged, evidence, repeat } => {
            let body = json!({"charged": charged == ChargedArg::Yes, "evidence": evidence});
            write(session, &order, &format!("payments/{}/close", segment(&payment)), &body, &repeat).await
        }
        PaymentsCommand::Reverse { order, payment, reason, repeat } => {
            let path = format!("payments/{}/reverse", segment(&payment));
            write(session, &order, &path, &json!({"reason": reason}), &repeat).await
        }
        PaymentsCommand::Foreign { settle, note, event, repeat } => match (settle, note) {
            (Some(found), Some(note)) => clear_up(session, &found, &note, &repeat).await,
            _ => foreign(session, event.as_deref()).await,
        },
    }
}

async fn list(session: &Session, limit: u32) -> Result<Exit> {
    let all = given!(sale::pages(session, "payments", "payment_id", limit).await?);
    if session.json {
        say::json(&Value::Array(all));
        return Ok(Exit::Fine);
    }
    let row = |payment: &Value| {
        let mut row = vec![say::text(payment, "payment_id")];
        row.extend(sale::payment_line(payment));
        row
    };
    let heads = ["payment", "tender", "state", "amount", "reference"];
    say::table(&heads, &[3], &all.iter().map(row).collect::<Vec<_>>());
    Ok(Exit::Fine)
}

/// Does something about an order, and prints it as it is then.
async fn write(session: &Session, order: &str, what: &str, body: &Value, repeat: &Repeat) -> Result<Exit> {
    let key = key(repeat)?;
    let path = format!("/api/v1/orders/{}/{what}", segment(order));
    let order = given!(session.write(Method::POST, &path, &key, body).await?);
    sale::print_sale(session, &order);
    waiting::say_reversal(&order);
    Ok(Exit::Fine)
}

/// `payments foreign`
async fn foreign(session: &Session, wanted: Option<&str>) -> Result<Exit> {
    let query = match wanted {
        Some(wanted) => {
            let event = given!(event::find(session, wanted).await?);
            format!("?event={}", segment(&say::text(&event, "event_id")))
        }
        None => String::new(),
    };
    let all = given!(session.get(&format!("/api/v1/foreign-payments{query}")).await?);
    if session.json {
        say::json(&all);
        return Ok(Exit::Fine);
    }
    let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        say::talk("no charge without an order is known at this event; for another say --event NAME");
        return Ok(Exit::Fine);
    }
    let heads = ["found", "terminal", "amount", "receipt", "card", "when", "cleared up"];
    say::table(&heads, &[2, 3], &all.iter().map(foreign_row).collect::<Vec<_>>());
    if all.iter().any(|found| found["settled"] == json!(false)) {
        say::talk("hint: fieldkit payments foreign --settle ID --note TEXT");
    }
    Ok(Exit::Fine)
}

fn foreign_row(found: &Value) -> Vec<String> {
    let part = |name: &str| say::text(found, name);
    let when = format!("{} {}", part("date"), part("time")).trim().to_owned();
    let note = if found["settled"] == json!(true) { part("note") } else { "no".to_owned() };
    vec![part("found_id"), part("terminal_id"), say::money(&found["amount"]), part("receipt"), part("card"), when, note]
}

/// `payments foreign --settle`
async fn clear_up(session: &Session, found: &str, note: &str, repeat: &Repeat) -> Result<Exit> {
    let key = key(repeat)?;
    let path = format!("/api/v1/foreign-payments/{}/settle", segment(found));
    let found = given!(session.write(Method::POST, &path, &key, &json!({"note": note})).await?);
    if session.json {
        say::json(&found);
    } else {
        say::line(&format!("{} cleared up: {}", say::money(&found["amount"]), say::text(&found, "note")));
    }
    Ok(Exit::Fine)
}
