//! The OpenAPI document.

use super::Kit;
use serde_json::Value;
use std::collections::BTreeSet;

const OPERATIONS: &[&str] = &[
    "get /api/v1/bundle",
    "get /api/v1/devices",
    "get /api/v1/drawer",
    "get /api/v1/events",
    "get /api/v1/foreign-payments",
    "get /api/v1/items",
    "get /api/v1/kits",
    "get /api/v1/orders",
    "get /api/v1/orders/{id}",
    "get /api/v1/orders/{id}/receipt.svg",
    "get /api/v1/payments",
    "get /api/v1/pools",
    "get /api/v1/status",
    "get /api/v1/updates",
    "get /api/v1/verify",
    "get /images/{hash}",
    "patch /api/v1/items/{sku}",
    "post /api/v1/catalog/import",
    "get /api/v1/keys",
    "post /api/v1/bundle",
    "post /api/v1/devices/{id}/ask",
    "post /api/v1/devices/{id}/stop",
    "post /api/v1/drawer/count",
    "post /api/v1/drawer/move",
    "post /api/v1/drawer/open",
    "post /api/v1/events",
    "post /api/v1/events/{id}/close",
    "post /api/v1/events/{id}/open",
    "post /api/v1/foreign-payments/{id}/settle",
    "post /api/v1/items",
    "post /api/v1/kits",
    "post /api/v1/orders",
    "post /api/v1/orders/{id}/cancel",
    "post /api/v1/orders/{id}/payments",
    "post /api/v1/orders/{id}/payments/{payment_id}/close",
    "post /api/v1/orders/{id}/payments/{payment_id}/reverse",
    "post /api/v1/orders/{id}/refund",
    "post /api/v1/orders/{id}/settle",
    "post /api/v1/orders/{id}/void",
    "post /api/v1/refunds/{refund_id}/undo",
    "post /api/v1/rights/admit",
    "post /api/v1/rights/ask",
    "post /api/v1/rights/grant",
    "post /api/v1/rights/lost",
    "post /api/v1/stock/{sku}",
    "post /api/v1/witness",
];

#[tokio::test]
async fn the_document_lists_every_route_and_code() {
    let kit = Kit::new();
    let document = kit.get("/api/openapi.json").await.json();
    let (mut found, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            found.insert(format!("{method} {path}"));
            assert!(names.insert(operation["operationId"].as_str()), "{operation}");
            let keyless = path == "/api/v1/witness" || path == "/api/v1/bundle" || path.starts_with("/api/v1/devices/");
            check(operation, method != "get" && !keyless);
        }
    }
    assert_eq!(found, OPERATIONS.iter().map(|name| (*name).to_owned()).collect());
    let description = document["info"]["description"].as_str().expect("a text");
    assert!(crate::problem::CODES.iter().all(|(code, _, _)| description.contains(&format!("| `{code}` |"))));
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    for name in wanted {
        let path = name.strip_prefix('#').expect("a reference within the document");
        assert!(document.pointer(path).is_some(), "{name}");
    }
}

/// Each operation is described, and says what its problems look like; each write has its key.
fn check(operation: &Value, writes: bool) {
    assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{operation}");
    let mut responses = operation["responses"].as_object().expect("responses").values();
    assert!(responses.all(|response| response["description"].is_string()), "{operation}");
    let problem = &operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(problem, "#/components/schemas/Problem", "{operation}");
    let parameters = operation["parameters"].as_array();
    let keyed = parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"));
    assert_eq!(keyed, writes, "{operation}");
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
