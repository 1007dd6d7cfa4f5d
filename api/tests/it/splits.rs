//! Totals that are split, as clients see them: parties with their working, and the part of a party whose partner's
//! contract it is not.

use serde_json::{Value, json};

use crate::habitat::member;
use crate::support::{Crash, TestServer, code, terms};

const PARTS: &str = "{ settlementParts { nodes { partner { name } contractName periodStart state percent
    amount { amount } held { amount } total { amount currency } settlement { lines { code } } working { kind text path } } } }";

/// A contract with a child of 0.8 % and its parent, who has it, at 1.2 % of turnover; and the child's id.
async fn agents(server: &TestServer, crash: &Crash) -> String {
    let child = server.mutate(&crash.ada, "createPartner", json!({ "name": "Child" }), "partner { id }").await;
    let child = child["partner"]["id"].as_str().expect("an id").to_owned();
    let parties = json!([{ "partner": child, "percent": "0.8" }, { "partner": crash.partner, "percent": "1.2" }]);
    let mut terms = terms();
    (terms["role"], terms["base"]) = (json!("AGENT"), json!({ "turnover": { "bonusTreatment": "INCLUDE" } }));
    terms["rateTable"]["rows"][0]["percent"] = json!("1.2");
    terms["split"] = json!({ "differential": { "parties": parties } });
    terms.as_object_mut().expect("an object").remove("advance");
    let new = json!({ "partnerId": crash.partner, "name": "Agents", "terms": terms });
    let contract = server.mutate(&crash.ada, "createContract", new, "contract { id }").await["contract"]["id"].clone();
    let first = json!({ "contractId": contract, "version": 1 });
    server.mutate(&crash.ada, "activateContractVersion", first, "contract { id }").await;
    child
}

async fn stake(server: &TestServer, crash: &Crash) {
    let stake = json!({ "externalId": "1", "kind": "STAKE", "product": "crash", "occurredAt": "2021-11-20T19:44:19Z",
                        "amount": { "amount": "1000000", "currency": "BIT" } });
    let input = json!({ "source": "crash", "transactions": [stake] });
    server.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
}

#[tokio::test]
async fn a_partys_user_sees_its_part_and_nothing_else_of_the_contract() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let child = agents(&server, &crash).await;
    stake(&server, &crash).await;
    let user = member(&server, &crash.ada, "acme", "child", "READ_ONLY", json!(child)).await;
    let parent = member(&server, &crash.ada, "acme", "parent", "READ_ONLY", json!(crash.partner)).await;
    let own = server.query(&user, PARTS, json!({})).await["settlementParts"]["nodes"].clone();
    let text = "0.8 % of 1.2 % of 12,000.00 BIT is 8,000.00 BIT and 0/3 of the smallest unit; with 0.00 BIT of what does not divide it is 8,000.00 BIT.";
    let expected = json!([{
        "partner": { "name": "Child" }, "contractName": "Agents", "periodStart": "2021-11-01T00:00:00Z", "state": "OPEN",
        "percent": "0.8", "amount": { "amount": "8000.00" }, "held": { "amount": "0.00" },
        "total": { "amount": "12000.00", "currency": "BIT" }, "settlement": null,
        "working": { "kind": "SHARED", "text": text, "path": "split" },
    }]);
    assert_eq!(own, expected);
    let rest = "{ settlements { nodes { id } } contracts { nodes { id } } transactions { nodes { id } } ledgerAccounts { nodes { id } } partners { nodes { name } } }";
    let rest = server.query(&user, rest, json!({})).await;
    let nothing = json!({ "nodes": [] });
    let expected = json!({ "settlements": nothing, "contracts": nothing, "transactions": nothing, "ledgerAccounts": nothing,
                           "partners": { "nodes": [{ "name": "Child" }] } });
    assert_eq!(rest, expected);
    // The contract's partner sees all parts, and of the others not who they are.
    let whole = "{ settlements(first: 5) { nodes { contract { name versions { terms { split { parallel { parties { percent } }
        differential { parties { percent partner { name } } } } } differences(since: 1) { path } text(language: EN) { section sentences } } }
        parties { partner { name } contractName amount { amount } } } } }";
    let seen = server.query(&parent, whole, json!({})).await;
    let of = seen["settlements"]["nodes"].as_array().expect("a list").iter();
    let agents: Vec<&Value> = of.filter(|row| row["contract"]["name"] == "Agents").collect();
    let name =
        server.query(&parent, "{ partners { nodes { name } } }", json!({})).await["partners"]["nodes"][0]["name"]
            .clone();
    let parties = json!([
        { "partner": null, "contractName": "Agents", "amount": { "amount": "8000.00" } },
        { "partner": { "name": name }, "contractName": "Agents", "amount": { "amount": "4000.00" } },
    ]);
    assert_eq!((agents.len(), &agents[0]["parties"]), (1, &parties));
    let split = &agents[0]["contract"]["versions"][0]["terms"]["split"];
    let told = json!([{ "percent": "0.8", "partner": null }, { "percent": "1.2", "partner": { "name": name } }]);
    assert_eq!(*split, json!({ "parallel": null, "differential": { "parties": told } }));
    assert!(!seen.to_string().contains("Child") && !seen.to_string().contains(&child), "{seen}");
    // Of a contract without a split the contract's partner has it all.
    let plain = seen["settlements"]["nodes"].as_array().expect("a list").iter();
    assert!(plain.filter(|row| row["contract"]["name"] != "Agents").all(|row| row["parties"] == json!([])));
    let staff = server.query(&crash.ada, whole, json!({})).await;
    assert!(staff.to_string().contains("‘Child’ 0.8 %"), "the text names the parties: {staff}");
}

#[tokio::test]
async fn what_is_wrong_with_a_split_is_told_at_its_field() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let refused = async |split: Value| -> Vec<(String, String)> {
        let mut terms = terms();
        (terms["role"], terms["split"]) = (json!("AGENT"), split);
        let new = json!({ "partnerId": crash.partner, "name": "x", "terms": terms });
        let payload = server.try_mutate(&crash.ada, "createContract", new, "contract { id }").await;
        let errors = payload["userErrors"].as_array().expect("a list").iter();
        let path = |error: &Value| {
            let path: Vec<&str> = error["field"].as_array().expect("a path").iter().filter_map(Value::as_str).collect();
            path.join(".")
        };
        errors.map(|error| (path(error), error["code"].as_str().expect("a code").to_owned())).collect()
    };
    let parties = |parties: Value| json!({ "parallel": { "parties": parties } });
    let own = crash.partner.as_str();
    let at = |field: &str, code: &str| vec![(format!("terms.split.parallel.parties{field}"), code.to_owned())];
    let missing = parties(json!([{ "partner": own, "percent": "50" }, { "partner": "par_1", "percent": "50" }]));
    assert_eq!(refused(missing).await, at(".1.partner", "NOT_FOUND"));
    let twice = parties(json!([{ "partner": own, "percent": "50" }, { "partner": own, "percent": "50" }]));
    assert_eq!(refused(twice).await, at(".1.partner", "BAD_INPUT"));
    let fine = parties(json!([{ "partner": own, "percent": "0.000000001" }, { "partner": own, "percent": "50" }]));
    assert_eq!(refused(fine).await, at(".0.percent", "BAD_AMOUNT"));
    assert_eq!(refused(parties(json!([]))).await, at("", "BAD_INPUT"));
    let query = "mutation($input: CreateContractInput!) { createContract(input: $input) { contract { id } } }";
    let mut terms = terms();
    terms["split"] = json!({ "parallel": { "parties": [] }, "differential": { "parties": [] } });
    let input = json!({ "input": { "partnerId": own, "name": "n", "terms": terms } });
    assert_eq!(code(&server.ask(Some(&crash.ada), query, input).await), "BAD_USER_INPUT", "one of the two");
}
