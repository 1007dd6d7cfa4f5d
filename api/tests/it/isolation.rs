//! Two tenants with the same external ids, names and e-mails, and partners of one tenant: nobody sees another's.

use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Crash, HEADER, PASSWORD, TestServer};

const FILE: &str = "1,3,alice,100,NA,0,2021-11-20T19:44:19Z\n2,3,bob,x,NA,0,2021-11-20T19:44:19Z\n";

/// Everything that a tenant can have, with texts that name the tenant where texts are free.
pub async fn fill(server: &TestServer, crash: &Crash, amount: &str) {
    let file = format!("{HEADER}{FILE}").replace("100", amount);
    let path = format!("/v1/sources/{}/files?name=crash.csv", crash.source);
    let run = server.upload(Method::POST, &path, &crash.key, &[], file.clone()).await;
    assert_eq!(run.json["state"], "COMPLETED", "{run:?}");
    let again = server.upload(Method::POST, &path, &crash.key, &[], file.replace(amount, "5")).await;
    assert_eq!(again.json["conflicting"], 1, "{again:?}");
    let player = json!({ "player": "alice", "segment": "VIP" });
    server.mutate(&crash.ada, "setPlayer", player, "player { versions { segment } }").await;
}

/// Raises anomaly cases, of at least so many players.
pub async fn raise(server: &TestServer, token: &str, source: &str, word: &str, cases: usize) {
    raise_of(server, token, source, ("crash", "BIT"), word, cases).await;
}

/// The same with another product and currency.
pub async fn raise_of(
    server: &TestServer,
    token: &str,
    source: &str,
    (product, currency): (&str, &str),
    word: &str,
    cases: usize,
) {
    let rate = json!({ "alertRate": "0.2", "mostAlertsADay": 1_000_000 });
    server.mutate(token, "setAlertRate", rate, "detector { alertRate }").await;
    let raised = async || {
        let cases = server.query(token, "{ anomalyCases(first: 100) { nodes { kind } } }", json!({})).await;
        let of_players = |case: &&Value| case["kind"] == "TRANSACTIONS";
        cases["anomalyCases"]["nodes"].as_array().expect("a list").iter().filter(of_players).count()
    };
    for piece in 0..20 {
        let transactions: Vec<Value> = (0..20)
            .map(|n| {
                json!({
                    "externalId": format!("{word} {piece} {n}"), "kind": "STAKE", "product": product,
                    "amount": { "amount": format!("{}.{piece:02}", 1 + n * n * n), "currency": currency },
                    "occurredAt": format!("2021-11-{:02}T{n:02}:44:19Z", 10 + piece), "player": format!("{word} {n}"),
                })
            })
            .collect();
        let input = json!({ "source": source, "transactions": transactions });
        server.mutate(token, "recordTransactions", input, "results { outcome }").await;
        if raised().await >= cases {
            return;
        }
    }
    panic!("no {cases} cases of all these");
}

/// Every root list with the ids of what it has.
pub const EVERYTHING: &str = "{
    viewer { tenant { slug } }
    members { nodes { id email } } apiKeys { nodes { id } } partners { nodes { id } } products { nodes { id } }
    assets { nodes { code } } players { nodes { versions { segment } } }
    sources { nodes { id } } contracts { nodes { id } } transactions { nodes { id amount { amount } } }
    importRuns { nodes { id } } quarantine { nodes { id } } conflicts { nodes { id } }
    settlements(first: 10) { nodes { id entries(first: 10) { nodes { id } } } } ledgerAccounts { nodes { id } } booksCheck { settlements findings }
}";

fn ids(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| match field.as_str() {
            Some(id) if name == "id" => drop(found.insert(id.to_owned())),
            _ => ids(field, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| ids(item, found)),
        _ => {}
    }
}

fn ids_of(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    ids(value, &mut found);
    found
}

pub async fn close_all(server: &TestServer, crash: &Crash) {
    // The quarantined record would block.
    let open =
        server.query(&crash.ada, "{ quarantine { nodes { id } } settlements { nodes { id } } }", json!({})).await;
    for record in open["quarantine"]["nodes"].as_array().expect("a list") {
        let input = json!({ "quarantinedRecordId": record["id"], "note": "broken" });
        server.mutate(&crash.ada, "dismissQuarantinedRecord", input, "quarantinedRecord { id }").await;
    }
    for settlement in open["settlements"]["nodes"].as_array().expect("a list") {
        let input = json!({ "settlementId": settlement["id"] });
        server.mutate(&crash.ada, "closeSettlement", input, "settlement { id }").await;
    }
}

#[tokio::test]
async fn tenants_with_the_same_names_see_nothing_of_each_other() {
    let server = TestServer::new().await;
    let (acme, bolt) = (server.crash("acme").await, server.crash("bolt").await);
    fill(&server, &acme, "100").await;
    fill(&server, &bolt, "900").await;
    close_all(&server, &acme).await;
    close_all(&server, &bolt).await;
    let (one, other) =
        (server.query(&acme.ada, EVERYTHING, json!({})).await, server.query(&bolt.ada, EVERYTHING, json!({})).await);
    let (own, foreign) = (ids_of(&one), ids_of(&other));
    assert!(own.is_disjoint(&foreign));
    for (name, field) in one.as_object().unwrap() {
        let empty = field["nodes"].as_array().is_some_and(Vec::is_empty);
        assert!(!empty, "{name} shows nothing, so that it proves nothing");
    }
    assert_eq!(one["transactions"]["nodes"][0]["amount"]["amount"], "100.00");
    assert_eq!(other["transactions"]["nodes"][0]["amount"]["amount"], "900.00");

    // `node` knows every one of them for its owner, and none for the other, byte for byte as an id that is not there.
    let node = "query($id: ID!) { node(id: $id) { __typename id } }";
    for id in &own {
        let seen = server.query(&acme.ada, node, json!({ "id": id })).await;
        assert_eq!(seen["node"]["id"], **id, "{seen}");
        let hidden = server.ask(Some(&bolt.ada), node, json!({ "id": id })).await;
        assert_eq!(hidden.to_string(), r#"{"data":{"node":null}}"#, "{id}");
    }
    let filters = "query($s: ID, $c: ID, $p: ID) {
        transactions(filter: { sourceId: $s }) { nodes { id } } importRuns(filter: { sourceId: $s }) { nodes { id } }
        quarantine(filter: { sourceId: $s }) { nodes { id } } conflicts(filter: { sourceId: $s }) { nodes { id } }
        a: settlements(filter: { contractId: $c }) { nodes { id } } b: settlements(filter: { partnerId: $p }) { nodes { id } }
    }";
    let foreign = json!({ "s": acme.source, "c": acme.contract, "p": acme.partner });
    let answer = server.query(&bolt.ada, filters, foreign).await;
    assert!(ids_of(&answer).is_empty(), "{answer}");
}

#[tokio::test]
async fn a_partners_user_sees_its_own_partner_only() {
    let server = TestServer::new().await;
    let acme = server.crash("acme").await;
    fill(&server, &acme, "100").await;
    let other = server.mutate(&acme.ada, "createPartner", json!({ "name": "Other" }), "partner { id }").await;
    let mut users = Vec::new();
    for (email, partner) in [("own@x.test", json!(acme.partner)), ("other@x.test", other["partner"]["id"].clone())] {
        let invite = json!({ "email": email, "name": "U", "role": "READ_ONLY", "partnerId": partner });
        let invited = server.mutate(&acme.ada, "inviteMember", invite, "oneTimeToken { token }").await;
        let once = invited["oneTimeToken"]["token"].as_str().unwrap();
        server.domain.accept_token(once, PASSWORD).await.expect("a password");
        users.push(server.token("acme", email).await);
    }
    let lists = "{ partners { nodes { id name } } sources { nodes { id partner { id } } } contracts { nodes { id } }
        transactions { nodes { id source { id } } } importRuns { nodes { id } } quarantine { nodes { id } }
        conflicts { nodes { id } } settlements(first: 10) { nodes { id total { amount } partner { id } contract { id } entries(first: 10) { nodes { id legs { account { id } } } } } } ledgerAccounts { nodes { id } } }";
    let own = server.query(&users[0], lists, json!({})).await;
    assert_eq!(own["partners"]["nodes"], json!([{ "id": acme.partner, "name": "Bustabit" }]));
    for list in ["sources", "contracts", "transactions", "importRuns", "quarantine", "conflicts", "settlements"] {
        assert!(!own[list]["nodes"].as_array().unwrap().is_empty(), "{list}");
    }
    let none = server.query(&users[1], lists, json!({})).await;
    assert_eq!(none["partners"]["nodes"][0]["name"], "Other");
    let seen = ids_of(&none);
    assert_eq!(seen.len(), 1, "its partner and nothing else: {none}");
    for (mutation, input) in [
        ("createPartner", json!({ "name": "x" })),
        ("closeSettlement", json!({ "settlementId": own["settlements"]["nodes"][0]["id"] })),
        ("recordTransactions", json!({ "source": acme.source, "transactions": [] })),
    ] {
        let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
        let query =
            format!("mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ userErrors {{ code }} }} }}");
        let answer = server.ask(Some(&users[0]), &query, json!({ "input": input })).await;
        assert_eq!(crate::support::code(&answer), "FORBIDDEN", "{mutation}: {answer}");
    }
    for list in ["members { nodes { id } }", "apiKeys { nodes { id } }", "booksCheck { balanced }"] {
        let answer = server.ask(Some(&users[0]), &format!("{{ {list} }}"), json!({})).await;
        assert_eq!(crate::support::code(&answer), "FORBIDDEN", "{list}");
    }
}
