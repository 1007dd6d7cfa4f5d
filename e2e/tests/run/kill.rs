//! `kill -9` in the middle of an import, again and again: nothing is lost, nothing is there twice.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Body, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::crash::{books_balance, set_up, settlements};
use crate::postgres::{Database, server};
use crate::saldo::{Saldo, crash_game_file};

const KILLS: usize = 20;
const PIECE: usize = 16 * 1024;

/// Sends the file's rest in pieces; tells when the `alarm_at`-th one has gone out.
fn body(rest: Vec<u8>, alarm_at: usize, alarm: Arc<Notify>) -> Body {
    let pieces: Vec<Vec<u8>> = rest.chunks(PIECE).map(<[u8]>::to_vec).collect();
    let stream = futures_util::stream::iter(pieces.into_iter().enumerate().map(move |(number, piece)| {
        if number + 1 == alarm_at {
            alarm.notify_one();
        }
        Ok::<_, std::io::Error>(piece)
    }));
    Body::wrap_stream(stream)
}

async fn offset(saldo: &Saldo, token: &str, run: &str) -> usize {
    let answer = saldo.client().head(saldo.url(run)).bearer_auth(token).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    let offset = answer.headers().get("upload-offset").expect("an offset");
    offset.to_str().expect("text").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_survives_twenty_kills() {
    let Some(file) = crash_game_file() else { return };
    survives(Saldo::new().await, &file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_into_postgres_survives_twenty_kills() {
    let (Some(file), Some(server)) = (crash_game_file(), server()) else { return };
    let database = Database::on(&server).await;
    survives(Saldo::with(database.settings()).await, &file).await;
}

async fn survives(mut saldo: Saldo, file: &Path) {
    let file = tokio::fs::read(file).await.expect("the file");
    saldo.tenant("acme").await;
    saldo.serve().await;
    let game = set_up(&saldo, "acme", "RESET").await;
    let begin = saldo.client().post(saldo.url("/v1/sources/crash/files?name=crash.csv")).bearer_auth(&game.token);
    let begun = begin.header("upload-complete", "?0").header("upload-key", "the file").send().await.expect("an answer");
    assert!(begun.status().is_success(), "{}", begun.status());
    let run = begun.headers().get("location").expect("a run").to_str().expect("text").to_owned();

    let mut random = u64::from(std::process::id()) | 1;
    let mut reached = Vec::new();
    for kill in 1..=KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let from = offset(&saldo, &game.token, &run).await;
        reached.push(from);
        // Each time a little more of the file is on offer, so that no run is done before its last kill.
        let until = file.len() * kill / (KILLS + 1);
        let pieces_left = (until - from).div_ceil(PIECE);
        let alarm_at = 1 + usize::try_from(random >> 33).expect("a number") % pieces_left.clamp(1, 24);
        let alarm = Arc::new(Notify::new());
        let rest = body(file[from..until].to_vec(), alarm_at, alarm.clone());
        let patch = saldo.client().patch(saldo.url(&run)).bearer_auth(&game.token).body(rest);
        let patch = patch.header("upload-offset", from.to_string()).header("upload-complete", "?0");
        let sending = tokio::spawn(patch.send());
        alarm.notified().await;
        // Some time passes while pieces commit: as long as this many questions take.
        for _ in 0..(random >> 40) % 160 {
            offset(&saldo, &game.token, &run).await;
        }
        saldo.kill().await;
        // The answer, if one came, came before the kill; the file is long enough that it does not.
        sending.await.expect("it does not panic").ok();
        saldo.serve().await;
    }
    eprintln!("killed at these bytes of {}: {reached:?}", file.len());
    assert!(reached.is_sorted(), "a resumed run never goes back: {reached:?}");
    assert!(reached.iter().any(|at| (1..file.len()).contains(at)), "some kill struck between two pieces: {reached:?}");
    let from = offset(&saldo, &game.token, &run).await;
    let patch = saldo.client().patch(saldo.url(&run)).bearer_auth(&game.token).body(file[from..].to_vec());
    let last = patch
        .header("upload-offset", from.to_string())
        .header("upload-complete", "?1")
        .send()
        .await
        .expect("an answer");
    assert_eq!(last.status(), StatusCode::OK);
    let done: Value = last.json().await.expect("JSON");
    let counted = ["state", "records", "emitted", "quarantined", "recorded", "replayed", "conflicting"]
        .map(|name| done[name].clone());
    let expected = [json!("COMPLETED"), json!(50_000), json!(50_000), json!(0), json!(78_734), json!(0), json!(0)];
    assert_eq!(counted, expected, "every row exactly once");
    let months = settlements(&saldo, &game).await;
    assert_eq!(months[0]["lines"][0]["base"]["amount"], json!("-2919609.63"), "{}", months[0]);
    assert_eq!(months[1]["total"]["amount"], json!("50599.31"));
    books_balance(&saldo, &game).await;
}
