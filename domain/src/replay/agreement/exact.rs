//! Fractions without rounding, for the reference: slow, and right.

use std::cmp::Ordering;
use std::ops::{Add, Mul, Neg, Sub};

use crate::money::Rounding;

/// A fraction in lowest terms; its denominator is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact(i128, i128);

impl Exact {
    pub const ZERO: Self = Self(0, 1);

    pub fn new(numerator: i128, denominator: i128) -> Self {
        assert!(denominator != 0, "a division by zero");
        let (mut a, mut b) = (numerator.abs(), denominator.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let sign = denominator.signum();
        Self(sign * numerator / a, sign * denominator / a)
    }

    pub fn whole(number: impl Into<i128>) -> Self {
        Self(number.into(), 1)
    }

    /// A decimal number as contracts write it: `-12.5`.
    pub fn read(text: &str) -> Self {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().expect("a decimal number");
        Self::new(digits, 10_i128.pow(u32::try_from(fraction.len()).expect("short")))
    }

    pub fn over(self, other: Self) -> Self {
        Self::new(self.0 * other.1, self.1 * other.0)
    }

    pub fn abs(self) -> Self {
        Self(self.0.abs(), self.1)
    }

    pub fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    pub fn min(self, other: Self) -> Self {
        if self < other { self } else { other }
    }

    pub fn floor(self) -> i128 {
        self.0.div_euclid(self.1)
    }

    /// As a whole number, and its negative as the negative of that.
    pub fn round(self, rounding: Rounding) -> i64 {
        let size = self.abs();
        let down = size.floor();
        let rest = size - Self::whole(down);
        let half = rest.cmp(&Self(1, 2));
        let up = match rounding {
            Rounding::Down => false,
            Rounding::Up => rest != Self::ZERO,
            Rounding::HalfUp => half != Ordering::Less,
            Rounding::HalfEven => half == Ordering::Greater || (half == Ordering::Equal && down % 2 == 1),
        };
        let rounded = if up { down + 1 } else { down };
        i64::try_from(if self.0 < 0 { -rounded } else { rounded }).expect("an amount")
    }
}

impl Add for Exact {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0, self.1)
    }
}

impl Sub for Exact {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Exact {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        // Lowest terms first, so that it stays small.
        let (a, b) = (Self::new(self.0, other.1), Self::new(other.0, self.1));
        Self::new(a.0 * b.0, a.1 * b.1)
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0 * other.1).cmp(&(other.0 * self.1))
    }
}

/// Shares a whole number out by weights: each its exact part without the fraction, and what is left one by one to the
/// largest fractions, of equal ones to the earlier. A negative number is shared out as the negative of its twin.
pub fn shared(total: i64, weights: &[i64]) -> Vec<i64> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    let exact: Vec<Exact> =
        weights.iter().map(|weight| Exact::whole(total.abs()) * Exact::new((*weight).into(), sum)).collect();
    let mut parts: Vec<i128> = exact.iter().map(|part| part.floor()).collect();
    while parts.iter().sum::<i128>() < i128::from(total.abs()) {
        let rest = |place: usize| exact[place] - Exact::whole(parts[place]);
        let mut best = 0;
        for place in 1..parts.len() {
            if rest(place) > rest(best) {
                best = place;
            }
        }
        parts[best] += 1;
    }
    parts.into_iter().map(|part| i64::try_from(part).expect("a part") * total.signum()).collect()
}
