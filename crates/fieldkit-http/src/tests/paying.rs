//! Cards: orders that wait, attempts and their outcome, terminals, charges that belong to no order.

use super::{Kit, Reply, cash, eur};
use crate::desk::{Ask, Gain, Given};
use axum::http::StatusCode;
use fieldkit_core::body::{
    Baseline, CancelledBy, DeviceAccepted, DeviceRole, PaymentStep, RecordKind, TerminalAnswer, TerminalRecord,
};
use fieldkit_core::decide::Command;
use fieldkit_core::id::{Hash, OpId, Zero};
use fieldkit_core::money::Currency;
use fieldkit_core::op::{CommandKey, Key};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A kit with a terminal and an item.
pub struct Stall {
    pub kit: Kit,
    pub device: OpId,
}

impl Stall {
    pub async fn new() -> Self {
        let kit = Kit::new();
        kit.stock("MUG", 9, json!({})).await;
        let (role, driver) = (DeviceRole::Terminal, "zvt".to_owned());
        let body = DeviceAccepted { role, driver, identity: "52523535".to_owned(), label: "counter left".to_owned() };
        let Ok(Gain::Device(device)) = give(&kit, Command::AcceptDevice(body), "accept").await.result else {
            panic!("a good device is accepted")
        };
        Stall { kit, device }
    }

    /// A mug for EUR 10.00, by card.
    pub async fn sell(&self, key: &str) -> Value {
        let body = json!({"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [{"kind": "card"}]});
        let reply = self.kit.write("POST", "/api/v1/orders", key, &body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        reply.json()
    }

    /// The terminal tells steps of the order's last payment; the order after them.
    pub async fn tell(&self, order: &Value, steps: Vec<PaymentStep>) -> Value {
        let payment = last(order);
        let (id, payment) = (id(&order["order_id"]), id(&payment["payment_id"]));
        for step in steps {
            let key = format!("{payment:?} {step:?}");
            let told = give(&self.kit, Command::MovePayment { order: id, payment, step }, &key).await;
            assert!(told.result.is_ok(), "{told:?}");
        }
        self.order(order).await
    }

    async fn order(&self, order: &Value) -> Value {
        self.kit.get(&format!("/api/v1/orders/{}", text(&order["order_id"]))).await.json()
    }

    async fn post(&self, order: &Value, path: &str, body: Value) -> Reply {
        self.kit.post(&format!("/api/v1/orders/{}/{path}", text(&order["order_id"])), &body).await
    }

    /// The same at the order's last payment.
    async fn at_payment(&self, order: &Value, verb: &str, body: Value) -> Reply {
        self.post(order, &format!("payments/{}/{verb}", text(&last(order)["payment_id"])), body).await
    }

    async fn notices(&self) -> Vec<(String, String)> {
        let status = self.kit.get("/api/v1/status").await.json();
        let notices = status["notices"].as_array().expect("notices").iter();
        notices.map(|notice| (text(&notice["code"]), text(&notice["text"]))).collect()
    }
}

async fn give(kit: &Kit, command: Command, key: &str) -> Given {
    let (reply, answer) = oneshot::channel();
    let key = Key::new(&Hash::of(key.as_bytes()).0).expect("a key");
    let key = CommandKey { key, fingerprint: [0; 16] };
    kit.desk.ask(Ask::Give { command, event: None, key, reply }).expect("the loop takes it");
    answer.await.expect("an answer")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn id(value: &Value) -> OpId {
    OpId::from_text(&text(value)).expect("an id")
}

fn last(order: &Value) -> Value {
    order["payments"].as_array().and_then(|all| all.last()).expect("a payment").clone()
}

fn record(trace: u32, amount: i64) -> TerminalRecord {
    TerminalRecord {
        kind: RecordKind::Payment,
        terminal_id: "52523535".to_owned(),
        receipt: 231,
        trace,
        amount,
        currency: Currency::from_code("EUR").expect("EUR is in ISO 4217"),
        date: Some(1120),
        time: Some(90_059),
        card_name: "girocard".to_owned(),
        masked_pan: "672500******0000".to_owned(),
        authorisation: "123456".to_owned(),
        result: 0,
        reversed_trace: None,
    }
}

pub fn sent() -> PaymentStep {
    PaymentStep::Sent(Baseline::default())
}

pub fn unknown() -> PaymentStep {
    PaymentStep::Unknown("the line was cut".to_owned())
}

fn no(text: &str) -> PaymentStep {
    PaymentStep::Declined(TerminalAnswer { code: 5, text: text.to_owned() })
}

#[tokio::test]
async fn an_order_by_card_waits_and_is_paid_by_the_terminal() {
    let stall = Stall::new().await;
    let order = stall.sell("sale").await;
    assert_eq!((&order["state"], &order["receipt"]), (&json!("awaiting_payment"), &Value::Null));
    assert_eq!((&order["left"], &order["change"]), (&eur(1000), &eur(0)));
    let payment = last(&order);
    assert_eq!((&payment["state"], &payment["tender"]), (&json!("intended"), &json!("card")));
    assert_eq!((&payment["label"], &payment["device_id"]), (&json!("counter left"), &json!(stall.device.text())));
    assert_eq!(payment["said"], Value::Null);
    assert_eq!(stall.sell("sale").await, order, "the same key is the same order");
    stall.post(&order, "payments", json!({})).await.refused(409, "payment_running");
    stall.post(&order, "cancel", json!({"reason": "gone"})).await.refused(409, "payment_running");
    stall.at_payment(&order, "close", json!({"charged": true, "evidence": "slip"})).await.refused(409, "payment_state");
    let captured = vec![sent(), PaymentStep::Approved(record(975, 1000)), PaymentStep::Captured(Zero)];
    let paid = stall.tell(&order, captured).await;
    assert_eq!((&paid["state"], &paid["receipt"], &paid["left"]), (&json!("paid"), &json!(1), &eur(0)));
    let payment = last(&paid);
    assert_eq!((&payment["state"], &payment["taken"]), (&json!("captured"), &eur(1000)));
    assert_eq!((&payment["reference"], &payment["trace"]), (&json!("52523535-000975"), &json!(975)));
    stall.post(&order, "cancel", json!({"reason": "too late"})).await.refused(409, "order_not_open");
    stall.at_payment(&order, "reverse", json!({"reason": "amiss"})).await.refused(422, "card_tender");
}

#[tokio::test]
async fn after_a_no_a_card_is_tried_again_or_cash_is_taken() {
    let stall = Stall::new().await;
    let order = stall.sell("sale").await;
    let order = stall.tell(&order, vec![sent(), no("Card not accepted")]).await;
    assert_eq!((&last(&order)["state"], &last(&order)["said"]), (&json!("declined"), &json!("Card not accepted")));
    let body = json!({"amount": eur(400), "device": stall.device.text()});
    let again = stall.post(&order, "payments", body).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    assert_eq!((&last(&again.json())["state"], &last(&again.json())["amount"]), (&json!("intended"), &eur(400)));
    let captured = vec![sent(), PaymentStep::Approved(record(976, 400)), PaymentStep::Captured(Zero)];
    let part = stall.tell(&again.json(), captured).await;
    assert_eq!((&part["state"], &part["left"]), (&json!("awaiting_payment"), &eur(600)));
    stall.post(&part, "cancel", json!({"reason": "gone"})).await.refused(409, "money_taken");
    stall.post(&part, "settle", json!({"tenders": [{"kind": "card"}]})).await.refused(422, "card_tender");
    let short = json!({"tenders": [{"kind": "cash", "amount": eur(599)}]});
    stall.post(&part, "settle", short).await.refused(422, "tender_missing");
    let mixed = json!({"tenders": [{"kind": "card-external", "amount": eur(100), "reference": "4242", "reader": "SumUp"},
        {"kind": "cash", "amount": eur(1000)}]});
    let paid = stall.post(&part, "settle", mixed).await;
    assert_eq!(paid.status, StatusCode::CREATED, "{}", paid.text);
    let paid = paid.json();
    assert_eq!((&paid["state"], &paid["change"], &paid["left"]), (&json!("paid"), &eur(500), &eur(0)));
    let labels: Vec<&Value> = paid["payments"].as_array().expect("payments").iter().map(|one| &one["label"]).collect();
    assert_eq!(labels, [&json!("counter left"), &json!("counter left"), &json!("SumUp"), &Value::Null]);
    stall.post(&paid, "settle", json!({"tenders": []})).await.refused(409, "order_not_open");
}

#[tokio::test]
async fn an_order_is_given_up_and_its_units_come_back() {
    let stall = Stall::new().await;
    let order = stall.sell("sale").await;
    let order = stall.tell(&order, vec![PaymentStep::Cancelled(CancelledBy::Kit)]).await;
    assert_eq!(last(&order)["said"], "stopped by the kit, before the terminal heard of it");
    assert_eq!(stall.kit.get("/api/v1/items").await.json()[0]["here"], 8);
    stall.post(&order, "cancel", json!({"reason": ""})).await.refused(422, "text");
    stall.post(&order, "cancel", json!({})).await.refused(422, "field");
    let cancelled = stall.post(&order, "cancel", json!({"reason": "the buyer left"})).await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(cancelled.json()["left"], eur(0));
    assert_eq!(stall.kit.get("/api/v1/items").await.json()[0]["here"], 9);
    stall.post(&order, "payments", json!({})).await.refused(409, "order_not_open");
}

#[tokio::test]
async fn an_unknown_outcome_is_noticed_and_closed_by_a_person() {
    let stall = Stall::new().await;
    for (key, charged, state) in [("a", true, "paid"), ("b", false, "awaiting_payment")] {
        let order = stall.sell(key).await;
        let order = stall.tell(&order, vec![sent(), unknown()]).await;
        assert_eq!((&last(&order)["state"], &last(&order)["said"]), (&json!("unknown"), &json!("the line was cut")));
        let doubt = "counter left may have charged a card EUR 10.00: do not charge it again.".to_owned();
        assert_eq!(stall.notices().await, [("payment_unknown".to_owned(), doubt)]);
        stall.post(&order, "payments", json!({})).await.refused(409, "payment_unknown");
        stall.post(&order, "cancel", json!({"reason": "gone"})).await.refused(409, "payment_unknown");
        let evidence = |text: &str| json!({"charged": charged, "evidence": text});
        stall.at_payment(&order, "close", evidence("4111 1111 1111 1111")).await.refused(422, "card_number");
        stall.at_payment(&order, "close", json!({"charged": "yes", "evidence": "x"})).await.refused(422, "field");
        let closed = stall.at_payment(&order, "close", evidence("slip 231 on the roll")).await;
        assert_eq!(closed.status, StatusCode::OK, "{}", closed.text);
        let closed = closed.json();
        let payment = last(&closed);
        assert_eq!((&payment["state"], &payment["said"]), (&json!("closed_by_person"), &json!("slip 231 on the roll")));
        assert_eq!(closed["state"], state);
        assert_eq!(stall.notices().await, []);
    }
}

#[tokio::test]
async fn a_charge_of_another_amount_is_undone_or_noticed() {
    let stall = Stall::new().await;
    let order = stall.sell("sale").await;
    let order = stall.tell(&order, vec![sent(), PaymentStep::Approved(record(975, 2100))]).await;
    assert_eq!((&last(&order)["state"], &last(&order)["charged"]), (&json!("reversing"), &eur(2100)));
    assert_eq!(stall.notices().await, []);
    let declined = PaymentStep::ReversalDeclined(TerminalAnswer { code: 180, text: String::new() });
    let order = stall.tell(&order, vec![PaymentStep::ReversalSent(Baseline::default()), declined]).await;
    assert_eq!((&last(&order)["state"], &last(&order)["said"]), (&json!("mismatched"), &json!("code 180")));
    let (code, said) = stall.notices().await.pop().expect("a notice");
    assert_eq!(
        (code.as_str(), said.as_str()),
        ("payment_unknown", "counter left charged a card EUR 21.00 where EUR 10.00 was asked for.")
    );
    let reversing = stall.at_payment(&order, "reverse", json!({"reason": "try again"})).await;
    assert_eq!((reversing.status, &last(&reversing.json())["state"]), (StatusCode::OK, &json!("reversing")));
    let undone = TerminalRecord { kind: RecordKind::Reversal, reversed_trace: Some(975), ..record(976, 2100) };
    let steps = vec![PaymentStep::ReversalSent(Baseline::default()), PaymentStep::Reversed(undone)];
    let order = stall.tell(&order, steps).await;
    assert_eq!((&last(&order)["state"], &order["state"]), (&json!("reversed"), &json!("awaiting_payment")));
    stall.at_payment(&order, "reverse", json!({"reason": "twice"})).await.refused(409, "payment_state");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let stall = Stall::new().await;
    let order = stall.sell("sale").await;
    let close = json!({"charged": true, "evidence": "slip"});
    stall.post(&order, "payments/nonsense/close", close.clone()).await.refused(404, "unknown_payment");
    let other = format!("payments/{}/reverse", text(&order["order_id"]));
    stall.post(&order, &other, json!({"reason": "x"})).await.refused(404, "unknown_payment");
    let unknown = OpId { seq: 999, ..stall.device }.text();
    for path in ["payments", "settle", "cancel"] {
        let body = match path {
            "settle" => json!({"tenders": []}),
            "cancel" => json!({"reason": "x"}),
            _ => json!({}),
        };
        stall.kit.post(&format!("/api/v1/orders/99/{path}"), &body).await.refused(404, "unknown_order");
        stall.kit.post(&format!("/api/v1/orders/{unknown}/{path}"), &body).await.refused(404, "unknown_order");
    }
    let by = |device: &str| json!({"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [{"kind": "card", "device": device}]});
    stall.kit.post("/api/v1/orders", &by("nonsense")).await.refused(404, "unknown_device");
    stall.kit.post("/api/v1/orders", &by(&unknown)).await.refused(409, "no_terminal");
    let mut in_cash = cash(json!([{"sku": "MUG", "quantity": 1}]), 1000);
    in_cash["tenders"][0]["device"] = json!(stall.device.text());
    stall.kit.post("/api/v1/orders", &in_cash).await.refused(422, "field");
    let keyless = super::ask("POST", &format!("/api/v1/orders/{}/settle", text(&order["order_id"])));
    let keyless = keyless.body(axum::body::Body::empty()).expect("a request");
    stall.kit.send(keyless).await.refused(400, "key_missing");
}

#[tokio::test]
async fn devices_are_shown_and_take_wishes_without_a_key() {
    let stall = Stall::new().await;
    let devices = stall.kit.get("/api/v1/devices").await.json();
    assert_eq!(devices, stall.kit.get("/api/v1/status").await.json()["devices"]);
    assert_eq!((&devices[0]["label"], &devices[0]["link"]), (&json!("counter left"), &json!("ready")));
    let before = stall.kit.get("/api/v1/status").await.json()["head"].clone();
    for (verb, shown) in [("ask", "Asked"), ("stop", "Stopped")] {
        let path = format!("/api/v1/devices/{}/{verb}", stall.device.text());
        let request = super::ask("POST", &path).body(axum::body::Body::empty()).expect("a request");
        let reply = stall.kit.send(request).await;
        assert_eq!((reply.status, reply.json()), (StatusCode::ACCEPTED, json!({})));
        assert_eq!(stall.kit.get("/api/v1/devices").await.json()[0]["text"], shown);
        let unknown = OpId { seq: 999, ..stall.device }.text();
        for other in ["nonsense", &unknown] {
            stall.kit.post(&format!("/api/v1/devices/{other}/{verb}"), &json!({})).await.refused(404, "unknown_device");
        }
        stall.kit.post(&path, &json!({"hard": true})).await.refused(422, "field");
    }
    assert_eq!(stall.kit.get("/api/v1/status").await.json()["head"], before, "no op was written");
}

#[tokio::test]
async fn charges_without_order_are_listed_and_cleared_up() {
    let stall = Stall::new().await;
    let mut found = Vec::new();
    for (trace, amount) in [(980, 500), (0, 700)] {
        let record = record(trace, amount);
        let command = Command::RecordForeign { device: stall.device, record };
        let Ok(Gain::Foreign(id)) = give(&stall.kit, command, &format!("found {trace}")).await.result else {
            panic!("a charge is recorded")
        };
        found.push(id);
    }
    let listed = stall.kit.get("/api/v1/foreign-payments").await.json();
    let wanted = json!({"found_id": found[0].text(), "device_id": stall.device.text(), "terminal_id": "52523535",
        "amount": eur(500), "receipt": 231, "trace": 980, "card": "girocard 672500******0000", "date": "11-20",
        "time": "09:00:59", "settled": false, "note": null});
    assert_eq!(listed[0], wanted);
    assert_eq!((&listed[1]["found_id"], &listed[1]["trace"]), (&json!(found[1].text()), &Value::Null));
    let said = "2 charges on a terminal belong to no order.".to_owned();
    assert_eq!(stall.notices().await, [("payment_without_order".to_owned(), said)]);
    let path = |id: &str| format!("/api/v1/foreign-payments/{id}/settle");
    let first = path(&found[0].text());
    stall.kit.post(&first, &json!({"note": ""})).await.refused(422, "text");
    let settled = stall.kit.write("POST", &first, "s", &json!({"note": "sold by hand before the kit ran"})).await;
    assert_eq!(settled.status, StatusCode::OK, "{}", settled.text);
    assert_eq!(
        (&settled.json()["settled"], &settled.json()["note"]),
        (&json!(true), &json!("sold by hand before the kit ran"))
    );
    let again = stall.kit.write("POST", &first, "s", &json!({"note": "sold by hand before the kit ran"})).await;
    assert_eq!((again.json(), again.header("idempotency-replayed")), (settled.json(), "true"));
    stall.kit.post(&first, &json!({"note": "once more"})).await.refused(409, "foreign_settled");
    stall.kit.post(&path("nonsense"), &json!({"note": "x"})).await.refused(404, "unknown_foreign");
    stall.kit.post(&path(&stall.device.text()), &json!({"note": "x"})).await.refused(404, "unknown_foreign");
    let said = "1 charge on a terminal belongs to no order.".to_owned();
    assert_eq!(stall.notices().await, [("payment_without_order".to_owned(), said)]);
    stall.kit.get("/api/v1/foreign-payments?event=nonsense").await.refused(404, "unknown_event");
    // What was found at an event is cleared up there, also after it was closed.
    let event = text(&stall.kit.get("/api/v1/status").await.json()["event"]);
    stall.kit.post(&format!("/api/v1/events/{event}/close"), &json!({})).await;
    assert_eq!(stall.kit.get("/api/v1/foreign-payments").await.json(), json!([]));
    let said = "1 charge on a terminal belongs to no order (found at Market <b>day</b>).".to_owned();
    assert_eq!(stall.notices().await, [("payment_without_order".to_owned(), said)]);
    let there = stall.kit.get(&format!("/api/v1/foreign-payments?event={event}")).await.json();
    assert_eq!(there[1]["settled"], false);
    let late = stall.kit.post(&path(&found[1].text()), &json!({"note": "found the slip"})).await;
    assert_eq!((late.status, stall.notices().await.len()), (StatusCode::OK, 0), "{}", late.text);
}
