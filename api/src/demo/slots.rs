//! Lumen Games: slot games in won, told as JSON Lines in the time of Seoul, in a small file every few seconds.
//!
//! Its records are like real ones: stakes in a few sizes, many small wins and a rare large one around a theoretical
//! RTP of 96 %, free spins, a jackpot, busy evenings, records delivered twice, late, cancelled or broken.

use chrono_tz::Tz;
use domain::time::{MICROS_PER_SECOND, Timestamp};

use super::agreements::Product;
use super::chance::{Chance, Day, Table, is_awake};
use super::faults::Fault;
use super::window::{Provider, Window};

pub(super) const ZONE: Tz = chrono_tz::Asia::Seoul;
/// The player by whom the provider tests its own connection.
pub(super) const TEST_PLAYER: &str = "qa-robot";

struct Game {
    product: Product,
    /// What a spin pays in hundredths of its stake, and in how many of 10,000 spins. The others lose.
    wins: &'static Table,
}

const fn slot(code: &'static str, name: &'static str, rtp: &'static str, volatility: &'static str) -> Product {
    Product { code, name, category: "slots", studio: "Lumen Games", rtp: Some(rtp), volatility: Some(volatility) }
}

const NEON_DRAGON: Game = Game {
    product: slot("neon-dragon", "Neon Dragon", "0.96", "2.98"),
    wins: &[(50, 2_000), (120, 1_000), (200, 1_200), (500, 400), (1_000, 160), (2_500, 40), (10_000, 4)],
};
const LUCKY_SEVEN: Game = Game {
    product: slot("lucky-seven", "Lucky Seven", "0.965", "1.96"),
    wins: &[(100, 2_295), (200, 1_100), (300, 600), (700, 265), (1_500, 100)],
};
const HAN_RIVER: Game = Game {
    product: slot("han-river", "Han River", "0.955", "1.32"),
    wins: &[(100, 2_500), (150, 1_000), (200, 1_000), (300, 600), (500, 200), (1_000, 75)],
};
const GAMES: [Game; 3] = [NEON_DRAGON, LUCKY_SEVEN, HAN_RIVER];
pub(super) const PRODUCTS: [Product; 3] = [NEON_DRAGON.product, LUCKY_SEVEN.product, HAN_RIVER.product];

/// What Han River pays while its paytable drifts: 150 %.
const DRIFTED: &Table = &[(100, 2_500), (150, 1_500), (200, 1_500), (300, 1_200), (500, 400), (1_000, 165)];

/// Stakes in won, and how many of 100 spins have them.
const STAKES: [(u64, u64); 6] = [(500, 15), (1_000, 30), (2_000, 25), (5_000, 20), (10_000, 8), (20_000, 2)];
/// Stakes from so many won on take part in the jackpot.
const POOL_FROM: u64 = 5_000;
const LEAST: u64 = STAKES[0].0;
const JACKPOTS: [(u64, u64); 3] = [(100_000, 60), (500_000, 30), (2_000_000, 10)];
const BUSY: Day = [55, 40, 30, 20, 15, 12, 15, 20, 25, 30, 32, 36, 42, 40, 38, 38, 42, 48, 58, 70, 82, 90, 86, 70];
const PLAYERS: u64 = 400;
const BETWEEN_SPINS: i64 = MICROS_PER_SECOND / 10;
/// In what is told of the past.
const SPARSE: i64 = 30 * MICROS_PER_SECOND;

/// A record as this provider writes it.
struct Record<'a> {
    spin: &'a str,
    game: &'static str,
    player: &'a str,
    time: &'a str,
    device: &'static str,
}

impl Record<'_> {
    fn line(&self, kind: &str, bet: &str, win: u64, pool: &str) -> String {
        let Self { spin, game, player, time, device } = self;
        format!(
            "{{\"type\":\"{kind}\",\"spin\":\"{spin}\",\"game\":\"{game}\",\"user\":\"{player}\",\"bet\":\"{bet}\",\
             \"win\":\"{win}\",\"pool\":\"{pool}\",\"time\":\"{time}\",\"device\":\"{device}\"}}\n"
        )
    }
}

pub(super) fn file(provider: &Provider, window: Window) -> Vec<u8> {
    let mut file = String::new();
    for at in window.moments(BETWEEN_SPINS, SPARSE) {
        spin(provider, &mut file, at, window);
    }
    file.into_bytes()
}

fn spin(provider: &Provider, file: &mut String, at: Timestamp, window: Window) {
    let mut chance = Chance::new(provider.seed, at);
    if !is_awake(&mut chance, at, ZONE, &BUSY) {
        return;
    }
    let drifts = window.is_live() && Fault::PaytableDrifts.at(at).is_some();
    let mut game = chance.one_of(&GAMES);
    // Word of a game that pays too much gets round.
    if drifts && chance.happens(1, 2) {
        game = &HAN_RIVER;
    }
    let code = game.product.code;
    let wins = if drifts && code == HAN_RIVER.product.code { DRIFTED } else { game.wins };
    let usual = chance.pick(&STAKES, 100).unwrap_or(LEAST);
    // They come with the smallest stake, which keeps a demo that runs for long from owing nothing.
    let stake = if drifts && code == HAN_RIVER.product.code { LEAST } else { usual };
    let win = chance.pick(wins, 10_000).map_or(0, |hundredths| stake * hundredths / 100);
    let player = match chance.happens(1, 2_000) {
        true => TEST_PLAYER.to_owned(),
        false => format!("p-{:04}", chance.player(PLAYERS)),
    };
    let device = if chance.happens(70, 100) { "MOBILE" } else { "DESKTOP" };
    let (spin, time) = (format!("{:x}", at.0 / 1_000), local(at.plus(-chance.lateness()).max(provider.opened)));
    let record = Record { spin: &spin, game: code, player: &player, time: &time, device };
    let free = chance.happens(3, 100);
    // Large stakes on this game put 0.5 % into its pool, which the house adds.
    let has_pool = !free && code == NEON_DRAGON.product.code && stake >= POOL_FROM;
    let pool = if has_pool { stake / 200 } else { 0 }.to_string();
    let broken = chance.happens(1, if window.is_full() { 2_000 } else { 20_000 });
    let bet = if broken { format!("{stake}원") } else { stake.to_string() };
    let line = record.line(if free { "FREE" } else { "SPIN" }, &bet, win, &pool);
    file.push_str(&line);
    if chance.happens(1, 200) {
        // Delivered twice: a replay.
        file.push_str(&line);
    }
    if win == 0 && !free && chance.happens(1, 250) {
        file.push_str(&record.line("CANCEL", &stake.to_string(), 0, "0"));
    }
    if has_pool && chance.happens(1, 1_500) {
        let jackpot = chance.pick(&JACKPOTS, 100).unwrap_or_default();
        file.push_str(&record.line("JACKPOT", "0", jackpot, "0"));
    }
}

/// As the provider writes times: local, without an offset.
fn local(at: Timestamp) -> String {
    at.local(ZONE).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::chance::MICROS_PER_MINUTE;
    use super::super::chance::tests::assert_pays;
    use super::super::window::tests::{PROVIDER, days, window};
    use super::*;
    use domain::time::MICROS_PER_DAY;

    fn lines(window: Window) -> Vec<String> {
        String::from_utf8(file(&PROVIDER, window)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn games_pay_what_they_state() {
        for game in &GAMES {
            assert_pays(game.wins, 10_000, game.product.rtp.unwrap(), game.product.volatility.unwrap());
        }
        assert_pays(DRIFTED, 10_000, "1.5", "1.63");
        assert_eq!(STAKES.iter().map(|(_, part)| part).sum::<u64>(), 100);
    }

    #[test]
    fn the_same_time_gives_the_same_records_and_no_two_times_the_same_spin() {
        let minute = window("2026-11-22T12:00:00Z", MICROS_PER_MINUTE);
        assert_eq!(file(&PROVIDER, minute), file(&PROVIDER, minute));
        assert_ne!(file(&PROVIDER, minute), file(&Provider { seed: 8, ..PROVIDER }, minute));
        let part = |start| window(start, MICROS_PER_MINUTE / 3);
        let mut parts = lines(part("2026-11-22T12:00:00Z"));
        parts.extend(lines(part("2026-11-22T12:00:20Z")));
        let whole = window("2026-11-22T12:00:00Z", 2 * MICROS_PER_MINUTE / 3);
        assert_eq!(parts, lines(whole), "cut anywhere, nothing is lost or twice");
        let minute = lines(minute);
        assert!((400..620).contains(&minute.len()), "an evening in Seoul: {}", minute.len());
    }

    #[test]
    fn a_day_that_nobody_watched_is_told_in_fewer_records() {
        let day = lines(window("2026-11-22T15:00:00Z", MICROS_PER_DAY));
        assert!((1_150..1_550).contains(&day.len()), "{}", day.len());
        let months: Vec<String> = days("2026-09-30T15:00:00Z", 60).flat_map(lines).collect();
        let count = |wanted: &str| months.iter().filter(|line| line.contains(wanted)).count();
        assert!(count("CANCEL") > 50 && count("FREE") > 1_500 && count("JACKPOT") > 0);
        assert!(count("원") > 0 && count(TEST_PLAYER) > 0);
        let distinct: std::collections::BTreeSet<&String> = months.iter().collect();
        assert!(months.len() - distinct.len() > 100, "some are delivered twice");
        let evening = window("2026-11-22T12:00:00Z", MICROS_PER_DAY);
        let young = file(&Provider { opened: evening.start, ..PROVIDER }, evening);
        assert!(!String::from_utf8(young).unwrap().contains("2026-11-21"), "not even late");
        assert!(lines(evening).iter().any(|line| line.contains("2026-11-21")), "late otherwise");
    }

    #[test]
    fn han_river_pays_too_much_while_its_paytable_drifts() {
        // The whole script, ten times, in the pieces in which it is delivered.
        let begins = super::super::faults::Occurrence::after(Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").unwrap());
        let (mut drifted, mut usual) = ((0, 0), (0, 0));
        for second in 0..1_600 {
            let start = begins.began.plus(second * MICROS_PER_SECOND);
            let sum = if Fault::PaytableDrifts.at(start).is_some() { &mut drifted } else { &mut usual };
            for line in lines(Window { start, end: start.plus(MICROS_PER_SECOND) }) {
                let record: serde_json::Value = serde_json::from_str(&line).unwrap();
                if record["game"] == "han-river" && record["type"] == "SPIN" {
                    sum.0 += record["win"].as_str().unwrap().parse::<u64>().unwrap();
                    sum.1 += record["bet"].as_str().unwrap().parse::<u64>().unwrap_or_default();
                }
            }
        }
        let percent = |(won, staked): (u64, u64)| won * 100 / staked;
        assert!((140..160).contains(&percent(drifted)), "{drifted:?}");
        assert!((88..103).contains(&percent(usual)), "{usual:?}");
    }
}
