//! Several processes of the real binary on one PostgreSQL database, and what breaks under load: a process, all of them,
//! Redis, the database. Nothing acknowledged is lost, nothing is there twice, and whoever follows misses nothing.
//!
//! `make soak` runs the same with many rounds (`SALDO_SOAK_ROUNDS`), and prints a line for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::crash::{Game, books_balance, set_up, settlements};
use crate::follower::{Heard, Way, messages};
use crate::load::{CLIENTS, Load, Month, random};
use crate::postgres::{Database, Postgres, server};
use crate::redis_server::RedisServer;
use crate::saldo::Saldo;

/// What a client sends in a round.
const REQUESTS: usize = 10;
/// The transactions of a round: three to a request, on average.
const ALL: usize = CLIENTS * REQUESTS * 3;
/// How long it may take until everything is well again.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many rounds there are: few in the ordinary test.
fn rounds(ordinary: usize) -> usize {
    std::env::var("SALDO_SOAK_ROUNDS").map_or(ordinary, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Three processes on one database with one master key, their clients, and those who follow.
struct Nodes {
    nodes: Vec<Saldo>,
    database: Database,
    load: Arc<Load>,
    game: Game,
    /// What the follower at each process knows.
    heard: Vec<Heard>,
    round: usize,
    chance: u64,
}

/// What a round has shown.
struct Shown {
    /// How often a follower at a process had to connect.
    connections: Vec<usize>,
    line: String,
}

impl Nodes {
    async fn start(server: &str, redis: Option<&RedisServer>) -> Self {
        let database = Database::on(server).await;
        let mut settings = database.settings();
        // What breaks here is meant to; of the rest, errors are enough.
        settings.push(("SALDO_LOG", "error".to_owned()));
        // Each round signs in anew.
        settings.push(("SALDO_RATE_SIGN_IN", "1000/60".to_owned()));
        settings.extend(redis.map(|redis| ("SALDO_REDIS_URL", redis.url())));
        let first = Saldo::with(settings.clone()).await;
        first.tenant("acme").await;
        let mut nodes = vec![first, Saldo::beside(settings.clone()), Saldo::beside(settings)];
        for node in &mut nodes {
            node.serve().await;
        }
        let game = set_up(&nodes[0], "acme", "CARRY").await;
        let addresses = nodes.iter().map(|node| Some(node.url(""))).collect();
        let load = Arc::new(Load::new(nodes[0].client().clone(), addresses));
        let viewer = nodes[0].graphql(Some(&game.token), "{ viewer { eventCursor } }", json!({})).await;
        let cursor = viewer["viewer"]["eventCursor"].as_str().map(str::to_owned);
        let heard = nodes.iter().map(|_| Heard { cursor: cursor.clone(), ..Heard::default() }).collect();
        let chance = u64::from(std::process::id()) | 1;
        Self { nodes, database, load, game, heard, round: 0, chance }
    }

    /// Records under load while `fault` does its damage, and then looks at everything.
    async fn round(&mut self, fault: impl AsyncFnOnce(&mut Self)) -> Shown {
        self.round += 1;
        let before = self.load.acknowledged().len();
        self.game.token = self.nodes[0].token("acme").await;
        self.load.token.send_replace(self.game.token.clone());
        let done = watch::Sender::new(None);
        let mut followers = Vec::new();
        for (node, heard) in std::mem::take(&mut self.heard).into_iter().enumerate() {
            followers.push(tokio::spawn(follow(self.load.clone(), node, heard, done.subscribe())));
        }
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (load, round) = (self.load.clone(), self.round);
            clients.spawn(async move { load.client(round, client, REQUESTS).await });
        }
        fault(self).await;
        let ends = async { while clients.join_next().await.transpose().expect("a client").is_some() {} };
        tokio::time::timeout(PATIENCE, ends).await.expect("every request is answered in the end");
        let (lost, doubled) = self.lost_and_doubled().await;
        let truth = self.check_settlements().await;
        done.send_replace(Some(truth));
        let heard = tokio::time::timeout(PATIENCE, join_all(followers)).await.expect("followers know the newest state");
        let (heard, connections) = heard.into_iter().map(|heard| heard.expect("a follower")).unzip();
        self.heard = heard;
        books_balance(&self.nodes[0], &self.game).await;
        let all = self.load.acknowledged().len();
        let line = format!(
            "acknowledged {} (in all {all}), lost {lost}, doubled {doubled}; answers lost so far {}, errors {}",
            all - before,
            self.load.lost_answers.load(Ordering::Relaxed),
            self.load.refusals().len(),
        );
        assert_eq!((lost, doubled), (0, 0), "{line}");
        Shown { connections, line }
    }

    /// Compares what was acknowledged with what is there.
    async fn lost_and_doubled(&self) -> (usize, usize) {
        let present = self.database.rows("SELECT external_id FROM transactions ORDER BY 1").await;
        let mut once = present.clone();
        once.dedup();
        let acknowledged = self.load.acknowledged();
        let lost = acknowledged.iter().filter(|id| once.binary_search(id).is_err()).count();
        assert!(once.iter().all(|id| acknowledged.binary_search(id).is_ok()), "nothing is there that nobody sent");
        (lost, present.len() - once.len() + self.load.doubled.load(Ordering::Relaxed))
    }

    /// What each process says of the settlements is what was acknowledged; the count of each.
    async fn check_settlements(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for node in &self.nodes {
            let all = settlements(node, &self.game).await;
            let cents = |amount: &Value| -> i64 {
                let text = amount["amount"].as_str().expect("an amount");
                text.replace('.', "").parse().expect("cents")
            };
            let line = |node: &Value, of: &str| {
                node["lines"].as_array().expect("lines").iter().map(|line| cents(&line[of])).sum::<i64>()
            };
            let said: Vec<Month> = all
                .iter()
                .map(|node| Month {
                    transactions: node["transactionCount"].as_i64().expect("a count"),
                    cents: line(node, "base"),
                })
                .collect();
            let expected = self.load.months();
            assert_eq!(said, expected, "the sums of what was acknowledged");
            for (settlement, month) in all.iter().zip(&expected) {
                assert_eq!(cents(&settlement["total"]), eight_percent(month.cents), "{settlement}");
                counts.insert(settlement["id"].as_str().expect("an id").to_owned(), month.transactions);
            }
        }
        counts
    }

    /// Waits until some more are acknowledged, at most `part` of a round; how many there are in this round.
    async fn some_moment(&mut self, part: usize) -> usize {
        let moment = *self.load.count.borrow() + 1 + random(&mut self.chance) % part;
        self.load.acknowledges(moment).await;
        moment - (self.round - 1) * ALL
    }

    async fn kill(&mut self, victims: &[usize]) {
        let nodes = self.nodes.iter_mut().enumerate().filter(|(node, _)| victims.contains(node));
        join_all(nodes.map(|(_, node)| node.kill())).await;
        self.load.addresses.send_modify(|all| victims.iter().for_each(|node| all[*node] = None));
    }

    async fn start_again(&mut self, node: usize) {
        self.nodes[node].serve().await;
        self.tell_where_they_are();
    }

    fn tell_where_they_are(&self) {
        self.load.addresses.send_replace(self.nodes.iter().map(|node| Some(node.url(""))).collect());
    }

    /// Asks each process whether it is ready until it answers so.
    async fn say_of_themselves(&self, status: u16, words: &str) {
        let asked = self.nodes.iter().map(|node| async move {
            loop {
                let answer = node.client().get(node.url("/readyz")).send().await.expect("it lives");
                let (said, text) = (answer.status().as_u16(), answer.text().await.expect("a text"));
                if said == status && text.contains(words) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        tokio::time::timeout(PATIENCE, join_all(asked)).await.unwrap_or_else(|_| panic!("/readyz: {status} {words}"));
    }
}

/// Half to even, as the contract says.
fn eight_percent(cents: i64) -> i64 {
    let (whole, rest) = ((cents * 8).div_euclid(100), (cents * 8).rem_euclid(100));
    whole + i64::from(rest > 50 || (rest == 50 && whole % 2 != 0))
}

/// Follows at one process, and elsewhere while that is dead, until the newest state of everything is known; how many
/// connections that took.
async fn follow(
    load: Arc<Load>,
    node: usize,
    mut heard: Heard,
    mut done: watch::Receiver<Option<BTreeMap<String, i64>>>,
) -> (Heard, usize) {
    let client = reqwest::Client::new();
    let (mut addresses, token) = (load.addresses.subscribe(), load.token.borrow().clone());
    let mut connections = 0;
    loop {
        let all = addresses.wait_for(|all| all.iter().any(Option::is_some)).await.expect("processes").clone();
        let order = (0..all.len()).map(|turn| &all[(node + turn) % all.len()]);
        let address = order.flatten().next().expect("one that lives");
        let after = heard.cursor.clone();
        let Some(mut said) = messages(Way::Socket, address, &token, &client, after.as_deref()).await else {
            tokio::task::yield_now().await;
            continue;
        };
        connections += 1;
        loop {
            if done.borrow_and_update().as_ref().is_some_and(|truth| *truth == heard.counts) {
                return (heard, connections);
            }
            tokio::select! {
                message = said.next() => match message {
                    Some(message) if message["type"] == "next" && message["payload"]["errors"].is_null() => {
                        heard.take(&message["payload"]["data"]["settlementUpdated"]);
                    }
                    // Dead, or without a database: begin again where it was.
                    _ => break,
                },
                changed = done.changed() => changed.expect("the end is told before it is forgotten"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_is_killed_under_load_and_nothing_is_lost() {
    let Some(server) = server() else { return };
    let mut nodes = Nodes::start(&server, None).await;
    for round in 1..=rounds(1) {
        let victim = random(&mut nodes.chance) % 3;
        let mut moment = 0;
        let shown = nodes
            .round(async |nodes| {
                moment = nodes.some_moment(ALL * 2 / 3).await;
                nodes.kill(&[victim]).await;
                nodes.start_again(victim).await;
            })
            .await;
        eprintln!("round {round}: process {victim} killed after {moment}; {}", shown.line);
        assert_eq!(nodes.load.refusals(), Vec::<String>::new(), "those that live serve everybody");
        for (node, connections) in shown.connections.iter().enumerate() {
            assert!(node == victim || *connections == 1, "whoever follows at process {node} hears nothing of it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_flushed_and_killed_under_load_and_nothing_is_lost() {
    let Some(server) = server() else { return };
    let Some(mut redis) = RedisServer::start() else { return };
    let mut nodes = Nodes::start(&server, Some(&redis)).await;
    for round in 1..=rounds(1) {
        let mut moments = Vec::new();
        let shown = nodes
            .round(async |nodes| {
                for break_it in [|redis: &mut RedisServer| redis.flush(), RedisServer::kill, RedisServer::start_again] {
                    moments.push(nodes.some_moment(ALL / 4).await);
                    break_it(&mut redis);
                }
            })
            .await;
        eprintln!("round {round}: Redis flushed, killed, started after {moments:?}; {}", shown.line);
        assert_eq!(nodes.load.refusals(), Vec::<String>::new(), "nobody needs Redis");
        assert_eq!(shown.connections, [1, 1, 1], "whoever follows hears nothing of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_and_every_process_are_killed_under_load_and_nothing_is_lost() {
    let Some(mut postgres) = Postgres::start().await else { return };
    let mut nodes = Nodes::start(&postgres.url(), None).await;
    for round in 1..=rounds(2) {
        let kills_processes = round % 2 == 0;
        let mut moment = 0;
        let shown = nodes
            .round(async |nodes| {
                moment = nodes.some_moment(ALL * 2 / 3).await;
                postgres.kill();
                if kills_processes {
                    nodes.kill(&[0, 1, 2]).await;
                } else {
                    nodes.say_of_themselves(503, "database: ").await;
                }
                postgres.start_again().await;
                if kills_processes {
                    join_all(nodes.nodes.iter_mut().map(Saldo::serve)).await;
                    nodes.tell_where_they_are();
                }
                nodes.say_of_themselves(200, "database: answers").await;
            })
            .await;
        let victims = if kills_processes { "the database and every process" } else { "the database" };
        let refusals = nodes.load.refusals();
        assert!(refusals.iter().all(|refusal| refusal.contains("UNAVAILABLE")), "{refusals:?}");
        eprintln!("round {round}: {victims} killed after {moment}; {}", shown.line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_closes_at_three_processes_are_one() {
    let Some(server) = server() else { return };
    let mut nodes = Nodes::start(&server, None).await;
    nodes.round(async |_| {}).await;
    let open = settlements(&nodes.nodes[0], &nodes.game).await.remove(0);
    let input = json!({ "settlementId": open["id"] });
    let fields = "settlement { id state transactionCount total { amount } closedAt }";
    let closes = (0..64_usize).map(|number| {
        let (node, token, input) = (&nodes.nodes[number % 3], &nodes.game.token, input.clone());
        async move { node.mutate(token, "closeSettlement", input, fields).await }
    });
    let answers = join_all(closes).await;
    let first = &answers[0]["settlement"];
    assert_eq!((&first["state"], &first["total"]["amount"]), (&json!("CLOSED"), &open["total"]["amount"]));
    assert!(answers.iter().all(|answer| answer["settlement"] == *first), "{answers:?}");
    let entries = nodes.database.rows("SELECT reason FROM ledger_entries WHERE reason = 'CLOSE'").await;
    assert_eq!(entries.len(), 1);
    books_balance(&nodes.nodes[1], &nodes.game).await;
}
