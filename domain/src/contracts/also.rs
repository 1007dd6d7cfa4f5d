//! Terms that hold for further currencies too: each has settlements of its own, and what it earns in one meets nothing
//! of another. Where settlements are calculated such a version is several, one for each currency.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::contract::{ActiveVersion, Base, Custom, Cycle, Every, RateRow, Take, Terms, Weekday};
use super::custom;
use super::terms::Problems;

/// Further currencies of one version.
const MOST: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlsoIn {
    pub currency: String,
    /// Where it is not that of the terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<AlsoCycle>,
    /// Major units of this currency.
    pub minimum_payout: String,
}

/// A cycle in the zone of the terms, whose days begin when those of the terms do: so a version begins at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlsoCycle {
    pub every: Every,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_on: Option<Weekday>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
}

impl Terms {
    pub fn settles_in(&self, currency: &str) -> bool {
        self.currency == currency || self.also_in.iter().any(|also| also.currency == currency)
    }

    /// The same terms for one of their currencies alone.
    pub fn in_currency(&self, currency: &str) -> Option<Self> {
        let alone = Self { also_in: Vec::new(), ..self.clone() };
        if self.currency == currency {
            return Some(alone);
        }
        let also = self.also_in.iter().find(|also| also.currency == currency)?;
        let cycle = also.cycle_of(&self.cycle);
        let (currency, minimum_payout) = (also.currency.clone(), also.minimum_payout.clone());
        Some(Self { currency, minimum_payout, cycle, ..alone })
    }

    /// All currencies, that of the terms first.
    pub fn currencies(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.currency.as_str()).chain(self.also_in.iter().map(|also| also.currency.as_str()))
    }
}

impl AlsoIn {
    pub fn cycle_of(&self, main: &Cycle) -> Cycle {
        let Some(own) = &self.cycle else { return main.clone() };
        Cycle { every: own.every, starts_on: own.starts_on, custom: own.custom.clone(), ..main.clone() }
    }
}

impl ActiveVersion {
    /// As it is for one of its currencies.
    pub fn in_currency(&self, currency: &str) -> Option<Self> {
        Some(Self { terms: self.terms.in_currency(currency)?, ..self.clone() })
    }
}

/// Each version once for each of its currencies.
pub fn in_each_currency(versions: Vec<ActiveVersion>) -> Vec<ActiveVersion> {
    if versions.iter().all(|version| version.terms.also_in.is_empty()) {
        return versions;
    }
    let all = |version: &ActiveVersion| -> Vec<ActiveVersion> {
        version.terms.currencies().filter_map(|currency| version.in_currency(currency)).collect()
    };
    versions.iter().flat_map(all).collect()
}

/// Each version once: as it is for this currency, where it has it.
pub fn for_currency(versions: Vec<ActiveVersion>, currency: &str) -> Vec<ActiveVersion> {
    let mut found: Vec<ActiveVersion> = Vec::with_capacity(versions.len());
    for version in versions {
        let version = version.in_currency(currency).unwrap_or(version);
        let same = |own: &ActiveVersion| (own.contract, own.version) == (version.contract, version.version);
        match found.iter_mut().find(|own| same(own)) {
            Some(own) if version.terms.currency == currency => *own = version,
            Some(_) => {}
            None => found.push(version),
        }
    }
    found
}

pub(super) fn check(terms: &Terms, problems: &mut Problems) {
    if terms.also_in.is_empty() {
        return;
    }
    if terms.also_in.len() > MOST {
        return problems.bad("alsoIn", format!("has {} entries; {MOST} are allowed", terms.also_in.len()));
    }
    let mut seen = BTreeSet::from([terms.currency.as_str()]);
    for (position, also) in terms.also_in.iter().enumerate() {
        let path = format!("alsoIn.{position}");
        if !seen.insert(&also.currency) {
            problems.bad(format!("{path}.currency"), format!("'{}' is there twice", also.currency));
        }
        custom::check(&also.cycle_of(&terms.cycle), &format!("{path}.cycle"), problems);
    }
    for path in amounts(terms) {
        problems.bad(path, "is an amount of money, which would be another one in each currency; leave alsoIn out");
    }
}

/// Fields that say an amount of money in the currency of the terms.
fn amounts(terms: &Terms) -> Vec<String> {
    let mut found = Vec::new();
    let counts = matches!(terms.base, Base::Units(_));
    let edges = |row: &RateRow| row.tiers.iter().any(|tiers| tiers.steps.iter().any(|step| step.up_to.is_some()));
    for (position, row) in terms.rate_table.rows.iter().enumerate() {
        if counts {
            found.push(format!("rateTable.rows.{position}"));
        } else if edges(row) {
            found.push(format!("rateTable.rows.{position}.tiers"));
        }
    }
    if let Base::Ngr(ngr) = &terms.base {
        let amount = |take: &Take| matches!(take, Take::Amount(_));
        let own = ngr.deductions.iter().enumerate().filter(|(_, deduction)| amount(&deduction.take));
        found.extend(own.map(|(position, _)| format!("base.ngr.deductions.{position}.take.amount")));
    }
    found.extend((0..terms.fees.len()).map(|position| format!("fees.{position}.charge")));
    let clauses = [
        ("cap", terms.cap.is_some()),
        ("minimumGuarantee", terms.minimum_guarantee.is_some()),
        ("advance", terms.advance.is_some()),
        ("prepaid", terms.prepaid.is_some()),
        ("ringFence", terms.ring_fence.is_some()),
    ];
    found.extend(clauses.into_iter().filter(|(_, is_there)| *is_there).map(|(path, _)| path.to_owned()));
    found.truncate(100);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::fixtures::{active, terms};
    use crate::contracts::terms::check;
    use crate::money::Asset;

    fn both(change: Value) -> Value {
        let mut terms = json!({ "alsoIn": [
            { "currency": "USD", "minimumPayout": "10" },
            { "currency": "KRW", "minimumPayout": "0", "cycle": { "every": "WEEK", "startsOn": "SUNDAY" } },
        ], "minimumPayout": "5", "cycle": { "every": "MONTH", "timeZone": "Asia/Seoul", "cutOffHour": 6 } });
        for (name, value) in change.as_object().expect("an object") {
            terms[name] = value.clone();
        }
        terms
    }

    fn refused(change: Value) -> Vec<String> {
        check(&terms(both(change)), &Asset::new("BIT", 2)).into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn a_version_is_one_for_each_of_its_currencies() {
        let all = in_each_currency(vec![active(1, 3, both(json!({})))]);
        let shown: Vec<(&str, &str, Every, u8)> = all
            .iter()
            .map(|one| {
                let cycle = &one.terms.cycle;
                (one.terms.currency.as_str(), one.terms.minimum_payout.as_str(), cycle.every, cycle.cut_off_hour)
            })
            .collect();
        assert_eq!(
            shown,
            [("BIT", "5", Every::Month, 6), ("USD", "10", Every::Month, 6), ("KRW", "0", Every::Week, 6)]
        );
        assert!(all.iter().all(|one| one.version == 3 && one.valid_from == all[0].valid_from));
        assert!(all.iter().all(|one| one.terms.also_in.is_empty()));
        assert_eq!(all[0].in_currency("USD"), None);
        let currencies = |list: Vec<ActiveVersion>, currency: &str| -> Vec<String> {
            for_currency(list, currency).into_iter().map(|one| one.terms.currency).collect()
        };
        let more = || in_each_currency(vec![active(1, 3, both(json!({}))), active(1, 4, json!({}))]);
        assert_eq!(currencies(more(), "KRW"), ["KRW", "BIT"]);
        assert_eq!(currencies(more(), "BIT"), ["BIT", "BIT"]);
    }

    #[test]
    fn what_is_money_of_one_currency_is_refused_by_path() {
        assert_eq!(refused(json!({})), [""; 0]);
        let twice = json!([{ "currency": "BIT", "minimumPayout": "0" }, { "currency": "USD", "minimumPayout": "0" },
            { "currency": "USD", "minimumPayout": "0" }]);
        assert_eq!(refused(json!({ "alsoIn": twice })), ["alsoIn.0.currency", "alsoIn.2.currency"]);
        let odd = json!([{ "currency": "USD", "minimumPayout": "0", "cycle": { "every": "CUSTOM" } }]);
        assert_eq!(refused(json!({ "alsoIn": odd })), ["alsoIn.0.cycle.custom"]);
        let odd =
            json!([{ "currency": "USD", "minimumPayout": "0", "cycle": { "every": "DAY", "startsOn": "MONDAY" } }]);
        assert_eq!(refused(json!({ "alsoIn": odd })), ["alsoIn.0.cycle.startsOn"]);
        assert_eq!(refused(json!({ "cap": "1" })), ["cap"]);
        assert_eq!(refused(json!({ "minimumGuarantee": "1" })), ["minimumGuarantee"]);
        assert_eq!(refused(json!({ "advance": {} })), ["advance"]);
        assert_eq!(refused(json!({ "prepaid": {} })), ["prepaid"]);
        assert_eq!(refused(json!({ "ringFence": { "threshold": "5" } })), ["ringFence"]);
        assert_eq!(refused(json!({ "fees": [{ "code": "a", "charge": { "amount": "1" } }] })), ["fees.0.charge"]);
        let rows = |rate: Value| json!({ "rateTable": { "rows": [rate] } });
        let steps = json!([{ "upTo": "10", "percent": "5" }, { "percent": "6" }]);
        let tiers = rows(json!({ "code": "a", "tiers": { "mode": "MARGINAL", "steps": steps } }));
        assert_eq!(refused(tiers), ["rateTable.rows.0.tiers"]);
        let mut prices = rows(json!({ "code": "a", "perUnit": "1" }));
        prices["base"] = json!({ "units": { "promotional": "0" } });
        assert_eq!(refused(prices), ["rateTable.rows.0"]);
        let amount = json!([{ "code": "a", "take": { "amount": "1" } }]);
        let ngr = json!({ "base": { "ngr": { "bonusTreatment": "INCLUDE", "deductions": amount } } });
        assert_eq!(refused(ngr), ["base.ngr.deductions.0.take.amount"]);
        let many: Vec<Value> = (0..51).map(|n| json!({ "currency": format!("C{n}"), "minimumPayout": "0" })).collect();
        assert_eq!(refused(json!({ "alsoIn": many })), ["alsoIn"]);
    }
}
