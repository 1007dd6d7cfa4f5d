//! Komet Interaktiv: a crash game and dice in euro, told as CSV of the German kind (semicolons, decimal commas,
//! windows-1252) in the time of Malta, in a file per quarter of a minute whose upload breaks off and is resumed.
//!
//! Stake and payout are in one record. A round of the crash game ends for all its players at the same multiple; whoever
//! left before is paid.

use chrono_tz::Tz;
use domain::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Timestamp};

use super::agreements::Product;
use super::chance::{Chance, Day, MICROS_PER_MINUTE, is_awake};
use super::faults::{Fault, Occurrence};
use super::window::{Provider, Window};

pub(super) const ZONE: Tz = chrono_tz::Europe::Malta;

const STUDIO: &str = "Komet Interaktiv";
pub(super) const CRASH: Product = Product {
    code: "komet",
    name: "Komet",
    category: "crash",
    studio: STUDIO,
    rtp: Some("0.95"),
    volatility: Some("1.55"),
};
const DICE: Product = Product {
    code: "wuerfel-100",
    name: "Würfel 100",
    category: "dice",
    studio: STUDIO,
    rtp: Some("0.97"),
    volatility: Some("1.79"),
};
pub(super) const PRODUCTS: [Product; 2] = [CRASH, DICE];

const HEADER: &str = "Wette;Runde;Spiel;Spieler;Art;Einsatz;Auszahlung;Topf;Währung;Zeit;Gerät;Status\r\n";

/// Stakes in cents, and how many of 100 bets have them.
const STAKES: [(u64, u64); 6] = [(50, 10), (100, 25), (200, 25), (500, 22), (1_000, 13), (2_500, 5)];
/// At which multiple, in hundredths, players leave the crash game; whatever they choose, it pays 95 %.
const LEAVES: [(u64, u64); 6] = [(120, 20), (150, 25), (200, 30), (300, 15), (1_000, 8), (5_000, 2)];
/// What dice pay in hundredths, and in how many of 1,000 throws: seven in ten bet on half of the numbers, three on a
/// tenth of them.
const DICE_WINS: [(u64, u64); 2] = [(194, 350), (970, 30)];
/// Whoever knows the result takes little at a time.
const KNOWING_STAKE: u64 = 200;
const JACKPOTS: [(u64, u64); 2] = [(25_000, 80), (200_000, 20)];
const BUSY: Day = [30, 14, 5, 3, 2, 3, 6, 12, 20, 26, 30, 34, 38, 36, 34, 34, 38, 46, 56, 66, 72, 70, 60, 46];
const PLAYERS: u64 = 250;
const BETWEEN_BETS: i64 = MICROS_PER_SECOND / 4;
/// In what is told of the past.
const SPARSE: i64 = MICROS_PER_MINUTE;
const ROUND: i64 = 4 * MICROS_PER_SECOND;

/// The records of a stretch of time; nothing where nobody played.
pub(super) fn file(provider: &Provider, window: Window) -> Vec<u8> {
    let mut records = String::new();
    for at in window.moments(BETWEEN_BETS, SPARSE) {
        if let Some(bet) = Bet::placed(provider, at) {
            bet.write(&mut records, &bet.number());
            bet.write_what_follows(provider, &mut records, window.is_full());
        }
        if window.is_live() {
            faults(provider, &mut records, at);
        }
    }
    if records.is_empty() { Vec::new() } else { windows_1252(&format!("{HEADER}{records}")) }
}

/// What goes wrong at this moment, beside what happens anyway.
fn faults(provider: &Provider, records: &mut String, at: Timestamp) {
    let since = |occurrence: &Occurrence| at.0 - occurrence.began.0;
    if let Some(replay) = Fault::HourIsReplayed.at(at).filter(|replay| since(replay) % MICROS_PER_SECOND == 0) {
        // Each second sends an equal part of the hour, and of it a bet a minute: what is told of the past too, and so
        // was surely sent before.
        let part = MICROS_PER_HOUR / replay.fault.seconds();
        let start = replay.began.plus(since(&replay) / MICROS_PER_SECOND * part - MICROS_PER_HOUR);
        let again = (start.0.div_euclid(SPARSE)..).map(|number| Timestamp(number * SPARSE));
        let again = again.skip_while(|moment| *moment < start).take_while(|moment| *moment < start.plus(part));
        for bet in again.filter_map(|moment| Bet::placed(provider, moment)).filter(|bet| bet.at >= provider.opened) {
            bet.write(records, &format!("{}-{}", bet.number(), replay.number));
        }
    }
    if let Some(knowing) = Fault::PlayerKnows.at(at).filter(|_| at.0 % ROUND == 0) {
        let ends = ends(provider, at);
        // Whoever knows does not bet on a round that is over at once.
        if ends > 110 {
            let bet = Bet {
                at,
                told: at,
                game: CRASH,
                player: knowing.knowing_player(),
                bonus: false,
                stake: KNOWING_STAKE,
                paid: KNOWING_STAKE * (ends - 1).min(1_000) / 100,
                pool: false,
            };
            bet.write(records, &format!("{}k", bet.number()));
        }
    }
}

/// The multiple, in hundredths, at which the crash game's round of a moment ends: x or more with probability 0.95 ÷ x.
fn ends(provider: &Provider, at: Timestamp) -> u64 {
    let round = Timestamp(at.0 - at.0.rem_euclid(ROUND));
    let draw = 1 + Chance::new(!provider.seed, round).below(1_000_000);
    (95_000_000 / draw).clamp(100, 100_000)
}

/// One player in one round.
struct Bet {
    at: Timestamp,
    /// When it says it happened.
    told: Timestamp,
    game: Product,
    player: String,
    bonus: bool,
    /// In cents.
    stake: u64,
    paid: u64,
    /// Whether a hundredth of the stake goes into the pool.
    pool: bool,
}

impl Bet {
    /// The bet that is placed at a moment, if there is one: the same whenever it is told.
    fn placed(provider: &Provider, at: Timestamp) -> Option<Self> {
        let mut chance = Chance::new(provider.seed, at);
        if !is_awake(&mut chance, at, ZONE, &BUSY) {
            return None;
        }
        let stake = chance.pick(&STAKES, 100).unwrap_or(100);
        let (game, hundredths) = if chance.happens(70, 100) {
            let leaves = chance.pick(&LEAVES, 100).unwrap_or(200);
            (CRASH, if leaves <= ends(provider, at) { leaves } else { 0 })
        } else {
            (DICE, chance.pick(&DICE_WINS, 1_000).unwrap_or_default())
        };
        let bonus = chance.happens(5, 100);
        let player = format!("K{:05}", 10_000 + chance.player(PLAYERS));
        let told = at.plus(-chance.lateness()).max(provider.opened);
        let pool = game.code == CRASH.code && !bonus;
        Some(Self { at, told, game, player, bonus, stake, paid: stake * hundredths / 100, pool })
    }

    fn number(&self) -> String {
        format!("{:x}", self.at.0 / 1_000)
    }

    fn round(&self) -> String {
        format!("{:x}", self.at.0.div_euclid(ROUND))
    }

    fn write(&self, records: &mut String, number: &str) {
        let kind = if self.bonus { "Bonus" } else { "Echt" };
        self.line(records, number, kind, &euro(self.stake), self.paid, "OK");
    }

    fn line(&self, records: &mut String, number: &str, kind: &str, stake: &str, paid: u64, status: &str) {
        let pooled = if self.pool && status == "OK" && kind == "Echt" { self.stake } else { 0 };
        let mobile = self.at.0 / BETWEEN_BETS % 3 > 0;
        records.push_str(&format!(
            "{number};{};{};{};{kind};{stake};{};{},{:04};EUR;{};{};{status}\r\n",
            self.round(),
            self.game.code,
            self.player,
            euro(paid),
            pooled / 10_000,
            pooled % 10_000,
            self.told.local(ZONE).format("%d.%m.%Y %H:%M:%S%.3f"),
            if mobile { "Mobilgerät" } else { "Büro" },
        ));
    }

    /// What becomes of a bet after it was written: delivered twice, cancelled, a jackpot, a record that nobody can read.
    fn write_what_follows(&self, provider: &Provider, records: &mut String, full: bool) {
        let mut chance = Chance::new(provider.seed.rotate_left(32), self.at);
        let number = self.number();
        if chance.happens(1, 200) {
            self.write(records, &number);
        }
        if self.paid == 0 && !self.bonus && chance.happens(1, 250) {
            self.line(records, &number, "Echt", &euro(self.stake), 0, "Storno");
        }
        if self.pool && chance.happens(1, 5_000) {
            let jackpot = chance.pick(&JACKPOTS, 100).unwrap_or_default();
            self.line(records, &number, "Jackpot", "0,00", jackpot, "OK");
        }
        if chance.happens(1, if full { 1_000 } else { 20_000 }) {
            // Written by hand, it seems.
            self.line(records, &format!("{number}h"), "Echt", &format!("{} €", self.stake / 100), 0, "OK");
        }
    }
}

/// Cents as euro with a decimal comma.
fn euro(cents: u64) -> String {
    format!("{},{:02}", cents / 100, cents % 100)
}

/// The bytes of a text in the only letters that are used here.
fn windows_1252(text: &str) -> Vec<u8> {
    let byte = |letter| match letter {
        '€' => 0x80,
        other => u8::try_from(u32::from(other)).unwrap_or(b'?'),
    };
    text.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::super::chance::tests::{assert_pays, pays};
    use super::super::window::tests::{PROVIDER, days, window};
    use super::*;
    use rust_decimal::Decimal;

    /// Records as fields, without the header.
    fn records(window: Window) -> Vec<Vec<String>> {
        let text: String = file(&PROVIDER, window).into_iter().map(char::from).collect();
        let fields = |line: &str| line.split(';').map(str::to_owned).collect();
        text.lines().skip(1).map(fields).collect()
    }

    fn cents(euro: &str) -> u64 {
        euro.replace(',', "").parse().unwrap()
    }

    const EVENING: &str = "2026-11-22T19:00:00Z";

    #[test]
    fn games_pay_what_they_state() {
        assert_pays(&DICE_WINS, 1_000, DICE.rtp.unwrap(), DICE.volatility.unwrap());
        // A player who leaves at x is paid x in 0.95 ÷ x of all rounds.
        let (mean, _) = pays(&LEAVES, 100);
        let rtp: Decimal = CRASH.rtp.unwrap().parse().unwrap();
        let stated: Decimal = CRASH.volatility.unwrap().parse().unwrap();
        let variance = rtp * mean - rtp * rtp;
        assert!((variance - stated * stated).abs() < stated * Decimal::new(2, 2), "{variance}");
        for x in [120, 200, 1_000] {
            let left = (0..20_000).filter(|round| ends(&PROVIDER, Timestamp(round * ROUND)) >= x).count() as u64;
            assert!((x * left).abs_diff(95 * 20_000) < 95 * 20_000 / 12, "{x}: {left}");
        }
        for table in [&STAKES[..], &LEAVES, &JACKPOTS] {
            assert_eq!(table.iter().map(|(_, part)| part).sum::<u64>(), 100);
        }
    }

    #[test]
    fn the_same_time_gives_the_same_bytes_and_cut_anywhere_nothing_is_lost() {
        let minute = window(EVENING, MICROS_PER_MINUTE);
        assert_eq!(file(&PROVIDER, minute), file(&PROVIDER, minute));
        assert_ne!(file(&PROVIDER, minute), file(&Provider { seed: 8, ..PROVIDER }, minute));
        let live = window(EVENING, 45 * MICROS_PER_SECOND);
        let quarters = (0..3).map(|quarter| Window {
            start: live.start.plus(quarter * 15 * MICROS_PER_SECOND),
            end: live.start.plus((quarter + 1) * 15 * MICROS_PER_SECOND),
        });
        let quarters: Vec<Vec<String>> = quarters.flat_map(records).collect();
        assert_eq!(quarters, records(live));
        assert!((75..225).contains(&quarters.len()), "{}", quarters.len());
        assert!(file(&PROVIDER, minute).contains(&0xE4), "the ä of windows-1252");
    }

    #[test]
    fn the_past_is_a_part_of_what_would_have_been_told_and_quiet_at_night() {
        let sparse = records(window(EVENING, MICROS_PER_HOUR));
        let minutes = (0..60).map(|minute| {
            let start = window(EVENING, 0).start.plus(minute * MICROS_PER_MINUTE);
            Window { start, end: start.plus(MICROS_PER_MINUTE) }
        });
        let full: Vec<Vec<String>> = minutes.flat_map(records).collect();
        assert!(sparse.len() > 30 && full.len() > 150 * sparse.len());
        let by_hand = |record: &&Vec<String>| !record[0].ends_with('h');
        assert!(sparse.iter().filter(by_hand).all(|record| full.contains(record)));
        let night = records(window("2026-11-22T02:00:00Z", 3 * MICROS_PER_HOUR));
        assert!(night.len() * 6 < sparse.len() * 3, "{} {}", night.len(), sparse.len());
        let months: Vec<Vec<String>> = days("2026-09-30T22:00:00Z", 60).flat_map(records).collect();
        let count = |field: usize, value: &str| months.iter().filter(|record| record[field] == value).count();
        assert!(count(4, "Bonus") > 800 && count(4, "Jackpot") > 0 && count(11, "Storno") > 20);
        assert!(months.iter().any(|record| !by_hand(&record)));
        let distinct: std::collections::BTreeSet<&Vec<String>> = months.iter().collect();
        assert!(months.len() - distinct.len() > 50, "some are delivered twice");
        let day = months.len() / 60;
        assert!((380..560).contains(&day), "{day}");
        let opened = window(EVENING, 0).start;
        let bets = |provider| (0..2_000).filter_map(move |n| Bet::placed(provider, opened.plus(n * SPARSE)));
        assert!(bets(&PROVIDER).any(|bet| bet.told < opened), "late");
        assert!(bets(&Provider { opened, ..PROVIDER }).all(|bet| bet.told >= opened), "but from no time before all");
    }

    /// The occurrences of a fault from the evening on.
    fn occurrences(fault: Fault) -> impl Iterator<Item = Occurrence> {
        let all = std::iter::successors(Some(Occurrence::after(window(EVENING, 0).start)), |occurrence| {
            Some(Occurrence::after(occurrence.began))
        });
        all.filter(move |occurrence| occurrence.fault == fault)
    }

    /// The records while it is under way, in the pieces in which they are delivered.
    fn during(occurrence: Occurrence) -> Vec<Vec<String>> {
        let seconds = (0..occurrence.fault.seconds()).map(|second| {
            let start = occurrence.began.plus(second * MICROS_PER_SECOND);
            Window { start, end: start.plus(MICROS_PER_SECOND) }
        });
        seconds.flat_map(records).collect()
    }

    #[test]
    fn an_hour_is_replayed_under_new_ids() {
        let replay = occurrences(Fault::HourIsReplayed).next().unwrap();
        let seen = during(replay);
        let again: Vec<&Vec<String>> = seen.iter().filter(|record| record[0].contains('-')).collect();
        let hour = Window { start: replay.began.plus(-MICROS_PER_HOUR), end: replay.began };
        let mut before: Vec<Vec<String>> = records(hour);
        before.retain(|record| record[11] == "OK" && record[4] != "Jackpot" && !record[0].ends_with('h'));
        before.dedup();
        assert!(before.len() > 30, "{}", before.len());
        let ids = |record: &Vec<String>| record[0].split('-').next().unwrap().to_owned();
        assert!(again.iter().map(|record| ids(record)).eq(before.iter().map(ids)), "each of them, and once");
        assert!(again.iter().zip(&before).all(|(again, before)| again[1..] == before[1..]), "all but the ids");
    }

    #[test]
    fn a_player_who_knows_leaves_just_before_the_end() {
        for knowing in occurrences(Fault::PlayerKnows).take(5) {
            let (seen, name) = (during(knowing), knowing.knowing_player());
            let bets: Vec<&Vec<String>> = seen.iter().filter(|record| record[3] == name).collect();
            assert!((12..=20).contains(&bets.len()), "{}", bets.len());
            assert!(bets.iter().all(|record| cents(&record[6]) > cents(&record[5])), "every one is won");
            let winner = |record: &Vec<String>| record[3].starts_with("sibylle");
            assert!(
                !during(Occurrence { began: knowing.began.plus(-80 * MICROS_PER_SECOND), ..knowing })
                    .iter()
                    .any(winner)
            );
        }
    }
}
