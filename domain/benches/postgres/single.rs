//! G3, G5, G6 and G7: requests of one transaction each, as many at a time as there are clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::Scoped;
use domain::ids::SourceId;
use domain::transactions::transaction::Draft;

use crate::bulk::settled_game;
use crate::measure::measured;
use crate::support::{TestApp, at};
use crate::{Cost, ROUNDS, Ratios, median, others};

const CLIENTS: usize = 64;
const COUNT: usize = 30_000;
const CALA: usize = 2_000;

/// Who records, and into which source.
pub type Teller = (Scoped, SourceId);

pub async fn run() {
    println!("single: requests of one transaction, {CLIENTS} clients");
    let (mut g3, mut g5, mut answers, mut alone) = (Ratios::default(), Ratios::default(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let app = TestApp::new().await;
        let tellers = tellers(&app, 1).await;
        let (one, times) = clients(&tellers, 1, 1_000).await;
        let disk = fdatasync();
        alone.push(percentile(times, 99) / disk);
        let (many, times) = clients(&tellers, CLIENTS, COUNT).await;
        let (half, late) = (percentile(times.clone(), 50), percentile(times, 99));
        answers.push(late / disk);
        let batches = app.number("SELECT count(*) - 1000 FROM ingest_blocks").await.max(1);
        println!("  round {round}: {:.1} requests a batch", COUNT as f64 / batches as f64);
        let bare = others::pgbench(COUNT).await;
        println!(
            "  round {round}: {CLIENTS} clients {many}, answers p50 {half:.2} p99 {late:.2} ms | one client {one} | fdatasync {disk:.2} ms"
        );
        println!("  round {round}: pgbench, one bare row {bare}");
        g5.add(many, bare);
        if let Some(cala) = others::cala("single", (CLIENTS, CALA)).await {
            println!("  round {round}: cala post_transaction {cala}");
            g3.add(many, cala);
        }
        app.domain.shut_down().await;
    }
    g3.tell("G3 single requests ÷ cala post_transaction");
    g5.tell("G5 single requests ÷ pgbench single rows");
    let (answers, alone) = (median(&mut answers), median(&mut alone));
    println!("=> G6 p99 answer ÷ fdatasync p50: {answers:.1} at {CLIENTS} clients, {alone:.1} at one");
}

/// G7: everything to one tenant, and the same to fifty.
pub async fn tenants() {
    println!("tenants: one hot tenant beside fifty, {CLIENTS} clients");
    let mut g7 = Ratios::default();
    for round in 1..=ROUNDS {
        let app = TestApp::new().await;
        let tellers = tellers(&app, 50).await;
        clients(&tellers, CLIENTS, 1_000).await;
        let (fifty, _) = clients(&tellers, CLIENTS, COUNT / 2).await;
        let (hot, _) = clients(&tellers[..1], CLIENTS, COUNT).await;
        println!("  round {round}: hot {hot} | fifty {fifty}");
        g7.add(hot, fifty);
        app.domain.shut_down().await;
    }
    g7.tell("G7 hot tenant ÷ 50 tenants");
}

pub async fn tellers(app: &TestApp, count: usize) -> Vec<Teller> {
    let mut tellers = Vec::with_capacity(count);
    for number in 0..count {
        let tenant = app.tenant(&format!("bench-{number}")).await;
        let source = settled_game(app, &tenant).await;
        tellers.push((tenant.admin.clone(), source));
    }
    tellers
}

/// Has so many clients record `count` transactions, and how long each waited for its answer, in milliseconds.
async fn clients(tellers: &[Teller], clients: usize, count: usize) -> (Cost, Vec<f64>) {
    let left = Arc::new(AtomicUsize::new(0));
    let running = (0..clients).map(|client| {
        let ((scoped, source), left) = (tellers[client % tellers.len()].clone(), left.clone());
        async move {
            let mut times = Vec::new();
            while left.fetch_add(1, Ordering::Relaxed) < count {
                let draft = stake();
                let began = Instant::now();
                scoped.record_transactions(source, vec![draft]).await.expect("recorded");
                times.push(milliseconds(began.elapsed()));
            }
            times
        }
    });
    let running: Vec<_> = running.collect();
    let (times, spent) = measured(async {
        let tasks: Vec<_> = running.into_iter().map(tokio::spawn).collect();
        let mut times = Vec::with_capacity(count);
        for task in tasks {
            times.extend(task.await.expect("a client ends"));
        }
        times
    })
    .await;
    (Cost { rows: count, spent }, times)
}

/// A transaction like no other before.
pub fn stake() -> Draft {
    static NUMBER: AtomicUsize = AtomicUsize::new(1_000);
    stake_at(NUMBER.fetch_add(1, Ordering::Relaxed), "2024-02-29T12:00:00Z")
}

pub fn stake_at(number: usize, when: &str) -> Draft {
    Draft {
        external_id: format!("s{number}"),
        kind: "STAKE".to_owned(),
        amount: (1 + number % 500).to_string(),
        currency: "BIT".to_owned(),
        occurred_at: Some(at(when)),
        product: Some("crash".to_owned()),
        player: Some(format!("p{}", number % 3_000)),
        round: Some(format!("r{number}")),
        ..Draft::default()
    }
}

/// The middle one of some short writes that reach the disk, in milliseconds.
fn fdatasync() -> f64 {
    use std::io::{Seek, Write};
    let path = std::env::temp_dir().join(format!("saldo-bench-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).expect("a file");
    let times = (0..200).map(|_| {
        file.rewind().expect("the beginning");
        file.write_all(&[7; 8_192]).expect("written");
        let began = Instant::now();
        file.sync_data().expect("on disk");
        milliseconds(began.elapsed())
    });
    let mut times: Vec<f64> = times.collect();
    std::fs::remove_file(path).ok();
    median(&mut times)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn percentile(mut times: Vec<f64>, percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() * percent / 100).copied().unwrap_or(f64::NAN)
}
