//! What a detector must stand: numbers that are none, too few rows, too many things to remember; and what it may cost.

// Statistics are no money.
#![allow(clippy::float_arithmetic)]

use ml::features::{COUNT, Kind, Memory, Observation, Room, Row};
use ml::{Detecting, Detector, FitError, LEAST_ROWS, Model, Scratch};
use proptest::prelude::*;

fn observation(turn: usize) -> (String, String, f64, i64) {
    let draw = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    (format!("player {}", draw % 300), format!("round {}", turn / 2), 1.0 + (draw % 97) as f64, turn as i64 * 7_000_000)
}

fn observe(memory: &mut Memory, turn: usize) -> Row {
    let (player, round, amount, at) = observation(turn / 2 * 2);
    let win = turn % 2 == 1;
    let seen = Observation {
        kind: if win { Kind::Win } else { Kind::Stake },
        amount: if win { amount * 1.7 } else { amount },
        currency: "EUR",
        at,
        source: b"source",
        product: Some("dice"),
        player: Some(player.as_bytes()),
        round: Some(&round),
    };
    memory.observe(&seen).row
}

#[test]
fn scoring_allocates_nothing() {
    let mut memory = Memory::new(Room::default());
    let rows: Vec<Row> = (0..6_000).map(|turn| observe(&mut memory, turn)).collect();
    memory.keep();
    let model = Model::fit(&rows[1_000..], (0, 1), 1).expect("a model");
    let mut scratch = Scratch::new(COUNT);
    // Texts are made before, as they are there before in a batch.
    let texts: Vec<_> = (6_000..10_000).map(observation).collect();
    let mut surprise = 0.0;
    let allocations = allocation_counter::measure(|| {
        for (player, round, amount, at) in &texts {
            let seen = Observation {
                kind: Kind::Stake,
                amount: *amount,
                currency: "EUR",
                at: *at,
                source: b"source",
                product: Some("dice"),
                player: Some(player.as_bytes()),
                round: Some(round),
            };
            let row = memory.observe(&seen).row;
            surprise += model.score(&row, &mut scratch).surprise;
            surprise += model.reasons(&row, &mut scratch).map(|(_, reason)| reason.weight).sum::<f64>();
            memory.keep();
        }
    });
    assert!(surprise > 0.0);
    // Every player was seen before; a new one may make a map grow.
    assert_eq!(allocations.count_total, 0, "allocations for {} rows", texts.len());
}

#[test]
fn nothing_and_nonsense_are_no_panic() {
    let fit = |rows: &[Vec<f64>]| Detector::fit(rows, Detecting { seed: 1, alone: &[0], rising: &[1], falling: &[0] });
    assert_eq!(fit(&[]).err(), Some(FitError::TooFew(0)));
    assert_eq!(fit(&[vec![1.0]]).err(), Some(FitError::TooFew(1)));
    assert_eq!(fit(&vec![vec![]; 50]).err(), Some(FitError::TooWide(0)));
    let mut ragged = vec![vec![1.0, 2.0]; 50];
    ragged[7].pop();
    assert_eq!(fit(&ragged).err(), Some(FitError::TooWide(2)));
    let odd = [0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e308, -1e308, f64::MIN_POSITIVE];
    for filling in odd {
        let mut rows = vec![vec![filling; 5]; 60];
        for (number, other) in odd.iter().enumerate() {
            let detector = fit(&rows).expect("a detector of constants");
            let mut scratch = Scratch::new(5);
            for value in odd {
                let score = detector.score(&[value, *other, filling, 1.0, value], &mut scratch);
                assert!(score.sum.is_finite() && score.surprise.is_finite(), "{filling} {other} {value}: {score:?}");
                assert!(score.p > 0.0 && score.p <= 1.0);
                let row = [value, *other, filling, 1.0, value];
                assert!(detector.reasons(&row, &mut scratch).all(|reason| reason.weight.is_finite()));
            }
            rows[number * 3] = vec![*other; 5];
        }
    }
}

#[test]
fn a_million_players_and_names_of_ten_kilobytes_are_remembered_in_bounded_room() {
    let room = Room { players: 5_000, pairs: 5_000, products: 100, streams: 10, seen: 1_000 };
    let mut memory = Memory::new(room);
    let long = "x".repeat(10_000);
    for turn in 0..1_000_000_u64 {
        let player = turn.to_le_bytes();
        let product = if turn % 5_000 == 0 { Some(long.as_str()) } else { None };
        let seen = Observation {
            kind: Kind::Stake,
            amount: 1.0,
            currency: "EUR",
            at: turn as i64,
            source: b"s",
            product,
            player: Some(if turn % 10_000 == 0 { long.as_bytes() } else { &player }),
            round: None,
        };
        let row = memory.observe(&seen).row;
        assert!(row.iter().all(|value| !value.is_infinite()));
        memory.keep();
    }
    assert!(memory.players() <= 10_002, "{}", memory.players());
    let bytes = memory.written();
    assert!(bytes.len() < 8_000_000, "{}", bytes.len());
    let read = Memory::read(&bytes, room).expect("what was written");
    assert_eq!(read.written(), bytes);
    assert!(Memory::read(&bytes[..bytes.len() - 1], room).is_none());
    assert!(Memory::read(&[], room).is_none());
}

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(1e308), Just(-1e308), Just(0.0), -1e3..1e3_f64, any::<f64>()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn any_rows_fit_and_score_or_say_why(
        rows in prop::collection::vec(prop::collection::vec(numbers(), 4), 0..80),
        tried in prop::collection::vec(numbers(), 4),
        seed in any::<u64>(),
    ) {
        match Detector::fit(&rows, Detecting { seed, alone: &[1, 9], rising: &[0, 9], falling: &[1, 2] }) {
            Err(_) => prop_assert!(rows.len() < LEAST_ROWS),
            Ok(detector) => {
                prop_assert!(detector.is_sound());
                let score = detector.score(&tried, &mut Scratch::new(4));
                prop_assert!(score.sum.is_finite() && score.surprise >= 0.0 && score.p > 0.0 && score.p <= 1.0);
            }
        }
    }

    #[test]
    fn any_transactions_have_features(
        seen in prop::collection::vec((0..3_u8, numbers(), any::<i64>(), 0..3_u8, 0..4_u8, 0..5_u8), 1..200),
    ) {
        let mut memory = Memory::new(Room { players: 2, ..Room::default() });
        for (number, (kind, amount, at, product, player, round)) in seen.into_iter().enumerate() {
            let before = memory.written();
            let (player, round) = ([player], round.to_string());
            let seen = Observation {
                kind: [Kind::Stake, Kind::Win, Kind::Back, Kind::Other][usize::from(kind)],
                amount,
                currency: "EUR",
                at,
                source: b"s",
                product: [None, Some("a"), Some("b")][usize::from(product)],
                player: (player[0] > 0).then_some(&player[..]),
                round: Some(&round),
            };
            let row = memory.observe(&seen).row;
            prop_assert!(row.iter().all(|value| !value.is_infinite()), "{row:?}");
            // What is taken back never was.
            if number % 3 == 0 {
                memory.take_back();
                prop_assert_eq!(memory.observe(&seen).row.map(f64::to_bits), row.map(f64::to_bits));
                memory.take_back();
                prop_assert!(memory.written() == before);
            }
            memory.keep();
        }
    }
}
