//! Contracts in plain words, and what somebody is told before they are signed.

use poem::http::StatusCode;
use poem::{Request, Response};
use serde_json::{Value, json};

use crate::support::{Crash, PASSWORD, TestServer, terms};

impl TestServer {
    async fn page(&self, crash: &Crash, version: &str, token: &str, language: &str) -> Response {
        let path = format!("/v1/contracts/{}/versions/{version}/text?language={language}", crash.contract);
        let request = Request::builder().uri_str(path).header("authorization", format!("Bearer {token}"));
        self.send(request.finish()).await
    }

    /// A user of the partner, who may see what is the partner's.
    async fn of_partner(&self, crash: &Crash) -> String {
        let invite = json!({ "email": "p@acme.test", "name": "P", "role": "READ_ONLY", "partnerId": crash.partner });
        let invited = self.mutate(&crash.ada, "inviteMember", invite, "oneTimeToken { token }").await;
        let once = invited["oneTimeToken"]["token"].as_str().expect("a token");
        self.domain.accept_token(once, PASSWORD).await.expect("a password");
        self.token("acme", "p@acme.test").await
    }
}

/// A draft whose steps fall, with a tax on turnover and a pool of its own.
async fn draft(server: &TestServer, crash: &Crash) {
    let mut wanted = terms();
    wanted["base"] = json!({ "ngr": { "bonusTreatment": "INCLUDE", "deductions": [
        { "code": "tax", "take": { "percentOf": { "percent": "1", "of": "TURNOVER" } } } ] } });
    wanted["rateTable"] = json!({ "match": "FIRST", "rows": [{ "code": "all", "tiers": { "mode": "VOLUME", "steps": [
        { "upTo": "10000", "percent": "15" }, { "percent": "12" } ] } }] });
    wanted["advance"] = json!({ "pool": "studio" });
    let input = json!({ "contractId": crash.contract, "terms": wanted });
    server.mutate(&crash.ada, "draftContractVersion", input, "contractVersion { version }").await;
}

const TOLD: &str = "{ contracts(first: 1) { nodes { versions {
    en: text(language: EN) { section title sentences example } ko: text(language: KO) { section title sentences example } } } } }";

async fn told(server: &TestServer, token: &str) -> Vec<Value> {
    let told = server.query(token, TOLD, json!({})).await["contracts"]["nodes"][0]["versions"].clone();
    told.as_array().expect("versions").clone()
}

#[tokio::test]
async fn a_version_is_told_in_both_languages_with_the_same_sections_and_figures() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    draft(&server, &crash).await;
    let versions = told(&server, &crash.ada).await;
    for version in &versions {
        let part = |language: &str, field: &str| -> Vec<Value> {
            version[language].as_array().expect("a text").iter().map(|clause| clause[field].clone()).collect()
        };
        assert_eq!(part("en", "section"), part("ko", "section"));
        let lengths = |language: &str, field: &str| -> Vec<usize> {
            part(language, field).iter().map(|list| list.as_array().expect("a list").len()).collect()
        };
        assert_eq!(lengths("en", "sentences"), lengths("ko", "sentences"));
        assert_eq!(lengths("en", "example"), lengths("ko", "example"));
    }
    let rates = |language: &str| {
        let clauses = versions[1][language].as_array().expect("a text");
        clauses.iter().find(|clause| clause["section"] == "RATES").expect("rates")["example"][0].clone()
    };
    assert_eq!(rates("en"), "‘all’: a base of 10,000.00 BIT comes to 1,500.00 BIT.");
    assert_eq!(rates("ko"), "‘all’: 정산 기준이 10,000.00 BIT이면 1,500.00 BIT이다.");
}

#[tokio::test]
async fn warnings_are_for_staff_and_in_both_languages() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    draft(&server, &crash).await;
    let rival = server.mutate(&crash.ada, "createPartner", json!({ "name": "Rival" }), "partner { id }").await;
    let mut wanted = terms();
    wanted["rateTable"] = json!({ "match": "FIRST", "rows": [{ "code": "all", "percent": "90" }] });
    let contract = json!({ "partnerId": rival["partner"]["id"], "name": "Other", "terms": wanted });
    let contract = server.mutate(&crash.ada, "createContract", contract, "contract { id }").await;
    let first = json!({ "contractId": contract["contract"]["id"], "version": 1 });
    server.mutate(&crash.ada, "activateContractVersion", first, "contract { id }").await;
    let query = "query($id: ID!) { node(id: $id) { ... on Contract { versions { warnings { code field message korean: message(language: KO) } } } } }";
    let of = async |token: &str| {
        server.query(token, query, json!({ "id": crash.contract })).await["node"]["versions"][1]["warnings"].clone()
    };
    let warnings = of(&crash.ada).await;
    let codes: Vec<&str> =
        warnings.as_array().expect("a list").iter().map(|one| one["code"].as_str().expect("a code")).collect();
    assert_eq!(
        codes,
        ["TIER_CLIFF", "RATES_ABOVE_WHOLE", "SCOPE_OVERLAP", "POOL_ALONE", "TAX_BASE_DIFFERS"],
        "{warnings}"
    );
    assert_eq!(warnings[0]["field"], json!(["rateTable", "rows", "0", "tiers", "steps", "0"]));
    assert_eq!(
        warnings[1]["message"],
        "Of gaming revenue, up to 105 % goes to partners altogether: 15 % under ‘GGR’, 90 % under ‘Other’."
    );
    assert_eq!(
        warnings[2]["message"],
        "Contract ‘Other’ of ‘Rival’, in the same role, counts some of the same transactions; both are paid."
    );
    assert_eq!(
        warnings[2]["korean"],
        "같은 지위의 다른 파트너사 ‘Rival’의 계약 ‘Other’이(가) 같은 거래의 일부를 집계하므로, 두 계약 모두 지급하게 된다."
    );
    let partner = server.of_partner(&crash).await;
    assert_eq!(of(&partner).await, json!([]), "they tell of others' contracts");
}

#[tokio::test]
async fn rows_that_no_transaction_reached_are_told_of_the_version_in_force() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let mut wanted = terms();
    wanted["role"] = json!("AFFILIATE");
    wanted["rateTable"] = json!({ "match": "FIRST", "rows": [
        { "code": "app", "when": "channel == 'app'", "percent": "6" }, { "code": "rest", "percent": "5" } ] });
    let contract = json!({ "partnerId": crash.partner, "name": "Affiliate", "terms": wanted });
    let contract =
        server.mutate(&crash.ada, "createContract", contract, "contract { id }").await["contract"]["id"].clone();
    let first = json!({ "contractId": contract, "version": 1 });
    server.mutate(&crash.ada, "activateContractVersion", first, "contract { id }").await;
    let now = server.domain.clock().now().to_rfc3339();
    let stake = json!({ "externalId": "1", "kind": "STAKE", "amount": { "amount": "100", "currency": "BIT" }, "product": "crash", "occurredAt": now });
    let input = json!({ "source": "crash", "transactions": [stake] });
    server.mutate(&crash.ada, "recordTransactions", input, "results { outcome }").await;
    let query = "query($id: ID!) { node(id: $id) { ... on Contract { versions { warnings { code field } } } } }";
    let told =
        server.query(&crash.ada, query, json!({ "id": contract })).await["node"]["versions"][0]["warnings"].clone();
    let unreached: Vec<_> =
        told.as_array().expect("a list").iter().filter(|one| one["code"] == "ROW_UNREACHED").collect();
    assert_eq!(unreached, [&json!({ "code": "ROW_UNREACHED", "field": ["rateTable", "rows", "0"] })], "{told}");
}

#[tokio::test]
async fn the_page_is_for_whom_the_contract_is_for_and_does_nothing() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let other = server.crash("other").await;
    draft(&server, &crash).await;
    let partner = server.of_partner(&crash).await;
    for token in [&crash.ada, &partner] {
        let response = server.page(&crash, "2", token, "ko").await;
        assert_eq!((response.status(), response.content_type()), (StatusCode::OK, Some("text/html; charset=utf-8")));
        assert_eq!(response.header("content-language"), Some("ko"));
        assert!(response.header("content-security-policy").expect("a policy").starts_with("default-src 'none'"));
        let html = response.into_body().into_string().await.expect("text");
        assert!(
            html.contains("<h1>계약 조건 설명서</h1>") && html.contains("Bustabit") && html.contains("초안"),
            "{html}"
        );
    }
    let english = server.page(&crash, "1", &crash.ada, "en").await.into_body().into_string().await.expect("text");
    assert!(english.contains("Terms in plain words") && !english.contains("class=\"draft\""), "{english}");
    assert_eq!(server.page(&crash, "2", &other.ada, "ko").await.status(), StatusCode::NOT_FOUND, "another tenant's");
    assert_eq!(server.page(&crash, "7", &crash.ada, "ko").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.page(&crash, "x", &crash.ada, "ko").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.page(&crash, "2", &crash.ada, "fr").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(server.page(&crash, "2", "wrong", "ko").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        server.page(&crash, "2", &crash.key, "ko").await.status(),
        StatusCode::FORBIDDEN,
        "a source's key records"
    );
}
