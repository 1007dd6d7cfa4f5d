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

use measure::{Cost, ROUNDS, Ratios, median};

/// As the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
