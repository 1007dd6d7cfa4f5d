//! Time cut into periods: half-open stretches in a contract's zone, beginning at its cut-off hour. A local day is
//! what lies between the cut-off of its date and that of the next date, however long clocks make it; a day that a
//! zone skipped is empty and no period.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use super::contract::{ActiveVersion, Cycle, Every, Terms, Weekday};
use crate::time::Timestamp;

/// `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Period {
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

impl Cycle {
    /// The period that an instant belongs to.
    pub fn period(&self, at: Timestamp) -> Period {
        let (first, next) = self.dates(self.local_day(at));
        Period { start: self.start_of(first), end: self.start_of(next) }
    }

    /// The instant at which a local date begins for this contract: the cut-off hour in its zone.
    pub fn start_of(&self, date: NaiveDate) -> Timestamp {
        let hour = NaiveTime::from_hms_opt(u32::from(self.cut_off_hour), 0, 0).unwrap_or(NaiveTime::MIN);
        Timestamp::from_local(date.and_time(hour), self.time_zone)
    }

    /// Whether a period begins at this instant.
    pub fn is_boundary(&self, at: Timestamp) -> bool {
        self.period(at).start == at
    }

    /// Local days from one instant to another, both beginnings of days.
    pub fn days(&self, from: Timestamp, until: Timestamp) -> i64 {
        (self.local_day(until) - self.local_day(from)).num_days()
    }

    /// The beginning of the day so many local days after that of an instant.
    pub fn days_later(&self, at: Timestamp, days: u64) -> Timestamp {
        self.start_of(self.local_day(at) + Days::new(days))
    }

    /// The last local date of a period.
    pub fn last_day(&self, period: Period) -> NaiveDate {
        self.local_day(period.end.plus(-1))
    }

    /// The local year of an instant's day.
    pub fn year(&self, at: Timestamp) -> i32 {
        self.local_day(at).year()
    }

    /// The date whose day an instant lies in.
    fn local_day(&self, at: Timestamp) -> NaiveDate {
        // The clocks' date is right except before the cut-off and around changes of the clocks, by a day or two
        // where a zone crossed the date line.
        let shown = at.local(self.time_zone).date();
        let mut near = (0..=4).filter_map(|back| (shown + Days::new(2)).checked_sub_days(Days::new(back)));
        near.find(|date| self.start_of(*date) <= at).unwrap_or(shown)
    }

    /// The first date of the period around a date, and the first date after it.
    fn dates(&self, date: NaiveDate) -> (NaiveDate, NaiveDate) {
        let first_of_month = date - Days::new(u64::from(date.day0()));
        let next_month = first_of_month + Months::new(1);
        match self.every {
            Every::Day => (date, date + Days::new(1)),
            Every::Week => {
                let starts_on = self.starts_on.unwrap_or(Weekday::Monday).days_from_monday();
                let into = (date.weekday().num_days_from_monday() + 7 - starts_on) % 7;
                let first = date - Days::new(u64::from(into));
                (first, first + Days::new(7))
            }
            Every::HalfMonth => {
                let middle = first_of_month + Days::new(15);
                if date < middle { (first_of_month, middle) } else { (middle, next_month) }
            }
            Every::Month => (first_of_month, next_month),
            Every::Custom => {
                self.custom.as_ref().map_or_else(|| (date, date + Days::new(1)), |custom| custom.dates(date))
            }
        }
    }
}

impl Terms {
    /// The instant from which on it counts nothing, where it says a last day.
    pub fn ends(&self) -> Option<Timestamp> {
        self.valid_until.and_then(|last| last.succ_opt()).map(|next| self.cycle.start_of(next))
    }
}

impl ActiveVersion {
    /// Until when it is in force among versions of its contract: the next one begins, or its own last day is over.
    pub fn until<'v>(&self, others: impl IntoIterator<Item = &'v Self>) -> Option<Timestamp> {
        let later = others.into_iter().filter(|other| {
            other.contract == self.contract && other.replaced_at.is_none() && other.valid_from > self.valid_from
        });
        later.map(|other| other.valid_from).chain(self.terms.ends()).min()
    }
}

impl Weekday {
    pub const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    pub const fn days_from_monday(self) -> u32 {
        self as u32
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "MONDAY",
            Self::Tuesday => "TUESDAY",
            Self::Wednesday => "WEDNESDAY",
            Self::Thursday => "THURSDAY",
            Self::Friday => "FRIDAY",
            Self::Saturday => "SATURDAY",
            Self::Sunday => "SUNDAY",
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::contracts::contract::{Custom, CustomUnit};
    use crate::time::{FIRST_YEAR, LAST_YEAR, MICROS_PER_DAY};

    fn cycle(every: Every, time_zone: Tz, cut_off_hour: u8) -> Cycle {
        Cycle { every, time_zone, cut_off_hour, starts_on: None, custom: None }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn shown(cycle: &Cycle, text: &str) -> (String, String) {
        let period = cycle.period(at(text));
        (period.start.to_rfc3339(), period.end.to_rfc3339())
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn half_past_eight_in_tokyo_on_1_march_is_march_there_and_february_in_utc() {
        let tokyo = cycle(Every::Month, chrono_tz::Asia::Tokyo, 0);
        let utc = cycle(Every::Month, chrono_tz::UTC, 0);
        assert_eq!(shown(&tokyo, "2021-03-01T08:30:00+09:00"), pair("2021-02-28T15:00:00Z", "2021-03-31T15:00:00Z"));
        assert_eq!(shown(&utc, "2021-03-01T08:30:00+09:00"), pair("2021-02-01T00:00:00Z", "2021-03-01T00:00:00Z"));
    }

    #[test]
    fn each_cycle_begins_where_it_says() {
        let seoul = |every, cut_off| cycle(every, chrono_tz::Asia::Seoul, cut_off);
        assert_eq!(
            shown(&seoul(Every::Day, 6), "2021-11-01T05:59:59+09:00"),
            pair("2021-10-30T21:00:00Z", "2021-10-31T21:00:00Z")
        );
        assert_eq!(
            shown(&seoul(Every::Month, 6), "2021-11-01T05:59:59+09:00"),
            pair("2021-09-30T21:00:00Z", "2021-10-31T21:00:00Z")
        );
        assert_eq!(
            shown(&seoul(Every::HalfMonth, 0), "2021-02-15T23:59:59+09:00"),
            pair("2021-01-31T15:00:00Z", "2021-02-15T15:00:00Z")
        );
        assert_eq!(
            shown(&seoul(Every::HalfMonth, 0), "2021-02-16T00:00:00+09:00"),
            pair("2021-02-15T15:00:00Z", "2021-02-28T15:00:00Z")
        );
        // 3 November 2021 is a Wednesday.
        let week = |day| Cycle { starts_on: Some(day), ..cycle(Every::Week, chrono_tz::UTC, 0) };
        assert_eq!(
            shown(&week(Weekday::Monday), "2021-11-03T12:00:00Z"),
            pair("2021-11-01T00:00:00Z", "2021-11-08T00:00:00Z")
        );
        assert_eq!(
            shown(&week(Weekday::Wednesday), "2021-11-03T00:00:00Z"),
            pair("2021-11-03T00:00:00Z", "2021-11-10T00:00:00Z")
        );
        assert_eq!(
            shown(&week(Weekday::Thursday), "2021-11-03T12:00:00Z"),
            pair("2021-10-28T00:00:00Z", "2021-11-04T00:00:00Z")
        );
    }

    #[test]
    fn clocks_that_move_make_days_longer_shorter_or_empty() {
        let rome = cycle(Every::Day, chrono_tz::Europe::Rome, 2);
        // The cut-off is skipped in spring (03:00 takes its place) and shown twice in autumn (the first one counts).
        assert_eq!(shown(&rome, "2021-03-28T01:00:00Z"), pair("2021-03-28T01:00:00Z", "2021-03-29T00:00:00Z"));
        assert_eq!(shown(&rome, "2021-10-31T00:00:00Z"), pair("2021-10-31T00:00:00Z", "2021-11-01T01:00:00Z"));
        // Samoa had no 30 December 2011.
        let apia = cycle(Every::Day, chrono_tz::Pacific::Apia, 0);
        assert_eq!(shown(&apia, "2011-12-30T09:59:59Z"), pair("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"));
        assert_eq!(shown(&apia, "2011-12-30T10:00:00Z"), pair("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"));
    }

    const ZONES: [Tz; 12] = [
        chrono_tz::Asia::Seoul,
        chrono_tz::America::New_York,
        chrono_tz::Australia::Lord_Howe,
        chrono_tz::Pacific::Apia,
        chrono_tz::Asia::Kathmandu,
        chrono_tz::UTC,
        chrono_tz::America::Sao_Paulo,
        chrono_tz::Pacific::Kwajalein,
        chrono_tz::Africa::Monrovia,
        chrono_tz::Africa::Casablanca,
        chrono_tz::Europe::London,
        chrono_tz::Antarctica::Troll,
    ];

    fn patterns() -> impl Strategy<Value = Custom> {
        let unit = prop::sample::select(vec![CustomUnit::Day, CustomUnit::Week, CustomUnit::Month]);
        let lengths = prop_oneof![prop::collection::vec(1_u16..14, 1..6), prop::collection::vec(1_u16..=366, 1..=60)];
        (unit, lengths, FIRST_YEAR..=LAST_YEAR, 1_u32..=12, 1_u32..=28).prop_map(|(unit, lengths, year, month, day)| {
            Custom { from: NaiveDate::from_ymd_opt(year, month, day).expect("a date"), unit, lengths }
        })
    }

    fn cycles() -> impl Strategy<Value = Cycle> {
        let every = vec![Every::Day, Every::Week, Every::HalfMonth, Every::Month, Every::Custom, Every::Custom];
        let (every, starts_on) = (prop::sample::select(every), prop::sample::select(Weekday::ALL.to_vec()));
        (every, prop::sample::select(ZONES.to_vec()), 0_u8..24, starts_on, patterns()).prop_map(
            |(every, time_zone, cut_off_hour, starts_on, custom)| Cycle {
                every,
                time_zone,
                cut_off_hour,
                starts_on: Some(starts_on),
                custom: (every == Every::Custom).then_some(custom),
            },
        )
    }

    /// Any instant of the years that facts may have, or one close to a change of the clocks that zones really made.
    fn instants() -> impl Strategy<Value = Timestamp> {
        let year = |year| {
            let first = NaiveDate::from_ymd_opt(year, 1, 1).expect("a year");
            Timestamp::from_utc(first.and_time(chrono::NaiveTime::MIN).and_utc()).0
        };
        let anywhere = year(FIRST_YEAR)..year(LAST_YEAR + 1);
        let changes: Vec<i64> = [
            "2011-12-30T10:00:00Z",
            "1993-08-21T12:00:00Z",
            "2021-03-14T07:00:00Z",
            "2021-11-07T06:00:00Z",
            "2018-11-04T03:00:00Z",
        ]
        .iter()
        .map(|text| at(text).0)
        .collect();
        prop_oneof![
            anywhere.prop_map(Timestamp),
            (prop::sample::select(changes), -2 * MICROS_PER_DAY..2 * MICROS_PER_DAY)
                .prop_map(|(near, by)| Timestamp(near + by)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_instant_is_in_exactly_one_period_and_periods_tile(cycle in cycles(), at in instants()) {
            let period = cycle.period(at);
            prop_assert!(period.contains(at), "{:?} {} {:?}", cycle, at, period);
            // Both ends of it belong where they should, so no instant of it is in another period, and its
            // neighbours touch it.
            prop_assert_eq!(cycle.period(period.start), period);
            prop_assert_eq!(cycle.period(period.end.plus(-1)), period);
            prop_assert_eq!(cycle.period(period.end).start, period.end);
            prop_assert_eq!(cycle.period(period.start.plus(-1)).end, period.start);
            prop_assert!(cycle.is_boundary(period.start) && !cycle.is_boundary(period.end.plus(-1)));
        }
    }
}
