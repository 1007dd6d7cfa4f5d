use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::contracts::fixtures::terms;

/// A table of these columns; a row is its cells, and after `when:` its condition. Codes are r0, r1, …, percentages 1, 2, ….
fn table(columns: &[&str], rows: &[&[&str]]) -> Value {
    let columns: Vec<Value> = columns.iter().map(|reads| json!({ "reads": reads })).collect();
    let rows: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(number, cells)| {
            let (when, cells): (Vec<&str>, Vec<&str>) = cells.iter().partition(|cell| cell.starts_with("when:"));
            let when = when.first().map(|when| when.trim_start_matches("when:"));
            let mut row =
                json!({ "code": format!("r{number}"), "cells": cells, "percent": (number % 90 + 1).to_string() });
            if let Some(when) = when {
                row["when"] = json!(when);
            }
            row
        })
        .collect();
    json!({ "match": "FIRST", "columns": columns, "rows": rows })
}

fn found(table: Value) -> Vec<Finding> {
    check(&terms(json!({ "rateTable": table })))
}

/// Severity, kind and path of each finding.
fn short(found: &[Finding]) -> Vec<String> {
    let text = |finding: &Finding| {
        let weight = if finding.severity == Severity::Error { "!" } else { "?" };
        format!("{weight}{:?} {}", finding.kind, finding.path.trim_start_matches("rateTable."))
    };
    found.iter().map(text).collect()
}

#[track_caller]
fn finds(columns: &[&str], rows: &[&[&str]], expected: &[&str]) -> Vec<Finding> {
    let found = found(table(columns, rows));
    assert_eq!(short(&found), expected, "{found:#?}");
    found
}

#[test]
fn cells_that_cannot_be_read_are_told_with_their_place() {
    let found = finds(
        &["localHour", "product"],
        &[&["25", "a"], &["0..6", "a,,b", "x"], &["", ""]],
        &["!Syntax rows.0.cells.0", "!Syntax rows.1.cells.1", "!Syntax rows.1.cells.2"],
    );
    assert_eq!((found[1].row, found[1].column), (Some(1), Some(1)));
    finds(&["localHour", "hour"], &[&[]], &["!Syntax columns.1.reads"]);
    finds(&["localHour", " localHour"], &[&[]], &["!Syntax columns.1.reads"]);
    finds(&["kind"], &[&["STAKE", "when:oops("], &[""]], &["!Syntax rows.0.when"]);
    finds(&["nothing"], &[&["a", "when:oops("], &[""]], &["!Syntax columns.0.reads", "!Syntax rows.0.when"]);
    let many: Vec<String> = (0..=MAX_COLUMNS).map(|number| format!("attributes.a{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    finds(&many, &[&[]], &["!NotProven columns"]);
}

#[test]
fn a_gap_is_told_with_an_example() {
    let gap =
        finds(&["localHour", "category"], &[&["0..6"], &["6..24", "slots"], &["6..23", "not slots"]], &["!Gap rows.2"]);
    assert!(gap[0].message.contains("localHour 23"), "{}", gap[0].message);
    finds(&["localHour", "category"], &[&["0..6"], &["6..24", "slots"], &["6..24", "not slots"]], &[]);
    finds(&["kind"], &[&["STAKE"], &["not STAKE"]], &[]);
    let numbers = finds(&["number(attributes.n)"], &[&["< 5"], &[">= 6, none"]], &["!Gap rows.1"]);
    assert!(numbers[0].message.contains("number(attributes.n) from 5 and below 6"), "{}", numbers[0].message);
    let none = finds(&["number(attributes.n)"], &[&["< 5"], &[">= 5"]], &["!Gap rows.1"]);
    assert!(none[0].message.contains("no number(attributes.n)"), "{}", none[0].message);
    let other = finds(&["product"], &[&["a, b"], &["none"]], &["!Gap rows.1"]);
    assert!(other[0].message.contains("any other product"), "{}", other[0].message);
    let tags = finds(&["tags"], &[&["vip"], &["none"]], &["!Gap rows.1"]);
    assert!(tags[0].message.contains("tags another one"), "{}", tags[0].message);
    finds(&["tags"], &[&["vip"], &["not vip"]], &[]);
    // What a `when` takes is not sure.
    finds(&["kind"], &[&["STAKE", "when:product == 'a'"], &["not STAKE"]], &["!Gap rows.1"]);
}

#[test]
fn a_row_that_takes_nothing_is_told_with_those_that_take_it() {
    let one = finds(&["localHour"], &[&["0..12"], &["3..5"], &[]], &["!Unreachable rows.1.cells"]);
    assert!(one[0].message.contains("row 'r0' before it takes all"), "{}", one[0].message);
    let many = finds(&["localHour"], &[&["0..6"], &["6..12"], &["5..8"], &[]], &["!Unreachable rows.2.cells"]);
    assert!(many[0].message.contains("together"), "{}", many[0].message);
    finds(&["localHour"], &[&[], &["3..5"]], &["!Unreachable rows.1.cells"]);
    // A row with a condition takes nothing for sure.
    finds(&["localHour"], &[&["0..12", "when:product == 'a'"], &["3..5"], &[]], &[]);
    finds(&["localHour"], &[&["0..12"], &["3..5", "when:product == 'a'"], &[]], &["!Unreachable rows.1.when"]);
    // The same condition, wider before.
    let same: &[&[&str]] = &[&["0..12", "when:product == 'a'"], &["3..5", "when: product == 'a' "], &[]];
    finds(&["localHour"], same, &["!Unreachable rows.1.when"]);
    finds(&["localHour"], &[&["3..5", "when:product == 'a'"], &["0..12", "when:product == 'a'"], &[]], &[]);
}

#[test]
fn rows_that_cross_each_other_are_told_unless_one_is_the_exception() {
    let crossing = finds(&["localHour", "product"], &[&["0..6", ""], &["", "a"], &[]], &["?Overlap rows.1"]);
    assert!(crossing[0].message.contains("'r0' and 'r1'"), "{}", crossing[0].message);
    finds(&["localHour", "product"], &[&["0..6", "a"], &["", "a"], &[]], &[]);
    let mut same = table(&["localHour", "product"], &[&["0..6", ""], &["", "a"], &[]]);
    same["rows"][1]["percent"] = json!("1");
    assert_eq!(short(&found(same)), [] as [&str; 0], "at one rate it does not matter");
    let mut collect = table(&["localHour"], &[&["0..6"], &["0..6"], &[]]);
    collect["match"] = json!("COLLECT");
    assert_eq!(short(&found(collect)), ["?Overlap rows.1"], "twice the same");
}

#[test]
fn a_condition_that_fails_on_what_is_sure_to_come_is_refused() {
    let zero = finds(&[], &[&["when:12 / localHour > 2"], &[]], &["!MayFail rows.0.when"]);
    assert!(zero[0].message.contains("when localHour is 0"), "{}", zero[0].message);
    finds(&[], &[&["when:localHour % (localHour - 7) == 1"], &[]], &["!MayFail rows.0.when"]);
    finds(&[], &[&["when:localHour != 0 and 12 / localHour > 2"], &[]], &[]);
    finds(&[], &[&["when:(localHour == 0 ? 1 : 12 / localHour) == 3 or localHour % 5 == 2"], &[]], &[]);
    let silent = finds(&[], &[&["when:12 / localHour == 3"], &[]], &["!MayFail rows.0.when"]);
    assert!(silent[0].message.contains("divides by zero"), "{}", silent[0].message);
    let absent = finds(&[], &[&["when:number(attributes.level) > 3"], &[]], &["?MayFail rows.0.when"]);
    assert!(absent[0].message.contains("attributes.level is not there"), "{}", absent[0].message);
    finds(&[], &[&["when:attributes.level != null and number(attributes.level) > 3"], &[]], &[]);
    finds(
        &[],
        &[&["when:10 / number(attributes.level) > 3 and attributes.level != null"], &[]],
        &["?MayFail rows.0.when"],
    );
    finds(&[], &[&["when:category == 'slots' and 'vip' in tags and localWeekday != 'MONDAY'"], &[]], &[]);
}

#[test]
fn promotions_are_times_that_do_not_hide_each_other() {
    let of = |promotions: Value, cell: &str| {
        let table = table(&["promotion"], &[&[cell], &[]]);
        short(&check(&terms(json!({ "promotions": promotions, "rateTable": table }))))
    };
    let window = |code: &str, from: &str, until: &str| json!({ "code": code, "from": from, "until": until });
    let may = window("may", "2021-05-01T00:00", "2021-06-01T00:00");
    assert_eq!(of(json!([may]), "may"), [] as [&str; 0]);
    assert_eq!(of(json!([may]), "june"), ["!UnknownName rows.0.cells.0"]);
    assert_eq!(of(json!([]), "none"), ["!Unreachable rows.1.cells"], "there is nothing but none");
    let late = window("late", "2021-05-31T00:00:00Z", "2021-07-01T00:00");
    assert_eq!(of(json!([may, late]), "may"), ["?Overlap promotions.1"]);
    let never = window("", "2021-06-01T00:00", "2021-05-01");
    let bad = of(json!([never]), "none");
    assert!(bad.contains(&"!Syntax promotions.0.code".to_owned()), "{bad:?}");
    assert!(bad.contains(&"!Syntax promotions.0.until".to_owned()), "{bad:?}");
    assert_eq!(of(json!([window("x", "2021-06-01T00:00", "2021-06-01T00:00")]), "x")[0], "!Syntax promotions.0.until");
}

#[test]
fn names_that_there_are_not_are_told() {
    let table = table(&["product", "segment", "tags"], &[&["a, b", "gold", "vip"], &["not c"], &[]]);
    let terms = terms(json!({
        "rateTable": table, "scope": { "products": ["a", "d"], "categories": ["slots"] },
        "promotions": [{ "code": "x", "from": "2021-05-01T00:00", "until": "2021-06-01T00:00", "products": ["e"] }],
    }));
    assert_eq!(named_products(&terms), ["a", "b", "c", "d", "e"]);
    let known = Known { products: ["a".to_owned()].into(), others: None };
    let paths = ["rows.0.cells.0", "rows.1.cells.0", "scope.products.1", "promotions.0.products.0"];
    let expected: Vec<String> = paths.iter().map(|path| format!("!UnknownName {path}")).collect();
    assert_eq!(short(&unknown(&terms, &known)), expected);
    let all: Vec<String> = named_products(&terms);
    let known = Known { products: all.into_iter().collect(), others: Some(Others::default()) };
    let expected = ["?UnknownName scope.categories.0", "?UnknownName rows.0.cells.1", "?UnknownName rows.0.cells.2"];
    assert_eq!(short(&unknown(&terms, &known)), expected);
}

#[test]
fn ten_thousand_rows_are_looked_through_at_once() {
    let products: Vec<String> = (0..9_999).map(|number| format!("product-{number}")).collect();
    let mut rows: Vec<Vec<&str>> = products
        .iter()
        .enumerate()
        .map(|(n, product)| vec![product.as_str(), if n % 3 == 0 { "0..6" } else { "" }])
        .collect();
    rows.push(Vec::new());
    let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
    let terms = terms(json!({ "rateTable": table(&["product", "localHour"], &rows) }));
    assert_eq!(short(&check(&terms)), [] as [&str; 0]);
}

#[test]
fn what_is_too_much_to_look_at_needs_a_last_row_that_takes_the_rest() {
    // Each row names half of all hours of each attribute: 24 columns' worth of crossings.
    let columns: Vec<String> = (0..12).map(|number| format!("number(attributes.a{number})")).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = (0..300)
        .map(|row| {
            (0..12).map(|column| format!("{}..{}", row * (column + 1) % 97, row * (column + 1) % 97 + 60)).collect()
        })
        .collect();
    let mut rows: Vec<Vec<&str>> = cells.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let refs = |rows: &[Vec<&str>]| -> Value {
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        table(&columns, &rows)
    };
    let kinds = |table: Value| -> Vec<String> {
        short(&found(table)).into_iter().filter(|text| !text.contains("Overlap")).collect()
    };
    assert_eq!(kinds(refs(&rows)), ["!Gap rows.299"]);
    rows.push(Vec::new());
    assert_eq!(kinds(refs(&rows)), ["?NotProven rows"]);
}

/// A cell of each column of a small universe, by number.
const HOURS: [&str; 6] = ["", "0..12", "12..24", "6..18", "not 3", "22..2"];
const NAMES: [&str; 6] = ["", "a", "a, b", "not a", "none", "not b, none"];
const NUMBERS: [&str; 6] = ["", "< 5", ">= 5", "3..7", "none", "not 5"];
const TAGS: [&str; 6] = ["", "x", "not x", "x, y", "none", "not none"];

fn universe() -> Vec<[crate::contracts::cell::Value<'static>; 4]> {
    use crate::contracts::cell::Value;
    static TAG_SETS: std::sync::LazyLock<Vec<Vec<String>>> = std::sync::LazyLock::new(|| {
        [&[][..], &["x"], &["y"], &["x", "y"], &["z"], &["x", "z"]]
            .iter()
            .map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect())
            .collect()
    });
    let mut all = Vec::new();
    for hour in [0, 1, 2, 3, 5, 6, 11, 12, 17, 18, 22, 23] {
        for name in [None, Some("a"), Some("b"), Some("c")] {
            for number in [None, Some(2), Some(3), Some(4), Some(5), Some(6), Some(7), Some(8)] {
                for tags in TAG_SETS.iter() {
                    let number = number.map(rust_decimal::Decimal::from);
                    all.push([Value::Bit(hour), Value::Text(name), Value::Number(number), Value::Tags(tags)]);
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Gaps and rows that are never reached are exactly those that trying every transaction shows.
    #[test]
    fn verdicts_are_those_of_trying_everything(rows in prop::collection::vec((0_usize..6, 0_usize..6, 0_usize..6, 0_usize..6), 1..7)) {
        let columns = ["localHour", "product", "number(attributes.n)", "tags"];
        let reads: Vec<Reads> = columns.iter().map(|column| Reads::parse(column).unwrap()).collect();
        let texts: Vec<[&str; 4]> =
            rows.iter().map(|(hour, name, number, tags)| [HOURS[*hour], NAMES[*name], NUMBERS[*number], TAGS[*tags]]).collect();
        let cells: Vec<Vec<Cell>> = texts
            .iter()
            .map(|row| row.iter().zip(&reads).map(|(text, reads)| reads.cell(text).unwrap()).collect())
            .collect();
        let mut reached = vec![false; rows.len()];
        let mut gap = false;
        for values in universe() {
            let holds = |row: &Vec<Cell>| row.iter().zip(&values).all(|(cell, value)| cell.holds(*value));
            match cells.iter().position(holds) {
                Some(row) => reached[row] = true,
                None => gap = true,
            }
        }
        let slices: Vec<&[&str]> = texts.iter().map(|row| &row[..]).collect();
        let found = found(table(&columns, &slices));
        let has_gap = found.iter().any(|finding| finding.kind == FindingKind::Gap);
        prop_assert_eq!(has_gap, gap, "{:?} {:?}", texts, found);
        let dead: Vec<usize> = found
            .iter()
            .filter(|finding| finding.kind == FindingKind::Unreachable)
            .filter_map(|finding| finding.row)
            .collect();
        let expected: Vec<usize> = (0..rows.len()).filter(|row| !reached[*row]).collect();
        prop_assert_eq!(dead, expected, "{:?}", texts);
    }
}
