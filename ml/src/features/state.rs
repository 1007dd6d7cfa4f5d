//! What is remembered of a player, a product, a pair of them, and a source.

use serde::{Deserialize, Serialize};

use super::observation::KINDS;
use super::returns::Returns;
use super::running::{Fading, Hours, Running};

pub const HOUR: f64 = 3_600.0;
pub const DAY: f64 = 24.0 * HOUR;
pub const WEEK: f64 = 7.0 * DAY;
pub const TEN_MINUTES: f64 = 600.0;

/// A player's round under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub id: u64,
    pub product: u64,
    pub staked: f32,
    pub won: f32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Player {
    pub first: i64,
    pub last: i64,
    /// By side: stakes, wins, others.
    pub amounts: [Running; KINDS],
    pub former: [f32; KINDS],
    pub gaps: Running,
    pub payouts: Running,
    pub hours: Hours,
    pub hour: Fading,
    pub day: Fading,
    pub week: Fading,
    pub sum_hour: Fading,
    pub sum_day: Fading,
    pub won_day: Fading,
    pub staked_day: Fading,
    pub doubled: Fading,
    pub round: Round,
    pub luck: Luck,
}

/// How many rounds were won over what was likely, fading with the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Luck {
    excess: f32,
    variance: f32,
    /// The chance that this player's payouts usually have.
    chance: f32,
}

impl Luck {
    const MEMORY: f32 = 0.97;
    /// So much variance is there before anything happens: a lucky first round says little.
    const PRIOR: f64 = 1.0;

    /// A round was won that pays `payout` times the stake: the fairer the game, the rarer.
    pub fn won(&mut self, payout: f64) {
        let chance = (1.0 / payout.max(1.0)) as f32;
        self.chance = if self.chance == 0.0 { chance } else { self.chance + 0.1 * (chance - self.chance) };
        self.count(1.0 - chance, chance);
    }

    /// A round was lost: at what odds nobody knows, so at the usual ones.
    pub fn lost(&mut self) {
        let chance = if self.chance == 0.0 { 0.5 } else { self.chance };
        self.count(-chance, chance);
    }

    fn count(&mut self, excess: f32, chance: f32) {
        self.excess = Self::MEMORY * self.excess + excess;
        self.variance = Self::MEMORY * self.variance + chance * (1.0 - chance);
    }

    pub fn z(&self) -> f64 {
        f64::from(self.excess) / (f64::from(self.variance) + Self::PRIOR).sqrt()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Product {
    pub amounts: [Running; KINDS],
    pub payouts: Running,
    pub returns: Returns,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub count: u32,
}

/// A source in one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    pub last: i64,
    pub amounts: [Running; KINDS],
    pub hours: Hours,
    pub minutes: Fading,
    pub week: Fading,
    /// How far stakes usually lie from those of their players.
    pub apart: Running,
    /// The mean of how far the latest ones do, in standard deviations of one.
    pub shift: f32,
    /// The steps before, for sequences.
    pub steps: [u64; 2],
    /// The part of the latest sequences that came before.
    pub repeated: f32,
}

impl Stream {
    const SHIFT_PART: f32 = 1.0 / 32.0;
    const REPEATED_PART: f32 = 1.0 / 8.0;

    /// A stake lies so many standard deviations from what its player staked before. However many, it is one stake.
    pub fn shift_by(&mut self, apart: f64) {
        let apart = apart.tanh();
        let z = self.apart.z(apart, 0.05);
        self.apart.add(apart);
        if z.is_finite() {
            self.shift += Self::SHIFT_PART * (z as f32 - self.shift);
        }
    }

    pub fn repeat(&mut self, came_before: bool) {
        let now = if came_before { 1.0 } else { 0.0 };
        self.repeated += Self::REPEATED_PART * (now - self.repeated);
    }
}

/// Hashes that came lately, each in the one place that it may have: what shares a place replaces what was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    places: Vec<u64>,
    #[serde(skip)]
    before: Vec<(u32, u64)>,
}

impl Seen {
    pub fn new(room: usize) -> Self {
        Self { places: vec![0; room.next_power_of_two()], before: Vec::new() }
    }

    /// Whether it came before; it has come now.
    pub fn seen(&mut self, hash: u64) -> bool {
        let place = hash as usize & (self.places.len() - 1);
        let former = std::mem::replace(&mut self.places[place], hash);
        if former != hash {
            self.before.push((place as u32, former));
        }
        former == hash
    }

    pub fn keep(&mut self) {
        self.before.clear();
    }

    pub fn take_back(&mut self) {
        while let Some((place, former)) = self.before.pop() {
            self.places[place as usize] = former;
        }
    }

    pub fn is_sound(&self) -> bool {
        self.places.len().is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luck_is_what_the_odds_do_not_explain() {
        let (mut fair, mut safe, mut knows) = (Luck::default(), Luck::default(), Luck::default());
        for round in 0..200 {
            if round % 2 == 0 {
                fair.won(2.0)
            } else {
                fair.lost()
            }
            safe.won(1.01);
            knows.won(if round % 3 == 0 { 6.0 } else { 1.8 });
        }
        assert!(fair.z().abs() < 1.0, "{}", fair.z());
        assert!(safe.z().abs() < 1.0, "{}", safe.z());
        assert!(knows.z() > 4.0, "{}", knows.z());
        assert_eq!(Luck::default().z(), 0.0);
    }

    #[test]
    fn what_was_seen_is_known_until_it_is_taken_back() {
        let mut seen = Seen::new(1_000);
        assert!(!seen.seen(5));
        assert!(seen.seen(5));
        seen.keep();
        assert!(!seen.seen(6) && !seen.seen(5 + 1_024));
        seen.take_back();
        assert!(seen.seen(5) && !seen.seen(6));
    }
}
