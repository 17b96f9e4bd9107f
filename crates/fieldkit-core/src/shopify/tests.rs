//! Files with the peculiarities of real ones, written for these tests.

use super::*;

/// As Shopify writes it: CR LF, all columns, HTML over several lines, options named on the first row only, a picture
/// without a position, no tracker but quantities, no line end after the last row.
const SHOP: &str = concat!(
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,",
    "Option3 Name,Option3 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,",
    "Variant Inventory Policy,Variant Fulfillment Service,Variant Price,Variant Compare At Price,",
    "Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Image Position,Image Alt Text,Gift Card,",
    "Variant Image,Variant Weight Unit,Status\r\n",
    "harbour-mug,Harbour Mug,\"<p>Stoneware, \"\"salt\"\" glaze.</p>\r\n<ul>\r\n<li>350 ml</li>\r\n</ul>\",Quay,Cups,\"mug, blue\",",
    "true,Title,Default Title,,,,,,350,,12,deny,manual,14.50,,true,true,,https://pictures.example/mug.jpg,,,false,,g,active\r\n",
    "tide-tee,Tide Tee,Plain tee,Quay,Shirts,,true,Size,Small,Colour,Sea Green,,,,0,,3,deny,manual,25,,true,true,,",
    "https://pictures.example/tee-2.jpg,2,,false,,kg,active\r\n",
    "tide-tee,,,,,,,,Large,,Sand,,,TT-L,0,,0,continue,manual,27.5,30,true,false,'4006381333931,",
    "https://pictures.example/tee-1.jpg,1,,,tee-sand.jpg,kg,\r\n",
    "\r\n",
    "tide-tee,,,,,,,,,,,,,,,,,,,,,,,,https://pictures.example/tee-3.jpg,3,Back,,,,\r\n",
    "postcard,Postcard,,,,,true,Title,Default Title,,,,,PC-1,,,,deny,manual,2,,true,true,,,,,false,,,active",
);

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

fn taken(file: &str) -> Catalogue {
    read(file.as_bytes(), euro()).expect("the file can be read")
}

/// A file of the columns that most rules are about.
fn small(rows: &str) -> String {
    let columns = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Price,Image Src";
    format!("{columns}\n{rows}")
}

/// The products taken and the lines rejected, with their reasons.
#[track_caller]
fn check(file: &str, handles: &[&str], rejected: &[(u32, &str)]) {
    let catalogue = taken(file);
    let found: Vec<_> = catalogue.products.iter().map(|product| product.handle.as_str()).collect();
    let reasons: Vec<_> = catalogue.rejected.iter().map(|row| (row.line, row.reason.as_str())).collect();
    assert_eq!((found.as_slice(), reasons.as_slice()), (handles, rejected));
}

#[track_caller]
fn check_row(row: &str, reason: &str) {
    check(&small(row), &[], &[(2, reason)]);
}

#[track_caller]
fn only_variant(file: &str) -> Variant {
    let catalogue = taken(file);
    assert_eq!(catalogue.rejected, []);
    let mut variants = catalogue.products.into_iter().flat_map(|product| product.variants);
    variants.next().expect("the file has a variant")
}

fn stand_ins(rows: &str) -> Vec<String> {
    let products = taken(&small(rows)).products;
    products.into_iter().flat_map(|product| product.variants).map(|variant| variant.sku).collect()
}

#[test]
fn a_real_looking_export_is_read_whole() {
    let catalogue = taken(SHOP);
    assert_eq!((catalogue.rejected.as_slice(), catalogue.warnings.as_slice()), (&[][..], &[][..]));
    let variants: Vec<_> = catalogue.products.iter().flat_map(|product| &product.variants).collect();
    let short =
        |variant: &&Variant| (variant.line, variant.sku.clone(), variant.name.clone(), variant.price, variant.count);
    assert_eq!(
        variants.iter().map(short).collect::<Vec<_>>(),
        [
            (2, "harbour-mug".to_owned(), "Harbour Mug".to_owned(), 1450, Some(12)),
            (6, "tide-tee/small/sea-green".to_owned(), "Tide Tee – Small / Sea Green".to_owned(), 2500, Some(3)),
            (7, "TT-L".to_owned(), "Tide Tee – Large / Sand".to_owned(), 2750, Some(0)),
            (10, "PC-1".to_owned(), "Postcard".to_owned(), 200, None),
        ]
    );
    let options = |variant: &Variant| variant.options.clone();
    assert_eq!(options(variants[0]), []);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(options(variants[2]), [pair("Size", "Large"), pair("Colour", "Sand")]);
    assert_eq!(
        variants.iter().map(|variant| variant.limit == Limit::Soft).collect::<Vec<_>>(),
        [true, true, true, false]
    );
    assert_eq!(variants[3].limit, Limit::Uncounted);
    assert_eq!((variants[1].taxable, variants[2].taxable), (true, false));
    assert_eq!((variants[1].barcode.as_str(), variants[2].barcode.as_str()), ("", "4006381333931"));
    let images: Vec<_> = variants.iter().map(|variant| variant.image.as_deref()).collect();
    let pictures = ["https://pictures.example/mug.jpg", "https://pictures.example/tee-1.jpg", "tee-sand.jpg"];
    assert_eq!(images, [Some(pictures[0]), Some(pictures[1]), Some(pictures[2]), None]);
    assert_eq!((catalogue.products[1].title.as_str(), variants[1].product.as_str()), ("Tide Tee", "tide-tee"));
}

#[test]
fn byte_order_mark_line_ends_and_header_case_change_nothing() {
    let expected = taken(SHOP);
    assert_eq!(taken(&format!("\u{feff}{SHOP}")), expected);
    assert_eq!(taken(&format!("{SHOP}\r\n")), expected);
    assert_eq!(taken(&SHOP.replace("\r\n", "\n")), expected);
    assert_eq!(taken(&SHOP.replace("\r\n", "\r")), expected);
    assert_eq!(taken(&SHOP.replacen("Handle,Title", "\" HANDLE \",title ", 1)), expected);
}

#[test]
fn scattered_rows_of_one_handle_are_one_product() {
    let rows = "a,A,Size,S,,1,5,\nb,B,,,,1,5,\na,,,M,,1,6,";
    check(&small(rows), &["a", "b"], &[]);
    assert_eq!(stand_ins(rows), ["a/s", "a/m", "b"]);
}

#[test]
fn lines_are_those_where_the_record_starts() {
    let file =
        "Handle,Title,Body,Variant Price\r\na,A,\"1\r\n2\r\n\r\n3\",1\r\n\r\n,,,\r\nb,B,\"x\ny\",free\r\nc,C,,\r\n";
    let example = "; write it like 1234.50, without thousands separators";
    let price = format!("price \"free\" is not an amount in EUR{example}");
    check(file, &["a"], &[(8, &price), (10, "price is missing")]);
}

#[test]
fn one_bad_row_rejects_the_product_and_no_other() {
    let rows = "a,A,Size,S,,1,5,\na,,,M,,x,5,\na,,,L,,1,,\nb,B,,,,1,5,";
    let count = "quantity \"x\" is not a whole number from 0 to 1,000,000";
    check(&small(rows), &["b"], &[(3, count), (4, "price is missing")]);
}

#[test]
fn bad_prices_are_rejected() {
    let example = "is not an amount in EUR; write it like 1234.50, without thousands separators";
    check_row("a,A,,,,,\"12,345\",", &format!("price \"12,345\" {example}"));
    check_row("a,A,,,,,\"1,234.50\",", &format!("price \"1,234.50\" {example}"));
    check_row("a,A,,,,,-5,", &format!("price \"-5\" {example}"));
    check_row("a,A,,,,,€5,", &format!("price \"€5\" {example}"));
    check_row("a,A,,,,,12.505,", "price \"12.505\" is not an amount in EUR, which has 2 decimals");
    check_row("a,A,,,,, ,", "price is missing");
    assert_eq!(only_variant(&small("a,A,,,,,\"12,5\",")).price, 1250);
}

#[test]
fn prices_follow_the_decimals_of_the_currency() {
    let price = |text: &str, code: &str| price(text, Currency::from_code(code).expect("a code of ISO 4217")).ok();
    assert_eq!((price("300", "JPY"), price("300.00", "JPY"), price("1,234", "JPY")), (Some(300), None, None));
    assert_eq!((price("1.234", "KWD"), price("1,234", "KWD"), price("1,23", "KWD")), (Some(1234), None, Some(1230)));
}

#[test]
fn quantities_are_whole_numbers_up_to_a_million() {
    assert_eq!(only_variant(&small("a,A,,,,1000000,5,")).count, Some(COUNT_MAX));
    for text in ["1000001", "1.5", "+1", "--1", "many"] {
        let reason = format!("quantity \"{text}\" is not a whole number from 0 to 1,000,000");
        check_row(&format!("a,A,,,,{text},5,"), &reason);
    }
}

#[test]
fn negative_quantity_is_zero_with_a_warning() {
    let catalogue = taken(&small("a,A,,,,-3,5,"));
    assert_eq!(catalogue.products[0].variants[0].count, Some(0));
    assert_eq!(catalogue.warnings, ["line 2: quantity \"-3\" is below zero and taken as 0"]);
}

#[test]
fn tracked_goods_without_a_quantity_are_counted() {
    let file = "Handle,Title,Variant Price,Variant Inventory Tracker,Variant Inventory Qty\na,A,1,shopify,\n";
    let variant = only_variant(file);
    assert_eq!((variant.count, variant.limit), (None, Limit::Soft));
}

#[test]
fn the_later_product_of_a_repeated_sku_is_rejected() {
    let rows = "a,A,,,X,1,5,\nb,B,Size,S,X,1,5,\nb,,,M,Y,1,5,\nc,C,Size,S,Z,1,5,\nc,,,M,Z,1,5,";
    check(&small(rows), &["a"], &[(3, "SKU \"X\" stands on line 2 too"), (6, "SKU \"Z\" stands on line 5 too")]);
}

#[test]
fn a_rejected_product_holds_on_to_its_skus() {
    let rows = "a,A,Size,S,X,1,5,\na,,,M,,1,,\nb,B,,,X,1,5,";
    check(&small(rows), &[], &[(3, "price is missing"), (4, "SKU \"X\" stands on line 2 too")]);
}

#[test]
fn stand_ins_never_clash() {
    let reason = "SKU is missing, and \"a/1-2\", made of handle and options, stands on line 2 too; write a SKU";
    check(&small("a,A,Size,1/2,,1,5,\na,,,1-2,,1,5,"), &[], &[(3, reason)]);
    check(&small("x,X,,,a,1,5,\na,A,,,,1,5,"), &["x"], &[(3, &reason.replace("/1-2", ""))]);
}

#[test]
fn stand_ins_are_ascii_stable_and_short() {
    let greek = stand_ins("μπλούζα,Μπλούζα,Χρώμα,μπλε,,1,5,\nμπλούζα,,,ροζ,,1,5,\nb,B,Mood,+,,1,5,");
    assert_eq!(greek, ["30e2c62b/238de8f1", "30e2c62b/af9ae7e2", "b/f633b185"]);
    let long = "Warm ".repeat(20);
    let keys = stand_ins(&format!("{long}sweater,A,Size,S,,1,5,\n{long}sweater,,,M,,1,5,"));
    assert!(keys.iter().all(|key| key.is_ascii() && key.len() <= SKU_CHARS_MAX && key.starts_with("warm-warm")));
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn skus_are_1_to_64_visible_characters() {
    let longest = "9".repeat(SKU_CHARS_MAX);
    assert_eq!(only_variant(&small(&format!("a,A,,,{longest},1,5,"))).sku, longest);
    assert_eq!(only_variant(&small("a,A,,, Größe 1 ,1,5,")).sku, "Größe 1");
    check_row(
        &format!("a,A,,,{longest}9,1,5,"),
        &format!("SKU \"{}…\" is not 1 to 64 visible characters", &longest[..40]),
    );
    check_row("a,A,,,X\u{7}1,1,5,", "SKU \"X 1\" is not 1 to 64 visible characters");
    check_row("a,A,,,X\u{200b}1,1,5,", "SKU \"X\u{200b}1\" is not 1 to 64 visible characters");
}

#[test]
fn names_are_plain_text_of_at_most_200_characters() {
    let name = |title: &str| only_variant(&small(&format!("a,\"{title}\",,,,1,5,"))).name;
    assert_eq!(name("Sea\tsalt\r\n<b>fine</b><br/>200\u{1} g"), "Sea salt fine 200 g");
    assert_eq!(name("I <3 a < b <i"), "I <3 a < b <i");
    assert_eq!(name(&"ä".repeat(NAME_CHARS_MAX)).chars().count(), NAME_CHARS_MAX);
    let long = "n".repeat(NAME_CHARS_MAX + 1);
    check_row(&format!("a,A,{long},S,,1,5,"), &format!("name \"{}…\" is longer than 200 characters", &long[..40]));
    check_row(&format!("a,{long},,,,1,5,"), &format!("name \"{}…\" is longer than 200 characters", &long[..40]));
}

#[test]
fn rows_that_belong_to_nothing_are_rejected() {
    check_row(",A,,,,1,5,", "handle is missing, so this row belongs to no product");
    check_row("a,,,,,1,5,", "title is missing");
    check_row("a,<b>,,,,1,5,", "title is missing");
    check_row("a,,,,,,,mug.jpg", "title is missing");
    check_row("\u{202e}a,A,,,,1,5,", "handle \"\u{202e}a\" is not 1 to 200 visible characters");
    let reason = "title \"B\" differs from \"A\", and both have the handle \"a\"";
    check(&small("a,A,Size,S,,1,5,\na,B,,M,,1,5,"), &[], &[(3, reason)]);
}

#[test]
fn options_need_names_and_values() {
    check_row("a,A,,Small,,1,5,", "option 1 has the value \"Small\" but no name");
    check(&small("a,A,Size,S,,1,5,\na,,,,,1,5,"), &[], &[(3, "option \"Size\" has no value")]);
}

#[test]
fn rows_out_of_step_with_the_header_are_rejected() {
    let reason = "columns stand here and 8 in the first line; look for a missing comma or quotation mark";
    check_row("a,A,,,,1", &format!("6 {reason}"));
    check_row("a,A,,,,1,5,,,x", &format!("10 {reason}"));
    check(&small("a,A,,,,1,5,,,"), &["a"], &[]);
    check(&small("a,A,Size,S,,1,5,\na,,,M\nb,B,,,,1,5,"), &["b"], &[(3, &format!("4 {reason}"))]);
}

#[test]
fn what_the_shop_does_not_sell_is_left_out_with_a_warning() {
    let columns = "Handle,Title,Variant Price,Published,Status,Variant SKU\n";
    let rows = "a,A,1,FALSE,active,X\nb,B,1,true,Draft,X\nc,C,bad,true,archived,X\nd,D,1,true,active,X\n";
    let catalogue = taken(&format!("{columns}{rows}"));
    assert_eq!((catalogue.products.len(), catalogue.rejected.len()), (1, 0));
    let warnings = ["line 2: \"A\" is not published", "line 3: \"B\" is a draft", "line 4: \"C\" is archived"];
    assert_eq!(catalogue.warnings, warnings.map(|start| format!("{start}; it is left out")));
}

#[test]
fn gift_cards_and_unclear_flags_are_rejected() {
    let file = |row: &str| format!("Handle,Title,Variant Price,Gift Card,Variant Taxable,Published\n{row}\n");
    check(&file("a,A,1,TRUE,true,true"), &[], &[(2, "it is a gift card, and gift cards cannot be imported")]);
    check(&file("a,A,1,,maybe,true"), &[], &[(2, "Variant Taxable \"maybe\" is neither true nor false")]);
    check(&file("a,A,1,,,soon"), &[], &[(2, "Published \"soon\" is neither true nor false")]);
    assert!(only_variant(&file("a,A,1,,,")).taxable);
}

#[test]
fn barcodes_rounded_by_a_spreadsheet_are_left_out() {
    let file = |barcode: &str| format!("Handle,Title,Variant Price,Variant Barcode\na,A,1,{barcode}\n");
    let catalogue = taken(&file("4.00638E+12"));
    assert_eq!(catalogue.products[0].variants[0].barcode, "");
    assert_eq!(catalogue.warnings, ["line 2: barcode \"4.00638E+12\" was rounded by a spreadsheet and is left out"]);
    assert_eq!(only_variant(&file("CODE+39")).barcode, "CODE+39");
    let long = "1".repeat(SKU_CHARS_MAX + 1);
    let reason = format!("barcode \"{}…\" is not 1 to 64 visible characters", &long[..40]);
    check(&file(&long), &[], &[(2, &reason)]);
}

#[test]
fn addresses_of_pictures_without_end_are_left_out() {
    let long = "x".repeat(IMAGE_CHARS_MAX + 1);
    let catalogue = taken(&small(&format!("a,A,,,,1,5,{long}")));
    assert_eq!(catalogue.products[0].variants[0].image, None);
    let warning = format!("line 2: \"{}…\" is no address of a picture and is left out", &long[..40]);
    assert_eq!(catalogue.warnings, [warning]);
    assert_eq!(only_variant(&small(&format!("a,A,,,,1,5,{}", &long[1..]))).image.as_deref(), Some(&long[1..]));
}

#[test]
fn unusable_files_say_what_to_do() {
    let error = |bytes: &[u8]| read(bytes, euro()).expect_err("the file cannot be read").to_string();
    let empty = "the file is empty; its first line must name the columns, as in a product file exported by Shopify";
    assert_eq!(error(b""), empty);
    assert_eq!(error(b"\xef\xbb\xbf\r\n\r\n , \r\n"), empty);
    let no_column = "; export the products from Shopify as CSV, separated by commas";
    assert_eq!(error(b"Handle;Title;Variant Price\n"), format!("the first line names no column \"Handle\"{no_column}"));
    assert_eq!(error(b"Title,Handle\n"), format!("the first line names no column \"Variant Price\"{no_column}"));
    let twice = "the first line names the column \"Title\" twice; delete one of the two";
    assert_eq!(error(b"Handle,Title,title,Variant Price\n"), twice);
    let no_text = "is not UTF-8 text; save the file as \"CSV UTF-8\" and import it again";
    assert_eq!(error(b"Handle,Title,Variant Price\r\na,Gr\xfc\xdfe,1\r\n"), format!("line 2 {no_text}"));
    assert_eq!(error(b"H\0a\0n\0d\0l\0e\0"), format!("line 1 {no_text}"));
    let open = "the row at line 3 opens a quotation mark that is never closed; close it, or export the file again";
    assert_eq!(error(b"Handle,Title,Variant Price\r\na,A,1\r\nb,\"B,1\r\nc,C,1\r\n"), open);
}

#[test]
fn limits_of_file_and_rows_hold_at_their_edges() {
    let header = "Handle,Title,Variant Price\n";
    let mut full = small("").into_bytes();
    full.resize(FILE_BYTES_MAX, b'\n');
    assert_eq!(read(&full, euro()), Ok(Catalogue::default()));
    full.push(b'\n');
    assert_eq!(read(&full, euro()), Err(ReadError::TooLarge { bytes: FILE_BYTES_MAX + 1 }));
    let rows = |count: usize| (0..count).fold(header.to_owned(), |file, row| file + &format!("h{row},T,1\n,,\n"));
    assert_eq!(taken(&rows(ROWS_MAX)).products.len(), ROWS_MAX);
    assert_eq!(read(rows(ROWS_MAX + 1).as_bytes(), euro()), Err(ReadError::TooManyRows));
}

#[test]
fn marks_follow_every_field_but_the_line() {
    let first = only_variant(&small("a,A,Size,S,X,1,5,mug.jpg"));
    assert_eq!(first.mark, only_variant(&small("\n\na,A,Size,S,X,1,5.00,mug.jpg")).mark);
    let changes: [fn(&mut Variant); 10] = [
        |variant| variant.sku.push('1'),
        |variant| variant.name.push('1'),
        |variant| variant.product.push('1'),
        |variant| variant.options[0].0.push('1'),
        |variant| variant.price += 1,
        |variant| variant.barcode.push('1'),
        |variant| variant.count = None,
        |variant| variant.limit = Limit::Hard,
        |variant| variant.taxable = false,
        |variant| variant.image = None,
    ];
    for (field, change) in changes.into_iter().enumerate() {
        let mut changed = first.clone();
        change(&mut changed);
        assert_ne!(mark(&changed), first.mark, "field {field}");
    }
    // Frozen: with other bytes here, the first import after an update would change the whole catalogue.
    assert_eq!(data_encoding::HEXLOWER.encode(&first.mark), "9bd6bd343e58c267f1b47cb701e5bf45");
}

#[test]
fn mutated_files_never_panic() {
    let small = small("a,A,Size,S,X,1,5,mug.jpg\na,,,\"M\n\",,-1,\"1,5\",\n");
    let pieces: [&[u8]; 10] =
        [b"\"", b",", b"\r\n", b"\r", b"\xff", b"<a", b"-", b"\xe2\x80\xae", b"999999999999999999999", b"\xef\xbb\xbf"];
    let mut random = Random(0x5eed_f11e_0000_0001);
    for round in 0..4_000 {
        let mut bytes = if round % 2 == 0 { SHOP.as_bytes().to_vec() } else { small.as_bytes().to_vec() };
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len());
            match random.below(5) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.truncate(at + 1),
                2 => drop(bytes.drain(at..bytes.len().min(at + random.below(40)))),
                3 => drop(bytes.splice(at..at, pieces[random.below(pieces.len())].iter().copied())),
                _ => bytes.extend_from_within(at..bytes.len().min(at + random.below(400))),
            }
            bytes.push(b'\n');
        }
        if let Ok(catalogue) = read(&bytes, euro()) {
            holds(&catalogue, &bytes);
        }
    }
}

/// What is true of every catalogue, whatever the file.
fn holds(catalogue: &Catalogue, bytes: &[u8]) {
    let lines = bytes.len() as u32 + 1;
    let mut skus = std::collections::BTreeSet::new();
    for product in &catalogue.products {
        assert!(!product.title.is_empty() && !product.variants.is_empty());
        for variant in &product.variants {
            assert!(skus.insert(&variant.sku), "{} is there twice", variant.sku);
            assert!(is_visible(&variant.sku, SKU_CHARS_MAX) && is_visible(&variant.product, NAME_CHARS_MAX));
            assert!(!variant.name.is_empty() && !variant.name.contains(char::is_control));
            assert!(variant.price >= 0 && variant.count.is_none_or(|count| count <= COUNT_MAX));
            assert!((2..=lines).contains(&variant.line));
        }
    }
    assert!(catalogue.rejected.windows(2).all(|pair| pair[0].line < pair[1].line), "each row once, in order");
    assert!(catalogue.rejected.iter().all(|row| !row.reason.is_empty() && !row.reason.contains('\n')));
}

/// Xorshift: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }
}
