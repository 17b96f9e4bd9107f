//! The receipt that proves itself: a signed summary of an order, small enough for a QR.
//!
//! Form: CWT claims (RFC 8392) in COSE_Sign1 with EdDSA (RFC 9052), in base45 (RFC 9285). Claims: 1 issuer (seller),
//! 2 subject (`SERIES-NUMBER`), 6 issued at (seconds); private: -1 order id, -2 hash of the op that paid it (32 bytes),
//! -3 total in minor units, -4 currency, -5 lines as [quantity, name, minor units], -6 lines left out, -7 tax in minor
//! units, -8 true where it is training. The key id is the first 8 bytes of the kit's public key.
//! Absent on purpose: buyers. A receipt carries no name and no contact.

use crate::order::{Order, line_total};
use coset::cbor::value::Value;
use coset::{CborSerializable, CoseKeyBuilder, CoseSign1, CoseSign1Builder, HeaderBuilder, Label, iana};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Lines named in a token; more are counted only.
pub const LINES_MAX: usize = 12;
/// Characters of a line's name in a token.
const NAME_LENGTH_MAX: usize = 24;
/// Longest token accepted, in characters.
pub const TOKEN_LENGTH_MAX: usize = 4_296;

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Seller.
    pub seller: String,
    /// `SERIES-NUMBER`.
    pub number: String,
    /// Seconds since 1970 UTC.
    pub issued_s: i64,
    /// Printed order id.
    pub order_id: String,
    /// Minor units.
    pub total: i64,
    /// ISO code.
    pub currency: String,
    /// Quantity, name, minor units.
    pub lines: Vec<(i64, String, i64)>,
    /// Whether it is of a practice sale, and so no receipt.
    pub training: bool,
}

/// Why a token is not a receipt of that key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not base45, COSE or CWT of the form above.
    #[error("this is not a receipt: {0}")]
    Form(&'static str),
    /// Signed by another key, or changed.
    #[error("the receipt was changed, or another kit signed it")]
    Signature,
}

/// Makes the token of `order`, signed by `key`; `None` until the order is paid.
pub fn token(order: &Order, seller: &str, training: bool, key: &SigningKey) -> Option<String> {
    let (stream, receipt) = order.receipt()?;
    let sale = &order.sale;
    let by = order.paid().and_then(|paid| paid.by.as_ref());
    let stamp = by.map_or(order.stamp, |by| by.stamp);
    let number = format!("{}-{receipt}", stream.series());
    let line = |line: &crate::body::Line| {
        let name: String = line.name.chars().take(NAME_LENGTH_MAX).collect();
        let total = line_total(line, sale.prices);
        Value::Array(vec![Value::from(line.quantity), Value::from(name), Value::from(total)])
    };
    let lines: Vec<Value> = sale.lines.iter().take(LINES_MAX).map(line).collect();
    let left_out = sale.lines.len().saturating_sub(LINES_MAX) as u64;
    let tax: i64 = sale.lines.iter().map(|line| line.tax).sum();
    let mut claims = vec![
        (1, Value::from(seller)),
        (2, Value::from(number)),
        (6, Value::from(stamp.physical_ms / 1000)),
        (-1, Value::from(order.order_id.text())),
        (-2, Value::from(order.mark().1.0.to_vec())),
        (-3, Value::from(sale.total)),
        (-4, Value::from(sale.currency.code())),
        (-5, Value::Array(lines)),
    ];
    if left_out > 0 {
        claims.push((-6, Value::from(left_out)));
    }
    claims.push((-7, Value::from(tax)));
    if training {
        claims.push((-8, Value::from(true)));
    }
    let map = Value::Map(claims.into_iter().map(|(claim, value)| (Value::from(claim), value)).collect());
    let mut payload = Vec::new();
    coset::cbor::ser::into_writer(&map, &mut payload).expect("a value in memory always encodes");
    let key_id = key.verifying_key().to_bytes()[..8].to_vec();
    let protected = HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).key_id(key_id).build();
    let signed = CoseSign1Builder::new()
        .protected(protected)
        .payload(payload)
        .create_signature(b"", |bytes| key.sign(bytes).to_bytes().to_vec())
        .build();
    Some(base45::encode(signed.to_vec().expect("a built structure always encodes")))
}

/// The public key as COSE_Key (RFC 9052 §7, RFC 9053 §7.2).
pub fn cose_key(key: &[u8; 32]) -> Vec<u8> {
    let mut cose = CoseKeyBuilder::new_okp_key().algorithm(iana::Algorithm::EdDSA).build();
    let curve = Value::from(iana::EllipticCurve::Ed25519 as i64);
    cose.params.push((Label::Int(iana::OkpKeyParameter::Crv as i64), curve));
    cose.params.push((Label::Int(iana::OkpKeyParameter::X as i64), Value::from(key.to_vec())));
    cose.to_vec().expect("a key in memory always encodes")
}

/// Verifies a token with the kit's public key alone.
pub fn verify(token: &str, key: &[u8; 32]) -> Result<Receipt, TokenError> {
    if token.len() > TOKEN_LENGTH_MAX {
        return Err(TokenError::Form("it is too long"));
    }
    let bytes = base45::decode(token).map_err(|_| TokenError::Form("it is not base45"))?;
    let signed = CoseSign1::from_slice(&bytes).map_err(|_| TokenError::Form("it is not COSE_Sign1"))?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| TokenError::Form("the key is no Ed25519 key"))?;
    signed.verify_signature(b"", |signature, bytes| {
        let signature = Signature::from_slice(signature).map_err(|_| TokenError::Signature)?;
        key.verify_strict(bytes, &signature).map_err(|_| TokenError::Signature)
    })?;
    let payload = signed.payload.ok_or(TokenError::Form("it has no claims"))?;
    let claims: Value =
        coset::cbor::de::from_reader(payload.as_slice()).map_err(|_| TokenError::Form("its claims are not CBOR"))?;
    read_claims(&claims).ok_or(TokenError::Form("a claim is missing"))
}

fn read_claims(claims: &Value) -> Option<Receipt> {
    let map = claims.as_map()?;
    let claim = |number: i64| {
        let wanted = Value::from(number);
        map.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value)
    };
    let text = |number: i64| claim(number)?.as_text().map(str::to_owned);
    let integer = |value: &Value| i64::try_from(i128::from(value.as_integer()?)).ok();
    let line = |value: &Value| {
        let parts = value.as_array()?;
        let [quantity, name, total] = parts.as_slice() else { return None };
        Some((integer(quantity)?, name.as_text()?.to_owned(), integer(total)?))
    };
    Some(Receipt {
        seller: text(1)?,
        number: text(2)?,
        issued_s: integer(claim(6)?)?,
        order_id: text(-1)?,
        total: integer(claim(-3)?)?,
        currency: text(-4)?,
        lines: claim(-5)?.as_array()?.iter().map(line).collect::<Option<_>>()?,
        training: claim(-8).and_then(Value::as_bool).unwrap_or(false),
    })
}
