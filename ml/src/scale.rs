//! Robust z-scores: how far a value lies from the middle of what was seen in training, in units of the usual distance.

use serde::{Deserialize, Serialize};

/// Scaled values end here: past this a value is extreme, and how extreme does not matter. At 8 the forest and the
/// Gaussian lose sight of what is odd among the odd (mean average precision 0.472 for 0.493, see docs/detector.md).
pub const CLIP: f64 = 16.0;
/// A median absolute deviation of normal values times this is their standard deviation.
const NORMAL_MAD: f64 = 1.4826;
/// A mean absolute deviation of normal values times this is their standard deviation.
const NORMAL_MEAN_DEVIATION: f64 = 1.2533;

/// The middle and the usual distance from it, per feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    middles: Vec<f32>,
    /// What a distance is multiplied with.
    factors: Vec<f32>,
}

impl Scaler {
    /// `columns` are the values of each feature; those that are no number are left out.
    pub fn fit(columns: &[Vec<f64>]) -> Self {
        let (middles, factors) = columns.iter().map(|column| middle_and_factor(column)).unzip();
        Self { middles, factors }
    }

    pub fn width(&self) -> usize {
        self.middles.len()
    }

    /// The robust z-score of a feature's value, within ±[`CLIP`]; a value that is missing lies in the middle.
    pub fn z(&self, feature: usize, value: f64) -> f64 {
        if value.is_nan() {
            return 0.0;
        }
        let z = (value - f64::from(self.middles[feature])) * f64::from(self.factors[feature]);
        // An infinite value times nothing is no number.
        if z.is_nan() { 0.0 } else { z.clamp(-CLIP, CLIP) }
    }

    pub fn apply(&self, row: &[f64], out: &mut [f64]) {
        for (feature, (value, out)) in row.iter().zip(out).enumerate() {
            *out = self.z(feature, *value);
        }
    }

    /// What is usual of a feature.
    pub fn middle(&self, feature: usize) -> f64 {
        f64::from(self.middles[feature])
    }
}

/// The median of what is there; `None` of nothing. Changes the order.
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let (half, odd) = (values.len() / 2, !values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let upper = *upper;
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp)?;
    Some(lower / 2.0 + upper / 2.0)
}

/// The middle of values and their robust standard deviation, none where they are all alike.
pub fn middle_and_spread(values: &[f64]) -> (f64, f64) {
    let mut finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let Some(middle) = median(&mut finite) else { return (0.0, 0.0) };
    finite.iter_mut().for_each(|value| *value = (*value - middle).abs());
    let mad = median(&mut finite).unwrap_or_default() * NORMAL_MAD;
    if mad > 0.0 {
        return (middle, mad);
    }
    // More than half are alike: what the others do must still not look like infinity.
    let mean: f64 = finite.iter().map(|distance| distance / finite.len() as f64).sum();
    (middle, mean * NORMAL_MEAN_DEVIATION)
}

fn middle_and_factor(values: &[f64]) -> (f32, f32) {
    let (middle, spread) = middle_and_spread(values);
    // f32 is what is kept: everything is calculated with what is kept, so that a model read back scores the same.
    let limit = f64::from(f32::MAX);
    let middle = middle.clamp(-limit, limit) as f32;
    // Where all are alike, whatever differs lies at the end of the scale.
    let least = f64::from(middle.abs()) * 1e-6 + 1e-12;
    let factor = (1.0 / spread.max(least)).min(limit) as f32;
    (middle, factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_normal_values_lie_within_two_thirds() {
        let scaler = Scaler::fit(&[(0..=100).map(f64::from).collect()]);
        assert_eq!(scaler.z(0, 50.0), 0.0);
        assert!((scaler.z(0, 75.0) - 1.0 / NORMAL_MAD).abs() < 1e-6);
        assert_eq!((scaler.z(0, 1e308), scaler.z(0, -1e308)), (CLIP, -CLIP));
        assert_eq!((scaler.z(0, f64::NAN), scaler.z(0, f64::INFINITY)), (0.0, CLIP));
    }

    #[test]
    fn constants_and_nothing_have_a_middle() {
        for column in [vec![], vec![7.0; 9], vec![f64::NAN; 3], vec![f64::INFINITY], vec![1e308, -1e308, 1e308]] {
            let scaler = Scaler::fit(&[column]);
            for value in [0.0, 7.0, 1e308, -1e308, f64::NAN, f64::NEG_INFINITY] {
                assert!(scaler.z(0, value).abs() <= CLIP);
            }
        }
        let constant = Scaler::fit(&[vec![7.0; 9]]);
        assert_eq!((constant.z(0, 7.0), constant.z(0, 7.5)), (0.0, CLIP));
    }
}
