//! `make bench`: what recording a transaction costs, beside inserting the same rows raw in the same run.
//!
//! The pipeline reads a CSV file, maps, checks, deduplicates, prices under two contracts, keeps the raw bytes and
//! writes; the raw baseline inserts the rows that came of it into one table with the same two keys, in batches of the
//! same size, on the same kind of database. The pipeline runs with the detector and, beside it, without. Compared by CPU time of the whole process per row, because wall time
//! moves with the machine's load. Prints one line per round and the median.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::float_arithmetic, reason = "ratios of times are not money")]

#[path = "../tests/it/databases.rs"]
mod databases;
#[path = "postgres/game.rs"]
mod game;
#[path = "../tests/it/support.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use game::{contract, records};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Connection, Row, SqliteConnection};
use support::TestApp;

/// As the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORDS: u32 = 150_000;
const ROUNDS: usize = 3;
/// Rows of one raw transaction: what a batch of the pipeline has.
const RAW_BATCH: usize = 6_400;
const RAW_STATEMENT: usize = 1_024;

#[derive(Clone, Copy)]
struct Cost {
    rows: usize,
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    fn cpu_per_row(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.rows as f64
    }

    fn rows_per_second(self) -> f64 {
        self.rows as f64 / self.wall.as_secs_f64()
    }
}

fn main() {
    // `cargo test --benches` only wants to see that it links.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let file = records(RECORDS);
        println!("{RECORDS} CSV records, {} MB; CPU is of the whole process, per transaction row", file.len() >> 20);
        let (mut ratios, mut scored) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            let (unscored, _) = round_of(&file, false).await;
            let (pipeline, raw) = round_of(&file, true).await;
            let ratio = raw.cpu_per_row() / pipeline.cpu_per_row();
            println!(
                "round {round}: pipeline {:>7.0} rows/s {:>5.2} µs CPU/row | unscored {:>5.2} µs | raw insert {:>7.0} rows/s {:>5.2} µs CPU/row | raw ÷ pipeline {ratio:.2}",
                pipeline.rows_per_second(),
                pipeline.cpu_per_row(),
                unscored.cpu_per_row(),
                raw.rows_per_second(),
                raw.cpu_per_row(),
            );
            ratios.push(ratio);
            scored.push(pipeline.cpu_per_row() / unscored.cpu_per_row());
        }
        ratios.sort_by(f64::total_cmp);
        println!("median of raw ÷ pipeline by CPU per row: {:.2} (aim 0.25)", ratios[ROUNDS / 2]);
        scored.sort_by(f64::total_cmp);
        println!("median of pipeline with scoring ÷ without by CPU per row: {:.2}", scored[ROUNDS / 2]);
    });
}

async fn round_of(file: &[u8], scored: bool) -> (Cost, Cost) {
    let app = TestApp::new().await;
    let tenant = app.tenant("bench").await;
    if !scored {
        tenant.admin.turn_detector_off().await;
    }
    let game = tenant.crash_game(&app, "utf-8").await;
    contract(&tenant, game, "provider").await;
    let affiliate = tenant.another_partner(&game, "affiliate").await;
    contract(&tenant, affiliate, "affiliate").await;
    let (run, wall, cpu) = measured(tenant.import(game.source, "bench.csv", file)).await;
    let rows = usize::try_from(run.recorded).expect("a count");
    let pipeline = Cost { rows, wall, cpu };
    let raw = raw_insert(&app.folder).await;
    assert_eq!(raw.rows, rows);
    (pipeline, raw)
}

async fn measured<T>(work: impl Future<Output = T>) -> (T, Duration, Duration) {
    let (began, cpu) = (Instant::now(), process_cpu());
    let done = work.await;
    (done, began.elapsed(), process_cpu() - cpu)
}

/// User and system time of this process so far, to a hundredth of a second.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().expect("fields");
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

const COLUMNS: [&str; 26] = [
    "tenant_id",
    "id",
    "source_id",
    "external_id",
    "kind",
    "affects",
    "amount",
    "currency",
    "occurred_at",
    "settled_at",
    "reported_at",
    "recorded_at",
    "product",
    "player",
    "round",
    "round_closed",
    "channel",
    "region",
    "reverses",
    "attributes",
    "note",
    "test",
    "payload_hash",
    "block_id",
    "block_offset",
    "block_length",
];

/// Inserts the rows that the pipeline made into a bare table of the same shape, with the two keys that it needs.
async fn raw_insert(folder: &Path) -> Cost {
    let source =
        SqlitePoolOptions::new().connect_lazy_with(SqliteConnectOptions::new().filename(folder.join("saldo.db")));
    let all = format!("SELECT {} FROM transactions ORDER BY tenant_id, id", COLUMNS.join(", "));
    let rows = sqlx::query(sqlx::AssertSqlSafe(all)).fetch_all(&source).await.expect("rows");
    let options = SqliteConnectOptions::new()
        .filename(folder.join("raw.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-65536");
    let mut raw = SqliteConnection::connect_with(&options).await.expect("a database");
    let schema = format!(
        "CREATE TABLE raw ({}, PRIMARY KEY (tenant_id, id)) WITHOUT ROWID; CREATE UNIQUE INDEX raw_key ON raw (tenant_id, source_id, external_id)",
        COLUMNS.join(", ")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(schema)).execute(&mut raw).await.expect("a table");
    let ((), wall, cpu) = measured(async {
        for batch in rows.chunks(RAW_BATCH) {
            let mut tx = raw.begin().await.expect("a transaction");
            for rows in batch.chunks(RAW_STATEMENT) {
                insert(&mut tx, rows).await;
            }
            tx.commit().await.expect("durable");
        }
    })
    .await;
    Cost { rows: rows.len(), wall, cpu }
}

async fn insert(connection: &mut SqliteConnection, rows: &[SqliteRow]) {
    let row = format!("(?{})", ", ?".repeat(COLUMNS.len() - 1));
    let sql =
        format!("INSERT INTO raw VALUES {row}{} ON CONFLICT DO NOTHING", format!(", {row}").repeat(rows.len() - 1));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for row in rows {
        for (index, column) in COLUMNS.iter().enumerate() {
            query = match *column {
                "amount" | "occurred_at" | "settled_at" | "reported_at" | "recorded_at" | "round_closed" | "test"
                | "block_offset" | "block_length" => query.bind(row.get::<Option<i64>, _>(index)),
                "tenant_id" | "id" | "source_id" | "player" | "payload_hash" | "block_id" => {
                    query.bind(row.get::<Option<Vec<u8>>, _>(index))
                }
                _ => query.bind(row.get::<Option<String>, _>(index)),
            };
        }
    }
    query.execute(connection).await.expect("rows are inserted");
}
