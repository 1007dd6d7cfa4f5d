//! Rate tables as spreadsheets: out, changed, in again, and what is refused.

use poem::http::{Method, StatusCode};
use poem::{Body, Request, Response};
use serde_json::{Value, json};

use crate::support::{Crash, TestServer, terms};

impl TestServer {
    async fn sheet(&self, method: Method, path: &str, token: &str, body: impl Into<Body>) -> Response {
        let request =
            Request::builder().method(method).uri_str(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(body.into())).await
    }

    async fn put(&self, path: &str, token: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let response = self.sheet(Method::PUT, path, token, body).await;
        let status = response.status();
        (status, serde_json::from_str(&response.into_body().into_string().await.expect("text")).expect("JSON"))
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Vec<u8>) {
        let response = self.sheet(Method::GET, path, token, "").await;
        (response.status(), response.into_body().into_bytes().await.expect("bytes").to_vec())
    }
}

fn table() -> Value {
    json!({
        "match": "FIRST",
        "columns": [{ "reads": "localHour" }, { "reads": "product" }, { "reads": "promotion" }],
        "rows": [
            { "code": "night", "when": "kind == 'STAKE'", "cells": ["0..6", "crash"], "percent": "6", "tiers": null },
            { "code": "xmas", "when": null, "cells": ["", "", "xmas"], "percent": "9", "tiers": null },
            { "code": "rest", "when": null, "cells": [], "percent": null, "tiers": { "mode": "VOLUME", "steps": [
                { "upTo": "100", "percent": "8" }, { "upTo": null, "percent": "7.5" },
            ] } },
        ],
    })
}

const TABLE: &str = "rateTable { match columns { reads }
    rows { code when cells percent tiers { mode steps { upTo percent } } } } promotions { code from until products }";

fn drafted() -> Value {
    let mut terms = terms();
    terms["rateTable"] = table();
    terms["promotions"] =
        json!([{ "code": "xmas", "from": "2021-12-24T00:00", "until": "2021-12-27T00:00", "products": ["crash"] }]);
    terms
}

/// A second version, a draft with a table of its own; where its sheets are.
async fn draft(server: &TestServer, crash: &Crash) -> String {
    let fields = format!("contractVersion {{ version terms {{ {TABLE} }} }}");
    let input = json!({ "contractId": crash.contract, "terms": drafted() });
    let version = server.mutate(&crash.ada, "draftContractVersion", input, &fields).await["contractVersion"].clone();
    assert_eq!(version["terms"]["rateTable"], table());
    assert_eq!(version["terms"]["promotions"], drafted()["promotions"]);
    format!("/v1/contracts/{}/versions/2/rate-table", crash.contract)
}

async fn terms_now(server: &TestServer, crash: &Crash) -> Value {
    let query = format!("{{ contracts(first: 1) {{ nodes {{ versions {{ terms {{ {TABLE} }} }} }} }} }}");
    server.query(&crash.ada, &query, json!({})).await["contracts"]["nodes"][0]["versions"][1]["terms"].clone()
}

#[tokio::test]
async fn a_table_goes_out_and_comes_in_as_it_was() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let path = draft(&server, &crash).await;
    let before = terms_now(&server, &crash).await;
    for ending in ["csv", "xlsx"] {
        let (status, file) = server.get(&format!("{path}.{ending}"), &crash.ada).await;
        assert_eq!(status, StatusCode::OK);
        let (status, answer) = server.put(&format!("{path}.{ending}"), &crash.ada, file).await;
        assert_eq!((status, &answer), (StatusCode::OK, &json!({ "rows": 3, "findings": [] })));
        assert_eq!(terms_now(&server, &crash).await, before, "{ending}");
    }
    let response = server.sheet(Method::GET, &format!("{path}.csv"), &crash.ada, "").await;
    assert_eq!(response.content_type(), Some("text/csv; charset=utf-8"));
    assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"rate-table-2.csv\""));
    let text = response.into_body().into_string().await.expect("text");
    let first = "code,localHour,product,promotion,when,percent,tiers\r\nnight,0..6,crash,,kind == 'STAKE',6,\r\n";
    assert!(text.trim_start_matches('\u{feff}').starts_with(first), "{text}");

    let csv = "code;product;localHour;percent\nslow;;0..12;7\nquick;crash;;8 %\nall;;;9\n";
    let (status, answer) = server.put(&format!("{path}.csv"), &crash.ada, csv).await;
    assert_eq!((status, &answer["rows"]), (StatusCode::OK, &json!(3)));
    assert_eq!((&answer["findings"][0]["severity"], &answer["findings"][0]["cell"]), (&json!("WARNING"), &json!("A3")));
    let now = terms_now(&server, &crash).await;
    assert_eq!(now["rateTable"]["rows"][1]["percent"], "8");
    assert_eq!(now["promotions"], before["promotions"], "the rest of the terms stays");
    let findings =
        "{ contracts(first: 1) { nodes { versions { findings { severity kind field row column message } } } } }";
    let told = server.query(&crash.ada, findings, json!({})).await["contracts"]["nodes"][0]["versions"].clone();
    assert_eq!(told[0]["findings"], json!([]));
    let told = told[1]["findings"].clone();
    assert_eq!(told[0]["kind"], "OVERLAP");
    assert_eq!((&told[0]["field"], &told[0]["row"]), (&json!(["rateTable", "rows", "1"]), &json!(1)));
    assert_eq!(told[0]["message"], answer["findings"][0]["message"]);
}

#[tokio::test]
async fn a_sheet_that_is_wrong_changes_nothing_and_is_told_by_cell() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let path = format!("{}.csv", draft(&server, &crash).await);
    let before = terms_now(&server, &crash).await;
    for (sheet, cell, words) in [
        ("code,localHour,percent\na,25,8\nb,,8\n", "B2", "not an hour"),
        ("code,product,percent\na,plinko,8\nb,,8\n", "B2", "there is no product 'plinko'"),
        ("code,localHour,percent\na,0..6,8\n", "A2", "no row is sure to take"),
        ("code,localHour,percent\nall,,8\nb,0..6,8\n", "B3", "never reached"),
        ("code,localHour,percent\nall,,101\n", "C2", "more than the whole"),
        ("code,tiers\nall,MARGINAL: 15 to 10; 12 to 5; 10\n", "B2", "not above the step before"),
        ("code,when,percent\na,12 / localHour > 2,8\nb,,8\n", "B2", "localHour is 0"),
        ("code,percent\na b,8\n", "A2", "letters, digits"),
        ("code,hours,percent\na,,8\n", "B1", "there is no 'hours'"),
        ("code,percent\nall,7,5\n", "C2", "without a heading"),
        ("", "", "header"),
    ] {
        let (status, answer) = server.put(&path, &crash.ada, sheet).await;
        assert_eq!((status, &answer["status"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(422)), "{sheet}");
        let findings = answer["findings"].as_array().expect("a list");
        let told =
            |finding: &Value| finding["cell"] == cell && finding["message"].as_str().unwrap_or("").contains(words);
        assert!(findings.iter().any(told), "{sheet}: {answer}");
    }
    assert_eq!(terms_now(&server, &crash).await, before);
    let (status, answer) = server.put(&path.replace("/2/", "/1/"), &crash.ada, "code,percent\nall,9\n").await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("VERSION_ACTIVE")));
    let (status, _) = server.put(&path, &crash.ada, vec![b','; (8 << 20) + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn sheets_are_for_whom_the_contract_is_for() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let other = server.crash("other").await;
    let path = draft(&server, &crash).await;
    let sheet = "code,percent\nall,9\n";
    for path in [format!("{path}.csv"), format!("{path}.xlsx")] {
        assert_eq!(server.get(&path, &other.ada).await.0, StatusCode::NOT_FOUND, "another tenant's");
        assert_eq!(server.put(&path, &other.ada, sheet).await.0, StatusCode::NOT_FOUND);
        assert_eq!(server.get(&path, "wrong").await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(server.put(&path, &crash.key, sheet).await.0, StatusCode::FORBIDDEN, "a source's key records");
        assert_eq!(server.get(&path, &crash.key).await.0, StatusCode::FORBIDDEN);
        assert_eq!(server.get(&path.replace("/2/", "/7/"), &crash.ada).await.0, StatusCode::NOT_FOUND);
        assert_eq!(server.get(&path.replace("/2/", "/x/"), &crash.ada).await.0, StatusCode::NOT_FOUND);
    }
    let anonymous = server.send(Request::builder().uri_str(format!("{path}.csv")).finish()).await;
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_table_that_collects_pays_a_surcharge_beside_the_share_and_a_rollback_takes_back_both() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let mut wanted = terms();
    wanted["scope"] = json!({ "regions": ["KR"] });
    wanted["role"] = json!("AFFILIATE");
    wanted["rateTable"] = json!({ "match": "COLLECT", "columns": [{ "reads": "promotion" }], "rows": [
        { "code": "base", "percent": "10" }, { "code": "surcharge", "cells": ["xmas"], "percent": "5" },
    ] });
    wanted["promotions"] = drafted()["promotions"].clone();
    let create = |terms: &Value| json!({ "partnerId": crash.partner, "name": "Affiliate", "terms": terms });
    let refused = server.try_mutate(&crash.ada, "createContract", create(&wanted), "contract { id }").await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["terms", "negative", "level"]), "{refused}");
    wanted["negative"]["level"] = json!("PER_CLASS");
    let contract = server.mutate(&crash.ada, "createContract", create(&wanted), "contract { id }").await;
    let first = json!({ "contractId": contract["contract"]["id"], "version": 1 });
    server.mutate(&crash.ada, "activateContractVersion", first, "contract { id }").await;
    let stake = |id: &str, day: u32, reverses: Value| {
        let kind = if reverses.is_null() { "STAKE" } else { "ROLLBACK" };
        json!({
            "externalId": id, "kind": kind, "amount": { "amount": "100", "currency": "BIT" }, "product": "crash",
            "region": "KR", "occurredAt": format!("2021-12-{day:02}T12:00:00Z"), "reverses": reverses,
        })
    };
    let all = [
        stake("1", 1, Value::Null),
        stake("2", 25, Value::Null),
        stake("3", 26, Value::Null),
        stake("4", 26, json!("3")),
    ];
    let input = json!({ "source": "crash", "transactions": all });
    let recorded = server.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
    assert!(recorded["results"].as_array().unwrap().iter().all(|result| result["outcome"] == "RECORDED"), "{recorded}");
    let query = "{ settlements { nodes { contract { name } total { amount } transactionCount
        lines { code rateClass amount { amount } } } } }";
    let settlements = server.query(&crash.ada, query, json!({})).await["settlements"]["nodes"].clone();
    let own = settlements.as_array().unwrap().iter().find(|row| row["contract"]["name"] == "Affiliate").expect("one");
    assert_eq!(own["total"]["amount"], "25.00", "10 % of 200 and 5 % of 100: {own}");
    assert_eq!(own["transactionCount"], 4, "each once");
    let lines: Vec<_> = own["lines"].as_array().unwrap().iter().map(|line| line["rateClass"].clone()).collect();
    assert_eq!(lines, ["base", "surcharge"]);
    let operator = server.domain.operator("acme").await.expect("its operator");
    let check = server.domain.for_caller(operator).check_books().await.expect("a check");
    assert_eq!(check.findings, [] as [&str; 0]);
}
