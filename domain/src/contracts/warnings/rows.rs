//! Rows of one table that collects: what a transaction that is in several of them pays together.

use super::{Warning, WarningCode};
use crate::contracts::cell::{Cell, Reads};
use crate::contracts::condition::Var;
use crate::contracts::contract::{Base, Match, RateRow, Terms};
use crate::contracts::numbers::Numbers;
use crate::contracts::text::say::say;
use crate::money::Rate;

/// Rows that are looked at, the dearest first: with more of them than this, those that are left add nothing much.
const MOST_ROWS: usize = 500;

/// The highest rate of a row; nothing where it has a price.
pub fn highest(row: &RateRow) -> Option<Rate> {
    let steps = row.tiers.iter().flat_map(|tiers| tiers.steps.iter().filter_map(|step| step.percent));
    row.percent.into_iter().chain(steps).max()
}

/// Rows that one transaction may be in together, each with its rate, and what they come to. Conditions in expressions
/// are taken to hold.
pub fn dearest(terms: &Terms) -> (Rate, Vec<(String, Rate)>) {
    let table = &terms.rate_table;
    let mut rows: Vec<(&RateRow, Rate)> = table.rows.iter().filter_map(|row| Some((row, highest(row)?))).collect();
    // Stable, so that of equal ones the earlier stays first.
    rows.sort_by_key(|(_, rate)| std::cmp::Reverse(*rate));
    let most = if table.matching == Match::First { 1 } else { MOST_ROWS };
    let columns: Vec<Option<Reads>> = table.columns.iter().map(|column| Reads::parse(&column.reads).ok()).collect();
    let mut taken: Vec<(Vec<Cell>, &RateRow, Rate)> = Vec::new();
    for (row, rate) in rows.into_iter().take(most) {
        let cells = cells(&columns, row);
        if taken.iter().all(|(others, _, _)| meet(&columns, others, &cells)) {
            taken.push((cells, row, rate));
        }
    }
    let total = taken.iter().fold(Rate::default(), |total, (_, _, rate)| total.saturating_add(*rate));
    (total, taken.into_iter().map(|(_, row, rate)| (row.code.clone(), rate)).collect())
}

pub fn above_whole(terms: &Terms, found: &mut Vec<Warning>) {
    if terms.rate_table.matching != Match::Collect || matches!(terms.base, Base::Units(_)) {
        return;
    }
    let (total, rows) = dearest(terms);
    if total > Rate::HUNDRED {
        let parts: Vec<_> = rows.iter().map(|(code, rate)| say!("warning.row", code = code, percent = *rate)).collect();
        let said = say!("warning.RATES_ABOVE_WHOLE.rows", total = total, parts = parts);
        found.push(Warning::new(WarningCode::RatesAboveWhole, "rateTable.rows", said));
    }
}

fn cells(columns: &[Option<Reads>], row: &RateRow) -> Vec<Cell> {
    let cell = |(column, text): (&Option<Reads>, &String)| {
        column.as_ref().and_then(|reads| reads.cell(text).ok()).unwrap_or(Cell::Any)
    };
    columns.iter().zip(&row.cells).map(cell).collect()
}

fn meet(columns: &[Option<Reads>], a: &[Cell], b: &[Cell]) -> bool {
    let pairs = a.iter().zip(b).zip(columns);
    pairs.into_iter().all(|((a, b), reads)| match (a, b) {
        // A player has several tags.
        _ if matches!(reads, Some(Reads::Var(Var::Tags))) => true,
        (Cell::Bits(a), Cell::Bits(b)) => a & b != 0,
        (Cell::Names(a), Cell::Names(b)) => match (a.not, b.not) {
            (false, false) => (a.none && b.none) || a.list.iter().any(|name| b.list.contains(name)),
            (false, true) => (a.none && !b.none) || a.list.iter().any(|name| !b.list.contains(name)),
            (true, false) => (b.none && !a.none) || b.list.iter().any(|name| !a.list.contains(name)),
            (true, true) => true,
        },
        (Cell::Numbers(a), Cell::Numbers(b)) => numbers_meet(a, b),
        _ => true,
    })
}

fn numbers_meet(a: &Numbers, b: &Numbers) -> bool {
    let meets = |(a_from, a_until): &(Option<_>, Option<_>), (b_from, b_until): &(Option<_>, Option<_>)| {
        let before = |from: &Option<_>, until: &Option<_>| from.zip(*until).is_none_or(|(from, until)| from < until);
        before(a_from, b_until) && before(b_from, a_until)
    };
    (a.none && b.none) || a.stretches.iter().any(|one| b.stretches.iter().any(|other| meets(one, other)))
}
