//! How long late facts are awaited after a period, and when what is owed for it is due.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::contract::Terms;
use super::period::Period;
use super::terms::Problems;
use crate::calendars::BusinessCalendar;
use crate::time::Timestamp;

/// Local days that late facts are awaited, and days until payment, at most.
const MOST_DAYS: u16 = 366;
const MOST_CALENDARS: usize = 10;
/// Days that are looked at for the next one on which all work: where there is none in ten years, there is none.
const LONGEST_SEARCH: u64 = 3_660;

/// A period closes only so many local days after its end, so that what comes late still counts in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LateWindow {
    pub days: u16,
}

impl Terms {
    /// Until when late facts of a period are awaited, where they are.
    pub fn awaits_until(&self, period: Period) -> Option<Timestamp> {
        let window = self.late_window.filter(|window| window.days > 0)?;
        Some(self.cycle.days_later(period.end, window.days.into()))
    }
}

/// When what a settlement owes is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payment {
    /// After the day that `from` says.
    pub days: u16,
    #[serde(default)]
    pub count: DayCount,
    /// Codes: a business day is one in all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calendars: Vec<String>,
    #[serde(default)]
    pub roll: Roll,
    #[serde(default)]
    pub from: PaymentFrom,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DayCount {
    #[default]
    Calendar,
    /// Days on which nobody works are not counted.
    Business,
}

/// Where a due date goes that is no business day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Roll {
    /// It stays.
    #[default]
    None,
    /// To the next business day.
    Following,
    /// To the last business day before.
    Preceding,
    /// To the next business day, but to the last one before where that is in another month.
    ModifiedFollowing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentFrom {
    /// The last local day of the period.
    #[default]
    PeriodEnd,
    /// The local date on which the settlement was closed.
    Closed,
}

impl DayCount {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calendar => "CALENDAR",
            Self::Business => "BUSINESS",
        }
    }
}

impl Roll {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Following => "FOLLOWING",
            Self::Preceding => "PRECEDING",
            Self::ModifiedFollowing => "MODIFIED_FOLLOWING",
        }
    }
}

impl PaymentFrom {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PeriodEnd => "PERIOD_END",
            Self::Closed => "CLOSED",
        }
    }
}

impl Terms {
    /// When what is owed for a period is due, as far as it can be told: where days count from the close, only once it is
    /// closed. `calendars` are all of the tenant's.
    pub fn due_on(
        &self,
        period: Period,
        closed_at: Option<Timestamp>,
        calendars: &[BusinessCalendar],
    ) -> Option<NaiveDate> {
        let payment = self.payment.as_ref()?;
        let from = match payment.from {
            PaymentFrom::PeriodEnd => self.cycle.last_day(period),
            PaymentFrom::Closed => closed_at?.local(self.cycle.time_zone).date(),
        };
        payment.due_on(from, calendars)
    }
}

impl Payment {
    /// The due date that counts from a day. None where a calendar is missing, or leaves no business day.
    pub fn due_on(&self, from: NaiveDate, calendars: &[BusinessCalendar]) -> Option<NaiveDate> {
        let named = |code: &String| calendars.iter().find(|calendar| calendar.code == *code);
        let own: Vec<&BusinessCalendar> = self.calendars.iter().map(named).collect::<Option<_>>()?;
        let is_business = |date: &NaiveDate| own.iter().all(|calendar| calendar.is_business(*date));
        let after = |date: NaiveDate| (0..LONGEST_SEARCH).map(move |by| date + Days::new(by)).find(is_business);
        let before = |date: NaiveDate| (0..LONGEST_SEARCH).map(move |by| date - Days::new(by)).find(is_business);
        let due = match self.count {
            DayCount::Calendar => from + Days::new(self.days.into()),
            DayCount::Business => {
                let mut due = from;
                for _ in 0..self.days {
                    due = after(due + Days::new(1))?;
                }
                due
            }
        };
        match self.roll {
            Roll::None => Some(due),
            Roll::Following => after(due),
            Roll::Preceding => before(due),
            Roll::ModifiedFollowing => {
                let month = |date: NaiveDate| (date.year(), date.month());
                let next = after(due)?;
                if month(next) == month(due) { Some(next) } else { before(due) }
            }
        }
    }
}

pub(super) fn check(terms: &Terms, problems: &mut Problems) {
    if let Some(window) = terms.late_window
        && window.days > MOST_DAYS
    {
        problems.bad("lateWindow.days", format!("{} is not a number of days from 0 to {MOST_DAYS}", window.days));
    }
    if let Some(payment) = &terms.payment {
        check_payment(payment, problems);
    }
}

fn check_payment(payment: &Payment, problems: &mut Problems) {
    if payment.days > MOST_DAYS {
        problems.bad("payment.days", format!("{} is not a number of days from 0 to {MOST_DAYS}", payment.days));
    }
    let asks = payment.count == DayCount::Business || payment.roll != Roll::None;
    if asks && payment.calendars.is_empty() {
        problems.bad("payment.calendars", "names no calendar, and business days are asked for");
    }
    if !asks && !payment.calendars.is_empty() {
        problems
            .bad("payment.calendars", "is not asked: days count by the calendar, and the date stays where it falls");
    }
    if payment.calendars.len() > MOST_CALENDARS {
        let message = format!("has {} entries; {MOST_CALENDARS} are allowed", payment.calendars.len());
        return problems.bad("payment.calendars", message);
    }
    let mut seen = BTreeSet::new();
    for (position, code) in payment.calendars.iter().enumerate() {
        if !seen.insert(code) {
            problems.bad(format!("payment.calendars.{position}"), format!("'{code}' is there twice"));
        }
    }
}

/// Where terms name calendars that are not there, and where those that are leave no business day.
pub(super) fn check_calendars(terms: &Terms, calendars: &[BusinessCalendar]) -> Vec<crate::error::Problem> {
    use crate::error::{Code, Problem};
    let Some(payment) = &terms.payment else { return Vec::new() };
    let known = |code: &String| calendars.iter().any(|calendar| calendar.code == *code);
    let named = payment.calendars.iter().enumerate();
    let mut found: Vec<Problem> = named
        .filter(|(_, code)| !known(code))
        .map(|(position, code)| {
            let message = format!("there is no business calendar '{code}'; make it first");
            Problem::new(Code::NotFound, format!("payment.calendars.{position}"), message)
        })
        .collect();
    if found.is_empty()
        && terms.due_on(terms.cycle.period(terms.cycle.start_of(terms.valid_from)), None, calendars).is_none()
        && payment.from == PaymentFrom::PeriodEnd
    {
        let message = "leave no day on which all of them work, so that nothing would ever be due";
        found.push(Problem::new(Code::BadInput, "payment.calendars", message));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::calendars::NewCalendar;
    use crate::contracts::contract::Weekday;
    use crate::contracts::fixtures::terms;
    use crate::contracts::terms::check;
    use crate::money::Asset;

    fn refused(change: Value) -> Vec<String> {
        check(&terms(change), &Asset::new("BIT", 2)).into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn late_facts_are_awaited_for_so_many_local_days() {
        let rome = json!({ "every": "MONTH", "timeZone": "Europe/Rome", "cutOffHour": 6 });
        let until = |days: u16| {
            let terms = terms(json!({ "cycle": rome, "lateWindow": { "days": days } }));
            let october = terms.cycle.period(Timestamp::parse_rfc3339("2021-10-20T12:00:00Z").expect("a time"));
            (october.end.to_rfc3339(), terms.awaits_until(october).map(|at| at.to_rfc3339()))
        };
        // Clocks went back on 31 October: each local day still ends at six.
        assert_eq!(until(5), ("2021-11-01T05:00:00Z".to_owned(), Some("2021-11-06T05:00:00Z".to_owned())));
        assert_eq!(until(0).1, None);
        assert_eq!(terms(json!({})).awaits_until(Period { start: Timestamp(0), end: Timestamp(1) }), None);
        assert_eq!(refused(json!({ "lateWindow": { "days": 366 } })), [""; 0]);
        assert_eq!(refused(json!({ "lateWindow": { "days": 367 } })), ["lateWindow.days"]);
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn calendar(code: &str, weekend: &[Weekday], holidays: &[&str]) -> BusinessCalendar {
        let holiday = |date: &&str| crate::calendars::Holiday { date: day(date), name: "x".to_owned() };
        let new = NewCalendar {
            code: code.to_owned(),
            name: code.to_owned(),
            weekend: weekend.to_vec(),
            holidays: holidays.iter().map(holiday).collect(),
            revision: None,
        };
        new.after(None, Timestamp(0)).expect("a calendar")
    }

    fn calendars() -> Vec<BusinessCalendar> {
        let western = [Weekday::Saturday, Weekday::Sunday];
        vec![
            // Chuseok 2024 fell on Monday to Wednesday.
            calendar("KR", &western, &["2024-09-16", "2024-09-17", "2024-09-18", "2024-10-03"]),
            calendar("US", &western, &["2024-09-02", "2024-10-14"]),
            calendar("AE", &[Weekday::Friday, Weekday::Saturday], &[]),
            calendar("MON", &[Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday], &[]),
        ]
    }

    fn payment(change: Value) -> Payment {
        let mut payment = json!({ "days": 0 });
        for (name, value) in change.as_object().expect("an object") {
            payment[name] = value.clone();
        }
        serde_json::from_value(payment).expect("payment terms")
    }

    #[track_caller]
    fn due(change: Value, from: &str, expected: &str) {
        assert_eq!(payment(change.clone()).due_on(day(from), &calendars()), Some(day(expected)), "{change} {from}");
    }

    #[test]
    fn due_dates_count_days_and_roll_off_holidays() {
        due(json!({ "days": 30 }), "2024-08-31", "2024-09-30");
        let kr = |days: u16, roll: &str| json!({ "days": days, "calendars": ["KR"], "roll": roll });
        // 14 days after 31 August is a Saturday, before Chuseok.
        due(kr(14, "FOLLOWING"), "2024-08-31", "2024-09-19");
        due(kr(14, "PRECEDING"), "2024-08-31", "2024-09-13");
        due(kr(14, "MODIFIED_FOLLOWING"), "2024-08-31", "2024-09-19");
        // 31 August is a Saturday: the next business day is in September.
        due(kr(0, "FOLLOWING"), "2024-08-31", "2024-09-02");
        due(kr(0, "MODIFIED_FOLLOWING"), "2024-08-31", "2024-08-30");
        let business =
            |days: u16, calendars: Value| json!({ "days": days, "count": "BUSINESS", "calendars": calendars });
        due(business(10, json!(["KR"])), "2024-08-31", "2024-09-13");
        due(business(11, json!(["KR"])), "2024-08-31", "2024-09-19");
        // Labor Day is one day more.
        due(business(10, json!(["KR", "US"])), "2024-08-31", "2024-09-19");
        due(business(0, json!(["KR"])), "2024-08-31", "2024-08-31");
        // Monday to Thursday are the days on which both work.
        due(business(4, json!(["KR", "AE"])), "2024-08-31", "2024-09-05");
        due(business(5, json!(["KR", "AE"])), "2024-08-31", "2024-09-09");
        let without = |codes: Value| payment(business(1, codes)).due_on(day("2024-08-31"), &calendars());
        assert_eq!((without(json!(["XX"])), without(json!(["MON", "US", "AE"])).is_some()), (None, true));
    }

    #[test]
    fn days_count_from_the_last_day_of_the_period_or_from_the_close() {
        let seoul = json!({ "every": "MONTH", "timeZone": "Asia/Seoul", "cutOffHour": 6 });
        let due = |from: &str, closed: Option<&str>| {
            let terms = terms(json!({ "cycle": seoul, "payment": { "days": 10, "from": from } }));
            let august = terms.cycle.period(Timestamp::parse_rfc3339("2024-08-15T00:00:00Z").expect("a time"));
            let closed = closed.map(|at| Timestamp::parse_rfc3339(at).expect("a time"));
            terms.due_on(august, closed, &[]).map(|date| date.to_string())
        };
        assert_eq!(due("PERIOD_END", None).as_deref(), Some("2024-09-10"));
        assert_eq!(due("CLOSED", None), None);
        // Past midnight in Seoul.
        assert_eq!(due("CLOSED", Some("2024-09-04T15:30:00Z")).as_deref(), Some("2024-09-15"));
    }

    #[test]
    fn what_makes_no_due_date_is_refused_by_path() {
        let payment = |payment: Value| refused(json!({ "payment": payment }));
        assert_eq!(payment(json!({ "days": 366 })), [""; 0]);
        assert_eq!(payment(json!({ "days": 367 })), ["payment.days"]);
        assert_eq!(payment(json!({ "days": 1, "count": "BUSINESS" })), ["payment.calendars"]);
        assert_eq!(payment(json!({ "days": 1, "roll": "PRECEDING" })), ["payment.calendars"]);
        assert_eq!(payment(json!({ "days": 1, "calendars": ["KR"] })), ["payment.calendars"]);
        assert_eq!(
            payment(json!({ "days": 1, "roll": "FOLLOWING", "calendars": ["A", "A"] })),
            ["payment.calendars.1"]
        );
        let many: Vec<String> = (0..11).map(|n| format!("C{n}")).collect();
        assert_eq!(payment(json!({ "days": 1, "roll": "FOLLOWING", "calendars": many })), ["payment.calendars"]);
        let named = |codes: Value| -> Vec<String> {
            let terms = terms(json!({ "payment": { "days": 1, "count": "BUSINESS", "calendars": codes } }));
            let mut calendars = calendars();
            calendars.push(calendar("WEEKEND", &Weekday::ALL[..5], &[]));
            check_calendars(&terms, &calendars).into_iter().map(|problem| problem.path).collect()
        };
        assert_eq!(named(json!(["KR", "US"])), [""; 0]);
        assert_eq!(named(json!(["KR", "XX"])), ["payment.calendars.1"]);
        assert_eq!(named(json!(["KR", "WEEKEND"])), ["payment.calendars"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_due_date_is_the_nearest_business_day_of_its_kind(
            days in 0_u16..60, offset in 0_u64..800, codes in prop::sample::subsequence(vec!["KR", "US", "AE"], 1..=3),
            count in prop::sample::select(vec!["CALENDAR", "BUSINESS"]),
            roll in prop::sample::select(vec!["FOLLOWING", "PRECEDING", "MODIFIED_FOLLOWING"]),
        ) {
            let (all, from) = (calendars(), day("2023-12-01") + Days::new(offset));
            let works = |date: NaiveDate| {
                codes.iter().all(|code| all.iter().find(|one| one.code == *code).expect("known").is_business(date))
            };
            let terms = json!({ "days": days, "calendars": codes, "count": count, "roll": roll });
            let due = payment(terms).due_on(from, &all).expect("a date");
            prop_assert!(works(due));
            if count == "BUSINESS" {
                let (first, last) = if due < from { (due, from) } else { (from, due) };
                let between = first.iter_days().skip(1).take_while(|date| *date <= last).filter(|date| works(*date)).count();
                // Nothing is counted but business days; only from a day that is none does it roll, either way.
                prop_assert!(between == usize::from(days) || days == 0, "{} business days to {}", between, due);
            } else {
                let aim = from + Days::new(days.into());
                let (first, last) = if due < aim { (due, aim) } else { (aim, due) };
                let nearer = first.iter_days().take_while(|date| *date <= last).filter(|date| works(*date)).count();
                prop_assert_eq!(nearer, 1, "no business day lies between {} and {}", aim, due);
                let same_month = (due.year(), due.month()) == (aim.year(), aim.month());
                match roll {
                    "FOLLOWING" => prop_assert!(due >= aim),
                    "PRECEDING" => prop_assert!(due <= aim),
                    _ => prop_assert!(same_month || due < aim),
                }
            }
        }
    }
}
