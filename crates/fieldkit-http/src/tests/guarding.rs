//! Bad requests, other hosts and origins, a loop that does not answer, and names that are code elsewhere.

use super::{Kit, OnePicture, ask, cash, eur};
use crate::desk::{Ask, Desk};
use crate::guard::Policy;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use fieldkit_core::id::Hash;
use futures_util::{StreamExt, stream};
use serde_json::json;
use std::convert::Infallible;
use std::sync::mpsc::sync_channel;
use tokio::sync::broadcast;

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_that_names_the_field() {
    let kit = Kit::new();
    let line = |quantity: &str| format!(r#"{{"lines":[{{"sku":"A","quantity":{quantity}}}],"tenders":[]}}"#);
    let tender = |amount: &str| format!(r#"{{"lines":[],"tenders":[{{"kind":"cash","amount":{amount}}}]}}"#);
    let table = [
        ("{".to_owned(), 400, "json", "not JSON"),
        (line("NaN"), 400, "json", "not JSON"),
        ("[]".to_owned(), 422, "field", "The body"),
        ("{}".to_owned(), 422, "field", "lines"),
        (String::new(), 422, "field", "lines"),
        (line("1.5"), 422, "field", "lines[0].quantity: invalid type: floating point"),
        (line("1e2"), 422, "field", "lines[0].quantity"),
        (line("\"2\""), 422, "field", "lines[0].quantity"),
        (line("9223372036854775808"), 422, "field", "lines[0].quantity"),
        (line("99999999999999999999999"), 422, "field", "lines[0].quantity"),
        (line("null"), 422, "field", "lines[0].quantity"),
        (tender(r#"{"minor":1.0,"currency":"EUR"}"#), 422, "field", "tenders[0].amount.minor"),
        (tender(r#"{"minor":1,"currency":"EURO"}"#), 422, "field", "tenders[0].amount.currency"),
        (tender(r#"{"minor":1}"#), 422, "field", "currency"),
        (tender(r#"{"minor":1,"minor":2,"currency":"EUR"}"#), 422, "field", "minor"),
        (r#"{"lines":[],"tenders":[{"kind":"cheque"}]}"#.to_owned(), 422, "field", "tenders[0].kind"),
        (r#"{"lines":[],"tenders":[],"colour":1}"#.to_owned(), 422, "field", "colour"),
        (r#"{"lines":[],"tenders":[],"discount":{}}"#.to_owned(), 422, "field", "discount"),
        (r#"{"lines":[],"tenders":[],"cart_opened_at":"noon"}"#.to_owned(), 422, "field", "cart_opened_at"),
        ("[".repeat(100_000), 400, "json", "not JSON"),
    ];
    for (body, status, code, named) in table {
        let request = ask("POST", "/api/v1/orders").header("idempotency-key", "k");
        let request = request.header("content-type", "application/json");
        let reply = kit.send(request.body(Body::from(body)).expect("a request")).await;
        reply.refused(status, code);
        let detail = reply.json()["detail"].as_str().expect("a text").to_owned();
        assert!(detail.contains(named), "{named}: {detail}");
    }
}

#[tokio::test]
async fn keys_media_lengths_addresses_and_methods_are_checked() {
    let kit = Kit::new();
    let post = |key: &'static str, media: &str, length: usize| {
        let request = ask("POST", "/api/v1/orders").header("idempotency-key", key).header("content-type", media);
        kit.send(request.body(Body::from(" ".repeat(length))).expect("a request"))
    };
    post("a b", "application/json", 2).await.refused(400, "key_form");
    post("k", "text/plain", 2).await.refused(415, "media_type");
    post("k", "application/json", (1 << 20) + 1).await.refused(413, "too_large");
    let bare = ask("POST", "/api/v1/orders").header("content-type", "application/json");
    kit.send(bare.body(Body::from("{}")).expect("a request")).await.refused(400, "key_missing");
    kit.get("/api/v1/nothing").await.refused(404, "not_found");
    kit.get("/api/v1/orders/%FF").await.refused(400, "path");
    let deleted = kit.send(ask("DELETE", "/api/v1/orders").body(Body::empty()).expect("a request")).await;
    deleted.refused(405, "method");
    assert!(deleted.header("allow").contains("POST"), "{:?}", deleted.headers);
    kit.post("/", &json!({})).await.refused(405, "method");
    kit.post("/nothing", &json!({})).await.refused(404, "not_found");
}

#[tokio::test]
async fn only_own_names_and_own_pages_get_through() {
    let kit = Kit::new();
    let table: &[(&str, &[_], u16)] = &[
        ("GET", &[("host", "localhost:8080")], 200),
        ("GET", &[("host", "LOCALHOST")], 200),
        ("GET", &[("host", "127.0.0.1:80")], 200),
        ("GET", &[("host", "[::1]:8080")], 200),
        ("GET", &[], 421),
        ("GET", &[("host", "evil.example")], 421),
        ("GET", &[("host", "localhost.evil.example")], 421),
        ("GET", &[("host", "localhost:8080@evil.example")], 421),
        ("GET", &[("host", "localhost"), ("host", "evil.example")], 421),
        ("GET", &[("host", "localhost:8080"), ("origin", "http://evil.example")], 200),
        ("GET", &[("host", "localhost:8080"), ("sec-fetch-site", "none")], 200),
        ("GET", &[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")], 403),
        ("POST", &[("host", "localhost:8080")], 422),
        ("POST", &[("host", "localhost:8080"), ("origin", "http://localhost:8080")], 422),
        ("POST", &[("host", "localhost:8080"), ("sec-fetch-site", "same-origin")], 422),
        ("POST", &[("host", "localhost:8080"), ("origin", "http://localhost:8081")], 403),
        ("POST", &[("host", "localhost:8080"), ("origin", "http://127.0.0.1:8080")], 403),
        ("POST", &[("host", "localhost:8080"), ("origin", "http://evil.example")], 403),
        ("POST", &[("host", "localhost:8080"), ("origin", "null")], 403),
        ("POST", &[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")], 403),
        ("POST", &[("host", "localhost:8080"), ("sec-fetch-site", "same-site")], 403),
        ("POST", &[("host", "localhost:8080"), ("sec-fetch-site", "none")], 403),
        ("POST", &[("host", "evil.example"), ("origin", "http://evil.example")], 421),
    ];
    for (method, headers, status) in table {
        let mut request = axum::http::Request::builder().method(*method).uri("/api/v1/orders");
        request = request.header("idempotency-key", "k").header("content-type", "application/json");
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let reply = kit.send(request.body(Body::from("{}")).expect("a request")).await;
        assert_eq!(reply.status.as_u16(), *status, "{method} {headers:?} {}", reply.text);
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(reply.header("content-security-policy").starts_with("default-src 'self'; img-src 'self' data:; frame"));
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    // An address that does not exist says no more about itself to a foreign name.
    let lost = axum::http::Request::builder().uri("/nothing").header("host", "evil.example");
    kit.send(lost.body(Body::empty()).expect("a request")).await.refused(421, "wrong_host");
}

#[tokio::test]
async fn a_socket_has_no_names() {
    let inside = Kit::over(Kit::new().desk, Policy::Socket);
    let request = axum::http::Request::builder().uri("/api/v1/status").body(Body::empty()).expect("a request");
    assert_eq!(inside.send(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_full_queue_and_a_lost_loop_are_told_apart() {
    let (updates, _) = broadcast::channel(1);
    let (asks, inbox) = sync_channel(1);
    let kit = Kit::over(Desk { asks, updates }, Policy::loopback());
    let sale = cash(json!([{"sku": "MUG", "quantity": 1}]), 1000);
    let waiting = kit.post("/api/v1/orders", &sale);
    let busy = async {
        // The first ask fills the queue.
        let reply = kit.post("/api/v1/orders", &sale).await;
        reply.refused(503, "busy");
        assert_eq!(reply.header("retry-after"), "1");
        assert_eq!(reply.json()["touched"], "This request recorded nothing.");
        // The loop takes the first and ends without an answer.
        assert!(matches!(inbox.recv(), Ok(Ask::Give { .. })));
        drop(inbox);
    };
    let (unknown, ()) = tokio::join!(waiting, busy);
    unknown.refused(504, "outcome_unknown");
    let touched = unknown.json()["touched"].as_str().expect("a text").to_owned();
    assert_eq!(touched, "It is not known whether this was recorded; ask again with the same key.");
    kit.post("/api/v1/orders", &sale).await.refused(503, "stopped");
    kit.get("/api/v1/status").await.refused(503, "stopped");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_not_called_a_refusal() {
    let (updates, _) = broadcast::channel(1);
    let (asks, _inbox) = sync_channel(8);
    let kit = Kit::over(Desk { asks, updates }, Policy::loopback());
    kit.post("/api/v1/orders", &cash(json!([]), 0)).await.refused(504, "outcome_unknown");
    kit.get("/api/v1/status").await.refused(504, "too_slow");
}

#[tokio::test]
async fn names_that_are_code_elsewhere_stay_text() {
    let kit = Kit::new();
    let name = "<script>alert(1)</script>\"'&";
    kit.stock("<b>", 9, json!({"name": name})).await;
    let items = kit.get("/api/v1/items").await;
    assert_eq!((items.header("content-type"), items.header("x-content-type-options")), ("application/json", "nosniff"));
    assert_eq!(items.json()[0]["name"], name);
    let changed = kit.write("PATCH", "/api/v1/items/%3Cb%3E", "p", &json!({"price": eur(1100)})).await;
    assert_eq!(changed.json()["price"], eur(1100));
    kit.post("/api/v1/orders", &cash(json!([{"sku": "<b>", "quantity": 1}]), 1100)).await;
    let picture = kit.get("/api/v1/orders/1/receipt.svg").await;
    assert!(!picture.text.contains("script") && !picture.text.contains("alert"), "{}", picture.text);
    let refused = kit.post("/api/v1/orders", &cash(json!([{"sku": name, "quantity": 1}]), 1)).await;
    assert_eq!(refused.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn pictures_cannot_run() {
    let kit = Kit::new();
    let picture = kit.get(&format!("/images/{}", Hash::of(OnePicture::BYTES).hex())).await;
    assert_eq!((picture.status, picture.header("content-type")), (StatusCode::OK, "image/svg+xml"));
    let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'";
    assert_eq!(picture.header("content-security-policy"), policy);
    assert!(picture.header("cache-control").contains("immutable"));
    kit.get(&format!("/images/{}", Hash::of(b"other").hex())).await.refused(404, "no_picture");
    kit.get("/images/..%2F..%2Fsecret").await.refused(404, "no_picture");
}

#[tokio::test]
async fn pages_are_cached_by_what_they_are() {
    let kit = Kit::new();
    let index = kit.get("/").await;
    assert_eq!((index.header("cache-control"), index.header("content-type")), ("no-cache", "text/html; charset=utf-8"));
    let tag = index.header("etag").to_owned();
    let again = ask("GET", "/index.html").header("if-none-match", &tag).body(Body::empty()).expect("a request");
    assert_eq!(kit.send(again).await.status, StatusCode::NOT_MODIFIED);
    let asset = kit.get("/assets/till-1a2b.js").await;
    assert!(asset.header("cache-control").contains("immutable"));
    kit.get("/assets/../secret").await.refused(404, "not_found");
    kit.get("/sell").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_read_to_its_end() {
    const CHUNKS: usize = 64;
    let kit = Kit::new();
    let table = [
        ("localhost:8080", "long", 413, "too_large"),
        ("localhost:8080", "a key", 400, "key_form"),
        ("evil.example", "long", 421, "wrong_host"),
    ];
    for (host, key, status, code) in table {
        let (sent, mut read) = tokio::sync::mpsc::unbounded_channel();
        let chunks = stream::iter(0..CHUNKS).map(move |at| {
            sent.send(at).expect("a test that listens");
            Ok::<_, Infallible>(vec![b' '; 64 << 10])
        });
        let request = Request::builder().method("POST").uri("/api/v1/orders").header("host", host);
        let request = request.header("origin", "http://localhost:8080").header("content-type", "application/json");
        let request = request.header("idempotency-key", key).body(Body::from_stream(chunks)).expect("a request");
        kit.send(request).await.refused(status, code);
        let mut heard = 0;
        while read.recv().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, CHUNKS, "{code}");
    }
}
