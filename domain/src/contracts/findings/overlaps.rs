//! Rows that take the same transactions.

use std::collections::BTreeMap;

use super::cover::Row;
use super::space::Space;
use super::{Finding, FindingKind, MAX_TOLD, Parsed};

/// Pairs of rows that are compared before giving up.
const MAX_PAIRS: usize = 3_000_000;

/// Two rows of which each takes some that the other does too, at different rates: the earlier one gets them, which
/// may not be what is meant. A row that is wholly within a later one is an exception to it, and meant.
pub(super) fn check(parsed: &Parsed<'_>, space: &Space, rows: &[Row<'_>], reached: &[bool], found: &mut Vec<Finding>) {
    let restricts = |axis: usize| rows.iter().filter(|row| row.sets[axis].is_some()).count();
    let Some(axis) = (0..space.axes.len()).max_by_key(|axis| restricts(*axis)) else { return };
    // Along the axis that most rows restrict, only rows whose stretches meet can meet.
    let reach = |row: usize| match &rows[row].sets[axis] {
        Some(set) => (set.first().map_or(0, |(first, _)| *first), set.last().map_or(0, |(_, end)| *end)),
        None => (0, usize::MAX),
    };
    let counts = |row: &usize| reached[*row] && !rows[*row].may_not && !rows[*row].takes_all();
    let mut order: Vec<usize> = (0..rows.len()).filter(counts).collect();
    order.sort_by_key(|row| reach(*row));
    let (mut pairs, mut told) = (0, Vec::new());
    'all: for (place, first) in order.iter().enumerate() {
        let end = reach(*first).1;
        for second in order[place + 1..].iter().take_while(|second| reach(**second).0 < end) {
            pairs += 1;
            if pairs > MAX_PAIRS {
                let message = "the rows are too many and too much alike to look at each pair of them for overlaps";
                found.push(Finding::warning(FindingKind::NotProven, "rateTable.rows", message));
                break 'all;
            }
            let (earlier, later) = (*first.min(second), *first.max(second));
            let (a, b) = (&rows[earlier], &rows[later]);
            if !same_rates(parsed, earlier, later) && a.meets(b) && !b.contains(a) && !a.contains(b) {
                told.push((later, earlier));
            }
        }
    }
    told.sort_unstable();
    let more = told.len().saturating_sub(MAX_TOLD);
    for (later, earlier) in told.into_iter().take(MAX_TOLD) {
        let (first, second) = (&parsed.rows[earlier].code, &parsed.rows[later].code);
        let message = format!(
            "rows '{first}' and '{second}' take some of the same transactions at different rates; those get row '{first}', because it comes first"
        );
        let path = format!("rateTable.rows.{later}");
        found.push(Finding::warning(FindingKind::Overlap, path, message).at(later, None));
    }
    if more > 0 {
        let message = format!("{more} more pairs of rows overlap");
        found.push(Finding::warning(FindingKind::Overlap, "rateTable.rows", message));
    }
}

fn same_rates(parsed: &Parsed<'_>, a: usize, b: usize) -> bool {
    let (a, b) = (&parsed.rows[a], &parsed.rows[b]);
    (&a.percent, &a.tiers) == (&b.percent, &b.tiers)
}

/// Where every row that holds takes a transaction, two rows with the same conditions count it twice.
pub(super) fn twins(parsed: &Parsed<'_>, space: &Space, found: &mut Vec<Finding>) {
    let mut seen = BTreeMap::new();
    let mut told = 0;
    for row in (0..parsed.rows.len()).filter(|row| !space.vague[*row]) {
        let Some(first) = seen.get(&(parsed.whens[row], &space.rows[row])) else {
            seen.insert((parsed.whens[row], &space.rows[row]), row);
            continue;
        };
        told += 1;
        if told <= MAX_TOLD {
            let (first, second) = (&parsed.rows[*first].code, &parsed.rows[row].code);
            let message = format!("rows '{first}' and '{second}' take exactly the same, and each of them pays for it");
            let path = format!("rateTable.rows.{row}");
            found.push(Finding::warning(FindingKind::Overlap, path, message).at(row, None));
        }
    }
}
