//! What one version says otherwise than another: over the JSON that terms are kept as, so that a clause that is added to
//! terms needs nothing here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contract::Terms;
use crate::ids::PartnerId;

/// Differences that are told; terms that have more are other terms.
pub const MOST_DIFFERENCES: usize = 1_000;
/// Characters of a value; a longer one is cut.
const LONGEST_VALUE: usize = 1_000;

/// One field that two versions have otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// As in the input; what has a code is named by it, and what is a text by itself: `rateTable.rows[night].percent`,
    /// `scope.products[dice]`.
    pub path: String,
    /// Absent where it is not there.
    pub before: Option<String>,
    pub after: Option<String>,
}

/// In the order of the fields' names, and of the rows as they are now; at most [`MOST_DIFFERENCES`].
pub fn differences(before: &Terms, after: &Terms) -> Vec<Difference> {
    told(json(before), json(after))
}

/// The same with partners by what they are called. Who has no name here is nobody that the reader may see.
pub fn differences_named(before: &Terms, after: &Terms, names: &BTreeMap<PartnerId, String>) -> Vec<Difference> {
    // Two with the same name are told apart by their ids.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.values().for_each(|name| *counts.entry(name).or_default() += 1);
    let named = |terms: &Terms| {
        let mut json = json(terms);
        if let Some(split) = &terms.split {
            let parties = json.pointer_mut(&format!("/{}", split.path().replace('.', "/")));
            for (entry, party) in parties.and_then(Value::as_array_mut).into_iter().flatten().zip(split.parties()) {
                entry["partner"] = match names.get(&party.partner) {
                    Some(name) if counts.get(name.as_str()) == Some(&1) => name.clone().into(),
                    Some(name) => format!("{name} ({})", party.partner).into(),
                    None => "…".into(),
                };
            }
        }
        json
    };
    told(named(before), named(after))
}

/// Terms always make JSON; where they did not there would be nothing to compare.
fn json(terms: &Terms) -> Value {
    serde_json::to_value(terms).unwrap_or_default()
}

fn told(before: Value, after: Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(&before), Some(&after), &mut found);
    found.truncate(MOST_DIFFERENCES);
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after || found.len() >= MOST_DIFFERENCES {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => fields(path, before, after, found),
        (Some(Value::Array(before)), Some(Value::Array(after))) => entries(path, before, after, found),
        _ => found.push(Difference { path: path.to_owned(), before: shown(before), after: shown(after) }),
    }
}

fn fields(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<Difference>) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(&below, before.get(name), after.get(name), found);
    }
}

/// Entries are matched by what names them; where something has no name, all are by their places.
fn entries(path: &str, before: &[Value], after: &[Value], found: &mut Vec<Difference>) {
    let (Some(old), Some(new)) = (named(before), named(after)) else {
        for place in 0..before.len().max(after.len()) {
            compare(&format!("{path}[{place}]"), before.get(place), after.get(place), found);
        }
        return;
    };
    let old_by_name: BTreeMap<&str, &Value> = old.iter().copied().collect();
    let names: BTreeSet<&str> = new.iter().map(|(name, _)| *name).collect();
    for (name, gone) in old.iter().filter(|(name, _)| !names.contains(name)) {
        compare(&format!("{path}[{name}]"), Some(gone), None, found);
    }
    for (name, entry) in &new {
        compare(&format!("{path}[{name}]"), old_by_name.get(name).copied(), Some(entry), found);
    }
    // The first row that holds decides, so their order is a part of what is agreed.
    let kept = |all: &[(&str, &Value)], other: &BTreeSet<&str>| -> Vec<String> {
        all.iter().filter(|(name, _)| other.contains(name)).map(|(name, _)| (*name).to_owned()).collect()
    };
    let was: BTreeSet<&str> = old.iter().map(|(name, _)| *name).collect();
    let (order, now) = (kept(&old, &names), kept(&new, &was));
    let of_objects = after.iter().any(Value::is_object);
    if of_objects && order != now && found.len() < MOST_DIFFERENCES {
        let shown = |order: Vec<String>| Some(cut(order.join(", ")));
        found.push(Difference { path: format!("{path}.order"), before: shown(order), after: shown(now) });
    }
}

/// What names each entry: its code or partner, or itself where it is a text. None where one has no name or two have the same.
fn named(entries: &[Value]) -> Option<Vec<(&str, &Value)>> {
    fn name(entry: &Value) -> Option<&str> {
        match entry {
            Value::String(text) => Some(text),
            Value::Object(fields) => fields.get("code").or_else(|| fields.get("partner"))?.as_str(),
            _ => None,
        }
    }
    let named: Option<Vec<(&str, &Value)>> = entries.iter().map(|entry| Some((name(entry)?, entry))).collect();
    named.filter(|named| named.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>().len() == named.len())
}

fn shown(value: Option<&Value>) -> Option<String> {
    Some(cut(match value? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::contracts::fixtures::terms;

    fn shown(before: Value, after: Value) -> Vec<String> {
        differences(&terms(before), &terms(after)).into_iter().map(sentence).collect()
    }

    fn sentence(difference: Difference) -> String {
        let of = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
        format!("{}: {} → {}", difference.path, of(difference.before), of(difference.after))
    }

    #[test]
    fn parties_are_told_by_their_names() {
        let partner = |number| PartnerId(uuid::Uuid::from_u128(number));
        let split = |parties: &[(u128, &str)]| {
            let party = |(number, percent): &(u128, &str)| json!({ "partner": partner(*number), "percent": percent });
            terms(json!({ "split": { "parallel": { "parties": parties.iter().map(party).collect::<Vec<_>>() } } }))
        };
        let names: BTreeMap<PartnerId, String> = [(1, "Studio"), (2, "Platform"), (4, "Twin"), (5, "Twin")]
            .map(|(id, name)| (partner(id), name.to_owned()))
            .into();
        let shown = |before: &Terms, after: &Terms| -> Vec<String> {
            differences_named(before, after, &names).into_iter().map(sentence).collect()
        };
        let before = split(&[(1, "60"), (2, "40")]);
        assert_eq!(
            shown(&before, &split(&[(1, "50"), (2, "50")])),
            ["split.parallel.parties[Platform].percent: 40 → 50", "split.parallel.parties[Studio].percent: 60 → 50",]
                .map(str::to_owned)
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
        assert_eq!(
            shown(&before, &split(&[(1, "60"), (3, "40")])),
            [
                r#"split.parallel.parties[Platform]: {"partner":"Platform","percent":"40"} → -"#,
                r#"split.parallel.parties[…]: - → {"partner":"…","percent":"40"}"#,
            ]
        );
        let twins = shown(&split(&[(1, "60"), (4, "40")]), &split(&[(1, "60"), (5, "40")]));
        assert_eq!(twins.len(), 2, "{twins:?}");
        assert_eq!(shown(&before, &split(&[(2, "40"), (1, "60")])).len(), 1, "the order decides about the last unit");
        assert_eq!(shown(&before, &before), [""; 0]);
    }

    #[test]
    fn fields_rows_and_names_are_told_by_their_paths() {
        let rows = |rows: Value| json!({ "rateTable": { "rows": rows } });
        let before = rows(
            json!([{ "code": "night", "when": "localHour < 6", "percent": "6" }, { "code": "day", "percent": "8" }]),
        );
        let after = rows(
            json!([{ "code": "night", "when": "localHour < 7", "percent": "6.5" }, { "code": "rest", "percent": "8" }]),
        );
        assert_eq!(
            shown(before, after),
            [
                r#"rateTable.rows[day]: {"code":"day","percent":"8"} → -"#,
                "rateTable.rows[night].percent: 6 → 6.5",
                "rateTable.rows[night].when: localHour < 6 → localHour < 7",
                r#"rateTable.rows[rest]: - → {"code":"rest","percent":"8"}"#,
            ]
        );
        let scope = |products: Value| json!({ "scope": { "products": products }, "minimumPayout": "1" });
        assert_eq!(
            shown(json!({ "scope": { "products": ["a", "b"] } }), scope(json!(["c", "b"]))),
            ["minimumPayout: 0 → 1", "scope.products[a]: a → -", "scope.products[c]: - → c"]
        );
        assert_eq!(
            shown(json!({}), json!({ "base": { "turnover": { "bonusTreatment": "EXCLUDE" } } })),
            [
                r#"base.ggr: {"bonusTreatment":"INCLUDE","jackpots":"ACCRUAL"} → -"#,
                r#"base.turnover: - → {"bonusTreatment":"EXCLUDE"}"#
            ]
        );
    }

    #[test]
    fn the_order_of_rows_counts_and_that_of_names_does_not() {
        let rows = |order: [&str; 2]| {
            json!({ "rateTable": { "rows": [
            { "code": order[0], "when": format!("product == '{}'", order[0]), "percent": "1" },
            { "code": order[1], "when": format!("product == '{}'", order[1]), "percent": "1" },
            { "code": "rest", "percent": "2" } ] } })
        };
        assert_eq!(shown(rows(["a", "b"]), rows(["b", "a"])), ["rateTable.rows.order: a, b, rest → b, a, rest"]);
        let scope = |regions: Value| json!({ "scope": { "regions": regions } });
        assert_eq!(shown(scope(json!(["KR", "JP"])), scope(json!(["JP", "KR"]))), [""; 0]);
        let steps = |to: &str| json!({ "rateTable": { "rows": [{ "code": "a", "tiers": { "mode": "MARGINAL", "steps": [{ "upTo": to, "percent": "8" }, { "percent": "7" }] } }] } });
        assert_eq!(shown(steps("10"), steps("20")), ["rateTable.rows[a].tiers.steps[0].upTo: 10 → 20"]);
    }

    #[test]
    fn however_much_differs_the_answer_is_bounded() {
        let many = |prefix: &str| json!({ "scope": { "products": (0..5_000).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>() } });
        assert_eq!(differences(&terms(many("a")), &terms(many("b"))).len(), MOST_DIFFERENCES);
        let long = differences(&terms(json!({})), &terms(json!({ "currency": "X".repeat(5_000) })));
        assert_eq!(long[0].after.as_ref().map(|text| text.chars().count()), Some(LONGEST_VALUE + 1));
    }

    proptest! {
        #[test]
        fn nothing_differs_exactly_where_terms_are_the_same(
            a in prop::collection::vec(("[ab]{1,2}", 0..3_u8), 1..4), b in prop::collection::vec(("[ab]{1,2}", 0..3_u8), 1..4),
        ) {
            let of = |rows: &[(String, u8)]| {
                let rows: Vec<Value> = rows.iter().map(|(code, percent)| json!({ "code": code, "percent": percent.to_string() })).collect();
                terms(json!({ "rateTable": { "rows": rows } }))
            };
            let (a, b) = (of(&a), of(&b));
            let found = differences(&a, &b);
            prop_assert_eq!(found.is_empty(), a == b, "{:?}", found);
            let back: Vec<_> = differences(&b, &a).into_iter().map(|d| (d.path, d.after, d.before)).collect();
            let mut there: Vec<_> = found.into_iter().map(|d| (d.path, d.before, d.after)).collect();
            let mut back = back;
            there.sort();
            back.sort();
            prop_assert_eq!(there, back, "the other way round it is the same");
        }
    }
}
