//! Following the updates.

use super::{Kit, ask, cash};
use crate::desk::Update;
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// The events of one page.
struct Page {
    stream: BodyDataStream,
    text: String,
}

impl Page {
    async fn new(kit: &Kit) -> Self {
        let request = ask("GET", "/api/v1/updates").body(Body::empty()).expect("a request");
        let response = kit.router.clone().oneshot(request).await.expect("a router cannot fail");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Page { stream: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let (name, data) = (field("event: "), field("data: "));
                self.text = rest.to_owned();
                let Some(name) = name else { continue };
                return Some((name, serde_json::from_str(&data.expect("data")).expect("JSON")));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.stream.next()).await.expect("in time");
            let chunk = chunk?.expect("a chunk");
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// Events up to the first of that name.
    async fn until(&mut self, name: &str) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            let last = event.0 == name;
            events.push(event);
            if last {
                break;
            }
        }
        events
    }
}

#[tokio::test]
async fn a_page_sees_the_status_first_and_then_each_sale() {
    let kit = Kit::new();
    kit.stock("MUG", 9, json!({})).await;
    let mut page = Page::new(&kit).await;
    assert_eq!(page.next().await, Some(("status".to_owned(), kit.get("/api/v1/status").await.json())));
    let (name, head) = page.next().await.expect("an event");
    assert_eq!((name.as_str(), &head), ("head", &kit.get("/api/v1/status").await.json()["head"]));
    let order = kit.post("/api/v1/orders", &cash(json!([{"sku": "MUG", "quantity": 2}]), 2000)).await.json();
    let events = page.until("head").await;
    let stock = ("stock".to_owned(), json!({"sku": "MUG", "here": 7, "elsewhere": 0, "sold": 2}));
    assert!(events.contains(&stock), "{events:?}");
    let sold = events.iter().find(|(name, _)| name == "order").map(|(_, order)| order["order_id"].clone());
    let sold =
        if sold.is_some() { sold } else { page.until("order").await.pop().map(|(_, data)| data["order_id"].clone()) };
    assert_eq!(sold.as_ref(), Some(&order["order_id"]));
}

#[tokio::test]
async fn a_page_that_fell_behind_reads_again() {
    let kit = Kit::new();
    let mut page = Page::new(&kit).await;
    page.until("head").await;
    for _ in 0..100 {
        let _ = kit.desk.updates.send(Update::Drawer);
    }
    let mut names: Vec<String> = page.until("drawer").await.into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["catalog", "drawer", "status"]);
}

#[tokio::test]
async fn pages_are_let_go_when_the_kit_stops() {
    let kit = Kit::new();
    let mut page = Page::new(&kit).await;
    page.until("head").await;
    let _ = kit.desk.updates.send(Update::Stopping);
    assert_eq!(page.next().await, None);
}

#[tokio::test]
async fn the_number_of_pages_has_a_bound() {
    let kit = Kit::new();
    let mut pages = Vec::new();
    for _ in 0..64 {
        pages.push(Page::new(&kit).await);
    }
    kit.get("/api/v1/updates").await.refused(503, "busy");
    pages.pop();
    Page::new(&kit).await.until("status").await;
}

#[tokio::test]
async fn a_page_hears_of_devices_and_of_doubts_about_cards() {
    let stall = super::paying::Stall::new().await;
    let mut page = Page::new(&stall.kit).await;
    page.until("head").await;
    stall.kit.post(&format!("/api/v1/devices/{}/stop", stall.device.text()), &json!({})).await;
    let (_, device) = page.until("device").await.pop().expect("the device");
    assert_eq!((&device["device_id"], &device["text"]), (&json!(stall.device.text()), &json!("Stopped")));
    let order = stall.sell("sale").await;
    page.until("order").await;
    stall.tell(&order, vec![super::paying::sent(), super::paying::unknown()]).await;
    // Events of one look may come in several parts; the doubt is in one of them.
    let mut codes = Vec::new();
    while codes.is_empty() {
        let (_, status) = page.until("status").await.pop().expect("a status");
        codes = status["notices"].as_array().expect("notices").iter().map(|one| one["code"].clone()).collect();
    }
    assert_eq!(codes, [json!("payment_unknown")]);
}
