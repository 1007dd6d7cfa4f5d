//! Who gets which part: what is said of it, and what it makes of round sums.

use super::bench::Bench;
use super::clauses::Words;
use super::say::{Statement, say};
use crate::contracts::contract::{Party, Split, Terms};
use crate::money::{Minor, Units};
use crate::settlements::parts::{Part, parts};

pub fn statements(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let Some(split) = &terms.split else { return Vec::new() };
    let party = |party: &Party| say!("split.party", name = &words.partner(party.partner), percent = party.percent);
    let parties: Vec<_> = split.parties().iter().map(party).collect();
    let key = match split {
        Split::Parallel(_) => "split.parallel",
        Split::Differential(_) => "split.differential",
    };
    vec![say!(key, parties = parties), say!("split.rest"), say!("split.books")]
}

/// A sum that does not divide, or what a line of agents has of a large base.
pub fn example(bench: &Bench<'_>) -> Option<Vec<Statement>> {
    let bench = bench.alone(|terms, own| {
        terms.split.clone_from(&own.split);
        if let (Some(Split::Differential(line)), Some(row)) = (&own.split, terms.rate_table.rows.first_mut()) {
            row.percent = line.parties.last().map(|root| root.percent);
        }
    });
    let split = bench.version.terms.split.as_ref()?;
    let base = match split {
        Split::Parallel(_) => bench.units(Minor(bench.round.checked_add(1)?)),
        Split::Differential(_) => Units(bench.tenths(10).0.checked_mul(100)?),
    };
    let total = bench.settled(&bench.base(base))?.total;
    let part = |part: &Part| {
        say!("example.part", name = &bench.words.partner(part.partner), amount = bench.money(part.amount))
    };
    let parts: Vec<_> = parts(split, total).ok()?.iter().map(part).collect();
    Some(vec![match split {
        Split::Parallel(_) => say!("example.split", total = bench.money(total), parts = parts),
        Split::Differential(_) => {
            say!("example.split.line", base = bench.shown(base), total = bench.money(total), parts = parts)
        }
    }])
}
