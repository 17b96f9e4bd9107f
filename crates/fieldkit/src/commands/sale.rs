//! `sell`, `orders`, `refund`; what orders look like.

use super::{Session, Usage, amount, given, key, pair, percent_ppm, segment, waiting};
use crate::cli::{Orders, Refund, Sell};
use crate::say::{self, Exit};
use anyhow::Result;
use fieldkit_core::money::Currency;
use hyper::Method;
use serde_json::{Value, json};

/// Orders or payments asked for in one request.
const PAGE: u32 = 200;

/// `sell`
pub async fn sell(session: &Session, options: Sell) -> Result<Exit> {
    let key = key(&options.repeat)?;
    let currency = given!(session.currency().await?);
    let lines = lines(&options, currency)?;
    let tenders = options.tenders.iter().map(|text| tender(text, currency)).collect::<Result<Vec<Value>>>()?;
    let mut body = json!({
        "lines": lines,
        "tenders": tenders,
        "source": {"till": options.till, "campaign": options.campaign, "session": "", "variant": ""},
    });
    if let Some(discount) = &options.discount {
        body["discount"] = discount_of(discount, currency)?;
        body["discount_reason"] = json!(options.discount_reason);
    }
    let order = given!(session.write(Method::POST, "/api/v1/orders", &key, &body).await?);
    waiting::finish(session, order, &options.waiting, &key).await
}

/// `cash=AMOUNT`, `card`, `card=AMOUNT` or `card-external=AMOUNT:REFERENCE`.
pub(super) fn tender(text: &str, currency: Currency) -> Result<Value> {
    let (kind, value) = text.split_once('=').map_or((text, None), |(kind, value)| (kind, Some(value)));
    let money =
        |text: &str| Ok::<_, anyhow::Error>(json!({"minor": amount(text, currency)?, "currency": currency.code()}));
    let form = |form: &str| Usage(format!("{text:?} is not of the form {form}"));
    match (kind, value) {
        ("cash", Some(value)) => Ok(json!({"kind": kind, "amount": money(value)?})),
        ("cash", None) => Err(form("cash=AMOUNT").into()),
        ("card", Some(value)) => Ok(json!({"kind": kind, "amount": money(value)?})),
        ("card", None) => Ok(json!({"kind": kind})),
        ("card-external", value) => {
            let parts = value.and_then(|value| value.split_once(':')).filter(|(_, reference)| !reference.is_empty());
            let (value, reference) = parts.ok_or_else(|| form("card-external=AMOUNT:REFERENCE"))?;
            Ok(json!({"kind": kind, "amount": money(value)?, "reference": reference}))
        }
        _ => Err(Usage(format!("{kind:?} is no tender of this kit; cash, card and card-external are")).into()),
    }
}

fn lines(options: &Sell, currency: Currency) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for line in &options.lines {
        let (sku, quantity) = pair(line, "SKU=QTY")?;
        let quantity: i64 =
            quantity.parse().map_err(|_| Usage(format!("{quantity:?} is not a whole number of units")))?;
        lines.push(json!({"sku": sku, "quantity": quantity}));
    }
    for price in &options.prices {
        let (sku, value) = pair(price, "SKU=AMOUNT")?;
        let minor = amount(value, currency)?;
        let line = of_sku(&mut lines, sku)?;
        line["price"] = json!({"minor": minor, "currency": currency.code()});
    }
    for discount in &options.line_discounts {
        let (sku, value) = pair(discount, "SKU=AMOUNT or SKU=PERCENT%")?;
        let discount = discount_of(value, currency)?;
        let line = of_sku(&mut lines, sku)?;
        line["discount"] = discount;
        line["discount_reason"] = json!(options.discount_reason);
    }
    Ok(lines)
}

fn of_sku<'a>(lines: &'a mut [Value], sku: &str) -> Result<&'a mut Value> {
    let found = lines.iter_mut().find(|line| line["sku"] == sku);
    found.ok_or_else(|| Usage(format!("{sku:?} is on no line of this sale")).into())
}

fn discount_of(text: &str, currency: Currency) -> Result<Value> {
    let Some(percent) = text.strip_suffix('%') else { return Ok(json!({"minor": amount(text, currency)?})) };
    let ppm = percent_ppm(percent).ok_or_else(|| Usage(format!("{text:?} is no percentage")))?;
    Ok(json!({"ppm": ppm}))
}

/// An order, as whoever has just written or asked for it sees it.
pub(super) fn print_sale(session: &Session, order: &Value) {
    if session.json {
        return say::json(order);
    }
    if order["training"] == json!(true) {
        say::line("TRAINING: no real sale");
    }
    for line in order["lines"].as_array().into_iter().flatten() {
        let (quantity, name) = (say::text(line, "quantity"), say::text(line, "name"));
        say::line(&format!("{quantity} × {name}  {}", say::money(&line["total"])));
    }
    let waits = order["state"] == "awaiting_payment";
    let (word, rest) = if waits { ("left to pay", &order["left"]) } else { ("change", &order["change"]) };
    say::line(&format!("total {}   {word} {}", say::money(&order["total"]), say::money(rest)));
    for payment in order["payments"].as_array().into_iter().flatten().filter(|payment| payment["tender"] != "cash") {
        let mut parts = payment_line(payment);
        if payment["tender"] == "card" {
            parts.extend(["label", "said", "payment_id"].map(|name| say::text(payment, name)));
            parts.retain(|part| !part.is_empty());
        }
        say::line(&parts.join("   "));
    }
    let state = say::text(order, "state").replace('_', " ");
    let word = if order["receipt"].is_null() { "order" } else { "receipt" };
    let slip = if order["slip"].as_str().is_none_or(str::is_empty) { "" } else { "   slip " };
    say::line(&format!(
        "{word} {}   {state}   {}{slip}{}",
        receipt(order),
        say::text(order, "durability"),
        say::text(order, "slip")
    ));
    print_refunds(order);
    for warning in order["warnings"].as_array().into_iter().flatten() {
        say::talk(&format!("warning: {}", warning.as_str().unwrap_or_default()));
    }
}

/// Refunds and voids with the ids that `refund --undo` takes.
fn print_refunds(order: &Value) {
    for refund in order["refunds"].as_array().into_iter().flatten() {
        let part = |name| say::text(refund, name);
        let undone = if refund["undone"] == json!(true) { " (undone)" } else { "" };
        let receipt = format!("{}-{}", part("series"), part("receipt"));
        let amount = say::money(&refund["amount"]);
        say::line(&format!("{} {receipt} {amount} {}{undone}   {}", part("kind"), part("refund_id"), part("reason")));
    }
}

/// What an order is called: its receipt, once it has one; until then its id, which every command takes.
fn receipt(order: &Value) -> String {
    match order["receipt"].as_u64() {
        Some(number) => format!("{}-{number}", say::text(order, "series")),
        None => say::text(order, "order_id"),
    }
}

/// Tender, state, amount, reference of a payment.
pub(super) fn payment_line(payment: &Value) -> Vec<String> {
    let state = say::text(payment, "state").replace('_', " ");
    vec![say::text(payment, "tender"), state, say::money(&payment["amount"]), say::text(payment, "reference")]
}

/// All of a list up to `limit`, page by page.
pub(super) async fn pages(
    session: &Session,
    list: &str,
    id: &str,
    limit: u32,
) -> Result<std::result::Result<Vec<Value>, Exit>> {
    let mut all: Vec<Value> = Vec::new();
    while all.len() < limit as usize {
        let wanted = PAGE.min(limit - all.len() as u32);
        let before = all.last().map(|last| format!("&before={}", segment(&say::text(last, id)))).unwrap_or_default();
        let page = match session.get(&format!("/api/v1/{list}?limit={wanted}{before}")).await? {
            Ok(page) => page,
            Err(exit) => return Ok(Err(exit)),
        };
        let Value::Array(page) = page else { break };
        let whole = page.len() == wanted as usize;
        all.extend(page);
        if !whole {
            break;
        }
    }
    Ok(Ok(all))
}

/// `orders`
pub async fn orders(session: &Session, options: Orders) -> Result<Exit> {
    if let Some(order) = &options.order {
        let order = given!(session.get(&format!("/api/v1/orders/{}", segment(order))).await?);
        if session.json {
            say::json(&order);
        } else {
            print_sale(session, &order);
        }
        return Ok(Exit::Fine);
    }
    let all = given!(pages(session, "orders", "order_id", options.limit).await?);
    if session.json {
        say::json(&Value::Array(all));
        return Ok(Exit::Fine);
    }
    let row = |order: &Value| {
        let training = if order["training"] == json!(true) { "TRAINING" } else { "" };
        let [when, state] = ["placed_at", "state"].map(|name| say::text(order, name));
        vec![receipt(order), when, state, say::money(&order["total"]), training.to_owned()]
    };
    say::table(&["receipt", "when", "state", "total", ""], &[3], &all.iter().map(row).collect::<Vec<_>>());
    Ok(Exit::Fine)
}

/// `refund`
pub async fn refund(session: &Session, options: Refund) -> Result<Exit> {
    let key = key(&options.repeat)?;
    let (path, body) = if let Some(refund) = &options.undo {
        (format!("/api/v1/refunds/{}/undo", segment(refund)), json!({}))
    } else {
        let order = segment(options.order.as_deref().unwrap_or_default());
        if options.void {
            (format!("/api/v1/orders/{order}/void"), json!({"reason": options.reason}))
        } else {
            let mut body = json!({
                "lines": refund_lines(&options.lines)?,
                "reason": options.reason,
                "restock": !options.no_restock,
            });
            if options.cash {
                body["tender"] = json!("cash");
            }
            (format!("/api/v1/orders/{order}/refund"), body)
        }
    };
    let order = given!(session.write(Method::POST, &path, &key, &body).await?);
    let (order, exit, lines) =
        if options.void { waiting::undone(session, order).await? } else { (order, Exit::Fine, Vec::new()) };
    if session.json {
        say::json(&order);
    } else {
        say::line(&format!("order {} is {}", receipt(&order), say::text(&order, "state").replace('_', " ")));
        print_refunds(&order);
    }
    for line in lines {
        say::talk(&line);
    }
    Ok(exit)
}

fn refund_lines(given: &[String]) -> Result<Value> {
    if given.is_empty() {
        return Ok(Value::Null);
    }
    let mut lines = Vec::new();
    for line in given {
        let (number, quantity) = pair(line, "LINE=QTY")?;
        let parse = |text: &str| -> Result<u32> {
            text.parse().map_err(|_| Usage(format!("{text:?} is not a whole number")).into())
        };
        lines.push(json!({"line": parse(number)?, "quantity": parse(quantity)?}));
    }
    Ok(Value::Array(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenders_are_read_by_kind() {
        let euro = Currency::from_code("EUR").expect("EUR is in ISO 4217");
        let check = |text: &str| tender(text, euro).map_err(|error| error.to_string());
        let money = json!({"minor": 1250, "currency": "EUR"});
        assert_eq!(check("cash=12.50"), Ok(json!({"kind": "cash", "amount": money})));
        assert_eq!(check("card"), Ok(json!({"kind": "card"})));
        assert_eq!(check("card=12.50"), Ok(json!({"kind": "card", "amount": money})));
        let external = json!({"kind": "card-external", "amount": money, "reference": "A=B:C"});
        assert_eq!(check("card-external=12.50:A=B:C"), Ok(external));
        for wrong in ["cash", "card-external", "card-external=12.50", "card-external=12.50:", "card=x", "cheque=1", "="]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn discounts_are_read_as_amounts_or_percent() {
        let euro = Currency::from_code("EUR").expect("EUR is in ISO 4217");
        let check = |text: &str| discount_of(text, euro).ok();
        assert_eq!(check("1.50"), Some(json!({"minor": 150})));
        assert_eq!(check("10%"), Some(json!({"ppm": 100_000})));
        assert_eq!(check("12.5%"), Some(json!({"ppm": 125_000})));
        assert_eq!(check("101%"), None);
        assert_eq!(check("x"), None);
    }
}
