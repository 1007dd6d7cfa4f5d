//! Whether a version may take its place among a tenant's active ones.

use super::contract::{ActiveVersion, Base, Cycle, Every, Level, Match, Weekday};
use super::period::Period;
use super::terms;
use crate::error::{Code, Problem};
use crate::ids::ContractId;
use crate::time::Timestamp;

/// Another contract that claims the same transactions, and from when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    pub contract: ContractId,
    pub from: Timestamp,
}

/// Contracts of the same partner and role, with a currency in common, whose scope overlaps that of `new` while both are in force.
/// `active` are the partner's active versions.
pub fn overlaps(new: &ActiveVersion, active: &[ActiveVersion]) -> Vec<Overlap> {
    let mut found: Vec<Overlap> = Vec::new();
    let new_end = end_of(new, active);
    let rivals = active.iter().filter(|other| {
        other.contract != new.contract
            && other.partner == new.partner
            && other.terms.role == new.terms.role
            && new.terms.currencies().any(|currency| other.terms.settles_in(currency))
            && terms::overlap(&other.terms.scope, &new.terms.scope)
    });
    for rival in rivals {
        let from = rival.valid_from.max(new.valid_from);
        let before = |end: Option<Timestamp>| end.is_none_or(|end| from < end);
        if before(new_end) && before(end_of(rival, active)) {
            found.push(Overlap { contract: rival.contract, from });
        }
    }
    found.sort_by_key(|overlap| (overlap.contract, overlap.from));
    found.dedup_by_key(|overlap| overlap.contract);
    found
}

/// When the next version of the same contract takes over, or its own last day is over.
fn end_of(version: &ActiveVersion, active: &[ActiveVersion]) -> Option<Timestamp> {
    version.until(active)
}

/// The active versions without the one whose place `new` takes, or why it cannot take it.
pub fn without_replaced(
    new: &ActiveVersion,
    replaces: Option<i64>,
    mut active: Vec<ActiveVersion>,
) -> Result<Vec<ActiveVersion>, Problem> {
    let Some(replaces) = replaces else { return Ok(active) };
    let wrong = |code, message| Err(Problem::new(code, "replaces", message));
    let is_it = |other: &ActiveVersion| other.contract == new.contract && other.version == replaces;
    let Some(old) = active.iter().position(is_it) else {
        return wrong(Code::NotFound, format!("version {replaces} is not active, so that there is no place to take"));
    };
    if active[old].valid_from != new.valid_from {
        let message = format!(
            "version {replaces} counts from {} and this one from {}; one that begins at another time takes over by itself",
            active[old].terms.valid_from, new.terms.valid_from
        );
        return wrong(Code::BadInput, message);
    }
    active.remove(old);
    Ok(active)
}

/// What keeps `new` from its place among the active versions of its own contract.
pub fn check(new: &ActiveVersion, own: &[ActiveVersion]) -> Vec<Problem> {
    let own: Vec<&ActiveVersion> = own.iter().filter(|other| other.contract == new.contract).collect();
    let mut problems = Vec::new();
    if let Some(same) = own.iter().find(|other| other.valid_from == new.valid_from) {
        let message = format!(
            "version {0} counts from {1} as well; let this one begin at another time, or replace version {0}",
            same.version, new.terms.valid_from
        );
        problems.push(Problem::new(Code::AlreadyExists, "validFrom", message));
    }
    let before = own.iter().filter(|other| other.valid_from < new.valid_from).max_by_key(|other| other.valid_from);
    let after = own.iter().filter(|other| other.valid_from > new.valid_from).min_by_key(|other| other.valid_from);
    let changes =
        before.map(|before| (*before, new, "validFrom")).into_iter().chain(after.map(|after| (new, *after, "cycle")));
    for (old, next, path) in changes {
        let at = next.valid_from;
        let cycles = cycles(old, next);
        let on_both = cycles.iter().all(|(a, b)| a.is_boundary(at) && b.is_boundary(at));
        let fits = |(a, b): &(Cycle, Cycle)| same(a, b) || (a.is_boundary(at) && b.is_boundary(at));
        if !cycles.iter().all(fits) {
            let message = format!(
                "version {} changes the cycle on {}, which must be the beginning of a period of version {} and of its own",
                next.version, next.terms.valid_from, old.version
            );
            problems.push(Problem::new(Code::BadInput, path, message));
        }
        if counts(old) != counts(next) && !on_both {
            let message = format!(
                "version {} counts units and version {} money, or the other way round: such a change is possible where a period begins",
                next.version, old.version
            );
            problems.push(Problem::new(Code::BadInput, if path == "cycle" { "base" } else { path }, message));
        }
    }
    problems.extend(mixed_levels(new, &own));
    problems
}

/// The cycles of two versions, of each currency that both have; where they have none in common, of their own ones.
fn cycles(old: &ActiveVersion, next: &ActiveVersion) -> Vec<(Cycle, Cycle)> {
    let of = |version: &ActiveVersion, currency: &str| version.terms.in_currency(currency).map(|terms| terms.cycle);
    let both = next.terms.currencies().filter_map(|currency| of(old, currency).zip(of(next, currency)));
    let both: Vec<(Cycle, Cycle)> = both.collect();
    if both.is_empty() { vec![(old.terms.cycle.clone(), next.terms.cycle.clone())] } else { both }
}

/// Whether a version counts units instead of money.
fn counts(version: &ActiveVersion) -> bool {
    matches!(version.terms.base, Base::Units(_))
}

/// Where a table collects, what is carried belongs to each of the classes that counted it; in one total of all of them
/// it would stand several times.
fn mixed_levels(new: &ActiveVersion, own: &[&ActiveVersion]) -> Option<Problem> {
    let collects = |version: &ActiveVersion| version.terms.rate_table.matching == Match::Collect;
    let in_total = |version: &ActiveVersion| version.terms.negative.level == Level::Total;
    let collecting = own.iter().find(|other| collects(other) && other.valid_from < new.valid_from);
    let totalling = own.iter().find(|other| in_total(other) && other.valid_from > new.valid_from);
    let (path, other) = match (collecting, totalling) {
        (Some(other), _) if in_total(new) => ("negative.level", other),
        (_, Some(other)) if collects(new) => ("rateTable.match", other),
        _ => return None,
    };
    let message = format!(
        "a version that collects cannot be followed by one that nets all classes (TOTAL), and version {} stands against it; write PER_CLASS, or make another contract",
        other.version
    );
    Some(Problem::new(Code::BadInput, path, message))
}

/// Settlements that are there already and that `new`, in force in their time, would cut otherwise: facts of one period
/// would be spread over others, or one would end before the facts in it.
pub fn recuts(new: &ActiveVersion, own: &[ActiveVersion], settled: &[(String, Period)]) -> Vec<Problem> {
    let own: Vec<ActiveVersion> = own.iter().filter(|other| other.contract == new.contract).cloned().collect();
    let end = end_of(new, &own);
    let governed =
        |(_, period): &&(String, Period)| period.start >= new.valid_from && end.is_none_or(|end| period.start < end);
    let cut = |(currency, period): &&(String, Period)| {
        let own = new.terms.in_currency(currency).map(|terms| terms.cycle);
        own.as_ref().unwrap_or(&new.terms.cycle).period(period.start) != *period
    };
    let cut = settled.iter().filter(governed).filter(cut).map(|(_, period)| period).min();
    let problem = |period: &Period| {
        let message = format!(
            "there is a settlement from {} to {} already, which this cycle cuts otherwise; let the version begin after it",
            period.start, period.end
        );
        Problem::new(Code::BadInput, "validFrom", message)
    };
    cut.map(problem).into_iter().collect()
}

/// Whether two cycles cut time alike by what they say.
fn same(a: &Cycle, b: &Cycle) -> bool {
    let week = |cycle: &Cycle| (cycle.every == Every::Week).then(|| cycle.starts_on.unwrap_or(Weekday::Monday));
    (a.every, a.time_zone, a.cut_off_hour, week(a), &a.custom)
        == (b.every, b.time_zone, b.cut_off_hour, week(b), &b.custom)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::fixtures::active;
    use crate::ids::PartnerId;

    /// A version of a contract of the one partner.
    fn version(contract: u128, version: i64, change: Value) -> ActiveVersion {
        ActiveVersion { partner: PartnerId::NONE, ..active(contract, version, change) }
    }

    fn rivals(new: Value, active: &[ActiveVersion]) -> Vec<ContractId> {
        overlaps(&version(1, 9, new), active).into_iter().map(|overlap| overlap.contract).collect()
    }

    #[test]
    fn two_contracts_of_a_partner_and_role_never_claim_the_same() {
        let two = ContractId(uuid::Uuid::from_u128(2));
        let crash = json!({ "scope": { "products": ["crash"] } });
        let others = [version(2, 1, crash.clone())];
        assert_eq!(rivals(json!({}), &others), [two]);
        assert_eq!(rivals(json!({ "role": "AFFILIATE" }), &others), []);
        assert_eq!(rivals(json!({ "currency": "KRW" }), &others), []);
        assert_eq!(rivals(json!({ "scope": { "products": ["dice"] } }), &others), []);
        assert_eq!(rivals(crash.clone(), &[active(2, 1, crash.clone())]), [], "another partner's");
        assert_eq!(rivals(crash.clone(), &[version(1, 1, crash)]), [], "its own earlier version");
    }

    #[test]
    fn what_collects_is_never_netted_in_one_total() {
        let per_class = json!({ "mode": "CARRY", "level": "PER_CLASS" });
        let rows = json!([{ "code": "all", "percent": "8" }]);
        let collect = |from: &str| json!({ "validFrom": from, "negative": per_class, "rateTable": { "match": "COLLECT", "rows": rows } });
        let paths = |new: Value, own: &[ActiveVersion]| -> Vec<String> {
            check(&version(1, 9, new), own).into_iter().map(|problem| problem.path).collect()
        };
        let own = [version(1, 1, collect("2021-01-01"))];
        assert_eq!(paths(json!({ "validFrom": "2021-02-01" }), &own), ["negative.level"]);
        assert_eq!(paths(json!({ "validFrom": "2021-02-01", "negative": per_class }), &own), [] as [&str; 0]);
        let own = [version(1, 1, json!({ "validFrom": "2021-02-01" }))];
        assert_eq!(paths(collect("2021-01-01"), &own), ["rateTable.match"]);
        assert_eq!(paths(collect("2021-03-01"), &own), [] as [&str; 0], "what a total carries is in it once");
    }

    #[test]
    fn scopes_meet_only_while_both_versions_are_in_force() {
        let on = |from: &str, product: &str| json!({ "validFrom": from, "scope": { "products": [product] } });
        // Contract 2 gives up crash on 1 March.
        let others = [version(2, 1, on("2021-01-01", "crash")), version(2, 2, on("2021-03-01", "dice"))];
        assert_eq!(rivals(on("2021-03-01", "crash"), &others), []);
        let found = overlaps(&version(1, 1, on("2021-02-28", "crash")), &others);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].from, version(1, 1, on("2021-02-28", "crash")).valid_from);
        // This contract itself moves on to slots before the other begins.
        let mut both = others.to_vec();
        both.push(version(1, 5, on("2020-12-15", "slots")));
        assert_eq!(rivals(on("2020-12-01", "crash"), &both), []);
    }

    #[test]
    fn a_version_takes_the_place_of_one_that_begins_when_it_does() {
        let own = vec![
            version(1, 1, json!({})),
            version(1, 2, json!({ "validFrom": "2021-03-01" })),
            version(2, 1, json!({})),
        ];
        let left = |replaces, from: &str| {
            let found = without_replaced(&version(1, 9, json!({ "validFrom": from })), replaces, own.clone());
            found.map(|left| left.len()).map_err(|problem| (problem.code, problem.path))
        };
        assert_eq!(left(None, "2021-01-01"), Ok(3));
        assert_eq!(left(Some(1), "2021-01-01"), Ok(2));
        assert_eq!(left(Some(1), "2021-03-01"), Err((Code::BadInput, "replaces".to_owned())));
        assert_eq!(left(Some(3), "2021-01-01"), Err((Code::NotFound, "replaces".to_owned())));
        let new = version(1, 9, json!({}));
        assert_eq!(check(&new, &own).len(), 1, "two from the same day");
        assert_eq!(check(&new, &without_replaced(&new, Some(1), own.clone()).expect("left")), []);
    }

    #[test]
    fn versions_follow_each_other_on_the_boundaries_of_periods() {
        let cycle = |every: &str, zone: &str| json!({ "every": every, "timeZone": zone });
        let paths = |new: Value, own: &[ActiveVersion]| -> Vec<String> {
            check(&version(1, 9, new), own).into_iter().map(|problem| problem.path).collect()
        };
        let first = version(1, 1, json!({}));
        let own = std::slice::from_ref(&first);
        assert_eq!(paths(json!({ "validFrom": "2021-02-10" }), own), [] as [&str; 0], "the same cycle goes on");
        assert_eq!(paths(json!({ "validFrom": "2021-02-10", "cycle": cycle("DAY", "UTC") }), own), ["validFrom"]);
        assert_eq!(paths(json!({ "validFrom": "2021-02-01", "cycle": cycle("DAY", "UTC") }), own), [] as [&str; 0]);
        assert_eq!(
            paths(json!({ "validFrom": "2021-02-01", "cycle": cycle("MONTH", "Asia/Seoul") }), own),
            ["validFrom"]
        );
        assert_eq!(paths(json!({ "validFrom": "2021-01-01" }), own), ["validFrom"], "two from the same day");
        let units = json!({ "units": { "promotional": "0" } });
        let prices = json!({ "rows": [{ "code": "all", "perUnit": "1" }] });
        let counted = |from: &str| json!({ "validFrom": from, "base": units, "rateTable": prices });
        assert_eq!(paths(counted("2021-02-10"), own), ["validFrom"], "money and units in one period");
        assert_eq!(paths(counted("2021-02-01"), own), [] as [&str; 0]);
        // Put before an active version, the change back happens where that one begins.
        let later = [version(1, 2, json!({ "validFrom": "2021-03-15" }))];
        assert_eq!(paths(json!({ "validFrom": "2021-02-01", "cycle": cycle("DAY", "UTC") }), &later), ["cycle"]);
        let weekly = |starts_on: Value| json!({ "validFrom": "2021-02-10", "cycle": { "every": "WEEK", "timeZone": "UTC", "startsOn": starts_on } });
        let monday = [version(1, 1, json!({ "cycle": { "every": "WEEK", "timeZone": "UTC" } }))];
        assert_eq!(paths(weekly(json!("MONDAY")), &monday), [] as [&str; 0]);
        assert_eq!(paths(weekly(json!("TUESDAY")), &monday), ["validFrom"]);
    }
}
