//! `sell`, `orders`, `refund`.

use super::{Session, Usage, amount, given, key, pair, percent_ppm, segment};
use crate::cli::{Orders, Refund, Sell};
use crate::say::{self, Exit};
use anyhow::Result;
use fieldkit_core::money::Currency;
use hyper::Method;
use serde_json::{Value, json};

/// Orders asked for in one request.
const PAGE: u32 = 200;

/// `sell`
pub async fn sell(session: &Session, options: Sell) -> Result<Exit> {
    let key = key(&options.repeat)?;
    let currency = given!(session.currency().await?);
    let lines = lines(&options, currency)?;
    let mut tenders = Vec::new();
    for tender in &options.tenders {
        let (kind, value) = pair(tender, "KIND=AMOUNT")?;
        if kind != "cash" {
            return Err(Usage(format!("{kind:?} is no tender of this kit; cash is")).into());
        }
        let minor = amount(value, currency)?;
        tenders.push(json!({"kind": "cash", "amount": {"minor": minor, "currency": currency.code()}}));
    }
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
    print_sale(session, &order);
    Ok(Exit::Fine)
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

fn print_sale(session: &Session, order: &Value) {
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
    say::line(&format!("total {}   change {}", say::money(&order["total"]), say::money(&order["change"])));
    say::line(&format!(
        "receipt {}-{}   {}   {}",
        say::text(order, "series"),
        say::text(order, "receipt"),
        say::text(order, "state"),
        say::text(order, "durability"),
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
        let receipt = format!("{}-{}", say::text(order, "series"), part("receipt"));
        let amount = say::money(&refund["amount"]);
        say::line(&format!("{} {receipt} {amount} {}{undone}   {}", part("kind"), part("refund_id"), part("reason")));
    }
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
    let mut all: Vec<Value> = Vec::new();
    while all.len() < options.limit as usize {
        let wanted = PAGE.min(options.limit - all.len() as u32);
        let before = all.last().map(|order| format!("&before={}", say::text(order, "order_id"))).unwrap_or_default();
        let page = given!(session.get(&format!("/api/v1/orders?limit={wanted}{before}")).await?);
        let Value::Array(page) = page else { break };
        let whole = page.len() == wanted as usize;
        all.extend(page);
        if !whole {
            break;
        }
    }
    if session.json {
        say::json(&Value::Array(all));
        return Ok(Exit::Fine);
    }
    let row = |order: &Value| {
        let number = format!("{}-{}", say::text(order, "series"), say::text(order, "receipt"));
        let training = if order["training"] == json!(true) { "TRAINING" } else { "" };
        let [when, state] = ["placed_at", "state"].map(|name| say::text(order, name));
        vec![number, when, state, say::money(&order["total"]), training.to_owned()]
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
            let body = json!({
                "lines": refund_lines(&options.lines)?,
                "reason": options.reason,
                "tender": "cash",
                "restock": !options.no_restock,
            });
            (format!("/api/v1/orders/{order}/refund"), body)
        }
    };
    let order = given!(session.write(Method::POST, &path, &key, &body).await?);
    if session.json {
        say::json(&order);
        return Ok(Exit::Fine);
    }
    say::line(&format!(
        "order {}-{} is {}",
        say::text(&order, "series"),
        say::text(&order, "receipt"),
        say::text(&order, "state").replace('_', " "),
    ));
    print_refunds(&order);
    Ok(Exit::Fine)
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
