//! G8 of `make bench`: transactions by GraphQL over HTTP beside the same ones given to the core in this process, both in
//! requests of [`EACH`] from [`CLIENTS`] clients, on PostgreSQL, in turns. Compared by the processor's time of this
//! process and the database's for a transaction; who sends the requests is another process, whose time is not counted.
//!
//!   e2e/with-postgres.sh --durable cargo bench -p api --bench http

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::float_arithmetic, reason = "ratios of times are not money")]

#[path = "../../domain/tests/it/databases.rs"]
mod databases;
#[path = "../../domain/benches/postgres/measure.rs"]
mod measure;
#[path = "../tests/it/support.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::num::NonZeroU32;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::app::Settings;
use api::rates::Budget;
use domain::ids::SourceId;
use domain::time::Timestamp;
use domain::transactions::transaction::Draft;
use domain::{Caller, Scoped};
use measure::{Cost, ROUNDS, Ratios, measured};
use serde_json::{Value, json};
use support::{Crash, TestServer};

/// As the server has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EACH: usize = 500;
const CLIENTS: usize = 8;
const REQUESTS: usize = 200;
/// What the process is started with that sends the requests.
const CLIENT: &str = "--as-client";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to see that it links.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    match arguments.iter().position(|argument| argument == CLIENT) {
        Some(at) => runtime.block_on(client(&arguments[at + 1..])),
        None => runtime.block_on(run()),
    }
}

async fn run() {
    assert!(databases::on_postgres(), "run this under e2e/with-postgres.sh --durable");
    println!("http: requests of {EACH} transactions, {CLIENTS} clients");
    let mut g8 = Ratios::default();
    for round in 1..=ROUNDS {
        let server = TestServer::with(&unlimited()).await;
        let crash = server.crash("bench").await;
        let (within, over) = (in_process(&server, &crash).await, over_http(&server, &crash).await);
        println!("  round {round}: in process {within} | GraphQL over HTTP {over}");
        g8.add(over, within);
        server.domain.shut_down().await;
    }
    g8.tell("G8 GraphQL over HTTP ÷ in process");
}

fn unlimited() -> Settings {
    let mut settings = Settings::default();
    let budget = Budget { points: NonZeroU32::MAX, seconds: NonZeroU32::MIN };
    (settings.rates.caller, settings.rates.tenant) = (budget, budget);
    settings
}

async fn in_process(server: &TestServer, crash: &Crash) -> Cost {
    let caller: Caller = server.domain.authenticate(&crash.ada).await.expect("ada");
    let scoped: Scoped = server.domain.for_caller(caller);
    let (_, digits) = crash.source.split_once('_').expect("an id");
    let source = SourceId(digits.parse().expect("its digits"));
    let left = Arc::new(AtomicUsize::new(0));
    let batches: Vec<Vec<Draft>> = (0..REQUESTS).map(|request| numbers(request).map(draft).collect()).collect();
    let batches = Arc::new(batches);
    let clients = (0..CLIENTS).map(|_| {
        let (scoped, left, batches) = (scoped.clone(), left.clone(), batches.clone());
        async move {
            while let Some(drafts) = batches.get(left.fetch_add(1, Ordering::Relaxed)) {
                scoped.record_transactions(source, drafts.clone()).await.expect("recorded");
            }
        }
    });
    let clients: Vec<_> = clients.collect();
    let ((), spent) = measured(all(clients)).await;
    Cost { rows: REQUESTS * EACH, spent }
}

async fn all(clients: Vec<impl Future<Output = ()> + Send + 'static>) {
    let tasks: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
    for task in tasks {
        task.await.expect("a client ends");
    }
}

async fn over_http(server: &TestServer, crash: &Crash) -> Cost {
    let url = format!("http://{}/graphql", server.listen().await);
    let program = std::env::current_exe().expect("this program");
    let mut client = Command::new(program);
    client.args([CLIENT, &url, &crash.ada]).stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut client = client.spawn().expect("a client");
    let told = BufReader::new(client.stdout.take().expect("its words"));
    let go = client.stdin.take();
    let told = line(told).await;
    // It has made its requests and waits; its time is counted only where it is waited for.
    let (_, spent) = measured(async {
        drop(go);
        line(told).await
    })
    .await;
    let ended = tokio::task::spawn_blocking(move || client.wait()).await.expect("a thread").expect("its end");
    assert!(ended.success(), "the client failed");
    Cost { rows: REQUESTS * EACH, spent }
}

/// Waits for a line of it.
async fn line(mut told: impl BufRead + Send + 'static) -> impl BufRead + Send + 'static {
    let read = move || {
        let mut line = String::new();
        told.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the client ended");
        told
    };
    tokio::task::spawn_blocking(read).await.expect("a thread")
}

/// The other process: makes its requests, waits for the word, and sends them.
async fn client(arguments: &[String]) {
    let [url, token] = arguments else { panic!("a URL and a token") };
    let requests = REQUESTS..2 * REQUESTS;
    let bodies: Arc<Vec<String>> = Arc::new(requests.map(body).collect());
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the word");
    let http = reqwest::Client::new();
    let left = Arc::new(AtomicUsize::new(0));
    let clients = (0..CLIENTS).map(|_| {
        let (http, bodies, left) = (http.clone(), bodies.clone(), left.clone());
        let (url, token) = (url.clone(), token.clone());
        async move {
            while let Some(body) = bodies.get(left.fetch_add(1, Ordering::Relaxed)) {
                let request = http.post(&url).bearer_auth(&token).header("content-type", "application/json");
                let answer = request.body(body.clone()).send().await.expect("an answer").text().await.expect("text");
                let answer: Value = serde_json::from_str(&answer).expect("JSON");
                let results = answer["data"]["recordTransactions"]["results"].as_array();
                assert!(
                    results.is_some_and(|all| all.iter().all(|one| one["outcome"] == "RECORDED")),
                    "{:.500}",
                    answer.to_string()
                );
            }
        }
    });
    all(clients.collect()).await;
    println!("done");
}

fn numbers(request: usize) -> std::ops::Range<usize> {
    request * EACH..(request + 1) * EACH
}

fn draft(number: usize) -> Draft {
    Draft {
        external_id: format!("s{number}"),
        kind: "STAKE".to_owned(),
        amount: (1 + number % 500).to_string(),
        currency: "BIT".to_owned(),
        occurred_at: Some(Timestamp::parse_rfc3339(WHEN).expect("a time")),
        product: Some("crash".to_owned()),
        player: Some(format!("p{}", number % 3_000)),
        round: Some(format!("r{number}")),
        ..Draft::default()
    }
}

const WHEN: &str = "2024-02-29T12:00:00Z";

/// The same as a request.
fn body(request: usize) -> String {
    let transactions = numbers(request).map(|number| {
        json!({
            "externalId": format!("s{number}"),
            "kind": "STAKE",
            "amount": { "amount": (1 + number % 500).to_string(), "currency": "BIT" },
            "occurredAt": WHEN,
            "product": "crash",
            "player": format!("p{}", number % 3_000),
            "round": format!("r{number}")
        })
    });
    let input = json!({ "source": "crash", "transactions": transactions.collect::<Vec<_>>() });
    let query = "mutation($input: RecordTransactionsInput!) \
        { recordTransactions(input: $input) { results { externalId outcome } userErrors { code message } } }";
    json!({ "query": query, "variables": { "input": input } }).to_string()
}
