//! A full disk: what does not fit is refused as a whole, and once there is room the server goes on.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::crash::{Game, books_balance, set_up, settlements};
use crate::saldo::Saldo;

const MEGABYTE: usize = 1024 * 1024;
const BATCH: usize = 1_000;
/// More batches than a full disk lets in.
const MOST: usize = 200;

/// A file system of 64 MB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a word about it, for whoever may not mount.
    fn mount() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("saldo-small-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&folder).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        std::fs::remove_dir_all(&folder).ok();
        eprintln!("SKIPPED: only root may mount a small disk");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// One batch under its own key; what the server answers.
async fn record(saldo: &Saldo, game: &Game, batch: usize) -> Value {
    let transaction = |place: usize| {
        json!({
            "externalId": format!("{batch}-{place}"), "kind": "STAKE", "product": "crash",
            "amount": { "amount": "1.00", "currency": "BIT" }, "occurredAt": "2021-11-15T12:00:00Z",
        })
    };
    let transactions: Vec<Value> = (0..BATCH).map(transaction).collect();
    let input = json!({ "source": "crash", "transactions": transactions, "idempotencyKey": format!("batch-{batch}") });
    let query = "mutation($input: RecordTransactionsInput!) { recordTransactions(input: $input) {
        results { outcome } userErrors { message } } }";
    let body = json!({ "query": query, "variables": { "input": input } });
    let request = saldo.client().post(saldo.url("/graphql")).bearer_auth(&game.token).json(&body);
    request.send().await.expect("an answer").json().await.expect("JSON")
}

fn recorded(answer: &Value) -> usize {
    let results = answer["data"]["recordTransactions"]["results"].as_array().map_or(&[][..], Vec::as_slice);
    results.iter().filter(|result| result["outcome"] == "RECORDED").count()
}

fn write_ballast(file: &Path) {
    std::fs::write(file, vec![1; 40 * MEGABYTE]).expect("it fits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_the_whole_of_a_request_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let ballast = disk.0.join("ballast");
    write_ballast(&ballast);
    let url = format!("sqlite://{}", disk.0.join("saldo.db").display());
    // That the disk is full is logged as often as somebody runs into it.
    let settings = vec![("SALDO_DATABASE_URL", url), ("SALDO_LOG", "off".to_owned())];
    let mut saldo = Saldo::with(settings).await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let game = set_up(&saldo, "acme", "CARRY").await;

    let mut full = None;
    for batch in 0..MOST {
        let answer = record(&saldo, &game, batch).await;
        if recorded(&answer) != BATCH {
            full = Some((batch, answer));
            break;
        }
    }
    let (fitting, refusal) = full.expect("64 MB are full in the end");
    eprintln!("{} transactions fit; then: {}", fitting * BATCH, refusal["errors"][0]);
    assert!(fitting > 0);
    assert_eq!(recorded(&refusal), 0, "all of a request or nothing");
    let text = refusal.to_string();
    assert_eq!(refusal["errors"][0]["extensions"]["code"], json!("UNAVAILABLE"), "{text}");
    assert!(!text.contains("disk") && !text.contains("saldo.db"), "what is inside is not shown: {text}");
    // It still answers, and nothing of the refused request is there.
    let count = async |saldo: &Saldo| settlements(saldo, &game).await[0]["transactionCount"].clone();
    assert_eq!(count(&saldo).await, json!(fitting * BATCH));

    std::fs::remove_file(&ballast).expect("removed");
    // A change that the rules refuse takes its transaction back: once that left the next one without a COMMIT of its own.
    let create = "mutation { createProduct(input: { code: \"crash\", name: \"Again\" }) { userErrors { code } } }";
    let refused = saldo.graphql(Some(&game.token), create, json!({})).await;
    assert_eq!(refused["createProduct"]["userErrors"][0]["code"], json!("ALREADY_EXISTS"));
    let again = record(&saldo, &game, fitting).await;
    assert_eq!(recorded(&again), BATCH, "{again}");
    assert_eq!(count(&saldo).await, json!((fitting + 1) * BATCH));
    books_balance(&saldo, &game).await;
    saldo.kill().await;
    saldo.serve().await;
    assert_eq!(count(&saldo).await, json!((fitting + 1) * BATCH));
    books_balance(&saldo, &game).await;
}
