//! `cash`: the drawer.

use super::{Session, amount, given, key};
use crate::cli::Cash;
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
    let currency = given!(session.currency().await?);
    let money =
        |text: &str| -> Result<Value> { Ok(json!({"minor": amount(text, currency)?, "currency": currency.code()})) };
    let (path, body) = match &command {
        Cash::Open { amount } => ("open", json!({"amount": money(amount)?})),
        Cash::Count { amount, note } => ("count", json!({"counted": money(amount)?, "note": note})),
        Cash::In { amount, reason } => ("move", json!({"direction": "in", "amount": money(amount)?, "reason": reason})),
        Cash::Out { amount, reason } => {
            ("move", json!({"direction": "out", "amount": money(amount)?, "reason": reason}))
        }
        Cash::Show => return Ok(Exit::Usage),
    };
    let key = key(&None)?;
    let drawer = given!(session.write(Method::POST, &format!("/api/v1/drawer/{path}"), &key, &body).await?);
    Ok(print(session, &drawer))
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
    let count = &drawer["last_count"];
    if count.is_object() {
        let (counted, expected) = (say::money(&count["counted"]), say::money(&count["expected"]));
        let variance = say::money(&count["variance"]);
        say::line(&format!("last count {counted}, expected {expected}, difference {variance}"));
    }
    Exit::Fine
}
