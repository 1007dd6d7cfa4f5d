//! Live updates against the real binary: subscribers come and go, the server dies and comes back, and nobody misses
//! what was committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;

use crate::crash::{Game, books_balance, set_up, settlements};
use crate::follower::{Heard, Way, messages, place};
use crate::saldo::Saldo;

const TRANSACTIONS: usize = 10_000;
/// However few batches it takes: each feeder has a month of its own, so that no two transactions of a batch move the same
/// settlement.
const UPDATES: i64 = 10_000;
const FEEDERS: usize = MONTHS.len();
const FOLLOWERS: usize = 24;
const KILLS: usize = 3;
const MONTHS: [&str; 6] = ["2021-11", "2021-12", "2022-01", "2022-02", "2022-03", "2022-04"];

struct Server {
    saldo: RwLock<Saldo>,
    url: watch::Sender<String>,
    client: reqwest::Client,
    game: Game,
    recorded: watch::Sender<usize>,
}

/// Small steps that look like chance and are the same each time.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).expect("31 bits")
}

impl Server {
    async fn start() -> Self {
        let mut saldo = Saldo::new().await;
        saldo.tenant("acme").await;
        saldo.serve().await;
        let game = set_up(&saldo, "acme", "CARRY").await;
        let url = watch::Sender::new(saldo.url(""));
        let client = saldo.client().clone();
        Self { saldo: RwLock::new(saldo), url, client, game, recorded: watch::Sender::new(0) }
    }

    fn url(&self) -> String {
        self.url.borrow().clone()
    }

    async fn graphql(&self, query: &str, variables: Value) -> Option<Value> {
        let body = json!({ "query": query, "variables": variables });
        let request = self.client.post(format!("{}/graphql", self.url())).bearer_auth(&self.game.token).json(&body);
        let answer: Value = request.send().await.ok()?.json().await.ok()?;
        assert!(answer["errors"].is_null(), "{answer}");
        Some(answer["data"].clone())
    }

    async fn cursor(&self) -> String {
        let viewer = self.graphql("{ viewer { eventCursor } }", json!({})).await.expect("an answer");
        viewer["viewer"]["eventCursor"].as_str().expect("a cursor").to_owned()
    }

    /// Records one transaction, again and again until it is known to be durable.
    async fn record(&self, number: usize) {
        let month = MONTHS[number % MONTHS.len()];
        let transaction = json!({
            "externalId": number.to_string(), "kind": "STAKE", "amount": { "amount": "1.00", "currency": "BIT" },
            "occurredAt": format!("{month}-15T12:00:00Z"), "product": "crash",
        });
        let query = "mutation($input: RecordTransactionsInput!) { recordTransactions(input: $input) {
            results { outcome } userErrors { message } } }";
        let variables = json!({ "input": { "source": "crash", "transactions": [transaction] } });
        loop {
            let mut url = self.url.subscribe();
            if let Some(data) = self.graphql(query, variables.clone()).await {
                let outcome = &data["recordTransactions"]["results"][0]["outcome"];
                assert!(outcome == "RECORDED" || outcome == "REPLAYED", "{data}");
                self.recorded.send_modify(|recorded| *recorded += 1);
                return;
            }
            // The server is gone; the next one says where it is.
            url.changed().await.expect("a server");
        }
    }

    async fn kill_and_restart(&self) {
        let mut saldo = self.saldo.write().await;
        saldo.kill().await;
        saldo.serve().await;
        self.url.send_replace(saldo.url(""));
    }

    /// Follows until `done`, hanging up at random, and then until the newest state of everything is known.
    async fn follow(
        &self,
        seed: u64,
        way: Way,
        from: String,
        mut done: watch::Receiver<Option<BTreeMap<String, i64>>>,
    ) -> Heard {
        let mut heard = Heard { cursor: Some(from), ..Heard::default() };
        let mut state = seed;
        loop {
            let mut url = self.url.subscribe();
            url.mark_unchanged();
            let after = heard.cursor.clone();
            let Some(mut said) = messages(way, &self.url(), &self.game.token, &self.client, after.as_deref()).await
            else {
                tokio::select! {
                    moved = url.changed() => moved.expect("a server"),
                    // It may have been here all the time, and only just not.
                    () = self.is_there() => {}
                }
                continue;
            };
            let mut patience = 1 + random(&mut state) % 60;
            loop {
                if done.borrow_and_update().as_ref().is_some_and(|all| *all == heard.counts) {
                    return heard;
                }
                let message = tokio::select! {
                    message = said.next() => message,
                    changed = done.changed() => {
                        changed.expect("the end is told before it is forgotten");
                        continue;
                    }
                };
                let Some(message) = message else { break };
                assert_eq!(message["type"], "next", "{message}");
                heard.take(&message["payload"]["data"]["settlementUpdated"]);
                patience = patience.saturating_sub(1);
                // Hangs up without a word, but stays once nothing new will come.
                if patience == 0 && done.borrow().is_none() {
                    break;
                }
            }
        }
    }

    async fn is_there(&self) {
        while self.client.get(format!("{}/healthz", self.url())).send().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_tells_subscribers_where_to_resume() {
    let mut server = Server::start().await;
    server.record(0).await;
    let mut said = Vec::new();
    for way in [Way::Socket, Way::Events] {
        let after = server.cursor().await;
        let messages = messages(way, &server.url(), &server.game.token, &server.client, Some(&after)).await;
        let mut messages = messages.expect("a stream");
        server.record(said.len() + 1).await;
        let update = messages.next().await.expect("an update")["payload"]["data"]["settlementUpdated"].clone();
        said.push((update, messages));
    }
    server.saldo.get_mut().terminate().await;
    for (update, messages) in said {
        let rest: Vec<Value> = messages.collect().await;
        let end = rest.iter().find(|message| message["type"] == "error" || !message["payload"]["errors"].is_null());
        let end = end.unwrap_or_else(|| panic!("nobody said that it ends: {rest:?}"));
        let errors = if end["type"] == "error" { &end["payload"] } else { &end["payload"]["errors"] };
        assert_eq!(errors[0]["extensions"]["code"], "UNAVAILABLE");
        let cursor = errors[0]["extensions"]["cursor"].as_str().expect("a cursor");
        assert!(place(cursor) >= place(update["cursor"].as_str().expect("a cursor")));
        let last = rest.last().expect("an end");
        assert!(last["type"] == "complete" || last["code"] == 1012, "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_updates_reach_everybody_through_disconnects_and_kills() {
    let server = Arc::new(Server::start().await);
    let from = server.cursor().await;
    let done = watch::Sender::new(None);
    let mut followers = JoinSet::new();
    for n in 0..FOLLOWERS {
        let way = if n % 2 == 0 { Way::Socket } else { Way::Events };
        let (server, from, done) = (server.clone(), from.clone(), done.subscribe());
        followers.spawn(async move { server.follow(n as u64 + 1, way, from, done).await });
    }
    let mut feeders = JoinSet::new();
    for n in 0..FEEDERS {
        let server = server.clone();
        feeders.spawn(async move {
            for number in (n..TRANSACTIONS).step_by(FEEDERS) {
                server.record(number).await;
            }
        });
    }
    for kill in 1..=KILLS {
        let due = TRANSACTIONS * kill / (KILLS + 1);
        server.recorded.subscribe().wait_for(|recorded| *recorded >= due).await.expect("feeders");
        server.kill_and_restart().await;
    }
    while let Some(fed) = feeders.join_next().await {
        fed.expect("a feeder");
    }
    let last = server.cursor().await;
    assert!(place(&last) - place(&from) >= UPDATES, "{} updates", place(&last) - place(&from));
    let all = settlements(&*server.saldo.read().await, &server.game).await;
    let count = |node: &Value| {
        (node["id"].as_str().expect("an id").to_owned(), node["transactionCount"].as_i64().expect("a count"))
    };
    let truth: BTreeMap<String, i64> = all.iter().map(count).collect();
    assert_eq!(truth.values().sum::<i64>(), TRANSACTIONS as i64, "each once: {truth:?}");
    done.send_replace(Some(truth.clone()));
    let ends = async {
        let mut updates = 0;
        while let Some(heard) = followers.join_next().await {
            let heard = heard.expect("a follower");
            assert_eq!(heard.counts, truth);
            updates += heard.updates;
        }
        updates
    };
    let updates = tokio::time::timeout(Duration::from_secs(60), ends).await.expect("everybody knows the newest state");
    eprintln!("{} updates committed, {updates} received by {FOLLOWERS} subscribers", place(&last) - place(&from));
    books_balance(&*server.saldo.read().await, &server.game).await;
}
