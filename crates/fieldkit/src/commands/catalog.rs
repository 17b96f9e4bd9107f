//! `catalog` and `stock`.

use super::{Session, Usage, amount, given, key, pair, segment};
use crate::cli::{Catalog, Repeat, Stock, StockCommand};
use crate::say::{self, Exit};
use anyhow::{Context, Result};
use hyper::Method;
use serde_json::{Value, json};

/// `catalog`
pub async fn run(session: &Session, command: Catalog) -> Result<Exit> {
    match command {
        Catalog::Import { file, repeat } => import(session, &file, &repeat).await,
        Catalog::Set { .. } => set(session, command).await,
    }
}

async fn import(session: &Session, file: &std::path::Path, repeat: &Repeat) -> Result<Exit> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let dir = file.canonicalize().ok().and_then(|path| path.parent().map(|dir| dir.display().to_string()));
    let path = match dir {
        Some(dir) => format!("/api/v1/catalog/import?name={}&pictures={}", segment(&name), segment(&dir)),
        None => format!("/api/v1/catalog/import?name={}", segment(&name)),
    };
    let key = key(repeat)?;
    let reply = session.client.write_csv(&path, &key, bytes).await?;
    let answer = given!(session.written(reply, &key));
    if session.json {
        say::json(&answer);
        return Ok(Exit::Fine);
    }
    let count = |name: &str| say::text(&answer, name);
    say::line(&format!("{} created, {} changed, {} unchanged", count("created"), count("changed"), count("unchanged")));
    for rejected in answer["rejected"].as_array().into_iter().flatten() {
        say::talk(&format!("rejected: line {}: {}", say::text(rejected, "line"), say::text(rejected, "reason")));
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        say::talk(&format!("warning: {}", warning.as_str().unwrap_or_default()));
    }
    Ok(Exit::Fine)
}

async fn set(session: &Session, command: Catalog) -> Result<Exit> {
    let Catalog::Set { sku, name, price, tax_rate, barcode, open_price, limit, count, repeat } = command else {
        return Ok(Exit::Usage);
    };
    let currency = given!(session.currency().await?);
    let items = given!(session.get("/api/v1/items").await?);
    let known = items.as_array().is_some_and(|items| items.iter().any(|item| item["sku"] == sku.as_str()));
    if !known {
        check_new(&sku, name.is_some(), price.is_some() || open_price == Some(true))?;
    }
    let mut body = json!({});
    let mut put = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[field] = value;
        }
    };
    put("name", name.map(Value::from));
    put("tax_rate", tax_rate.map(Value::from));
    put("barcode", barcode.map(Value::from));
    put("open_price", open_price.map(Value::from));
    let limits = limit.is_some();
    put("limit", limit.map(Value::from));
    if let Some(price) = price {
        put("price", Some(json!({"minor": amount(&price, currency)?, "currency": currency.code()})));
    }
    let key = key(&repeat)?;
    let item = if known {
        if count.is_some() {
            return Err(
                Usage("the count of an item in the catalogue is changed with `fieldkit stock --set`".into()).into()
            );
        }
        let path = format!("/api/v1/items/{}", segment(&sku));
        given!(session.write(Method::PATCH, &path, &key, &body).await?)
    } else {
        put("sku", Some(Value::from(sku)));
        put("count", count.map(Value::from));
        given!(session.write(Method::POST, "/api/v1/items", &key, &body).await?)
    };
    print(session, &Value::Array(vec![item.clone()]), &item);
    if known && limits {
        warn_of_others(session).await?;
    }
    Ok(Exit::Fine)
}

/// A limit holds at another kit from when that one has heard of it.
async fn warn_of_others(session: &Session) -> Result<()> {
    let Ok(kits) = session.get("/api/v1/kits").await? else { return Ok(()) };
    let other = |kit: &&Value| kit["own"] != json!(true) && kit["retired"] != json!(true);
    let names: Vec<String> =
        kits.as_array().into_iter().flatten().filter(other).map(|kit| say::text(kit, "kit")).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        say::talk(&format!(
            "warning: {names} may sell as before until they have heard of this, and more goes than there is"
        ));
        say::talk("next: fieldkit sync export --out FILE, and take it there before anybody sells on");
    }
    Ok(())
}

/// A new item has a name and a price; what is missing is named.
fn check_new(sku: &str, named: bool, priced: bool) -> Result<()> {
    let missing = match (named, priced) {
        (true, true) => return Ok(()),
        (false, true) => "--name is missing",
        (true, false) => "--price is missing (or --open-price true)",
        (false, false) => "--name and --price are missing",
    };
    Err(Usage(format!("{sku:?} is not in the catalogue yet, and a new item needs a name and a price: {missing}"))
        .into())
}

/// `stock`
pub async fn stock(session: &Session, options: Stock) -> Result<Exit> {
    if let Some(StockCommand::Pool { sku }) = &options.command {
        return super::rights::pool(session, sku).await;
    }
    let (sku, change) = match (&options.set, &options.change) {
        (None, None) => {
            let items = given!(session.get("/api/v1/items").await?);
            print(session, &items, &items);
            return Ok(Exit::Fine);
        }
        (Some(set), _) => {
            let (sku, count) = pair(set, "SKU=COUNT")?;
            (sku, json!({"count": whole(count)?, "reason": options.reason}))
        }
        (None, Some(change)) => {
            let (sku, by) = pair(change, "SKU=+N or SKU=-N")?;
            (sku, json!({"change": whole(by.trim_start_matches('+'))?, "reason": options.reason}))
        }
    };
    let key = key(&options.repeat)?;
    let path = format!("/api/v1/stock/{}", segment(sku));
    let item = given!(session.write(Method::POST, &path, &key, &change).await?);
    print(session, &Value::Array(vec![item.clone()]), &item);
    Ok(Exit::Fine)
}

fn whole(text: &str) -> Result<i64> {
    text.parse().map_err(|_| Usage(format!("{text:?} is not a whole number of units")).into())
}

fn print(session: &Session, items: &Value, document: &Value) {
    if session.json {
        return say::json(document);
    }
    let row = |item: &Value| {
        let name = say::text(item, "name");
        let counted = item["limit"] != "uncounted";
        let here = if counted { say::text(item, "here") } else { "–".to_owned() };
        let elsewhere = say::text(item, "elsewhere");
        vec![say::text(item, "sku"), name, say::money(&item["price"]), here, elsewhere, say::text(item, "sold")]
    };
    let mut rows: Vec<Vec<String>> = items.as_array().into_iter().flatten().map(row).collect();
    // A kit that is alone shows nothing of others.
    if rows.iter().any(|row| row[4] != "0") {
        return say::table(&["sku", "name", "price", "here", "elsewhere", "sold"], &[2, 3, 4, 5], &rows);
    }
    rows.iter_mut().for_each(|row| drop(row.remove(4)));
    say::table(&["sku", "name", "price", "here", "sold"], &[2, 3, 4], &rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_item_lacks_is_named() {
        let check = |named, priced| check_new("MUG", named, priced).err().map(|error| error.to_string());
        assert_eq!(check(true, true), None);
        let ends = |text: Option<String>, part: &str| {
            assert!(text.as_ref().is_some_and(|text| text.ends_with(part)), "{text:?}")
        };
        ends(check(false, true), ": --name is missing");
        ends(check(true, false), ": --price is missing (or --open-price true)");
        ends(check(false, false), ": --name and --price are missing");
    }
}
