//! The model of who has no history yet: fitted to the first weeks of simulated houses of several kinds.
//!
//! Features compare everything with what was usual before, so what is odd in one house is odd in another; how odd, the
//! tenant's own model learns. The first rows of each house are among the examples, because a tenant that starts with
//! this model has nothing to be compared with either.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::FitError;
use crate::features::{Kind, Memory, Observation, Room, Row};
use crate::model::Model;

const SEED: u64 = 20_211_031;
/// Rows of one house.
const ROWS: usize = 700;
const START: i64 = 1_700_000_000_000_000;

/// How far players' stakes lie from their usual one, as the standard deviation of the logarithm, in one house or another.
const SPREADS: [f64; 3] = [0.5, 0.9, 1.4];

/// What a house tells of its transactions.
#[derive(Clone, Copy)]
struct House {
    players: usize,
    names_players: bool,
    has_rounds: bool,
    has_products: bool,
    /// Seconds between two transactions, on average.
    pace: f64,
}

const fn house(players: usize, names_players: bool, has_rounds: bool, has_products: bool, pace: f64) -> House {
    House { players, names_players, has_rounds, has_products, pace }
}

const HOUSES: [House; 14] = [
    house(150, true, true, true, 150.0),
    house(40, true, true, true, 20.0),
    house(400, true, true, true, 2.0),
    house(15, true, true, true, 600.0),
    house(80, true, false, true, 60.0),
    house(300, true, false, true, 900.0),
    house(60, true, true, false, 30.0),
    house(1, false, false, true, 120.0),
    house(1, false, false, true, 7_200.0),
    house(1, false, false, false, 3_600.0),
    house(1, false, true, true, 45.0),
    house(25, true, false, false, 40_000.0),
    house(1, false, false, true, 40_000.0),
    house(200, true, true, true, 15.0),
];

impl Model {
    /// The same on every call; takes about as long as fitting ten thousand rows.
    pub fn prior() -> Result<Self, FitError> {
        Self::fit(&simulated(), (START, START), SEED)
    }
}

/// The rows of all houses, one of each after the other, so that those held out at the end are of every kind.
fn simulated() -> Vec<Row> {
    let habits = SPREADS.into_iter().cycle();
    let houses = (0_u64..).zip(HOUSES).zip(habits);
    let houses: Vec<Vec<Row>> = houses.map(|((number, house), spread)| rows_of(house, spread, SEED + number)).collect();
    (0..ROWS).flat_map(|row| houses.iter().map(move |house| house[row])).collect()
}

/// Players of different means and habits, nights that are quiet, now and then a new face.
fn rows_of(house: House, spread: f64, seed: u64) -> Vec<Row> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut memory, mut rows, mut now) = (Memory::new(Room::default()), Vec::new(), START);
    while rows.len() < ROWS {
        let hour = now.div_euclid(3_600_000_000).rem_euclid(24);
        let slow = if (2..8).contains(&hour) { 6.0 } else { 1.0 };
        now += (slow * exponential(&mut rng) * house.pace * 1e6) as i64;
        // A few play much, many little.
        let share: f64 = rng.gen_range(0.0..1.0);
        let reach = house.players.min(5 + rows.len() / 4) as f64;
        let player = (share.powi(3) * reach) as usize;
        let usual = 2.0_f64.powi((player % 9) as i32);
        let amount = (usual * (spread * normal(&mut rng)).exp() * 4.0).round().max(1.0) / 4.0;
        let product = ["fruits", "wheel", "dice"][(player + usize::from(rng.gen_bool(0.2))) % 3];
        let (name, id) = (player.to_le_bytes(), rows.len().to_string());
        let stake = Observation {
            kind: if rng.gen_bool(0.02) {
                [Kind::Back, Kind::Other][usize::from(rng.gen_bool(0.5))]
            } else {
                Kind::Stake
            },
            amount,
            currency: "EUR",
            at: now,
            source: b"simulated",
            product: house.has_products.then_some(product),
            player: house.names_players.then_some(&name[..]),
            round: house.has_rounds.then_some(id.as_str()),
        };
        rows.push(memory.observe(&stake).row);
        // The house keeps four of a hundred, whatever is paid.
        let payout = if product == "wheel" { 2.0 } else { (1.0 / rng.gen_range(0.01..1.0_f64)).clamp(1.1, 50.0) };
        if rng.gen_bool((0.96 / payout).min(1.0)) {
            let won = Observation { kind: Kind::Win, amount: amount * payout, at: now + 3_000_000, ..stake };
            rows.push(memory.observe(&won).row);
        }
        memory.keep();
    }
    rows.truncate(ROWS);
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
        let odd = rows.iter().filter(|row| prior.score(row, &mut scratch).p < 0.01).count();
        assert!((20..300).contains(&odd), "{odd} of {}", rows.len());
        // Of the first house, late in its time.
        let mut row = rows[600 * HOUSES.len()];
        row[0] = 40.0;
        row[1] = 40.0;
        let score = prior.score(&row, &mut scratch);
        assert!(score.p < 0.002 && score.surprise > 6.0, "{score:?}");
        let reasons: Vec<_> = prior.reasons(&row, &mut scratch).map(|(feature, _)| feature.as_str()).collect();
        assert!(reasons.contains(&"AMOUNT_OF_PLAYER"), "{reasons:?}");
    }
}
