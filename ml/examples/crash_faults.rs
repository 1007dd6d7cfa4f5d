//! Injects faults into the last third of a crash game's records, one at a time, and tells which are found, after how
//! many records: `crash_faults crash-game-rounds.csv`.
//!
//! The model is fitted to the first two thirds, as they are; alerts are wanted at a rate of 0.5 %. Each fault is
//! injected at twenty places of the last third, and the paytable drifts from one place on, in four sizes. A fault has
//! an alert with the first one on its own transactions; because among many transactions there is one by chance, it
//! counts as found beyond chance where chance gives as many alerts in less than one case of a thousand.

// A statistic is no money, and an example says what it found.
#![allow(clippy::float_arithmetic, clippy::print_stdout)]

mod table;

use std::error::Error;
use std::path::Path;

use ml::alerts::{Alerts, Decision, Wanted};
use ml::features::{Kind, Memory, Observation, Room};
use ml::{Model, Scratch};

const WANTED: Wanted = Wanted { rate: 0.005, most_a_day: 1_000 };
const PLACES: usize = 20;

/// One player in one round.
#[derive(Clone)]
struct Record {
    at: i64,
    player: String,
    round: String,
    stake: f64,
    /// What was paid out; nothing where it was lost.
    won: Option<f64>,
    /// At which the game ended.
    bust: f64,
    injected: bool,
}

/// What became of a run over the last third.
#[derive(Default)]
struct Outcome {
    alerts: usize,
    transactions: usize,
    injected: usize,
    /// Alerts on what was injected.
    hits: usize,
    /// Injected transactions up to the first of them.
    first: Option<usize>,
    /// Injected transactions until there were more than chance explains.
    sure: Option<usize>,
    /// Rounds from the first injected one until the product's returns gave alarm.
    returns: Option<usize>,
    false_returns: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: crash_faults crash-game-rounds.csv")?;
    let records = read(Path::new(&file))?;
    let third = records.len() * 2 / 3;
    let (past, future) = records.split_at(third);
    let mut memory = Memory::new(Room::default());
    let mut rows = Vec::new();
    for record in past {
        observed(record, |seen| rows.push(memory.observe(seen).row));
        memory.keep();
    }
    // What came first had nothing to be compared with.
    let model = Model::fit(&rows[rows.len() / 10..], (past[0].at, past[third - 1].at), 1)?;
    // The threshold settles on the last of what is known.
    let settled = settle(&model, past);
    let clean = run(&model, &memory, settled, future);
    let expected = WANTED.rate * clean.transactions as f64;
    println!(
        "clean: {} alerts of {} transactions, {:.3} % (wanted 0.5 %, within ±{:.0} %); {} false alarms of returns\n",
        clean.alerts,
        clean.transactions,
        100.0 * clean.alerts as f64 / clean.transactions as f64,
        100.0 * f64::max(0.2, 3.0 / expected.sqrt()),
        clean.false_returns,
    );
    println!("| fault | transactions | an alert | after, median | beyond chance | after, median | alerts on it |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, inject) in FAULTS {
        let runs: Vec<Outcome> = (0..PLACES)
            .map(|place| {
                let begin = future.len() * (place + 1) / (PLACES + 2);
                run(&model, &memory, settled, &inject(future, begin))
            })
            .collect();
        tell(name, &runs);
    }
    println!("\n| the paytable pays | returns gave alarm | after |");
    println!("| --- | --- | --- |");
    for percent in [105, 110, 125, 150] {
        let run = run(&model, &memory, settled, &drifted(future, f64::from(percent) / 100.0));
        let found = run.returns.map_or("not found |".into(), |rounds| format!("found | {rounds} records"));
        println!("| {percent} % of what it did | {found} |");
    }
    Ok(())
}

fn tell(name: &str, runs: &[Outcome]) {
    let count = |found: fn(&Outcome) -> Option<usize>| {
        let mut after: Vec<usize> = runs.iter().filter_map(found).collect();
        after.sort_unstable();
        let median = after.get(after.len() / 2).map_or("–".into(), usize::to_string);
        format!("{} of {} | {median}", after.len(), runs.len())
    };
    let hits: usize = runs.iter().map(|run| run.hits).sum();
    let injected: usize = runs.iter().map(|run| run.injected).sum();
    println!(
        "| {name} | {} | {} | {} | {:.1} % |",
        injected / runs.len(),
        count(|run| run.first),
        count(|run| run.sure),
        100.0 * hits as f64 / injected.max(1) as f64,
    );
}

/// How often chance alone gives so many alerts or more, where each transaction is one at the wanted rate (Poisson).
fn by_chance(alerts: usize, transactions: usize) -> f64 {
    let expected = WANTED.rate * transactions as f64;
    let mut term = (-expected).exp();
    let mut fewer = 0.0;
    for count in 0..alerts {
        fewer += term;
        term *= expected / (count + 1) as f64;
    }
    1.0 - fewer
}

type Inject = fn(&[Record], usize) -> Vec<Record>;
const FAULTS: [(&str, Inject); 6] = [
    ("an hour is sent again, under other ids", replayed),
    ("a player knows the result", knowing),
    ("a player doubles the stake, ten rounds in a row", doubling),
    ("a player stakes twice the usual, ten rounds", doubled_by_one),
    ("the source doubles every stake, 30 minutes", |records, place| doubled(records, place, HOUR / 2)),
    ("the source doubles every stake, 6 hours", |records, place| doubled(records, place, 6 * HOUR)),
];

const HOUR: i64 = 3_600_000_000;

/// The hour before a place comes again an hour later, as other rounds.
fn replayed(records: &[Record], place: usize) -> Vec<Record> {
    let end = records[place].at;
    let again = records[..place].iter().filter(|record| record.at >= end - HOUR).map(|record| Record {
        at: record.at + HOUR,
        round: format!("again {}", record.round),
        injected: true,
        ..record.clone()
    });
    merged(records, again.collect())
}

/// A player of usual stakes takes part in forty of the next rounds, and leaves each shortly before it ends.
fn knowing(records: &[Record], place: usize) -> Vec<Record> {
    let rounds = records[place..].iter().filter(|record| record.bust > 1.3).step_by(3).take(40);
    let plays = rounds.enumerate().map(|(number, record)| Record {
        player: "knows".into(),
        stake: 20.0 + (number % 4) as f64 * 10.0,
        won: Some((20.0 + (number % 4) as f64 * 10.0) * (record.bust * 0.95).min(10.0)),
        injected: true,
        ..record.clone()
    });
    merged(records, plays.collect())
}

/// A player takes part in ten more rounds, a minute apart: the first at the usual stake, then each at twice the one
/// before. Every second one wins.
fn doubling(records: &[Record], place: usize) -> Vec<Record> {
    ten_rounds(records, place, |usual, _, turn| usual * 2.0_f64.powi(turn))
}

/// The same player, at twice the stakes of ten rounds played before.
fn doubled_by_one(records: &[Record], place: usize) -> Vec<Record> {
    ten_rounds(records, place, |_, former, _| 2.0 * former)
}

/// Ten rounds of whoever played last before a place and is known by ten records; `stake` makes their stakes from the
/// player's usual one, the one of a round before, and the number of the round.
fn ten_rounds(records: &[Record], place: usize, stake: fn(f64, f64, i32) -> f64) -> Vec<Record> {
    let of =
        |player: &str| -> Vec<&Record> { records[..place].iter().filter(|record| record.player == player).collect() };
    let mut known = records[..place].iter().rev().map(|record| of(&record.player));
    let Some(former) = known.find(|former| former.len() >= 10) else { return records.to_vec() };
    let mut stakes: Vec<f64> = former.iter().map(|record| record.stake).collect();
    stakes.sort_by(f64::total_cmp);
    let usual = stakes[stakes.len() / 2];
    let rounds = (0..10).zip(former.iter().rev()).map(|(turn, former)| {
        let stake = stake(usual, former.stake, turn);
        Record {
            at: records[place].at + i64::from(turn) * HOUR / 60,
            round: format!("burst {turn}"),
            stake,
            won: (turn % 2 == 1).then_some(2.0 * stake),
            injected: true,
            ..(*former).clone()
        }
    });
    merged(records, rounds.collect())
}

/// Whatever is staked for a while arrives twice as large.
fn doubled(records: &[Record], place: usize, length: i64) -> Vec<Record> {
    let begin = records[place].at;
    let records = records.iter().map(|record| {
        let affected = (begin..begin + length).contains(&record.at);
        let factor = if affected { 2.0 } else { 1.0 };
        let won = record.won.map(|won| won * factor);
        Record { stake: record.stake * factor, won, injected: affected, ..record.clone() }
    });
    records.collect()
}

/// From a twentieth of the last third on, the game pays more than it should.
fn drifted(records: &[Record], factor: f64) -> Vec<Record> {
    let begin = records.len() / 20;
    let pay = |(number, record): (usize, &Record)| {
        let injected = number >= begin;
        let won = record.won.map(|won| if injected { won * factor } else { won });
        Record { won, injected, ..record.clone() }
    };
    records.iter().enumerate().map(pay).collect()
}

fn merged(records: &[Record], more: Vec<Record>) -> Vec<Record> {
    let mut all = [records, &more].concat();
    all.sort_by_key(|record| record.at);
    all
}

/// The alerts' threshold after what is known already.
fn settle(model: &Model, records: &[Record]) -> Alerts {
    let (mut memory, mut alerts) = (Memory::new(Room::default()), Alerts::new(WANTED));
    let mut scratch = Scratch::new(ml::features::COUNT);
    for (number, record) in records.iter().enumerate() {
        observed(record, |seen| {
            let row = memory.observe(seen).row;
            if number >= records.len() * 4 / 5 {
                alerts.decide(model.score(&row, &mut scratch).surprise, seen.at, WANTED);
            }
        });
        memory.keep();
    }
    alerts
}

fn run(model: &Model, memory: &Memory, mut alerts: Alerts, records: &[Record]) -> Outcome {
    let (mut memory, mut outcome) = (memory.clone(), Outcome::default());
    let mut scratch = Scratch::new(ml::features::COUNT);
    let (mut begun, mut rounds) = (false, 0);
    for record in records {
        begun |= record.injected;
        rounds += usize::from(begun);
        observed(record, |seen| {
            let ml::features::Observed { row, returns, .. } = memory.observe(seen);
            let alert = alerts.decide(model.score(&row, &mut scratch).surprise, seen.at, WANTED) == Decision::Alert;
            outcome.alerts += usize::from(alert);
            outcome.transactions += 1;
            outcome.injected += usize::from(record.injected);
            if alert && record.injected {
                outcome.hits += 1;
                outcome.first.get_or_insert(outcome.injected);
                if by_chance(outcome.hits, outcome.injected) < 0.001 {
                    outcome.sure.get_or_insert(outcome.injected);
                }
            }
            if returns.is_some() && begun {
                outcome.returns.get_or_insert(rounds);
            }
            outcome.false_returns += usize::from(returns.is_some() && !begun);
        });
        memory.keep();
    }
    outcome
}

/// The transactions of a record: a stake, and where it won, a win.
fn observed(record: &Record, mut each: impl FnMut(&Observation<'_>)) {
    let stake = Observation {
        kind: Kind::Stake,
        amount: record.stake,
        currency: "BIT",
        at: record.at,
        source: b"crash",
        product: Some("crash"),
        player: Some(record.player.as_bytes()),
        round: Some(&record.round),
    };
    each(&stake);
    if let Some(won) = record.won {
        each(&Observation { kind: Kind::Win, amount: won, ..stake });
    }
}

/// In the order of time.
fn read(file: &Path) -> Result<Vec<Record>, Box<dyn Error>> {
    let text = table::read(file)?;
    let mut records = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let &[_, round, player, bet, cashed_out, _, profit, bust, date] = &fields[..] else {
            return Err(format!("line {}: {} fields", number + 1, fields.len()).into());
        };
        let stake: f64 = bet.parse()?;
        let won = if cashed_out == "NA" { None } else { Some(stake + profit.parse::<f64>()?) };
        let at = micros(date).ok_or_else(|| format!("line {}: the time {date}", number + 1))?;
        let (player, round) = (player.to_owned(), round.to_owned());
        // Bytes that are no text are in the column of the bust, in two records.
        let bust = bust.parse().unwrap_or(1.0);
        records.push(Record { at, player, round, stake, won, bust, injected: false });
    }
    records.sort_by_key(|record| record.at);
    Ok(records)
}

/// Of a time like 2021-11-20T19:44:19Z.
fn micros(date: &str) -> Option<i64> {
    let part = |from: usize, to: usize| date.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Days since 1970 by the calendar (Howard Hinnant's days_from_civil, for years from 1).
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + part(11, 13)? * 3_600 + part(14, 16)? * 60 + part(17, 19)?;
    Some(seconds * 1_000_000)
}
