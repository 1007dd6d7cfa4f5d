//! `simulateContractVersion`, the subscription that ends by itself: its events over both ways, who may, what is refused,
//! and that ending it ends the work.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::followed::ENDING;
use crate::habitat::{Words, furnish};
use crate::live::Client;
use crate::shape::{Shape, list, named, text};
use crate::support::{Crash, TestServer};
use crate::told::PATIENCE;

const RESULT: &str = "progress { phase done of } userErrors { code field message }
    simulation {
        windowStart windowEnd total { settled { amount currency } drafted { amount } difference { amount } }
        apart { drafted { amount } } failed { settled drafted } waiting { drafted }
        periods { periodStart periodEnd total { settled { amount } drafted { amount } } transactions { settled drafted } }
        periodCount lineCount classCount productCount
        lines { periodStart code rateClass base { settled { amount } } rate { settled drafted } amount { difference { amount } } }
        classes { rateClass base { drafted { amount } } amount { difference { amount } } transactions { drafted } }
        products { product base { settled { amount } } amount { difference { amount } } }
        partners { partner { name } total { difference { amount } } } }";

fn asked(contract: &str, version: i64, from: &str, to: &str) -> String {
    format!(
        "subscription {{ simulateContractVersion(input: {{ contractId: \"{contract}\", version: {version}, \
         from: \"{from}\", to: \"{to}\" }}) {{ {RESULT} }} }}"
    )
}

impl TestServer {
    /// All that comes of a simulation over server-sent events, which must end by itself.
    async fn told_of(&self, token: &str, query: &str) -> String {
        let body = self.stream(token, query).await.into_body().into_string();
        tokio::time::timeout(PATIENCE, body).await.expect("it ends").expect("text")
    }

    /// A draft of the contract's terms at another rate.
    async fn draft(&self, crash: &Crash, percent: &str) -> i64 {
        let mut terms = crate::support::terms();
        terms["rateTable"] = json!({ "rows": [{ "code": "all", "percent": percent }] });
        let input = json!({ "contractId": crash.contract, "terms": terms });
        let drafted = self.mutate(&crash.ada, "draftContractVersion", input, "contractVersion { version }").await;
        drafted["contractVersion"]["version"].as_i64().expect("a number")
    }

    /// Stakes of 1.00 on days of November 2021.
    async fn staked(&self, crash: &Crash, count: usize) {
        for first in (0..count).step_by(500) {
            let stake = |number: usize| {
                json!({
                    "externalId": number.to_string(), "kind": "STAKE", "amount": { "amount": "1.00", "currency": "BIT" },
                    "occurredAt": format!("2021-11-{:02}T12:00:00Z", 1 + number % 30), "product": "crash",
                })
            };
            let transactions: Vec<Value> = (first..count.min(first + 500)).map(stake).collect();
            let input = json!({ "source": "crash", "transactions": transactions });
            self.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
        }
    }
}

/// The results of a stream that completed.
fn results(told: &str) -> Vec<Value> {
    assert!(told.ends_with("event: complete\ndata:\n\n"), "{told}");
    let data = told.split("\n\n").filter_map(|event| event.strip_prefix("event: next\ndata: "));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

fn payload(result: &Value) -> &Value {
    &result["data"]["simulateContractVersion"]
}

#[tokio::test]
async fn a_draft_is_told_beside_what_was_settled() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    server.staked(&crash, 60).await;
    let (same, more) = (server.draft(&crash, "8").await, server.draft(&crash, "10").await);
    let told = server.told_of(&crash.ada, &asked(&crash.contract, more, "2021-11-03", "2021-11-04")).await;
    let results = results(&told);
    assert!(results[0]["extensions"]["cost"]["requested"].as_i64().expect("a cost") > 100, "{told}");
    let phases: Vec<&str> = results.iter().filter_map(|result| payload(result)["progress"]["phase"].as_str()).collect();
    assert!(phases.contains(&"EXTRACTING"), "{told}");
    let simulation = &payload(results.last().expect("a result"))["simulation"];
    let amounts = |of: &Value| [&of["settled"], &of["drafted"]].map(|side| text(side, "amount").to_owned());
    assert_eq!(amounts(&simulation["total"]), ["4.80", "6.00"], "{simulation}");
    assert_eq!(simulation["total"]["difference"]["amount"], "1.20");
    assert_eq!(simulation["lines"][0]["rate"], json!({ "settled": "8", "drafted": "10" }));
    assert_eq!(simulation["classes"][0]["transactions"]["drafted"], 60);
    assert_eq!(simulation["products"][0]["product"], "crash");
    assert_eq!(simulation["products"][0]["base"]["settled"]["amount"], "60.00");
    assert_eq!(
        simulation["partners"],
        json!([{ "partner": { "name": "Bustabit" }, "total": { "difference": { "amount": "1.20" } } }])
    );
    let counts = ["periodCount", "lineCount", "classCount", "productCount"].map(|count| simulation[count].as_i64());
    assert_eq!(counts, [Some(1); 4]);

    let told = server.told_of(&crash.ada, &asked(&crash.contract, same, "2021-11-03", "2021-11-04")).await;
    let all = self::results(&told);
    let simulation = &payload(all.last().expect("a result"))["simulation"];
    assert_eq!(simulation["total"]["difference"]["amount"], "0.00");
    let reader = server.member(&crash, "reader@acme.test", "READ_ONLY", None).await.0;
    let told = server.told_of(&reader, &asked(&crash.contract, same, "2021-11-03", "2021-11-04")).await;
    assert!(told.contains("\"difference\":{\"amount\":\"0.00\"}"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_simulated_is_told_at_its_field() {
    let server = TestServer::new().await;
    let (crash, other) = (server.crash("acme").await, server.crash("bolt").await);
    let refused = async |token: &str, contract: &str, version, from, to| {
        let told = server.told_of(token, &asked(contract, version, from, to)).await;
        let all = results(&told);
        assert_eq!(all.len(), 1, "{told}");
        assert_eq!(payload(&all[0])["simulation"], Value::Null);
        payload(&all[0])["userErrors"].clone()
    };
    for (version, from, to, code, field) in [
        (1, "2021-11-02", "2021-11-01", "BAD_INPUT", "to"),
        (1, "2150-11-02", "2150-11-03", "BAD_INPUT", "from"),
        (1, "2010-11-02", "2021-11-03", "BAD_INPUT", "to"),
        (7, "2021-11-02", "2021-11-03", "NOT_FOUND", "version"),
    ] {
        let errors = refused(&crash.ada, &crash.contract, version, from, to).await;
        assert_eq!((&errors[0]["code"], &errors[0]["field"]), (&json!(code), &json!([field])), "{errors}");
    }
    // Another tenant's contract is one that is not there.
    let absent = format!("{}01990000000070008000000000000001", &other.contract[..4]);
    let mut answers = BTreeSet::new();
    for contract in [&other.contract, &absent, "malformed"] {
        answers.insert(refused(&crash.ada, contract, 1, "2021-11-02", "2021-11-03").await.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.contains("NOT_FOUND")), "{answers:?}");
    // The partner's own user, and a machine.
    let user = server.member(&crash, "user@acme.test", "READ_ONLY", Some(&crash.partner)).await.0;
    for token in [&user, &crash.key] {
        let told = server.told_of(token, &asked(&crash.contract, 1, "2021-11-02", "2021-11-03")).await;
        assert!(told.contains("\"FORBIDDEN\"") && !told.contains("\"simulation\""), "{told}");
    }
}

#[tokio::test]
async fn over_a_socket_it_completes_and_ends_when_the_client_says_so() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    server.staked(&crash, 3_000).await;
    let draft = server.draft(&crash, "10").await;
    let mut client = Client::signed_in(server.listen().await, &crash.ada).await;
    let query = asked(&crash.contract, draft, "2021-11-01", "2021-11-30");
    for id in ["1", "2", "3"] {
        client.ask(id, &query, json!({})).await;
        client.end(id).await;
    }
    client.ask("4", &query, json!({})).await;
    let mut last = Value::Null;
    loop {
        let heard = client.hear().await;
        // What was ended before may have said something before it heard so.
        if heard["id"] != "4" {
            continue;
        }
        if heard["type"] == "complete" {
            break;
        }
        last = heard["payload"]["data"]["simulateContractVersion"].clone();
    }
    assert_eq!(last["simulation"]["total"]["difference"]["amount"], "60.00", "{last}");
    // Nothing is left of those that were ended: shutdown waits for all that goes on.
    tokio::time::timeout(PATIENCE, server.domain.shut_down()).await.expect("they stopped");
}

#[tokio::test]
async fn it_is_told_when_the_server_stops() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    server.app.live.close();
    let told = server.told_of(&crash.ada, &asked(&crash.contract, 1, "2021-11-01", "2021-11-30")).await;
    assert!(told.contains("\"UNAVAILABLE\"") && told.ends_with("event: complete\ndata:\n\n"), "{told}");
}

/// Everything that it can show, to those who may see it: nothing of another tenant.
#[tokio::test]
async fn nothing_of_another_is_in_what_is_simulated() {
    let (server, shape) = (TestServer::new().await, Shape::read().await);
    let finch = Words { tenant: "finch", partners: ["wren", "magpie"], stakes: [5_001, 7_003] };
    let canary = Words { tenant: "canary", partners: ["linnet", "siskin"], stakes: [6_007, 8_009] };
    let (own, other) = (furnish(&server, &finch).await, furnish(&server, &canary).await);
    let [(name, _)] = ENDING;
    let field = shape.fields("Subscription").iter().find(|field| text(field, "name") == name).expect("a field");
    let selections = crate::crawl::of_kind(&shape, text(named(&field["type"]), "name"));
    let contracts = "{ contracts(first: 100) { nodes { id } } }";
    let mut shown = 0;
    for (token, words, foreign) in [(&own.ada, "finch", "canary"), (&other.ada, "canary", "finch")] {
        let contracts = server.query(token, contracts, json!({})).await;
        for contract in list(&contracts["contracts"], "nodes") {
            for selection in &selections {
                let input = format!(
                    "contractId: \"{}\", version: 1, from: \"2021-11-01\", to: \"2021-11-30\"",
                    text(contract, "id")
                );
                let query = format!("subscription {{ {name}(input: {{ {input} }}) {{ {selection} }} }}");
                let told = server.told_of(token, &query).await;
                assert!(!told.contains(foreign) && !told.contains("\"errors\""), "{query}: {told}");
                shown += usize::from(told.contains(words));
            }
        }
    }
    assert!(shown > 1, "there was something to see");
}
