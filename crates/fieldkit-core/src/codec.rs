//! The one canonical encoding of everything that is stored, hashed or signed.
//!
//! Promises: each value has exactly one byte form, and only that form decodes; decoding never panics and never
//! allocates more than the input is long. Integers are LEB128 varints of minimal length (signed ones zigzag), byte
//! strings and lists carry their length, a byte is itself, fields stand in the order of declaration.
//! Absent on purpose: floats, maps inside ops, skipping of unknown fields (unknown *kinds* are kept whole instead).

use std::collections::{BTreeMap, BTreeSet};

/// Why bytes are not a canonical encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ended inside a value.
    #[error("the bytes end in the middle of a value")]
    End,
    /// A varint was longer than it needs to be, or larger than its type.
    #[error("a number is not written in its shortest form or is too large")]
    Number,
    /// A string is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// A tag names no variant of `what`.
    #[error("{value} is no known {what}")]
    Tag {
        /// The type that was expected.
        what: &'static str,
        /// The tag found.
        value: u64,
    },
    /// A value breaks a rule of its type.
    #[error("{0} is out of its range")]
    Range(&'static str),
    /// Entries are not in strictly ascending order.
    #[error("entries are not in ascending order")]
    Order,
    /// Bytes follow the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// A type with exactly one byte form.
pub trait Canonical: Sized {
    /// Appends the byte form.
    fn write(&self, out: &mut Vec<u8>);
    /// Takes one value from the front of the input.
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The byte form alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        out
    }

    /// Decodes a value that fills `bytes` whole.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader { rest: bytes };
        let value = Self::read(&mut input)?;
        match input.rest.len() {
            0 => Ok(value),
            more => Err(DecodeError::Trailing(more)),
        }
    }
}

/// A cursor over bytes still to be decoded.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Takes exactly `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > self.rest.len() {
            return Err(DecodeError::End);
        }
        let (head, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(head)
    }

    /// Takes one minimal LEB128 varint.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in 0..10u32 {
            let byte = self.take(1)?[0];
            let part = u64::from(byte & 0x7f);
            if shift == 9 && byte > 1 {
                return Err(DecodeError::Number);
            }
            value |= part << (7 * shift);
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(DecodeError::Number) } else { Ok(value) };
            }
        }
        Err(DecodeError::Number)
    }

    /// Takes a length-prefixed byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::End)?;
        self.take(length)
    }
}

/// Appends one LEB128 varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length-prefixed byte string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Canonical for $type {
            fn write(&self, out: &mut Vec<u8>) {
                put_varint(out, u64::from(*self));
            }
            fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
                <$type>::try_from(input.varint()?).map_err(|_| DecodeError::Number)
            }
        }
    )*};
}
unsigned!(u16, u32, u64);

/// One byte as it is, so that a list of bytes is a byte string; as a varint each byte from 128 up would take two.
impl Canonical for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        input.take(1).map(|byte| byte[0])
    }
}

impl Canonical for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, ((self << 1) ^ (self >> 63)) as u64);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let zigzag = input.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }
}

impl Canonical for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match input.take(1)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Tag { what: "bool", value: u64::from(other) }),
        }
    }
}

impl Canonical for String {
    fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.as_bytes());
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = input.bytes()?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Text)
    }
}

impl<const N: usize> Canonical for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut value = [0; N];
        value.copy_from_slice(input.take(N)?);
        Ok(value)
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for value in self {
            value.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = list_length(input)?;
        // Each entry is at least one byte, so the input's own length bounds the allocation.
        let mut values = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            values.push(T::read(input)?);
        }
        Ok(values)
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.write(out);
            }
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::read(input)? { T::read(input).map(Some) } else { Ok(None) }
    }
}

impl<A: Canonical, B: Canonical> Canonical for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((A::read(input)?, B::read(input)?))
    }
}

impl<K: Canonical + Ord, V: Canonical> Canonical for BTreeMap<K, V> {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for (key, value) in self {
            key.write(out);
            value.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = BTreeMap::new();
        for _ in 0..list_length(input)? {
            let key = K::read(input)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(DecodeError::Order);
            }
            map.insert(key, V::read(input)?);
        }
        Ok(map)
    }
}

impl<T: Canonical + Ord> Canonical for BTreeSet<T> {
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for value in self {
            value.write(out);
        }
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut set = BTreeSet::new();
        for _ in 0..list_length(input)? {
            let value = T::read(input)?;
            if set.last().is_some_and(|last| *last >= value) {
                return Err(DecodeError::Order);
            }
            set.insert(value);
        }
        Ok(set)
    }
}

fn list_length(input: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let count = usize::try_from(input.varint()?).map_err(|_| DecodeError::End)?;
    if count > input.left() { Err(DecodeError::End) } else { Ok(count) }
}

/// Declares a struct whose canonical form is its fields in order.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
        impl $crate::codec::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $($crate::codec::Canonical::write(&self.$field, out);)*
            }
            fn read(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                let _ = &input;
                Ok(Self { $($field: $crate::codec::Canonical::read(input)?,)* })
            }
        }
    };
}

/// Declares an enum of single-value variants, each behind its own tag.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $tag:literal = $variant:ident($type:ty),)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant($type),)* }
        impl $crate::codec::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant(value) => {
                        $crate::codec::put_varint(out, $tag);
                        $crate::codec::Canonical::write(value, out);
                    })*
                }
            }
            fn read(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                match input.varint()? {
                    $($tag => Ok(Self::$variant($crate::codec::Canonical::read(input)?)),)*
                    value => Err($crate::codec::DecodeError::Tag { what: stringify!($name), value }),
                }
            }
        }
    };
}

/// Declares an enum of plain words, each with its number on the wire and its text on screens.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $tag:literal = $variant:ident $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }
        impl $name {
            /// The word as screens, tables and the API spell it.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
            /// The word read back, `None` where it is no word of this kind.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
        impl $crate::codec::Canonical for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $crate::codec::put_varint(out, match self { $(Self::$variant => $tag,)* });
            }
            fn read(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                match input.varint()? {
                    $($tag => Ok(Self::$variant),)*
                    value => Err($crate::codec::DecodeError::Tag { what: stringify!($name), value }),
                }
            }
        }
    };
}
pub use {choice, record, words};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_one_form_only() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let bytes = value.to_bytes();
            assert_eq!(u64::from_bytes(&bytes), Ok(value));
        }
        assert_eq!(u64::from_bytes(&[0x80, 0x00]), Err(DecodeError::Number));
        assert_eq!(u64::from_bytes(&[0xff; 10]), Err(DecodeError::Number));
        assert_eq!(u16::from_bytes(&[0x80, 0x80, 0x04]), Err(DecodeError::Number));
    }

    #[test]
    fn a_list_of_bytes_is_a_byte_string() {
        let bytes = vec![0u8, 127, 128, 255];
        let mut string = Vec::new();
        put_bytes(&mut string, &bytes);
        assert_eq!(bytes.to_bytes(), string);
        assert_eq!(Vec::<u8>::from_bytes(&string), Ok(bytes));
    }

    #[test]
    fn signed_numbers_survive_at_their_bounds() {
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(i64::from_bytes(&value.to_bytes()), Ok(value));
        }
    }

    #[test]
    fn a_huge_count_is_refused_before_allocation() {
        assert_eq!(Vec::<u8>::from_bytes(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(DecodeError::End));
    }

    #[test]
    fn maps_out_of_order_are_refused() {
        let bytes = vec![(2u8, 0u8), (1, 0)].to_bytes();
        assert_eq!(BTreeMap::<u8, u8>::from_bytes(&bytes), Err(DecodeError::Order));
    }
}
