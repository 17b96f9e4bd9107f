//! `rights` and `stock pool`: limited goods that several kits share.

use super::{Session, Usage, given, key, sync};
use crate::cli::{Repeat, Rights};
use crate::say::{self, Exit};
use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal};
use std::path::Path;

/// `rights`
pub async fn run(session: &Session, command: Rights) -> Result<Exit> {
    match command {
        Rights::List => list(session).await,
        Rights::Grant { sku, quantity, to, term_ms, out, repeat } => {
            let mut body = json!({"sku": sku, "quantity": quantity, "to": to, "reason": ""});
            if let Some(term_ms) = term_ms {
                body["term_ms"] = Value::from(term_ms);
            }
            grant(session, &to, &body, out.as_deref(), &repeat).await
        }
        Rights::Return { sku, quantity, to, out, repeat } => {
            let body = json!({"sku": sku, "quantity": quantity, "to": to, "reason": "given back"});
            grant(session, &to, &body, out.as_deref(), &repeat).await
        }
        Rights::Ask { sku, quantity, of, repeat } => {
            let mut body = json!({"sku": sku, "quantity": quantity});
            if let Some(of) = of {
                body["of"] = Value::from(of);
            }
            let key = key(&repeat)?;
            let pool = given!(session.write(Method::POST, "/api/v1/rights/ask", &key, &body).await?);
            show(session, &pool);
            say::talk("the other kit hears of it with the next exchange: fieldkit sync export --out FILE");
            Ok(Exit::Fine)
        }
        Rights::DeclareLost { sku, kit, yes, repeat } => declare_lost(session, &sku, &kit, yes, &repeat).await,
        Rights::Admit { slip: Some(slip), repeat, .. } => {
            say::talk(
                "A slip tells of sales only: what this kit gave to others after it will be sold twice. Where it may have",
            );
            say::talk("given any, bring files together first.");
            admit(session, &json!({"slip": slip}), &repeat).await
        }
        Rights::Admit { yes, repeat, .. } => {
            let risk =
                "Whatever this kit sold in a past that it lost, where it was put back or copied, will be sold twice.";
            if !taken(yes, &[risk, "Do this only where the last slip is not enough."], "open what it holds")? {
                return Ok(Exit::Failed);
            }
            admit(session, &json!({"owner": true}), &repeat).await
        }
    }
}

async fn admit(session: &Session, body: &Value, repeat: &Repeat) -> Result<Exit> {
    let key = key(repeat)?;
    let pools = given!(session.write(Method::POST, "/api/v1/rights/admit", &key, body).await?);
    if session.json {
        say::json(&pools);
        return Ok(Exit::Fine);
    }
    for pool in pools.as_array().into_iter().flatten() {
        let (sku, here, rest) = (say::text(pool, "sku"), say::text(pool, "here"), say::text(pool, "at_rest"));
        let word = if pool["shut"] == json!(true) { "still shut" } else { "open" };
        match rest.as_str() {
            "0" => say::line(&format!("{sku}: {word}, {here} here")),
            rest => say::line(&format!("{sku}: {here} here, {rest} at rest until the owner says so")),
        }
    }
    Ok(Exit::Fine)
}

/// Whether a person takes a risk: by an option, or by typing yes.
fn taken(yes: bool, risk: &[&str], deed: &str) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    risk.iter().for_each(|line| say::talk(line));
    if !std::io::stdin().is_terminal() {
        return Err(Usage("nobody can be asked here; say --yes to take that risk".into()).into());
    }
    say::talk(&format!("Type yes to {deed}:"));
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word)?;
    if word.trim() != "yes" {
        say::talk("nothing was changed");
        return Ok(false);
    }
    Ok(true)
}

async fn list(session: &Session) -> Result<Exit> {
    let kits = given!(session.get("/api/v1/kits").await?);
    let pools = given!(session.get("/api/v1/pools").await?);
    if session.json {
        say::json(&json!({"kits": kits, "pools": pools}));
        return Ok(Exit::Fine);
    }
    let row = |kit: &Value| {
        let note = match (kit["own"] == json!(true), kit["retired"] == json!(true)) {
            (true, _) => "this kit",
            (false, true) => "was put back; another key goes on for it",
            (false, false) => "",
        };
        vec![say::text(kit, "kit"), say::text(kit, "replica"), note.to_owned()]
    };
    let rows: Vec<Vec<String>> = kits.as_array().into_iter().flatten().map(row).collect();
    say::table(&["kit", "key", ""], &[], &rows);
    for pool in pools.as_array().into_iter().flatten() {
        say::line("");
        print(pool);
    }
    Ok(Exit::Fine)
}

/// `stock pool`
pub async fn pool(session: &Session, sku: &str) -> Result<Exit> {
    let pools = given!(session.get("/api/v1/pools").await?);
    let found = pools.as_array().into_iter().flatten().find(|pool| pool["sku"] == sku);
    match found {
        Some(pool) => {
            show(session, pool);
            Ok(Exit::Fine)
        }
        None => {
            say::talk(&format!("error: {sku:?} is no limited item of the open event"));
            say::talk("hint: limit it with `fieldkit catalog set SKU --limit hard`; `fieldkit stock` lists all items");
            Ok(Exit::Failed)
        }
    }
}

async fn grant(session: &Session, to: &str, body: &Value, out: Option<&Path>, repeat: &Repeat) -> Result<Exit> {
    let room = out.map(sync::Room::at).transpose()?;
    let key = key(repeat)?;
    let pool = given!(session.write(Method::POST, "/api/v1/rights/grant", &key, body).await?);
    match out.zip(room) {
        None => say::talk("the other kit may sell them once it heard of it: fieldkit sync export --out FILE"),
        Some((path, room)) => {
            let given = "they are the other kit's now, and do not go a second time; for the file: fieldkit sync export --out FILE";
            let bytes = given!(sync::bundle(session, Some(to)).await.context(given)?);
            room.keep(&bytes).context(given)?;
            say::talk(&format!("{} brings it there: fieldkit sync import FILE", path.display()));
        }
    }
    show(session, &pool);
    Ok(Exit::Fine)
}

async fn declare_lost(session: &Session, sku: &str, kit: &str, yes: bool, repeat: &Repeat) -> Result<Exit> {
    let risk = format!(
        "Whatever {kit} sold of {sku:?} that this kit has not heard of will be sold twice, and so will what another kit takes over as well."
    );
    let only = "Do this only where that kit, its disk and its second copy will not come back.";
    if !taken(yes, &[&risk, only], "take over what it holds")? {
        return Ok(Exit::Failed);
    }
    let key = key(repeat)?;
    let body = json!({"sku": sku, "kit": kit});
    let pool = given!(session.write(Method::POST, "/api/v1/rights/lost", &key, &body).await?);
    show(session, &pool);
    Ok(Exit::Fine)
}

fn show(session: &Session, pool: &Value) {
    if session.json { say::json(pool) } else { print(pool) }
}

fn print(pool: &Value) {
    let part = |name: &str| say::text(pool, name);
    let rest = match part("at_rest").as_str() {
        "0" => String::new(),
        rest => format!(", {rest} at rest until a person decides"),
    };
    say::line(&format!("{} {}: {} sold{rest}", part("sku"), part("name"), part("sold")));
    for holder in pool["holders"].as_array().into_iter().flatten() {
        let own = if holder["own"] == json!(true) { " (this kit)" } else { "" };
        say::line(&format!("  {} at {}{own}", say::text(holder, "held"), say::text(holder, "kit")));
    }
    for lease in pool["leases"].as_array().into_iter().flatten() {
        let (held, to, from) = (say::text(lease, "held"), say::text(lease, "to"), say::text(lease, "from"));
        let rests = if lease["rests"] == json!(true) { "; this kit does not sell by it now" } else { "" };
        say::line(&format!("  {held} at {to} until {}, leased by {from}{rests}", say::text(lease, "until")));
    }
    for ask in pool["asks"].as_array().into_iter().flatten() {
        let (by, of, quantity) = (say::text(ask, "by"), say::text(ask, "of"), say::text(ask, "quantity"));
        say::line(&format!("  {by} asks {of} for {quantity}"));
    }
    if pool["shut"] == json!(true) {
        say::line(
            "  shut after a start: open a till page that was open before, or `fieldkit rights admit --slip MARK`",
        );
    }
}
