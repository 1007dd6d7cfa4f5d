//! What scoring costs: features with score and without, fitting, and the size of an artefact.

// A statistic is no money, and an example says what it found.
#![allow(clippy::float_arithmetic, clippy::print_stdout)]

use std::time::Instant;

use ml::features::{COUNT, Kind, Memory, Observation, Room, Row};
use ml::{Model, Scratch};

const ROWS: usize = 200_000;
const FITTED: usize = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let players: Vec<String> = (0..2_000).map(|player| format!("player {player}")).collect();
    let rounds: Vec<String> = (0..ROWS).map(|round| format!("round {round}")).collect();
    let seen: Vec<Observation<'_>> = (0..ROWS)
        .map(|turn| {
            let draw = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            Observation {
                kind: if turn % 3 == 1 { Kind::Win } else { Kind::Stake },
                amount: 1.0 + (draw % 1_009) as f64 / 7.0,
                currency: "EUR",
                at: turn as i64 * 2_000_000 + (draw % 1_000_000) as i64,
                source: b"source",
                product: Some(["dice", "wheel", "crash"][draw % 3]),
                player: Some(players[draw % 1_999].as_bytes()),
                round: Some(&rounds[turn - usize::from(turn % 3 == 1)]),
            }
        })
        .collect();
    let mut memory = Memory::new(Room::default());
    let begun = Instant::now();
    let rows: Vec<Row> = seen.iter().map(|seen| memory.observe(seen).row).collect();
    println!("features alone: {:.2} µs a row", begun.elapsed().as_secs_f64() * 1e6 / ROWS as f64);
    memory.keep();
    let begun = Instant::now();
    let model = Model::fit(&rows[ROWS - FITTED..], (0, 1), 1)?;
    println!("fitting {FITTED} rows of {COUNT}: {:.2} s", begun.elapsed().as_secs_f64());
    println!(
        "artefact: {} kB; memory of 2,000 players: {} kB",
        model.written().len() / 1_000,
        memory.written().len() / 1_000
    );
    let (mut memory, mut scratch, mut odd) = (Memory::new(Room::default()), Scratch::new(COUNT), 0.0);
    let mut times: Vec<u32> = Vec::with_capacity(ROWS);
    for seen in &seen {
        let begun = Instant::now();
        let row = memory.observe(seen).row;
        odd += model.score(&row, &mut scratch).surprise;
        memory.keep();
        times.push(begun.elapsed().as_nanos() as u32);
    }
    times.sort_unstable();
    let at = |part: f64| f64::from(times[(part * ROWS as f64) as usize]) / 1e3;
    println!("features and score: median {:.2} µs, p99 {:.2} µs (sum {odd:.0})", at(0.5), at(0.99));
    Ok(())
}
