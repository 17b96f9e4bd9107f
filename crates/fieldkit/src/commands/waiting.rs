//! Waiting for a card: what the terminal shows meanwhile, and what is to be done in the end.
//!
//! Promises: the wait has a deadline; it ends with exit code 0 only where the order is paid. Where nobody knows whether a
//! card was charged, no text suggests charging it again.
//! Absent on purpose: stopping the terminal. Whoever stops waiting leaves the order as it is.

use super::sale::print_sale;
use super::{Session, segment};
use crate::cli::Waiting;
use crate::client::Client;
use crate::say::{self, Exit};
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Between two looks at an order.
const LOOK_MS: u64 = 25;

/// How long a void waits for its terminal.
const UNDO_SECONDS_MAX: u64 = 90;
/// How long the kit has to ask the terminal itself before a person hears that nobody knows.
const DOUBT_MS_MAX: u64 = 8_000;

/// What an order is to whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Paid, whatever happened to it since.
    Paid,
    /// A payment runs.
    UnderWay,
    /// A card may have been charged, or a charge undone.
    Unknown,
    /// Another amount was charged than was asked, and the terminal has not undone it.
    Amiss,
    /// It waits, and nothing runs.
    Open,
    /// It was given up.
    GivenUp,
}

/// How a wait ended.
#[derive(Debug)]
enum End {
    /// With an outcome.
    Told,
    /// It was not to wait.
    NotWaited,
    /// The deadline came first.
    Late,
    /// The person stopped it.
    Stopped,
    /// The kit stopped answering.
    Lost(anyhow::Error),
}

/// Waits until no payment of the order runs, prints the order, says what to do.
pub async fn finish(session: &Session, order: Value, waiting: &Waiting, key: &str) -> Result<Exit> {
    let (order, end) = if waiting.no_wait {
        (order, End::NotWaited)
    } else {
        follow(session, order, Duration::from_secs(waiting.wait)).await?
    };
    print_sale(session, &order);
    let (exit, lines) = verdict(&order, &end, key);
    for line in lines {
        say::talk(&line);
    }
    Ok(exit)
}

/// Says that a card is being paid back, where one is.
pub fn say_reversal(order: &Value) {
    for payment in payments(order).filter(|payment| payment["state"] == "reversing") {
        let (label, amount) = (say::text(payment, "label"), say::money(&payment["amount"]));
        say::talk(&format!(
            "{label} is to undo the charge of {amount} while the kit runs; `fieldkit orders` tells when it has"
        ));
    }
}

/// Waits until no charge of a voided order is being undone; how the command ends, and what is to be said.
pub async fn undone(session: &Session, mut order: Value) -> Result<(Value, Exit, Vec<String>)> {
    let begun = Instant::now();
    let mut rest = Duration::ZERO;
    // Without a kit that runs nobody undoes it now.
    while !matches!(session.client, Client::Here(_)) && begun.elapsed() < Duration::from_secs(UNDO_SECONDS_MAX) {
        let doubt = of_state(&order, &["reversal_unknown"]).is_some();
        let over = doubt && begun.elapsed() > Duration::from_millis(DOUBT_MS_MAX);
        if over || !doubt && of_state(&order, &["reversing"]).is_none() {
            break;
        }
        tokio::time::sleep(rest).await;
        rest = Duration::from_millis(LOOK_MS);
        order = look(session, &order).await?.0.unwrap_or(order);
    }
    let (exit, lines) = of_undoing(&order);
    Ok((order, exit, lines))
}

fn of_undoing(order: &Value) -> (Exit, Vec<String>) {
    let id = say::text(order, "order_id");
    if let Some(payment) = of_state(order, &["reversing"]) {
        let (label, amount) = (say::text(payment, "label"), say::money(&payment["amount"]));
        let what = format!("error: {label} has not undone the charge of {amount} yet; it does so while the kit runs");
        return (Exit::Unknown, vec![what, format!("hint: `fieldkit orders {id}` tells when it has")]);
    }
    if of_state(order, &["reversal_unknown"]).is_some() {
        return (Exit::Failed, of_unknown(order));
    }
    if order["state"] != "voided" {
        let said = payments(order).map(|payment| say::text(payment, "said")).find(|said| !said.is_empty());
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let lines = vec![
            format!("error: the charge was not undone{said}; the order is still paid, and no money went back"),
            format!(
                "hint: undo it at the terminal by hand, or give cash: fieldkit refund --order {id} --cash --reason TEXT"
            ),
        ];
        return (Exit::Failed, lines);
    }
    let by_hand = payments(order).filter_map(|payment| {
        let amount = say::money(&payment["amount"]);
        match payment["tender"].as_str() {
            Some("card-external") => {
                Some(format!("pay {amount} back on the reader ({}); the kit cannot", say::text(payment, "reference")))
            }
            Some("cash") => Some(format!("hand {amount} back in cash")),
            _ => None,
        }
    });
    (Exit::Fine, by_hand.collect())
}

async fn follow(session: &Session, mut order: Value, limit: Duration) -> Result<(Value, End)> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let until = Instant::now() + limit;
    let (mut shown, mut rest, mut doubt) = (None, Duration::ZERO, None);
    loop {
        match stand(&order) {
            Stand::UnderWay => doubt = None,
            Stand::Unknown
                if doubt.get_or_insert_with(Instant::now).elapsed() < Duration::from_millis(DOUBT_MS_MAX) => {}
            _ => return Ok((order, End::Told)),
        }
        let look = async {
            tokio::time::sleep(rest).await;
            look(session, &order).await
        };
        let end = tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => Some(End::Late),
            _ = interrupt.recv() => Some(End::Stopped),
            looked = look => match looked {
                Ok((now, words)) => {
                    order = now.unwrap_or(order);
                    if words.is_some() && words != shown {
                        say::talk(words.as_deref().unwrap_or_default());
                        shown = words;
                    }
                    None
                }
                Err(error) => Some(End::Lost(error)),
            },
        };
        rest = Duration::from_millis(LOOK_MS);
        if let Some(end) = end {
            return Ok((order, end));
        }
    }
}

/// The order now, `None` where the kit had too much to do, and what its terminal shows.
async fn look(session: &Session, order: &Value) -> Result<(Option<Value>, Option<String>)> {
    let devices = session.client.get("/api/v1/devices").await?;
    let words = running(order).and_then(|payment| words(&devices.body, payment));
    let reply = session.client.get(&format!("/api/v1/orders/{}", segment(&say::text(order, "order_id")))).await?;
    Ok((reply.status.is_success().then_some(reply.body), words))
}

/// What the terminal of a payment shows.
fn words(devices: &Value, payment: &Value) -> Option<String> {
    let same = |device: &&Value| device["device_id"] == payment["device_id"];
    let device = devices.as_array().into_iter().flatten().find(same)?;
    let (text, trouble) = (say::text(device, "text"), say::text(device, "trouble"));
    let words = match (say::text(device, "link").as_str(), trouble.as_str()) {
        ("down", "") => "no contact".to_owned(),
        ("down", trouble) => format!("no contact: {trouble}"),
        _ => text,
    };
    (!words.is_empty()).then(|| format!("{}: {words}", say::text(device, "label")))
}

fn payments(order: &Value) -> impl Iterator<Item = &Value> {
    order["payments"].as_array().into_iter().flatten()
}

fn of_state<'a>(order: &'a Value, states: &[&str]) -> Option<&'a Value> {
    payments(order).find(|payment| payment["state"].as_str().is_some_and(|state| states.contains(&state)))
}

/// The payment that runs.
fn running(order: &Value) -> Option<&Value> {
    of_state(order, &["intended", "sent", "approved", "reversing"])
}

/// The payment of which nobody knows.
fn unknown(order: &Value) -> Option<&Value> {
    of_state(order, &["unknown", "reversal_unknown"])
}

fn stand(order: &Value) -> Stand {
    match order["state"].as_str() {
        Some("awaiting_payment") if unknown(order).is_some() => Stand::Unknown,
        Some("awaiting_payment") if running(order).is_some() => Stand::UnderWay,
        Some("awaiting_payment") if of_state(order, &["mismatched"]).is_some() => Stand::Amiss,
        Some("awaiting_payment") => Stand::Open,
        Some("cancelled") => Stand::GivenUp,
        _ => Stand::Paid,
    }
}

/// How the command ends, and what is said of it.
fn verdict(order: &Value, end: &End, key: &str) -> (Exit, Vec<String>) {
    let stays = |what: String| {
        let lines = vec![
            what,
            "the order stays open, and the terminal may still charge the card".to_owned(),
            format!(
                "hint: the same again with --idempotency-key {key} waits on; `fieldkit device stop` stops the terminal"
            ),
        ];
        (Exit::Unknown, lines)
    };
    match (end, stand(order)) {
        (_, Stand::Paid) => (Exit::Fine, Vec::new()),
        (_, Stand::Unknown) => (Exit::Failed, of_unknown(order)),
        (_, Stand::Amiss) => (Exit::Failed, of_amiss(order)),
        (_, Stand::Open) => (Exit::Failed, of_open(order)),
        (_, Stand::GivenUp) => (Exit::Failed, vec!["error: the order was given up".to_owned()]),
        (End::NotWaited | End::Told, Stand::UnderWay) => (Exit::Fine, Vec::new()),
        (End::Late, Stand::UnderWay) => stays("error: there is no outcome yet".to_owned()),
        (End::Stopped, Stand::UnderWay) => stays("stopped waiting".to_owned()),
        (End::Lost(error), Stand::UnderWay) => stays(format!("error: {error:#}")),
    }
}

fn of_unknown(order: &Value) -> Vec<String> {
    let payment = unknown(order).unwrap_or(&Value::Null);
    let (amount, said) = (say::money(&payment["amount"]), say::text(payment, "said"));
    let done = match payment["state"].as_str() {
        Some("reversal_unknown") => format!("the terminal may have undone a charge of {amount}, or not"),
        _ => format!("the terminal may have charged the card {amount}: do not charge again"),
    };
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    vec![
        format!("error: {done}{said}"),
        "hint: the kit asks the terminal once there is contact; `fieldkit device ask` asks it now".to_owned(),
        format!(
            "hint: where it cannot tell, look at its journal: fieldkit payments close {} {} --charged yes|no --evidence TEXT",
            say::text(order, "order_id"),
            say::text(payment, "payment_id"),
        ),
    ]
}

fn of_amiss(order: &Value) -> Vec<String> {
    let payment = of_state(order, &["mismatched"]).unwrap_or(&Value::Null);
    let (asked, charged) = (say::money(&payment["amount"]), say::money(&payment["charged"]));
    let ids = format!("{} {}", say::text(order, "order_id"), say::text(payment, "payment_id"));
    vec![
        format!("error: the terminal charged {charged} where {asked} was asked for, and has not undone it"),
        format!("hint: fieldkit payments reverse {ids} --reason TEXT"),
        format!(
            "hint: or undo it at the terminal by hand, then: fieldkit payments close {ids} --charged no --evidence TEXT"
        ),
    ]
}

fn of_open(order: &Value) -> Vec<String> {
    let last = payments(order).last().unwrap_or(&Value::Null);
    let said = Some(say::text(last, "said")).filter(|said| !said.is_empty());
    let colon = said.as_ref().map_or_else(String::new, |said| format!(": {said}"));
    let what = match last["state"].as_str() {
        Some("declined") => format!("the card was declined{colon}"),
        Some("cancelled") => said.unwrap_or_else(|| "the payment was stopped".to_owned()),
        Some("not_charged") => format!("the card was not charged{colon}"),
        Some("reversed") => "the charge was undone".to_owned(),
        Some("closed_by_person") => format!("closed by hand{colon}"),
        Some("captured" | "at_risk" | "attested") => format!("{} were taken", say::money(&last["taken"])),
        _ => "nothing was charged".to_owned(),
    };
    let id = say::text(order, "order_id");
    vec![
        format!("error: {what}; the order is not paid, {} left to pay", say::money(&order["left"])),
        format!("hint: charge a card: fieldkit payments begin {id}"),
        format!("hint: take cash: fieldkit payments settle {id} --tender cash=AMOUNT"),
        format!("hint: give it up: fieldkit payments cancel {id} --reason TEXT"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn order(state: &str, payments: &[&str]) -> Value {
        let money = json!({"minor": 1250, "currency": "EUR"});
        let payment = |state: &&str| {
            json!({"payment_id": "P1", "state": state, "amount": money, "taken": money, "charged": {"minor": 2100, "currency": "EUR"},
                "device_id": "D1", "label": "counter left", "said": "its words", "tender": "card"})
        };
        let payments: Vec<Value> = payments.iter().map(payment).collect();
        json!({"order_id": "O1", "state": state, "receipt": null, "left": money, "total": money, "payments": payments})
    }

    /// A kit that shows these orders, one after the other, and the last one for ever.
    fn kit(orders: Vec<Value>) -> (Session, Arc<AtomicUsize>) {
        let looks = Arc::new(AtomicUsize::new(0));
        let count = looks.clone();
        let shown = move || {
            let at = count.fetch_add(1, Ordering::Relaxed).min(orders.len() - 1);
            std::future::ready(Json(orders[at].clone()))
        };
        let devices = json!([{"device_id": "D1", "label": "counter left", "link": "ready", "text": "Insert card"}]);
        let router = Router::new()
            .route("/api/v1/orders/{id}", get(shown))
            .route("/api/v1/devices", get(move || std::future::ready(Json(devices.clone()))));
        (Session { client: Client::Here(Box::new(router)), json: true, opened: None }, looks)
    }

    #[test]
    fn an_order_stands_as_its_payments_do() {
        let check = |state: &str, payments: &[&str]| stand(&order(state, payments));
        for state in ["intended", "sent", "approved", "reversing"] {
            assert_eq!(check("awaiting_payment", &["declined", state]), Stand::UnderWay, "{state}");
        }
        for state in ["declined", "cancelled", "not_charged", "reversed", "closed_by_person", "captured"] {
            assert_eq!(check("awaiting_payment", &[state]), Stand::Open, "{state}");
        }
        assert_eq!(check("awaiting_payment", &["declined", "unknown"]), Stand::Unknown);
        assert_eq!(check("awaiting_payment", &["reversal_unknown"]), Stand::Unknown);
        assert_eq!(check("awaiting_payment", &["mismatched"]), Stand::Amiss);
        assert_eq!(check("cancelled", &["declined"]), Stand::GivenUp);
        for state in ["paid", "voided", "refunded", "part_refunded"] {
            assert_eq!(check(state, &["captured"]), Stand::Paid, "{state}");
        }
    }

    #[test]
    fn every_end_says_what_to_do() {
        let check = |payments: &[&str], end: End| {
            let (exit, lines) = verdict(&order("awaiting_payment", payments), &end, "k1");
            (exit, lines.join("\n"))
        };
        let (exit, text) = check(&["declined"], End::Told);
        assert_eq!(exit, Exit::Failed);
        assert!(
            text.starts_with("error: the card was declined: its words; the order is not paid, EUR 12.50 left to pay\n")
        );
        assert!(
            text.contains("payments begin O1") && text.contains("payments cancel O1") && text.contains("settle O1")
        );
        let (exit, text) = check(&["unknown"], End::Told);
        assert_eq!(exit, Exit::Failed);
        assert!(
            text.starts_with(
                "error: the terminal may have charged the card EUR 12.50: do not charge again (its words)"
            )
        );
        assert!(
            text.contains("device ask") && text.contains("payments close O1 P1") && !text.contains("payments begin")
        );
        let (exit, text) = check(&["mismatched"], End::Told);
        assert_eq!(exit, Exit::Failed);
        assert!(text.contains("charged EUR 21.00 where EUR 12.50 was asked for") && text.contains("reverse O1 P1"));
        for end in [End::Late, End::Stopped, End::Lost(anyhow::anyhow!("gone"))] {
            let (exit, text) = check(&["sent"], end);
            assert_eq!(exit, Exit::Unknown);
            assert!(text.contains("the order stays open") && text.contains("--idempotency-key k1"), "{text}");
            assert!(!text.contains("payments begin"), "{text}");
        }
        assert_eq!(check(&["sent"], End::NotWaited), (Exit::Fine, String::new()));
        assert_eq!(verdict(&order("paid", &["captured"]), &End::Told, "k1"), (Exit::Fine, Vec::new()));
        assert_eq!(verdict(&order("cancelled", &[]), &End::Told, "k1").0, Exit::Failed);
    }

    #[test]
    fn the_terminal_of_the_payment_speaks() {
        let payment = &order("awaiting_payment", &["sent"])["payments"][0];
        let check =
            |device: Value| words(&json!([{"device_id": "D0", "label": "other", "text": "x"}, device]), payment);
        let device = |link: &str, trouble: Value, text: Value| {
            check(json!({"device_id": "D1", "label": "counter left", "link": link, "trouble": trouble, "text": text}))
        };
        assert_eq!(device("ready", Value::Null, json!("Insert card")).as_deref(), Some("counter left: Insert card"));
        assert_eq!(
            device("down", json!("no route"), json!("x")).as_deref(),
            Some("counter left: no contact: no route")
        );
        assert_eq!(device("down", Value::Null, Value::Null).as_deref(), Some("counter left: no contact"));
        assert_eq!(device("ready", Value::Null, Value::Null), None);
    }

    #[tokio::test]
    async fn an_order_is_followed_until_nothing_runs() {
        let first = order("awaiting_payment", &["intended"]);
        let paid = order("paid", &["captured"]);
        let (session, looks) = kit(vec![order("awaiting_payment", &["sent"]), paid.clone()]);
        let (last, end) = follow(&session, first.clone(), Duration::from_secs(60)).await.expect("a wait");
        assert!(matches!(end, End::Told), "{end:?}");
        assert_eq!((last, looks.load(Ordering::Relaxed)), (paid, 2));
        let (session, looks) = kit(vec![first.clone()]);
        let (last, end) = follow(&session, first.clone(), Duration::ZERO).await.expect("a wait");
        assert!(matches!(end, End::Late), "{end:?}");
        assert_eq!((last, looks.load(Ordering::Relaxed)), (first.clone(), 0));
        let (last, end) = follow(&session, order("paid", &[]), Duration::ZERO).await.expect("no wait");
        assert!(matches!(end, End::Told) && last["state"] == "paid", "{end:?}");
        let home = tempfile::tempdir().expect("a directory");
        let client = Client::Socket(home.path().join("nobody"));
        let session = Session { client, json: true, opened: None };
        let (_, end) = follow(&session, first, Duration::from_secs(60)).await.expect("a wait");
        assert!(matches!(end, End::Lost(_)), "{end:?}");
    }
}
