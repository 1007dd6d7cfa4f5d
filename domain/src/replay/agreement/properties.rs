//! Over random contracts and streams: live, replay and the reference say the same of every line; neither order nor batches
//! matter; and what is agreed or comes late is corrected by what it changes.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::case::{Case, cases};
use super::paths::{Books, Priced, left, priced, reference, replayed, said_of_parts, shared_out, sorted, sums};
use crate::contracts::contract::ActiveVersion;
use crate::settlements::settlement::{Computed, LineCode};
use crate::time::Timestamp;

/// `SALDO_CASES` of each property: a hundred where it does not say.
pub fn config() -> ProptestConfig {
    let cases = std::env::var("SALDO_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    ProptestConfig {
        cases,
        max_global_rejects: 10 * cases + 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Parts of a list, by whatever numbers there are.
fn parted<T: Clone>(list: &[T], numbers: &[u32]) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    for (place, item) in list.iter().enumerate() {
        if numbers.get(place % numbers.len().max(1)).is_some_and(|number| number % 5 == 0) {
            parts.push(Vec::new());
        }
        parts.last_mut().expect("a part").push(item.clone());
    }
    parts
}

fn shuffled<T: Clone>(list: &[T], numbers: &[u32]) -> Vec<T> {
    let mut list = list.to_vec();
    for place in (1..list.len()).rev() {
        let number = numbers.get(place % numbers.len().max(1)).copied().unwrap_or_default();
        list.swap(place, usize::try_from(number).expect("small") % (place + 1));
    }
    list
}

pub fn agree(
    case: &Case,
    versions: &[ActiveVersion],
    real: &[Computed],
    said: &super::paths::Reference,
    open_from: usize,
) -> Result<(), TestCaseError> {
    let mut world: Vec<&ActiveVersion> = versions.iter().filter(|row| row.replaced_at.is_none()).collect();
    world.sort_by_key(|version| version.valid_from);
    prop_assert_eq!(real.len(), case.periods.len());
    for (place, computed) in real.iter().enumerate().skip(open_from) {
        prop_assert_eq!(sorted(&computed.lines), sorted(&said.lines[place]), "the lines of period {}", place);
        prop_assert_eq!(computed.total.0, super::owed::sum(&said.lines[place]), "the total of period {}", place);
        let (period, total) = (case.periods[place], computed.total.0);
        let parts = shared_out(case, versions, period, total);
        prop_assert_eq!(&parts, &said_of_parts(case, versions, period, total), "the parts of period {}", place);
        prop_assert!(parts.is_empty() || parts.iter().map(|(_, part)| part).sum::<i64>() == total);
        prop_assert_eq!(left(&computed.carry_out, &world), said.left[place].clone(), "what period {} leaves", place);
        prop_assert_eq!(computed.transaction_count, said.transactions[place], "transactions of period {}", place);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn live_is_replay_is_the_reference(case in cases(), cut in 1_usize..30) {
        let all = priced(&case.facts);
        let mut books = Books::new(&case.periods);
        books.count(&sums(&case, &case.versions, std::slice::from_ref(&all)), None);
        let live = books.chain(&case, &case.versions);
        let said = reference(&case, &case.versions, &case.facts, &[]);
        agree(&case, &case.versions, &live, &said, 0)?;
        let replayed = replayed(&case, &case.versions, &all, cut);
        agree(&case, &case.versions, &replayed, &said, 0)?;
    }

    #[test]
    fn neither_order_nor_batches_matter(case in cases(), numbers in prop::collection::vec(any::<u32>(), 1..60), cut in 1_usize..9) {
        let all = priced(&case.facts);
        let once = sums(&case, &case.versions, std::slice::from_ref(&all));
        let other: Vec<Priced<'_>> = shuffled(&all, &numbers);
        prop_assert_eq!(&sums(&case, &case.versions, &parted(&other, &numbers)), &once);
        let lines = |rows: &[Priced<'_>], cut: usize| -> Vec<_> {
            let computed = replayed(&case, &case.versions, rows, cut);
            computed.into_iter().map(|computed| (computed.lines, computed.carry_out, computed.transaction_count)).collect()
        };
        prop_assert_eq!(lines(&other, cut), lines(&all, 1_000));
        // Contracts, products and players are no list with an order either.
        let mut turned = case.clone();
        turned.versions.reverse();
        turned.products.reverse();
        turned.players.reverse();
        prop_assert_eq!(&sums(&turned, &turned.versions, &parted(&all, &numbers)), &once);
    }

    /// Some facts come late, then an amendment, then the rest; settlements close in between.
    #[test]
    fn what_is_late_is_corrected_by_what_it_changes(
        case in cases(), late in prop::collection::vec(0_u8..3, 1..40), closes in [0_usize..9, 0..5, 0..3], amended in 0_usize..3,
    ) {
        let mut versions = case.versions.clone();
        let (mut books, mut closed) = (Books::new(&case.periods), Vec::new());
        for (stage, more) in closes.into_iter().enumerate() {
            let there = |(place, _): &(usize, &_)| usize::from(late[place % late.len()]) <= stage;
            let facts: Vec<_> = case.facts.iter().enumerate().filter(there).map(|(_, fact)| fact.clone()).collect();
            let mut since = None;
            if stage == amended {
                if case.replaces {
                    versions.last_mut().expect("a version").replaced_at = Some(Timestamp(1));
                }
                versions.push(case.amendment.clone());
                let by_days = versions.iter().any(|version| version.terms.goes_by_days());
                since = by_days.then_some((case.amendment.valid_from, &case.amendment));
            }
            books.count(&sums(&case, &versions, &[priced(&facts)]), since);
            let real = books.chain(&case, &versions);
            let said = reference(&case, &versions, &facts, &closed);
            agree_open(&case, &versions, &real, &said, closed.len())?;
            let count = (closed.len() + more).min(case.periods.len() - 1);
            books.close(count, &case, &versions);
            for place in closed.len()..count {
                closed.push((said.lines[place].clone(), said.left[place].clone()));
            }
            // In one sentence: what all settlements come to is what they would have come to from the beginning.
            let anew = reference(&case, &versions, &facts, &[]);
            let earned = |lines: &[Vec<crate::settlements::settlement::Line>]| -> i64 {
                let own = lines.iter().flatten().filter(|line| line.code.is_computed() || line.code == LineCode::Correction);
                own.map(|line| line.amount.0).sum()
            };
            let real: Vec<_> = books.chain(&case, &versions).into_iter().map(|computed| computed.lines).collect();
            prop_assert_eq!(earned(&real), earned(&anew.lines), "stage {}", stage);
        }
    }
}

/// Closed ones are as they were; of open ones everything counts, but for transactions, which came late to some.
fn agree_open(
    case: &Case,
    versions: &[ActiveVersion],
    real: &[Computed],
    said: &super::paths::Reference,
    open_from: usize,
) -> Result<(), TestCaseError> {
    for (place, computed) in real.iter().enumerate().take(open_from) {
        prop_assert_eq!(sorted(&computed.lines), sorted(&said.lines[place]), "closed period {}", place);
    }
    agree(case, versions, real, said, open_from)
}

/// The generated contracts reach every line that there is, so that agreeing says something.
#[test]
fn every_line_comes_about() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut met: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for _ in 0..150 {
        let case = cases().new_tree(&mut runner).expect("a case").current();
        let early = &case.facts[..case.facts.len() / 2];
        let mut books = Books::new(&case.periods);
        books.count(&sums(&case, &case.versions, &[priced(early)]), None);
        books.close(case.periods.len() / 2, &case, &case.versions);
        books.count(&sums(&case, &case.versions, &[priced(&case.facts)]), None);
        for line in books.chain(&case, &case.versions).iter().flat_map(|computed| &computed.lines) {
            *met.entry(line.code.as_str()).or_default() += 1;
        }
        for split in case.versions.iter().filter_map(|version| version.terms.split.as_ref()) {
            *met.entry(split.path()).or_default() += 1;
        }
    }
    for path in ["split.parallel.parties", "split.differential.parties"] {
        assert!(met.get(path).is_some_and(|count| *count >= 3), "{path} in {met:?}");
    }
    for code in LineCode::ALL {
        assert!(met.get(code.as_str()).is_some_and(|count| *count >= 3), "{code:?} in {met:?}");
    }
}
