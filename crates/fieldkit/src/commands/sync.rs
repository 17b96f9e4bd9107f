//! `sync`: files between kits.

use super::{Session, given, segment};
use crate::cli::Sync;
use crate::client::IMPORT_SECONDS_MAX;
use crate::joining::Request;
use crate::say::{self, Exit};
use anyhow::{Context, Result, bail};
use fieldkit_sync::bundle::MAGIC;
use serde_json::{Value, json};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Notices about what kits did without knowing of each other.
const CONTRADICTIONS: [&str; 4] = ["oversold", "contested", "over_refund", "below_zero"];

/// `sync`
pub async fn run(session: &Session, command: Sync) -> Result<Exit> {
    match command {
        Sync::Export { out, receiver } => {
            let room = Room::at(&out)?;
            let bytes = given!(bundle(session, receiver.as_deref()).await?);
            room.keep(&bytes)?;
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
    // A kit that has to count anew does not answer before it did.
    if taken["forked"] == json!(true) {
        return Ok(Exit::Fine);
    }
    contradictions(session).await
}

/// Says what a person has to settle, now that more is known.
async fn contradictions(session: &Session) -> Result<Exit> {
    let status = given!(session.get("/api/v1/status").await?);
    for notice in status["notices"].as_array().into_iter().flatten() {
        if notice["code"].as_str().is_some_and(|code| CONTRADICTIONS.contains(&code)) {
            say::talk(&format!("warning: {} {}", say::text(notice, "text"), say::text(notice, "next_step")));
        }
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

/// Room for a file to give away: begun before anything is done of which the file is to tell.
pub struct Room {
    path: PathBuf,
    fresh: PathBuf,
    file: fs::File,
    kept: bool,
}

impl Room {
    /// At a place where nothing is, or an earlier file of this sort.
    pub fn at(path: &Path) -> Result<Room> {
        let failed = || format!("cannot write {}; nothing was changed", path.display());
        let mut name = path.file_name().context("the file needs a name").with_context(failed)?.to_owned();
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(failed),
            Ok(there) if there.is_file() && is_ours(path).with_context(failed)? => {}
            Ok(_) => {
                bail!("{} is there and is no file between kits; nothing was changed. Name another file", path.display())
            }
        }
        name.push(".new");
        let fresh = path.with_file_name(name);
        let file = fs::File::create(&fresh).with_context(failed)?;
        Ok(Room { path: path.to_owned(), fresh, file, kept: false })
    }

    /// Writes the file whole or not at all.
    pub fn keep(mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_all());
        let written = written.and_then(|()| fs::rename(&self.fresh, &self.path));
        self.kept = written.is_ok();
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.fresh);
        }
    }
}

/// Whether a file is empty, a bundle, or a request to join.
fn is_ours(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(4_096).read_to_end(&mut head)?;
    let request = std::str::from_utf8(&head).is_ok_and(|text| Request::read(text).is_ok());
    Ok(head.is_empty() || head.starts_with(MAGIC) || request)
}
