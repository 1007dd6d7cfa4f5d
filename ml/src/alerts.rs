//! How many alerts there are: a threshold that follows the wanted rate slowly, and a cap for each day.

use serde::{Deserialize, Serialize};

/// How far one transaction moves the threshold, per unit by which its outcome differs from the rate.
const STEP: f64 = 0.04;
const DAY_MICROS: i64 = 86_400_000_000;
/// −ln of how much rarer than wanted that is.
const CAUTION: f64 = 1.6;

/// What a tenant wants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Of all transactions, the part that alerts: 0.005 is one in two hundred.
    pub rate: f64,
    /// Alerts of one day (UTC, by when it happened), at most.
    pub most_a_day: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Quiet,
    Alert,
    /// It would be one, if the day had not had all it may.
    Capped,
}

/// Where the threshold stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alerts {
    threshold: f64,
    day: i64,
    today: u32,
}

impl Alerts {
    pub fn new(wanted: Wanted) -> Self {
        Self { threshold: start(wanted), day: i64::MIN, today: 0 }
    }

    /// For scores by a model of other houses: what is odd in those may well be usual in this one, so it begins with
    /// what is far odder. As everywhere, the threshold follows the wanted rate from there.
    pub fn cautious(wanted: Wanted) -> Self {
        Self { threshold: start(wanted) + CAUTION, ..Self::new(wanted) }
    }

    /// Whether a surprise reaches the threshold.
    pub fn is_odd(&self, surprise: f64) -> bool {
        surprise >= self.threshold
    }

    /// Decides about a score's surprise; `at` is when it happened, in microseconds since 1970.
    pub fn decide(&mut self, surprise: f64, at: i64, wanted: Wanted) -> Decision {
        let odd = self.is_odd(surprise);
        self.threshold += STEP * (if odd { 1.0 } else { 0.0 } - wanted.rate);
        // Neither so low that a quiet year makes anything an alert, nor so high that a bad day makes nothing one.
        let start = start(wanted);
        self.threshold = self.threshold.clamp(start - 1.5, start + 6.0);
        if !odd {
            return Decision::Quiet;
        }
        let day = at.div_euclid(DAY_MICROS);
        if day > self.day {
            (self.day, self.today) = (day, 0);
        }
        if self.today >= wanted.most_a_day {
            return Decision::Capped;
        }
        self.today += 1;
        Decision::Alert
    }
}

fn start(wanted: Wanted) -> f64 {
    -wanted.rate.clamp(1e-6, 1.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { rate: 0.01, most_a_day: 1_000_000 };

    /// Surprises as they come by chance, times `factor`.
    fn alerts(alerts: &mut Alerts, wanted: Wanted, rows: u64, factor: f64) -> Vec<Decision> {
        let rows = (0..rows).map(|turn| {
            let draw = (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1_u64 << 24) as f64;
            alerts.decide(-(1.0 - draw).ln() * factor, turn as i64, wanted)
        });
        rows.collect()
    }

    #[test]
    fn the_rate_is_kept_even_where_scores_are_not_what_they_were() {
        for factor in [0.8, 1.0, 1.5] {
            let mut state = Alerts::new(WANTED);
            alerts(&mut state, WANTED, 20_000, factor);
            let then = alerts(&mut state, WANTED, 100_000, factor);
            let rate = then.iter().filter(|decision| **decision == Decision::Alert).count() as f64 / 100_000.0;
            assert!((rate - 0.01).abs() < 0.002, "{factor}: {rate}");
        }
    }

    #[test]
    fn a_day_has_no_more_than_its_cap() {
        let wanted = Wanted { most_a_day: 7, ..WANTED };
        let mut state = Alerts::new(wanted);
        let decisions = alerts(&mut state, wanted, 10_000, 1.0);
        assert_eq!(decisions.iter().filter(|decision| **decision == Decision::Alert).count(), 7);
        assert!(decisions.contains(&Decision::Capped));
        assert_eq!(state.decide(1e9, DAY_MICROS, wanted), Decision::Alert, "the next day");
        // A late one counts to the day that it is.
        assert_eq!(state.today, 1);
        assert_eq!(state.decide(1e9, 5, wanted), Decision::Alert);
        assert_eq!(state.today, 2);
    }
}
