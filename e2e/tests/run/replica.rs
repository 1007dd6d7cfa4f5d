//! Lists and reports come from a standby, and never miss what was written before: not while it is behind, nor when it
//! is gone.

use serde_json::json;

use crate::failover::Drill;

const LIST: &str = "{ transactions(first: 3) { nodes { externalId } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_serves_lists_and_never_misses_what_was_written_before() {
    let Some(mut drill) = Drill::with_replica("replica").await else { return };
    let newest = async |drill: &Drill, round: &str| {
        for number in 0..20 {
            let id = format!("{round}-{number}");
            drill.record(&id).await;
            let listed = drill.saldo.graphql(Some(&drill.token), LIST, json!({})).await;
            assert_eq!(listed["transactions"]["nodes"][0]["externalId"], json!(id), "what was written just now");
        }
    };
    newest(&drill, "together").await;
    assert!(drill.cluster.standby_log().contains("FROM \"transactions\""), "the lists were read at the standby");
    drill.cluster.sql(1, "SELECT pg_wal_replay_pause()");
    newest(&drill, "behind").await;
    drill.cluster.sql(1, "SELECT pg_wal_replay_resume()");
    newest(&drill, "again").await;
    drill.cluster.signal(1, "KILL");
    newest(&drill, "gone").await;
    let ready = drill.saldo.client().get(drill.saldo.url("/readyz")).send().await.expect("an answer");
    assert!(ready.status().is_success());
    let said = ready.text().await.expect("text");
    assert!(said.contains("replica: does not answer; the primary does"), "{said}");
    drill.saldo.terminate().await;
}
