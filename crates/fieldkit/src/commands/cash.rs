//! `cash`: the drawer.

use super::{Session, Usage, amount, event, given, key, segment};
use crate::cli::{Cash, Repeat};
use crate::say::{self, Exit};
use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

/// `cash`
pub async fn run(session: &Session, command: Cash) -> Result<Exit> {
    if let Cash::Show = command {
        let drawer = given!(session.get("/api/v1/drawer").await?);
        return Ok(print(session, &drawer));
    }
    if let Cash::Count { amount, note, event, repeat } = &command {
        return count(session, amount, note, event.as_deref(), repeat).await;
    }
    let currency = given!(session.currency().await?);
    let money =
        |text: &str| -> Result<Value> { Ok(json!({"minor": amount(text, currency)?, "currency": currency.code()})) };
    let movement = |direction: &str, amount: &str, reason: &str| -> Result<Value> {
        Ok(json!({"direction": direction, "amount": money(amount)?, "reason": reason}))
    };
    let (path, body, repeat) = match &command {
        Cash::Open { amount, repeat } => ("open", json!({"amount": money(amount)?}), repeat),
        Cash::In { amount, reason, repeat } => ("move", movement("in", amount, reason)?, repeat),
        Cash::Out { amount, reason, repeat } => ("move", movement("out", amount, reason)?, repeat),
        Cash::Count { .. } | Cash::Show => return Ok(Exit::Usage),
    };
    let key = key(repeat)?;
    let drawer = given!(session.write(Method::POST, &format!("/api/v1/drawer/{path}"), &key, &body).await?);
    Ok(print(session, &drawer))
}

/// Counts the drawer of the event that is named, else the one that is open, be its event closed or not.
async fn count(session: &Session, found: &str, note: &str, wanted: Option<&str>, repeat: &Repeat) -> Result<Exit> {
    let mut drawer = given!(session.get("/api/v1/drawer").await?);
    let other = match wanted {
        Some(wanted) => Some(say::text(&given!(event::find(session, wanted).await?), "event_id")),
        None if drawer["state"] == "open" => None,
        None => elsewhere(&drawer)?,
    };
    if let Some(event) = other {
        drawer = given!(session.get(&format!("/api/v1/drawer?event={}", segment(&event))).await?);
        say::talk(&format!("the drawer of {}", say::text(&drawer, "event_name")));
    }
    let currency = match fieldkit_core::money::Currency::from_code(&say::text(&drawer["expected"], "currency")) {
        Some(currency) => currency,
        None => given!(session.currency().await?),
    };
    let mut body = json!({"counted": {"minor": amount(found, currency)?, "currency": currency.code()}, "note": note});
    if drawer["event"].is_string() {
        // Named, so that the same key means the same drawer, whatever is open then.
        body["event"] = drawer["event"].clone();
    }
    let key = key(repeat)?;
    let drawer = given!(session.write(Method::POST, "/api/v1/drawer/count", &key, &body).await?);
    Ok(print(session, &drawer))
}

/// The only drawer that waits to be counted at another event, if any does.
fn elsewhere(drawer: &Value) -> Result<Option<String>> {
    match drawer["uncounted"].as_array().map(Vec::as_slice).unwrap_or_default() {
        [] => Ok(None),
        [only] => Ok(Some(say::text(only, "event"))),
        several => {
            let one = |other: &Value| format!("{} ({})", say::text(other, "event_name"), say::text(other, "event"));
            let list = several.iter().map(one).collect::<Vec<_>>().join(", ");
            Err(Usage(format!("the drawers of several events wait to be counted; say --event: {list}")).into())
        }
    }
}

fn print(session: &Session, drawer: &Value) -> Exit {
    if session.json {
        say::json(drawer);
        return Exit::Fine;
    }
    say::line(&format!("drawer {}", say::text(drawer, "state")));
    if drawer["state"] == "open" {
        say::line(&format!(
            "opening {}   expected {}",
            say::money(&drawer["opening"]),
            say::money(&drawer["expected"])
        ));
    }
    let apart = &drawer["while_closed"];
    if apart["minor"].as_i64().is_some_and(|minor| minor != 0) {
        say::line(&format!("cash taken while no drawer was open {}, not in what is expected", say::money(apart)));
    }
    let count = &drawer["last_count"];
    if count.is_object() {
        let (counted, expected) = (say::money(&count["counted"]), say::money(&count["expected"]));
        let variance = say::money(&count["variance"]);
        say::line(&format!("last count {counted}, expected {expected}, difference {variance}"));
    }
    for other in drawer["uncounted"].as_array().into_iter().flatten() {
        let (name, id) = (say::text(other, "event_name"), say::text(other, "event"));
        say::line(&format!("the drawer of {name} waits to be counted: fieldkit cash count AMOUNT --event {id}"));
    }
    Exit::Fine
}
