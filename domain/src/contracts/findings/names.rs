//! Names in terms that the tenant does not have: products that are not in the catalogue are refused, because a slip
//! of the pen would silently pay another rate; segments, tags and categories may come later.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, FindingKind, MAX_TOLD};
use crate::contracts::cell::{Cell, Reads};
use crate::contracts::condition::Var;
use crate::contracts::contract::Terms;

/// What the tenant has.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Of those that terms name, the products that there are.
    pub products: BTreeSet<String>,
    /// `None` where nobody looked.
    pub others: Option<Others>,
}

#[derive(Clone, Debug, Default)]
pub struct Others {
    pub categories: BTreeSet<String>,
    pub segments: BTreeSet<String>,
    pub tags: BTreeSet<String>,
}

/// Where a name is written.
struct Place {
    path: String,
    row: Option<usize>,
    column: Option<usize>,
}

/// All names of one sort in scope, cells and promotions, each with the first place that has it.
fn named(terms: &Terms, var: Var) -> BTreeMap<String, Place> {
    let mut names: BTreeMap<String, Place> = BTreeMap::new();
    let mut add = |name: &str, path: String, row, column| {
        names.entry(name.to_owned()).or_insert(Place { path, row, column });
    };
    let scope = match var {
        Var::Product => Some(("products", &terms.scope.products)),
        Var::Category => Some(("categories", &terms.scope.categories)),
        Var::Segment => Some(("segments", &terms.scope.segments)),
        Var::Tags => Some(("tags", &terms.scope.tags)),
        _ => None,
    };
    if let Some((field, list)) = scope {
        for (position, name) in list.iter().enumerate() {
            add(name, format!("scope.{field}.{position}"), None, None);
        }
    }
    if var == Var::Product {
        for (position, promotion) in terms.promotions.iter().enumerate() {
            for (place, name) in promotion.products.iter().enumerate() {
                add(name, format!("promotions.{position}.products.{place}"), None, None);
            }
        }
    }
    let table = &terms.rate_table;
    let column = table.columns.iter().position(|column| Reads::parse(&column.reads) == Ok(Reads::Var(var)));
    let Some(column) = column else { return names };
    for (row, text) in table.rows.iter().enumerate().filter_map(|(row, own)| Some((row, own.cells.get(column)?))) {
        if let Ok(Cell::Names(cell)) = Reads::Var(var).cell(text) {
            for name in &cell.list {
                add(name, format!("rateTable.rows.{row}.cells.{column}"), Some(row), Some(column));
            }
        }
    }
    names
}

/// The products that terms name.
pub fn named_products(terms: &Terms) -> Vec<String> {
    named(terms, Var::Product).into_keys().collect()
}

pub fn unknown(terms: &Terms, known: &Known) -> Vec<Finding> {
    let mut found = Vec::new();
    let missing = named(terms, Var::Product).into_iter().filter(|(name, _)| !known.products.contains(name));
    for (name, place) in missing.take(MAX_TOLD) {
        let message = format!("there is no product '{name}'");
        found.push(Finding::error(FindingKind::UnknownName, place.path, message).at(place.row, place.column));
    }
    let Some(others) = &known.others else { return found };
    let sorts = [
        (Var::Category, &others.categories, "no product has the category"),
        (Var::Segment, &others.segments, "no player has the segment"),
        (Var::Tags, &others.tags, "no player has the tag"),
    ];
    for (var, there, what) in sorts {
        for (name, place) in named(terms, var).into_iter().filter(|(name, _)| !there.contains(name)).take(MAX_TOLD) {
            let message = format!("{what} '{name}' so far");
            found.push(Finding::warning(FindingKind::UnknownName, place.path, message).at(place.row, place.column));
        }
    }
    found
}

/// What is wrong with a cell that asks for a promotion which there is not.
pub(super) fn no_promotion(reads: &Reads, cell: &Cell, codes: &[&str]) -> Option<String> {
    let (Reads::Var(Var::Promotion), Cell::Names(names)) = (reads, cell) else { return None };
    let unknown = names.list.iter().find(|name| !codes.contains(&&***name))?;
    Some(format!("there is no promotion '{unknown}' in these terms"))
}
