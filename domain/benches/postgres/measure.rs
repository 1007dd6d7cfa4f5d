//! What work costs: wall time, and the processor's time of this process, of the processes that it started and waited
//! for, and of the PostgreSQL server's, all read from `/proc`.

use std::time::{Duration, Instant};

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

#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub wall: Duration,
    pub client: Duration,
    pub server: Duration,
}

pub async fn measured<T>(work: impl Future<Output = T>) -> (T, Spent) {
    let (began, client, server) = (Instant::now(), client_cpu(), server_cpu());
    let done = work.await;
    (done, Spent { wall: began.elapsed(), client: client_cpu() - client, server: server_cpu() - server })
}

fn client_cpu() -> Duration {
    cpu_of("self").map_or(Duration::ZERO, |(own, children, _)| own + children)
}

/// The server's own process with the children that ended, and those that live.
fn server_cpu() -> Duration {
    let Ok(server) = std::env::var("SALDO_TEST_POSTGRES_PID") else { return Duration::ZERO };
    let parent: u32 = server.parse().expect("a process");
    let (own, ended, _) = cpu_of(&server).expect("the server lives");
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let living = processes.filter_map(|entry| cpu_of(entry.file_name().to_str()?));
    own + ended + living.filter(|(_, _, of)| *of == parent).map(|(own, ..)| own).sum::<Duration>()
}

/// User and system time of a process so far, to a hundredth of a second; the same of its children that it has waited for;
/// whose child it is.
fn cpu_of(process: &str) -> Option<(Duration, Duration, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |fields: &[&str]| fields.iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    let time = |from: usize| Duration::from_millis(ticks(fields.get(from..from + 2).unwrap_or_default()) * 10);
    Some((time(11), time(13), fields.get(1)?.parse().ok()?))
}
