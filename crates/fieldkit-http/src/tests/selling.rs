//! Sales, what is given back, the drawer, events, and every refusal.

use super::{Kit, cash, eur};
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_sale_says_what_was_sold_and_what_goes_back() {
    let kit = Kit::new();
    kit.stock("MUG", 1, json!({"tax_rate": "standard"})).await;
    let lines = json!([{"sku": "MUG", "quantity": 2, "discount": {"ppm": 100_000}, "discount_reason": "damaged"}]);
    let mut body = cash(lines, 2000);
    super::merge(
        &mut body,
        json!({"expected_total": eur(1800), "source": {"till": "till-1"}, "cart_opened_at": "2026-11-20T11:59:00Z"}),
    );
    let reply = kit.post("/api/v1/orders", &body).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    let order = reply.json();
    let line = &order["lines"][0];
    assert_eq!((&order["total"], &order["change"]), (&eur(1800), &eur(200)));
    assert_eq!((&line["discount"], &line["total"], &line["tax"]), (&eur(200), &eur(1800), &eur(287)));
    assert_eq!(order["taxes"], json!([{"rate": "standard", "ppm": 190_000, "net": eur(1513), "tax": eur(287)}]));
    let payment = &order["payments"][0];
    assert_eq!((&payment["amount"], &payment["tendered"], &payment["change"]), (&eur(1800), &eur(2000), &eur(200)));
    assert_eq!(order["warnings"], json!(["The MUG: sold 1 more than counted"]));
    assert_eq!((&order["state"], &order["receipt"]), (&json!("paid"), &json!(1)));
    assert_eq!(order["business_day"], "2026-11-20");
    assert!(order["placed_at"].as_str().is_some_and(|at| at.starts_with("2026-11-20T12:00:00.")));
    assert_eq!(order["cart_opened_at"], "2026-11-20T12:59:00.000+01:00");
    assert_eq!(order["receipt_token"], "TOKEN 1");
    assert!(order["slip"].as_str().is_some_and(|slip| slip.rsplit_once('-').is_some_and(|(_, four)| four.len() == 4)));
    let items = kit.get("/api/v1/items").await.json();
    assert_eq!((&items[0]["here"], &items[0]["sold"], &items[0]["limit"]), (&json!(-1), &json!(2), &json!("soft")));
}

#[tokio::test]
async fn an_order_is_found_by_id_receipt_and_series() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    let order = kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 1}]), 1000)).await.json();
    let text = |member: &str| order[member].as_str().expect("a text").to_owned();
    let names = [text("order_id"), text("order_id").to_lowercase(), "1".to_owned(), format!("{}-1", text("series"))];
    for name in names {
        let found = kit.get(&format!("/api/v1/orders/{name}")).await;
        assert_eq!(found.json(), order, "{name}");
        let picture = kit.get(&format!("/api/v1/orders/{name}/receipt.svg")).await;
        assert_eq!((picture.status, picture.header("content-type")), (StatusCode::OK, "image/svg+xml"));
        assert!(picture.text.starts_with("<svg "));
    }
    assert_eq!(kit.get("/api/v1/orders?limit=1").await.json(), json!([order]));
    assert_eq!(kit.get(&format!("/api/v1/orders?before={}", text("order_id"))).await.json(), json!([]));
    kit.get("/api/v1/orders/2").await.refused(404, "unknown_order");
    kit.get("/api/v1/orders/nonsense/receipt.svg").await.refused(404, "unknown_order");
    kit.get("/api/v1/orders?before=nonsense").await.refused(404, "unknown_order");
    kit.get("/api/v1/orders?limit=0").await.refused(422, "field");
    kit.get("/api/v1/orders?limit=many").await.refused(422, "field");
    kit.get("/api/v1/orders?colour=red").await.refused(422, "field");
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_sells_once() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    let body = cash(json!([{"sku": "MUG", "quantity": 1}]), 1000);
    let first = kit.write("POST", "/api/v1/orders", "0123ABCD.1", &body).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    let spaced = serde_json::to_string_pretty(&body).expect("JSON");
    let request = super::ask("POST", "/api/v1/orders").header("idempotency-key", "0123ABCD.1");
    let request = request.header("content-type", "application/json; charset=utf-8");
    let again = kit.send(request.body(Body::from(spaced)).expect("a request")).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, "true"));
    assert_eq!(again.json(), first.json());
    let other = cash(json!([{"sku": "MUG", "quantity": 2}]), 2000);
    kit.write("POST", "/api/v1/orders", "0123ABCD.1", &other).await.refused(409, "key_reused");
    let elsewhere = kit.write("POST", "/api/v1/drawer/open", "0123ABCD.1", &json!({"amount": eur(1)})).await;
    elsewhere.refused(409, "key_reused");
    assert_eq!(kit.get("/api/v1/items").await.json()[0]["sold"], 1);
}

#[tokio::test]
async fn a_refusal_is_repeated_as_it_was() {
    let kit = Kit::new();
    let body = cash(json!([{"sku": "MUG", "quantity": 1}]), 1000);
    let first = kit.write("POST", "/api/v1/orders", "k", &body).await;
    first.refused(422, "unknown_sku");
    assert_eq!(first.json()["touched"], "Nothing was recorded: no money and no stock moved.");
    assert_eq!(first.json()["detail"], "There is no SKU \"MUG\" in the catalogue.");
    kit.stock("MUG", 9, json!({})).await;
    let again = kit.write("POST", "/api/v1/orders", "k", &body).await;
    assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (first.text.as_str(), "true"));
}

#[tokio::test]
async fn refunds_voids_and_their_undoing_leave_the_order_readable() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 2}]), 2000)).await;
    let part = json!({"lines": [{"line": 1, "quantity": 1}], "reason": "chipped", "tender": "cash", "restock": false});
    let reply = kit.post("/api/v1/orders/1/refund", &part).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
    let order = reply.json();
    assert_eq!((&order["state"], &order["lines"][0]["refunded_quantity"]), (&json!("part_refunded"), &json!(1)));
    let refund = &order["refunds"][0];
    assert_eq!((&refund["kind"], &refund["amount"], &refund["receipt"]), (&json!("refund"), &eur(1000), &json!(2)));
    assert_eq!(refund["lines"], json!([{"line": 1, "quantity": 1}]));
    kit.post("/api/v1/orders/1/void", &json!({"reason": "mistake"})).await.refused(409, "void_too_late");
    let undo = format!("/api/v1/refunds/{}/undo", refund["refund_id"].as_str().expect("an id"));
    let reply = kit.write("POST", &undo, "u1", &json!({})).await;
    assert_eq!((reply.status, &reply.json()["state"]), (StatusCode::OK, &json!("paid")));
    assert_eq!(reply.json()["refunds"][0]["undone"], true);
    kit.write("POST", &undo, "u2", &json!({})).await.refused(409, "undone_before");
    let void = kit.post("/api/v1/orders/1/void", &json!({"reason": "mistake, again"})).await;
    assert_eq!((void.status, &void.json()["state"]), (StatusCode::CREATED, &json!("voided")));
    kit.post("/api/v1/orders/1/refund", &json!({"lines": null, "reason": "x"})).await.refused(409, "nothing_left");
    kit.post("/api/v1/orders/1/refund", &json!({"lines": [], "reason": "x"})).await.refused(422, "field");
    kit.post("/api/v1/refunds/nonsense/undo", &json!({})).await.refused(404, "unknown_refund");
}

#[tokio::test]
async fn the_drawer_knows_what_should_be_in_it() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    let count = |minor: i64, note: &str| json!({"counted": eur(minor), "note": note});
    kit.post("/api/v1/drawer/count", &count(0, "")).await.refused(409, "drawer_closed");
    kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 3}]), 3000)).await;
    let before = kit.get("/api/v1/drawer").await.json();
    assert_eq!((&before["expected"], &before["while_closed"]), (&eur(0), &eur(3000)));
    let opened = kit.post("/api/v1/drawer/open", &json!({"amount": eur(5000)})).await;
    assert_eq!((opened.status, &opened.json()["state"]), (StatusCode::OK, &json!("open")));
    kit.post("/api/v1/drawer/open", &json!({"amount": eur(6000)})).await.refused(409, "drawer_open");
    kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 1}]), 2000)).await;
    let out = json!({"direction": "out", "amount": eur(500), "reason": "parking"});
    let moved = kit.post("/api/v1/drawer/move", &out).await.json();
    assert_eq!((&moved["opening"], &moved["expected"]), (&eur(5000), &eur(5500)));
    assert_eq!(moved["movements"][0]["reason"], "parking");
    kit.post("/api/v1/drawer/count", &count(5400, "")).await.refused(422, "variance_note");
    let counted = kit.post("/api/v1/drawer/count", &count(5400, "a coin rolled away")).await.json();
    assert_eq!((&counted["state"], &counted["last_count"]["variance"]), (&json!("closed"), &eur(-100)));
    let foreign = json!({"amount": {"minor": 1, "currency": "CHF"}});
    kit.post("/api/v1/drawer/open", &foreign).await.refused(422, "wrong_currency");
}

#[tokio::test]
async fn events_open_clone_and_close() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    let status = kit.get("/api/v1/status").await.json();
    let first = status["event"].as_str().expect("an event").to_owned();
    let close = format!("/api/v1/events/{first}/close");
    let closed = kit.write("POST", &close, "c1", &json!({})).await.json();
    assert_eq!((&closed["state"], &closed["sales_go_to"]), (&json!("closed"), &Value::Null));
    kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 1}]), 1000)).await.refused(409, "no_event");
    kit.write("POST", &close, "c2", &json!({})).await.refused(409, "event_closed");
    kit.post(&format!("/api/v1/events/{first}/open"), &json!({})).await.refused(409, "event_closed");
    kit.post("/api/v1/events/nonsense/open", &json!({})).await.refused(404, "unknown_event");
    let status = kit.get("/api/v1/status").await.json();
    assert_eq!((&status["event"], &status["currency"]), (&Value::Null, &json!("EUR")));
    assert_eq!(kit.get("/api/v1/items").await.json(), json!([]));
    let event = json!({"name": "Second", "zone": "Europe/Berlin", "currency": "EUR", "clone_from": first});
    let created = kit.post("/api/v1/events", &event).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.json()["tax_rates"], json!([{"id": "none", "name": "no tax", "ppm": 0}]));
    let events = kit.get("/api/v1/events").await.json();
    assert_eq!((&events[0]["name"], &events[1]["state"]), (&json!("Second"), &json!("closed")));
    assert_eq!(kit.get("/api/v1/items").await.json()[0]["here"], 0);
    assert_eq!(kit.get("/api/v1/drawer").await.json()["state"], "closed");
    let third = json!({"name": "Third", "zone": "Europe/Berlin", "currency": "EUR"});
    let third = kit.post("/api/v1/events", &third).await.json()["event_id"].as_str().expect("an id").to_owned();
    let closed = kit.post(&format!("/api/v1/events/{third}/close"), &json!({})).await.json();
    let second = json!({"event_id": created.json()["event_id"], "name": "Second"});
    assert_eq!((&closed["name"], &closed["sales_go_to"]), (&json!("Third"), &second));
}

#[tokio::test]
async fn a_drawer_left_behind_is_named_and_can_be_counted() {
    let kit = Kit::new();
    let first = kit.get("/api/v1/status").await.json()["event"].as_str().expect("an id").to_owned();
    kit.post("/api/v1/drawer/open", &json!({"amount": eur(5000)})).await;
    let close = format!("/api/v1/events/{first}/close");
    kit.post(&close, &json!({})).await.refused(409, "drawer_uncounted");
    // Sales go elsewhere before it is counted.
    kit.post("/api/v1/events", &json!({"name": "Second", "zone": "Europe/Berlin", "currency": "CHF"})).await;
    let drawer = kit.get("/api/v1/drawer").await.json();
    assert_eq!((&drawer["state"], &drawer["event_name"]), (&json!("closed"), &json!("Second")));
    let waits = json!([{"event": first, "event_name": "Market <b>day</b>", "expected": eur(5000)}]);
    assert_eq!(drawer["uncounted"], waits);
    let notices = kit.get("/api/v1/status").await.json()["notices"].clone();
    assert_eq!((&notices[0]["code"], notices.as_array().map(Vec::len)), (&json!("drawer_uncounted"), Some(1)));
    kit.post("/api/v1/drawer/count", &json!({"counted": eur(5000)})).await.refused(422, "wrong_currency");
    kit.post("/api/v1/drawer/count", &json!({"counted": eur(1), "event": "x"})).await.refused(404, "unknown_event");
    kit.get("/api/v1/drawer?event=x").await.refused(404, "unknown_event");
    let counted = kit.post("/api/v1/drawer/count", &json!({"counted": eur(5000), "event": first})).await.json();
    assert_eq!((&counted["event"], &counted["last_count"]["variance"]), (&json!(first), &eur(0)));
    assert_eq!(kit.get("/api/v1/drawer").await.json()["uncounted"], json!([]));
    assert_eq!(kit.get(&format!("/api/v1/drawer?event={first}")).await.json()["state"], "closed");
    assert_eq!(kit.write("POST", &close, "counted", &json!({})).await.json()["state"], "closed");
}

#[tokio::test]
async fn every_refusal_of_a_sale_has_its_code() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    kit.stock("HARD", 1, json!({"limit": "hard"})).await;
    kit.stock("OPEN", 9, json!({"open_price": true})).await;
    kit.stock("GONE", 9, json!({})).await;
    kit.stock("DEAR", 9, json!({"price": eur(1_000_000_000_000_000)})).await;
    let gone = kit.write("PATCH", "/api/v1/items/GONE", "gone", &json!({"offered": false})).await;
    assert_eq!(gone.json()["offered"], false);
    let line = |sku: &str, more: Value| {
        let mut line = json!({"sku": sku, "quantity": 1});
        super::merge(&mut line, more);
        cash(json!([line]), 1000)
    };
    let with = |more: Value| {
        let mut body = line("MUG", json!({}));
        super::merge(&mut body, more);
        body
    };
    let table = [
        (cash(json!([]), 1000), 422, "lines"),
        (line("NONE", json!({})), 422, "unknown_sku"),
        (line("GONE", json!({})), 422, "not_offered"),
        (line("MUG", json!({"quantity": 0})), 422, "quantity"),
        (line("MUG", json!({"quantity": -1})), 422, "quantity"),
        (line("MUG", json!({"quantity": i64::MAX})), 422, "quantity"),
        (line("MUG", json!({"price": eur(1)})), 422, "price_fixed"),
        (line("OPEN", json!({})), 422, "price_missing"),
        (line("OPEN", json!({"price": eur(-1)})), 422, "amount"),
        (line("OPEN", json!({"price": {"minor": 1, "currency": "USD"}})), 422, "wrong_currency"),
        (line("DEAR", json!({"quantity": 100_000})), 422, "overflow"),
        (line("MUG", json!({"discount": {"minor": 1001}})), 422, "discount"),
        (line("MUG", json!({"discount": {"ppm": -1}})), 422, "discount"),
        (line("MUG", json!({"discount": {"minor": 1}})), 422, "discount_reason"),
        (line("HARD", json!({"quantity": 2, "discount": {"ppm": 500_000}, "discount_reason": "x"})), 409, "sold_out"),
        (with(json!({"expected_total": eur(999)})), 409, "total_differs"),
        (with(json!({"tenders": [{"kind": "cash", "amount": eur(999)}]})), 422, "tender_missing"),
        (with(json!({"tenders": []})), 422, "tender_missing"),
        (with(json!({"source": {"till": "x".repeat(61)}})), 422, "text"),
    ];
    for (body, status, code) in table {
        kit.post("/api/v1/orders", &body).await.refused(status, code);
    }
    assert_eq!(kit.get("/api/v1/orders").await.json(), json!([]));
}

#[tokio::test]
async fn every_other_refusal_has_its_code() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 1}]), 1000)).await;
    let event = |more: Value| {
        let mut event = json!({"name": "E", "zone": "Europe/Berlin", "currency": "EUR"});
        super::merge(&mut event, more);
        event
    };
    let refund = |line: i64, quantity: i64| json!({"lines": [{"line": line, "quantity": quantity}], "reason": "r"});
    let item = |more: Value| {
        let mut item = json!({"sku": "NEW", "name": "New", "price": eur(1)});
        super::merge(&mut item, more);
        item
    };
    let table = [
        ("/api/v1/events", event(json!({"zone": "Mars/Base"})), 422, "unknown_zone"),
        ("/api/v1/events", event(json!({"currency": "EURO"})), 422, "unknown_currency"),
        ("/api/v1/events", event(json!({"name": " "})), 422, "text"),
        ("/api/v1/events", event(json!({"day_cutover_minutes": 1440})), 422, "amount"),
        ("/api/v1/events", event(json!({"day_cutover_minutes": -1})), 422, "field"),
        ("/api/v1/events", event(json!({"clone_from": "nonsense"})), 404, "unknown_event"),
        ("/api/v1/events", event(json!({"tax_rates": [{"id": "a", "name": "a", "ppm": 1_000_001}]})), 422, "tax_rates"),
        ("/api/v1/events", event(json!({"tax_rates": [{"id": "a", "name": "a", "ppm": -1}]})), 422, "field"),
        ("/api/v1/items", item(json!({"sku": "MUG"})), 409, "sku_taken"),
        ("/api/v1/items", item(json!({"tax_rate": "none"})), 422, "tax_rates"),
        ("/api/v1/items", item(json!({"price": eur(-1)})), 422, "amount"),
        ("/api/v1/items", item(json!({"price": {"minor": 1, "currency": "USD"}})), 422, "wrong_currency"),
        ("/api/v1/items", item(json!({"count": 1_000_001})), 422, "stock_change"),
        ("/api/v1/stock/MUG", json!({"change": 0, "reason": "found"}), 422, "stock_change"),
        ("/api/v1/stock/MUG", json!({"change": 1, "count": 1, "reason": "found"}), 422, "field"),
        ("/api/v1/stock/MUG", json!({"change": 1, "reason": "imported"}), 422, "field"),
        ("/api/v1/stock/NO%2FNE", json!({"change": 1, "reason": "found"}), 422, "unknown_sku"),
        ("/api/v1/orders/1/refund", refund(2, 1), 422, "unknown_line"),
        ("/api/v1/orders/1/refund", refund(1, 2), 422, "refund_quantity"),
        ("/api/v1/orders/1/refund", refund(1, 0), 422, "field"),
        ("/api/v1/orders/9/refund", refund(1, 1), 404, "unknown_order"),
    ];
    for (path, body, status, code) in table {
        kit.post(path, &body).await.refused(status, code);
    }
    kit.write("PATCH", "/api/v1/items/MUG", "p1", &json!({})).await.refused(422, "field");
    kit.write("PATCH", "/api/v1/items/NONE", "p2", &json!({"name": "N"})).await.refused(422, "unknown_sku");
}

#[tokio::test]
async fn a_witness_is_answered_without_a_key() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    let head = kit.get("/api/v1/status").await.json()["head"].clone();
    let ask = |body: Value| {
        let request = super::ask("POST", "/api/v1/witness").header("content-type", "application/json");
        kit.send(request.body(Body::from(body.to_string())).expect("a request"))
    };
    assert_eq!(ask(head.clone()).await.json(), json!({"verdict": "agrees"}));
    let slip = format!("{}-{}", head["seq"], head["check"].as_str().expect("a text"));
    assert_eq!(ask(json!({"slip": slip})).await.json(), json!({"verdict": "agrees"}));
    assert_eq!(ask(json!({"slip": "999-0000"})).await.json(), json!({"verdict": "ahead"}));
    ask(json!({"slip": "52"})).await.refused(422, "field");
    ask(json!({"stream": "x", "seq": 1, "hash": "x"})).await.refused(422, "field");
    ask(json!({})).await.refused(422, "field");
    let verified = kit.get("/api/v1/verify").await.json();
    assert_eq!((&verified["ok"], &verified["first_bad"]), (&json!(true), &Value::Null));
}
