//! Cycles of any lengths: a pattern of days, weeks or months that repeats without end, before its first day too.

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};

use super::contract::{Cycle, Every};
use super::terms::Problems;
use crate::error::Code;
use crate::time::{FIRST_YEAR, LAST_YEAR};

/// Lengths of one pattern, and units of one length.
const MOST_LENGTHS: usize = 60;
const LONGEST: u16 = 366;
/// Every month has this day.
const LAST_DAY: u32 = 28;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Custom {
    /// A local date on which the first of the lengths begins.
    pub from: NaiveDate,
    pub unit: CustomUnit,
    /// One period after the other, and then from the first again: 4, 4, 5 weeks.
    pub lengths: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CustomUnit {
    Day,
    Week,
    /// From a day of a month, at most the 28th.
    Month,
}

impl CustomUnit {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
        }
    }
}

impl Custom {
    /// The first date of the period around a date, and the first date after it. A pattern without any length is days.
    pub(super) fn dates(&self, date: NaiveDate) -> (NaiveDate, NaiveDate) {
        let lengths = || self.lengths.iter().map(|length| u64::from(*length) * self.unit.days());
        let whole: u64 = lengths().sum();
        if whole == 0 {
            return (date, date + Days::new(1));
        }
        // Days, or months, since the pattern began for the last time.
        let since = self.since(date);
        let into = since.rem_euclid(i64::try_from(whole).unwrap_or(i64::MAX));
        let mut begins = 0;
        for length in lengths() {
            let ends = begins + i64::try_from(length).unwrap_or(i64::MAX);
            if into < ends {
                return (self.after(since - into + begins), self.after(since - into + ends));
            }
            begins = ends;
        }
        (date, date + Days::new(1))
    }

    /// Whole units of counting (days or months) from the first date until this one.
    fn since(&self, date: NaiveDate) -> i64 {
        if self.unit != CustomUnit::Month {
            return (date - self.from).num_days();
        }
        let month = |date: NaiveDate| i64::from(date.year()) * 12 + i64::from(date.month0());
        month(date) - month(self.from) - i64::from(date.day() < self.from.day().min(LAST_DAY))
    }

    /// The date so many days or months after the first one.
    fn after(&self, count: i64) -> NaiveDate {
        let by = count.unsigned_abs();
        if self.unit != CustomUnit::Month {
            let days = Days::new(by);
            return if count < 0 { self.from - days } else { self.from + days };
        }
        let from = self.from.with_day(self.from.day().min(LAST_DAY)).unwrap_or(self.from);
        let months = Months::new(u32::try_from(by).unwrap_or_default());
        if count < 0 { from - months } else { from + months }
    }
}

impl CustomUnit {
    /// Days that it counts; a month counts as itself.
    const fn days(self) -> u64 {
        match self {
            Self::Week => 7,
            Self::Day | Self::Month => 1,
        }
    }
}

/// Whether a cycle says what it needs to, and nothing that belongs to another one.
pub(super) fn check(cycle: &Cycle, path: &str, problems: &mut Problems) {
    if cycle.starts_on.is_some() && cycle.every != Every::Week {
        problems.bad(format!("{path}.startsOn"), "is for weekly cycles only");
    }
    let path = format!("{path}.custom");
    let custom = match (&cycle.custom, cycle.every) {
        (Some(custom), Every::Custom) => custom,
        (None, Every::Custom) => return problems.bad(path, "is missing; give the lengths of the periods"),
        (Some(_), _) => return problems.bad(path, "is for custom cycles only; write every: CUSTOM"),
        (None, _) => return,
    };
    if !(FIRST_YEAR..=LAST_YEAR).contains(&custom.from.year()) {
        let message = format!("is not in the years {FIRST_YEAR} to {LAST_YEAR}");
        problems.add(Code::BadTime, format!("{path}.from"), message);
    } else if custom.unit == CustomUnit::Month && custom.from.day() > LAST_DAY {
        let message = format!("is a day that not every month has; choose one up to the {LAST_DAY}th");
        problems.bad(format!("{path}.from"), message);
    }
    if custom.lengths.is_empty() {
        problems.bad(format!("{path}.lengths"), "names no length");
    }
    if custom.lengths.len() > MOST_LENGTHS {
        let message = format!("has {} entries; {MOST_LENGTHS} are allowed", custom.lengths.len());
        return problems.bad(format!("{path}.lengths"), message);
    }
    for (position, length) in custom.lengths.iter().enumerate() {
        if !(1..=LONGEST).contains(length) {
            problems.bad(format!("{path}.lengths.{position}"), format!("{length} is not a length from 1 to {LONGEST}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::fixtures::terms;
    use crate::contracts::terms::check;
    use crate::money::Asset;

    fn custom(from: &str, unit: &str, lengths: &[i64]) -> Value {
        json!({ "from": from, "unit": unit, "lengths": lengths })
    }

    fn shown(custom: Value, date: &str) -> (String, String) {
        let custom: Custom = serde_json::from_value(custom).expect("a pattern");
        let (first, next) = custom.dates(date.parse().expect("a date"));
        (first.to_string(), next.to_string())
    }

    #[track_caller]
    fn period(custom: Value, date: &str, first: &str, next: &str) {
        assert_eq!(shown(custom, date), (first.to_owned(), next.to_owned()));
    }

    #[test]
    fn a_pattern_repeats_in_both_directions() {
        let ten = || custom("2022-01-05", "DAY", &[10]);
        period(ten(), "2022-01-05", "2022-01-05", "2022-01-15");
        period(ten(), "2022-01-14", "2022-01-05", "2022-01-15");
        period(ten(), "2022-01-04", "2021-12-26", "2022-01-05");
        let retail = || custom("2022-01-31", "WEEK", &[4, 4, 5]);
        period(retail(), "2022-01-31", "2022-01-31", "2022-02-28");
        period(retail(), "2022-03-27", "2022-02-28", "2022-03-28");
        period(retail(), "2022-03-28", "2022-03-28", "2022-05-02");
        period(retail(), "2022-05-02", "2022-05-02", "2022-05-30");
        period(retail(), "2022-01-30", "2021-12-27", "2022-01-31");
        let quarter = || custom("2022-02-10", "MONTH", &[3]);
        period(quarter(), "2022-05-09", "2022-02-10", "2022-05-10");
        period(quarter(), "2022-05-10", "2022-05-10", "2022-08-10");
        period(quarter(), "2022-02-09", "2021-11-10", "2022-02-10");
        period(custom("2020-04-01", "MONTH", &[12]), "2022-03-31", "2021-04-01", "2022-04-01");
        period(custom("2022-01-28", "MONTH", &[1]), "2022-02-28", "2022-02-28", "2022-03-28");
    }

    #[test]
    fn what_makes_no_pattern_is_refused() {
        let refused = |every: &str, custom: Value, path: &str| {
            let mut cycle = json!({ "every": every, "timeZone": "UTC" });
            if !custom.is_null() {
                cycle["custom"] = custom;
            }
            let found = check(&terms(json!({ "cycle": cycle })), &Asset::new("BIT", 2));
            let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
            assert_eq!(paths, [path]);
        };
        refused("CUSTOM", Value::Null, "cycle.custom");
        refused("MONTH", custom("2022-01-01", "DAY", &[1]), "cycle.custom");
        refused("CUSTOM", custom("0001-01-01", "DAY", &[1]), "cycle.custom.from");
        refused("CUSTOM", custom("2022-01-29", "MONTH", &[1]), "cycle.custom.from");
        refused("CUSTOM", custom("2022-01-01", "DAY", &[]), "cycle.custom.lengths");
        refused("CUSTOM", custom("2022-01-01", "DAY", &[1; 61]), "cycle.custom.lengths");
        refused("CUSTOM", custom("2022-01-01", "DAY", &[1, 0]), "cycle.custom.lengths.1");
        refused("CUSTOM", custom("2022-01-01", "DAY", &[367]), "cycle.custom.lengths.0");
        let fine = json!({ "every": "CUSTOM", "timeZone": "UTC", "custom": custom("2022-01-29", "DAY", &[366; 60]) });
        assert_eq!(check(&terms(json!({ "cycle": fine })), &Asset::new("BIT", 2)), []);
    }
}
