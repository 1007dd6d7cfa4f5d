//! Whether terms make sense: each problem with the path of its field in the input, all of them at once.

use std::collections::BTreeSet;

use chrono::Datelike;

use super::also;
use super::clauses;
use super::contract::{Base, Level, Match, RateRow, RateTable, Scope, Terms, TierStep, Tiers};
use super::custom;
use super::due;
use super::findings::{self, Finding, Severity};
use super::split;
use crate::error::{Code, Problem};
use crate::money::{Asset, Minor, Price, Rate, Units};
use crate::time::{FIRST_YEAR, LAST_YEAR};

/// Rows of a rate table. Products come by the thousand, and a row for each is legitimate.
pub const MAX_ROWS: usize = 10_000;
const MAX_STEPS: usize = 100;
const MAX_CODE: usize = 64;
pub(super) const CODE_RULE: &str =
    "is not 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit";
/// Names in one list of a scope.
const MAX_NAMES: usize = 10_000;

/// What is wrong with these terms; paths are relative to them. `asset` is the one of `terms.currency`.
pub fn check(terms: &Terms, asset: &Asset) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    if !(FIRST_YEAR..=LAST_YEAR).contains(&terms.valid_from.year()) {
        problems.add(Code::BadTime, "validFrom", format!("is not in the years {FIRST_YEAR} to {LAST_YEAR}"));
    }
    if let Some(last) = terms.valid_until {
        if !(FIRST_YEAR..=LAST_YEAR).contains(&last.year()) {
            problems.add(Code::BadTime, "validUntil", format!("is not in the years {FIRST_YEAR} to {LAST_YEAR}"));
        } else if last < terms.valid_from {
            let message = format!("lies before the first day, {}, so that nothing would ever count", terms.valid_from);
            problems.bad("validUntil", message);
        }
    }
    if terms.cycle.cut_off_hour > 23 {
        problems.bad("cycle.cutOffHour", "is not an hour from 0 to 23");
    }
    custom::check(&terms.cycle, "cycle", &mut problems);
    due::check(terms, &mut problems);
    problems.0.extend(check_minimum_payout(&terms.minimum_payout, asset, ""));
    also::check(terms, &mut problems);
    check_scope(&terms.scope, &mut problems);
    check_table(terms, asset, &mut problems);
    clauses::check(terms, asset, &mut problems);
    split::check(terms, &mut problems);
    if terms.rate_table.matching == Match::Collect && terms.negative.level == Level::Total {
        // Netted over all classes, a transaction that several of them count would be in the sum several times.
        let message = "is TOTAL, and a table that collects counts one transaction in several classes; write PER_CLASS";
        problems.bad("negative.level", message);
    }
    for (position, promotion) in terms.promotions.iter().enumerate() {
        check_list(&format!("promotions.{position}.products"), &promotion.products, &mut problems);
    }
    if terms.rate_table.rows.len() <= MAX_ROWS {
        let errors = findings::check(terms).into_iter().filter(|finding| finding.severity == Severity::Error);
        problems.0.extend(errors.map(Finding::problem));
    }
    problems.0
}

/// What is wrong with a minimum payout, under a path.
pub(super) fn check_minimum_payout(amount: &str, asset: &Asset, path: &str) -> Option<Problem> {
    let (code, message) = match asset.parse_minor(amount) {
        Err(error) => (Code::BadAmount, error.to_string()),
        Ok(amount) if amount < Minor::ZERO => (Code::NegativeAmount, "is negative".to_owned()),
        Ok(_) => return None,
    };
    let path = if path.is_empty() { "minimumPayout".to_owned() } else { format!("{path}.minimumPayout") };
    Some(Problem::new(code, path, message))
}

pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub fn add(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem::new(code, path, message));
    }

    pub fn bad(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.add(Code::BadInput, path, message);
    }
}

fn check_scope(scope: &Scope, problems: &mut Problems) {
    let texts = [
        ("products", &scope.products),
        ("categories", &scope.categories),
        ("segments", &scope.segments),
        ("tags", &scope.tags),
        ("regions", &scope.regions),
        ("channels", &scope.channels),
    ];
    for (name, list) in texts {
        for (position, text) in list.iter().enumerate() {
            if text.trim().is_empty() {
                problems.bad(format!("scope.{name}.{position}"), "is blank");
            }
        }
        check_list(&format!("scope.{name}"), list, problems);
    }
    check_list("scope.sources", &scope.sources, problems);
}

fn check_list<T: Ord + ToString>(path: &str, list: &[T], problems: &mut Problems) {
    if list.len() > MAX_NAMES {
        problems.bad(path, format!("has {} entries; {MAX_NAMES} are allowed", list.len()));
    }
    let mut seen = BTreeSet::new();
    for (position, entry) in list.iter().enumerate() {
        if !seen.insert(entry) {
            problems.bad(format!("{path}.{position}"), format!("'{}' is there twice", entry.to_string()));
        }
    }
}

fn check_table(terms: &Terms, asset: &Asset, problems: &mut Problems) {
    let RateTable { rows, .. } = &terms.rate_table;
    if rows.is_empty() {
        problems.bad("rateTable.rows", "has no rate class; give at least one row");
    }
    if rows.len() > MAX_ROWS {
        // Checking a million rows would only make the refusal slow.
        return problems.bad("rateTable.rows", format!("has {} rows; {MAX_ROWS} are allowed", rows.len()));
    }
    let mut codes = BTreeSet::new();
    for (position, row) in rows.iter().enumerate() {
        let path = format!("rateTable.rows.{position}");
        if !is_code(&row.code) {
            problems.bad(format!("{path}.code"), CODE_RULE);
        }
        if !codes.insert(&row.code) {
            problems.bad(format!("{path}.code"), format!("'{}' is the code of an earlier row", row.code));
        }
        check_rates(&terms.base, row, &path, asset, problems);
    }
}

pub(super) fn is_code(code: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    code.len() <= MAX_CODE
        && code.bytes().all(allowed)
        && code.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

fn check_rates(base: &Base, row: &RateRow, path: &str, asset: &Asset, problems: &mut Problems) {
    match (row.percent, row.per_unit, &row.tiers) {
        (None, None, Some(tiers)) => check_tiers(base, tiers, path, asset, problems),
        (None, None, None) => problems.bad(path, format!("has no rate; give {} or tiers", rate_of(base))),
        (percent, price, None) => check_rate(base, percent, price, path, problems),
        (_, _, Some(_)) => problems.bad(path, format!("has both {} and tiers; give one of them", rate_of(base))),
    }
}

/// What rates are called that apply to a base.
const fn rate_of(base: &Base) -> &'static str {
    if let Base::Units(_) = base { "perUnit" } else { "percent" }
}

fn check_rate(base: &Base, percent: Option<Rate>, price: Option<Price>, path: &str, problems: &mut Problems) {
    match (base, percent, price) {
        (Base::Units(_), None, Some(price)) if price.is_negative() => {
            problems.bad(format!("{path}.perUnit"), "is negative");
        }
        (Base::Units(_), None, Some(_)) => {}
        (Base::Units(_), Some(_), _) => problems.bad(format!("{path}.percent"), "units have a price: give perUnit"),
        (_, Some(percent), None) => check_percent(percent, format!("{path}.percent"), problems),
        (_, _, Some(_)) => problems.bad(format!("{path}.perUnit"), "is for the base units; give percent"),
        (_, None, None) => problems.bad(format!("{path}.{}", rate_of(base)), "is missing"),
    }
}

fn check_percent(percent: Rate, path: String, problems: &mut Problems) {
    if percent.is_negative() {
        problems.bad(path, format!("{percent} % is negative"));
    } else if percent > Rate::HUNDRED {
        problems.bad(path, format!("{percent} % is more than the whole"));
    }
}

fn check_tiers(base: &Base, tiers: &Tiers, path: &str, asset: &Asset, problems: &mut Problems) {
    let path = format!("{path}.tiers.steps");
    let Some(last) = tiers.steps.len().checked_sub(1) else {
        return problems.bad(path, "has no step");
    };
    if tiers.steps.len() > MAX_STEPS {
        return problems.bad(path, format!("has {} steps; {MAX_STEPS} are allowed", tiers.steps.len()));
    }
    let mut below = Units::ZERO;
    for (position, step) in tiers.steps.iter().enumerate() {
        let TierStep { up_to, percent, per_unit } = step;
        check_rate(base, *percent, *per_unit, &format!("{path}.{position}"), problems);
        let path = format!("{path}.{position}.upTo");
        match up_to {
            None if position < last => problems.bad(path, "is missing; only the last step is open"),
            None => {}
            Some(_) if position == last => {
                problems.bad(path, "the last step is open: leave it out, or what is above has no rate")
            }
            Some(up_to) => match asset.parse_units(up_to) {
                Err(error) => problems.add(Code::BadAmount, path, error.to_string()),
                Ok(up_to) if up_to <= below && position == 0 => problems.bad(path, "is not positive"),
                Ok(up_to) if up_to <= below => problems.bad(path, "is not above the step before"),
                Ok(up_to) => below = up_to,
            },
        }
    }
}

/// Whether a transaction could be in both scopes: unless both name sources (or products, …) and share none. Tags
/// never keep scopes apart, because one player has several.
pub fn overlap(a: &Scope, b: &Scope) -> bool {
    fn meet<T: Ord>(a: &[T], b: &[T]) -> bool {
        let names: BTreeSet<&T> = a.iter().collect();
        a.is_empty() || b.is_empty() || b.iter().any(|name| names.contains(name))
    }
    meet(&a.sources, &b.sources)
        && meet(&a.products, &b.products)
        && meet(&a.categories, &b.categories)
        && meet(&a.segments, &b.segments)
        && meet(&a.regions, &b.regions)
        && meet(&a.channels, &b.channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::fixtures::terms;
    use crate::ids::SourceId;

    fn problems(change: serde_json::Value) -> Vec<(String, Code)> {
        let asset = Asset::new("BIT", 2);
        check(&terms(change), &asset).into_iter().map(|problem| (problem.path, problem.code)).collect()
    }

    #[track_caller]
    fn refused(change: serde_json::Value, path: &str, code: Code) {
        assert_eq!(problems(change), [(path.to_owned(), code)]);
    }

    fn rows(rows: serde_json::Value) -> serde_json::Value {
        serde_json::json!({ "rateTable": { "rows": rows } })
    }

    fn tiers(steps: serde_json::Value) -> serde_json::Value {
        rows(serde_json::json!([{ "code": "a", "tiers": { "mode": "MARGINAL", "steps": steps } }]))
    }

    use serde_json::json;

    #[test]
    fn the_example_of_the_notes_is_right() {
        assert_eq!(problems(json!({})), []);
        let example = rows(json!([
            { "code": "night", "when": "localHour >= 0 and localHour < 6", "percent": "6" },
            { "code": "rest", "tiers": { "mode": "MARGINAL", "steps": [{ "upTo": "20000000", "percent": "8" }, { "percent": "7" }] } },
        ]));
        assert_eq!(problems(example), []);
    }

    #[test]
    fn the_example_of_the_document_is_right() {
        let document = include_str!("../../../docs/contracts.md");
        let json = document.split("```json").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let terms = serde_json::from_str(json).expect("terms");
        assert_eq!(check(&terms, &Asset::new("BIT", 2)), []);
    }

    #[test]
    fn a_rate_table_has_no_gap_no_dead_row_and_no_doubt() {
        refused(rows(json!([])), "rateTable.rows", Code::BadInput);
        refused(
            rows(json!([{ "code": "a", "when": "kind == 'STAKE'", "percent": "1" }])),
            "rateTable.rows.0.when",
            Code::BadInput,
        );
        let dead =
            rows(json!([{ "code": "a", "percent": "1" }, { "code": "b", "when": "kind == 'WIN'", "percent": "2" }]));
        let found = check(&terms(dead), &Asset::new("BIT", 2));
        assert_eq!((found.len(), found[0].path.as_str()), (1, "rateTable.rows.1.when"));
        assert!(found[0].message.contains("'b' is never reached: row 'a'"), "{}", found[0].message);
        let same = rows(
            json!([{ "code": "a", "when": "kind == 'WIN'", "percent": "1" }, { "code": "b", "when": "kind == 'WIN' ", "percent": "2" }, { "code": "c", "percent": "2" }]),
        );
        refused(same, "rateTable.rows.1.when", Code::BadInput);
        let twice =
            rows(json!([{ "code": "a", "when": "kind == 'WIN'", "percent": "1" }, { "code": "a", "percent": "2" }]));
        refused(twice, "rateTable.rows.1.code", Code::BadInput);
        for code in ["", " ", "a b", "-a", "야간", &"x".repeat(65)] {
            refused(rows(json!([{ "code": code, "percent": "1" }])), "rateTable.rows.0.code", Code::BadInput);
        }
        let row = json!({ "code": "x", "percent": "1" });
        refused(rows(json!(vec![row; MAX_ROWS + 1])), "rateTable.rows", Code::BadInput);
    }

    #[test]
    fn a_row_has_one_sane_rate() {
        refused(rows(json!([{ "code": "a" }])), "rateTable.rows.0", Code::BadInput);
        let both =
            json!([{ "code": "a", "percent": "1", "tiers": { "mode": "VOLUME", "steps": [{ "percent": "1" }] } }]);
        refused(rows(both), "rateTable.rows.0", Code::BadInput);
        refused(rows(json!([{ "code": "a", "percent": "-1" }])), "rateTable.rows.0.percent", Code::BadInput);
        refused(rows(json!([{ "code": "a", "percent": "100.00000001" }])), "rateTable.rows.0.percent", Code::BadInput);
        assert_eq!(problems(rows(json!([{ "code": "a", "percent": "100" }]))), []);
        refused(tiers(json!([])), "rateTable.rows.0.tiers.steps", Code::BadInput);
        let step = |position, field| format!("rateTable.rows.0.tiers.steps.{position}.{field}");
        refused(tiers(json!([{ "upTo": "10", "percent": "1" }])), &step(0, "upTo"), Code::BadInput);
        refused(tiers(json!([{ "percent": "1" }, { "percent": "1" }])), &step(0, "upTo"), Code::BadInput);
        refused(tiers(json!([{ "upTo": "0", "percent": "1" }, { "percent": "1" }])), &step(0, "upTo"), Code::BadInput);
        refused(
            tiers(json!([{ "upTo": "ten", "percent": "1" }, { "percent": "1" }])),
            &step(0, "upTo"),
            Code::BadAmount,
        );
        refused(
            tiers(json!([{ "upTo": "5", "percent": "1" }, { "upTo": "5", "percent": "1" }, { "percent": "1" }])),
            &step(1, "upTo"),
            Code::BadInput,
        );
        refused(tiers(json!([{ "percent": "101" }])), &step(0, "percent"), Code::BadInput);
    }

    #[test]
    fn conditions_read_what_there_is_and_end() {
        let when =
            |when: &str| rows(json!([{ "code": "a", "when": when, "percent": "1" }, { "code": "b", "percent": "1" }]));
        for bad in [
            "",
            "localHour <",
            "amount > 5",
            "len([1..9]) > 1",
            "rand(2) > 1",
            "attributes == 1",
            "1 == 1",
            "localHour + 1",
            "product",
        ] {
            refused(when(bad), "rateTable.rows.0.when", Code::BadExpression);
        }
        for good in [
            "'vip' in tags",
            "localWeekday in ['SATURDAY', 'SUNDAY']",
            "attributes.shop == '7' or category != 'slots'",
            "number(attributes.level) > 3",
            "channel == null",
            "promotion == 'x'",
        ] {
            assert_eq!(problems(when(good)), [], "{good}");
        }
    }

    #[test]
    fn the_rest_of_the_terms_is_checked_too() {
        refused(json!({ "validFrom": "0001-01-01" }), "validFrom", Code::BadTime);
        refused(json!({ "validUntil": "2020-12-31" }), "validUntil", Code::BadInput);
        refused(json!({ "validUntil": "9000-01-01" }), "validUntil", Code::BadTime);
        assert_eq!(problems(json!({ "validUntil": "2021-01-01" })), []);
        refused(json!({ "minimumPayout": "-1" }), "minimumPayout", Code::NegativeAmount);
        refused(json!({ "minimumPayout": "0.001" }), "minimumPayout", Code::BadAmount);
        refused(
            json!({ "cycle": { "every": "DAY", "timeZone": "UTC", "cutOffHour": 24 } }),
            "cycle.cutOffHour",
            Code::BadInput,
        );
        refused(
            json!({ "cycle": { "every": "MONTH", "timeZone": "UTC", "startsOn": "MONDAY" } }),
            "cycle.startsOn",
            Code::BadInput,
        );
        refused(json!({ "scope": { "products": ["a", " "] } }), "scope.products.1", Code::BadInput);
        refused(json!({ "scope": { "regions": ["KR", "JP", "KR"] } }), "scope.regions.2", Code::BadInput);
        let many = problems(json!({ "minimumPayout": "x", "rateTable": { "rows": [{ "code": "a" }] } }));
        assert_eq!(many.len(), 2, "all problems at once: {many:?}");
    }

    #[test]
    fn what_is_deducted_charged_and_bounded_makes_sense() {
        let ngr = |deductions: serde_json::Value| json!({ "base": { "ngr": { "bonusTreatment": "INCLUDE", "deductions": deductions } } });
        let tax = json!({ "code": "tax", "take": { "percentOf": { "percent": "15", "of": "GGR" } } });
        let costs = |code: &str, of: &str| json!({ "code": code, "take": { "costs": { "of": [of] } } });
        assert_eq!(problems(ngr(json!([tax, costs("bonus", "BONUS_WINS")]))), []);
        let path = |rest: &str| format!("base.ngr.deductions{rest}");
        refused(ngr(json!([])), &path(""), Code::BadInput);
        refused(ngr(json!([tax, tax])), &path(".1.code"), Code::BadInput);
        refused(ngr(json!([costs("a", "FEES"), costs("b", "FEES")])), &path(".1.take.costs.of"), Code::BadInput);
        refused(ngr(json!([costs("a", "JACKPOT_CONTRIBUTIONS")])), &path(".0.take.costs.of"), Code::BadInput);
        let over = json!({ "code": "x", "take": { "percentOf": { "percent": "101", "of": "RUNNING" } } });
        refused(ngr(json!([over])), &path(".0.take.percentOf.percent"), Code::BadInput);
        let amount = json!({ "code": "x", "take": { "amount": "-1" } });
        refused(ngr(json!([amount])), &path(".0.take.amount"), Code::NegativeAmount);
        let many: Vec<_> = (0..51).map(|n| json!({ "code": format!("c{n}"), "take": { "amount": "1" } })).collect();
        refused(ngr(json!(many)), &path(""), Code::BadInput);

        let fees = |charge: serde_json::Value| json!({ "fees": [{ "code": "setup", "charge": charge }] });
        assert_eq!(problems(fees(json!({ "amount": "-250" }))), []);
        refused(fees(json!({ "amount": "0" })), "fees.0.charge.amount", Code::BadInput);
        refused(fees(json!({ "amount": "x" })), "fees.0.charge.amount", Code::BadAmount);
        let free = json!({ "perUnit": { "price": "0.5", "promotional": "101" } });
        refused(fees(free), "fees.0.charge.perUnit.promotional", Code::BadInput);
        refused(json!({ "fees": [{ "code": "cap", "charge": { "amount": "1" } }] }), "fees.0.code", Code::BadInput);
        refused(json!({ "cap": "-1" }), "cap", Code::NegativeAmount);
        refused(json!({ "cap": "1", "minimumGuarantee": "2" }), "minimumGuarantee", Code::BadInput);
        assert_eq!(problems(json!({ "cap": "2", "minimumGuarantee": "2" })), []);
        assert_eq!(problems(json!({ "advance": { "pool": "artists" } })), []);
        refused(json!({ "advance": { "percent": "0" } }), "advance.percent", Code::BadInput);
        refused(json!({ "advance": { "pool": "" } }), "advance.pool", Code::BadInput);
        refused(json!({ "advance": {}, "prepaid": {} }), "advance", Code::BadInput);
        refused(json!({ "prepaid": { "lowBalance": "-1" } }), "prepaid.lowBalance", Code::NegativeAmount);
    }

    #[test]
    fn a_ring_fence_goes_by_the_total_of_what_is_won() {
        let fence = |threshold: &str, change: serde_json::Value| {
            let mut all = json!({ "ringFence": { "threshold": threshold } });
            change.as_object().expect("changes").iter().for_each(|(name, value)| all[name] = value.clone());
            all
        };
        assert_eq!(problems(fence("5000", json!({}))), []);
        assert_eq!(problems(fence("0.0001", json!({}))), [], "to the accounting unit");
        for (threshold, code) in [("0", Code::BadInput), ("-5000", Code::BadInput), ("much", Code::BadAmount)] {
            refused(fence(threshold, json!({})), "ringFence.threshold", code);
        }
        for base in [json!({ "turnover": { "bonusTreatment": "INCLUDE" } }), json!({ "sales": {} })] {
            refused(fence("5", json!({ "base": base })), "ringFence", Code::BadInput);
        }
        let per_class = json!({ "mode": "CARRY", "level": "PER_CLASS" });
        refused(fence("5", json!({ "negative": per_class })), "ringFence", Code::BadInput);
        let collects = json!({ "match": "COLLECT", "rows": [{ "code": "a", "percent": "1" }] });
        let found = problems(fence("5", json!({ "rateTable": collects, "negative": per_class })));
        assert_eq!(found, [("ringFence".to_owned(), Code::BadInput), ("ringFence".to_owned(), Code::BadInput)]);
    }

    #[test]
    fn units_have_prices_and_money_has_percentages() {
        let units = |row: serde_json::Value| {
            let mut terms = rows(json!([row]));
            terms["base"] = json!({ "units": { "promotional": "0" } });
            terms
        };
        assert_eq!(problems(units(json!({ "code": "a", "perUnit": "0.05" }))), []);
        refused(units(json!({ "code": "a", "percent": "5" })), "rateTable.rows.0.percent", Code::BadInput);
        refused(units(json!({ "code": "a", "perUnit": "-1" })), "rateTable.rows.0.perUnit", Code::BadInput);
        refused(units(json!({ "code": "a" })), "rateTable.rows.0", Code::BadInput);
        refused(rows(json!([{ "code": "a", "perUnit": "1" }])), "rateTable.rows.0.perUnit", Code::BadInput);
        let steps = json!({ "mode": "MARGINAL", "steps": [{ "upTo": "1000", "perUnit": "0.05" }, { "percent": "3" }] });
        refused(
            units(json!({ "code": "a", "tiers": steps })),
            "rateTable.rows.0.tiers.steps.1.percent",
            Code::BadInput,
        );
        refused(
            tiers(json!([{ "upTo": "1" }, { "percent": "1" }])),
            "rateTable.rows.0.tiers.steps.0.percent",
            Code::BadInput,
        );
    }

    #[test]
    fn scopes_overlap_unless_a_list_of_both_keeps_them_apart() {
        let scope = |change: serde_json::Value| -> Scope { serde_json::from_value(change).expect("a scope") };
        let all = Scope::default();
        let crash = scope(json!({ "products": ["crash", "dice"] }));
        let slots = scope(json!({ "products": ["slots"], "regions": ["KR"] }));
        let korea = scope(json!({ "regions": ["KR"] }));
        assert!(overlap(&all, &crash) && overlap(&crash, &crash) && overlap(&crash, &korea));
        assert!(!overlap(&crash, &slots) && !overlap(&slots, &crash));
        let source = |number| Scope { sources: vec![SourceId(uuid::Uuid::from_u128(number))], ..Scope::default() };
        assert!(!overlap(&source(1), &source(2)) && overlap(&source(1), &source(1)));
        let tagged = |tag: &str| scope(json!({ "tags": [tag] }));
        assert!(overlap(&tagged("vip"), &tagged("new")), "one player may have both tags");
    }
}
