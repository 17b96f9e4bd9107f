//! What goes over the wire: requests, replies and their small parts. Version 1, under `/api/v1`.
//!
//! Promises: fields are added, never renamed and never given another meaning; amounts and quantities are whole numbers;
//! unknown fields in requests are refused.
//! Absent on purpose: conversion from the ledger (`render`).

mod ask;
mod kits;
mod tell;

pub use ask::*;
pub use kits::*;
pub use tell::*;

use fieldkit_core::money;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use utoipa::ToSchema;

/// A whole number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Whole;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number that fits into 64 bits")
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
                i64::try_from(value).map(Whole).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
        }
        deserializer.deserialize_i64(Reader)
    }
}

/// An ISO 4217 currency code, such as `EUR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "EUR")]
pub struct Currency(pub money::Currency);

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        let unknown = || D::Error::custom(format!("{code:?} is no ISO 4217 currency"));
        money::Currency::from_code(&code).map(Currency).ok_or_else(unknown)
    }
}

/// An amount in minor units: `{"minor":1250,"currency":"EUR"}` is EUR 12.50.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units of the currency (cents); a whole number.
    #[schema(value_type = i64, example = 1250)]
    pub minor: Whole,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    pub fn new(minor: i64, currency: money::Currency) -> Self {
        Money { minor: Whole(minor), currency: Currency(currency) }
    }
}

impl From<Money> for money::Money {
    fn from(money: Money) -> Self {
        money::Money::new(money.minor.0, money.currency.0)
    }
}

/// Who sells, as receipts must say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Seller {
    /// Legal name.
    pub name: String,
    /// Postal address.
    pub address: String,
    /// Tax number, empty where there is none.
    pub tax_id: String,
}

/// A tax rate of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaxRate {
    /// Short name that items use.
    #[schema(example = "standard")]
    pub id: String,
    /// Text on receipts.
    #[schema(example = "VAT 19 %")]
    pub name: String,
    /// Parts per million: 19 % is 190000.
    #[schema(value_type = u32, example = 190_000)]
    pub ppm: Whole,
}

/// Where a sale came from; empty texts mean unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The place of sale.
    #[schema(example = "till-1")]
    pub till: String,
    /// Campaign.
    pub campaign: String,
    /// Session of a series.
    pub session: String,
    /// Variant of an experiment.
    pub variant: String,
}

/// Whether prices contain their tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prices {
    /// Prices contain tax.
    Inclusive,
    /// Tax comes on top.
    Exclusive,
}

/// What happens when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Sells on and warns.
    Soft,
    /// Refuses.
    Hard,
    /// Not counted at all.
    Uncounted,
}

/// The direction of a cash movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the drawer.
    In,
    /// Out of the drawer.
    Out,
}

/// A line of an order and how many units of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineQuantity {
    /// Line number from 1.
    #[schema(value_type = u32)]
    pub line: Whole,
    /// Units.
    #[schema(value_type = u32)]
    pub quantity: Whole,
}
