//! `sync`: files between kits.

use super::{Session, given, segment};
use crate::cli::Sync;
use crate::client::IMPORT_SECONDS_MAX;
use crate::say::{self, Exit};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;

/// `sync`
pub async fn run(session: &Session, command: Sync) -> Result<Exit> {
    match command {
        Sync::Export { out, receiver } => {
            let bytes = given!(bundle(session, receiver.as_deref()).await?);
            keep(&out, &bytes)?;
            let shown = out.display().to_string();
            if session.json {
                say::json(&json!({"file": shown, "bytes": bytes.len()}));
            } else {
                say::line(&format!("{shown}: {} bytes; on the other kit: fieldkit sync import FILE", bytes.len()));
            }
            Ok(Exit::Fine)
        }
        Sync::Import { file } => import(session, &file).await,
    }
}

async fn import(session: &Session, file: &Path) -> Result<Exit> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let reply = session.client.tell_file("/api/v1/bundle", bytes, IMPORT_SECONDS_MAX).await?;
    if !reply.status.is_success() {
        return Ok(say::problem(&reply.body, session.json));
    }
    let taken = reply.body;
    if taken["rolled_back"] == json!(true) {
        say::talk("warning: this kit was put back: the file holds sales of its own that are not here any more");
        say::talk("It goes on as a new replica with a new receipt series; what it held of limited goods rests.");
    }
    if taken["forked"] == json!(true) {
        say::talk("warning: two histories of one kit came together; both are counted from the next start on");
    }
    if session.json {
        say::json(&taken);
    } else {
        let (ops, new) = (say::text(&taken, "ops"), say::text(&taken, "new"));
        let (from, streams) = (say::text(&taken, "from"), say::text(&taken, "streams"));
        say::line(&format!("from {from}: {new} of {ops} entries were new, in {streams} series"));
    }
    Ok(Exit::Fine)
}

/// A bundle of this kit, for another one where it is named.
pub async fn bundle(session: &Session, receiver: Option<&str>) -> Result<std::result::Result<Vec<u8>, Exit>> {
    let path = match receiver {
        None => "/api/v1/bundle".to_owned(),
        Some(name) => format!("/api/v1/bundle?for={}", segment(name)),
    };
    let (status, bytes) = session.client.get_file(&path, IMPORT_SECONDS_MAX).await?;
    if status.is_success() {
        return Ok(Ok(bytes.to_vec()));
    }
    let problem: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Err(say::problem(&problem, session.json)))
}

/// Writes a file whole or not at all.
pub fn keep(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().context("the file needs a name")?.to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let written = fs::File::create(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}
