//! A business calendar: on which days people work. Contracts name calendars by their codes, and say by them when what
//! is owed is due.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::contracts::contract::Weekday;
use crate::error::{Code, Problem};
use crate::time::{FIRST_YEAR, LAST_YEAR, Timestamp};

/// Ten a year, for two hundred years.
const MOST_HOLIDAYS: usize = 2_000;
const LONGEST_CODE: usize = 16;
const LONGEST_NAME: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holiday {
    pub date: NaiveDate,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusinessCalendar {
    /// Such as "KR".
    pub code: String,
    pub name: String,
    /// In the order of the week.
    pub weekend: Vec<Weekday>,
    /// By date.
    pub holidays: Vec<Holiday>,
    /// Counts each save.
    pub revision: i64,
    pub changed_at: Timestamp,
}

/// What is saved under a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCalendar {
    pub code: String,
    pub name: String,
    pub weekend: Vec<Weekday>,
    pub holidays: Vec<Holiday>,
    /// The revision that was read; none for a calendar that is new.
    pub revision: Option<i64>,
}

impl NewCalendar {
    /// All that is wrong with it, each problem with the path of its field.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut bad = |path: String, message: String| found.push(Problem::new(Code::BadInput, path, message));
        if !is_code(&self.code) {
            let message = format!("is not 1 to {LONGEST_CODE} capital letters, digits and dashes, such as KR");
            bad("code".to_owned(), message);
        }
        name(&self.name, "name".to_owned(), &mut bad);
        let days: BTreeSet<u32> = self.weekend.iter().map(|day| day.days_from_monday()).collect();
        if days.len() < self.weekend.len() {
            bad("weekend".to_owned(), "names a day twice".to_owned());
        }
        if days.len() == Weekday::ALL.len() {
            bad("weekend".to_owned(), "is the whole week, which leaves no business day".to_owned());
        }
        if self.holidays.len() > MOST_HOLIDAYS {
            let message = format!("has {} entries; {MOST_HOLIDAYS} are allowed", self.holidays.len());
            bad("holidays".to_owned(), message);
            return found;
        }
        let mut dates = BTreeSet::new();
        for (position, holiday) in self.holidays.iter().enumerate() {
            let path = |field: &str| format!("holidays.{position}.{field}");
            if !(FIRST_YEAR..=LAST_YEAR).contains(&holiday.date.year()) {
                bad(path("date"), format!("is not in the years {FIRST_YEAR} to {LAST_YEAR}"));
            }
            if !dates.insert(holiday.date) {
                bad(path("date"), format!("{} is there twice", holiday.date));
            }
            name(&holiday.name, path("name"), &mut bad);
        }
        found
    }

    /// As it is kept. `before` is what is kept now.
    pub fn after(mut self, before: Option<&BusinessCalendar>, now: Timestamp) -> Result<BusinessCalendar, Problem> {
        let stale = |message: String| Err(Problem::new(Code::Stale, "revision", message));
        match (before, self.revision) {
            (None, None) => {}
            (None, Some(_)) => {
                return stale(format!("there is no calendar '{}' yet; leave the revision out", self.code));
            }
            (Some(before), read) if read != Some(before.revision) => {
                return stale(format!(
                    "calendar '{}' was saved as revision {} at {}; read it again, and say the revision that was read",
                    before.code, before.revision, before.changed_at
                ));
            }
            (Some(_), _) => {}
        }
        self.weekend.sort_by_key(|day| day.days_from_monday());
        self.holidays.sort_by_key(|holiday| holiday.date);
        let holidays = self.holidays.into_iter().map(|one| Holiday { name: one.name.trim().to_owned(), ..one });
        Ok(BusinessCalendar {
            code: self.code,
            name: self.name.trim().to_owned(),
            weekend: self.weekend,
            holidays: holidays.collect(),
            revision: before.map_or(1, |before| before.revision + 1),
            changed_at: now,
        })
    }
}

fn is_code(code: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
    (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(allowed) && !code.starts_with('-')
}

fn name(name: &str, path: String, bad: &mut impl FnMut(String, String)) {
    let length = name.trim().chars().count();
    if length == 0 || length > LONGEST_NAME {
        bad(path, format!("takes 1 to {LONGEST_NAME} characters, not {length}"));
    } else if name.chars().any(char::is_control) {
        bad(path, "has a control character in it".to_owned());
    }
}

impl BusinessCalendar {
    pub fn is_business(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_monday();
        let weekend = self.weekend.iter().any(|day| day.days_from_monday() == weekday);
        !weekend && self.holidays.binary_search_by_key(&date, |holiday| holiday.date).is_err()
    }

    /// Whether somebody entered holidays of a year.
    pub fn knows(&self, year: i32) -> bool {
        self.holidays.iter().any(|holiday| holiday.date.year() == year)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    fn holiday(date: &str, name: &str) -> Holiday {
        Holiday { date: day(date), name: name.to_owned() }
    }

    fn new() -> NewCalendar {
        NewCalendar {
            code: "KR".to_owned(),
            name: " Korea ".to_owned(),
            weekend: vec![Weekday::Sunday, Weekday::Saturday],
            holidays: vec![holiday("2024-09-17", "Chuseok"), holiday("2024-08-15", "Liberation Day")],
            revision: None,
        }
    }

    #[test]
    fn a_day_is_a_business_day_unless_it_is_weekend_or_a_holiday() {
        let korea = new().after(None, Timestamp(0)).expect("it is kept");
        assert_eq!((korea.name.as_str(), korea.revision), ("Korea", 1));
        // 14 August 2024 is a Wednesday.
        for (date, business) in [
            ("2024-08-14", true),
            ("2024-08-15", false),
            ("2024-08-16", true),
            ("2024-08-17", false),
            ("2024-08-18", false),
            ("2024-09-17", false),
        ] {
            assert_eq!(korea.is_business(day(date)), business, "{date}");
        }
        assert!(korea.knows(2024) && !korea.knows(2025));
    }

    #[test]
    fn only_who_read_the_newest_revision_saves_over_it() {
        let korea = new().after(None, Timestamp(0)).expect("it is kept");
        let saved = |revision| NewCalendar { revision, ..new() }.after(Some(&korea), Timestamp(1));
        assert_eq!(saved(Some(1)).map(|saved| saved.revision), Ok(2));
        for read in [None, Some(0), Some(2)] {
            let problem = saved(read).expect_err("stale");
            assert_eq!((problem.code, problem.path.as_str()), (Code::Stale, "revision"));
        }
        let gone = NewCalendar { revision: Some(1), ..new() }.after(None, Timestamp(1));
        assert_eq!(gone.expect_err("stale").code, Code::Stale);
    }

    #[test]
    fn what_makes_no_calendar_is_refused_by_path() {
        let refused = |new: NewCalendar| -> Vec<String> { new.problems().into_iter().map(|one| one.path).collect() };
        assert_eq!(refused(new()), [""; 0]);
        for code in ["", "kr", "-K", "K R", "ABCDEFGHIJKLMNOPQ", "한국"] {
            assert_eq!(refused(NewCalendar { code: code.to_owned(), ..new() }), ["code"], "{code}");
        }
        assert_eq!(refused(NewCalendar { name: " ".to_owned(), ..new() }), ["name"]);
        assert_eq!(refused(NewCalendar { weekend: vec![Weekday::Friday; 2], ..new() }), ["weekend"]);
        assert_eq!(refused(NewCalendar { weekend: Weekday::ALL.to_vec(), ..new() }), ["weekend"]);
        let holidays =
            vec![holiday("2024-01-01", "New Year"), holiday("2024-01-01", "Again"), holiday("0001-01-01", "")];
        assert_eq!(
            refused(NewCalendar { holidays, ..new() }),
            ["holidays.1.date", "holidays.2.date", "holidays.2.name"]
        );
        let many = (0..2_001).map(|n| Holiday { date: day("2024-01-01") + chrono::Days::new(n), name: "x".to_owned() });
        assert_eq!(refused(NewCalendar { holidays: many.collect(), ..new() }), ["holidays"]);
    }
}
