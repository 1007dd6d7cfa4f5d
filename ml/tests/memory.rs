//! What is remembered: each feature of what it is named after, and the same whether a batch was taken back, or the
//! memory was written and read, in between.

// Statistics are no money.
#![allow(clippy::float_arithmetic)]

use ml::features::{Feature, Kind, Memory, Observation, Room, Row};
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// A Monday, at ten.
const MONDAY: i64 = 1_700_474_400 * SECOND;

struct House {
    memory: Memory,
    round: usize,
}

impl House {
    /// Forty players, three hundred rounds each: a round every ten seconds, stakes around each player's own, every
    /// second one wins twice the stake.
    fn usual() -> Self {
        let mut house = Self { memory: Memory::new(Room::default()), round: 0 };
        for turn in 0..12_000_i64 {
            let at = MONDAY - 12_000 * 10 * SECOND + turn * 10 * SECOND;
            // So many different parts that no sequence of stakes comes twice.
            let stake = (1.0 + (turn % 40) as f64) * (1.0 + (turn * 7_919 % 9_973) as f64 / 9_973.0);
            house.plays(&format!("player {}", turn % 40), stake, at, (turn / 40 % 2 == 0).then_some(2.0 * stake));
        }
        house
    }

    /// The features of the stake.
    fn plays(&mut self, player: &str, stake: f64, at: i64, won: Option<f64>) -> Row {
        self.round += 1;
        let round = format!("round {}", self.round);
        let row = self.sees(Kind::Stake, player, stake, at, &round);
        if let Some(won) = won {
            self.sees(Kind::Win, player, won, at + SECOND, &round);
        }
        row
    }

    fn sees(&mut self, kind: Kind, player: &str, amount: f64, at: i64, round: &str) -> Row {
        let product = Some("dice");
        let (player, round) = (Some(player.as_bytes()), Some(round));
        let row = self
            .memory
            .observe(&Observation { kind, amount, currency: "EUR", at, source: b"s", product, player, round })
            .row;
        self.memory.keep();
        row
    }
}

fn of(row: &Row, feature: Feature) -> f64 {
    row[feature as usize]
}

#[test]
fn amounts_are_compared_with_what_is_usual() {
    let mut house = House::usual();
    let usual = house.plays("player 9", 15.0, MONDAY, None);
    assert!(of(&usual, Feature::AmountOfPlayer).abs() < 2.0, "{usual:?}");
    let mut other = House::usual();
    let odd = other.plays("player 9", 1_500.0, MONDAY, None);
    // ln 100 over a deviation of about a fifth.
    assert!(of(&odd, Feature::AmountOfPlayer) > 15.0, "{odd:?}");
    assert!(of(&odd, Feature::AmountOfProduct) > 4.0 && of(&odd, Feature::AmountOfSource) > 4.0, "{odd:?}");
    let step = of(&odd, Feature::AmountStep) - of(&usual, Feature::AmountStep);
    assert!((step - 100.0_f64.ln()).abs() < 1e-6, "{step}");
    // What a player staked is told with what comes next.
    let (after_usual, after_odd) =
        (house.plays("player 9", 15.0, MONDAY, None), other.plays("player 9", 15.0, MONDAY, None));
    assert!(of(&after_odd, Feature::SumHour) > of(&after_usual, Feature::SumHour) + 1.0);
}

#[test]
fn what_is_won_is_compared_with_what_is_paid() {
    let mut house = House::usual();
    house.plays("player 9", 15.0, MONDAY, None);
    let round = format!("round {}", house.round);
    let win = house.sees(Kind::Win, "player 9", 15.0 * 60.0, MONDAY + SECOND, &round);
    // Everything ever paid was twice the stake, and no deviation counts as less than 0.15.
    let expected = 30.0_f64.ln() / 0.15;
    for feature in [Feature::PayoutOfPlayer, Feature::PayoutOfProduct] {
        assert!((of(&win, feature) - expected).abs() < 0.1, "{feature:?}: {win:?}");
    }
    let mut lucky = House::usual();
    let mut row = Row::default();
    for turn in 0..40 {
        row = lucky.plays("player 9", 15.0, MONDAY + turn * 60 * SECOND, Some(30.0));
    }
    assert!(of(&row, Feature::Luck) > 3.0 && of(&row, Feature::ReturnDay) > 0.2, "{row:?}");
}

#[test]
fn doublings_of_a_player_and_of_the_source_are_seen() {
    let mut house = House::usual();
    let rows: Vec<Row> =
        (0..6).map(|turn| house.plays("player 9", 10.0 * f64::from(1 << turn), MONDAY, None)).collect();
    let doubled: Vec<f64> = rows.iter().map(|row| of(row, Feature::Doubled)).collect();
    assert!(doubled[0] == 0.0 && (doubled[5] - 6.0_f64.ln()).abs() < 0.01, "{doubled:?}");
    // Half a week later nothing is left of it, and not some tiny number that differs from nothing.
    let later = house.plays("player 9", 10.0, MONDAY + 84 * HOUR, None);
    assert_eq!(of(&later, Feature::Doubled), 0.0);

    let mut house = House::usual();
    let mut stakes = |factor: f64| {
        let mut row = Row::default();
        for turn in 0..120 {
            let stake = factor * (1.0 + f64::from(turn % 40)) * (1.0 + f64::from(turn * 7_919 % 9_973) / 9_973.0);
            row = house.plays(&format!("player {}", turn % 40), stake, MONDAY + i64::from(turn) * SECOND, None);
        }
        of(&row, Feature::SourceShift)
    };
    let (usual, twice) = (stakes(1.0), stakes(2.0));
    assert!(usual.abs() < 0.5 && twice > 0.8, "{usual} {twice}");
}

#[test]
fn what_was_sent_before_is_known_again() {
    let mut house = House::usual();
    let stakes = [("player 1", 3.0), ("player 2", 5.0), ("player 3", 7.0), ("player 4", 9.5), ("player 5", 13.0)];
    let send = |house: &mut House, at: i64| {
        let rows = stakes.iter().map(|(player, stake)| house.plays(player, *stake, at, None));
        rows.last().expect("rows")
    };
    let first = send(&mut house, MONDAY);
    // Also by who was started again in between.
    house.memory = Memory::read(&house.memory.written(), Room::default()).expect("what was written");
    let again = send(&mut house, MONDAY + HOUR);
    assert!(of(&first, Feature::RepeatedSequence) < 0.1, "{first:?}");
    assert!(of(&again, Feature::RepeatedSequence) > 0.3, "{again:?}");
    assert_eq!(of(&again, Feature::RepeatedFact), 0.0, "another time is another fact");
    let mut fact = |round: &str| of(&house.sees(Kind::Win, "player 1", 4.0, MONDAY, round), Feature::RepeatedFact);
    assert_eq!((fact("r"), fact("r"), fact("another")), (0.0, 1.0, 0.0));
}

#[test]
fn times_are_compared_with_those_before() {
    let mut house = House::usual();
    let usual = house.plays("player 9", 15.0, MONDAY, None);
    // Two seconds instead of four hundred.
    let soon = house.plays("player 9", 15.0, MONDAY + 2 * SECOND, None);
    assert!(of(&usual, Feature::Gap).abs() < 3.0 && of(&soon, Feature::Gap) < -8.0, "{usual:?} {soon:?}");
    for turn in 0..200 {
        house.plays("player 9", 15.0, MONDAY + (3 + turn) * SECOND, None);
    }
    let burst = house.plays("player 9", 15.0, MONDAY + 204 * SECOND, None);
    for feature in [Feature::CountHour, Feature::CountDay, Feature::CountBurst, Feature::SourceRate, Feature::SumDay] {
        assert!(of(&burst, feature) > of(&usual, feature) + 0.5, "{feature:?}: {usual:?} {burst:?}");
    }
    // A player of mornings only, at night.
    let mut mornings = House { memory: Memory::new(Room::default()), round: 0 };
    for day in 0..20 {
        for turn in 0..10 {
            mornings.plays("early", 5.0, MONDAY + day * 24 * HOUR + turn * SECOND, None);
        }
    }
    let morning = mornings.plays("early", 5.0, MONDAY + 20 * 24 * HOUR, None);
    let night = mornings.plays("early", 5.0, MONDAY + 20 * 24 * HOUR + 15 * HOUR, None);
    for feature in [Feature::HourOfPlayer, Feature::HourOfSource] {
        assert!(of(&morning, feature) < 0.1 && of(&night, feature) > 4.0, "{feature:?}: {morning:?} {night:?}");
    }
}

#[test]
fn who_is_new_is_told_from_who_is_known_and_old_is_no_older_than_that() {
    let mut house = House::usual();
    let known = house.plays("player 9", 15.0, MONDAY, None);
    let new = house.plays("nobody knows", 15.0, MONDAY, None);
    assert_eq!((of(&new, Feature::PairCount), of(&new, Feature::PlayerAge)), (0.0, 0.0));
    assert!(of(&new, Feature::AmountOfPlayer).is_nan() && of(&new, Feature::Missing) > of(&known, Feature::Missing));
    // More than a hundred times, and as often as that.
    assert_eq!(of(&known, Feature::PairCount), 101.0_f64.ln());
    let (later, latest) = [20, 400].map(|days| house.plays("player 9", 15.0, MONDAY + days * 24 * HOUR, None)).into();
    assert_eq!(of(&later, Feature::PlayerAge), 25.0_f64.ln());
    assert_eq!(of(&latest, Feature::PlayerAge), of(&later, Feature::PlayerAge));
}

#[test]
fn another_currency_is_another_history() {
    let mut house = House::usual();
    let seen = Observation {
        kind: Kind::Stake,
        amount: 15.0,
        currency: "KRW",
        at: MONDAY,
        source: b"s",
        product: Some("dice"),
        player: Some(b"player 9"),
        round: Some("r"),
    };
    let row = house.memory.observe(&seen).row;
    for feature in [Feature::AmountOfPlayer, Feature::AmountOfProduct, Feature::AmountOfSource, Feature::AmountStep] {
        assert!(of(&row, feature).is_nan(), "{feature:?}: {row:?}");
    }
    house.memory.take_back();
    let other_player = house.memory.observe(&Observation { currency: "EUR", player: Some(b"player"), ..seen }).row;
    assert!(
        of(&other_player, Feature::AmountOfPlayer).is_nan() && !of(&other_player, Feature::AmountOfSource).is_nan()
    );
}

/// Of few players, products, amounts and times, so that they meet again.
fn transactions() -> impl Strategy<Value = Vec<(u8, u8, u8, f64, i64)>> {
    let amount = prop_oneof![4 => prop::sample::select(vec![1.0, 2.0]), 1 => 0.1..500.0_f64];
    let minute = prop_oneof![4 => Just(0_i64), 1 => -90..90_i64];
    prop::collection::vec((0..3_u8, 0..6_u8, 0..3_u8, amount, minute), 1..120)
}

fn observe(memory: &mut Memory, number: usize, (kind, player, product, amount, minute): (u8, u8, u8, f64, i64)) -> Row {
    let (name, round) = ([player], format!("round {}", number / 3));
    let seen = Observation {
        kind: [Kind::Stake, Kind::Win, Kind::Back, Kind::Other][usize::from(kind)],
        amount,
        currency: "EUR",
        at: MONDAY + (number as i64 / 4 + minute) * 60 * SECOND,
        source: b"s",
        product: [None, Some("a"), Some("b"), Some("c")][usize::from(product)],
        player: (player > 0).then_some(&name[..]),
        round: Some(&round),
    };
    memory.observe(&seen).row
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(80) })]

    /// Batches of any length, some of them taken back once or twice before they stand, in so little room that things
    /// are forgotten all the time.
    #[test]
    fn what_was_taken_back_never_was(
        seen in transactions(),
        batches in prop::collection::vec((1..12_usize, 0..3_usize), 1..40),
    ) {
        let room = Room { players: 3, pairs: 4, products: 2, streams: 1, seen: 64 };
        let (mut straight, mut troubled) = (Memory::new(room), Memory::new(room));
        let mut rest = &seen[..];
        let mut begin = 0;
        for (length, taken_back) in batches {
            let (batch, later) = rest.split_at(length.min(rest.len()));
            rest = later;
            let rows = |memory: &mut Memory| -> Vec<[u64; 24]> {
                let rows = batch.iter().enumerate().map(|(at, seen)| observe(memory, begin + at, *seen));
                rows.map(|row| row.map(f64::to_bits)).collect()
            };
            for _ in 0..taken_back {
                let before = troubled.written();
                rows(&mut troubled);
                troubled.take_back();
                prop_assert!(troubled.written() == before, "taking back leaves something");
            }
            prop_assert_eq!(rows(&mut straight), rows(&mut troubled));
            straight.keep();
            troubled.keep();
            prop_assert!(straight.written() == troubled.written());
            begin += batch.len();
        }
    }

    #[test]
    fn what_is_written_and_read_goes_on_as_if_it_never_stopped(seen in transactions(), stop in 0..120_usize) {
        let room = Room { players: 3, pairs: 4, products: 2, streams: 1, seen: 64 };
        let mut straight = Memory::new(room);
        let mut stopped = Memory::new(room);
        for (number, seen) in seen.iter().enumerate() {
            if number == stop {
                stopped = Memory::read(&stopped.written(), room).expect("what was written");
            }
            let rows = [&mut straight, &mut stopped].map(|memory| observe(memory, number, *seen).map(f64::to_bits));
            prop_assert_eq!(rows[0], rows[1]);
            straight.keep();
            stopped.keep();
        }
        prop_assert!(straight.written() == stopped.written());
    }
}
