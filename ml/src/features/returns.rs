//! Whether a product returns to its players what it always did: a cumulative sum (Page 1954) of each round's return.

use serde::{Deserialize, Serialize};

/// A round that returns more than this many stakes counts as this many: one jackpot is no paytable.
const CAP: f32 = 20.0;
/// Rounds until it is known what is usual.
const LEAST: f32 = 500.0;
/// The usual return follows what comes as slowly as this many rounds.
const MEMORY: f32 = 20_000.0;
/// In standard deviations of one round's return: half of the shift that is looked for…
const SLACK: f32 = 0.05;
/// …and the sum that is an alarm. With these two, about 150,000 rounds pass between two false alarms.
const LIMIT: f32 = 75.0;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Returns {
    count: f32,
    mean: f32,
    variance: f32,
    more: Side,
    less: Side,
}

/// The sum to one side, and the rounds since it was nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Side {
    sum: f32,
    rounds: f32,
    returned: f32,
}

/// A product returns another part of the stakes than it used to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReturnAlarm {
    /// What a round returned on average, of 1 staked, since it began to differ.
    pub observed: f64,
    pub usual: f64,
    /// Rounds since it began to differ.
    pub rounds: u32,
}

impl Returns {
    /// A round returned this many times its stake.
    pub fn add(&mut self, returned: f64) -> Option<ReturnAlarm> {
        if returned.is_nan() {
            return None;
        }
        let returned = (returned as f32).clamp(0.0, CAP);
        let mut alarm = None;
        if self.count >= LEAST && self.variance > 0.0 {
            let z = (returned - self.mean) / self.variance.sqrt();
            let more = self.more.add(z, returned);
            let less = self.less.add(-z, returned);
            alarm = more.or(less).map(|(observed, rounds)| ReturnAlarm {
                observed: f64::from(observed),
                usual: f64::from(self.mean),
                rounds: rounds as u32,
            });
        }
        self.count = (self.count + 1.0).min(MEMORY);
        let part = 1.0 / self.count;
        let apart = returned - self.mean;
        self.mean += part * apart;
        self.variance += part * (apart * (returned - self.mean) - self.variance);
        alarm
    }
}

impl Side {
    fn add(&mut self, z: f32, returned: f32) -> Option<(f32, f32)> {
        self.sum += z - SLACK;
        if self.sum <= 0.0 {
            *self = Self::default();
            return None;
        }
        self.rounds += 1.0;
        self.returned += returned;
        (self.sum > LIMIT).then(|| {
            let ended = std::mem::take(self);
            (ended.returned / ended.rounds, ended.rounds)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wins 2 in 48 of 100 rounds, in an order that looks like chance.
    fn round(turn: u32, payout: f64) -> f64 {
        let draw = turn.wrapping_mul(2_654_435_761) >> 16;
        if draw % 100 < 48 { payout } else { 0.0 }
    }

    #[test]
    fn a_paytable_that_drifts_is_found_and_one_that_stays_is_not() {
        let mut returns = Returns::default();
        let quiet = (0..50_000).find_map(|turn| returns.add(round(turn, 2.0)));
        assert_eq!(quiet, None);
        let mut generous = returns;
        let found = (0..5_000).find_map(|turn| Some((turn, generous.add(round(turn, 2.4))?)));
        let (rounds, alarm) = found.expect("an alarm");
        assert!(rounds < 1_000, "{rounds}");
        assert!((alarm.observed - 1.15).abs() < 0.1 && (alarm.usual - 0.96).abs() < 0.05, "{alarm:?}");
        let mut stingy = returns;
        assert!((0..5_000).any(|turn| stingy.add(round(turn, 1.6)).is_some()));
    }

    #[test]
    fn jackpots_and_nonsense_are_no_paytable() {
        let mut returns = Returns::default();
        for turn in 0..2_000 {
            returns.add(round(turn, 2.0));
        }
        assert_eq!(returns.add(1e308), None);
        assert_eq!(returns.add(f64::NAN), None);
        assert_eq!(returns.add(f64::INFINITY), None);
        let mut constant = Returns::default();
        assert!((0..2_000).all(|_| constant.add(1.0).is_none()));
    }
}
