//! `make bench`: what the time machine costs, over the crash game and over a million made-up transactions of it
//! (`SALDO_REPLAY_ROWS` says how many).
//!
//! A contract with a class by the local hour and one in tiers is in force; replayed are a draft that says the same, which
//! must differ in nothing, and one with other rates. The first simulation copies the facts into columns, which is told
//! apart; the others find them ready, and are measured as a whole: reading terms, pricing every row under both, and
//! comparing. By CPU time of the whole process, because wall time moves with the machine's load. Memory is that of the
//! process, which has recorded the transactions before.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::float_arithmetic, reason = "ratios of times are not money")]

#[path = "../tests/it/databases.rs"]
mod databases;
#[path = "postgres/game.rs"]
mod game;
#[path = "../tests/it/support.rs"]
mod support;

use std::time::{Duration, Instant};

use domain::contracts::contract::Terms;
use domain::ids::ContractId;
use domain::page::PageRequest;
use domain::replay::{Ask, Simulated, Step};
use futures_util::StreamExt;
use support::{TestApp, TestTenant};

/// As the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u32 = 1_000_000;
/// A simulation of few rows is shorter than what CPU time is counted in.
const LONG_ENOUGH: u64 = 3_000_000;

fn main() {
    // `cargo test --benches` only wants to see that it links.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if let Some(file) = support::crash_game_file() {
            measure("the crash game", &file, "windows-1252").await;
        }
        let rows = std::env::var("SALDO_REPLAY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
        // A record is a stake and, of 57 in 100, a win.
        measure(
            "made-up transactions",
            &game::records(u32::try_from(u64::from(rows) * 100 / 157).expect("a count")),
            "utf-8",
        )
        .await;
    });
}

async fn measure(what: &str, file: &[u8], encoding: &str) {
    let app = TestApp::new().await;
    let tenant = app.tenant("bench").await;
    tenant.admin.turn_detector_off().await;
    let game = tenant.crash_game(&app, encoding).await;
    game::contract(&tenant, game, "provider").await;
    let run = tenant.import(game.source, "bench.csv", file).await;
    let (contract, same, other) = drafts(&tenant).await;
    forget_peak();
    let before = kilobytes("VmRSS:");
    let (began, cpu) = (Instant::now(), process_cpu());
    let (first, rows) = simulated(&tenant, contract, same).await;
    let (built, built_cpu) = (began.elapsed(), process_cpu() - cpu);
    println!("{what}: {} transactions, of which {rows} are in the window's extract", run.recorded);
    println!(
        "  first simulation, which builds the extract: {:.2} s, {:.2} s CPU, {:.0} transactions/s",
        built.as_secs_f64(),
        built_cpu.as_secs_f64(),
        rows as f64 / built.as_secs_f64()
    );
    assert_eq!(first.total.difference().0, 0, "a draft that says what is in force differs in nothing");
    assert!(first.lines.iter().all(|line| line.amount.difference().0 == 0));
    for (draft, version) in [("the same", same), ("other rates", other)] {
        let times = LONG_ENOUGH.div_ceil(rows.max(1));
        let (began, cpu) = (Instant::now(), process_cpu());
        let mut difference = 0;
        for _ in 0..times {
            difference = simulated(&tenant, contract, version).await.0.total.difference().0;
        }
        let (wall, cpu) = (began.elapsed(), process_cpu() - cpu);
        let all = (rows * times) as f64;
        println!(
            "  {draft:>11}: {:>9.0} transactions/s and core | {:>9.0} transactions/s of wall time | {:.2} s each | difference {difference}",
            all / cpu.as_secs_f64(),
            all / wall.as_secs_f64(),
            wall.as_secs_f64() / times as f64,
        );
    }
    println!(
        "  memory: {} MB before the first simulation, at most {} MB since",
        before >> 10,
        kilobytes("VmHWM:") >> 10
    );
}

/// The contract, a draft that says what is in force, and one with other rates.
async fn drafts(tenant: &TestTenant) -> (ContractId, i64, i64) {
    let contracts = tenant.admin.contracts(PageRequest::default()).await.expect("contracts").items;
    let contract = contracts.first().expect("a contract").id;
    let versions = tenant.admin.contract_versions(&[contract]).await.expect("versions");
    let terms = versions.first().expect("a version").terms.clone();
    let same = tenant.admin.draft_contract_version(contract, terms.clone()).await.expect("a draft").version;
    let text = serde_json::to_string(&terms).expect("JSON").replace("\"percent\":\"6\"", "\"percent\":\"5.5\"");
    let other: Terms = serde_json::from_str(&text).expect("terms");
    assert_ne!(other, terms);
    (contract, same, tenant.admin.draft_contract_version(contract, other).await.expect("a draft").version)
}

/// A simulation, and how many rows were replayed.
async fn simulated(tenant: &TestTenant, contract: ContractId, version: i64) -> (Simulated, u64) {
    let (from, to) = ("2021-10-01".parse().expect("a day"), "2021-12-31".parse().expect("a day"));
    let ask = Ask { contract, version, from, to, currency: None };
    let mut steps = tenant.admin.simulate_contract_version(ask).await.expect("it begins");
    let mut rows = 0;
    while let Some(step) = steps.next().await {
        match step {
            Step::Progress(progress) => rows = progress.of,
            Step::Done(simulated) => return (*simulated, rows),
            Step::Failed(error) => panic!("{error}"),
        }
    }
    panic!("no outcome");
}

/// User and system time of this process so far, to a hundredth of a second.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("fields");
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Has the kernel begin anew with the peak.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
}

fn kilobytes(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a figure");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
