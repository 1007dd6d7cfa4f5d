//! How rare a score is, by the scores of rows that the detector was not fitted to.

use serde::{Deserialize, Serialize};

use crate::order::Order;

/// The scores of the rows held out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    scores: Order,
}

impl Calibration {
    pub fn of(scores: &[f64]) -> Self {
        Self { scores: Order::of(scores) }
    }

    /// (1 + how many are at least as odd) ÷ (n + 1).
    pub fn chance(&self, score: f64) -> f64 {
        (1.0 + self.scores.at_least(score)) / (self.scores.count() + 1.0)
    }

    /// −ln of it, and more beyond the greatest score seen, so that what is odder ranks higher: by the logarithm of how
    /// far, because nobody has seen how rare that is.
    pub fn surprise(&self, score: f64) -> f64 {
        let beyond = if self.scores.at_least(score) == 0.0 { self.scores.beyond(score).ln_1p() } else { 0.0 };
        beyond - self.chance(score).ln()
    }

    pub fn is_sound(&self) -> bool {
        self.scores.is_sound()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_as_often_as_they_say_and_never_nothing() {
        let calibration = Calibration::of(&(0..999).map(f64::from).collect::<Vec<_>>());
        assert!((calibration.chance(989.0) - 0.011).abs() < 1e-9);
        assert_eq!((calibration.chance(-5.0), calibration.chance(1e9)), (1.0, 0.001));
        assert!(calibration.surprise(2_000.0) > calibration.surprise(1_000.0));
        assert!((calibration.surprise(998.0) - (1_000.0_f64 / 2.0).ln()).abs() < 1e-9);
        let nothing = Calibration::of(&[]);
        assert_eq!(nothing.chance(3.0), 1.0);
        assert!(nothing.surprise(f64::MAX).is_finite());
    }
}
