//! Laws of money: nothing appears, nothing is lost, for every number of decimal places (PAY-19, PAY-20, INV-08).

use crate::arbitrary;
use fieldkit_core::body::{Line, Prices};
use fieldkit_core::money::{self, AMOUNT_MAX, Currency, Money, parse_minor};
use fieldkit_core::order::{self, Discount};
use proptest::collection::vec;
use proptest::prelude::*;

/// A currency for each exponent from 0 to 3.
fn currency() -> impl Strategy<Value = Currency> {
    // No currency in use has one place; Mauritania's and Madagascar's fifths are listed with 2.
    prop_oneof![Just("JPY"), Just("EUR"), Just("BHD"), Just("KWD")]
        .prop_map(|code| Currency::from_code(code).expect("these codes are in ISO 4217"))
}

fn line(unit_price: i64, quantity: u32, discount: i64, tax_ppm: u32) -> Line {
    Line {
        sku: "A".into(),
        name: "A".into(),
        quantity,
        unit_price,
        discount,
        discount_reason: String::new(),
        order_discount: 0,
        tax_rate: "t".into(),
        tax_ppm,
        tax: 0,
        owner: String::new(),
        units: vec![],
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let one = (0i64..1_000_000, 1u32..1000, 0u32..=1_000_000, 0u32..=1_000_000);
    let one = one.prop_map(|(price, quantity, off_ppm, tax_ppm)| {
        let gross = price * i64::from(quantity);
        line(price, quantity, Discount::Ppm(off_ppm).of(gross).unwrap_or(0), tax_ppm)
    });
    vec(one, 1..12)
}

proptest! {
    #[test]
    fn what_is_split_adds_up(amount in 0i64..=AMOUNT_MAX, weights in vec(0i64..1_000_000, 1..30)) {
        let total: i64 = weights.iter().sum();
        match money::split(amount, &weights) {
            Ok(parts) => {
                prop_assert_eq!(parts.iter().sum::<i64>(), amount);
                for (part, weight) in parts.iter().zip(&weights) {
                    let exact = i128::from(amount) * i128::from(*weight);
                    let distance = (i128::from(*part) * i128::from(total) - exact).abs();
                    prop_assert!(distance < i128::from(total.max(1)), "a part is off by a whole unit");
                }
            }
            Err(_) => prop_assert!(total == 0 && amount != 0),
        }
    }

    #[test]
    fn split_never_falls(amount in arbitrary::number(), weights in vec(arbitrary::number(), 0..6)) {
        if let Ok(parts) = money::split(amount, &weights) {
            prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), i128::from(amount));
        }
    }

    #[test]
    fn tax_is_the_nearest_whole_unit(amount in 0i64..=1_000_000_000_000, ppm in 0u32..=1_000_000) {
        let inside = money::tax(amount, ppm, Prices::Inclusive).expect("in range");
        let on_top = money::tax(amount, ppm, Prices::Exclusive).expect("in range");
        let (amount, ppm) = (i128::from(amount), i128::from(ppm));
        // Twice the distance from the exact value is at most the divisor.
        let near = |tax: i64, divisor: i128| (2 * (i128::from(tax) * divisor - amount * ppm)).abs() <= divisor;
        prop_assert!(near(inside, 1_000_000 + ppm));
        prop_assert!(near(on_top, 1_000_000));
        prop_assert!(i128::from(inside) <= amount);
    }

    #[test]
    fn tax_has_no_sign_of_its_own(amount in 0i64..=1_000_000_000, ppm in 0u32..=1_000_000) {
        for prices in [Prices::Inclusive, Prices::Exclusive] {
            let (plus, minus) = (money::tax(amount, ppm, prices), money::tax(-amount, ppm, prices));
            prop_assert_eq!(plus.map(|tax| -tax), minus);
        }
    }

    #[test]
    fn arithmetic_never_falls(a in arbitrary::number(), b in arbitrary::number(), n: u32, d: u32) {
        if let Ok(sum) = money::add(a, b) {
            prop_assert_eq!(i128::from(sum), i128::from(a) + i128::from(b));
        }
        if let Ok(product) = money::times(a, n) {
            prop_assert_eq!(i128::from(product), i128::from(a) * i128::from(n));
        }
        let _ = money::scaled(a, n, d);
        let _ = money::tax(a, n, Prices::Inclusive);
        let _ = Discount::Minor(a).of(b);
        let _ = Discount::Ppm(n).of(a);
    }

    #[test]
    fn a_price_is_the_sum_of_its_lines(mut lines in lines(), off in 0u32..=1_000_000, exclusive: bool) {
        let prices = if exclusive { Prices::Exclusive } else { Prices::Inclusive };
        let (discount, total) = order::price(&mut lines, Discount::Ppm(off), prices)
            .expect("in range")
            .expect("a share of the base is no more than the base");
        let sum = |part: fn(&Line) -> i64| lines.iter().map(part).sum::<i64>();
        let gross = sum(|line| line.unit_price * i64::from(line.quantity));
        let tax_on_top = if exclusive { sum(|line| line.tax) } else { 0 };
        prop_assert_eq!(sum(|line| line.order_discount), discount);
        prop_assert_eq!(gross - sum(|line| line.discount) - discount + tax_on_top, total);
        for line in &lines {
            prop_assert!(order::line_payable(line) >= 0, "a line pays less than nothing");
            let tax = money::tax(order::line_payable(line), line.tax_ppm, prices);
            prop_assert_eq!(tax, Ok(line.tax));
        }
    }

    #[test]
    fn a_printed_amount_reads_back(minor in 0i64..=AMOUNT_MAX, currency in currency()) {
        let text = Money::new(minor, currency).to_string();
        let number = text.strip_prefix(currency.code()).expect("an amount begins with its code");
        prop_assert_eq!(parse_minor(number, currency), Some(minor), "{}", text);
    }

    #[test]
    fn any_text_is_an_amount_or_none(text in arbitrary::text(), digits in "[0-9.,+-]{0,24}", currency in currency()) {
        let _ = parse_minor(&text, currency);
        if let Some(minor) = parse_minor(&digits, currency) {
            prop_assert!((0..=AMOUNT_MAX).contains(&minor));
        }
    }
}
