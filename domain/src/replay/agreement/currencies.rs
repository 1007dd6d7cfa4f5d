//! A version in several currencies is in each of them what it would be alone: live, and by the reference.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::calendar;
use super::case::{Case, cases};
use super::paths::{Books, Sums, book, priced, reference};
use super::properties::{agree, config};
use crate::contracts::contract::{ActiveVersion, AlsoIn, Base, Take, Terms};
use crate::contracts::terms::check;
use crate::contracts::{Period, Pricer, Verdict, in_each_currency};
use crate::money::{Asset, Rate};
use crate::settlements::Deltas;

const OTHER: &str = "XTS";

/// Without what says an amount of money, and for the other currency too, cut into periods of its own.
fn also(mut terms: Terms, also: &AlsoIn) -> Terms {
    for row in &mut terms.rate_table.rows {
        if row.tiers.take().is_some() {
            row.percent = Rate::parse("12.5").ok();
        }
    }
    if let Base::Ngr(ngr) = &mut terms.base {
        ngr.deductions.retain(|deduction| !matches!(deduction.take, Take::Amount(_)));
        if ngr.deductions.is_empty() {
            terms.base = Base::Ggr(ngr.gross());
        }
    }
    terms.fees.clear();
    (terms.cap, terms.minimum_guarantee, terms.advance, terms.prepaid) = (None, None, None, None);
    terms.ring_fence = None;
    terms.also_in = vec![also.clone()];
    terms
}

fn in_both(case: &Case, own: &AlsoIn) -> Vec<ActiveVersion> {
    let version =
        |version: &ActiveVersion| ActiveVersion { terms: also(version.terms.clone(), own), ..version.clone() };
    case.versions.iter().map(version).collect()
}

/// Running totals of each currency, as all facts come in together.
fn sums(case: &Case, versions: &[ActiveVersion]) -> BTreeMap<String, Sums> {
    let book = book(case, versions);
    let (mut pricer, mut verdicts, mut deltas) = (Pricer::new(&book), Vec::new(), Deltas::default());
    for one in priced(&case.facts).iter().filter(|one| !book.is_test(one.fact)) {
        pricer.price(one.fact, one.closed_at, &mut verdicts);
        for verdict in verdicts.drain(..) {
            if let Verdict::Feeds(feed) = verdict {
                deltas.add(feed, one.undoes, &one.fact.currency);
            }
        }
    }
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for (key, delta) in deltas.sorted() {
        let own = sums.entry(delta.currency).or_default();
        own.classes.insert(
            (delta.period, key.version, key.class.to_string(), key.kind),
            (delta.amount, delta.units, delta.transactions),
        );
    }
    sums
}

/// The case as it is for one currency alone.
fn alone(case: &Case, versions: &[ActiveVersion], currency: &str) -> Case {
    let versions: Vec<ActiveVersion> = versions.iter().filter_map(|version| version.in_currency(currency)).collect();
    let cycle = &versions[0].terms.cycle;
    let until = case.periods.last().expect("a period").end;
    let mut periods: Vec<Period> = vec![calendar::period_of(cycle, versions[0].valid_from)];
    while let Some(last) = periods.last().copied().filter(|last| last.end < until) {
        periods.push(calendar::period_of(cycle, last.end));
    }
    let asset = Asset { code: currency.to_owned(), ..case.asset.clone() };
    Case { versions, periods, asset, ..case.clone() }
}

fn proven(mut case: Case, cycle: Option<Value>, payout: &str) -> Result<(), TestCaseError> {
    let mut own = json!({ "currency": OTHER, "minimumPayout": payout });
    if let Some(cycle) = cycle {
        own["cycle"] = cycle;
    }
    let own: AlsoIn = serde_json::from_value(own).expect("another currency");
    for fact in case.facts.iter_mut().step_by(2) {
        fact.currency = OTHER.to_owned();
    }
    let both = in_both(&case, &own);
    for version in &both {
        let found = check(&version.terms, &case.asset);
        prop_assert!(
            found.iter().all(|one| !one.path.contains("alsoIn") && !one.message.contains("alsoIn")),
            "{:?}",
            found
        );
    }
    let all = sums(&case, &both);
    let each = in_each_currency(both.clone());
    for currency in [case.asset.code.as_str(), OTHER] {
        let alone = alone(&case, &both, currency);
        let said = reference(&alone, &alone.versions, &alone.facts, &[]);
        let mut books = Books::new(&alone.periods);
        books.count(&all.get(currency).cloned().unwrap_or_default(), None);
        agree(&alone, &alone.versions, &books.chain(&alone, &each), &said, 0)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn each_currency_is_settled_as_if_it_were_alone(
        case in cases(),
        cycle in prop::sample::select(vec![
            None,
            Some(json!({ "every": "DAY" })),
            Some(json!({ "every": "WEEK", "startsOn": "FRIDAY" })),
            Some(json!({ "every": "CUSTOM", "custom": { "from": "2022-01-03", "unit": "DAY", "lengths": [3, 8] } })),
        ]),
        payout in prop::sample::select(vec!["0", "30"]),
    ) {
        if !matches!(case.versions[0].terms.base, Base::Units(_)) {
            proven(case, cycle, payout)?;
        }
    }
}
