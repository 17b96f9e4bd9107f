//! Shopify's product file (CSV), read into variants that can be sold.
//!
//! Promises: a product is taken whole or rejected whole, each bad row with its line and one reason in plain words; equal
//! bytes give equal variants, keys and marks on every machine; no bytes make it panic; file and rows are bounded.
//! Absent on purpose: fetching pictures, comparing with the catalogue at hand (the caller does, by `mark`), HTML
//! descriptions, compare-at prices, weights, and semicolons as separators.

use crate::body::Limit;
use crate::codec::Canonical;
use crate::id::Hash;
use crate::money::{Currency, parse_minor};
use csv::{ReaderBuilder, StringRecord};
use std::collections::BTreeMap;
use std::io::Read;

/// The largest file read: 16 MiB, about the size at which Shopify itself stops (15 MB).
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// The most rows read after the header, blank ones not counted.
pub const ROWS_MAX: usize = 20_000;
/// The longest SKU, barcode or stand-in for a SKU, in characters.
pub const SKU_CHARS_MAX: usize = 64;
/// The longest handle, title, option or name of a variant, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// The longest address of a picture, in characters.
pub const IMAGE_CHARS_MAX: usize = 2_048;
/// The largest quantity of one variant.
pub const COUNT_MAX: u32 = 1_000_000;

/// How much of a cell is repeated in a reason or a warning, in characters.
const SHOWN_CHARS_MAX: usize = 40;
/// Stands behind the file as a row of its own; an open quotation mark would swallow it.
const LAST_ROW: &str = "end";
/// What Shopify writes as the only option of a product without options.
const NO_OPTION: (&str, &str) = ("Title", "Default Title");

/// One sellable variant read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The SKU as written, or its stand-in made of handle and option values.
    pub sku: String,
    /// Title and option values.
    pub name: String,
    /// Handle of the product that it belongs to.
    pub product: String,
    /// Option names and values, empty for a product without options.
    pub options: Vec<(String, String)>,
    /// Price in minor units.
    pub price: i64,
    /// Barcode, empty for none.
    pub barcode: String,
    /// Quantity given in the file.
    pub count: Option<u32>,
    /// What happens at zero.
    pub limit: Limit,
    /// Whether tax is charged.
    pub taxable: bool,
    /// Address or path of its picture, as written.
    pub image: Option<String>,
    /// Where its row starts in the file, from 1.
    pub line: u32,
    /// BLAKE3 of the canonical form of all of the above but the line, cut to 16 bytes.
    pub mark: [u8; 16],
}

/// A product with all of its variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its key in the shop.
    pub handle: String,
    /// What it is called.
    pub title: String,
    /// At least one, in the order of the file.
    pub variants: Vec<Variant>,
}

/// A row for which its product was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Where the row starts in the file, from 1.
    pub line: u32,
    /// Why, for the person who wrote the file.
    pub reason: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Products taken, in the order of their first rows.
    pub products: Vec<Product>,
    /// Bad rows in the order of the file, each once.
    pub rejected: Vec<Rejected>,
    /// What was left out or read otherwise than written.
    pub warnings: Vec<String>,
}

/// Why a whole file is unusable, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Longer than [`FILE_BYTES_MAX`].
    #[error("the file has {bytes} bytes, more than 16 MiB; export fewer products at a time")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// More than [`ROWS_MAX`] rows.
    #[error("the file has more than 20,000 rows; export fewer products at a time")]
    TooManyRows,
    /// Not UTF-8, or with NUL bytes in it.
    #[error("line {line} is not UTF-8 text; save the file as \"CSV UTF-8\" and import it again")]
    NotText {
        /// Where.
        line: u32,
    },
    /// The file ends inside a quoted cell.
    #[error("the row at line {line} opens a quotation mark that is never closed; close it, or export the file again")]
    QuoteOpen {
        /// Where the row starts.
        line: u32,
    },
    /// Nothing in it.
    #[error("the file is empty; its first line must name the columns, as in a product file exported by Shopify")]
    NoHeader,
    /// A column without which nothing can be read.
    #[error("the first line names no column \"{name}\"; export the products from Shopify as CSV, separated by commas")]
    MissingColumn {
        /// The column.
        name: &'static str,
    },
    /// Two columns of one name.
    #[error("the first line names the column \"{name}\" twice; delete one of the two")]
    RepeatedColumn {
        /// The column.
        name: &'static str,
    },
}

/// Reads a product file with prices in `currency`.
pub fn read(bytes: &[u8], currency: Currency) -> Result<Catalogue, ReadError> {
    let mut records = records(text(bytes)?)?.into_iter();
    let (_, names) = records.next().ok_or(ReadError::NoHeader)?;
    let header = Header::of(&names)?;
    let rows = records.map(|(line, cells)| Row { header: &header, line, cells });
    let mut catalogue = Catalogue::default();
    let mut lines_by_sku = BTreeMap::new();
    for rows in by_handle(rows, &mut catalogue.rejected) {
        read_product(&rows, currency, &mut lines_by_sku, &mut catalogue);
    }
    catalogue.rejected.sort_by_key(|rejected| rejected.line);
    Ok(catalogue)
}

/// Why a row is bad.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{found} columns stand here and {expected} in the first line; look for a missing comma or quotation mark")]
    Torn { found: usize, expected: usize },
    #[error("handle is missing, so this row belongs to no product")]
    HandleMissing,
    #[error("handle \"{0}\" is not 1 to 200 visible characters")]
    Handle(String),
    #[error("title is missing")]
    TitleMissing,
    #[error("title \"{title}\" differs from \"{first}\", and both have the handle \"{handle}\"")]
    OtherTitle { title: String, first: String, handle: String },
    #[error("it is a gift card, and gift cards cannot be imported")]
    GiftCard,
    #[error("{column} \"{text}\" is neither true nor false")]
    Flag { column: &'static str, text: String },
    #[error("option {number} has the value \"{value}\" but no name")]
    OptionUnnamed { number: usize, value: String },
    #[error("option \"{0}\" has no value")]
    OptionEmpty(String),
    #[error("name \"{0}\" is longer than 200 characters")]
    NameLong(String),
    #[error("price is missing")]
    PriceMissing,
    #[error("price \"{text}\" is not an amount in {code}; write it like {example}, without thousands separators")]
    Price { text: String, code: String, example: &'static str },
    #[error("price \"{text}\" is not an amount in {code}, which has {exponent} decimals")]
    Decimals { text: String, code: String, exponent: u32 },
    #[error("quantity \"{0}\" is not a whole number from 0 to 1,000,000")]
    Count(String),
    #[error("barcode \"{0}\" is not 1 to 64 visible characters")]
    Barcode(String),
    #[error("SKU \"{0}\" is not 1 to 64 visible characters")]
    Sku(String),
    #[error("SKU \"{sku}\" stands on line {line} too")]
    SkuTwice { sku: String, line: u32 },
    #[error("SKU is missing, and \"{key}\", made of handle and options, stands on line {line} too; write a SKU")]
    StandInTwice { key: String, line: u32 },
}

/// The columns that are read; all others are ignored.
#[derive(Clone, Copy)]
enum Column {
    Handle,
    Title,
    Price,
    Published,
    Status,
    GiftCard,
    Sku,
    Tracker,
    Quantity,
    Taxable,
    Barcode,
    Image,
    ImagePosition,
    VariantImage,
    Option1Name,
    Option1Value,
    Option2Name,
    Option2Value,
    Option3Name,
    Option3Value,
}

/// Names of the columns in the order of [`Column`].
const NAMES: [&str; 20] = [
    "Handle",
    "Title",
    "Variant Price",
    "Published",
    "Status",
    "Gift Card",
    "Variant SKU",
    "Variant Inventory Tracker",
    "Variant Inventory Qty",
    "Variant Taxable",
    "Variant Barcode",
    "Image Src",
    "Image Position",
    "Variant Image",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Option3 Name",
    "Option3 Value",
];
const REQUIRED: [Column; 3] = [Column::Handle, Column::Title, Column::Price];
const OPTIONS: [(Column, Column); 3] = [
    (Column::Option1Name, Column::Option1Value),
    (Column::Option2Name, Column::Option2Value),
    (Column::Option3Name, Column::Option3Value),
];

impl Column {
    fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// Where each column stands.
struct Header {
    at: [Option<usize>; NAMES.len()],
    /// Columns of which any filled cell makes a row a variant rather than one more picture.
    of_variants: Vec<usize>,
    width: usize,
}

impl Header {
    fn of(names: &StringRecord) -> Result<Self, ReadError> {
        let mut header = Header { at: [None; NAMES.len()], of_variants: Vec::new(), width: names.len() };
        for (index, name) in names.iter().map(str::trim).enumerate() {
            let lower = name.to_ascii_lowercase();
            if lower == "title" || lower.starts_with("variant ") || lower.starts_with("option") {
                header.of_variants.push(index);
            }
            let Some(column) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) else { continue };
            if header.at[column].replace(index).is_some() {
                return Err(ReadError::RepeatedColumn { name: NAMES[column] });
            }
        }
        match REQUIRED.into_iter().find(|column| header.at[*column as usize].is_none()) {
            Some(column) => Err(ReadError::MissingColumn { name: column.name() }),
            None => Ok(header),
        }
    }
}

/// One record of the file.
struct Row<'a> {
    header: &'a Header,
    line: u32,
    cells: StringRecord,
}

impl Row<'_> {
    /// A cell without blanks around it, empty where the file has no such column.
    fn cell(&self, column: Column) -> &str {
        self.header.at[column as usize].and_then(|index| self.cells.get(index)).unwrap_or("").trim()
    }

    /// A cell that says true or false, `None` where it is empty.
    fn flag(&self, column: Column) -> Result<Option<bool>, Reason> {
        match self.cell(column) {
            "" => Ok(None),
            text if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            text if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            text => Err(Reason::Flag { column: column.name(), text: shown(text) }),
        }
    }

    /// Cells that do not line up with the header; blank ones at the end are what spreadsheets leave.
    fn torn(&self) -> Option<Reason> {
        let (found, expected) = (self.cells.len(), self.header.width);
        let lost = found < expected || self.cells.iter().skip(expected).any(|cell| !cell.trim().is_empty());
        lost.then_some(Reason::Torn { found, expected })
    }

    /// Whether it only adds a picture to its product.
    fn is_picture(&self) -> bool {
        let blank = |index: &usize| self.cells.get(*index).is_none_or(|cell| cell.trim().is_empty());
        !self.cell(Column::Image).is_empty() && self.header.of_variants.iter().all(blank)
    }

    fn rejected(&self, reason: Reason) -> Rejected {
        Rejected { line: self.line, reason: reason.to_string() }
    }
}

/// The text of the file without its byte order mark.
fn text(bytes: &[u8]) -> Result<&str, ReadError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(ReadError::TooLarge { bytes: bytes.len() });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let readable = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let readable = bytes[..readable].iter().position(|byte| *byte == 0).unwrap_or(readable);
    match std::str::from_utf8(bytes) {
        Ok(text) if readable == bytes.len() => Ok(text),
        _ => Err(ReadError::NotText { line: Lines::of(bytes).at(readable) }),
    }
}

/// All records that are not blank, with their lines; the first one is the header.
fn records(text: &str) -> Result<Vec<(u32, StringRecord)>, ReadError> {
    let ended = text.as_bytes().chain(&b"\n"[..]).chain(LAST_ROW.as_bytes());
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(ended);
    let mut lines = Lines::of(text.as_bytes());
    let mut records: Vec<(u32, StringRecord)> = Vec::new();
    let (mut line, mut cells) = (1, StringRecord::new());
    for record in reader.records() {
        // The text is UTF-8 and lies in memory, so no record fails; if one did, the line before it would be named.
        let record = record.map_err(|_| ReadError::NotText { line })?;
        let start = record.position().map_or(0, csv::Position::byte);
        let before = (line, std::mem::replace(&mut cells, record));
        line = lines.at_record(usize::try_from(start).unwrap_or(usize::MAX));
        if before.1.iter().any(|cell| !cell.trim().is_empty()) {
            records.push(before);
        }
        if records.len() > ROWS_MAX + 1 {
            return Err(ReadError::TooManyRows);
        }
    }
    if cells.iter().eq([LAST_ROW]) { Ok(records) } else { Err(ReadError::QuoteOpen { line }) }
}

/// Counts lines, which end in LF, CR LF or CR. The CSV reader's own count lags behind by one in files with CR LF,
/// because it leaves the LF to the record that follows.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Lines { bytes, at: 0, line: 1 }
    }

    /// The line of the byte at `offset`, which never goes back.
    fn at(&mut self, offset: usize) -> u32 {
        while self.at < offset.min(self.bytes.len()) {
            self.step();
        }
        self.line
    }

    /// The line of the first record at or after `offset`.
    fn at_record(&mut self, offset: usize) -> u32 {
        self.at(offset);
        while matches!(self.bytes.get(self.at), Some(b'\r' | b'\n')) {
            self.step();
        }
        self.line
    }

    fn step(&mut self) {
        let ends = match self.bytes[self.at] {
            b'\n' => true,
            b'\r' => self.bytes.get(self.at + 1) != Some(&b'\n'),
            _ => false,
        };
        self.line += u32::from(ends);
        self.at += 1;
    }
}

/// The rows of each product, products in the order of their first rows.
fn by_handle<'a>(rows: impl Iterator<Item = Row<'a>>, rejected: &mut Vec<Rejected>) -> Vec<Vec<Row<'a>>> {
    let mut products: Vec<Vec<Row<'a>>> = Vec::new();
    let mut product_by_handle = BTreeMap::new();
    for row in rows {
        let handle = row.cell(Column::Handle);
        if handle.is_empty() {
            rejected.push(row.rejected(Reason::HandleMissing));
        } else if !is_visible(handle, NAME_CHARS_MAX) {
            rejected.push(row.rejected(Reason::Handle(shown(handle))));
        } else {
            let product = *product_by_handle.entry(handle.to_owned()).or_insert(products.len());
            match products.get_mut(product) {
                Some(rows) => rows.push(row),
                None => products.push(vec![row]),
            }
        }
    }
    products
}

/// What the rows of one product share, wherever it is written.
struct Frame {
    handle: String,
    title: String,
    option_names: [String; 3],
    image: Option<String>,
}

/// Adds the product, its warning, or its bad rows to the catalogue. A rejected product holds on to its SKUs: were they
/// free, a later product would be sold under them until the file is mended, and then change places.
fn read_product(rows: &[Row<'_>], currency: Currency, lines_by_sku: &mut BTreeMap<String, u32>, into: &mut Catalogue) {
    let mut rejected: Vec<_> = rows.iter().filter_map(|row| Some(row.rejected(row.torn()?))).collect();
    let Some(first) = rows.first() else { return };
    if !rejected.is_empty() {
        into.rejected.append(&mut rejected);
        return;
    }
    let mut warnings = Vec::new();
    let frame = frame(first, rows, &mut warnings);
    if let Some(why) = left_out(rows) {
        into.warnings.push(format!("line {}: \"{}\" is {why}; it is left out", first.line, shown(&frame.title)));
        return;
    }
    let mut variants = Vec::new();
    for row in rows.iter().filter(|row| !row.is_picture()) {
        let variant = read_variant(row, &frame, currency, &mut warnings);
        match variant.and_then(|variant| with_own_sku(variant, row, lines_by_sku)) {
            Ok(variant) => variants.push(variant),
            Err(reason) => rejected.push(row.rejected(reason)),
        }
    }
    if frame.title.is_empty() && rejected.iter().all(|rejected| rejected.line != first.line) {
        rejected.push(first.rejected(Reason::TitleMissing));
    }
    if rejected.is_empty() {
        into.products.push(Product { handle: frame.handle, title: frame.title, variants });
        into.warnings.append(&mut warnings);
    }
    into.rejected.append(&mut rejected);
}

fn frame(first: &Row<'_>, rows: &[Row<'_>], warnings: &mut Vec<String>) -> Frame {
    let position = |row: &&Row<'_>| (row.cell(Column::ImagePosition).parse().unwrap_or(u32::MAX), row.line);
    let image = rows.iter().filter(|row| !row.cell(Column::Image).is_empty()).min_by_key(position);
    Frame {
        handle: first.cell(Column::Handle).to_owned(),
        title: tidy(first_filled(rows, Column::Title)),
        option_names: OPTIONS.map(|(name, _)| tidy(first_filled(rows, name))),
        image: image.and_then(|row| image_of(row, Column::Image, warnings)),
    }
}

fn first_filled<'a>(rows: &'a [Row<'_>], column: Column) -> &'a str {
    rows.iter().map(|row| row.cell(column)).find(|cell| !cell.is_empty()).unwrap_or("")
}

/// Why a product is not on sale in the shop that it comes from.
fn left_out(rows: &[Row<'_>]) -> Option<&'static str> {
    if first_filled(rows, Column::Published).eq_ignore_ascii_case("false") {
        return Some("not published");
    }
    let unsold = [("archived", "archived"), ("draft", "a draft")];
    let status = first_filled(rows, Column::Status);
    unsold.into_iter().find(|(written, _)| status.eq_ignore_ascii_case(written)).map(|(_, why)| why)
}

fn read_variant(
    row: &Row<'_>,
    frame: &Frame,
    currency: Currency,
    warnings: &mut Vec<String>,
) -> Result<Variant, Reason> {
    row.flag(Column::Published)?;
    if row.flag(Column::GiftCard)? == Some(true) {
        return Err(Reason::GiftCard);
    }
    let title = tidy(row.cell(Column::Title));
    if !title.is_empty() && title != frame.title {
        let handle = shown(&frame.handle);
        return Err(Reason::OtherTitle { title: shown(&title), first: shown(&frame.title), handle });
    }
    let options = options(row, &frame.option_names)?;
    let (count, limit) = stock(row, warnings)?;
    let mut variant = Variant {
        sku: sku(row, &frame.handle, &options)?,
        name: name(&frame.title, &options)?,
        product: frame.handle.clone(),
        options,
        price: price(row.cell(Column::Price), currency)?,
        barcode: barcode(row, warnings)?,
        count,
        limit,
        taxable: row.flag(Column::Taxable)?.unwrap_or(true),
        image: image_of(row, Column::VariantImage, warnings).or_else(|| frame.image.clone()),
        line: row.line,
        mark: [0; 16],
    };
    variant.mark = mark(&variant);
    Ok(variant)
}

/// The variant if no row before it has its SKU.
fn with_own_sku(variant: Variant, row: &Row<'_>, lines: &mut BTreeMap<String, u32>) -> Result<Variant, Reason> {
    match lines.get(&variant.sku).copied() {
        None => {
            lines.insert(variant.sku.clone(), row.line);
            Ok(variant)
        }
        Some(line) if row.cell(Column::Sku).is_empty() => Err(Reason::StandInTwice { key: variant.sku, line }),
        Some(line) => Err(Reason::SkuTwice { sku: variant.sku, line }),
    }
}

fn options(row: &Row<'_>, names: &[String; 3]) -> Result<Vec<(String, String)>, Reason> {
    let mut options = Vec::new();
    for (at, ((_, column), name)) in OPTIONS.iter().zip(names).enumerate() {
        let value = tidy(row.cell(*column));
        let of_no_option = name.is_empty() || name == NO_OPTION.0;
        match (name.as_str(), value.as_str()) {
            (_, "") if of_no_option => {}
            (_, value) if of_no_option && value == NO_OPTION.1 => {}
            ("", value) => return Err(Reason::OptionUnnamed { number: at + 1, value: shown(value) }),
            (name, "") => return Err(Reason::OptionEmpty(shown(name))),
            (name, _) if name.chars().count() > NAME_CHARS_MAX => return Err(Reason::NameLong(shown(name))),
            (name, _) => options.push((name.to_owned(), value)),
        }
    }
    Ok(options)
}

fn name(title: &str, options: &[(String, String)]) -> Result<String, Reason> {
    let values: Vec<&str> = options.iter().map(|(_, value)| value.as_str()).collect();
    let name = if values.is_empty() { title.to_owned() } else { format!("{title} – {}", values.join(" / ")) };
    if name.chars().count() > NAME_CHARS_MAX { Err(Reason::NameLong(shown(&name))) } else { Ok(name) }
}

fn sku(row: &Row<'_>, handle: &str, options: &[(String, String)]) -> Result<String, Reason> {
    match row.cell(Column::Sku) {
        "" => Ok(stand_in(handle, options)),
        text if is_visible(text, SKU_CHARS_MAX) => Ok(text.to_owned()),
        text => Err(Reason::Sku(shown(text))),
    }
}

/// The key of a variant without a SKU: the same for the same handle and option values in every file. What does not fit
/// ends in a piece of its hash.
fn stand_in(handle: &str, options: &[(String, String)]) -> String {
    let parts: Vec<String> =
        std::iter::once(handle).chain(options.iter().map(|option| option.1.as_str())).map(slug).collect();
    let key = parts.join("/");
    if key.len() <= SKU_CHARS_MAX {
        return key;
    }
    let hash = short_hash(&key);
    let start: String = key.chars().take(SKU_CHARS_MAX - hash.len() - 1).collect();
    format!("{}-{hash}", start.trim_end_matches(['-', '/']))
}

/// Lower-case ASCII words joined by hyphens. Text that ASCII cannot hold gets a piece of its hash, or all sizes and
/// colours of a Greek shop would have one key.
fn slug(text: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let spaced: String = text.chars().map(letter).collect();
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    let hash = short_hash(text);
    if !text.is_ascii() || words.is_empty() {
        words.push(&hash);
    }
    words.join("-")
}

fn short_hash(text: &str) -> String {
    Hash::of(text.as_bytes()).hex().chars().take(8).collect()
}

fn price(text: &str, currency: Currency) -> Result<i64, Reason> {
    if text.is_empty() {
        return Err(Reason::PriceMissing);
    }
    // In a currency with three decimals, `1,234` may be one or a thousand.
    let ambiguous = text.split_once(',').is_some_and(|(_, rest)| rest.len() == 3);
    let amount = parse_minor(text, currency).filter(|_| !ambiguous);
    amount.ok_or_else(|| {
        let (text, code, exponent) = (shown(text), currency.code().to_owned(), currency.exponent());
        match text.split_once('.') {
            Some((major, minor)) if is_digits(major) && is_digits(minor) && minor.len() > exponent as usize => {
                Reason::Decimals { text, code, exponent }
            }
            _ => Reason::Price { text, code, example: if exponent == 0 { "1234" } else { "1234.50" } },
        }
    })
}

/// Quantity and limit. Goods sell on below zero and warn, whatever the file says of overselling: what lies on the table
/// is truer than the file. A quantity counts without a tracker, which Shopify leaves empty in its own samples.
fn stock(row: &Row<'_>, warnings: &mut Vec<String>) -> Result<(Option<u32>, Limit), Reason> {
    let text = row.cell(Column::Quantity);
    if text.is_empty() {
        let tracked = !row.cell(Column::Tracker).is_empty();
        return Ok((None, if tracked { Limit::Soft } else { Limit::Uncounted }));
    }
    if text.strip_prefix('-').is_some_and(is_digits) {
        warnings.push(format!("line {}: quantity \"{}\" is below zero and taken as 0", row.line, shown(text)));
        return Ok((Some(0), Limit::Soft));
    }
    let count = if is_digits(text) { text.parse().ok().filter(|count| *count <= COUNT_MAX) } else { None };
    count.map(|count| (Some(count), Limit::Soft)).ok_or_else(|| Reason::Count(shown(text)))
}

fn barcode(row: &Row<'_>, warnings: &mut Vec<String>) -> Result<String, Reason> {
    let text = row.cell(Column::Barcode);
    // An apostrophe keeps spreadsheets from reading digits as a number.
    let text = text.strip_prefix('\'').filter(|digits| is_digits(digits)).unwrap_or(text);
    let rounded = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
    if text.split_once("E+").is_some_and(|(digits, power)| rounded(digits) && is_digits(power)) {
        let text = shown(text);
        warnings.push(format!("line {}: barcode \"{text}\" was rounded by a spreadsheet and is left out", row.line));
        return Ok(String::new());
    }
    if text.is_empty() || is_visible(text, SKU_CHARS_MAX) {
        Ok(text.to_owned())
    } else {
        Err(Reason::Barcode(shown(text)))
    }
}

fn image_of(row: &Row<'_>, column: Column, warnings: &mut Vec<String>) -> Option<String> {
    let text = row.cell(column);
    if !text.is_empty() && !is_visible(text, IMAGE_CHARS_MAX) {
        warnings.push(format!("line {}: \"{}\" is no address of a picture and is left out", row.line, shown(text)));
        return None;
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// The mark by which a second import sees that nothing changed. Fields and their order are frozen by a test.
fn mark(variant: &Variant) -> [u8; 16] {
    let Variant { sku, name, product, options, price, barcode, count, limit, taxable, image, line: _, mark: _ } =
        variant;
    let mut bytes = Vec::with_capacity(256);
    sku.write(&mut bytes);
    name.write(&mut bytes);
    product.write(&mut bytes);
    options.write(&mut bytes);
    price.write(&mut bytes);
    barcode.write(&mut bytes);
    count.write(&mut bytes);
    limit.write(&mut bytes);
    taxable.write(&mut bytes);
    image.write(&mut bytes);
    let hash = Hash::derived("fieldkit 2026-11 imported variant", &bytes);
    std::array::from_fn(|at| hash.0[at])
}

/// Text for tiles and receipts: without HTML tags, control characters and blanks in a row. What is too long is cut one
/// character past the limit: still seen as too long, and cheap to repeat for each of 20,000 variants.
fn tidy(text: &str) -> String {
    let spaced: String = without_tags(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.join(" ").chars().take(NAME_CHARS_MAX + 1).collect()
}

/// Replaces each HTML tag by a blank; `<3` and `a < b` stay.
fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        if !tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!')) {
            out.push('<');
            rest = tag;
        } else if let Some((_, after)) = tag.split_once('>') {
            out.push(' ');
            rest = after;
        } else {
            // Without a `>` no later tag ends either; to search again for each would take quadratic time.
            out.push('<');
            out.push_str(tag);
            return out;
        }
    }
    out + rest
}

/// Whether text is 1 to `chars_max` characters that a person can see, blanks between words allowed.
fn is_visible(text: &str, chars_max: usize) -> bool {
    let hidden = |c: char| {
        let formats =
            matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
        c.is_control() || (c.is_whitespace() && c != ' ') || formats || c == '\u{feff}'
    };
    !text.is_empty() && text.chars().nth(chars_max).is_none() && !text.contains(hidden)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A cell as it is repeated to a person: short and on one line.
fn shown(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let start: String = text.chars().take(SHOWN_CHARS_MAX).map(printable).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() { start + "…" } else { start }
}

#[cfg(test)]
mod tests;
