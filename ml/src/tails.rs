//! Two-sided tails: how rare a value is in each feature on its own. The strongest single detector here, and the one
//! that says why.

use serde::{Deserialize, Serialize};

use crate::order::Order;

/// What was seen of every feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tails {
    features: Vec<Order>,
}

impl Tails {
    /// `columns` are the values of each feature; those that are no number are left out.
    pub fn fit(columns: &[Vec<f64>]) -> Self {
        Self { features: columns.iter().map(|column| Order::of(column)).collect() }
    }

    /// How often each feature has a value as far out goes to `chances`; −ln of all of them together is the score.
    pub fn surprise(&self, row: &[f64], chances: &mut [f64]) -> f64 {
        for ((value, order), out) in row.iter().zip(&self.features).zip(chances.iter_mut()) {
            *out = chance(order, *value);
        }
        // One logarithm for several: no chance is below one in two thousand million, and sixteen of those are a number.
        let (many, rest) = chances.as_chunks::<16>();
        let many: f64 = many.iter().map(|chances| chances.iter().product::<f64>().ln()).sum();
        -(many + rest.iter().product::<f64>().ln())
    }

    /// How far a value lies beyond all that was seen of a feature, on the scale of surprises; `chance` is its own.
    pub fn beyond(&self, feature: usize, value: f64, chance: f64) -> f64 {
        let order = &self.features[feature];
        // Only the rarest can be beyond.
        if chance * (order.count() + 1.0) > 3.0 { 0.0 } else { order.beyond(value) }
    }

    /// Between which values nine of ten lie.
    pub fn usual(&self, feature: usize) -> Option<(f64, f64)> {
        let order = &self.features[feature];
        order.quantile(0.05).zip(order.quantile(0.95))
    }

    pub fn width(&self) -> usize {
        self.features.len()
    }

    pub fn is_sound(&self) -> bool {
        self.features.iter().all(Order::is_sound)
    }
}

/// How often a value lies as far out on its side, twice, since there are two sides. Always for a value in the middle or
/// missing.
fn chance(order: &Order, value: f64) -> f64 {
    if value.is_nan() {
        return 1.0;
    }
    let (at_most, at_least) = order.sides(value);
    let rarer = at_most.min(at_least);
    // One more than were seen, so that what was never seen is rare and not impossible.
    (2.0 * (rarer + 1.0) / (order.count() + 1.0)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surprise(order: &Order, value: f64) -> f64 {
        -chance(order, value).ln()
    }

    #[test]
    fn the_middle_is_no_surprise_and_the_ends_are() {
        let order = Order::of(&(0..9_999).map(f64::from).collect::<Vec<_>>());
        for (value, expected) in [
            (5_000.0, 1.0_f64),
            (f64::NAN, 1.0),
            // Nothing lies as far out, and once the largest itself.
            (1e308, 5_000.0),
            (-1e308, 5_000.0),
            (9_998.0, 2_500.0),
            // Between what is kept: a tenth lies above.
            (8_999.0, 5.0),
        ] {
            assert!((surprise(&order, value) - expected.ln()).abs() < 0.01, "{value}");
        }
    }

    #[test]
    fn what_most_have_is_no_surprise() {
        let mut column = vec![0.0; 900];
        column.extend(vec![1.0; 100]);
        let order = Order::of(&column);
        assert_eq!(surprise(&order, 0.0), 0.0);
        assert!((surprise(&order, 1.0) - (1_001.0_f64 / 202.0).ln()).abs() < 1e-9);
        assert_eq!(surprise(&Order::of(&[]), 5.0), 0.0);
        assert_eq!(surprise(&Order::of(&[3.0]), 3.0), 0.0);
    }

    #[test]
    fn the_score_is_the_sum_of_the_surprises() {
        // More features than go into one logarithm, and so rare that their product alone would be none.
        let column: Vec<f64> = (0..1_000_000).map(f64::from).collect();
        let tails = Tails { features: vec![Order::of(&column); 130] };
        let mut chances = vec![0.0; 130];
        let sum = tails.surprise(&[1e9; 130], &mut chances);
        assert!((sum - 130.0 * (500_000.5_f64).ln()).abs() < 1e-6, "{sum}");
        assert!(tails.surprise(&[f64::NAN; 130], &mut chances) == 0.0);
    }
}
