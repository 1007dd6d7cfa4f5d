//! The ring-fence: agreed, told, explained and listed over the API.

use serde_json::{Value, json};

use crate::support::{Crash, TestServer, terms};

const LISTED: &str = "query($first: Int, $after: String) { settlements(first: 10) { nodes { id periodStart
    lines { code label base { amount } amount { amount } }
    ringFence(first: $first, after: $after) {
        edges { cursor } pageInfo { hasNextPage }
        nodes { player base { amount } carriedIn { amount } offset { amount } taken { amount } carriedOut { amount } } } } } }";

fn played(id: &str, kind: &str, amount: &str, player: Value, at: &str) -> Value {
    json!({ "externalId": id, "kind": kind, "amount": { "amount": amount, "currency": "BIT" },
            "occurredAt": format!("{at}T12:00:00Z"), "product": "crash", "player": player })
}

/// A contract with the clause beside the one that is there, and what was played.
async fn fenced(server: &TestServer, crash: &Crash) -> Value {
    let mut fenced = terms();
    (fenced["role"], fenced["ringFence"]) = (json!("PLATFORM"), json!({ "threshold": "5000" }));
    fenced["validFrom"] = json!("2021-11-01");
    let new = json!({ "partnerId": crash.partner, "name": "Fenced", "terms": fenced });
    let made = server.mutate(&crash.ada, "createContract", new, "contract { id }").await;
    let contract = made["contract"]["id"].clone();
    let first = json!({ "contractId": contract, "version": 1 });
    server.mutate(&crash.ada, "activateContractVersion", first, "contract { id }").await;
    let opening = json!({
        "contractId": contract, "currency": "BIT", "players": [{ "player": "carol", "amount": "-10.5" }],
    });
    server.mutate(&crash.ada, "setOpeningBalances", opening, "contract { id }").await;
    let rows = [
        played("1", "WIN", "12000", json!("alice"), "2021-11-05"),
        played("2", "WIN", "6000", json!("bob"), "2021-11-06"),
        played("3", "STAKE", "10000", Value::Null, "2021-11-07"),
        played("4", "STAKE", "3000", json!("alice"), "2021-12-05"),
    ];
    let input = json!({ "source": "crash", "transactions": rows });
    server.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
    contract
}

async fn listed(server: &TestServer, token: &str, month: &str, variables: Value) -> Value {
    let found = server.query(token, LISTED, variables).await;
    let rows = found["settlements"]["nodes"].as_array().expect("a list").clone();
    let own = |row: &&Value| {
        let fenced = row["lines"].as_array().is_some_and(|lines| {
            lines.iter().any(|line| line["code"].as_str().is_some_and(|code| code.starts_with("RING_FENCE")))
        });
        row["periodStart"].as_str().is_some_and(|start| start.starts_with(month)) && fenced
    };
    rows.iter().find(own).expect("a settlement").clone()
}

#[tokio::test]
async fn players_are_fenced_listed_and_explained() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let contract = fenced(&server, &crash).await;
    let november = listed(&server, &crash.ada, "2021-11", json!({})).await;
    let mut rows: Vec<[String; 5]> = Vec::new();
    for node in november["ringFence"]["nodes"].as_array().expect("a list") {
        assert_eq!(node["player"].as_str().expect("a pseudonym").len(), 32);
        let amount = |name: &str| node[name]["amount"].as_str().expect("an amount").to_owned();
        rows.push(["base", "carriedIn", "offset", "taken", "carriedOut"].map(amount));
    }
    rows.sort();
    let expected = [
        ["-12000.00", "0.00", "0.00", "5333.333333", "-5333.333333"],
        ["-6000.00", "0.00", "0.00", "2666.666667", "-2666.666667"],
        ["0.00", "-10.50", "0.00", "0.00", "-10.50"],
    ];
    assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
    // In pages of one.
    let (mut players, mut after) = (Vec::new(), Value::Null);
    for page in 0..3 {
        let list =
            listed(&server, &crash.ada, "2021-11", json!({ "first": 1, "after": after })).await["ringFence"].clone();
        assert_eq!(list["pageInfo"]["hasNextPage"], json!(page < 2));
        players.push(list["nodes"][0]["player"].as_str().expect("a pseudonym").to_owned());
        after = list["edges"][0]["cursor"].clone();
    }
    assert!(players.is_sorted_by(|a, b| a < b), "{players:?}");
    // Each line says how it came about.
    let december = listed(&server, &crash.ada, "2021-12", json!({})).await;
    for (of, code, text) in [
        (
            &november,
            "RING_FENCED",
            "Players who won 5,000.00 BIT or more: 2, who won 18,000.00 BIT in all. 8,000.00 BIT of it is taken out of the total of −8,000.00 BIT, which leaves 0.00 BIT.",
        ),
        (
            &december,
            "RING_FENCE_OFFSET",
            "Players against whom something stands: 1 have a positive base, 3,000.00 BIT in all, and 5,333.333333 BIT stood against them. −3,000.00 BIT of the total of 3,000.00 BIT is set off, which leaves 0.00 BIT.",
        ),
    ] {
        let lines = of["lines"].as_array().expect("a list");
        let position = 1 + lines.iter().position(|line| line["code"] == code).expect("the line");
        let query = "query($id: ID!, $position: Int!) { settlementLineExplanation(settlementId: $id, position: $position) { path steps { text } } }";
        let told = server.query(&crash.ada, query, json!({ "id": of["id"], "position": position })).await;
        let told = &told["settlementLineExplanation"];
        assert_eq!((&told["path"], &told["steps"]), (&json!("ringFence"), &json!([{ "text": text }])));
    }
    let query = "query($id: ID!) { node(id: $id) { ... on Contract { versions { terms { ringFence { threshold } } text(language: EN) { section } } } } }";
    let read = server.query(&crash.ada, query, json!({ "id": contract })).await["node"]["versions"][0].clone();
    assert_eq!(read["terms"]["ringFence"]["threshold"], "5000");
    assert!(read["text"].as_array().expect("a list").iter().any(|clause| clause["section"] == "RING_FENCE"));
    let mut wrong = terms();
    (wrong["ringFence"], wrong["negative"]["level"]) = (json!({ "threshold": "0" }), json!("PER_CLASS"));
    let new = json!({ "partnerId": crash.partner, "name": "Wrong", "terms": wrong });
    let refused = server.try_mutate(&crash.ada, "createContract", new, "contract { id }").await["userErrors"].clone();
    let fields: Vec<&Value> = refused.as_array().expect("a list").iter().map(|error| &error["field"]).collect();
    let expected = [json!(["terms", "ringFence", "threshold"]), json!(["terms", "ringFence"])];
    assert_eq!(fields, expected.iter().collect::<Vec<_>>(), "{refused}");
}

/// A partner's user sees players where every source that is counted is the partner's own; the lines in any case.
#[tokio::test]
async fn a_partners_user_sees_players_as_far_as_transactions() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let contract = fenced(&server, &crash).await;
    let user = crate::habitat::member(&server, &crash.ada, "acme", "pia", "READ_ONLY", json!(crash.partner)).await;
    let count = async || {
        let november = listed(&server, &user, "2021-11", json!({})).await;
        november["ringFence"]["nodes"].as_array().expect("a list").len()
    };
    assert_eq!(count().await, 3, "the contract names its own source only");
    let other = server.mutate(&crash.ada, "createPartner", json!({ "name": "Other" }), "partner { id }").await;
    let source = json!({ "partnerId": other["partner"]["id"], "name": "other", "mapping": crate::support::mapping() });
    server.mutate(&crash.ada, "createSource", source, "source { id }").await;
    assert_eq!(count().await, 3);
    // A version from now on counts the other partner's transactions as well.
    let mut all = terms();
    (all["role"], all["scope"], all["ringFence"]) = (json!("PLATFORM"), json!({}), json!({ "threshold": "5000" }));
    all["validFrom"] = json!("2022-01-01");
    let draft = json!({ "contractId": contract, "terms": all });
    server.mutate(&crash.ada, "draftContractVersion", draft, "contract { id }").await;
    let second = json!({ "contractId": contract, "version": 2 });
    server.mutate(&crash.ada, "activateContractVersion", second, "contract { id }").await;
    assert_eq!(count().await, 0);
}
