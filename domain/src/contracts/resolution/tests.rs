use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::contracts::contract::Terms;
use crate::contracts::fixtures::terms;
use crate::contracts::version::VersionState;
use crate::ids::PartnerId;

const LATEST: Timestamp = Timestamp(i64::MAX);
const DAY: i64 = crate::time::MICROS_PER_DAY;

fn contract(number: u128) -> ContractId {
    ContractId(Uuid::from_u128(number))
}

fn version(number: i64, from: i64, activated: Option<i64>, replaced: Option<i64>) -> ContractVersion {
    ContractVersion {
        contract: contract(1),
        version: number,
        state: if activated.is_some() { VersionState::Active } else { VersionState::Draft },
        revision: 1,
        valid_from: Timestamp(from),
        terms: terms(json!({})),
        created_at: Timestamp(0),
        changed_at: None,
        changed_by: None,
        tested_at: None,
        approved_at: None,
        activated_at: activated.map(Timestamp),
        activated_by: None,
        replaces: None,
        replaced_at: replaced.map(Timestamp),
        superseded_at: None,
        superseded_by: None,
    }
}

fn number(found: Result<Option<&ContractVersion>, Ambiguous>) -> Option<i64> {
    found.expect("no doubt").map(|version| version.version)
}

fn at(versions: &[ContractVersion], at: i64, known: i64) -> Option<i64> {
    number(in_force(versions, contract(1), Timestamp(at), Timestamp(known)))
}

#[test]
fn the_newest_beginning_counts_and_not_the_oldest_price() {
    let versions = [version(1, 10, Some(1), None), version(2, 20, Some(2), None), version(3, 15, None, None)];
    for (when, expected) in [(9, None), (10, Some(1)), (15, Some(1)), (19, Some(1)), (20, Some(2)), (99, Some(2))] {
        assert_eq!(at(&versions, when, 99), expected, "{when}");
    }
    assert_eq!(number(in_force(&versions, contract(2), Timestamp(99), LATEST)), None, "another contract's");
}

#[test]
fn what_was_known_then_stays_what_was_known_then() {
    // At 50 the second version takes the first one's place; at 60 a third is agreed for a time long past.
    let versions = [version(1, 10, Some(1), Some(50)), version(2, 10, Some(50), None), version(3, 5, Some(60), None)];
    for (known, expected) in [(0, None), (1, Some(1)), (49, Some(1)), (50, Some(2)), (99, Some(2))] {
        assert_eq!(at(&versions, 12, known), expected, "known at {known}");
    }
    assert_eq!((at(&versions, 7, 59), at(&versions, 7, 60)), (None, Some(3)));
}

#[test]
fn two_claims_on_one_time_are_refused_by_name() {
    let mut versions =
        vec![version(4, 10, Some(1), None), version(2, 10, Some(2), None), version(3, 10, Some(3), None)];
    let expected = Ambiguous { contract: contract(1), versions: [2, 3], valid_from: Timestamp(10) };
    for _ in 0..3 {
        versions.rotate_left(1);
        assert_eq!(in_force(&versions, contract(1), Timestamp(11), LATEST), Err(expected));
    }
    let message = Problem::from(expected).message;
    assert!(message.starts_with("versions 2 and 3 of contract con_"), "{message}");
    // While only one of them was known, there was no doubt; nor is there where a later one has taken over.
    assert_eq!(at(&versions, 11, 1), Some(4));
    versions.push(version(5, 20, Some(4), None));
    assert_eq!(at(&versions, 20, 9), Some(5));
}

/// With a last day, in days since 1970.
fn until(last: Option<u64>, version: ContractVersion) -> ContractVersion {
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
    let terms = Terms { valid_until: last.map(|last| epoch + chrono::Days::new(last)), ..version.terms };
    ContractVersion { terms, ..version }
}

#[test]
fn behind_the_last_day_nothing_is_in_force_and_nothing_comes_back() {
    let first = version(1, 0, Some(1), None);
    let second = until(Some(3), version(2, 2 * DAY, Some(1), None));
    let third = version(3, 6 * DAY, Some(1), None);
    let versions = [first, second, third];
    let days = [(0, Some(1)), (2, Some(2)), (3, Some(2)), (4, None), (5, None), (6, Some(3))];
    for (day, expected) in days {
        assert_eq!(at(&versions, day * DAY, 9), expected, "day {day}");
    }
    assert_eq!(at(&versions, 4 * DAY - 1, 9), Some(2), "the last day is counted to its end");
}

/// Any versions of two contracts, some drafts, some replaced, some with an end, some in doubt.
fn versions() -> impl Strategy<Value = Vec<ContractVersion>> {
    let ends = prop::option::weighted(0.3, 0..7_u64);
    let one = (0..5_i64, prop::option::weighted(0.8, 0..6_i64), prop::option::weighted(0.3, 0..6_i64), 1..3_u128, ends);
    prop::collection::vec(one, 0..8).prop_map(|all| {
        let made = all.into_iter().zip(1..).map(|((from, activated, after, of, ends), number)| {
            let replaced = activated.zip(after).map(|(activated, after)| activated + 1 + after);
            ContractVersion { contract: contract(of), ..until(ends, version(number, from * DAY, activated, replaced)) }
        });
        made.collect()
    })
}

/// Written from the sentence: which versions has somebody who knows at `known` reason to call in force?
fn naive(versions: &[ContractVersion], at: Timestamp, known: Timestamp) -> Vec<i64> {
    let mut candidates = Vec::new();
    for one in versions.iter().filter(|one| one.contract == contract(1)) {
        let Some(activated) = one.activated_at else { continue };
        if activated > known || one.replaced_at.is_some_and(|replaced| replaced <= known) || one.valid_from > at {
            continue;
        }
        candidates.push((one.valid_from, one.version));
    }
    let last = candidates.iter().map(|(from, _)| *from).max();
    let mut found: Vec<i64> =
        candidates.into_iter().filter(|(from, _)| Some(*from) == last).map(|(_, version)| version).collect();
    found.sort_unstable();
    let only = versions.iter().find(|one| one.contract == contract(1) && found == [one.version]);
    let last = only.and_then(|only| only.terms.valid_until);
    if last.is_some_and(|last| at.utc().date_naive() > last) { Vec::new() } else { found }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn there_is_one_answer_or_a_refusal_that_names_both(
        (versions, shuffled) in versions().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        at in 0..7_i64,
        known in 0..14_i64,
    ) {
        let (at, known) = (Timestamp(at * DAY), Timestamp(known));
        let found = in_force(&versions, contract(1), at, known);
        prop_assert_eq!(found, in_force(&shuffled, contract(1), at, known));
        match (naive(&versions, at, known).as_slice(), found) {
            ([], Ok(None)) => {}
            ([only], Ok(Some(version))) => prop_assert_eq!(*only, version.version),
            ([first, second, ..], Err(found)) => prop_assert_eq!(found.versions, [*first, *second]),
            (expected, found) => prop_assert!(false, "{:?} and not {:?}", found, expected),
        }
    }

    #[test]
    fn what_is_agreed_later_changes_nothing_of_what_was_known(
        versions in versions(), later in versions(), at in 0..7_i64, known in 0..14_i64,
    ) {
        let (at, known) = (Timestamp(at * DAY), Timestamp(known));
        let before = in_force(&versions, contract(1), at, known).map(|found| found.map(|version| version.version));
        let mut all = versions.clone();
        // Other versions, and the ends of these: all of it after `known`.
        for (number, version) in later.into_iter().enumerate() {
            let activated = version.activated_at.map(|activated| known.plus(1 + activated.0));
            all.push(ContractVersion { version: 100 + i64::try_from(number).unwrap_or(0), activated_at: activated, ..version });
        }
        for version in all.iter_mut().filter(|version| version.replaced_at.is_none()) {
            version.replaced_at = version.activated_at.map(|activated| activated.max(known).plus(1));
        }
        let after = in_force(&all, contract(1), at, known).map(|found| found.map(|version| version.version));
        prop_assert_eq!(before, after);
    }

    /// What pricing goes by says the same at every instant.
    #[test]
    fn the_succession_is_what_is_in_force_at_each_instant(versions in versions()) {
        let own = versions.iter().filter(|version| version.contract == contract(1) && version.activated_at.is_some());
        let active = own.map(|version| version.clone().active(PartnerId::NONE)).collect();
        let doubts = (0..7).any(|at| in_force(&versions, contract(1), Timestamp(at * DAY), LATEST).is_err());
        match succession(active) {
            Err(found) => {
                let refused = in_force(&versions, contract(1), found.valid_from, LATEST);
                prop_assert_eq!(refused, Err(found), "doubts: {}", doubts);
            }
            Ok(succession) => {
                prop_assert!(!doubts);
                for at in (0..7).map(|day| Timestamp(day * DAY)) {
                    let begun = succession.iter().rev().find(|version| version.valid_from <= at);
                    let counts = begun.filter(|version| version.terms.ends().is_none_or(|ends| at < ends));
                    let found = in_force(&versions, contract(1), at, LATEST).expect("no doubt");
                    prop_assert_eq!(counts.map(|version| version.version), found.map(|version| version.version));
                }
            }
        }
    }
}
