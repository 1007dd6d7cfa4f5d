//! A rate table, compiled once per version: which rows take a transaction.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use zen_expression::Scope as Locals;
use zen_expression::vm::VM;

use super::cell::{Cell, Reads, Value};
use super::condition::{self, Condition, Needs, Var};
use super::contract::{Match, RateTable};
use crate::error::{Code, Problem};

#[derive(Debug)]
pub(super) struct Table {
    pub columns: Vec<Reads>,
    rows: Vec<Row>,
    collect: bool,
    index: Option<Index>,
    /// What cells and conditions read: equal values of these have equal outcomes.
    pub needs: Needs,
}

/// What became of the rows of a table.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub rows: Vec<(usize, Arc<str>, Held)>,
    pub left_out: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Holds,
    /// Because of this column's cell, or of the condition.
    Not(Option<usize>),
    Fails(String),
}

#[derive(Debug)]
struct Row {
    code: Arc<str>,
    /// Columns that restrict the row, and to what.
    cells: Vec<(usize, Cell)>,
    when: Option<Condition>,
}

/// Rows by the names of one column, so that a table with a row for each of thousands of products need not be read
/// from end to end.
#[derive(Debug)]
struct Index {
    column: usize,
    by_name: FxHashMap<Box<str>, Vec<usize>>,
    /// Rows that take what has nothing there.
    none: Vec<usize>,
    /// Rows that do not name what they take.
    others: Vec<usize>,
}

/// Fewer rows that name something are found as fast by reading them.
const WORTH_AN_INDEX: usize = 16;

impl Table {
    /// Paths of problems are those of terms.
    pub fn new(table: &RateTable) -> Result<Self, Problem> {
        let bad = |path: String, error: String| Problem::new(Code::BadExpression, path, error);
        let columns = table.columns.iter().enumerate().map(|(position, column)| {
            Reads::parse(&column.reads).map_err(|error| bad(format!("rateTable.columns.{position}.reads"), error))
        });
        let columns: Vec<Reads> = columns.collect::<Result<_, _>>()?;
        let mut needs = Needs::default();
        columns.iter().for_each(|column| column.add_to(&mut needs));
        let mut rows = Vec::with_capacity(table.rows.len());
        for (position, row) in table.rows.iter().enumerate() {
            let path = format!("rateTable.rows.{position}");
            let when = row.when.as_deref().map(condition::compile).transpose();
            let when = when.map_err(|error| bad(format!("{path}.when"), error))?;
            if let Some(condition) = &when {
                needs.merge(&condition.needs);
            }
            let mut cells = Vec::new();
            for (place, text) in row.cells.iter().enumerate() {
                let column = columns.get(place).ok_or("there is no column for it".to_owned());
                let cell = column.and_then(|column| column.cell(text));
                match cell.map_err(|error| bad(format!("{path}.cells.{place}"), error))? {
                    Cell::Any => {}
                    cell => cells.push((place, cell)),
                }
            }
            rows.push(Row { code: Arc::from(row.code.as_str()), cells, when });
        }
        let index = Index::over(&columns, &rows);
        Ok(Self { columns, rows, collect: table.matching == Match::Collect, index, needs })
    }

    /// The codes of the rows that take what has these values, one for each column; none where no row does. `locals` are what
    /// conditions read; they are made when one is asked.
    pub fn take(
        &self,
        values: &[Value<'_>],
        locals: impl FnOnce() -> Locals,
        vm: &mut VM,
    ) -> Result<Vec<Arc<str>>, String> {
        let (mut taken, mut made, mut locals) = (Vec::new(), None, Some(locals));
        for position in self.candidates(values) {
            let row = &self.rows[position];
            if !row.cells.iter().all(|(column, cell)| cell.holds(values[*column])) {
                continue;
            }
            if let Some(condition) = &row.when {
                let locals = made.get_or_insert_with(|| locals.take().map(|make| make()).unwrap_or_default());
                let failed = |error| format!("the condition of row '{}' failed: {error}", row.code);
                if !condition.holds(locals, vm).map_err(failed)? {
                    continue;
                }
            }
            taken.push(Arc::clone(&row.code));
            if !self.collect {
                break;
            }
        }
        Ok(taken)
    }

    /// Each row in order up to the one that decides, and what of it does not hold first: the column of a cell, or none
    /// for the condition. Of those that do not hold, the first `most` are told, and the others counted.
    pub fn tried(&self, values: &[Value<'_>], locals: &Locals, vm: &mut VM, most: usize) -> Tried {
        let mut tried = Tried::default();
        for (position, row) in self.rows.iter().enumerate() {
            let failing = row.cells.iter().find(|(column, cell)| !cell.holds(values[*column]));
            let held = match (failing, &row.when) {
                (Some((column, _)), _) => Held::Not(Some(*column)),
                (None, Some(condition)) => match condition.holds(locals, vm) {
                    Ok(true) => Held::Holds,
                    Ok(false) => Held::Not(None),
                    Err(error) => Held::Fails(error),
                },
                (None, None) => Held::Holds,
            };
            let decides = held != Held::Not(None) && !matches!(held, Held::Not(Some(_)));
            if decides || tried.rows.len() < most {
                let ends = decides && (!self.collect || matches!(held, Held::Fails(_)));
                tried.rows.push((position, Arc::clone(&row.code), held));
                if ends {
                    break;
                }
            } else {
                tried.left_out += 1;
            }
        }
        tried
    }

    /// The rows that may take it, in order.
    fn candidates(&self, values: &[Value<'_>]) -> impl Iterator<Item = usize> {
        let (named, others, all) = match &self.index {
            None => (&[][..], &[][..], 0..self.rows.len()),
            Some(index) => {
                let named = match values[index.column] {
                    Value::Text(Some(text)) => index.by_name.get(text).map_or(&[][..], Vec::as_slice),
                    _ => &index.none,
                };
                (named, &index.others[..], 0..0)
            }
        };
        merge(named, others).chain(all)
    }
}

/// Two ordered lists as one.
fn merge<'l>(a: &'l [usize], b: &'l [usize]) -> impl Iterator<Item = usize> + 'l {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(first), Some(second)) if second < first => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    })
}

impl Index {
    /// Over the column in which the most rows name what they take.
    fn over(columns: &[Reads], rows: &[Row]) -> Option<Self> {
        let has_names = |column: &Reads| {
            !matches!(
                column,
                Reads::NumberOf(_) | Reads::Var(Var::Tags | Var::Kind | Var::LocalHour | Var::LocalWeekday)
            )
        };
        let named = |row: &Row, column: usize| {
            row.cells.iter().any(|(place, cell)| *place == column && matches!(cell, Cell::Names(names) if !names.not))
        };
        let candidates = (0..columns.len()).filter(|column| has_names(&columns[*column]));
        let counted = candidates.map(|column| (rows.iter().filter(|row| named(row, column)).count(), column));
        let (count, column) = counted.max_by_key(|(count, column)| (*count, std::cmp::Reverse(*column)))?;
        if count < WORTH_AN_INDEX {
            return None;
        }
        let mut index = Self { column, by_name: FxHashMap::default(), none: Vec::new(), others: Vec::new() };
        for (position, row) in rows.iter().enumerate() {
            match row.cells.iter().find(|(place, _)| *place == column) {
                Some((_, Cell::Names(names))) if !names.not => {
                    for name in &names.list {
                        index.by_name.entry(name.clone()).or_default().push(position);
                    }
                    if names.none {
                        index.none.push(position);
                    }
                }
                _ => index.others.push(position),
            }
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn table(json: Json) -> Table {
        Table::new(&serde_json::from_value(json).expect("a table")).expect("a table that compiles")
    }

    fn take(table: &Table, values: &[Value<'_>]) -> Vec<String> {
        let taken = table.take(values, Locals::default, &mut VM::new()).expect("no condition that fails");
        taken.iter().map(|code| code.to_string()).collect()
    }

    #[test]
    fn the_first_row_or_every_row_takes_it() {
        let rows = json!([
            { "code": "night", "cells": ["0..6"], "percent": "1" },
            { "code": "slots", "cells": ["", "slots"], "percent": "1" },
            { "code": "rest", "percent": "1" },
        ]);
        let columns = json!([{ "reads": "localHour" }, { "reads": "category" }]);
        let first = table(json!({ "columns": columns, "rows": rows }));
        let all = table(json!({ "match": "COLLECT", "columns": columns, "rows": rows }));
        let (night, slots) = (Value::Bit(3), Value::Text(Some("slots")));
        assert_eq!(take(&first, &[night, slots]), ["night"]);
        assert_eq!(take(&first, &[Value::Bit(6), slots]), ["slots"]);
        assert_eq!(take(&first, &[Value::Bit(6), Value::Text(None)]), ["rest"]);
        assert_eq!(take(&all, &[night, slots]), ["night", "slots", "rest"]);
        assert_eq!(take(&all, &[Value::Bit(6), Value::Text(None)]), ["rest"]);
    }

    #[test]
    fn what_does_not_compile_is_told_by_path() {
        let path = |json: Json| Table::new(&serde_json::from_value(json).expect("a table")).expect_err("refused").path;
        let row = |cells: Json| json!([{ "code": "a", "cells": cells, "percent": "1" }]);
        assert_eq!(path(json!({ "columns": [{ "reads": "x" }], "rows": [] })), "rateTable.columns.0.reads");
        assert_eq!(path(json!({ "rows": row(json!(["a"])) })), "rateTable.rows.0.cells.0");
        assert_eq!(
            path(json!({ "columns": [{ "reads": "kind" }], "rows": row(json!(["x"])) })),
            "rateTable.rows.0.cells.0"
        );
    }

    const HOURS: [&str; 5] = ["", "0..12", "not 3", "22..2", "5"];
    const PRODUCTS: [&str; 7] = ["", "a", "b, c", "not a", "none", "not b, none", "d, none"];

    proptest! {
        /// What the compiled table says, with and without its index, is what asking every cell of every row says.
        #[test]
        fn cells_classify_as_asking_each_of_them_does(
            rows in prop::collection::vec((0_usize..5, 0_usize..7), 1..60),
            (hour, product, collect) in (0_u8..24, prop::option::of(0_usize..5), any::<bool>()),
        ) {
            let json: Vec<Json> = rows
                .iter()
                .enumerate()
                .map(|(n, (hour, product))| {
                    json!({ "code": n.to_string(), "cells": [HOURS[*hour], PRODUCTS[*product]], "percent": "1" })
                })
                .collect();
            let matching = if collect { "COLLECT" } else { "FIRST" };
            let columns = json!([{ "reads": "localHour" }, { "reads": "product" }]);
            let table = table(json!({ "match": matching, "columns": columns, "rows": json }));
            let values = [Value::Bit(hour), Value::Text(product.map(|product| ["a", "b", "c", "d", "e"][product]))];
            let holds = |(n, (hour, product)): (usize, &(usize, usize))| {
                let cells = [table.columns[0].cell(HOURS[*hour]), table.columns[1].cell(PRODUCTS[*product])];
                let all = cells.iter().zip(values).all(|(cell, value)| cell.as_ref().is_ok_and(|cell| cell.holds(value)));
                all.then(|| n.to_string())
            };
            let mut expected: Vec<String> = rows.iter().enumerate().filter_map(holds).collect();
            expected.truncate(if collect { usize::MAX } else { 1 });
            prop_assert_eq!(take(&table, &values), expected);
        }
    }
}
