//! The life of a contract's version, as clients see it.

use serde_json::{Value, json};

use crate::habitat::member;
use crate::support::{Crash, TestServer, code, terms};

const ERRORS: &str = "contractVersion { version state revision }";

fn percent(percent: &str) -> Value {
    let mut terms = terms();
    terms["rateTable"]["rows"][0]["percent"] = json!(percent);
    terms
}

/// The codes and paths of what should have been done otherwise.
fn told(payload: &Value) -> Vec<String> {
    let errors = payload["userErrors"].as_array().expect("a list");
    let path = |error: &Value| -> Vec<String> {
        error["field"]
            .as_array()
            .expect("a path")
            .iter()
            .map(|part| part.as_str().expect("a text").to_owned())
            .collect()
    };
    errors
        .iter()
        .map(|error| format!("{} {}", error["code"].as_str().expect("a code"), path(error).join(".")))
        .collect()
}

async fn draft(server: &TestServer, crash: &Crash, terms: Value, replaces: Option<i64>) -> i64 {
    let input = json!({ "contractId": crash.contract, "terms": terms, "replaces": replaces });
    let made = server.mutate(&crash.ada, "draftContractVersion", input, "contractVersion { version }").await;
    made["contractVersion"]["version"].as_i64().expect("a number")
}

fn case(contract: &str, name: &str, total: &str) -> Value {
    let fact = json!({
        "externalId": "1", "kind": "STAKE", "amount": { "amount": "1000", "currency": "BIT" },
        "occurredAt": "2021-11-20T12:00:00Z", "product": "crash",
    });
    json!({ "contractId": contract, "name": name, "facts": [fact], "expectedTotal": total })
}

#[tokio::test]
async fn two_saves_at_once_self_approval_and_edits_after_activation_are_refused() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let bo = member(&server, &crash.ada, "acme", "bo", "SETTLEMENT", Value::Null).await;
    let change = |revision: i64, percents: &str| json!({ "contractId": crash.contract, "version": 2, "revision": revision, "terms": percent(percents) });
    let mut later = percent("9");
    later["validFrom"] = json!("2022-01-01");
    draft(&server, &crash, later, None).await;
    let (one, other) = tokio::join!(
        server.try_mutate(&crash.ada, "changeContractDraft", change(1, "10"), ERRORS),
        server.try_mutate(&bo, "changeContractDraft", change(1, "11"), ERRORS),
    );
    let (saved, refused) = if told(&one).is_empty() { (one, other) } else { (other, one) };
    assert_eq!(saved["contractVersion"], json!({ "version": 2, "state": "DRAFT", "revision": 2 }));
    assert_eq!(told(&refused), ["STALE revision"]);
    assert!(refused["userErrors"][0]["message"].as_str().is_some_and(|text| text.contains("revision 2 was saved by")));

    let policy = json!({ "approval": "SECOND_PERSON" });
    let set = server.mutate(&crash.ada, "updateContractPolicy", policy.clone(), "contractPolicy { approval }").await;
    assert_eq!(set["contractPolicy"]["approval"], "SECOND_PERSON");
    let query =
        "mutation($input: UpdateContractPolicyInput!) { updateContractPolicy(input: $input) { userErrors { code } } }";
    assert_eq!(code(&server.ask(Some(&bo), query, json!({ "input": policy })).await), "FORBIDDEN");
    let mut january = change(2, "12");
    january["terms"]["validFrom"] = json!("2022-01-01");
    server.mutate(&crash.ada, "changeContractDraft", january, ERRORS).await;
    let second = json!({ "contractId": crash.contract, "version": 2 });
    let tested = server
        .mutate(&crash.ada, "testContractVersion", second.clone(), "contractVersion { state } results { name }")
        .await;
    assert_eq!((&tested["contractVersion"]["state"], &tested["results"]), (&json!("TESTED"), &json!([])));
    let approve = json!({ "contractId": crash.contract, "version": 2, "revision": 3, "note": "as agreed" });
    assert_eq!(
        told(&server.try_mutate(&crash.ada, "approveContractVersion", approve.clone(), ERRORS).await),
        ["OWN_WORK version"]
    );
    let activate = async || server.try_mutate(&crash.ada, "activateContractVersion", second.clone(), ERRORS).await;
    assert_eq!(told(&activate().await), ["APPROVAL_NEEDED version"]);
    let cy = member(&server, &crash.ada, "acme", "cy", "SETTLEMENT", Value::Null).await;
    let approved = server.mutate(&cy, "approveContractVersion", approve, ERRORS).await;
    assert_eq!(approved["contractVersion"]["state"], "APPROVED");
    assert_eq!(activate().await["contractVersion"]["state"], "ACTIVE");
    assert_eq!(
        told(&server.try_mutate(&crash.ada, "changeContractDraft", change(3, "13"), ERRORS).await),
        ["VERSION_ACTIVE version"]
    );

    let query = "query($id: ID!) { node(id: $id) { ... on Contract { versions { version state supersededAt supersededBy
        history { kind revision memberName note } } } } }";
    let versions = server.query(&bo, query, json!({ "id": crash.contract })).await["node"]["versions"].clone();
    assert_eq!((&versions[0]["state"], &versions[0]["supersededBy"]), (&json!("SUPERSEDED"), &json!(2)));
    assert_eq!(versions[0]["supersededAt"], "2022-01-01T00:00:00Z");
    let steps = versions[1]["history"].as_array().expect("a list");
    let kinds: Vec<&str> = steps.iter().map(|step| step["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["ACTIVATED", "APPROVED", "TESTED", "SAVED", "SAVED", "CREATED"]);
    assert_eq!(steps[1], json!({ "kind": "APPROVED", "revision": 3, "memberName": "cy", "note": "as agreed" }));
}

#[tokio::test]
async fn a_failing_test_case_keeps_a_version_from_coming_into_force() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let save = async |input: Value| {
        let fields =
            "testCase { name expectedTotal expectedLines { code rateClass amount } facts { kind amount { amount } } }";
        server.try_mutate(&crash.ada, "saveContractTestCase", input, fields).await
    };
    let saved = save(case(&crash.contract, "A thousand", "90")).await;
    let expected = json!({
        "name": "A thousand", "expectedTotal": "90", "expectedLines": null,
        "facts": [{ "kind": "STAKE", "amount": { "amount": "1000" } }],
    });
    assert_eq!(saved["testCase"], expected);
    let mut bad = case(&crash.contract, "Bad", "1");
    bad["facts"][0]["amount"]["amount"] = json!("-1");
    assert_eq!(told(&save(bad).await), ["NEGATIVE_AMOUNT facts.0.amount.amount"]);
    let mut both = case(&crash.contract, "Both", "1");
    both["acceptVersion"] = json!(1);
    assert_eq!(told(&save(both).await), ["BAD_INPUT acceptVersion"]);

    let version = draft(&server, &crash, percent("10"), Some(1)).await;
    let second = json!({ "contractId": crash.contract, "version": version });
    let fields = "contractVersion { state } results { name passed message total expectedTotal lines { code rateClass expected amount matches } }";
    let tested = server.mutate(&crash.ada, "testContractVersion", second.clone(), fields).await;
    let message = "'A thousand': total: expected 90.00, got 100.00";
    let line =
        json!({ "code": "REVENUE_SHARE", "rateClass": "all", "expected": null, "amount": "100.00", "matches": true });
    assert_eq!(tested["contractVersion"]["state"], "DRAFT");
    assert_eq!(
        tested["results"],
        json!([{ "name": "A thousand", "passed": false, "message": message, "total": "100.00", "expectedTotal": "90.00", "lines": [line] }])
    );
    let refused = server.try_mutate(&crash.ada, "activateContractVersion", second.clone(), ERRORS).await;
    assert_eq!(told(&refused), ["TEST_CASE_FAILED testCases.0"]);
    assert_eq!(refused["userErrors"][0]["message"], message);
    let mut accepted = case(&crash.contract, "A thousand", "0");
    accepted.as_object_mut().expect("an object").shift_remove("expectedTotal");
    accepted["acceptVersion"] = json!(version);
    let lines = &save(accepted).await["testCase"]["expectedLines"];
    assert_eq!(*lines, json!([{ "code": "REVENUE_SHARE", "rateClass": "all", "amount": "100.00" }]));
    let active = server.mutate(&crash.ada, "activateContractVersion", second, ERRORS).await;
    assert_eq!(active["contractVersion"]["state"], "ACTIVE");
}

#[tokio::test]
async fn what_is_in_force_and_what_differs_can_be_asked() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let before = server.domain.clock().now().to_rfc3339();
    let version = draft(&server, &crash, percent("7"), Some(1)).await;
    let second = json!({ "contractId": crash.contract, "version": version });
    server.mutate(&crash.ada, "activateContractVersion", second, ERRORS).await;
    let query = "query($id: ID!, $known: DateTime, $since: Int) { node(id: $id) { ... on Contract {
        now: versionInForce(at: \"2021-11-01T00:00:00Z\") { version }
        then: versionInForce(at: \"2021-11-01T00:00:00Z\", knownAt: $known) { version }
        never: versionInForce(at: \"2021-09-01T00:00:00Z\") { version }
        versions { differences(since: $since) { path before after } } } } }";
    let variables = json!({ "id": crash.contract, "known": before });
    let found = server.query(&crash.ada, query, variables.clone()).await["node"].clone();
    assert_eq!(
        (&found["now"]["version"], &found["then"]["version"], &found["never"]),
        (&json!(2), &json!(1), &Value::Null)
    );
    let differs = json!([{ "path": "rateTable.rows[all].percent", "before": "8", "after": "7" }]);
    assert_eq!(found["versions"], json!([{ "differences": [] }, { "differences": differs }]));
    let mut none = variables;
    none["since"] = json!(9);
    assert_eq!(code(&server.ask(Some(&crash.ada), query, none).await), "NOT_FOUND");
}

#[tokio::test]
async fn contracts_are_made_of_templates_and_of_contracts() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let template = json!({ "name": "Standard", "terms": percent("9") });
    server.mutate(&crash.ada, "saveContractTemplate", template, "contractTemplate { name }").await;
    let listed = server
        .query(
            &crash.ada,
            "{ contractTemplates { nodes { name terms { rateTable { rows { percent } } } } } }",
            json!({}),
        )
        .await;
    assert_eq!(listed["contractTemplates"]["nodes"][0]["terms"]["rateTable"]["rows"][0]["percent"], "9");
    let partner = server.mutate(&crash.ada, "createPartner", json!({ "name": "Other" }), "partner { id }").await;
    let partner = partner["partner"]["id"].clone();
    let fields = "contract { name partner { name } testCases { name } } contractVersion { state terms { validFrom rateTable { rows { percent } } } }";
    let changes = json!({ "validFrom": "2022-05-01", "percents": [{ "code": "all", "percent": "6.5" }] });
    let input = json!({ "template": "Standard", "partnerId": partner, "name": "One", "changes": changes });
    let made = server.mutate(&crash.ada, "createContractFromTemplate", input, fields).await;
    let terms = json!({ "validFrom": "2022-05-01", "rateTable": { "rows": [{ "percent": "6.5" }] } });
    assert_eq!(made["contractVersion"], json!({ "state": "DRAFT", "terms": terms }));
    let mut wrong =
        json!({ "contractId": crash.contract, "version": 1, "partnerId": partner, "name": "Two", "changes": changes });
    wrong["changes"]["percents"][0]["code"] = json!("none");
    let refused = server.try_mutate(&crash.ada, "copyContract", wrong.clone(), fields).await;
    assert_eq!(told(&refused), ["NOT_FOUND changes.percents.0.code"]);
    server
        .mutate(&crash.ada, "saveContractTestCase", case(&crash.contract, "A thousand", "80"), "testCase { name }")
        .await;
    wrong["changes"] = json!({});
    let copied = server.mutate(&crash.ada, "copyContract", wrong, fields).await;
    assert_eq!(
        copied["contract"],
        json!({ "name": "Two", "partner": { "name": "Other" }, "testCases": [{ "name": "A thousand" }] })
    );
    let deleted = server.mutate(&crash.ada, "deleteContractTemplate", json!({ "name": "Standard" }), "name").await;
    assert_eq!(deleted["name"], "Standard");
}
