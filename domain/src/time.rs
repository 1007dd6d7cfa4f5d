//! Instants as microseconds since 1970 UTC: what both databases keep exactly, and cheap to compare.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use sea_orm::DeriveValueType;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_HOUR: i64 = 3_600 * MICROS_PER_SECOND;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Facts outside of these years are mistakes (a year 1 or 9999 stands for "unknown" in many exports).
pub const FIRST_YEAR: i32 = 1970;
pub const LAST_YEAR: i32 = 2199;

/// An instant, to the microsecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
#[sea_orm(try_from_u64)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn from_utc(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_micros())
    }

    /// The instant as a UTC time. Instants outside of chrono's range do not arise: what comes from outside passes
    /// [`Timestamp::in_range`] first.
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    pub fn local(self, zone: Tz) -> NaiveDateTime {
        zone.from_utc_datetime(&self.utc().naive_utc()).naive_local()
    }

    /// The instant at which a zone's clocks show this local time: the earlier one where they show it twice, and
    /// where they skip it, as much later as they were moved forward.
    pub fn from_local(local: NaiveDateTime, zone: Tz) -> Self {
        use chrono::offset::LocalResult::{Ambiguous, None, Single};
        match zone.from_local_datetime(&local) {
            Single(time) | Ambiguous(time, _) => Self::from_utc(time.to_utc()),
            None => {
                // Read the time with the offset in force before the gap: 02:30 becomes 03:30.
                let before = zone.from_utc_datetime(&(local - chrono::TimeDelta::hours(24)));
                let offset = chrono::Offset::fix(before.offset());
                let utc = local - chrono::TimeDelta::seconds(i64::from(offset.local_minus_utc()));
                Self::from_utc(utc.and_utc())
            }
        }
    }

    pub fn in_range(self) -> bool {
        use chrono::Datelike;
        // Not by `utc`, which shows what chrono cannot hold as 1970.
        DateTime::from_timestamp_micros(self.0).is_some_and(|time| (FIRST_YEAR..=LAST_YEAR).contains(&time.year()))
    }

    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// RFC 3339 with as many digits as needed: `2021-10-31T15:00:00Z`.
    pub fn to_rfc3339(self) -> String {
        self.utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
    }

    /// Reads RFC 3339 only: a time without an offset is refused. Finer digits than microseconds are cut off.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self::from_utc(time.to_utc())).filter(|time| time.in_range())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("'{text}' is not a time like 2021-10-31T15:00:00Z with an offset"))
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").expect("a local time")
    }

    #[test]
    fn an_ambiguous_time_takes_the_earlier_instant_and_a_missing_one_moves_forward() {
        let zone = chrono_tz::Europe::Rome;
        assert_eq!(Timestamp::from_local(local("2021-10-31T02:30:00"), zone).to_rfc3339(), "2021-10-31T00:30:00Z");
        assert_eq!(Timestamp::from_local(local("2021-03-28T02:30:00"), zone).to_rfc3339(), "2021-03-28T01:30:00Z");
        // A zone that skipped a whole day.
        let zone = chrono_tz::Pacific::Apia;
        assert_eq!(Timestamp::from_local(local("2011-12-30T12:00:00"), zone).to_rfc3339(), "2011-12-30T22:00:00Z");
    }

    #[test]
    fn years_that_stand_for_unknown_are_out_of_range() {
        assert_eq!(Timestamp::parse_rfc3339("0001-01-01T00:00:00Z"), None);
        assert_eq!(Timestamp::parse_rfc3339("9999-12-31T23:59:59Z"), None);
        assert_eq!(Timestamp::parse_rfc3339("2021-10-31T15:00:00"), None);
        assert!(!Timestamp(i64::MAX).in_range() && !Timestamp(i64::MIN).in_range());
        let time = Timestamp::parse_rfc3339("2021-10-31T15:00:00.123456789+09:00").expect("a time");
        assert_eq!(time.to_rfc3339(), "2021-10-31T06:00:00.123456Z");
    }
}
