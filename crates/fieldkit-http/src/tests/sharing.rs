//! Kits, limited goods that they share, and files between them.

use super::{Kit, ask, cash};
use crate::desk::PageId;
use axum::body::Body;
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn a_kit_that_is_alone_holds_all_and_can_ask_nobody() {
    let kit = Kit::new();
    kit.stock("PIN", 3, json!({"limit": "hard"})).await;
    kit.stock("MUG", 3, json!({})).await;
    let kits = kit.get("/api/v1/kits").await.json();
    assert_eq!(
        (kits.as_array().map(Vec::len), &kits[0]["kit"], &kits[0]["own"]),
        (Some(1), &json!("kit-1"), &json!(true))
    );
    let pools = kit.get("/api/v1/pools").await.json();
    assert_eq!(pools.as_array().map(Vec::len), Some(1), "ordinary goods are no pool");
    let (here, elsewhere, shut) = (&pools[0]["here"], &pools[0]["elsewhere"], &pools[0]["shut"]);
    assert_eq!((here, elsewhere, shut), (&json!(3), &json!(0), &json!(false)));
    assert_eq!((&pools[0]["holders"][0]["held"], &pools[0]["holders"][0]["own"]), (&json!(3), &json!(true)));
    assert_eq!(kit.get("/api/v1/status").await.json()["shut"], Value::Null);
    let pin = json!({"sku": "PIN", "quantity": 1});
    kit.post("/api/v1/rights/ask", &pin).await.refused(409, "nothing_held");
    kit.post("/api/v1/rights/ask", &json!({"sku": "PIN", "quantity": -1})).await.refused(422, "field");
    let grant = |to: &str| json!({"sku": "PIN", "quantity": 1, "to": to});
    kit.post("/api/v1/rights/grant", &grant("kit-2")).await.refused(404, "unknown_kit");
    kit.post("/api/v1/rights/grant", &grant("")).await.refused(404, "unknown_kit");
    kit.post("/api/v1/rights/grant", &grant(" KIT-1 ")).await.refused(404, "unknown_kit");
    let lease = |sku: &str, term_ms: i64| json!({"sku": sku, "quantity": 1, "to": "kit-1", "term_ms": term_ms});
    let kept = kit.post("/api/v1/rights/grant", &lease("PIN", 7_200_000)).await;
    kept.refused(409, "not_leased");
    assert_eq!(kept.json()["next_step"], "Leave the term out.");
    kit.post("/api/v1/rights/grant", &lease("MUG", 7_200_000)).await.refused(404, "unknown_kit");
    kit.post("/api/v1/rights/lost", &json!({"sku": "PIN", "kit": "kit-2"})).await.refused(404, "unknown_kit");
    kit.get("/api/v1/bundle?for=kit-2").await.refused(404, "unknown_kit");
}

#[tokio::test]
async fn a_kit_is_let_in_by_its_key_alone() {
    let kit = Kit::new();
    kit.post("/api/v1/kits", &json!({"kit": "kit B", "key": "abc"})).await.refused(422, "field");
    // The loop of these tests has no key to sign with.
    let unsigned = json!({"kit": "kit B", "key": "ab".repeat(32)});
    kit.post("/api/v1/kits", &unsigned).await.refused(403, "not_allowed");
}

#[tokio::test]
async fn the_last_slip_opens_what_waits_and_another_one_does_not() {
    let kit = Kit::new();
    kit.stock("PIN", 3, json!({"limit": "hard"})).await;
    let order = kit.post("/api/v1/orders", &cash(json!([{"sku": "PIN", "quantity": 1}]), 1000)).await.json();
    let admit = |slip: &str| json!({"slip": slip});
    kit.post("/api/v1/rights/admit", &admit("last one")).await.refused(422, "field");
    kit.post("/api/v1/rights/admit", &admit("9999-AAAA")).await.refused(409, "slip_differs");
    let opened = kit.post("/api/v1/rights/admit", &admit(order["slip"].as_str().expect("a slip"))).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.text);
    assert_eq!(opened.json()[0]["here"], 2);
}

#[tokio::test]
async fn a_bundle_comes_as_bytes() {
    let kit = Kit::new();
    kit.post("/api/v1/bundle", &json!({})).await.refused(415, "media_type");
    let long = ask("POST", "/api/v1/orders").header("idempotency-key", "k").header("content-type", "application/json");
    let long = long.body(Body::from(vec![b' '; 2 << 20])).expect("a request");
    kit.send(long).await.refused(413, "too_large");
}

#[tokio::test]
async fn a_page_that_watches_says_who_it_is() {
    let kit = Kit::new();
    let page = PageId([7; 16]).text();
    let there = kit.post("/api/v1/witness", &json!({"page": page})).await;
    assert_eq!((there.status, there.json()), (StatusCode::OK, json!({"verdict": "agrees"})));
    kit.post("/api/v1/witness", &json!({"page": "somebody"})).await.refused(422, "field");
    kit.post("/api/v1/witness", &json!({})).await.refused(422, "field");
    kit.get("/api/v1/updates?page=somebody").await.refused(422, "field");
}

#[test]
fn tabs_of_one_browser_are_one_page() {
    let (watchers, page) = (crate::shop::Watchers::default(), PageId([7; 16]));
    watchers.begin(page);
    watchers.begin(page);
    assert!(!watchers.end(page), "another tab is open");
    assert!(watchers.end(page));
}
