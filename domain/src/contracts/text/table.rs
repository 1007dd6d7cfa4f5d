//! The rate table in statements: how rows are chosen, and what each takes and pays.

use super::clauses::{Words, weekday, word};
use super::say::{Statement, Value, say};
use crate::contracts::cell::{Cell, KINDS, Names, Reads};
use crate::contracts::condition::Var;
use crate::contracts::contract::{
    Match, RateRow, RateTable, Terms, TierMode, TierPeriod, TierReads, TierStep, Tiers, Weekday,
};
use crate::contracts::numbers::{Cut, Numbers};
use crate::money::{Price, Rate};

pub fn statements(terms: &Terms, words: &Words<'_>) -> Vec<Statement> {
    let table = &terms.rate_table;
    let columns: Vec<Option<Reads>> = table.columns.iter().map(|column| Reads::parse(&column.reads).ok()).collect();
    let mut said = match (table.rows.as_slice(), table.matching) {
        ([_], _) => Vec::new(),
        (_, Match::First) => vec![say!("rates.FIRST")],
        (_, Match::Collect) => vec![say!("rates.COLLECT")],
    };
    for (position, row) in table.rows.iter().enumerate() {
        let takes = conditions(table, &columns, position);
        said.push(rate(position + 1, row, takes, words));
    }
    let tiers: Vec<&Tiers> = table.rows.iter().filter_map(|row| row.tiers.as_ref()).collect();
    if !tiers.is_empty() {
        said.push(say!("tiers.edge"));
    }
    said
}

fn rate(place: usize, row: &RateRow, takes: Statement, words: &Words<'_>) -> Statement {
    let code = &row.code;
    let Some(tiers) = &row.tiers else {
        return match paid(row.percent, row.per_unit, words) {
            (_, price) if row.per_unit.is_some() => {
                say!("row.perUnit", place = place, code = code, takes = takes, rate = price)
            }
            (_, percent) => say!("row.percent", place = place, code = code, takes = takes, rate = percent),
        };
    };
    let steps: Vec<_> = tiers.steps.iter().map(|step| self::step(step, words)).collect();
    let key = match tiers.mode {
        TierMode::Marginal => "row.MARGINAL",
        TierMode::Volume => "row.VOLUME",
    };
    let period = match tiers.period {
        TierPeriod::Settlement => say!("tiers.SETTLEMENT"),
        TierPeriod::Year => say!("tiers.YEAR"),
    };
    let reads = match tiers.reads {
        TierReads::AfterCarry => say!("tiers.AFTER_CARRY"),
        TierReads::BeforeCarry => say!("tiers.BEFORE_CARRY"),
    };
    say!(key, place = place, code = code, takes = takes, steps = steps, period = period, reads = reads)
}

fn paid(percent: Option<Rate>, price: Option<Price>, words: &Words<'_>) -> (bool, Value) {
    match price {
        Some(price) => (true, Value::price(words.asset, price)),
        None => (false, Value::from(percent.unwrap_or_default())),
    }
}

fn step(step: &TierStep, words: &Words<'_>) -> Statement {
    let (counts, rate) = paid(step.percent, step.per_unit, words);
    let Some(up_to) = &step.up_to else { return say!("step.above", rate = rate) };
    let edge = match words.asset.parse_units(up_to) {
        Ok(units) if counts => Value::count(words.asset, units),
        Ok(units) => Value::units(words.asset, units),
        Err(_) => word(up_to),
    };
    say!("step.upTo", edge = edge, rate = rate)
}

/// What a row takes, in words.
fn conditions(table: &RateTable, columns: &[Option<Reads>], position: usize) -> Statement {
    let row = &table.rows[position];
    let mut all: Vec<Statement> = Vec::new();
    for (text, reads) in row.cells.iter().zip(columns) {
        let Some(reads) = reads else { continue };
        all.extend(reads.cell(text).ok().and_then(|cell| condition(reads, &cell)));
    }
    all.extend(row.when.as_ref().map(|when| say!("takes.when", source = word(when.trim()))));
    match all.len() {
        0 if table.matching == Match::First && position > 0 => say!("takes.rest"),
        0 => say!("takes.all"),
        1 => all.remove(0),
        _ => say!("takes.and", all = all),
    }
}

fn condition(reads: &Reads, cell: &Cell) -> Option<Statement> {
    let what = match reads {
        Reads::Var(var) => say!(format!("reads.{}", var.name())),
        Reads::Attribute(name) | Reads::NumberOf(name) => say!("reads.attribute", name = &**name),
    };
    Some(match cell {
        Cell::Any => return None,
        Cell::Bits(bits) => say!("takes.is", what = what, values = bits_of(reads, *bits)),
        Cell::Names(names) if names.not => say!("takes.not", what = what, values = names_of(names)),
        Cell::Names(names) => say!("takes.is", what = what, values = names_of(names)),
        Cell::Numbers(numbers) => say!("takes.is", what = what, values = numbers_of(numbers)),
    })
}

fn names_of(names: &Names) -> Value {
    let mut list: Vec<Value> = names.list.iter().map(|name| Value::from(&**name)).collect();
    if names.none {
        list.push(say!("takes.none").into());
    }
    Value::List(list)
}

fn bits_of(reads: &Reads, bits: u32) -> Value {
    let is_set = |bit: &u32| bits & (1 << bit) != 0;
    match reads {
        Reads::Var(Var::LocalHour) => Value::List(hours(bits)),
        Reads::Var(Var::LocalWeekday) => {
            let days = (0..7).filter(is_set).filter_map(|bit| Weekday::ALL.get(bit as usize));
            Value::from(days.map(|day| weekday(*day)).collect::<Vec<_>>())
        }
        _ => {
            let kinds = (0..10).filter(is_set).filter_map(|bit| KINDS.get(bit as usize));
            Value::from(kinds.map(|kind| say!(format!("kind.{}", kind.as_str()))).collect::<Vec<_>>())
        }
    }
}

/// Hours as stretches of the day; one that goes over midnight is one.
fn hours(bits: u32) -> Vec<Value> {
    let is_set = |hour: u32| bits & (1 << (hour % 24)) != 0;
    let begins = (0..24).filter(|hour| is_set(*hour) && !is_set(hour + 23));
    let stretch = |from: u32| {
        let until = (from + 1..).find(|hour| !is_set(*hour)).unwrap_or(from + 24);
        let time = |hour: u32| word(&format!("{hour:02}:00"));
        let until = if until > 24 { until - 24 } else { until };
        say!("takes.hours", from = time(from), until = time(until)).into()
    };
    begins.map(stretch).collect()
}

fn numbers_of(numbers: &Numbers) -> Value {
    let shown = |cut: &Cut| Value::Number(cut.0.to_string());
    let stretch = |(from, until): &(Option<Cut>, Option<Cut>)| match (from, until) {
        (None, None) => say!("takes.number"),
        (Some(from), None) => say!(if from.1 { "takes.above" } else { "takes.from" }, from = shown(from)),
        (None, Some(until)) => say!(if until.1 { "takes.upTo" } else { "takes.below" }, until = shown(until)),
        (Some(from), Some(until)) if from.0 == until.0 => say!("takes.exactly", from = shown(from)),
        (Some(from), Some(until)) => {
            let key = match (from.1, until.1) {
                (false, false) => "takes.between",
                (false, true) => "takes.between.with",
                (true, false) => "takes.between.without",
                (true, true) => "takes.between.above",
            };
            say!(key, from = shown(from), until = shown(until))
        }
    };
    let mut list: Vec<Value> = numbers.stretches.iter().map(|one| stretch(one).into()).collect();
    if numbers.none {
        list.push(say!("takes.none").into());
    }
    Value::List(list)
}
