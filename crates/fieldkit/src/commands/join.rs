//! `join`: how a kit comes into an organisation that another kit belongs to.

use super::sync::{self, Room};
use super::{Session, Usage, data_dir, given, key, setup};
use crate::cli::{Common, Repeat};
use crate::joining::{self, Request};
use crate::kit::Settings;
use crate::say::{self, Exit};
use anyhow::{Context, Result};
use hyper::Method;
use serde_json::json;
use std::path::Path;

/// `join request`
pub fn request(common: &Common, name: &str, out: &Path) -> Result<Exit> {
    if name.trim().is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err(Usage("a kit's name has 1 to 60 characters".into()).into());
    }
    let data = data_dir(common)?;
    let room = Room::at(out)?;
    let request = joining::request(&data, name.trim())?;
    room.keep(request.text().as_bytes())?;
    let key = request.replica.label();
    if common.json {
        say::json(&json!({"kit": request.kit, "replica": key, "file": out.display().to_string()}));
    } else {
        say::line(&format!("{}: the request of {}, key {key}", out.display(), request.kit));
    }
    let out = out.display();
    say::talk(&format!("next, on a kit of the organisation: fieldkit join admit {out} --out FILE"));
    Ok(Exit::Fine)
}

/// `join admit`
pub async fn admit(session: &Session, file: &Path, out: &Path, repeat: &Repeat) -> Result<Exit> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let no_request = || format!("{} is no request to join", file.display());
    let text = String::from_utf8(bytes).ok().context("it is no text").with_context(no_request)?;
    let request = Request::read(&text).with_context(no_request)?;
    let room = Room::at(out)?;
    let kits = given!(session.get("/api/v1/kits").await?);
    let name = request.replica.label();
    let known = kits.as_array().into_iter().flatten().any(|kit| kit["replica"] == name.as_str());
    if known {
        say::talk(&format!("{} was admitted before; the file is written once more", request.kit));
    } else {
        let key = key(repeat)?;
        let body = json!({"kit": request.kit, "key": data_encoding::HEXLOWER.encode(&request.replica.0)});
        given!(session.write(Method::POST, "/api/v1/kits", &key, &body).await?);
    }
    let bytes = given!(sync::bundle(session, None).await?);
    room.keep(&bytes)
        .with_context(|| format!("{} is a kit of this organisation now; run this again for the file", request.kit))?;
    if session.json {
        let file = out.display().to_string();
        say::json(&json!({"kit": request.kit, "replica": name, "file": file, "bytes": bytes.len()}));
    } else {
        say::line(&format!("{} (key {name}) is a kit of this organisation; {} is for it", request.kit, out.display()));
    }
    let out = out.display();
    say::talk(&format!(
        "compare the key with the one that the other kit showed. Next, there: fieldkit join finish {out}"
    ));
    Ok(Exit::Fine)
}

/// `join finish`
pub fn finish(common: &Common, file: &Path) -> Result<Exit> {
    let data = data_dir(common)?;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let settings = Settings::new(common, data.clone());
    if let Some(place) = &common.black_box {
        crate::config::unknown_black_box(&data, place)?;
    }
    let kit = joining::finish(&settings, &bytes)?;
    if let Some(place) = &common.black_box {
        crate::config::remember_black_box(&data, place)?;
    }
    crate::known::remember(&data);
    setup::show(common, &settings, &kit, &format!("{kit} is ready; data: {}", data.display()))?;
    say::talk("limited goods come with `fieldkit rights grant` on the kit that holds them. Next: fieldkit up");
    Ok(Exit::Fine)
}
