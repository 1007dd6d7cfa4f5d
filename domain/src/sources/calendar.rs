//! On which days a source should deliver, and which of them are missing.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::contracts::contract::Weekday;
use crate::error::{Code, Problem};
use crate::time::{FIRST_YEAR, LAST_YEAR, Timestamp};

/// Days since 1970-01-01.
pub type DayNumber = i64;

/// The days that a source has promised to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Calendar {
    /// Days begin and end at midnight of this zone.
    pub time_zone: Tz,
    /// The first day.
    pub from: NaiveDate,
    /// The last day; none while the source goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<NaiveDate>,
    #[serde(default = "all_week")]
    pub weekdays: Vec<Weekday>,
}

fn all_week() -> Vec<Weekday> {
    Weekday::ALL.to_vec()
}

impl Calendar {
    pub fn check(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, text: String| problems.push(Problem::new(Code::BadInput, path, text));
        for (path, day) in [("from", Some(self.from)), ("until", self.until)] {
            if let Some(day) = day.filter(|day| !(FIRST_YEAR..=LAST_YEAR).contains(&day.year())) {
                wrong(path, format!("{day} lies outside of the years {FIRST_YEAR} to {LAST_YEAR}"));
            }
        }
        if let Some(until) = self.until.filter(|until| *until < self.from) {
            wrong("until", format!("{until} is before the first day, {}", self.from));
        }
        if self.weekdays.is_empty() {
            wrong("weekdays", "at least one day of the week is needed".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Whether the source should deliver this day.
    pub fn is_due(&self, day: NaiveDate) -> bool {
        day >= self.from
            && self.until.is_none_or(|until| day <= until)
            && self.weekdays.iter().any(|weekday| weekday.days_from_monday() == day.weekday().num_days_from_monday())
            && self.begin(day).is_some()
    }

    /// The instant at which a day begins; none for a day that the zone skipped (Apia had no 30 December 2011).
    pub fn begin(&self, day: NaiveDate) -> Option<Timestamp> {
        Some(Timestamp::from_local(day.and_time(NaiveTime::MIN), self.time_zone))
            .filter(|begin| begin.local(self.time_zone).date() == day)
    }

    /// The instant at which a day is over.
    pub fn end(&self, day: NaiveDate) -> Timestamp {
        Timestamp::from_local((day + TimeDelta::days(1)).and_time(NaiveTime::MIN), self.time_zone)
    }

    /// The days that may begin in a period, due or not.
    pub(super) fn span(&self, start: Timestamp, end: Timestamp) -> (NaiveDate, NaiveDate) {
        let first = start.local(self.time_zone).date();
        let last = end.local(self.time_zone).date();
        (first.max(self.from), self.until.map_or(last, |until| until.min(last)))
    }
}

pub fn day_number(day: NaiveDate) -> DayNumber {
    day.signed_duration_since(NaiveDate::default()).num_days()
}

/// The date of a day number; the earliest date for one that no calendar has.
pub fn date_of(day: DayNumber) -> NaiveDate {
    TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days)).unwrap_or(NaiveDate::MIN)
}

/// The days that are due in a period, by beginning within it, and of which nothing is known.
pub fn missing_days(
    calendar: &Calendar,
    known: &BTreeSet<DayNumber>,
    start: Timestamp,
    end: Timestamp,
) -> Vec<NaiveDate> {
    let (first, last) = calendar.span(start, end);
    let begins_within = |day: &NaiveDate| calendar.begin(*day).is_some_and(|begin| (start..end).contains(&begin));
    first
        .iter_days()
        .take_while(|day| *day <= last)
        .filter(|day| calendar.is_due(*day) && begins_within(day) && !known.contains(&day_number(*day)))
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Asia, Pacific};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn calendar(time_zone: Tz, from: &str) -> Calendar {
        Calendar { time_zone, from: day(from), until: None, weekdays: all_week() }
    }

    fn missing(calendar: &Calendar, known: &[&str], start: &str, end: &str) -> Vec<String> {
        let known = known.iter().map(|text| day_number(day(text))).collect();
        missing_days(calendar, &known, at(start), at(end)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_day_is_due_where_it_begins() {
        let seoul = calendar(Asia::Seoul, "2021-10-30");
        // November in UTC: the 1st has begun in Seoul by then, and the 1st of December too by the end.
        let days = missing(&seoul, &[], "2021-11-01T00:00:00Z", "2021-12-01T00:00:00Z");
        assert_eq!((days.len(), days[0].as_str(), days[29].as_str()), (30, "2021-11-02", "2021-12-01"));
        // November in Seoul.
        let days = missing(&seoul, &["2021-11-02"], "2021-10-31T15:00:00Z", "2021-11-30T15:00:00Z");
        assert_eq!(
            (days.len(), days[0].as_str(), days[1].as_str(), days[28].as_str()),
            (29, "2021-11-01", "2021-11-03", "2021-11-30")
        );
    }

    #[test]
    fn only_promised_days_are_due() {
        let mut calendar = calendar(Tz::UTC, "2021-11-10");
        calendar.until = Some(day("2021-11-21"));
        calendar.weekdays = vec![Weekday::Saturday, Weekday::Sunday];
        let days = missing(&calendar, &["2021-11-14"], "2021-11-01T00:00:00Z", "2021-12-01T00:00:00Z");
        assert_eq!(days, ["2021-11-13", "2021-11-20", "2021-11-21"]);
        assert!(missing(&calendar, &[], "2021-12-01T00:00:00Z", "2022-01-01T00:00:00Z").is_empty());
    }

    #[test]
    fn a_day_that_a_zone_skipped_is_nobodys_debt() {
        let apia = calendar(Pacific::Apia, "2011-12-28");
        let days = missing(&apia, &[], "2011-12-28T10:00:00Z", "2012-01-01T10:00:00Z");
        assert_eq!(days, ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]);
        // Midnight itself may be skipped; the day begins an hour later.
        let sao_paulo = calendar(chrono_tz::America::Sao_Paulo, "2018-11-03");
        assert_eq!(sao_paulo.begin(day("2018-11-04")), Some(at("2018-11-04T03:00:00Z")));
    }

    #[test]
    fn every_day_belongs_to_exactly_one_of_adjoining_periods() {
        for zone in [Asia::Seoul, chrono_tz::America::Sao_Paulo, Pacific::Apia, chrono_tz::Europe::Rome] {
            let calendar = calendar(zone, "2011-01-01");
            let cuts: Vec<Timestamp> = (0..=96)
                .map(|step| at("2010-12-31T05:30:00Z").plus(step * 37 * crate::time::MICROS_PER_HOUR))
                .collect();
            let mut parts: Vec<NaiveDate> = Vec::new();
            for pair in cuts.windows(2) {
                parts.extend(missing_days(&calendar, &BTreeSet::new(), pair[0], pair[1]));
            }
            assert_eq!(parts, missing_days(&calendar, &BTreeSet::new(), cuts[0], cuts[96]), "{zone}");
        }
    }

    #[test]
    fn calendars_are_checked_and_read_back() {
        let read: Calendar =
            serde_json::from_str(r#"{"timeZone":"Asia/Seoul","from":"2021-11-01"}"#).expect("a calendar");
        assert_eq!(read, calendar(Asia::Seoul, "2021-11-01"));
        assert!(read.check().is_ok());
        let wrong = Calendar { until: Some(day("2021-10-31")), weekdays: Vec::new(), from: day("2021-11-01"), ..read };
        let paths: Vec<String> = wrong.check().expect_err("wrong").into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["until", "weekdays"]);
        assert_eq!(
            (day_number(day("1970-01-02")), date_of(1), date_of(day_number(day("2021-11-01")))),
            (1, day("1970-01-02"), day("2021-11-01"))
        );
    }
}
