//! Clients that record at several processes while things break, as clients should: what was not answered is asked again
//! elsewhere, the same under the same key. They know what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

pub const CLIENTS: usize = 12;
const MONTHS: [&str; 3] = ["2021-11", "2021-12", "2022-01"];
const RECORD: &str = "mutation($input: RecordTransactionsInput!) { recordTransactions(input: $input) {
    results { outcome } userErrors { code message } } }";

/// What became of a request.
enum Answer {
    /// The outcome of each of its transactions.
    Known(Vec<String>),
    /// The connection broke: it was done, or it was not.
    Lost,
    /// An error: as good as lost.
    Refused(String),
}

/// What is acknowledged in one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Month {
    pub transactions: i64,
    /// Stakes less wins.
    pub cents: i64,
}

pub struct Load {
    client: reqwest::Client,
    /// Where each process is, and nowhere while it is known to be dead.
    pub addresses: watch::Sender<Vec<Option<String>>>,
    pub token: watch::Sender<String>,
    /// How many transactions are acknowledged.
    pub count: watch::Sender<usize>,
    /// What is acknowledged: its month and what it adds to the base.
    acknowledged: Mutex<BTreeMap<String, (&'static str, i64)>>,
    pub lost_answers: AtomicUsize,
    /// Error answers, whatever they say.
    refusals: Mutex<Vec<String>>,
    /// Transactions that two requests were told they had recorded.
    pub doubled: AtomicUsize,
}

/// Small steps that look like chance.
pub fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).expect("31 bits")
}

impl Load {
    pub fn new(client: reqwest::Client, addresses: Vec<Option<String>>) -> Self {
        Self {
            client,
            addresses: watch::Sender::new(addresses),
            token: watch::Sender::default(),
            count: watch::Sender::new(0),
            acknowledged: Mutex::default(),
            lost_answers: AtomicUsize::default(),
            refusals: Mutex::default(),
            doubled: AtomicUsize::default(),
        }
    }

    /// A client's work in one round: so many requests, one after the other.
    pub async fn client(&self, round: usize, client: usize, requests: usize) {
        for request in 0..requests {
            self.record(&format!("{round}-{client}-{request}"), client + request).await;
        }
    }

    /// One request, of which a third has a key and a quarter is sent to two processes at once.
    async fn record(&self, name: &str, number: usize) {
        let facts: Vec<_> = (0..=number % 5).map(|place| fact(&format!("{name}-{place}"), number + place)).collect();
        let transactions: Vec<Value> = facts.iter().map(|fact| fact.0.clone()).collect();
        let mut input = json!({ "source": "crash", "transactions": transactions });
        let is_keyed = number.is_multiple_of(3);
        if is_keyed {
            input["idempotencyKey"] = json!(name);
        }
        let answers = if number.is_multiple_of(4) {
            let (one, two) = tokio::join!(self.until_known(number, &input), self.until_known(number + 1, &input));
            vec![one, two]
        } else {
            vec![self.until_known(number, &input).await]
        };
        for (place, (_, id, month, cents)) in facts.into_iter().enumerate() {
            let outcomes: Vec<&str> = answers.iter().map(|answer| answer[place].as_str()).collect();
            assert!(outcomes.iter().all(|outcome| ["RECORDED", "REPLAYED"].contains(outcome)), "{id}: {outcomes:?}");
            // Under one key both hear of the one that was done.
            if !is_keyed && outcomes.iter().filter(|outcome| **outcome == "RECORDED").count() > 1 {
                self.doubled.fetch_add(1, Ordering::Relaxed);
            }
            self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (month, cents));
        }
        self.count.send_modify(|count| *count += answers[0].len());
    }

    /// Asks one process after the other until one says what became of it.
    async fn until_known(&self, first: usize, input: &Value) -> Vec<String> {
        let mut addresses = self.addresses.subscribe();
        for turn in first.. {
            // Whoever knows of nobody waits for somebody.
            let all = addresses.wait_for(|all| all.iter().any(Option::is_some)).await.expect("processes").clone();
            let Some(address) = &all[turn % all.len()] else { continue };
            match self.ask(address, input).await {
                Answer::Known(outcomes) => return outcomes,
                Answer::Lost => drop(self.lost_answers.fetch_add(1, Ordering::Relaxed)),
                Answer::Refused(why) => self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(why),
            }
            tokio::task::yield_now().await;
        }
        unreachable!("turns do not end")
    }

    async fn ask(&self, address: &str, input: &Value) -> Answer {
        let body = json!({ "query": RECORD, "variables": { "input": input } });
        let token = self.token.borrow().clone();
        let request = self.client.post(format!("{address}/graphql")).bearer_auth(token).json(&body);
        let Ok(answer) = request.send().await else { return Answer::Lost };
        let status = answer.status();
        let Ok(text) = answer.text().await else { return Answer::Lost };
        let Ok(answer) = serde_json::from_str::<Value>(&text) else {
            return Answer::Refused(format!("{status} {text}"));
        };
        let payload = &answer["data"]["recordTransactions"];
        let is_done = answer["errors"].is_null() && payload["userErrors"] == json!([]);
        match payload["results"].as_array().filter(|_| is_done) {
            None => Answer::Refused(text),
            Some(results) => {
                let outcome = |result: &Value| result["outcome"].as_str().expect("an outcome").to_owned();
                Answer::Known(results.iter().map(outcome).collect())
            }
        }
    }

    pub async fn acknowledges(&self, count: usize) {
        self.count.subscribe().wait_for(|reached| *reached >= count).await.expect("clients");
    }

    pub fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The ids of what is acknowledged.
    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// What is acknowledged, month by month.
    pub fn months(&self) -> Vec<Month> {
        let mut months: BTreeMap<&str, Month> = BTreeMap::new();
        for (name, cents) in self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let month = months.entry(name).or_default();
            *month = Month { transactions: month.transactions + 1, cents: month.cents + cents };
        }
        months.into_values().collect()
    }
}

/// A transaction as a client sends it, with its id, its month and what it adds to the base.
fn fact(id: &str, number: usize) -> (Value, String, &'static str, i64) {
    let month = MONTHS[number % MONTHS.len()];
    let is_win = number % 7 == 6;
    let cents = if is_win { 101 } else { 100 + i64::try_from(number * 37 % 900).expect("cents") };
    let transaction = json!({
        "externalId": id, "kind": if is_win { "WIN" } else { "STAKE" }, "product": "crash",
        "amount": { "amount": format!("{}.{:02}", cents / 100, cents % 100), "currency": "BIT" },
        "occurredAt": format!("{month}-15T12:00:00Z"),
    });
    (transaction, id.to_owned(), month, if is_win { -cents } else { cents })
}
