//! What a score says, and how many of them are alerts.

// Statistics are no money.
#![allow(clippy::float_arithmetic)]

use std::sync::LazyLock;

use ml::alerts::{Alerts, Decision, Wanted};
use ml::features::{COUNT, Feature, Kind, Memory, Observation, Room, Row};
use ml::{Model, Scratch};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The rows that a model is fitted to, the first ones excepted; later ones it has not seen.
const FITTED: usize = 8_000;

/// A model of a house where chance decides, all its rows, and those that are usual.
static HOUSE: LazyLock<(Model, Vec<Row>, Vec<Row>)> = LazyLock::new(|| {
    let rows = rows();
    let model = Model::fit(&rows[1_000..FITTED], (0, 1), 3).expect("a model");
    let mut scratch = Scratch::new(COUNT);
    let usual = rows[1_000..FITTED].iter().filter(|row| model.score(row, &mut scratch).p > 0.5).copied().collect();
    (model, rows, usual)
});

fn rows() -> Vec<Row> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let mut memory = Memory::new(Room::default());
    let mut rows = Vec::new();
    let mut at = 0;
    for round in 0..9_000 {
        at += rng.gen_range(1..120_000_000);
        let player: u8 = rng.gen_range(0..60);
        let id = round.to_string();
        let stake = Observation {
            kind: Kind::Stake,
            amount: f64::from(player + 1) * rng.gen_range(0.5..2.0),
            currency: "EUR",
            at,
            source: b"s",
            product: Some(["dice", "wheel"][usize::from(rng.gen_bool(0.3))]),
            player: Some(&[player]),
            round: Some(&id),
        };
        rows.push(memory.observe(&stake).row);
        if rng.gen_bool(0.48) {
            let amount = stake.amount * rng.gen_range(1.5..2.5);
            rows.push(memory.observe(&Observation { kind: Kind::Win, amount, at: at + 1_000_000, ..stake }).row);
        }
        memory.keep();
    }
    rows
}

/// The score and the reasons as bits, with room that nobody used before.
fn told(row: &Row, scratch: &mut Scratch) -> Vec<u64> {
    let score = HOUSE.0.score(row, scratch);
    let reasons = HOUSE.0.reasons(row, scratch).flat_map(|(feature, reason)| {
        [feature as u64, reason.weight.to_bits(), reason.observed.to_bits(), reason.usual.1.to_bits()]
    });
    [score.sum, score.p, score.surprise].map(f64::to_bits).into_iter().chain(reasons).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Whichever feature of whichever usual row is pushed far beyond all that was seen, to either side.
    #[test]
    fn the_first_reason_is_what_is_odd(row in any::<prop::sample::Index>(), feature in 0..COUNT, above in any::<bool>()) {
        let (model, rows, usual) = &*HOUSE;
        let mut row = *row.get(usual);
        let mut scratch = Scratch::new(COUNT);
        let before = model.score(&row, &mut scratch);
        let known = rows.iter().map(|row| row[feature]).filter(|value| !value.is_nan());
        let (least, greatest) = known.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let far = 2.0 * (greatest - least) + 5.0;
        let usual_side = if above { Feature::ALL[feature].is_falling() } else { Feature::ALL[feature].is_rising() };
        if usual_side {
            let values = if above { [greatest + far, greatest + 2.0 * far] } else { [least - far, least - 2.0 * far] };
            let scores = values.map(|value| {
                row[feature] = value;
                model.score(&row, &mut scratch)
            });
            prop_assert_eq!(scores[0], scores[1], "however far out, it counts as one in the middle");
            return Ok(());
        }
        row[feature] = if above { greatest + far } else { least - far };
        let score = model.score(&row, &mut scratch);
        let reasons: Vec<_> = model.reasons(&row, &mut scratch).collect();
        prop_assert_eq!(reasons[0].0, Feature::ALL[feature], "{:?}", reasons);
        prop_assert!(reasons.is_sorted_by(|one, next| one.1.weight >= next.1.weight));
        let (low, middle, high) = reasons[0].1.usual;
        prop_assert!(low <= middle && middle <= high && (row[feature] < low || row[feature] > high));
        prop_assert_eq!(reasons[0].1.observed.to_bits(), row[feature].to_bits());
        prop_assert!(score.sum > before.sum, "{:?} {:?}", before, score);
        if Feature::ALL[feature].is_enough() {
            prop_assert!(score.p < 0.005 && score.surprise > 6.0, "{:?}", score);
        }
    }

    /// Whatever was scored before with the same room.
    #[test]
    fn a_score_depends_on_nothing_but_its_row(
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (one.get(&HOUSE.1), other.get(&HOUSE.1));
        let mut used = Scratch::new(COUNT);
        told(other, &mut used);
        prop_assert_eq!(told(one, &mut used), told(one, &mut Scratch::new(COUNT)));
    }
}

#[test]
fn p_is_how_often_rows_are_as_odd() {
    let (model, rows, _) = &*HOUSE;
    let mut scratch = Scratch::new(COUNT);
    let scores: Vec<f64> = rows[FITTED..].iter().map(|row| model.score(row, &mut scratch).p).collect();
    for level in [0.5, 0.2, 0.05] {
        let part = scores.iter().filter(|p| **p <= level).count() as f64 / scores.len() as f64;
        assert!((0.4..1.6).contains(&(part / level)), "{part} of the rows have p ≤ {level}");
    }
}

#[test]
fn as_many_alerts_as_were_wanted() {
    for (rate, seed) in [(0.001, 1), (0.005, 2), (0.02, 3), (0.1, 4)] {
        let wanted = Wanted { rate, most_a_day: u32::MAX };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut state = Alerts::new(wanted);
        let turns = 100_000;
        let alerts = (0..turns)
            .filter(|_| {
                let p: f64 = 1.0 - rng.gen_range(0.0..1.0);
                state.decide(-p.ln(), 0, wanted) == Decision::Alert
            })
            .count();
        let expected = rate * f64::from(turns);
        let tolerance = (0.2 * expected).max(3.0 * expected.sqrt());
        assert!((alerts as f64 - expected).abs() <= tolerance, "{alerts} of {turns} at a rate of {rate}");
    }
}

/// The table of docs/detector.md has every feature, in its order, and says which of them count alone.
#[test]
fn the_document_lists_what_is_looked_at() {
    let document = include_str!("../../docs/detector.md");
    let listed: Vec<(&str, String)> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(code, rest)| (code, rest.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default()))
        .map(|(code, last)| (code, last.split(' ').filter(|word| ["yes", "↑", "↓"].contains(word)).collect()))
        .collect();
    let told = |feature: &Feature| {
        let side = if feature.is_rising() { "↑" } else { "" };
        let other = if feature.is_falling() { "↓" } else { "" };
        format!("{}{side}{other}", if feature.is_enough() { "yes" } else { "" })
    };
    let features: Vec<(&str, String)> = Feature::ALL.iter().map(|feature| (feature.as_str(), told(feature))).collect();
    assert_eq!(listed, features);
}
