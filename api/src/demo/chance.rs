//! Chance that follows from a seed and a time, so that what is told of a moment is always the same.

use chrono_tz::Tz;
use domain::time::{MICROS_PER_SECOND, Timestamp};

pub(super) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;

/// Of 100 possible records, how many there are in each local hour.
pub(super) type Day = [u64; 24];
/// Values, each with its part of the whole.
pub(super) type Table = [(u64, u64)];

/// Numbers that look random and follow from a seed (SplitMix64).
pub(super) struct Chance(u64);

impl Chance {
    pub fn new(seed: u64, at: Timestamp) -> Self {
        let mut chance = Self(seed ^ (at.0 as u64).rotate_left(17));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn happens(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// One of a table's values, each as often as its part says; `None` for what the parts leave of `of`.
    pub fn pick(&mut self, table: &Table, of: u64) -> Option<u64> {
        let mut number = self.below(of);
        for (value, part) in table {
            if number < *part {
                return Some(*value);
            }
            number -= part;
        }
        None
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// Of so many players, most often one with a small number: a few play most.
    pub fn player(&mut self, players: u64) -> u64 {
        self.below(players) * self.below(players) / players
    }

    /// For how long a record was on its way: most for no time, one in 400 for hours.
    pub fn lateness(&mut self) -> i64 {
        if self.happens(1, 400) { (2 * 60 + self.below(58 * 60) as i64) * MICROS_PER_MINUTE } else { 0 }
    }
}

/// Whether there is a record at this time of the day.
pub(super) fn is_awake(chance: &mut Chance, at: Timestamp, zone: Tz, day: &Day) -> bool {
    use chrono::Timelike;
    chance.happens(day[at.local(zone).hour() as usize], 100)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rust_decimal::Decimal;

    /// Mean and variance of what one unit staked pays, of payouts in hundredths.
    pub fn pays(table: &Table, of: u64) -> (Decimal, Decimal) {
        let decimal = |number: u64| Decimal::from(number);
        let mean: u64 = table.iter().map(|(hundredths, part)| hundredths * part).sum();
        let squares: u64 = table.iter().map(|(hundredths, part)| hundredths * hundredths * part).sum();
        let mean = decimal(mean) / decimal(of) / decimal(100);
        (mean, decimal(squares) / decimal(of) / decimal(10_000) - mean * mean)
    }

    #[track_caller]
    pub fn assert_pays(table: &Table, of: u64, stated_rtp: &str, stated_volatility: &str) {
        let (mean, variance) = pays(table, of);
        assert_eq!(mean, stated_rtp.parse().unwrap());
        let volatility: Decimal = stated_volatility.parse().unwrap();
        let error = variance - volatility * volatility;
        assert!(error.abs() < volatility * Decimal::new(2, 2), "{variance}");
    }

    #[test]
    fn a_table_is_picked_from_by_its_parts() {
        let mut chance = Chance::new(7, Timestamp(0));
        let picked: Vec<Option<u64>> = (0..10_000).map(|_| chance.pick(&[(1, 20), (2, 30)], 100)).collect();
        for (value, part) in [(Some(1), 2_000), (Some(2), 3_000), (None, 5_000)] {
            let count = picked.iter().filter(|picked| **picked == value).count();
            assert!(count.abs_diff(part) < 200, "{value:?}: {count}");
        }
    }

    #[test]
    fn another_moment_or_seed_is_another_chance() {
        let draw = |seed, at| Chance::new(seed, Timestamp(at)).below(1 << 40);
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }
}
