//! Idempotency keys and fingerprints.
//!
//! Promises: different keys have different bytes; our pages' keys (`CLIENT.COUNTER`) take about eight of them. A
//! fingerprint does not see white space or the order of fields in JSON; everything else it does.
//! Absent on purpose: memory of keys. They stand in the ops that answer them.

use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use fieldkit_core::id::Hash;
use fieldkit_core::op::{CommandKey, Key};
use serde_json::Value;

/// The header that carries the key.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key in characters: one byte of the stored 64 says how the rest is packed.
pub const KEY_LENGTH_MAX: usize = 63;

const PLAIN: u8 = 0;
const PAGE: u8 = 1;
/// Crockford's base32 alphabet.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CLIENT_LENGTH: usize = 8;

/// The key of a write.
pub fn key(headers: &HeaderMap) -> Result<Key, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "key_missing",
            "A write needs the header `Idempotency-Key`; this one has none.",
            "Choose a key, keep it, and send it with every repetition of this request.",
        ));
    };
    let form = || {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "key_form",
            format!("`Idempotency-Key` is given once and has 1 to {KEY_LENGTH_MAX} visible ASCII characters."),
            "Choose another key.",
        )
    };
    if given.next().is_some() {
        return Err(form());
    }
    let text = value.as_bytes();
    if !(1..=KEY_LENGTH_MAX).contains(&text.len()) || !text.iter().all(u8::is_ascii_graphic) {
        return Err(form());
    }
    Key::new(&packed(text)).ok_or_else(form)
}

/// What the key is for: the first 16 bytes of BLAKE3 over method, address and content.
pub fn fingerprint(method: &Method, uri: &Uri, content: &[u8]) -> [u8; 16] {
    let address = uri.path_and_query().map_or(uri.path(), |address| address.as_str());
    let mut bytes = format!("{method}\n{address}\n").into_bytes();
    bytes.extend_from_slice(content);
    Hash::of(&bytes).half()
}

/// A key with its fingerprint.
pub fn command_key(key: Key, method: &Method, uri: &Uri, content: &[u8]) -> CommandKey {
    CommandKey { key, fingerprint: fingerprint(method, uri, content) }
}

/// JSON without white space and with its fields in order.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            out.push(b'{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
        Value::Array(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(value, out);
            }
            out.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    match page_key(text) {
        Some((client, counter)) => {
            let mut bytes = vec![PAGE];
            bytes.extend_from_slice(&client);
            put_varint(&mut bytes, counter);
            bytes
        }
        None => [&[PLAIN], text].concat(),
    }
}

/// The parts of a key `CLIENT.COUNTER` in the one spelling that packs.
fn page_key(text: &[u8]) -> Option<([u8; 5], u64)> {
    let (client, rest) = text.split_at_checked(CLIENT_LENGTH)?;
    let digits = std::str::from_utf8(rest.strip_prefix(b".")?).ok()?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let counter = digits.parse().ok().filter(|_| plain)?;
    let mut bits: u64 = 0;
    for symbol in client {
        let digit = ALPHABET.iter().position(|known| known == symbol)?;
        bits = bits << 5 | digit as u64;
    }
    let [_, _, _, client @ ..] = bits.to_be_bytes();
    Some((client, counter))
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(text: &str, expected: Result<&[u8], &str>) {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(text).expect("a header value"));
        let found = key(&headers);
        let found = found.as_ref().map(Key::bytes).map_err(Problem::code);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn keys_of_our_pages_are_packed() {
        check("00000000.0", Ok(&[1, 0, 0, 0, 0, 0, 0]));
        check("ZZZZZZZZ.300", Ok(&[1, 255, 255, 255, 255, 255, 0xac, 2]));
        check("00000001.18446744073709551615", Ok(&[1, 0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]));
    }

    #[test]
    fn other_spellings_stay_as_they_are() {
        for text in ["0000000l.1", "00000000.01", "00000000.+1", "00000000.18446744073709551616", "00000000.", "a"] {
            check(text, Ok(&[&[0], text.as_bytes()].concat()));
        }
    }

    #[test]
    fn keys_of_a_wrong_form_are_refused() {
        check("", Err("key_form"));
        check("a b", Err("key_form"));
        check(&"k".repeat(63), Ok(&[&[0][..], &[b'k'; 63]].concat()));
        check(&"k".repeat(64), Err("key_form"));
    }

    #[test]
    fn fingerprints_do_not_see_white_space_or_order() {
        let of = |text: &str| canonical(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(of(r#" {"b": [1, {"y":2,"x":null}], "a":"\u0041"}"#), of(r#"{"a":"A","b":[1,{"x":null,"y":2}]}"#));
        assert_ne!(of(r#"{"a":[1,2]}"#), of(r#"{"a":[2,1]}"#));
    }
}
