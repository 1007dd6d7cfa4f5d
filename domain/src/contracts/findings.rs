//! What is to be said about a rate table before it is signed: what keeps it from being saved, and what somebody should
//! look at. Each finding names its row. Bounded: a table that is too tangled to prove right in time is told so.

mod cover;
mod failing;
mod names;
mod overlaps;
mod space;

use std::collections::BTreeMap;

use super::cell::{Cell, Reads};
use super::condition;
use super::contract::{Match, RateRow, RateTable, Terms};
use super::promotion::{Promotions, moment};
use crate::error::{Code, Problem};
use cover::{Cover, cover};
pub(super) use names::{Known, Others, named_products, unknown};
use space::Space;

/// Columns of a rate table: there are eleven things to read, and attributes.
pub const MAX_COLUMNS: usize = 20;
/// Promotions of one version.
const MAX_PROMOTIONS: usize = 1_000;
/// Findings of one kind that are told; a hundred say enough.
pub(super) const MAX_TOLD: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The terms are refused.
    Error,
    /// Somebody should look.
    Warning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A cell, column, condition or promotion that cannot be read.
    Syntax,
    /// A name that there is not.
    UnknownName,
    /// Transactions that no row takes.
    Gap,
    /// Rows that take the same transactions at different rates.
    Overlap,
    /// A row that takes nothing.
    Unreachable,
    /// A condition that gives no answer on some values.
    MayFail,
    /// It was too much to look at everything.
    NotProven,
}

/// Rows, columns and promotions by their places, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub kind: FindingKind,
    /// The field in the terms, such as `rateTable.rows.3.cells.1`.
    pub path: String,
    pub row: Option<usize>,
    pub column: Option<usize>,
    pub message: String,
}

impl Finding {
    fn error(kind: FindingKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        let (path, message) = (path.into(), message.into());
        Self { severity: Severity::Error, kind, path, row: None, column: None, message }
    }

    fn warning(kind: FindingKind, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, path, message) }
    }

    fn at(self, row: impl Into<Option<usize>>, column: impl Into<Option<usize>>) -> Self {
        Self { row: row.into(), column: column.into(), ..self }
    }

    /// An error as the refusal it is.
    pub(super) fn problem(self) -> Problem {
        let code = match self.kind {
            FindingKind::Syntax => Code::BadExpression,
            FindingKind::UnknownName => Code::NotFound,
            _ => Code::BadInput,
        };
        Problem::new(code, self.path, self.message)
    }
}

/// A table with its cells and conditions read, as far as they can be.
struct Parsed<'t> {
    rows: &'t [RateRow],
    columns: Vec<Reads>,
    /// By row and column; those that a row does not have are anything.
    cells: Vec<Vec<Cell>>,
    whens: Vec<Option<&'t str>>,
}

/// Everything that terms alone tell. `unknown` adds what the tenant's catalogue tells.
pub fn check(terms: &Terms) -> Vec<Finding> {
    let mut found = Vec::new();
    promotions(terms, &mut found);
    let table = &terms.rate_table;
    if let Some(parsed) = parse(table, terms, &mut found) {
        failing::check(&parsed, &terms.promotions, &mut found);
        logic(&parsed, terms, &mut found);
    } else {
        failing::syntax(table, &mut found);
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// Columns and cells, or nothing where one of them cannot be read.
fn parse<'t>(table: &'t RateTable, terms: &Terms, found: &mut Vec<Finding>) -> Option<Parsed<'t>> {
    let before = found.len();
    let error = |path: String, message: String| Finding::error(FindingKind::Syntax, path, message);
    if table.columns.len() > MAX_COLUMNS {
        let message = format!("has {} columns; {MAX_COLUMNS} are allowed", table.columns.len());
        found.push(Finding::error(FindingKind::NotProven, "rateTable.columns", message));
        return None;
    }
    let mut columns: Vec<Reads> = Vec::with_capacity(table.columns.len());
    for (position, column) in table.columns.iter().enumerate() {
        let path = format!("rateTable.columns.{position}.reads");
        match Reads::parse(&column.reads) {
            Err(message) => found.push(error(path, message).at(None, position)),
            Ok(reads) if columns.contains(&reads) => {
                found.push(error(path, format!("'{}' is a column already", reads.name())).at(None, position));
            }
            Ok(reads) => columns.push(reads),
        }
    }
    if found.len() > before {
        return None;
    }
    let codes: Vec<&str> = terms.promotions.iter().map(|promotion| promotion.code.as_str()).collect();
    let mut cells = Vec::with_capacity(table.rows.len());
    for (row, texts) in table.rows.iter().map(|row| &row.cells).enumerate() {
        let path = |column: usize| format!("rateTable.rows.{row}.cells.{column}");
        let mut own = vec![Cell::Any; columns.len()];
        for (column, text) in texts.iter().enumerate() {
            let Some(reads) = columns.get(column) else {
                let message = format!("is cell {} of a table with {} columns", column + 1, columns.len());
                found.push(error(path(column), message).at(row, column));
                break;
            };
            match reads.cell(text) {
                Err(message) => found.push(error(path(column), message).at(row, column)),
                Ok(cell) => {
                    if let Some(message) = names::no_promotion(reads, &cell, &codes) {
                        found.push(Finding::error(FindingKind::UnknownName, path(column), message).at(row, column));
                    }
                    own[column] = cell;
                }
            }
        }
        cells.push(own);
    }
    let whens = table.rows.iter().map(|row| row.when.as_deref().map(str::trim)).collect();
    (found.len() == before).then_some(Parsed { rows: &table.rows, columns, cells, whens })
}

fn promotions(terms: &Terms, found: &mut Vec<Finding>) {
    let list = &terms.promotions;
    if list.len() > MAX_PROMOTIONS {
        let message = format!("has {} entries; {MAX_PROMOTIONS} are allowed", list.len());
        return found.push(Finding::error(FindingKind::NotProven, "promotions", message));
    }
    let zone = terms.cycle.time_zone;
    let before = found.len();
    for (position, promotion) in list.iter().enumerate() {
        let mut bad = |field: &str, message: String| {
            let path = format!("promotions.{position}.{field}");
            found.push(Finding::error(FindingKind::Syntax, path, message));
        };
        if promotion.code.trim().is_empty() || promotion.code.trim() != promotion.code || promotion.code.len() > 64 {
            bad("code", "is not 1 to 64 characters without space around them".to_owned());
        }
        let mut read = |field: &str, text: &str| {
            let read = moment(text, zone);
            if read.is_none() {
                let example = "an instant like 2021-12-24T00:00:00Z nor a local time like 2021-12-24T00:00";
                bad(field, format!("'{text}' is neither {example}"));
            }
            read
        };
        let (from, until) = (read("from", &promotion.from), read("until", &promotion.until));
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            bad("until", format!("'{}' is not after '{}', so it would never be on", promotion.until, promotion.from));
        }
    }
    if found.len() > before {
        return;
    }
    for (first, second) in Promotions::new(list, &terms.cycle).overlaps().into_iter().take(MAX_TOLD) {
        let message = format!(
            "'{}' and '{}' are on at the same time for the same product; while both are, '{}' counts, because it comes first",
            list[first].code, list[second].code, list[first].code
        );
        found.push(Finding::warning(FindingKind::Overlap, format!("promotions.{second}"), message));
    }
}

/// Where the row's condition is: in its cells, or in its `when`.
fn place_of(rows: &[RateRow], columns: &[Reads], row: usize) -> String {
    let field = if columns.is_empty() || rows[row].when.is_some() { "when" } else { "cells" };
    format!("rateTable.rows.{row}.{field}")
}

/// Whether each transaction has a row, and each row a transaction.
fn logic(parsed: &Parsed<'_>, terms: &Terms, found: &mut Vec<Finding>) {
    let Some(last) = parsed.rows.len().checked_sub(1) else { return };
    let codes = terms.promotions.iter().map(|promotion| promotion.code.as_str());
    let space = Space::new(&parsed.columns, &parsed.cells, codes);
    let collect = terms.rate_table.matching == Match::Collect;
    let rows: Vec<cover::Row<'_>> = (0..parsed.rows.len())
        .map(|row| cover::Row {
            sets: &space.rows[row],
            // What a `when` gives, or tags that are too many to go through, nobody knows beforehand.
            may_not: parsed.whens[row].is_some() || space.vague[row],
        })
        .collect();
    let covered = cover(&rows, space.axes.len(), &space.sizes());
    if let Some(gap) = &covered.gap {
        let rule = "end with a row that has neither `when` nor cells";
        let message = if parsed.columns.is_empty() {
            "the last row has a condition, so what no row accepts would have no rate; end with a row without `when`"
                .to_owned()
        } else if gap.is_empty() {
            format!("nothing is sure to be taken by a row, because each has a condition that may not hold; {rule}")
        } else {
            format!("no row is sure to take a transaction with {}; {rule}", space.describe(gap))
        };
        let path = match parsed.columns.as_slice() {
            [] => place_of(parsed.rows, &[], last),
            _ => format!("rateTable.rows.{last}"),
        };
        found.push(Finding::error(FindingKind::Gap, path, message).at(last, None));
    }
    let mut covered = covered;
    if covered.gave_up {
        not_proven(&rows, &mut covered, found);
    }
    if collect {
        overlaps::twins(parsed, &space, found);
    } else {
        unreachable(parsed, &rows, &covered, found);
        same_conditions(parsed, &space, found);
        overlaps::check(parsed, &space, &rows, &covered.reached, found);
    }
}

/// Where not everything could be looked at, only a row that takes the rest shows that nothing is left over.
fn not_proven(rows: &[cover::Row<'_>], covered: &mut Cover, found: &mut Vec<Finding>) {
    let rest = rows.iter().position(cover::Row::takes_all);
    covered.reached = (0..rows.len()).map(|row| rest.is_none_or(|rest| row <= rest)).collect();
    let message = "the rows cross each other in too many ways to look at all of them";
    found.push(match rest {
        Some(_) => Finding::warning(
            FindingKind::NotProven,
            "rateTable.rows",
            format!("{message}; whether each of them is ever reached was not shown"),
        ),
        None => Finding::error(
            FindingKind::Gap,
            format!("rateTable.rows.{}", rows.len().saturating_sub(1)),
            format!(
                "{message}, so that nothing shows that each transaction has a rate; end with a row without conditions"
            ),
        )
        .at(rows.len().checked_sub(1), None),
    });
}

fn unreachable(parsed: &Parsed<'_>, rows: &[cover::Row<'_>], covered: &Cover, found: &mut Vec<Finding>) {
    let dead = (0..rows.len()).filter(|row| !covered.reached[*row]);
    for row in dead.take(MAX_TOLD) {
        let code = &parsed.rows[row].code;
        let taker = (0..row).find(|other| !rows[*other].may_not && rows[*other].contains(&rows[row]));
        let message = match taker.map(|taker| (&parsed.rows[taker].code, rows[taker].takes_all())) {
            Some((taker, true)) => {
                format!("row '{code}' is never reached: row '{taker}' before it has no condition and takes everything")
            }
            Some((taker, false)) => {
                format!("row '{code}' is never reached: row '{taker}' before it takes all that it would take")
            }
            None => format!("row '{code}' is never reached: the rows before it together take all that it would take"),
        };
        let path = place_of(parsed.rows, &parsed.columns, row);
        found.push(Finding::error(FindingKind::Unreachable, path, message).at(row, None));
    }
}

/// Rows with one and the same `when`, of which an earlier one takes all that a later one would.
fn same_conditions(parsed: &Parsed<'_>, space: &Space, found: &mut Vec<Finding>) {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, when) in parsed.whens.iter().enumerate().filter(|(row, _)| !space.vague[*row]) {
        groups.entry(when.unwrap_or_default()).or_default().push(row);
    }
    groups.remove("");
    let mut told = 0;
    for members in groups.into_values().filter(|members| members.len() > 1) {
        let rows: Vec<_> = members.iter().map(|row| cover::Row { sets: &space.rows[*row], may_not: false }).collect();
        let covered = cover(&rows, space.axes.len(), &space.sizes());
        for place in (0..rows.len()).filter(|place| !covered.reached[*place] && !covered.gave_up) {
            let row = members[place];
            let taker = (0..place).find(|other| rows[*other].contains(&rows[place])).map(|other| members[other]);
            let code = &parsed.rows[row].code;
            let message = match taker {
                Some(taker) => {
                    let taker = &parsed.rows[taker].code;
                    format!("row '{code}' is never reached: row '{taker}' before it has the same condition")
                }
                None => format!("row '{code}' is never reached: rows before it with the same `when` take all of it"),
            };
            told += 1;
            if told <= MAX_TOLD {
                let path = format!("rateTable.rows.{row}.when");
                found.push(Finding::error(FindingKind::Unreachable, path, message).at(row, None));
            }
        }
    }
}

/// Reads a condition, for its finding.
fn condition_of(row: usize, when: &str, found: &mut Vec<Finding>) -> Option<condition::Condition> {
    let compiled = condition::compile(when);
    compiled
        .map_err(|error| {
            let path = format!("rateTable.rows.{row}.when");
            found.push(Finding::error(FindingKind::Syntax, path, error).at(row, None));
        })
        .ok()
}

#[cfg(test)]
mod tests;
