//! The stretch of time that one delivery is about, and who delivers it.

use domain::time::Timestamp;

use super::chance::MICROS_PER_MINUTE;

/// A simulated provider: everything it delivers follows from its seed and the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Provider {
    pub seed: u64,
    /// Nothing happened before.
    pub opened: Timestamp,
}

/// From whole second to whole second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub start: Timestamp,
    pub end: Timestamp,
}

const STAMP: &str = "%Y%m%dT%H%M%SZ";

impl Window {
    /// A short stretch is told in full.
    pub fn is_full(self) -> bool {
        self.end.0 - self.start.0 <= MICROS_PER_MINUTE
    }

    /// Whether somebody may be watching: only then are there faults.
    pub fn is_live(self) -> bool {
        self.end.0 - self.start.0 < MICROS_PER_MINUTE
    }

    /// The moments in it at which something may happen: `live` microseconds apart, or `sparse` ones. What happened
    /// while nobody watched is told in fewer records, or the first start of the demo would take minutes; `sparse` is
    /// a multiple of `live`, so that what is told of the past is a part of what would have been told live.
    pub fn moments(self, live: i64, sparse: i64) -> impl Iterator<Item = Timestamp> {
        let step = if self.is_full() { live } else { sparse };
        let first = self.start.0.div_euclid(step) + i64::from(self.start.0.rem_euclid(step) > 0);
        (first..).map(move |number| Timestamp(number * step)).take_while(move |at| *at < self.end)
    }

    /// The name of its file, by which its provider finds out later what it has delivered.
    pub fn file_name(self, what: &str, extension: &str) -> String {
        format!("{what}-{}-{}.{extension}", self.start.utc().format(STAMP), self.end.utc().format(STAMP))
    }

    pub fn of_file(name: &str) -> Option<Self> {
        let (stem, _) = name.split_once('.')?;
        let mut parts = stem.split('-').skip(1);
        let mut read = || {
            let time = chrono::NaiveDateTime::parse_from_str(parts.next()?, STAMP).ok()?;
            Some(Timestamp::from_utc(time.and_utc()))
        };
        let window = Self { start: read()?, end: read()? };
        (window.start < window.end && parts.next().is_none()).then_some(window)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const PROVIDER: Provider = Provider { seed: 7, opened: Timestamp(0) };

    pub fn window(start: &str, micros: i64) -> Window {
        let start = Timestamp::parse_rfc3339(start).unwrap();
        Window { start, end: start.plus(micros) }
    }

    /// Days one after the other, as the past is told.
    pub fn days(start: &str, days: i64) -> impl Iterator<Item = Window> {
        use domain::time::MICROS_PER_DAY;
        let first = window(start, MICROS_PER_DAY);
        (0..days).map(move |day| Window {
            start: first.start.plus(day * MICROS_PER_DAY),
            end: first.end.plus(day * MICROS_PER_DAY),
        })
    }

    #[test]
    fn a_file_name_says_its_window() {
        let minute = window("2026-11-22T12:00:00Z", MICROS_PER_MINUTE);
        assert_eq!(minute.file_name("spins", "jsonl"), "spins-20261122T120000Z-20261122T120100Z.jsonl");
        assert_eq!(Window::of_file(&minute.file_name("spins", "jsonl")), Some(minute));
        for other in ["", "spins-.jsonl", "spins-20261122T120000Z-20261122T120000Z.jsonl", "rounds.csv"] {
            assert_eq!(Window::of_file(other), None, "{other}");
        }
    }

    #[test]
    fn the_moments_of_the_past_are_some_of_those_of_the_present() {
        let hour: Vec<Timestamp> =
            window("2026-11-22T12:00:03Z", 60 * MICROS_PER_MINUTE).moments(250_000, 20_000_000).collect();
        assert_eq!(hour.len(), 180);
        let told = |at: &Timestamp| {
            let minute = Window { start: *at, end: at.plus(MICROS_PER_MINUTE) };
            minute.moments(250_000, 20_000_000).next() == Some(*at)
        };
        assert!(hour.iter().all(told));
        let minute = window("2026-11-22T12:00:00Z", MICROS_PER_MINUTE);
        assert_eq!(minute.moments(250_000, 20_000_000).count(), 240);
        assert!(minute.is_full() && !minute.is_live(), "told in full, and nothing goes wrong in it");
        assert!(window("2026-11-22T12:00:00Z", MICROS_PER_MINUTE - 1).is_live());
    }
}
