//! Money, tax and discounts: integers of minor units, checked at every step.
//!
//! Promises: no float, no silent overflow, no mixing of currencies; what is split adds up to the minor unit.
//! Rounding is half away from zero, per line. Currency names and exponents are ISO 4217 (crate `iso_currency`).

use crate::codec::{Canonical, DecodeError, Reader};
use std::fmt;

/// The largest amount accepted from outside, in minor units: ten trillion, far from the bounds of `i64`.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of an ISO code such as `EUR`; `None` where ISO 4217 has no such code.
    pub fn from_code(code: &str) -> Option<Self> {
        iso_currency::Currency::from_code(code)?;
        code.as_bytes().try_into().ok().map(Currency)
    }
    /// The ISO code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
    /// The currency of an ISO 4217 number such as 978, as devices say it; `None` where there is no such number.
    pub fn from_numeric(number: u16) -> Option<Self> {
        iso_currency::Currency::from_numeric(number).and_then(|known| Currency::from_code(known.code()))
    }
    /// The ISO 4217 number.
    pub fn numeric(&self) -> u16 {
        iso_currency::Currency::from_code(self.code()).map_or(0, iso_currency::Currency::numeric)
    }
    /// Decimal places of the major unit, 0 to 4.
    pub fn exponent(&self) -> u32 {
        let known = iso_currency::Currency::from_code(self.code());
        known.and_then(|currency| currency.exponent()).map_or(0, u32::from)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Canonical for Currency {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code: [u8; 3] = Canonical::read(input)?;
        if code.iter().all(u8::is_ascii_uppercase) { Ok(Currency(code)) } else { Err(DecodeError::Range("currency")) }
    }
}

/// An amount in minor units of one currency.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Minor units (cents).
    pub minor: i64,
    /// Their currency.
    pub currency: Currency,
}

/// Arithmetic that cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result would leave the range of amounts.
    #[error("the amount is too large")]
    Overflow,
    /// Two currencies met.
    #[error("two currencies cannot be added")]
    Currency,
}

impl Money {
    /// An amount.
    pub fn new(minor: i64, currency: Currency) -> Self {
        Money { minor, currency }
    }
    /// The sum.
    pub fn plus(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Currency);
        }
        Ok(Money::new(add(self.minor, other.minor)?, self.currency))
    }
}

impl fmt::Display for Money {
    /// `EUR 12.50`, `JPY 300`, `-EUR 0.05`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let (major, minor) = digits.split_at(digits.len() - exponent);
        let point = if exponent > 0 { "." } else { "" };
        write!(f, "{sign}{} {major}{point}{minor}", self.currency.code())
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `12.50`, `12,50` or `12` as minor units of `currency`. More decimals than the currency has are refused.
pub fn parse_minor(text: &str, currency: Currency) -> Option<i64> {
    let text = text.trim();
    let (major, minor) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let exponent = currency.exponent() as usize;
    let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if major.is_empty() || !digits_only(major) || !digits_only(minor) || minor.len() > exponent || major.len() > 16 {
        return None;
    }
    let all = format!("{major}{minor:0<exponent$}");
    all.parse().ok().filter(|amount| *amount <= AMOUNT_MAX)
}

/// A checked sum.
pub fn add(a: i64, b: i64) -> Result<i64, MoneyError> {
    within(i128::from(a) + i128::from(b))
}

/// A checked product.
pub fn times(amount: i64, quantity: u32) -> Result<i64, MoneyError> {
    within(i128::from(amount) * i128::from(quantity))
}

/// `amount × numerator ÷ denominator`, rounded half away from zero.
pub fn scaled(amount: i64, numerator: u32, denominator: u32) -> Result<i64, MoneyError> {
    let product = i128::from(amount) * i128::from(numerator);
    let divisor = i128::from(denominator.max(1));
    let half = if product < 0 { -divisor } else { divisor };
    within((product * 2 + half) / (divisor * 2))
}

/// The tax inside a gross amount, or on top of a net one. Rates are parts per million: 19 % = 190,000.
pub fn tax(amount: i64, rate_ppm: u32, prices: crate::body::Prices) -> Result<i64, MoneyError> {
    match prices {
        crate::body::Prices::Inclusive => scaled(amount, rate_ppm, 1_000_000u32.saturating_add(rate_ppm)),
        crate::body::Prices::Exclusive => scaled(amount, rate_ppm, 1_000_000),
    }
}

/// Splits `amount` over `weights` by largest remainder; ties go to the earlier weight. The parts sum to `amount`.
pub fn split(amount: i64, weights: &[i64]) -> Result<Vec<i64>, MoneyError> {
    let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if total <= 0 || amount < 0 || weights.iter().any(|weight| *weight < 0) {
        return if amount == 0 { Ok(vec![0; weights.len()]) } else { Err(MoneyError::Overflow) };
    }
    let exact = weights.iter().map(|weight| i128::from(amount) * i128::from(*weight));
    let mut parts: Vec<i64> = Vec::with_capacity(weights.len());
    let mut rests: Vec<(i128, usize)> = Vec::with_capacity(weights.len());
    for (at, product) in exact.enumerate() {
        parts.push(within(product / total)?);
        rests.push((-(product % total), at));
    }
    rests.sort_unstable();
    let missing = amount - parts.iter().sum::<i64>();
    for (_, at) in rests.into_iter().take(usize::try_from(missing).unwrap_or(0)) {
        parts[at] += 1;
    }
    Ok(parts)
}

fn within(value: i128) -> Result<i64, MoneyError> {
    let limit = i128::from(AMOUNT_MAX) * 1000;
    if value.abs() > limit {
        return Err(MoneyError::Overflow);
    }
    i64::try_from(value).map_err(|_| MoneyError::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Prices;

    fn euro() -> Currency {
        Currency::from_code("EUR").expect("EUR is in ISO 4217")
    }

    #[test]
    fn tax_rounds_half_away_from_zero() {
        assert_eq!(tax(1190, 190_000, Prices::Inclusive), Ok(190));
        assert_eq!(tax(1000, 190_000, Prices::Exclusive), Ok(190));
        assert_eq!(scaled(5, 1, 10), Ok(1));
        assert_eq!(scaled(-5, 1, 10), Ok(-1));
        assert_eq!(scaled(4, 1, 10), Ok(0));
    }

    #[test]
    fn split_adds_up_and_ties_go_to_the_earlier_line() {
        assert_eq!(split(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
        assert_eq!(split(0, &[]), Ok(vec![]));
        assert_eq!(split(1, &[0, 0]), Err(MoneyError::Overflow));
    }

    #[test]
    fn amounts_are_read_and_printed_by_the_currency() {
        let yen = Currency::from_code("JPY").expect("JPY is in ISO 4217");
        assert_eq!(parse_minor("12,5", euro()), Some(1250));
        assert_eq!(parse_minor("12.505", euro()), None);
        assert_eq!(parse_minor("300", yen), Some(300));
        assert_eq!(parse_minor("3.0", yen), None);
        assert_eq!(Money::new(-5, euro()).to_string(), "-EUR 0.05");
        assert_eq!(Money::new(300, yen).to_string(), "JPY 300");
        assert_eq!(Currency::from_code("ABC"), None);
        assert_eq!(Currency::from_numeric(978), Some(euro()));
        assert_eq!((yen.numeric(), Currency::from_numeric(1)), (392, None));
    }

    #[test]
    fn overflow_is_an_error() {
        assert_eq!(times(i64::MAX, 2), Err(MoneyError::Overflow));
        assert_eq!(add(i64::MAX, 1), Err(MoneyError::Overflow));
    }
}
