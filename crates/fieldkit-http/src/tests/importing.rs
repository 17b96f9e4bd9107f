//! Catalogue files.

use super::{Kit, OnePicture, Reply, ask};
use axum::body::Body;
use fieldkit_core::id::Hash;
use serde_json::json;

const FILE: &str = "Handle,Title,Variant SKU,Variant Price,Variant Inventory Qty,Variant Taxable,Image Src\n\
    mug,Mug,MUG,12.50,5,true,https://shop.example/good.svg\n\
    book,Book,BOOK,20.00,2,false,https://shop.example/bad.svg\n\
    cup,Cup,CUP,\"1,234.50\",1,true,\n";

async fn import(kit: &Kit, key: &str, media: &str, file: &str) -> Reply {
    let request = ask("POST", "/api/v1/catalog/import?name=products.csv").header("idempotency-key", key);
    kit.send(request.header("content-type", media).body(Body::from(file.to_owned())).expect("a request")).await
}

#[tokio::test]
async fn a_file_becomes_items_with_pictures_or_warnings() {
    let kit = Kit::new();
    let done = import(&kit, "i1", "text/csv; charset=utf-8", FILE).await.json();
    assert_eq!((&done["created"], &done["changed"], &done["unchanged"]), (&json!(2), &json!(0), &json!(0)), "{done}");
    assert_eq!(done["rejected"][0]["line"], 4);
    assert_eq!(done["warnings"], json!(["no picture from https://shop.example/bad.svg: there is no network"]));
    let items = kit.get("/api/v1/items").await.json();
    let (book, mug) = (&items[0], &items[1]);
    assert_eq!((&book["tax_rate"], &book["image"], &book["here"]), (&json!("zero"), &json!(null), &json!(2)));
    assert_eq!(
        (&mug["tax_rate"], &mug["price"], &mug["product"]),
        (&json!("standard"), &super::eur(1250), &json!("Mug"))
    );
    assert_eq!(mug["image"], format!("/images/{}", Hash::of(OnePicture::BYTES).hex()));
    let again = import(&kit, "i2", "text/csv", FILE).await.json();
    assert_eq!((&again["created"], &again["changed"], &again["unchanged"]), (&json!(0), &json!(0), &json!(2)));
    let replayed = import(&kit, "i2", "text/csv", FILE).await;
    assert_eq!((replayed.json(), replayed.header("idempotency-replayed")), (again, "true"));
    import(&kit, "i2", "text/csv", "Handle,Title,Variant Price\n").await.refused(409, "key_reused");
}

#[tokio::test]
async fn files_that_are_none_are_refused_as_a_whole() {
    let kit = Kit::new();
    import(&kit, "i", "text/csv", "").await.refused(422, "catalogue_file");
    import(&kit, "i", "application/json", FILE).await.refused(415, "media_type");
    import(&kit, "i", "text/csv", &"x".repeat((16 << 20) + 1)).await.refused(413, "too_large");
    // Longer than JSON may be, and still read.
    let long = format!("Handle,Title,Variant Price,Notes\nmug,Mug,1.00,{}\n", "x".repeat(2 << 20));
    assert_eq!(import(&kit, "i", "text/csv", &long).await.json()["created"], 1);
    let event = kit.get("/api/v1/status").await.json()["event"].as_str().expect("an event").to_owned();
    kit.post(&format!("/api/v1/events/{event}/close"), &json!({})).await;
    import(&kit, "j", "text/csv", FILE).await.refused(409, "no_event");
}
