//! Anomaly cases as risk staff meet them: raised live, in words, reviewed, and what that holds.

use serde_json::{Value, json};

use crate::isolation::raise;
use crate::live::Client;
use crate::shape::{list, text};
use crate::support::{TestServer, code};

const CASES: &str = "{ anomalyCases(first: 15) { nodes {
    id kind state player transactionCount score title korean: title(language: KO) windowStart windowEnd
    source { name } product { code }
    reasons { code observed usual text korean: text(language: KO) }
    transactions(first: 25) { nodes { score reasons { code } transaction { externalId score occurredAt } } }
} } }";
const FOLLOW: &str =
    "subscription($after: String) { anomalyRaised(after: $after) { cursor raisedAt case { id state } } }";

#[tokio::test]
async fn cases_are_told_in_words_with_their_transactions() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    raise(&server, &crash.ada, "crash", "odd", 5).await;
    let cases = server.query(&crash.ada, CASES, json!({})).await;
    for case in list(&cases["anomalyCases"], "nodes") {
        assert_eq!((&case["kind"], &case["state"]), (&json!("TRANSACTIONS"), &json!("OPEN")));
        assert_eq!((&case["source"]["name"], &case["product"]["code"]), (&json!("crash"), &json!("crash")));
        assert_eq!(text(case, "player").len(), 32);
        assert!(
            text(case, "title").contains("odd transaction") && text(case, "korean").contains("이상 거래"),
            "{case}"
        );
        let reasons = list(case, "reasons");
        assert!((1..=3).contains(&reasons.len()), "{case}");
        for reason in reasons {
            assert!(!text(reason, "text").contains(text(reason, "code")), "{reason}");
            assert_ne!(reason["text"], reason["korean"]);
        }
        let transactions = list(&case["transactions"], "nodes");
        assert_eq!(transactions.len() as i64, case["transactionCount"]);
        let scores =
            transactions.iter().map(|row| text(row, "score").parse::<rust_decimal::Decimal>().expect("a number"));
        assert_eq!(scores.max().expect("one").to_string(), text(case, "score"), "the oddest one's");
        for row in transactions {
            assert_eq!(row["score"], row["transaction"]["score"]);
            let day = &text(&row["transaction"], "occurredAt")[..10];
            assert!(text(case, "windowStart").starts_with(day), "{case}");
        }
    }
    let scored = server.query(&crash.ada, "{ transactions { nodes { score } } }", json!({})).await;
    assert!(list(&scored["transactions"], "nodes").iter().all(|row| row["score"].is_string()));
    let open = "query($s: AnomalyCaseState) { anomalyCases(filter: { state: $s }) { nodes { id } } }";
    let none = server.query(&crash.ada, open, json!({ "s": "CONFIRMED" })).await;
    assert_eq!(none["anomalyCases"]["nodes"], json!([]));
}

#[tokio::test]
async fn a_confirmed_case_shows_on_its_settlement_and_a_false_alarm_does_not() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    raise(&server, &crash.ada, "crash", "odd", 1).await;
    let cases = server.query(&crash.ada, CASES, json!({})).await;
    let case = list(&cases["anomalyCases"], "nodes")[0]["id"].clone();
    let review = async |verdict: &str| {
        let input = json!({ "caseId": case, "verdict": verdict, "note": "looked at" });
        let fields = "case { state reviewNote reviewedAt reviewedBy { email } }";
        server.mutate(&crash.ada, "reviewAnomalyCase", input, fields).await["case"].clone()
    };
    let holds = async || {
        let query = "{ settlements { nodes { total { amount } held { amount } holds { rateClass case { id } } } } }";
        let all = server.query(&crash.ada, query, json!({})).await;
        let held = |row: &Value| !list(row, "holds").is_empty();
        list(&all["settlements"], "nodes").iter().find(|row| held(row)).cloned()
    };
    assert_eq!(holds().await, None);
    let confirmed = review("CONFIRMED").await;
    assert_eq!((&confirmed["state"], &confirmed["reviewNote"]), (&json!("CONFIRMED"), &json!("looked at")));
    assert_eq!(confirmed["reviewedBy"]["email"], "ada@acme.test");
    let held = holds().await.expect("a hold");
    assert_eq!(held["holds"][0]["case"]["id"], case);
    assert_ne!(held["held"]["amount"], "0.00", "{held}");
    assert_eq!(review("FALSE_ALARM").await["state"], "FALSE_ALARM");
    assert_eq!(holds().await, None);

    // A reader reads, and a partner's member sees that something is held and not why.
    let (reader, _) = server.member(&crash, "rhea@acme.test", "READ_ONLY", None).await;
    let input = json!({ "input": { "caseId": case, "verdict": "UNSURE" } });
    let mutation = "mutation($input: ReviewAnomalyCaseInput!) { reviewAnomalyCase(input: $input) { case { id } } }";
    assert_eq!(code(&server.ask(Some(&reader), mutation, input.clone()).await), "FORBIDDEN");
    assert_eq!(server.query(&reader, CASES, json!({})).await["anomalyCases"]["nodes"][0]["id"], case);
    review("CONFIRMED").await;
    let (partner, _) = server.member(&crash, "pat@studio.test", "READ_ONLY", Some(&crash.partner)).await;
    assert_eq!(code(&server.ask(Some(&partner), mutation, input).await), "FORBIDDEN");
    let query =
        "{ anomalyCases { nodes { id } } settlements { nodes { held { amount } holds { rateClass case { id } } } } }";
    let seen = server.query(&partner, query, json!({})).await;
    assert_eq!(seen["anomalyCases"]["nodes"], json!([]));
    let hold = list(&seen["settlements"], "nodes").iter().find_map(|row| list(row, "holds").first()).expect("a hold");
    assert_eq!(hold["case"], Value::Null);
}

#[tokio::test]
async fn whoever_follows_hears_of_each_case_once_and_nobody_elses() {
    let server = TestServer::new().await;
    let (crash, other) = (server.crash("acme").await, server.crash("bolt").await);
    let address = server.listen().await;
    let (partner, _) = server.member(&crash, "pat@studio.test", "READ_ONLY", Some(&crash.partner)).await;
    let (risk, _) = server.member(&crash, "rita@acme.test", "RISK", None).await;
    let from = server.cursor(&crash.ada).await;
    let mut clients = Vec::new();
    let mut refused = Client::signed_in(address, &partner).await;
    refused.ask("1", FOLLOW, json!({})).await;
    assert_eq!(refused.hear().await["payload"][0]["extensions"]["code"], "FORBIDDEN");
    for token in [&crash.ada, &risk, &other.ada] {
        let mut client = Client::signed_in(address, token).await;
        client.ask("1", FOLLOW, json!({})).await;
        // The subscription stands when a question behind it is answered.
        client.ask("q", "{ __typename }", json!({})).await;
        assert_eq!(client.hear().await["id"], "q");
        assert_eq!(client.hear().await["type"], "complete");
        clients.push(client);
    }
    raise(&server, &crash.ada, "crash", "odd", 3).await;
    let cases = server.query(&crash.ada, "{ anomalyCases(first: 100) { nodes { id } } }", json!({})).await;
    let mut raised: Vec<&str> = list(&cases["anomalyCases"], "nodes").iter().map(|case| text(case, "id")).collect();
    raised.reverse();
    for client in &mut clients[..2] {
        let mut heard = Vec::new();
        for _ in &raised {
            let update = client.hear().await;
            let event = &update["payload"]["data"]["anomalyRaised"];
            assert_eq!(event["case"]["state"], "OPEN", "{update}");
            heard.push(text(&event["case"], "id").to_owned());
        }
        heard.sort();
        assert_eq!(heard, raised, "each once");
    }
    for client in &mut clients[2..] {
        client.ask("q", "{ __typename }", json!({})).await;
        assert_eq!(client.hear().await["id"], "q", "not theirs");
    }
    // Who comes back with a cursor gets what it missed.
    let mut late = Client::signed_in(address, &risk).await;
    late.ask("1", FOLLOW, json!({ "after": from })).await;
    let mut missed = Vec::new();
    for _ in &raised {
        missed.push(text(&late.hear().await["payload"]["data"]["anomalyRaised"]["case"], "id").to_owned());
    }
    assert_eq!(missed, raised, "in the order in which they were raised");
}
