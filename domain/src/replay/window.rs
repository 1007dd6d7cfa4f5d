//! The time that a draft is replayed over, and the versions as if it had governed that time.

use chrono::{Datelike, NaiveDate};

use crate::contracts::contract::{ActiveVersion, Cycle};
use crate::contracts::{ContractVersion, Period};
use crate::error::{Code, Problem};
use crate::time::{FIRST_YEAR, LAST_YEAR, MICROS_PER_DAY, Timestamp};

/// Years that a window spans at most, and by how much it may grow to whole periods.
pub const MOST_YEARS: i64 = 3;
const MOST_GROWTH: i64 = 62 * MICROS_PER_DAY;
const MOST_GROWN: i64 = 2 * 366 * MICROS_PER_DAY;

/// The window from the start of one local date to the end of another, grown until it begins and ends where both the
/// draft and the versions in force begin a period. `active` are the contract's, by the instant from which they count.
pub fn window(
    (from, to): (NaiveDate, NaiveDate),
    draft: &ContractVersion,
    active: &[ActiveVersion],
    now: Timestamp,
) -> Result<Period, Problem> {
    let cycle = &draft.terms.cycle;
    let bad = |path: &str, message: String| Problem::new(Code::BadInput, path, message);
    for (path, date) in [("from", from), ("to", to)] {
        if !(FIRST_YEAR..=LAST_YEAR).contains(&date.year()) {
            let message = format!("is not in the years {FIRST_YEAR} to {LAST_YEAR}");
            return Err(Problem::new(Code::BadTime, path, message));
        }
    }
    if to < from {
        return Err(bad("to", format!("lies before the first day, {from}")));
    }
    let after = to.succ_opt().unwrap_or(to);
    let asked = Period { start: cycle.start_of(from), end: cycle.start_of(after) };
    if asked.start >= now || cycle.start_of(to) > now {
        let path = if asked.start >= now { "from" } else { "to" };
        return Err(bad(path, "lies in the future, of which there is nothing to replay".to_owned()));
    }
    if asked.end.0 - asked.start.0 > MOST_YEARS * 366 * MICROS_PER_DAY {
        return Err(bad("to", format!("is more than {MOST_YEARS} years after the first day; replay less at a time")));
    }
    let whole = grown(asked, cycle, active);
    whole.ok_or_else(|| {
        let message = "the draft's periods and those in force do not begin together near this day; choose one on which \
                       both begin a period";
        bad("from", message.to_owned())
    })
}

fn grown(asked: Period, draft: &Cycle, active: &[ActiveVersion]) -> Option<Period> {
    let most = most_growth(asked, draft, active);
    let mut grown = asked;
    loop {
        let mut next = grown;
        for cycle in [Some(draft), governing(active, grown.start)].into_iter().flatten() {
            next.start = next.start.min(cycle.period(grown.start).start);
        }
        let last = grown.end.plus(-1);
        for cycle in [Some(draft), governing(active, last)].into_iter().flatten() {
            next.end = next.end.max(cycle.period(last).end);
        }
        if next == grown {
            return Some(grown);
        }
        if asked.start.0 - next.start.0 > most || next.end.0 - asked.end.0 > most {
            return None;
        }
        grown = next;
    }
}

/// By how much it may grow: where periods are long, by one of them and another.
fn most_growth(asked: Period, draft: &Cycle, active: &[ActiveVersion]) -> i64 {
    let ends = [asked.start, asked.end.plus(-1)];
    let cycles = ends.iter().flat_map(|at| [Some((draft, *at)), governing(active, *at).map(|cycle| (cycle, *at))]);
    let long = |(cycle, at): (&Cycle, Timestamp)| {
        let period = cycle.period(at);
        period.end.0 - period.start.0
    };
    cycles.flatten().map(long).max().unwrap_or_default().saturating_mul(2).clamp(MOST_GROWTH, MOST_GROWN)
}

/// The cycle of the version in force at an instant.
fn governing(active: &[ActiveVersion], at: Timestamp) -> Option<&Cycle> {
    active.iter().rfind(|version| version.valid_from <= at).map(|version| &version.terms.cycle)
}

/// The versions that govern some of the window.
pub fn in_force(window: Period, active: &[ActiveVersion]) -> impl Iterator<Item = &ActiveVersion> {
    active.iter().enumerate().filter_map(move |(place, version)| {
        let until = active.get(place + 1).map(|next| next.valid_from).into_iter().chain(version.terms.ends()).min();
        let governs = version.valid_from < window.end && until.is_none_or(|until| window.start < until);
        governs.then_some(version)
    })
}

/// The versions as if the draft had been in force throughout the window, whatever day it says it begins on.
pub fn with_draft(window: Period, draft: ActiveVersion, active: &[ActiveVersion]) -> Vec<ActiveVersion> {
    let stays = |version: &&ActiveVersion| {
        let outside = version.valid_from < window.start || version.valid_from >= window.end;
        outside && version.version != draft.version
    };
    let mut versions: Vec<ActiveVersion> = active.iter().filter(stays).cloned().collect();
    versions.push(ActiveVersion { valid_from: window.start, ..draft });
    versions.sort_by_key(|version| version.valid_from);
    versions
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::VersionState;
    use crate::contracts::fixtures::{active, terms};
    use crate::ids::ContractId;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")).expect("a time")
    }

    fn draft(change: Value) -> ContractVersion {
        let terms = terms(change);
        let draft = json!({
            "contract": ContractId::NONE, "version": 9, "state": VersionState::Draft,
            "valid_from": terms.cycle.start_of(terms.valid_from), "terms": terms, "created_at": Timestamp(0),
            "activated_at": null, "activated_by": null,
        });
        serde_json::from_value(draft).expect("a version")
    }

    fn shown(from: &str, to: &str, change: Value, own: &[ActiveVersion]) -> Result<(String, String), String> {
        let window = window((day(from), day(to)), &draft(change), own, at("2021-06-10"));
        let day = |at: Timestamp| at.to_rfc3339()[..10].to_owned();
        window.map(|window| (day(window.start), day(window.end))).map_err(|problem| problem.path)
    }

    fn ok(from: &str, to: &str) -> Result<(String, String), String> {
        Ok((from.to_owned(), to.to_owned()))
    }

    #[test]
    fn a_window_grows_to_whole_periods_of_both() {
        let week = json!({ "cycle": { "every": "WEEK", "timeZone": "UTC" } });
        let own = [active(1, 1, json!({}))];
        assert_eq!(shown("2021-02-03", "2021-02-05", json!({}), &own), ok("2021-02-01", "2021-03-01"));
        assert_eq!(shown("2021-02-03", "2021-02-05", week.clone(), &[]), ok("2021-02-01", "2021-02-08"));
        // 1 February 2021 was a Monday, and 28 February a Sunday.
        assert_eq!(shown("2021-02-03", "2021-02-05", week.clone(), &own), ok("2021-02-01", "2021-03-01"));
        assert_eq!(
            shown("2021-04-03", "2021-04-05", week, &own),
            Err("from".to_owned()),
            "they meet in February and in November"
        );
        assert_eq!(
            shown("2021-06-01", "2021-06-10", json!({}), &own),
            ok("2021-06-01", "2021-07-01"),
            "the present month"
        );
    }

    #[test]
    fn what_is_no_window_is_refused_at_its_field() {
        let refused = |from, to| shown(from, to, json!({}), &[]).expect_err("refused");
        assert_eq!(refused("2021-02-03", "2021-02-02"), "to");
        assert_eq!(refused("2021-06-11", "2021-06-12"), "from");
        assert_eq!(refused("2021-06-09", "2021-06-12"), "to");
        assert_eq!(refused("2017-01-01", "2021-02-02"), "to");
        assert_eq!(refused("1969-12-31", "1970-01-02"), "from");
    }

    #[test]
    fn the_draft_takes_the_place_of_all_that_was_in_force() {
        let from = |version, day: &str| active(1, version, json!({ "validFrom": day }));
        let own = [from(1, "2021-01-01"), from(2, "2021-02-15"), from(3, "2021-04-01"), from(4, "2021-05-01")];
        let window = Period { start: at("2021-02-01"), end: at("2021-04-01") };
        let numbers = |versions: &[ActiveVersion]| versions.iter().map(|row| row.version).collect::<Vec<_>>();
        assert_eq!(in_force(window, &own).map(|row| row.version).collect::<Vec<_>>(), [1, 2]);
        let drafted = with_draft(window, from(9, "2026-01-01"), &own);
        assert_eq!(numbers(&drafted), [1, 9, 3, 4]);
        assert_eq!(drafted[1].valid_from, window.start);
        assert_eq!(numbers(&with_draft(window, own[0].clone(), &own)), [1, 3, 4], "one that is in force already");
    }
}
