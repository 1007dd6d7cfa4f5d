//! `make bench`: what live subscribers cost. The release binary runs the demo, whose provider delivers all the while;
//! a file is imported into it without subscribers and with a thousand, in turns, and compared by the server's own CPU
//! time per transaction. Half of the subscribers are on WebSockets and half on streams of events; half are a partner's.
//! Then single transactions are recorded at a steady pace: without subscribers, with a thousand on each way to the
//! client, and beside a process that only broadcasts the same bytes to as many WebSockets (`bare.rs`).
//! Prints one line per round, then the medians, the time from a commit to the subscribers' sockets, and the memory of
//! a subscriber.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "the time that a client sees is what is measured")]
#![expect(clippy::float_arithmetic, reason = "ratios of times are not money")]

mod bare;
#[path = "../../tests/run/follower.rs"]
mod follower;
#[path = "../../tests/run/saldo.rs"]
mod saldo;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bare::Bare;
use follower::{Way, messages};
use futures_util::StreamExt;
use saldo::Saldo;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

const SUBSCRIBERS: usize = 1_000;
const RECORDS: usize = 60_000;
const ROUNDS: usize = 3;
/// Single transactions whose way to the sockets is measured, with nothing else going on but the provider.
const SINGLES: usize = 40;
/// Slower than updates are merged, so that each one is told.
const PACE: Duration = Duration::from_millis(150);

fn main() {
    // `cargo test --benches` only wants to see that it links.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if std::env::args().any(|argument| argument == bare::ARGUMENT) { bare::serve().await } else { run().await }
    });
}

async fn run() {
    let mut saldo = Saldo::new().await;
    let demo = saldo.demo().await;
    let bench = Bench { saldo, demo };
    bench.set_up().await;
    bench.ingest().await;
    bench.fan_out().await;
}

fn quantile(values: &[f64], at: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = ((sorted.len().saturating_sub(1)) as f64 * at).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

struct Bench {
    saldo: Saldo,
    demo: saldo::Demo,
}

struct Crowd {
    stop: watch::Sender<bool>,
    /// Milliseconds from commit to socket, of every update that anybody received.
    times: Arc<Mutex<Vec<f64>>>,
    /// A message as it came.
    sample: String,
    followers: JoinSet<()>,
}

impl Crowd {
    async fn leave(mut self) -> Vec<f64> {
        self.stop.send_replace(true);
        while let Some(left) = self.followers.join_next().await {
            left.expect("a follower");
        }
        std::mem::take(&mut *self.times.lock().expect("times"))
    }
}

impl Bench {
    async fn set_up(&self) {
        let token = &self.demo.admin;
        let mutate = async |name: &str, input: Value, fields: &str| self.saldo.mutate(token, name, input, fields).await;
        let partners = self.saldo.graphql(Some(token), "{ partners { nodes { id } } }", json!({})).await;
        let partner = partners["partners"]["nodes"][0]["id"].clone();
        let emission = |kind: &str, id: &str, amount: &str| json!({ "kind": kind, "externalId": id, "amount": amount, "currency": "'EUR'", "occurredAt": "At", "player": "Player" });
        let emit = json!([emission("STAKE", "Id + ':s'", "number(Bet)"), emission("WIN", "Id + ':w'", "number(Paid)")]);
        let source = json!({ "partnerId": partner, "name": "bench", "mapping": { "format": "csv", "timeZone": "UTC", "emit": emit } });
        mutate("createSource", source, "source { id }").await;
        let terms = json!({
            "validFrom": "2024-01-01", "role": "AGGREGATOR", "scope": { "sources": ["bench"] }, "currency": "EUR",
            "cycle": { "every": "MONTH", "timeZone": "UTC" }, "base": { "ggr": {} },
            "negative": { "mode": "RESET", "level": "TOTAL" },
            "rateTable": { "rows": [{ "code": "all", "percent": "8" }] }
        });
        let contract = json!({ "partnerId": partner, "name": "bench", "terms": terms });
        let created = mutate("createContract", contract, "contract { id }").await;
        let activate = json!({ "contractId": created["contract"]["id"], "version": 1 });
        mutate("activateContractVersion", activate, "contractVersion { state }").await;
    }

    /// Imports without subscribers and with them.
    async fn ingest(&self) {
        println!("{SUBSCRIBERS} subscribers, half WebSocket, half SSE; imports of {RECORDS} records, {ROUNDS} rounds");
        let (mut ratios, mut bulk, mut memory) = (Vec::new(), Vec::new(), None);
        for round in 0..ROUNDS {
            let without = self.import(2 * round).await;
            let before = self.resident_kib();
            let crowd = self.crowd(&[Way::Socket, Way::Events]).await;
            // Later crowds get what the first one gave back.
            memory.get_or_insert((self.resident_kib() - before) as f64 / SUBSCRIBERS as f64);
            crowd.times.lock().expect("times").clear();
            let with = self.import(2 * round + 1).await;
            let times = crowd.leave().await;
            println!(
                "round {}: none {without:.2} µs CPU/row | {SUBSCRIBERS} {with:.2} µs CPU/row | none ÷ {SUBSCRIBERS} {:.2} | {} updates received, commit to socket p50 {:.0} ms, p99 {:.0} ms",
                round + 1,
                without / with,
                times.len(),
                quantile(&times, 0.5),
                quantile(&times, 0.99),
            );
            ratios.push(without / with);
            bulk.extend(times);
        }
        println!("median of none ÷ {SUBSCRIBERS} by CPU per row: {:.2} (aim 0.9)", quantile(&ratios, 0.5));
        println!(
            "commit to socket during imports: p50 {:.0} ms, p99 {:.0} ms (changes within 100 ms are merged)",
            quantile(&bulk, 0.5),
            quantile(&bulk, 0.99)
        );
        println!("resident memory per subscriber, first crowd: {:.0} KiB", memory.unwrap_or_default());
    }

    /// What a message costs the server, beside what it costs a bare broadcast.
    async fn fan_out(&self) {
        println!("{SINGLES} single transactions to {SUBSCRIBERS} subscribers of one way, {ROUNDS} rounds");
        let (mut costs, mut singles) = ([Vec::new(), Vec::new(), Vec::new()], Vec::new());
        for round in 0..ROUNDS {
            let alone = self.singles(3 * round).await;
            let mut sample = String::new();
            for (n, way) in [Way::Socket, Way::Events].into_iter().enumerate() {
                let crowd = self.crowd(&[way]).await;
                crowd.times.lock().expect("times").clear();
                let cpu = self.singles(3 * round + 1 + n).await;
                sample.clone_from(&crowd.sample);
                let times = crowd.leave().await;
                costs[n].push((cpu - alone) * 1e6 / times.len() as f64);
                singles.extend(times);
            }
            costs[2].push(Bare::start(SUBSCRIBERS).await.broadcast(&sample, SINGLES, PACE).await);
            let [socket, events, bare] = [0, 1, 2].map(|n| costs[n][round]);
            println!(
                "round {}: CPU µs/message: WebSocket {socket:.1} | SSE {events:.1} | bare broadcast {bare:.1} | bare ÷ WebSocket {:.2} | bare ÷ SSE {:.2}",
                round + 1,
                bare / socket,
                bare / events
            );
        }
        let [socket, events, bare] = costs.map(|costs| quantile(&costs, 0.5));
        println!("medians: WebSocket {socket:.1}, SSE {events:.1}, bare {bare:.1} µs CPU/message");
        println!("bare ÷ WebSocket {:.2}, bare ÷ SSE {:.2} (aim 0.7)", bare / socket, bare / events);
        println!(
            "commit to socket of single transactions: p50 {:.0} ms, p99 {:.0} ms",
            quantile(&singles, 0.5),
            quantile(&singles, 0.99)
        );
    }

    /// Records single transactions at their pace; the server's CPU in seconds.
    async fn singles(&self, series: usize) -> f64 {
        let before = self.demo.cpu();
        let mut pace = tokio::time::interval(PACE);
        for number in 0..SINGLES {
            pace.tick().await;
            self.single(series * SINGLES + number).await;
        }
        // The last one is on its way.
        pace.tick().await;
        (self.demo.cpu() - before).as_secs_f64()
    }

    /// Imports a file of its own; the server's CPU in µs per transaction.
    async fn import(&self, number: usize) -> f64 {
        let mut file = "Id,Player,Bet,Paid,At\n".to_owned();
        for n in 0..RECORDS {
            let _ =
                writeln!(file, "{number}-{n},p{},{}.50,0.25,2024-01-{:02} 12:00:00", n % 500, n % 90 + 1, n % 28 + 1);
        }
        let before = self.demo.cpu();
        let upload =
            self.saldo.client().post(self.saldo.url(&format!("/v1/sources/bench/files?name=bench-{number}.csv")));
        let run: Value = upload
            .bearer_auth(&self.demo.admin)
            .body(file)
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        assert_eq!(run["recorded"], json!(2 * RECORDS), "{run}");
        (self.demo.cpu() - before).as_secs_f64() * 1e6 / (2 * RECORDS) as f64
    }

    async fn single(&self, number: usize) {
        let transaction = json!({ "externalId": format!("single-{number}"), "kind": "STAKE",
            "amount": { "amount": "1.00", "currency": "EUR" }, "occurredAt": "2024-01-15T12:00:00Z" });
        let input = json!({ "source": "bench", "transactions": [transaction] });
        self.saldo.mutate(&self.demo.admin, "recordTransactions", input, "results { outcome }").await;
    }

    /// A thousand subscribers, each of whom has been acknowledged by an update.
    async fn crowd(&self, ways: &[Way]) -> Crowd {
        let (stop, times) = (watch::Sender::new(false), Arc::new(Mutex::new(Vec::new())));
        let sample = Arc::new(OnceLock::new());
        let greeted = watch::Sender::new(0_usize);
        let mut followers = JoinSet::new();
        for n in 0..SUBSCRIBERS {
            let way = ways[n % ways.len()];
            let token = if n % 4 < 2 { self.demo.admin.clone() } else { self.demo.partner.clone() };
            let (url, client) = (self.saldo.url(""), self.saldo.client().clone());
            let (mut stop, times, greeted, sample) = (stop.subscribe(), times.clone(), greeted.clone(), sample.clone());
            followers.spawn(async move {
                let mut said = messages(way, &url, &token, &client, None).await.expect("a subscription");
                let mut first = true;
                loop {
                    let message = tokio::select! {
                        message = said.next() => message.expect("the server stays"),
                        _ = stop.changed() => return,
                    };
                    if std::mem::take(&mut first) {
                        sample.get_or_init(|| message.to_string());
                        greeted.send_modify(|greeted| *greeted += 1);
                    }
                    let at = message["payload"]["data"]["settlementUpdated"]["changedAt"]
                        .as_str()
                        .expect("a time")
                        .to_owned();
                    times.lock().expect("times").push(since(&at));
                }
            });
        }
        // The provider's next deliveries reach everybody.
        let mut greeted = greeted.subscribe();
        greeted.wait_for(|greeted| *greeted == SUBSCRIBERS).await.expect("followers");
        let sample = sample.get().cloned().unwrap_or_default();
        Crowd { stop, times, sample, followers }
    }

    fn resident_kib(&self) -> i64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.demo.process)).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.split_whitespace().next().expect("a number").parse().expect("KiB")
    }
}

/// Milliseconds since a time of today, as the API writes it.
fn since(at: &str) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1e3;
    let clock = at.split_once('T').expect("a time").1.trim_end_matches('Z');
    let parts: Vec<f64> = clock.split(':').map(|part| part.parse().expect("a number")).collect();
    let then = ((parts[0] * 60.0 + parts[1]) * 60.0 + parts[2]) * 1e3;
    (now - then).rem_euclid(86_400_000.0)
}
