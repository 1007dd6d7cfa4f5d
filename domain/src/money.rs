//! Money without floats: integers in two precisions, exact rates, one rounding.
//!
//! Amounts of transactions and accruals are [`Units`], in *accounting units* of their asset (by default four digits
//! finer than its minor unit). Lines, ledger and payouts are [`Minor`], in minor units. A [`Rate`] is a percentage
//! with eight decimals. The only way from `Units` to `Minor` is a division that rounds once, so that the moment of
//! rounding is visible in the types.

use std::fmt;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Digits that the accounting unit has beyond the minor unit, unless the tenant lowers it.
pub const ACCOUNTING_DIGITS: u8 = 4;
/// The finest accounting unit: 10⁻⁸ of the major unit.
pub const MAX_ACCOUNTING_EXPONENT: u8 = 8;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    #[error("'{0}' is not a decimal number like 1234.56")]
    NotANumber(String),
    #[error("'{text}' has more than the {digits} decimals that {currency} is kept with")]
    TooManyDecimals { text: String, digits: u8, currency: String },
    #[error("'{0}' is too large")]
    TooLarge(String),
    #[error("a sum exceeds what a 64-bit amount holds")]
    Overflow,
    #[error("'{0}' is neither an ISO 4217 currency nor an asset of this tenant")]
    UnknownCurrency(String),
}

/// An amount in accounting units.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize,
)]
pub struct Units(pub i64);

/// An amount in minor units.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize,
)]
pub struct Minor(pub i64);

macro_rules! checked {
    ($name:ident) => {
        impl $name {
            pub const ZERO: Self = Self(0);

            pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
                self.0.checked_add(other.0).map(Self).ok_or(MoneyError::Overflow)
            }

            pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
                self.0.checked_sub(other.0).map(Self).ok_or(MoneyError::Overflow)
            }

            pub fn checked_neg(self) -> Result<Self, MoneyError> {
                self.0.checked_neg().map(Self).ok_or(MoneyError::Overflow)
            }

            /// A checked sum, wide while adding: only the result must fit.
            pub fn sum(parts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
                Self::narrow(parts.into_iter().map(|part| i128::from(part.0)).sum())
            }

            pub fn narrow(wide: i128) -> Result<Self, MoneyError> {
                i64::try_from(wide).map(Self).map_err(|_| MoneyError::Overflow)
            }
        }
    };
}
checked!(Units);
checked!(Minor);

/// A currency or a tenant's own asset, with its two precisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    pub code: String,
    /// Digits of the minor unit: KRW 0, USD 2, KWD 3.
    pub exponent: u8,
    /// Digits of the accounting unit.
    pub accounting_exponent: u8,
}

impl Asset {
    pub fn new(code: &str, exponent: u8) -> Self {
        let accounting_exponent = (exponent + ACCOUNTING_DIGITS).min(MAX_ACCOUNTING_EXPONENT).max(exponent);
        Self { code: code.to_owned(), exponent, accounting_exponent }
    }

    /// An ISO 4217 currency with a minor unit; precious metals and test codes have none.
    pub fn iso(code: &str) -> Option<Self> {
        let currency = iso_currency::Currency::from_code(code)?;
        let exponent = u8::try_from(currency.exponent()?).ok()?;
        Some(Self::new(code, exponent))
    }

    /// `"1234.56"` in accounting units. Exponents, signs like `+`, spaces and separators are refused.
    pub fn parse_units(&self, text: &str) -> Result<Units, MoneyError> {
        parse_scaled(text, self.accounting_exponent)
            .map(Units)
            .map_err(|error| error.named(text, self.accounting_exponent, &self.code))
    }

    /// `"1234.56"` in minor units.
    pub fn parse_minor(&self, text: &str) -> Result<Minor, MoneyError> {
        parse_scaled(text, self.exponent).map(Minor).map_err(|error| error.named(text, self.exponent, &self.code))
    }

    /// A decimal in accounting units, exactly, or rounded half to even where `round` says so.
    pub fn units_of(&self, value: rust_decimal::Decimal, round: bool) -> Result<Units, MoneyError> {
        let digits = u32::from(self.accounting_exponent);
        let kept = if round { value.round_dp(digits) } else { value.normalize() };
        if kept.scale() > digits {
            return Err(ScaleError::Decimals.named(&value.to_string(), self.accounting_exponent, &self.code));
        }
        let factor = 10_i128.pow(digits - kept.scale());
        kept.mantissa()
            .checked_mul(factor)
            .and_then(|wide| i64::try_from(wide).ok())
            .map(Units)
            .ok_or_else(|| MoneyError::TooLarge(value.to_string()))
    }

    pub fn format_minor(&self, amount: Minor) -> String {
        format_scaled(amount.0, self.exponent)
    }

    /// All the digits of the accounting unit that are not trailing zeros, but at least those of the minor unit.
    pub fn format_units(&self, amount: Units) -> String {
        let mut text = format_scaled(amount.0, self.accounting_exponent);
        let surplus = usize::from(self.accounting_exponent - self.exponent);
        let zeros = text.bytes().rev().take(surplus).take_while(|digit| *digit == b'0').count();
        text.truncate(text.len() - zeros);
        text.truncate(text.trim_end_matches('.').len());
        text
    }

    /// All the digits of an amount that is not rounded yet.
    pub fn format_share(&self, share: Share) -> String {
        let digits = u32::from(self.accounting_exponent) + 2 + u32::from(RATE_DECIMALS);
        let factor = 10_u128.pow(digits);
        let (whole, fraction) = (share.0.unsigned_abs() / factor, share.0.unsigned_abs() % factor);
        let sign = if share.0 < 0 { "-" } else { "" };
        let width = usize::try_from(digits).unwrap_or_default();
        let text = format!("{sign}{whole}.{fraction:0width$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// Accounting units that make one minor unit.
    pub fn units_per_minor(&self) -> i64 {
        10_i64.pow(u32::from(self.accounting_exponent - self.exponent))
    }
}

/// A percentage, exact to eight decimals: `Rate::parse("7.5")`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(i64);

const RATE_DECIMALS: u8 = 8;
/// No contract pays a million percent; the bound keeps every product of a rate and an amount within `i128`.
const MAX_PERCENT: i64 = 1_000_000;

impl Rate {
    /// The whole.
    pub const HUNDRED: Self = Self(100 * 10_i64.pow(RATE_DECIMALS as u32));

    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let scaled =
            parse_scaled(text, RATE_DECIMALS).map_err(|error| error.named(text, RATE_DECIMALS, "a percentage"))?;
        if scaled.abs() > MAX_PERCENT * 10_i64.pow(RATE_DECIMALS.into()) {
            return Err(MoneyError::TooLarge(text.to_owned()));
        }
        Ok(Self(scaled))
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Several rates of the same together; more than can be said stays the most that can.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is missing to a higher one, for weights; nothing where it is not higher.
    #[must_use]
    pub fn up_to(self, higher: Self) -> Self {
        Self(higher.0.saturating_sub(self.0).max(0))
    }

    /// Its size among other rates, to split something by; nothing where it is negative.
    pub fn weight(self) -> u64 {
        u64::try_from(self.0).unwrap_or_default()
    }

    /// This percentage of an amount, not rounded yet.
    pub fn of(self, base: Units) -> Share {
        Share(i128::from(base.0) * i128::from(self.0))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format_scaled(self.0, RATE_DECIMALS);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A price in major units for one unit, exact to eight decimals. Units are counted like amounts: one is the major unit
/// of the contract's asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(Rate);

impl Price {
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        Rate::parse(text).map(Self)
    }

    pub fn is_negative(self) -> bool {
        self.0.is_negative()
    }

    /// What so many units cost, not rounded yet.
    pub fn of(self, count: Units) -> Share {
        Share(i128::from(count.0) * i128::from(self.0.0) * 100)
    }

    /// A price as lines keep it.
    pub const fn of_digits(digits: Rate) -> Self {
        Self(digits)
    }

    /// The same digits, as lines keep them.
    pub const fn digits(self) -> Rate {
        self.0
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Percentages of amounts, added up exactly; [`Share::round`] makes money of them, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(i128);

impl Share {
    /// A whole number of accounting units, as far as sums of amounts go.
    pub const fn whole(units: i128) -> Self {
        Self(units * 100 * 10_i128.pow(RATE_DECIMALS as u32))
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError::Overflow)
    }

    /// As accounting units: what is deducted from a base is no line's amount yet.
    pub fn round_units(self, rounding: Rounding) -> Result<Units, MoneyError> {
        Units::narrow(rounding.divide(self.0, 100 * 10_i128.pow(RATE_DECIMALS.into())))
    }

    pub fn round(self, asset: &Asset, rounding: Rounding) -> Result<Minor, MoneyError> {
        let per_percent = 100 * 10_i128.pow(RATE_DECIMALS.into());
        Minor::narrow(rounding.divide(self.0, per_percent * i128::from(asset.units_per_minor())))
    }
}

/// How a line becomes whole minor units. Mirrored: the rounding of −x is the negative of the rounding of x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rounding {
    #[default]
    HalfEven,
    /// Half away from zero.
    HalfUp,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

impl Rounding {
    /// `numerator ÷ denominator` as a whole number; the denominator is positive.
    pub fn divide(self, numerator: i128, denominator: i128) -> i128 {
        let magnitude = numerator.unsigned_abs();
        let denominator = denominator.unsigned_abs();
        let (quotient, rest) = (magnitude / denominator, magnitude % denominator);
        let doubled = rest.saturating_mul(2);
        let up = match self {
            Self::HalfEven => doubled > denominator || (doubled == denominator && quotient % 2 == 1),
            Self::HalfUp => doubled >= denominator,
            Self::Down => false,
            Self::Up => rest > 0,
        };
        let rounded = i128::try_from(quotient + u128::from(up)).unwrap_or(i128::MAX);
        if numerator < 0 { -rounded } else { rounded }
    }
}

/// Splits a total by weights without losing or making a unit: largest remainder, ties to the earlier part. Negative
/// totals are split like their positive twins. Weights are not negative and at least one is positive; otherwise
/// nothing can be shared out and the result is `None`.
pub fn split(total: i64, weights: &[u64]) -> Option<Vec<i64>> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return None;
    }
    let magnitude = u128::from(total.unsigned_abs());
    let mut parts: Vec<u128> = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(weights.len());
    for (position, weight) in weights.iter().enumerate() {
        let product = magnitude * u128::from(*weight);
        parts.push(product / sum);
        remainders.push((product % sum, position));
    }
    // Fewer units are left than there are parts with a remainder, so nobody without one gets a unit.
    let left = magnitude - parts.iter().sum::<u128>();
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, position) in remainders.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        parts[*position] += 1;
    }
    let sign = i128::from(total.signum());
    parts.into_iter().map(|part| i64::try_from(sign * i128::try_from(part).ok()?).ok()).collect()
}

enum ScaleError {
    Number,
    Decimals,
    Size,
}

impl ScaleError {
    fn named(self, text: &str, digits: u8, currency: &str) -> MoneyError {
        let text: String = text.chars().take(60).collect();
        match self {
            Self::Number => MoneyError::NotANumber(text),
            Self::Decimals => MoneyError::TooManyDecimals { text, digits, currency: currency.to_owned() },
            Self::Size => MoneyError::TooLarge(text),
        }
    }
}

fn parse_scaled(text: &str, digits: u8) -> Result<i64, ScaleError> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || (magnitude.contains('.') && !is_number(fraction)) {
        return Err(ScaleError::Number);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(digits).checked_sub(fraction.len()).ok_or(ScaleError::Decimals)?;
    let mut value: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        let digit = i64::from(digit - b'0');
        let next =
            value.checked_mul(10).and_then(|v| if negative { v.checked_sub(digit) } else { v.checked_add(digit) });
        value = next.ok_or(ScaleError::Size)?;
    }
    Ok(value)
}

fn format_scaled(value: i64, digits: u8) -> String {
    let factor = 10_u64.pow(digits.into());
    let (whole, fraction) = (value.unsigned_abs() / factor, value.unsigned_abs() % factor);
    let sign = if value < 0 { "-" } else { "" };
    if digits == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction:0width$}", width = usize::from(digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit() -> Asset {
        Asset::new("BIT", 2)
    }

    #[test]
    fn amounts_read_exactly_or_not_at_all() {
        let usd = Asset::iso("USD").expect("a currency");
        assert_eq!(usd.parse_units("0.002"), Ok(Units(2_000)));
        assert_eq!(usd.parse_units("-12.5"), Ok(Units(-12_500_000)));
        assert_eq!(usd.parse_minor("90071992547409.93"), Ok(Minor(9_007_199_254_740_993)));
        assert!(matches!(usd.parse_units("0.0000001"), Err(MoneyError::TooManyDecimals { .. })));
        assert_eq!(usd.parse_units("0.0000010000"), Ok(Units(1)));
        assert!(matches!(usd.parse_units("99999999999999999999"), Err(MoneyError::TooLarge(_))));
        assert_eq!(usd.parse_units("-9223372036854.775808"), Ok(Units(i64::MIN)));
        for text in ["", "-", ".", "1.", ".5", "+1", "1e3", "1,000", " 1", "NaN", "１"] {
            assert!(matches!(usd.parse_units(text), Err(MoneyError::NotANumber(_))), "{text:?}");
        }
        assert_eq!(Asset::iso("KRW").map(|a| (a.exponent, a.accounting_exponent)), Some((0, 4)));
        assert_eq!(Asset::iso("XAU"), None);
    }

    #[test]
    fn amounts_are_written_with_the_digits_they_need() {
        assert_eq!(bit().format_minor(Minor(-5)), "-0.05");
        assert_eq!(bit().format_units(Units(-2_919_609_630_000)), "-2919609.63");
        assert_eq!(bit().format_units(Units(2_001)), "0.002001");
        let krw = Asset::iso("KRW").expect("a currency");
        assert_eq!(krw.format_units(Units(15_000)), "1.5");
        assert_eq!(krw.format_units(Units(10_000)), "1");
        assert_eq!(krw.format_minor(Minor(1_000)), "1000");
    }

    #[test]
    fn a_rate_is_applied_once_and_rounded_once() {
        let rate = Rate::parse("8").expect("a rate");
        let pay = |base: i64| rate.of(Units(base * 10_000)).round(&bit(), Rounding::HalfEven);
        assert_eq!(pay(63_249_136), Ok(Minor(5_059_931)));
        assert_eq!(pay(-291_960_963), Ok(Minor(-23_356_877)));
        assert_eq!(Rate::parse("7.50").map(|r| r.to_string()), Ok("7.5".to_owned()));
        assert!(Rate::parse("1000001").is_err());
        assert!(Rate::parse("0.000000001").is_err());
    }

    #[test]
    fn rounding_is_mirrored() {
        for (rounding, half, one_and_half) in
            [(Rounding::HalfEven, 0, 2), (Rounding::HalfUp, 1, 2), (Rounding::Down, 0, 1), (Rounding::Up, 1, 2)]
        {
            assert_eq!((rounding.divide(1, 2), rounding.divide(3, 2)), (half, one_and_half), "{rounding:?}");
            assert_eq!((rounding.divide(-1, 2), rounding.divide(-3, 2)), (-half, -one_and_half), "{rounding:?}");
        }
    }

    #[test]
    fn the_worked_splits() {
        assert_eq!(split(10, &[33, 45, 22]), Some(vec![3, 5, 2]));
        assert_eq!(split(10, &[602, 398]), Some(vec![6, 4]));
        assert_eq!(split(-10, &[33, 45, 22]), Some(vec![-3, -5, -2]));
        assert_eq!(split(1, &[0, 0]), None);
    }

    proptest! {
        #[test]
        fn a_split_neither_loses_nor_makes_a_unit(total: i64, weights in prop::collection::vec(0_u64..1_000_000, 1..12)) {
            prop_assume!(weights.iter().any(|w| *w > 0) && total != i64::MIN);
            let parts = split(total, &weights).expect("a positive weight");
            prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(total));
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            for (part, weight) in parts.iter().zip(&weights) {
                // Never more than one unit away from the exact share.
                let gap = i128::from(*part) * sum - i128::from(total) * i128::from(*weight);
                prop_assert!(gap.abs() < sum, "{} of {}", part, total);
            }
            let mirrored: Vec<i64> = split(-total, &weights).expect("a positive weight").iter().map(|p| -p).collect();
            prop_assert_eq!(parts, mirrored);
        }

        #[test]
        fn what_is_written_reads_back(units: i64, exponent in 0_u8..=8) {
            let asset = Asset::new("X", exponent);
            prop_assert_eq!(asset.parse_units(&asset.format_units(Units(units))), Ok(Units(units)));
            prop_assert_eq!(asset.parse_minor(&asset.format_minor(Minor(units))), Ok(Minor(units)));
        }
    }
}
