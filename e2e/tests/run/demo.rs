//! `saldo demo`: what it prints works when pasted, and started again it goes on from where it was.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::saldo::Saldo;

struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
    /// As printed, from the line after the address on.
    printed: Vec<String>,
}

const QUERIES: usize = 3;

impl Demo {
    async fn start(saldo: &Saldo) -> Self {
        let mut child = saldo.command(&["demo"]).stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = lines.next_line().await.expect("a line").expect("it says where it is");
        let address = first.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();
        let mut printed: Vec<String> = Vec::new();
        // The sign-in and the queries are the lines with a body.
        while printed.iter().filter(|line| body(line).is_some()).count() < 1 + QUERIES {
            printed.push(lines.next_line().await.expect("a line").expect("queries to try"));
        }
        Self { child, lines, address, printed }
    }

    fn bodies(&self) -> Vec<&str> {
        self.printed.iter().filter_map(|line| body(line)).collect()
    }

    async fn ask(&self, saldo: &Saldo, token: Option<&str>, body: &str) -> Value {
        let request = saldo.client().post(format!("{}/graphql", self.address));
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert!(answer["errors"].is_null(), "{body}: {answer}");
        answer["data"].clone()
    }

    async fn sign_in(&self, saldo: &Saldo) -> String {
        let answer = self.ask(saldo, None, self.bodies()[0]).await;
        answer["signIn"]["accessToken"].as_str().expect("the printed password is right").to_owned()
    }

    /// Until all of the past has been delivered.
    async fn caught_up(&mut self) {
        let line = self.lines.next_line().await.expect("a line").expect("it says when");
        assert!(line.starts_with("The past is delivered"), "{line}");
    }

    async fn kill(mut self) -> Vec<String> {
        self.child.start_kill().expect("it runs");
        self.child.wait().await.expect("it ends");
        let port = |line: String| line.replace(&self.address, "");
        self.printed.into_iter().map(port).collect()
    }
}

/// The JSON that a printed command sends.
fn body(line: &str) -> Option<&str> {
    line.trim().strip_prefix("-d '")?.split('\'').next()
}

#[tokio::test]
async fn the_demo_shows_what_it_prints_and_goes_on_from_where_it_was() {
    let saldo = Saldo::new().await;
    let first = Demo::start(&saldo).await;
    let token = first.sign_in(&saldo).await;
    for query in &first.bodies()[1..] {
        first.ask(&saldo, Some(&token), query).await;
    }
    // Killed in the middle of its past.
    let files = json!({ "query": "{ importRuns(first: 30) { nodes { id } } }" }).to_string();
    while first.ask(&saldo, Some(&token), &files).await["importRuns"]["nodes"].as_array().map_or(0, Vec::len) < 20 {}
    let printed = first.kill().await;

    let mut second = Demo::start(&saldo).await;
    let token = second.sign_in(&saldo).await;
    second.caught_up().await;
    let query = "{ booksCheck { findings } \
                 settlements { nodes { contract { name } currency periodStart transactionCount total { amount } blockers { code } } } \
                 sources { nodes { id name } } conflicts { nodes { externalId } } \
                 transactions(filter: { unpriced: true }) { nodes { id } } }";
    let seen = second.ask(&saldo, Some(&token), &json!({ "query": query }).to_string()).await;
    assert_eq!(seen["booksCheck"]["findings"], json!([]));
    assert_eq!(seen["transactions"]["nodes"], json!([]), "the contracts cover all of it");
    assert_eq!(seen["conflicts"]["nodes"], json!([]), "what is told again is the same");
    settled(seen["settlements"]["nodes"].as_array().expect("a list"));
    let sources = seen["sources"]["nodes"].as_array().expect("a list");
    assert_eq!(sources.len(), 3);
    for source in sources {
        let query = format!(
            "{{ importRuns(filter: {{ sourceId: {} }}, first: 100) {{ nodes {{ fileName state conflicting }} }} }}",
            source["id"]
        );
        let runs = second.ask(&saldo, Some(&token), &json!({ "query": query }).to_string()).await;
        delivered(&source["name"], runs["importRuns"]["nodes"].as_array().expect("a list"));
    }
    assert_eq!(second.kill().await, printed, "the same sign-ins");
}

/// Every contract has a settlement of each of its periods, from the month before on, and no day is missing.
fn settled(settlements: &[Value]) {
    let periods = |contract: &str| settlements.iter().filter(|one| one["contract"]["name"] == contract).count();
    for contract in ["Lumen Games, revenue share", "Empire Draws, tickets sold", "Empire Draws, betting turnover"] {
        assert_eq!(periods(contract), 2, "{contract}: the month before, and this one");
    }
    let halves = periods("Komet, half-monthly by game");
    assert!((3..=4).contains(&halves), "two halves of the month before, and one or two of this one: {halves}");
    assert_eq!(settlements.len(), 6 + halves);
    let currencies: BTreeSet<_> = settlements.iter().map(|settlement| settlement["currency"].as_str()).collect();
    assert_eq!(currencies, BTreeSet::from([Some("EUR"), Some("KRW"), Some("USD")]));
    assert!(settlements.iter().any(|settlement| settlement["transactionCount"].as_i64() > Some(50_000)));
    for settlement in settlements {
        let blockers = settlement["blockers"].as_array().expect("a list");
        assert!(blockers.iter().all(|blocker| blocker["code"] != "MISSING_DAYS"), "{settlement}");
    }
}

/// A provider that sends files has sent them one after the other.
fn delivered(source: &Value, runs: &[Value]) {
    if source == "empire-sales" {
        assert_eq!(runs, [] as [Value; 0], "it sends no files");
        return;
    }
    let mut files: Vec<&str> = Vec::new();
    for (age, run) in runs.iter().enumerate().rev() {
        // The newest may be on its way.
        let done = run["state"] == "COMPLETED" || (age == 0 && run["state"] == "RUNNING");
        assert!(done && run["conflicting"] == 0, "{run}");
        files.push(run["fileName"].as_str().expect("a name"));
    }
    assert!(files.len() > 28, "{source}: {files:?}");
    for pair in files.windows(2) {
        let (end, start) = (pair[0].split(['-', '.']).nth(2), pair[1].split('-').nth(1));
        assert_eq!(end, start, "{source}: no gap and nothing twice");
    }
}
