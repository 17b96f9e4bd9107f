//! `event`.

use super::{Session, Usage, given, key, pair, percent_ppm, segment};
use crate::cli::{Event, EventSettings, PricesArg, Repeat};
use crate::say::{self, Exit};
use anyhow::{Context, Result};
use fieldkit_core::body::{Prices, Seller, TaxRate};
use fieldkit_core::decide::NewEvent;
use fieldkit_core::id::OpId;
use hyper::Method;
use serde_json::{Value, json};

/// `event`
pub async fn run(session: &Session, command: Event) -> Result<Exit> {
    match command {
        Event::Create { name, currency, clone, settings, repeat } => {
            create(session, name, currency, clone, settings, &repeat).await
        }
        Event::Open { event, repeat } => open(session, &event, &repeat).await,
        Event::Close { event, repeat } => close(session, event, &repeat).await,
        Event::List => {
            let events = given!(session.get("/api/v1/events").await?);
            if session.json {
                say::json(&events);
                return Ok(Exit::Fine);
            }
            let row = |event: &Value| {
                let training = if event["training"] == json!(true) { "TRAINING" } else { "" };
                let mut row =
                    ["event_id", "name", "state", "currency", "zone"].map(|name| say::text(event, name)).to_vec();
                row.push(training.to_owned());
                row
            };
            let rows: Vec<Vec<String>> = events.as_array().into_iter().flatten().map(row).collect();
            say::table(&["event", "name", "state", "currency", "zone", ""], &[], &rows);
            Ok(Exit::Fine)
        }
    }
}

async fn create(
    session: &Session,
    name: String,
    currency: Option<String>,
    clone: Option<String>,
    settings: EventSettings,
    repeat: &Repeat,
) -> Result<Exit> {
    let status = given!(session.get("/api/v1/status").await?);
    let currency = currency.unwrap_or_else(|| say::text(&status, "currency"));
    let new = new_event(&name, &currency, &settings)?;
    let rates = new.tax_rates.iter().map(|rate| json!({"id": rate.id, "name": rate.name, "ppm": rate.ppm}));
    let mut body = json!({
        "name": new.name, "zone": new.zone, "day_cutover_minutes": new.day_cutover_minutes, "currency": currency,
        "seller": {"name": new.seller.name, "address": new.seller.address, "tax_id": new.seller.tax_id},
        "tax_rates": rates.collect::<Vec<_>>(), "prices": new.prices.text(), "training": new.training,
    });
    if let Some(source) = clone {
        let found = if source.is_empty() { current(session, &status).await? } else { find(session, &source).await? };
        let found = given!(found);
        body["clone_from"] = found["event_id"].clone();
        inherit(&mut body, &found, &settings);
    }
    let key = key(repeat)?;
    let event = given!(session.write(Method::POST, "/api/v1/events", &key, &body).await?);
    Ok(print(session, &event))
}

/// The event that sales go to; without one the newest is meant, with which the list begins.
async fn current(session: &Session, status: &Value) -> Result<std::result::Result<Value, Exit>> {
    let events = match session.get("/api/v1/events").await? {
        Ok(events) => events,
        Err(exit) => return Ok(Err(exit)),
    };
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    let found = events.iter().find(|event| event["event_id"] == status["event"]).or(events.first());
    let none = || say::problem(&json!({"code": "no_event", "detail": "there is no event to clone"}), session.json);
    Ok(found.cloned().ok_or_else(none))
}

/// What was not said is as it was at the event that is cloned.
fn inherit(body: &mut Value, from: &Value, settings: &EventSettings) {
    let mut take = |name: &str, unsaid: bool| {
        if unsaid {
            body[name] = from[name].clone();
        }
    };
    take("tax_rates", settings.taxes.is_empty());
    take("zone", settings.zone.is_none());
    take("seller", settings.seller.is_empty() && settings.address.is_empty() && settings.tax_id.is_empty());
}

/// The event that a person means, by its id or its name.
pub async fn find(session: &Session, wanted: &str) -> Result<std::result::Result<Value, Exit>> {
    let events = match session.get("/api/v1/events").await? {
        Ok(events) => events,
        Err(exit) => return Ok(Err(exit)),
    };
    let picked = pick(events.as_array().map(Vec::as_slice).unwrap_or_default(), wanted);
    Ok(picked.cloned().map_err(|problem| say::problem(&problem, session.json)))
}

/// The event of that id, else the only one of that name; of several the only one that is open.
fn pick<'a>(events: &'a [Value], wanted: &str) -> std::result::Result<&'a Value, Value> {
    if let Some(id) = OpId::from_text(wanted).map(|id| id.text())
        && let Some(event) = events.iter().find(|event| event["event_id"] == id.as_str())
    {
        return Ok(event);
    }
    let name = wanted.trim().to_lowercase();
    let named: Vec<&Value> = events.iter().filter(|event| say::text(event, "name").to_lowercase() == name).collect();
    let open: Vec<&Value> = named.iter().copied().filter(|event| event["state"] == "open").collect();
    match (named.as_slice(), open.as_slice()) {
        ([event], _) | (_, [event]) => Ok(event),
        ([], _) => Err(json!({
            "code": "unknown_event",
            "detail": format!("there is no event {wanted:?}"),
            "next_step": "See the events with `fieldkit event list`.",
        })),
        (several, _) => {
            let one = |event: &&Value| {
                let part = |name| say::text(event, name);
                format!("{} ({}, since {})", part("event_id"), part("state"), part("opened_at"))
            };
            Err(json!({
                "code": "ambiguous_event",
                "detail": format!(
                    "{} events are called {wanted:?}: {}",
                    several.len(),
                    several.iter().map(one).collect::<Vec<_>>().join("; ")
                ),
                "next_step": "Say which by its id.",
            }))
        }
    }
}

async fn open(session: &Session, event: &str, repeat: &Repeat) -> Result<Exit> {
    let id = say::text(&given!(find(session, event).await?), "event_id");
    let key = key(repeat)?;
    let path = format!("/api/v1/events/{}/open", segment(&id));
    let event = given!(session.write(Method::POST, &path, &key, &json!({})).await?);
    print(session, &event);
    if !session.json {
        say::line("sales go to it now");
    }
    Ok(Exit::Fine)
}

/// Closes an event and says where sales go now, which nobody may have chosen.
async fn close(session: &Session, event: Option<String>, repeat: &Repeat) -> Result<Exit> {
    let id = match event {
        Some(event) => say::text(&given!(find(session, &event).await?), "event_id"),
        None => say::text(&given!(session.get("/api/v1/status").await?), "event"),
    };
    if id.is_empty() {
        say::talk("error: no event is open\nhint: see them with `fieldkit event list`");
        return Ok(Exit::Failed);
    }
    let key = key(repeat)?;
    let path = format!("/api/v1/events/{}/close", segment(&id));
    let event = given!(session.write(Method::POST, &path, &key, &json!({})).await?);
    print(session, &event);
    if session.json {
        return Ok(Exit::Fine);
    }
    let next = &event["sales_go_to"];
    say::line(&if next.is_object() {
        format!("sales go to {} now ({})", say::text(next, "name"), say::text(next, "event_id"))
    } else {
        "no event is open now: nothing can be sold until `fieldkit event create`".to_owned()
    });
    Ok(Exit::Fine)
}

fn print(session: &Session, event: &Value) -> Exit {
    if session.json {
        say::json(event);
    } else {
        let (name, state) = (say::text(event, "name"), say::text(event, "state"));
        say::line(&format!("{name} is {state} ({})", say::text(event, "event_id")));
    }
    Exit::Fine
}

/// An event from the command line's settings.
pub fn new_event(name: &str, currency: &str, settings: &EventSettings) -> Result<NewEvent> {
    let (hours, minutes) = settings.day_cutover.split_once(':').context("the day's cut-over is given as HH:MM")?;
    let (hours, minutes): (u16, u16) = (hours.parse()?, minutes.parse()?);
    if hours > 23 || minutes > 59 {
        return Err(Usage(format!("{:?} is no time of day", settings.day_cutover)).into());
    }
    Ok(NewEvent {
        name: name.to_owned(),
        zone: settings.zone.clone().unwrap_or_else(machine_zone),
        day_cutover_minutes: hours * 60 + minutes,
        currency: currency.to_owned(),
        seller: Seller {
            name: settings.seller.clone(),
            address: settings.address.clone(),
            tax_id: settings.tax_id.clone(),
        },
        tax_rates: settings.taxes.iter().map(|text| tax_rate(text)).collect::<Result<_>>()?,
        prices: match settings.prices {
            PricesArg::Inclusive => Prices::Inclusive,
            PricesArg::Exclusive => Prices::Exclusive,
        },
        training: settings.training,
        clone_from: None,
    })
}

/// `190000`, `standard=190000`, or `standard=190000=VAT 19 %`.
fn tax_rate(text: &str) -> Result<TaxRate> {
    let parts: Vec<&str> = text.splitn(3, '=').collect();
    let (id, ppm, name) = match parts.as_slice() {
        [ppm] => ("standard", *ppm, None),
        [id, ppm] => (*id, *ppm, None),
        [id, ppm, name] => (*id, *ppm, Some(*name)),
        _ => pair(text, "ID=PPM=NAME").map(|(id, ppm)| (id, ppm, None))?,
    };
    let ppm = rate_ppm(ppm)?;
    let percent = format!("{}.{:04}", ppm / 10_000, ppm % 10_000);
    let percent = percent.trim_end_matches('0').trim_end_matches('.');
    let name = name.map_or_else(|| format!("tax {percent} %"), str::to_owned);
    Ok(TaxRate { id: id.to_owned(), name, ppm })
}

/// `190000` parts per million, or `19%`. So few parts per million that a percentage was meant are refused.
fn rate_ppm(text: &str) -> Result<u32> {
    let wrong = || Usage(format!("{text:?} is no tax rate; write 19% or 190000 (parts per million)"));
    let Some(percent) = text.strip_suffix('%') else {
        let ppm: u32 = text.parse().map_err(|_| wrong())?;
        return if ppm == 0 || ppm >= 1_000 { Ok(ppm) } else { Err(wrong().into()) };
    };
    percent_ppm(percent.trim()).ok_or_else(|| wrong().into())
}

/// The machine's IANA zone, UTC where it cannot be told.
fn machine_zone() -> String {
    let known = |zone: &str| zone.parse::<chrono_tz::Tz>().is_ok();
    let variable = std::env::var("TZ").ok().filter(|zone| known(zone));
    let link = || {
        let target = std::fs::read_link("/etc/localtime").ok()?;
        let text = target.to_str()?.split_once("zoneinfo/")?.1.to_owned();
        known(&text).then_some(text)
    };
    let file = || std::fs::read_to_string("/etc/timezone").ok().map(|text| text.trim().to_owned());
    variable.or_else(link).or_else(|| file().filter(|zone| known(zone))).unwrap_or_else(|| "UTC".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_meant_by_its_id_or_a_name_that_only_one_has() {
        let id = |seq| OpId { stream: fieldkit_core::id::StreamId([1; 16]), seq }.text();
        let event = |seq, name: &str, state: &str| json!({"event_id": id(seq), "name": name, "state": state});
        let events = [
            event(1, "Market", "open"),
            event(2, "Market", "closed"),
            event(3, "Fair", "closed"),
            event(4, "Drop", "open"),
            event(5, "drop", "open"),
        ];
        let check = |wanted: &str| match pick(&events, wanted) {
            Ok(event) => say::text(event, "event_id"),
            Err(problem) => say::text(&problem, "code"),
        };
        assert_eq!([check(&id(2)), check(&id(2).to_lowercase())], [id(2), id(2)]);
        assert_eq!([check("fair "), check("MARKET")], [id(3), id(1)], "of two the one that is open");
        assert_eq!([check("drop"), check("fai"), check(&id(9))], ["ambiguous_event", "unknown_event", "unknown_event"]);
        let detail = say::text(&pick(&events, "drop").expect_err("two are open"), "detail");
        assert!(detail.contains(&format!("{} (open", id(4))) && detail.contains(&id(5)), "{detail}");
    }

    #[test]
    fn tax_rates_are_named_by_their_percentage() {
        let rate = tax_rate("standard=190000").expect("a rate");
        assert_eq!((rate.name.as_str(), rate.ppm), ("tax 19 %", 190_000));
        assert_eq!(tax_rate("75000").expect("a rate").name, "tax 7.5 %");
        assert_eq!(tax_rate("19%").expect("a rate").ppm, 190_000);
        assert_eq!(tax_rate("reduced=7.7%").expect("a rate").ppm, 77_000);
        assert!(tax_rate("a=b").is_err());
        assert!(tax_rate("19").is_err(), "19 parts per million are nobody's tax");
    }
}
