//! The model of who has no history yet: fitted to a simulated source of ordinary players.
//!
//! Features compare everything with what was usual before, so what is odd in one house is odd in another; how odd, the
//! tenant's own model learns.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::FitError;
use crate::features::{Kind, Memory, Observation, Room, Row};
use crate::model::Model;

const SEED: u64 = 20_211_031;
const ROUNDS: usize = 6_000;
const PLAYERS: usize = 150;
/// Rows before which nothing is usual yet.
const WARM_UP: usize = 1_000;
const START: i64 = 1_700_000_000_000_000;

impl Model {
    /// The same on every call; takes about as long as fitting eight thousand rows.
    pub fn prior() -> Result<Self, FitError> {
        let rows = simulated();
        Self::fit(&rows[WARM_UP..], (START, START), SEED)
    }
}

/// Two weeks of a few games: players of different means and habits, nights that are quiet, now and then a new face.
fn simulated() -> Vec<Row> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let (mut memory, mut rows, mut now) = (Memory::new(Room::default()), Vec::new(), START);
    for round in 0..ROUNDS {
        let hour = now.div_euclid(3_600_000_000).rem_euclid(24);
        let pace = if (2..8).contains(&hour) { 8.0 } else { 1.0 };
        now += (pace * exponential(&mut rng) * 150e6) as i64;
        // A few play much, many little.
        let share: f64 = rng.gen_range(0.0..1.0);
        let reach = PLAYERS.min(20 + round / 20) as f64;
        let player = (share.powi(3) * reach) as usize;
        let usual = 2.0_f64.powi((player % 9) as i32);
        let stake = (usual * (0.6 * normal(&mut rng)).exp() * 4.0).round().max(1.0) / 4.0;
        let product = ["fruits", "wheel", "dice"][(player + usize::from(rng.gen_bool(0.2))) % 3];
        let (name, id) = (player.to_le_bytes(), round.to_string());
        let stake = Observation {
            kind: if rng.gen_bool(0.01) { Kind::Other } else { Kind::Stake },
            amount: stake,
            currency: "EUR",
            at: now,
            source: b"simulated",
            product: Some(product),
            player: Some(&name),
            round: Some(&id),
        };
        rows.push(memory.observe(&stake).0);
        // The house keeps four of a hundred, whatever is paid.
        let payout = (1.0 / rng.gen_range(0.01..1.0_f64)).min(50.0);
        let payout = if product == "wheel" { 2.0 } else { payout.max(1.1) };
        if rng.gen_bool((0.96 / payout).min(1.0)) {
            let won = Observation { kind: Kind::Win, amount: stake.amount * payout, at: now + 3_000_000, ..stake };
            rows.push(memory.observe(&won).0);
        }
        memory.keep();
    }
    rows
}

fn exponential(rng: &mut impl Rng) -> f64 {
    -(1.0 - rng.gen_range(0.0..1.0_f64)).ln()
}

fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (2.0 * exponential(rng)).sqrt();
    radius * (std::f64::consts::TAU * rng.gen_range(0.0..1.0_f64)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::Scratch;
    use crate::features::COUNT;

    #[test]
    fn the_prior_calls_the_odd_odd() {
        let prior = Model::prior().expect("a model");
        let again = Model::read(&prior.written()).expect("what was written");
        assert!(again.written() == prior.written());
        let rows = simulated();
        let mut scratch = Scratch::new(COUNT);
        let odd = rows[WARM_UP..].iter().filter(|row| prior.score(row, &mut scratch).p < 0.01).count();
        assert!((20..200).contains(&odd), "{odd} of {}", rows.len());
        let mut row = rows[5_000];
        row[0] = 40.0;
        row[1] = 40.0;
        let score = prior.score(&row, &mut scratch);
        assert!(score.p < 0.002 && score.surprise > 6.0, "{score:?}");
        let reasons: Vec<_> = prior.reasons(&row, &mut scratch).map(|(feature, _)| feature.as_str()).collect();
        assert!(reasons[..2].contains(&"AMOUNT_OF_PLAYER"), "{reasons:?}");
    }
}
