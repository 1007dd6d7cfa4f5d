//! The primary dies under load, or is stopped and comes back after another took its place: what was acknowledged is
//! there, once. One round in the tests; `SALDO_SOAK_ROUNDS` of them in `make soak`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cluster::Cluster;
use crate::saldo::{PASSWORD, Saldo};

const CLIENTS: usize = 8;
/// Answers before the fault, and after everybody is back.
const BEFORE: usize = 150;
const AFTER: usize = 150;
/// Longer than any wait that the server promises.
const PATIENCE: Duration = Duration::from_secs(90);

const RECORD: &str = "mutation($input: RecordTransactionsInput!) { recordTransactions(input: $input) {
    results { externalId outcome } userErrors { code message } } }";

/// One client: a transaction at a time, each sent until it is answered.
struct Client {
    number: usize,
    url: String,
    token: String,
    source: String,
    http: reqwest::Client,
}

impl Client {
    /// The external ids that were answered go to `acknowledged`, and how often one had to be sent again.
    async fn work(self, stop: Arc<AtomicBool>, acknowledged: mpsc::UnboundedSender<(String, usize)>) {
        for turn in 0.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let id = format!("{}-{turn}", self.number);
            let mut repeated = 0;
            while !self.record(&id).await {
                repeated += 1;
                tokio::task::yield_now().await;
            }
            acknowledged.send((id, repeated)).ok();
        }
    }

    /// Whether the server said that it is recorded. The key is the same each time.
    async fn record(&self, id: &str) -> bool {
        let transaction = json!({
            "externalId": id, "kind": "STAKE", "amount": { "amount": "1.00", "currency": "EUR" },
            "occurredAt": "2024-01-10T12:00:00Z"
        });
        let input = json!({ "source": self.source, "transactions": [transaction] });
        let request = self.http.post(&self.url).bearer_auth(&self.token);
        let request = request.header("idempotency-key", HeaderValue::from_str(id).expect("a key"));
        let request = request.json(&json!({ "query": RECORD, "variables": { "input": input } }));
        let Ok(answer) = request.send().await else { return false };
        let Ok(answer) = answer.json::<Value>().await else { return false };
        if let Some(errors) = answer["errors"].as_array() {
            let codes: Vec<&Value> = errors.iter().map(|error| &error["extensions"]["code"]).collect();
            assert!(codes.iter().all(|code| **code == "UNAVAILABLE"), "{answer}");
            return false;
        }
        let results = &answer["data"]["recordTransactions"]["results"];
        assert_eq!(results[0]["externalId"], json!(id), "{answer}");
        let outcome = results[0]["outcome"].as_str().unwrap_or_default();
        assert!(["RECORDED", "REPLAYED"].contains(&outcome), "{answer}");
        true
    }
}

type Told = mpsc::UnboundedReceiver<(String, usize)>;

/// Saldo on two servers, with a tenant that has a source.
pub struct Drill {
    pub cluster: Cluster,
    pub saldo: Saldo,
    pub token: String,
    source: String,
}

impl Drill {
    /// Each commit waits for the standby.
    async fn new(name: &str) -> Option<Self> {
        Self::on(Cluster::start(name, true)?, None).await
    }

    /// The standby serves lists.
    pub async fn with_replica(name: &str) -> Option<Self> {
        let cluster = Cluster::start(name, false)?;
        let url = cluster.standby_url("saldo_server");
        Self::on(cluster, Some(url)).await
    }

    async fn on(cluster: Cluster, replica: Option<String>) -> Option<Self> {
        let mut saldo = Saldo::new().await;
        let (url, owner) = (cluster.url("saldo_server"), cluster.url("saldo_owner"));
        let key = saldo.folder.join("saldo.key").display().to_string();
        let settings = [
            ("SALDO_DATABASE_URL", url.as_str()),
            ("SALDO_OWNER_DATABASE_URL", &owner),
            ("SALDO_MASTER_KEY_FILE", &key),
            ("SALDO_LOG", "error"),
        ];
        let create = ["tenant", "create", "--slug", "acme", "--name", "Acme", "--admin-email", "ada@acme.test"];
        for arguments in [&["migrate"][..], &[&create[..], &["--admin-password-stdin"]].concat()] {
            let mut child =
                saldo.command(arguments).envs(settings).stdin(std::process::Stdio::piped()).spawn().expect("it starts");
            let mut stdin = child.stdin.take().expect("its input");
            tokio::io::AsyncWriteExt::write_all(&mut stdin, PASSWORD.as_bytes()).await.ok();
            drop(stdin);
            let output = child.wait_with_output().await.expect("it ends");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let replica = replica.as_deref().map(|url| ("SALDO_REPLICA_DATABASE_URL", url));
        saldo.serve_set(&settings.into_iter().chain(replica).collect::<Vec<_>>()).await;
        let token = saldo.token("acme").await;
        let partner = saldo.mutate(&token, "createPartner", json!({ "name": "Studio" }), "partner { id }").await;
        let mapping = json!({ "format": "csv", "encoding": "utf-8", "timeZone": "UTC", "emit": [
            { "kind": "'STAKE'", "externalId": "id", "amount": "amount", "currency": "'EUR'", "occurredAt": "at" }] });
        let source = json!({ "partnerId": partner["partner"]["id"], "name": "feed", "mapping": mapping });
        let source = saldo.mutate(&token, "createSource", source, "source { id }").await;
        let source = source["source"]["id"].as_str().expect("an id").to_owned();
        Some(Self { cluster, saldo, token, source })
    }

    fn client(&self, number: usize) -> Client {
        let (url, token, source) = (self.saldo.url("/graphql"), self.token.clone(), self.source.clone());
        Client { number, url, token, source, http: self.saldo.client().clone() }
    }

    /// Records one transaction.
    pub async fn record(&self, id: &str) {
        assert!(self.client(0).record(id).await, "{id}");
    }

    /// Clients record all the while `fault` happens; then everything is counted at the server that was promoted.
    async fn round(mut self, fault: impl FnOnce(&Cluster) + Send + 'static, healed: impl FnOnce(&Cluster)) {
        let (stop, (tell, mut told)) = (Arc::new(AtomicBool::new(false)), mpsc::unbounded_channel());
        let clients = (0..CLIENTS).map(|number| tokio::spawn(self.client(number).work(stop.clone(), tell.clone())));
        let clients: Vec<_> = clients.collect();
        drop(tell);
        let (mut acknowledged, mut repeated) = (BTreeSet::new(), 0);
        let hear = async |told: &mut Told, count: usize, acknowledged: &mut BTreeSet<String>, repeated: &mut usize| {
            for _ in 0..count {
                let (id, again) = tokio::time::timeout(PATIENCE, told.recv()).await.expect("soon").expect("a client");
                *repeated += again;
                assert!(acknowledged.insert(id), "one answer each");
            }
        };
        hear(&mut told, BEFORE, &mut acknowledged, &mut repeated).await;
        let began = Instant::now();
        let cluster = tokio::task::spawn_blocking(move || {
            fault(&self.cluster);
            self.cluster
        });
        self.cluster = cluster.await.expect("the fault");
        let promoted = began.elapsed();
        // What was answered before it is out of the way first.
        while let Ok((id, again)) = told.try_recv() {
            repeated += again;
            assert!(acknowledged.insert(id), "one answer each");
        }
        hear(&mut told, CLIENTS, &mut acknowledged, &mut repeated).await;
        let back = began.elapsed();
        healed(&self.cluster);
        hear(&mut told, AFTER, &mut acknowledged, &mut repeated).await;
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.expect("no client found anything wrong");
        }
        while let Ok((id, again)) = told.try_recv() {
            repeated += again;
            acknowledged.insert(id);
        }
        let there = self.cluster.sql(1, "SELECT external_id FROM transactions");
        let distinct: BTreeSet<String> = there.iter().cloned().collect();
        let lost = acknowledged.difference(&distinct).count();
        let doubled = there.len() - distinct.len();
        eprintln!(
            "acknowledged {}, sent again {repeated}, lost {lost}, doubled {doubled}; promoted after {promoted:.1?}, writers back {:.1?} later",
            acknowledged.len(),
            back.saturating_sub(promoted)
        );
        assert_eq!((lost, doubled), (0, 0));
        assert_eq!(distinct.len(), acknowledged.len(), "every client came to an answer");
        let check = "{ booksCheck { findings } }";
        assert_eq!(self.saldo.graphql(Some(&self.token), check, json!({})).await["booksCheck"]["findings"], json!([]));
        self.saldo.terminate().await;
    }
}

fn rounds() -> usize {
    std::env::var("SALDO_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_primary_dies() {
    for round in 0..rounds() {
        let Some(drill) = Drill::new(&format!("dies-{round}")).await else { return };
        let fault = |cluster: &Cluster| {
            cluster.signal(0, "KILL");
            cluster.promote();
        };
        drill.round(fault, |_| {}).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_comes_back_takes_no_writes() {
    for round in 0..rounds() {
        let Some(drill) = Drill::new(&format!("comes-back-{round}")).await else { return };
        let fault = |cluster: &Cluster| {
            cluster.signal(0, "STOP");
            cluster.promote();
        };
        drill.round(fault, |cluster| cluster.signal(0, "CONT")).await;
    }
}
