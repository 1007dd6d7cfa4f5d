//! Reads times as a source writes them.

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use crate::time::{FIRST_YEAR, LAST_YEAR, Timestamp};

/// The pattern for milliseconds since 1970, which chrono has no letter for.
const UNIX_MILLIS: &str = "unixMillis";

const LOCAL_FORMS: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

#[derive(Debug)]
pub(super) struct TimeReader {
    zone: Option<Tz>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// RFC 3339, or the same without an offset.
    Standard,
    Pattern {
        items: Vec<Item<'static>>,
        absolute: bool,
    },
    UnixMillis,
}

impl TimeReader {
    /// The error says what is wrong with the pattern.
    pub fn new(zone: Option<Tz>, pattern: Option<&str>) -> Result<Self, String> {
        let form = match pattern {
            None => Form::Standard,
            Some(UNIX_MILLIS) => Form::UnixMillis,
            Some(pattern) => Form::of_pattern(pattern)?,
        };
        if let Form::Pattern { absolute: false, .. } = form
            && zone.is_none()
        {
            return Err("the pattern has no offset (%z), so the mapping needs a timeZone".to_owned());
        }
        Ok(Self { zone, form })
    }

    /// The error says what is wrong with the time.
    pub fn read(&self, text: &str) -> Result<Timestamp, String> {
        let time = match &self.form {
            Form::Standard => self.read_standard(text)?,
            Form::UnixMillis => {
                let millis = text.parse::<i64>().ok().and_then(|millis| millis.checked_mul(1_000));
                Timestamp(millis.ok_or_else(|| format!("'{text}' is not a number of milliseconds since 1970"))?)
            }
            Form::Pattern { items, absolute } => self.read_pattern(text, items, *absolute)?,
        };
        if time.in_range() { Ok(time) } else { Err(out_of_range(text)) }
    }

    fn read_standard(&self, text: &str) -> Result<Timestamp, String> {
        if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
            return Ok(Timestamp::from_utc(time.to_utc()));
        }
        if let Some(local) = LOCAL_FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
            return self.place(local, text);
        }
        if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() {
            return Err(format!("'{text}' is a date without a time"));
        }
        Err(format!("'{text}' is not a time like 2021-11-20T19:44:19Z or 2021-11-20 19:44:19"))
    }

    fn read_pattern(&self, text: &str, items: &[Item<'static>], absolute: bool) -> Result<Timestamp, String> {
        let wrong = |_| format!("'{text}' is not a time as timeFormat says");
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, items.iter()).map_err(wrong)?;
        if absolute {
            // Seconds since 1970 are a time of UTC.
            let time = parsed
                .to_datetime()
                .or_else(|_| parsed.to_naive_datetime_with_offset(0).map(|time| time.and_utc().fixed_offset()));
            return time.map(|time| Timestamp::from_utc(time.to_utc())).map_err(wrong);
        }
        self.place(parsed.to_naive_datetime_with_offset(0).map_err(wrong)?, text)
    }

    /// The instant of a local time. Its year is checked first: far outside, zones cannot be reckoned with.
    fn place(&self, local: NaiveDateTime, text: &str) -> Result<Timestamp, String> {
        let zone = self
            .zone
            .ok_or_else(|| format!("'{text}' has no offset, and the mapping has no timeZone to read it in"))?;
        if !(FIRST_YEAR - 1..=LAST_YEAR + 1).contains(&local.year()) {
            return Err(out_of_range(text));
        }
        Ok(Timestamp::from_local(local, zone))
    }
}

impl Form {
    fn of_pattern(pattern: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(pattern)
            .parse_to_owned()
            .map_err(|_| format!("'{pattern}' is no pattern that chrono knows"))?;
        // A pattern is good if it reads back the time that it writes.
        let sample =
            NaiveDate::from_ymd_opt(2021, 11, 20).and_then(|day| day.and_hms_opt(19, 44, 0)).unwrap_or_default();
        let written = sample.and_utc().format_with_items(items.iter()).to_string();
        let mut parsed = Parsed::new();
        let read = chrono::format::parse(&mut parsed, &written, items.iter());
        if read.is_err() || parsed.to_naive_datetime_with_offset(0) != Ok(sample) {
            return Err(format!("'{pattern}' does not say date and time to the minute"));
        }
        let absolute = parsed.offset().is_some() || parsed.timestamp().is_some();
        Ok(Self::Pattern { items, absolute })
    }
}

fn out_of_range(text: &str) -> String {
    format!("'{text}' lies outside of the years {FIRST_YEAR} to {LAST_YEAR}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(zone: Option<Tz>, pattern: Option<&str>, text: &str) -> Result<String, String> {
        TimeReader::new(zone, pattern).expect("a reader").read(text).map(Timestamp::to_rfc3339)
    }

    #[test]
    fn times_with_an_offset_need_no_zone_and_others_do() {
        let seoul = Some(chrono_tz::Asia::Seoul);
        assert_eq!(read(None, None, "2021-11-20T19:44:19+09:00"), Ok("2021-11-20T10:44:19Z".to_owned()));
        assert_eq!(read(seoul, None, "2021-11-20T19:44:19Z"), Ok("2021-11-20T19:44:19Z".to_owned()));
        for (text, instant) in [
            ("2021-11-20T19:44:19", "2021-11-20T10:44:19Z"),
            ("2021-11-20 19:44:19.123456789", "2021-11-20T10:44:19.123456Z"),
            ("2021-11-20 19:44", "2021-11-20T10:44:00Z"),
        ] {
            assert_eq!(read(seoul, None, text), Ok(instant.to_owned()));
            assert!(read(None, None, text).expect_err("no zone").contains("has no offset"), "{text}");
        }
        assert!(read(seoul, None, "2021-11-20").expect_err("a date").contains("date without a time"));
    }

    #[test]
    fn what_is_no_time_or_stands_for_unknown_is_refused() {
        let utc = Some(Tz::UTC);
        for text in ["", "NA", "now", "UTC", "2021-13-01T00:00:00Z", "2021-02-30 10:00:00", "1637437459", "20:15"] {
            assert!(read(utc, None, text).is_err(), "{text}");
        }
        for text in ["0001-01-01T00:00:00Z", "9999-12-31 23:59:59", "0001-01-01 00:00", "9999-12-31T23:59:59Z"] {
            assert!(read(utc, None, text).expect_err("out of range").contains("outside of the years"), "{text}");
        }
    }

    #[test]
    fn a_doubled_hour_is_the_earlier_and_a_skipped_one_moves_forward() {
        let rome = Some(chrono_tz::Europe::Rome);
        assert_eq!(read(rome, None, "2021-10-31 02:30:00"), Ok("2021-10-31T00:30:00Z".to_owned()));
        assert_eq!(read(rome, None, "2021-03-28 02:30:00"), Ok("2021-03-28T01:30:00Z".to_owned()));
    }

    #[test]
    fn patterns_read_what_they_say() {
        let seoul = Some(chrono_tz::Asia::Seoul);
        assert_eq!(read(seoul, Some("%d.%m.%Y %H:%M"), "20.11.2021 19:44"), Ok("2021-11-20T10:44:00Z".to_owned()));
        assert_eq!(
            read(None, Some("%d/%m/%Y %H:%M:%S %z"), "20/11/2021 19:44:19 +0900"),
            Ok("2021-11-20T10:44:19Z".to_owned())
        );
        assert_eq!(read(None, Some("%s"), "1637437459"), Ok("2021-11-20T19:44:19Z".to_owned()));
        assert_eq!(read(None, Some("unixMillis"), "1637437459123"), Ok("2021-11-20T19:44:19.123Z".to_owned()));
        assert!(read(seoul, Some("%d.%m.%Y %H:%M"), "2021-11-20 19:44").is_err());
        for pattern in ["%Y-%m-%d", "%H:%M", "%Q", "", "%m-%d %H:%M"] {
            assert!(TimeReader::new(seoul, Some(pattern)).is_err(), "{pattern}");
        }
        assert!(TimeReader::new(None, Some("%Y-%m-%d %H:%M")).is_err(), "no zone");
    }
}
