//! Periods, by walking days: which local date an instant belongs to, and where its period begins and ends.

use chrono::{Datelike, Days, LocalResult, Months, NaiveDate, TimeDelta, TimeZone};

use crate::contracts::Period;
use crate::contracts::contract::{Custom, CustomUnit, Cycle, Every};
use crate::time::Timestamp;

/// When a date begins: at the cut-off hour on the zone's clocks. Of two such instants the earlier; of none, the first
/// that clocks show after it.
pub fn begins(cycle: &Cycle, date: NaiveDate) -> Timestamp {
    let mut local = date.and_hms_opt(u32::from(cycle.cut_off_hour), 0, 0).expect("an hour");
    loop {
        match cycle.time_zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => return Timestamp(at.timestamp_micros()),
            LocalResult::None => local += TimeDelta::minutes(1),
        }
    }
}

/// The date that an instant belongs to.
pub fn date_of(cycle: &Cycle, at: Timestamp) -> NaiveDate {
    let mut date = at.utc().date_naive() - Days::new(3);
    while begins(cycle, date + Days::new(1)) <= at {
        date = date + Days::new(1);
    }
    date
}

fn is_first(cycle: &Cycle, date: NaiveDate) -> bool {
    match cycle.every {
        Every::Day => true,
        Every::Week => {
            let starts_on = cycle.starts_on.map_or(0, |day| day as u32);
            date.weekday().num_days_from_monday() == starts_on
        }
        Every::HalfMonth => date.day() == 1 || date.day() == 16,
        Every::Month => date.day() == 1,
        Every::Custom => pattern(cycle.custom.as_ref().expect("a pattern"), date),
    }
}

/// Whether a period of a pattern begins on a date, by walking there from its first one.
fn pattern(custom: &Custom, date: NaiveDate) -> bool {
    let step = |from: NaiveDate, length: u16, back: bool| {
        let by = u32::from(length);
        match (custom.unit, back) {
            (CustomUnit::Day, false) => from + Days::new(by.into()),
            (CustomUnit::Day, true) => from - Days::new(by.into()),
            (CustomUnit::Week, false) => from + Days::new(u64::from(by) * 7),
            (CustomUnit::Week, true) => from - Days::new(u64::from(by) * 7),
            (CustomUnit::Month, false) => from + Months::new(by),
            (CustomUnit::Month, true) => from - Months::new(by),
        }
    };
    let mut at = custom.from;
    if date >= at {
        let lengths = custom.lengths.iter().cycle();
        lengths.into_iter().any(|length| {
            let reached = at >= date;
            if !reached {
                at = step(at, *length, false);
            }
            reached
        });
    } else {
        let lengths = custom.lengths.iter().rev().cycle();
        lengths.into_iter().any(|length| {
            let reached = at <= date;
            if !reached {
                at = step(at, *length, true);
            }
            reached
        });
    }
    at == date
}

/// The period of an instant.
pub fn period_of(cycle: &Cycle, at: Timestamp) -> Period {
    let mut first = date_of(cycle, at);
    let mut next = first + Days::new(1);
    while !is_first(cycle, first) {
        first = first - Days::new(1);
    }
    while !is_first(cycle, next) {
        next = next + Days::new(1);
    }
    Period { start: begins(cycle, first), end: begins(cycle, next) }
}

/// How many dates begin from one instant on and before another.
pub fn days(cycle: &Cycle, from: Timestamp, until: Timestamp) -> i64 {
    let mut date = date_of(cycle, from) - Days::new(1);
    let mut count = 0;
    while begins(cycle, date) < until {
        count += i64::from(begins(cycle, date) >= from);
        date = date + Days::new(1);
    }
    count
}
