//! `make bench` on PostgreSQL: each part beside its baseline, on the same server, in turns. The server is that of
//! `e2e/with-postgres.sh --durable`. What is compared is the processor's time of server and client together, per
//! transaction: wall time moves with whatever else the machine does.
//!
//!   e2e/with-postgres.sh --durable cargo bench -p domain --bench postgres -- bulk tenants
//!
//! Without names all parts run. `SALDO_BENCH_CALA` names the program of `bench/cala`; without it what is compared with
//! cala-ledger is left out.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::float_arithmetic, reason = "ratios of times are not money")]

mod bulk;
#[path = "../../tests/it/databases.rs"]
mod databases;
mod game;
mod growth;
mod measure;
mod others;
mod raw;
mod single;
#[path = "../../tests/it/support.rs"]
mod support;

use measure::Spent;

pub const ROUNDS: usize = 3;

/// What a number of transactions cost.
#[derive(Clone, Copy)]
pub struct Cost {
    pub rows: usize,
    pub spent: Spent,
}

impl Cost {
    /// Microseconds of server and client for a transaction.
    pub fn cpu(self) -> f64 {
        (self.spent.client + self.spent.server).as_secs_f64() * 1e6 / self.rows as f64
    }

    pub fn per_second(self) -> f64 {
        self.rows as f64 / self.spent.wall.as_secs_f64()
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.spent.server.as_secs_f64() * 1e6 / self.rows as f64;
        write!(f, "{:>7.0}/s {:>7.1} µs CPU ({:.1} server)", self.per_second(), self.cpu(), server)
    }
}

/// Ratios of some rounds, and the one in the middle.
#[derive(Default)]
pub struct Ratios {
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

impl Ratios {
    /// How many times as cheap, and as fast, one is as the other.
    pub fn add(&mut self, one: Cost, other: Cost) {
        self.cpu.push(other.cpu() / one.cpu());
        self.wall.push(one.per_second() / other.per_second());
    }

    pub fn tell(mut self, what: &str) {
        let (cpu, wall) = (median(&mut self.cpu), median(&mut self.wall));
        println!("=> {what}: {cpu:.2} by CPU, {wall:.2} by wall time (medians of {})", self.cpu.len());
    }
}

pub fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to see that it links.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    assert!(databases::on_postgres(), "run this under e2e/with-postgres.sh --durable");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| *wanted == part);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if wants("bulk") {
            bulk::run().await;
        }
        if wants("single") {
            single::run().await;
        }
        if wants("tenants") {
            single::tenants().await;
        }
        if wants("close") {
            growth::close().await;
        }
        if wants("growth") {
            growth::growth().await;
        }
    });
}
