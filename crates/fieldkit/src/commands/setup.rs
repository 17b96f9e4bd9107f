//! `init`: the organisation, this kit, a first event.

use super::{Usage, data_dir, event};
use crate::cli::{Common, Init};
use crate::identity::{Identity, Organisation};
use crate::kit::{Running, Settings, open_new};
use crate::say::{self, Exit};
use anyhow::{Context, Result, bail};
use fieldkit_core::decide::Founding;
use serde_json::json;

/// `init`
pub fn init(common: &Common, options: &Init) -> Result<Exit> {
    let data = data_dir(common)?;
    let settings = Settings::new(common, data.clone());
    let event_name = options.event.as_ref().unwrap_or(&options.name);
    let mut event = event::new_event(event_name, &options.currency, &options.settings)?;
    if event.seller.name.is_empty() {
        // A receipt must say who sells; the stall's own name is the best that is known.
        event.seller.name.clone_from(&options.name);
    }
    if Identity::exists(&data) && data.join("journal.db").exists() {
        bail!("there is a kit in {} already; nothing was changed", data.display());
    }
    if let Some(kit) = &options.kit {
        let text = std::fs::read_to_string(kit).with_context(|| format!("cannot read {}", kit.display()))?;
        crate::config::parse(&text, kit)?;
        std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        std::fs::copy(kit, data.join(crate::config::FILE)).with_context(|| format!("cannot copy {}", kit.display()))?;
    }
    if let Some(place) = &common.black_box {
        // Said twice and differently is refused before anything is founded.
        crate::config::unknown_black_box(&data, place)?;
    }
    let words = found(&settings, &options.name, &options.label, event)?;
    // Before anything else can fail: nobody can show them again.
    tell_words(&words);
    if let Some(place) = &common.black_box {
        crate::config::remember_black_box(&data, place)?;
    }
    crate::known::remember(&data);
    let ready = format!(
        "{} is ready: event {event_name}, sales in {}\ndata: {}",
        options.name,
        options.currency,
        data.display()
    );
    show(common, &settings, &options.label, &ready)?;
    say::talk("next: fieldkit catalog import FILE.csv, then fieldkit up");
    Ok(Exit::Fine)
}

/// Starts a kit that was just made, and says what it is: as JSON, or in these words.
pub fn show(common: &Common, settings: &Settings, label: &str, ready: &str) -> Result<()> {
    let running = Running::start(settings)?;
    let shown = running.founded();
    running.stop();
    let shown = shown?;
    if common.json {
        say::json(&json!({
            "kit": label,
            "replica": shown.replica.label(),
            "event": shown.event.map(|id| id.text()),
            "key_id": data_encoding::HEXLOWER.encode(&shown.replica.0[..8]),
        }));
    } else {
        ready.lines().for_each(say::line);
    }
    Ok(())
}

fn tell_words(words: &str) {
    say::talk("Write these 24 recovery words on paper. They are shown only now, and bring the organisation back");
    say::talk("when every kit is lost:");
    for (at, row) in words.split_whitespace().collect::<Vec<_>>().chunks(6).enumerate() {
        say::talk(&format!("  {:2}  {}", at * 6 + 1, row.join(" ")));
    }
    say::talk("");
}

/// Founds an organisation in an empty data directory; returns the recovery words.
pub fn found(settings: &Settings, name: &str, label: &str, event: fieldkit_core::decide::NewEvent) -> Result<String> {
    if label.trim().is_empty() || label.chars().count() > 60 || label.chars().any(char::is_control) {
        return Err(Usage("a kit's label has 1 to 60 characters".into()).into());
    }
    let organisation = Organisation::generate()?;
    let identity = Identity::generate(label)?;
    let proof = organisation.admit(&identity.replica(), label);
    let owner = crate::people::Owner::new(name)?;
    let founding = Founding {
        name: name.to_owned(),
        organisation_key: organisation.public(),
        label: label.to_owned(),
        proof,
        owner: owner.commitment(),
        event,
    };
    // The rules speak before anything is written.
    if let Err(refusal) = founding.drafts(identity.replica()) {
        bail!("{refusal}. {}", refusal.next_step());
    }
    open_new(settings, &identity, &founding, &owner)?;
    Ok(organisation.words)
}
