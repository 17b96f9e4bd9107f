//! `status`, `verify`, `keys`: how the kit is, and whether its history holds.

use super::{Session, data_dir, given};
use crate::cli::{Common, Status, Verify};
use crate::client::{Client, VERIFY_SECONDS_MAX};
use crate::identity::{Identity, Organisation};
use crate::say::{self, Exit};
use anyhow::{Context, Result, bail};
use fieldkit_core::receipt;
use fieldkit_sqlite::verify;
use serde_json::{Value, json};
use std::path::Path;

/// `status`
pub async fn status(session: &Session, options: Status) -> Result<Exit> {
    if let Some(slip) = options.slip {
        let body = json!({"slip": slip});
        let verdict = given!(session.tell("/api/v1/witness", &body).await?);
        if session.json {
            say::json(&verdict);
        } else {
            say::line(match say::text(&verdict, "verdict").as_str() {
                "agrees" => "the journal holds this receipt: nothing is missing up to it",
                "ahead" | "contradicts" => {
                    "the journal does not hold this receipt: check the mark; if it is typed right, this kit went back in \
                     time, and sales after its last entry are missing here. Nothing was changed."
                }
                _ => "this kit has not written such a receipt. Nothing was changed.",
            });
        }
        return Ok(Exit::Fine);
    }
    let status = given!(session.get("/api/v1/status").await?);
    if session.json {
        say::json(&status);
        return Ok(Exit::Fine);
    }
    say::line(&format!("kit         {} ({})", say::text(&status, "kit"), say::text(&status, "replica")));
    let event = match status["event"].as_str() {
        Some(id) => format!("{} ({id})", say::text(&status, "event_name")),
        None => "none is open: nothing can be sold".to_owned(),
    };
    say::line(&format!("event       {event}"));
    if status["training"] == json!(true) {
        say::line("            TRAINING: nothing here is a real sale");
    }
    let durability = &status["durability"];
    say::line(&format!("durability  {} (black box {})", say::text(durability, "word"), say::text(durability, "box")));
    say::line(&format!("drawer      {}", say::text(&status, "drawer")));
    say::line(&format!("clock       {}", say::text(&status["clock"], "quality")));
    if status["exposure"]["minor"].as_i64().is_some_and(|minor| minor != 0) {
        say::line(&format!("exposure    {} taken by cards without the issuer", say::money(&status["exposure"])));
    }
    for device in status["devices"].as_array().into_iter().flatten() {
        say::line(&device_line(device));
    }
    for notice in status["notices"].as_array().into_iter().flatten() {
        let (level, text) = (say::text(notice, "level"), say::text(notice, "text"));
        say::line(&format!("{level}: {text} {}", say::text(notice, "next_step")));
    }
    Ok(Exit::Fine)
}

/// What a device is, how the contact is and why, what it shows.
fn device_line(device: &Value) -> String {
    let part = |name: &str| say::text(device, name);
    let mut line = format!("{:<11} {}: {}", part("role"), part("label"), part("link"));
    if !part("trouble").is_empty() {
        line.push_str(&format!(" ({})", part("trouble")));
    }
    if !part("text").is_empty() {
        line.push_str(&format!(", shows {:?}", part("text")));
    }
    line
}

/// `verify`: by the daemon where it runs, else on the files.
pub async fn verify(common: &Common, options: &Verify) -> Result<Exit> {
    let data = match &options.dir {
        Some(dir) => dir.clone(),
        None => data_dir(common)?,
    };
    let document = match Client::daemon(&data).await {
        Some(client) => {
            // Whether it answers at all is known sooner than a check takes.
            client.get("/api/v1/status").await?;
            let reply = client.get_within("/api/v1/verify", VERIFY_SECONDS_MAX).await?;
            if !reply.status.is_success() {
                return Ok(say::problem(&reply.body, common.json));
            }
            reply.body
        }
        None => {
            let dir = data.clone();
            crate::kit::when_free(&data, move || verify_files(&dir)).await?
        }
    };
    let ok = document["ok"] == json!(true);
    if common.json {
        say::json(&document);
    } else if ok {
        let ops = say::text(&document, "ops");
        say::line(&match document["records"].as_u64() {
            Some(records) => {
                format!("a black box; all is well: {ops} ops in {records} records, every chain and every head")
            }
            None => format!("all is well: {ops} ops, every chain and every head"),
        });
    } else {
        let what = if document["records"].is_u64() { "a black box; not well" } else { "not well" };
        say::line(&format!("{what}: {}", say::text(&document["first_bad"], "detail")));
        say::talk("hint: the black box and other kits may hold what is damaged here; keep this directory as it is");
    }
    Ok(if ok { Exit::Fine } else { Exit::Failed })
}

fn verify_files(data: &Path) -> Result<Value> {
    // Beside a kit's key even a lost journal is the kit's: then it is the journal that is missed.
    let kit = Identity::exists(data);
    if let Some(path) = verify::black_box_at(data).filter(|_| !kit) {
        let report = verify::verify_box(&path)?;
        let records = report.records;
        let mut document = told(report);
        document["records"] = json!(records);
        return Ok(document);
    }
    if !kit && !data.join("journal.db").exists() {
        bail!("there is neither a kit nor a black box in {}", data.display());
    }
    Ok(told(verify::verify(data)?))
}

fn told(report: verify::Verdict) -> Value {
    let head = |(stream, head): (&fieldkit_core::id::StreamId, &fieldkit_core::op::Head)| json!({"stream": stream.text(), "seq": head.seq, "hash": head.hash.hex()});
    json!({
        "ok": report.is_clean(),
        "ops": report.ops,
        "heads": report.heads.iter().map(head).collect::<Vec<_>>(),
        "first_bad": report.fault.map(|fault| json!({"detail": fault.to_string()})),
    })
}

/// `verify --receipt`
pub async fn verify_receipt(common: &Common, options: &Verify) -> Result<Exit> {
    let Some(token) = &options.receipt else { return Ok(Exit::Usage) };
    let (keys, whose) = match &options.key {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let keys: Value =
                serde_json::from_str(&text).with_context(|| format!("{} is no key file", path.display()))?;
            (keys, path.display().to_string())
        }
        None => {
            let session = Session::open(common).await?;
            let keys = session.get("/api/v1/keys").await;
            session.close();
            (given!(keys?), "this kit".to_owned())
        }
    };
    let read = |entry: &Value| -> Option<[u8; 32]> {
        let x = entry["x"].as_str()?;
        data_encoding::BASE64URL_NOPAD.decode(x.as_bytes()).ok()?.try_into().ok()
    };
    let keys: Vec<[u8; 32]> = keys["keys"].as_array().into_iter().flatten().filter_map(read).collect();
    if keys.is_empty() {
        bail!("{whose} holds no Ed25519 key");
    }
    let mut result = Err(receipt::TokenError::Signature);
    for key in keys {
        result = result.or_else(|_| receipt::verify(token, &key));
    }
    match result {
        Ok(found) => {
            let document = json!({
                "ok": true, "seller": found.seller, "receipt": found.number, "order_id": found.order_id,
                "issued_s": found.issued_s, "total": {"minor": found.total, "currency": found.currency}, "training": found.training,
            });
            if common.json {
                say::json(&document);
            } else {
                let total = say::money(&document["total"]);
                let training = if found.training { " (TRAINING: no real sale)" } else { "" };
                say::line(&format!("genuine: {} of {}, {total}{training}", found.number, found.seller));
            }
            Ok(Exit::Fine)
        }
        Err(error) => {
            if common.json {
                say::json(&json!({"ok": false, "detail": error.to_string()}));
            }
            say::talk(&format!("error: {error}"));
            Ok(Exit::Failed)
        }
    }
}

/// `keys`
pub async fn keys(session: &Session) -> Result<Exit> {
    let keys = given!(session.get("/api/v1/keys").await?);
    if session.json {
        say::json(&keys);
        return Ok(Exit::Fine);
    }
    for key in keys["keys"].as_array().into_iter().flatten() {
        say::line(&format!("{}  {}  {}", say::text(key, "kid"), say::text(key, "x"), say::text(key, "label")));
    }
    Ok(Exit::Fine)
}

/// `keys --check-words`
pub async fn check_words(common: &Common) -> Result<Exit> {
    let mut words = String::new();
    std::io::Read::read_to_string(&mut std::io::stdin().lock(), &mut words)?;
    let organisation = Organisation::from_words(&words)?;
    let session = Session::open(common).await?;
    let keys = session.get("/api/v1/keys").await;
    session.close();
    let keys = given!(keys?);
    let ours = data_encoding::BASE64URL_NOPAD.encode(&organisation.public());
    if keys["organisation"] == json!(ours) {
        say::line("these words bring this organisation back");
        return Ok(Exit::Fine);
    }
    say::talk("error: these are words of another organisation");
    Ok(Exit::Failed)
}
