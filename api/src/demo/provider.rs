//! A provider of slot games that exists only here. What it delivers for a stretch of time is a pure function of its
//! seed and that stretch, so a delivery that was cut off is made again byte for byte, and nothing is remembered.
//!
//! Its records are like real ones: stakes in a few sizes, many small wins and a rare large one around a theoretical
//! RTP of 96 %, busy evenings, records delivered twice, late, cancelled or broken.

use std::fmt::Write;

use chrono_tz::Tz;
use domain::time::{MICROS_PER_SECOND, Timestamp};

pub(super) const ZONE: Tz = chrono_tz::Asia::Seoul;
/// The player by whom the provider tests its own connection.
pub(super) const TEST_PLAYER: &str = "qa-robot";

pub(super) struct Game {
    pub code: &'static str,
    pub name: &'static str,
    /// As the provider states it.
    pub theoretical_rtp: &'static str,
    /// Standard deviation of the payout per unit stake, likewise.
    pub volatility: &'static str,
    /// What a spin pays in hundredths of its stake, and in how many of 10,000 spins. The others lose.
    wins: &'static [(u64, u64)],
}

pub(super) const GAMES: [Game; 3] = [
    Game {
        code: "neon-dragon",
        name: "Neon Dragon",
        theoretical_rtp: "0.96",
        volatility: "2.98",
        wins: &[(50, 2_000), (120, 1_000), (200, 1_200), (500, 400), (1_000, 160), (2_500, 40), (10_000, 4)],
    },
    Game {
        code: "lucky-seven",
        name: "Lucky Seven",
        theoretical_rtp: "0.965",
        volatility: "1.96",
        wins: &[(100, 2_295), (200, 1_100), (300, 600), (700, 265), (1_500, 100)],
    },
    Game {
        code: "han-river",
        name: "Han River",
        theoretical_rtp: "0.955",
        volatility: "1.32",
        wins: &[(100, 2_500), (150, 1_000), (200, 1_000), (300, 600), (500, 200), (1_000, 75)],
    },
];

/// Stakes in won, and how many of 100 spins have them.
const STAKES: [(u64, u64); 6] = [(500, 15), (1_000, 30), (2_000, 25), (5_000, 20), (10_000, 8), (20_000, 2)];
/// How many of 100 possible spins there are in each local hour.
const BUSY: [u64; 24] =
    [55, 40, 30, 20, 15, 12, 15, 20, 25, 30, 32, 36, 42, 40, 38, 38, 42, 48, 58, 70, 82, 90, 86, 70];
const PLAYERS: u64 = 400;

const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;

/// A stretch of time, from whole second to whole second, that one delivery is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub start: Timestamp,
    pub end: Timestamp,
}

const STAMP: &str = "%Y%m%dT%H%M%SZ";

impl Window {
    /// The name of its file, by which the provider finds out later what it has delivered.
    pub fn file_name(self) -> String {
        format!("spins-{}-{}.jsonl", self.start.utc().format(STAMP), self.end.utc().format(STAMP))
    }

    pub fn of_file(name: &str) -> Option<Self> {
        let (start, end) = name.strip_prefix("spins-")?.strip_suffix(".jsonl")?.split_once('-')?;
        let read = |text| chrono::NaiveDateTime::parse_from_str(text, STAMP).ok();
        let (start, end) = (Timestamp::from_utc(read(start)?.and_utc()), Timestamp::from_utc(read(end)?.and_utc()));
        (start < end).then_some(Self { start, end })
    }

    /// How far apart spins may be. What happened while nobody watched is told in fewer of them, or the first start
    /// of the demo would take minutes.
    fn step(self) -> i64 {
        if self.end.0 - self.start.0 <= MICROS_PER_MINUTE { MICROS_PER_SECOND / 10 } else { 20 * MICROS_PER_SECOND }
    }
}

pub(super) struct Provider {
    pub seed: u64,
    /// Nothing happened before.
    pub opened: Timestamp,
}

impl Provider {
    /// JSON Lines, as this provider writes them.
    pub fn deliver(&self, window: Window) -> Vec<u8> {
        let step = window.step();
        let mut file = String::new();
        let first = window.start.0.div_euclid(step) + i64::from(window.start.0.rem_euclid(step) > 0);
        for number in first.. {
            let at = Timestamp(number * step);
            if at >= window.end {
                break;
            }
            self.spin(&mut file, at, step);
        }
        file.into_bytes()
    }

    fn spin(&self, file: &mut String, at: Timestamp, step: i64) {
        let mut chance = Chance::new(self.seed, at, step);
        if !chance.happens(BUSY[hour(at)], 100) {
            return;
        }
        let game = &GAMES[chance.index(GAMES.len())];
        let stake = pick(&STAKES, chance.below(100)).unwrap_or(500);
        let win = pick(game.wins, chance.below(10_000)).map_or(0, |hundredths| stake * hundredths / 100);
        let player = match chance.happens(1, 2_000) {
            true => TEST_PLAYER.to_owned(),
            // Small numbers are drawn more often: a few players play most.
            false => format!("p-{:04}", chance.below(PLAYERS) * chance.below(PLAYERS) / PLAYERS),
        };
        let spin = format!("{:x}", at.0 / 1_000);
        let device = if chance.happens(70, 100) { "MOBILE" } else { "DESKTOP" };
        let late = if chance.happens(1, 400) { chance.minutes(2 * 60, 60 * 60) } else { 0 };
        let broken = chance.happens(1, if step < MICROS_PER_SECOND { 2_000 } else { 20_000 });
        let bet = if broken { format!("{stake}원") } else { stake.to_string() };
        let (code, time) = (game.code, local(at.plus(-late).max(self.opened)));
        let line = format!(
            "{{\"type\":\"SPIN\",\"spin\":\"{spin}\",\"game\":\"{code}\",\"user\":\"{player}\",\"bet\":\"{bet}\",\
             \"win\":\"{win}\",\"time\":\"{time}\",\"device\":\"{device}\"}}\n"
        );
        file.push_str(&line);
        if chance.happens(1, 200) {
            // Delivered twice: a replay.
            file.push_str(&line);
        }
        if win == 0 && chance.happens(1, 250) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                file,
                "{{\"type\":\"CANCEL\",\"spin\":\"{spin}\",\"game\":\"{code}\",\"user\":\"{player}\",\"bet\":\"{stake}\",\
                 \"win\":\"0\",\"time\":\"{time}\",\"device\":\"{device}\"}}"
            );
        }
    }
}

fn hour(at: Timestamp) -> usize {
    use chrono::Timelike;
    at.local(ZONE).hour() as usize
}

/// As the provider writes times: local, without an offset.
fn local(at: Timestamp) -> String {
    at.local(ZONE).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// The entry in whose part of the whole a number falls.
fn pick(table: &[(u64, u64)], mut number: u64) -> Option<u64> {
    for (value, part) in table {
        if number < *part {
            return Some(*value);
        }
        number -= part;
    }
    None
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn new(seed: u64, at: Timestamp, step: i64) -> Self {
        let mut chance = Self(seed ^ (at.0 as u64).rotate_left(17) ^ (step as u64));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    fn happens(&mut self, times: u64, of: u64) -> bool {
        self.below(of) < times
    }

    /// Microseconds of so many minutes.
    fn minutes(&mut self, from: i64, to: i64) -> i64 {
        (from + self.below((to - from) as u64) as i64) * MICROS_PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::MICROS_PER_DAY;

    const PROVIDER: Provider = Provider { seed: 7, opened: Timestamp(0) };

    fn window(start: &str, micros: i64) -> Window {
        let start = Timestamp::parse_rfc3339(start).unwrap();
        Window { start, end: start.plus(micros) }
    }

    fn lines(window: Window) -> Vec<String> {
        String::from_utf8(PROVIDER.deliver(window)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn games_pay_what_they_state() {
        for game in &GAMES {
            let paid: u64 = game.wins.iter().map(|(hundredths, spins)| hundredths * spins).sum();
            let stated: rust_decimal::Decimal = game.theoretical_rtp.parse().unwrap();
            assert_eq!(rust_decimal::Decimal::new(paid.try_into().unwrap(), 6), stated, "{}", game.code);
            // And the volatility: the square root of the mean square less the square of the mean.
            let squares: u64 = game.wins.iter().map(|(hundredths, spins)| hundredths * hundredths * spins).sum();
            let variance = rust_decimal::Decimal::new(squares.try_into().unwrap(), 8) - stated * stated;
            let volatility: rust_decimal::Decimal = game.volatility.parse().unwrap();
            let error = variance - volatility * volatility;
            assert!(error.abs() < volatility * rust_decimal::Decimal::new(2, 2), "{}: {variance}", game.code);
        }
        assert_eq!(STAKES.iter().map(|(_, part)| part).sum::<u64>(), 100);
    }

    #[test]
    fn the_same_time_gives_the_same_records_and_no_two_times_the_same_spin() {
        let minute = window("2026-11-22T12:00:00Z", MICROS_PER_MINUTE);
        assert_eq!(PROVIDER.deliver(minute), PROVIDER.deliver(minute));
        assert_ne!(PROVIDER.deliver(minute), Provider { seed: 8, ..PROVIDER }.deliver(minute));
        let half = |start| window(start, MICROS_PER_MINUTE / 2);
        let mut halves = lines(half("2026-11-22T12:00:00Z"));
        halves.extend(lines(half("2026-11-22T12:00:30Z")));
        assert_eq!(halves, lines(minute), "cut anywhere, nothing is lost or twice");
        assert!((400..620).contains(&halves.len()), "an evening in Seoul: {}", halves.len());
    }

    #[test]
    fn a_day_that_nobody_watched_is_told_in_fewer_records() {
        let day = lines(window("2026-11-22T15:00:00Z", MICROS_PER_DAY));
        assert!((1_700..2_300).contains(&day.len()), "{}", day.len());
        let month: Vec<String> = (0..60)
            .flat_map(|day| lines(window("2026-09-30T15:00:00Z", 0).shifted(day * MICROS_PER_DAY, MICROS_PER_DAY)))
            .collect();
        let count = |wanted: &str| month.iter().filter(|line| line.contains(wanted)).count();
        assert!(count("CANCEL") > 50 && count("원") > 0 && count(TEST_PLAYER) > 0);
        let distinct: std::collections::BTreeSet<&String> = month.iter().collect();
        assert!(month.len() - distinct.len() > 100, "some are delivered twice");
        let evening = window("2026-11-22T12:00:00Z", MICROS_PER_DAY);
        let young = Provider { opened: evening.start, ..PROVIDER }.deliver(evening);
        assert!(!String::from_utf8(young).unwrap().contains("2026-11-21"), "not even late");
        assert!(lines(evening).iter().any(|line| line.contains("2026-11-21")), "late otherwise");
    }

    #[test]
    fn a_file_name_says_its_window() {
        let minute = window("2026-11-22T12:00:00Z", MICROS_PER_MINUTE);
        assert_eq!(minute.file_name(), "spins-20261122T120000Z-20261122T120100Z.jsonl");
        assert_eq!(Window::of_file(&minute.file_name()), Some(minute));
        for other in ["", "spins-.jsonl", "spins-20261122T120000Z-20261122T120000Z.jsonl", "rounds.csv"] {
            assert_eq!(Window::of_file(other), None, "{other}");
        }
    }

    impl Window {
        fn shifted(self, by: i64, length: i64) -> Self {
            Self { start: self.start.plus(by), end: self.start.plus(by + length) }
        }
    }
}
