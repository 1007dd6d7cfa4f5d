//! Terms that are written once and agreed often: what a copy takes from them, and what it says itself.

use serde::{Deserialize, Serialize};

use super::contract::{Scope, Terms};
use crate::error::{Code, Problem};
use crate::money::Rate;
use crate::time::Timestamp;

/// What a copy has otherwise than what it was made of. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub valid_from: Option<chrono::NaiveDate>,
    pub currency: Option<String>,
    pub scope: Option<Scope>,
    pub minimum_payout: Option<String>,
    /// Percentages by the code of their row.
    pub percents: Vec<(String, Rate)>,
}

/// Terms under a name, to make contracts of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Once in a tenant.
    pub name: String,
    pub terms: Terms,
    pub changed_at: Timestamp,
}

/// The terms with these changes. Problems have their paths under `changes`.
pub fn changed(mut terms: Terms, changes: Changes) -> Result<Terms, Vec<Problem>> {
    let mut problems = Vec::new();
    for (position, (code, percent)) in changes.percents.into_iter().enumerate() {
        let path = |field: &str| format!("changes.percents.{position}.{field}");
        match terms.rate_table.rows.iter_mut().find(|row| row.code == code) {
            None => {
                let message = format!("no row of the rate table has the code '{code}'");
                problems.push(Problem::new(Code::NotFound, path("code"), message));
            }
            Some(row) if row.percent.is_none() => {
                let message = format!("row '{code}' has no one percentage that could be another");
                problems.push(Problem::new(Code::BadInput, path("percent"), message));
            }
            Some(row) => row.percent = Some(percent),
        }
    }
    terms.valid_from = changes.valid_from.unwrap_or(terms.valid_from);
    // A last day before the first one was that of another time.
    terms.valid_until = terms.valid_until.filter(|last| *last >= terms.valid_from);
    terms.currency = changes.currency.unwrap_or(terms.currency);
    terms.scope = changes.scope.unwrap_or(terms.scope);
    terms.minimum_payout = changes.minimum_payout.unwrap_or(terms.minimum_payout);
    if problems.is_empty() { Ok(terms) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contracts::difference::differences;
    use crate::contracts::fixtures::terms;

    #[test]
    fn a_copy_differs_in_what_it_says_and_in_nothing_else() {
        let rows = json!({ "rateTable": { "rows": [{ "code": "a", "when": "kind == 'WIN'", "percent": "1" }, { "code": "b", "percent": "2" }] } });
        let original = terms(rows);
        assert_eq!(changed(original.clone(), Changes::default()), Ok(original.clone()));
        let changes = Changes {
            valid_from: chrono::NaiveDate::from_ymd_opt(2022, 2, 1),
            currency: Some("EUR".to_owned()),
            scope: Some(Scope { products: vec!["dice".to_owned()], ..Scope::default() }),
            minimum_payout: Some("5".to_owned()),
            percents: vec![("b".to_owned(), Rate::HUNDRED)],
        };
        let copy = changed(original.clone(), changes).expect("terms");
        let paths: Vec<String> = differences(&original, &copy).into_iter().map(|difference| difference.path).collect();
        assert_eq!(
            paths,
            ["currency", "minimumPayout", "rateTable.rows[b].percent", "scope.products[dice]", "validFrom"]
        );
    }

    #[test]
    fn a_percentage_goes_to_a_row_that_has_one() {
        let tiers = json!({ "rateTable": { "rows": [{ "code": "a", "tiers": { "mode": "VOLUME", "steps": [{ "percent": "1" }] } }] } });
        let percents = vec![("a".to_owned(), Rate::HUNDRED), ("x".to_owned(), Rate::HUNDRED)];
        let problems = changed(terms(tiers), Changes { percents, ..Changes::default() }).expect_err("problems");
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["changes.percents.0.percent", "changes.percents.1.code"]);
    }
}
