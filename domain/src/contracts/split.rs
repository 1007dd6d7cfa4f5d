//! Who gets which part of what a settlement comes to: parties side by side, or the line of agents from a child up to the
//! root, each with the difference between its own rate and the one below.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::contract::{Base, Terms};
use super::terms::Problems;
use crate::ids::PartnerId;
use crate::money::Rate;

/// Parties of one split.
pub const MAX_PARTIES: usize = 50;
/// Rows of a rate table that are told to pay another rate than the root has.
const MAX_TOLD: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Split {
    /// Each has its per cent of the total; together they have all of it.
    Parallel(Parties),
    /// From the child up to the root: each has so many per cent of the base together with all below it.
    Differential(Parties),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parties {
    /// What does not divide goes to the earlier of equal ones.
    pub parties: Vec<Party>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Party {
    pub partner: PartnerId,
    pub percent: Rate,
}

impl Split {
    pub fn parties(&self) -> &[Party] {
        let (Self::Parallel(Parties { parties }) | Self::Differential(Parties { parties })) = self;
        parties
    }

    /// What each party's part is weighed by: its percentage, or what it has above the one below.
    pub fn weights(&self) -> Vec<Rate> {
        let mut below = Rate::default();
        let weight = |party: &Party| match self {
            Self::Parallel(_) => party.percent,
            Self::Differential(_) => std::mem::replace(&mut below, party.percent).up_to(party.percent),
        };
        self.parties().iter().map(weight).collect()
    }

    /// Where the parties are in the terms.
    pub const fn path(&self) -> &'static str {
        match self {
            Self::Parallel(_) => "split.parallel.parties",
            Self::Differential(_) => "split.differential.parties",
        }
    }
}

pub(super) fn check(terms: &Terms, problems: &mut Problems) {
    let Some(split) = &terms.split else { return };
    let (parties, path) = (split.parties(), split.path());
    if parties.len() < 2 {
        return problems.bad(path, "names fewer than two parties; without a split the contract's partner has it all");
    }
    if parties.len() > MAX_PARTIES {
        return problems.bad(path, format!("names {} parties; {MAX_PARTIES} are allowed", parties.len()));
    }
    let mut seen = BTreeSet::new();
    let mut sound = true;
    for (place, party) in parties.iter().enumerate() {
        if !seen.insert(party.partner) {
            problems.bad(format!("{path}.{place}.partner"), "is a party already");
        }
        if party.percent <= Rate::default() {
            problems.bad(format!("{path}.{place}.percent"), format!("{} % is not positive", party.percent));
            sound = false;
        }
    }
    match split {
        Split::Parallel(_) => check_whole(parties, sound, path, problems),
        Split::Differential(_) => check_line(terms, parties, sound, path, problems),
    }
}

fn check_whole(parties: &[Party], sound: bool, path: &str, problems: &mut Problems) {
    let whole = parties.iter().fold(Rate::default(), |sum, party| sum.saturating_add(party.percent));
    if sound && whole != Rate::HUNDRED {
        problems.bad(path, format!("the percentages add up to {whole} and not to 100"));
    }
}

/// Along a line of agents each has more than the one below, and the last has what the contract pays.
fn check_line(terms: &Terms, parties: &[Party], sound: bool, path: &str, problems: &mut Problems) {
    for (place, pair) in parties.windows(2).enumerate().filter(|_| sound) {
        if let [below, above] = pair
            && above.percent <= below.percent
        {
            let message = format!("{} % is not more than the {} % of the party below", above.percent, below.percent);
            problems.bad(format!("{path}.{}.percent", place + 1), message);
        }
    }
    if let Base::Units(_) = terms.base {
        return problems.bad("split.differential", "goes by per cent of money, and the base counts units");
    }
    let Some(root) = parties.last().map(|root| root.percent) else { return };
    let rows = terms.rate_table.rows.iter().enumerate();
    for (place, row) in rows.filter(|(_, row)| row.percent != Some(root)).take(MAX_TOLD) {
        let (field, what) = match (row.percent, &row.tiers) {
            (_, Some(_)) => ("tiers", "has steps".to_owned()),
            (Some(percent), None) => ("percent", format!("is {percent} %")),
            (None, None) => continue,
        };
        let message =
            format!("{what}, and the last party of split.differential has {root} %: every row has to pay that");
        problems.bad(format!("rateTable.rows.{place}.{field}"), message);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::fixtures::terms;
    use crate::money::Asset;

    fn partner(number: u128) -> PartnerId {
        PartnerId(uuid::Uuid::from_u128(number))
    }

    /// Partners 1, 2, … with these percentages.
    fn split(kind: &str, percents: &[&str]) -> Value {
        let party = |(number, percent): (u128, &&str)| json!({ "partner": partner(number), "percent": percent });
        json!({ "split": { kind: { "parties": (1..).zip(percents).map(party).collect::<Vec<_>>() } } })
    }

    fn found(change: Value) -> Vec<(String, String)> {
        let problems = super::super::terms::check(&terms(change), &Asset::new("BIT", 2));
        problems.into_iter().map(|problem| (problem.path, problem.message)).collect()
    }

    #[track_caller]
    fn refused(change: Value, path: &str, message: &str) {
        assert_eq!(found(change), [(path.to_owned(), message.to_owned())]);
    }

    #[test]
    fn parallel_parties_have_the_whole_and_nobody_is_there_twice() {
        let parallel = |percents: &[&str]| split("parallel", percents);
        let path = "split.parallel.parties";
        assert_eq!(found(parallel(&["60.2", "39.8"])), []);
        assert_eq!(found(parallel(&["33.33333333", "33.33333333", "33.33333334"])), []);
        refused(parallel(&["33.33", "33.33", "33.33"]), path, "the percentages add up to 99.99 and not to 100");
        refused(parallel(&["100", "50"]), path, "the percentages add up to 150 and not to 100");
        let nobody = "names fewer than two parties; without a split the contract's partner has it all";
        refused(parallel(&["100"]), path, nobody);
        refused(parallel(&[]), path, nobody);
        refused(parallel(&["100", "0"]), &format!("{path}.1.percent"), "0 % is not positive");
        refused(parallel(&["110", "-10"]), &format!("{path}.1.percent"), "-10 % is not positive");
        refused(parallel(&["1"; 51]), path, "names 51 parties; 50 are allowed");
        assert_eq!(found(parallel(&["2"; 50])), []);
        let mut twice = parallel(&["50", "50"]);
        twice["split"]["parallel"]["parties"][1]["partner"] = json!(partner(1));
        refused(twice, &format!("{path}.1.partner"), "is a party already");
    }

    #[test]
    fn a_line_of_agents_rises_to_what_the_contract_pays() {
        let line = |percents: &[&str]| split("differential", percents);
        let path = "split.differential.parties";
        assert_eq!(found(line(&["0.8", "1.2", "8"])), []);
        refused(
            line(&["1.2", "1.2", "8"]),
            &format!("{path}.1.percent"),
            "1.2 % is not more than the 1.2 % of the party below",
        );
        let other = |is: &str, root: &str| {
            format!("{is}, and the last party of split.differential has {root} %: every row has to pay that")
        };
        refused(line(&["0.8", "1.2"]), "rateTable.rows.0.percent", &other("is 8 %", "1.2"));
        let with = |rows: Value| {
            let mut terms = line(&["0.8", "1.2"]);
            terms["rateTable"] = json!({ "rows": rows });
            terms
        };
        let night = json!({ "code": "night", "when": "localHour < 6", "percent": "1.2" });
        assert_eq!(found(with(json!([night, { "code": "rest", "percent": "1.2" }]))), []);
        refused(
            with(json!([night, { "code": "rest", "percent": "1.1" }])),
            "rateTable.rows.1.percent",
            &other("is 1.1 %", "1.2"),
        );
        let tiers = json!({ "mode": "MARGINAL", "steps": [{ "percent": "1.2" }] });
        refused(with(json!([{ "code": "a", "tiers": tiers }])), "rateTable.rows.0.tiers", &other("has steps", "1.2"));
        let mut units = with(json!([{ "code": "a", "perUnit": "1.2" }]));
        units["base"] = json!({ "units": { "promotional": "0" } });
        refused(units, "split.differential", "goes by per cent of money, and the base counts units");
    }

    #[test]
    fn an_agent_is_weighed_by_what_it_has_above_the_one_below() {
        let weights = |change: Value| -> Vec<String> {
            let split = terms(change).split.expect("a split");
            split.weights().iter().map(ToString::to_string).collect()
        };
        assert_eq!(weights(split("differential", &["0.8", "1.2", "2"])), ["0.8", "0.4", "0.8"]);
        assert_eq!(weights(split("parallel", &["60", "40"])), ["60", "40"]);
    }

    #[test]
    fn terms_say_one_split_or_none() {
        let json = serde_json::to_value(terms(json!({}))).expect("JSON");
        assert_eq!(json.get("split"), None, "terms of before read back as they were");
        let both = json!({ "split": { "parallel": { "parties": [] }, "differential": { "parties": [] } } });
        let mut all = json;
        all["split"] = both["split"].clone();
        assert!(serde_json::from_value::<Terms>(all).is_err());
    }
}
