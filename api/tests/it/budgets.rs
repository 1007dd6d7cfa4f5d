//! Budgets of callers and tenants, and tries at signing in. None of them refills while a test runs.

use api::app::Settings;
use api::rates::{self, Budget};
use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestServer, code};

fn settings(caller: &str, tenant: &str, sign_in: &str) -> Settings {
    let budget = |text: &str| text.parse::<Budget>().expect("a budget");
    let rates = rates::Settings { caller: budget(caller), tenant: budget(tenant), sign_in: budget(sign_in) };
    Settings { rates, ..Settings::default() }
}

const PLENTY: &str = "1000000/1";

fn post(token: &str, accept: &str, query: &str) -> Request {
    let request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
    let request = request.header("authorization", format!("Bearer {token}")).header("accept", accept);
    request.body(json!({ "query": query }).to_string())
}

async fn body_of(response: Response) -> Value {
    serde_json::from_str(&response.into_body().into_string().await.expect("text")).expect("JSON")
}

#[tokio::test]
async fn a_caller_spends_its_own_budget_and_nothing_runs_beyond_it() {
    let server = TestServer::with(&settings("10/86400", PLENTY, PLENTY)).await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let create =
        |name: &str| format!("mutation {{ createPartner(input: {{ name: \"{name}\" }}) {{ partner {{ id }} }} }}");
    let mut left = 10;
    let mut made = 0;
    let refused = loop {
        let response = server.send(post(&ada, "application/json", &create(&format!("P{made}")))).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        let cost = body_of(response).await["extensions"]["cost"].clone();
        left -= cost["requested"].as_i64().expect("a cost");
        assert_eq!(
            (&cost["remaining"], &cost["maximum"], &cost["restoredPerSecond"]),
            (&json!(left), &json!(10), &json!(0))
        );
        made += 1;
    };
    assert!(made > 0 && left >= 0);
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = refused.header("retry-after").expect("when").parse().expect("whole seconds");
    assert!((1..=86_400).contains(&after), "{after}");
    let answer = body_of(refused).await;
    assert_eq!((code(&answer), answer.get("data")), ("RATE_LIMITED", None), "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["retryAfter"], json!(after));
    let exact = server.send(post(&ada, "application/graphql-response+json", &create("Q"))).await;
    assert_eq!(exact.status(), StatusCode::TOO_MANY_REQUESTS);
    // Another session of the same member is the same caller; another tenant's is not.
    let again = server.token("acme", "ada@acme.test").await;
    assert_eq!(server.send(post(&again, "*/*", &create("R"))).await.status(), StatusCode::TOO_MANY_REQUESTS);
    server.tenant("bolt").await;
    let eve = server.token("bolt", "ada@bolt.test").await;
    assert_eq!(server.send(post(&eve, "*/*", &create("S"))).await.status(), StatusCode::OK);
    let partners = server.domain.for_caller(server.domain.authenticate(&ada).await.expect("ada"));
    let page = domain::page::PageRequest::new(Some(100), None).expect("a page");
    assert_eq!(partners.partners(page).await.expect("a list").items.len(), made, "what was refused did not run");
}

#[tokio::test]
async fn callers_of_a_tenant_share_its_budget() {
    let server = TestServer::with(&settings(PLENTY, "10/86400", PLENTY)).await;
    let domain = server.domain.clone();
    server.tenant("acme").await;
    server.tenant("bolt").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let scoped = domain.for_caller(domain.authenticate(&ada).await.expect("ada"));
    let invited = scoped.invite_member("bob@acme.test", "Bob", domain::Role::Admin, None).await.expect("an invitation");
    domain.accept_token(invited.token.token.expose(), PASSWORD).await.expect("a password");
    let bob = server.token("acme", "bob@acme.test").await;
    let eve = server.token("bolt", "ada@bolt.test").await;
    let status = async |token: &str| server.send(post(token, "*/*", "{ viewer { tenant { slug } } }")).await.status();
    let mut asked = 0;
    while status(&ada).await == StatusCode::OK {
        asked += 1;
        assert!(asked <= 10, "each costs a point, and there are ten");
    }
    assert_eq!(status(&bob).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(&eve).await, StatusCode::OK);
}

const TRY: &str = "signIn(input: { tenant: \"acme\", email: \"?\", password: \"wrong\" }) { accessToken userErrors { code field message } }";

/// The codes that tries at this account get, in one request.
async fn tries(server: &TestServer, email: &str, count: usize) -> Vec<String> {
    let all: String = (0..count).map(|n| format!("s{n}: {} ", TRY.replace('?', email))).collect();
    let answer = server.ask(None, &format!("mutation {{ {all} }}"), json!({})).await;
    let of = |n: usize| &answer["data"][format!("s{n}")]["userErrors"][0];
    (0..count).map(|n| of(n)["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()).collect()
}

#[tokio::test]
async fn tries_at_a_password_are_counted_one_by_one_whatever_request_they_come_in() {
    let server = TestServer::with(&settings(PLENTY, PLENTY, "3/86400")).await;
    server.tenant("acme").await;
    let limited = ["BAD_CREDENTIALS", "BAD_CREDENTIALS", "BAD_CREDENTIALS", "RATE_LIMITED", "RATE_LIMITED"];
    let there = tries(&server, "ada@acme.test", 5).await;
    assert_eq!(there, limited, "within one request");
    assert_eq!(tries(&server, "nobody@acme.test", 5).await, there, "an account that is not there says the same");
    assert_eq!(tries(&server, "ADA@acme.test", 1).await, ["RATE_LIMITED"], "across requests");
    let right = TRY.replace('?', "ada@acme.test").replace("wrong", PASSWORD);
    let answer = server.ask(None, &format!("mutation {{ {right} }}"), json!({})).await;
    assert_eq!(answer["data"]["signIn"]["accessToken"], Value::Null, "not even with the right one");
    // Nine tries were let through to no account's limit alone: the address has eighteen.
    for n in 0..6 {
        assert_eq!(tries(&server, &format!("{n}@acme.test"), 1).await, ["BAD_CREDENTIALS"]);
    }
    assert_eq!(tries(&server, "new@acme.test", 1).await, ["RATE_LIMITED"], "the address is spent");
    for mutation in [
        "refreshSession(input: { refreshToken: \"x\" }) { userErrors { code } }",
        "acceptToken(input: { token: \"x\", password: \"correct staple battery\" }) { userErrors { code } }",
    ] {
        let answer = server.ask(None, &format!("mutation {{ m: {mutation} }}"), json!({})).await;
        assert_eq!(answer["data"]["m"]["userErrors"][0]["code"], "RATE_LIMITED", "{answer}");
    }
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_what_the_proxy_says() {
    let header = Some("x-forwarded-for".to_owned());
    let settings = Settings { address_header: header, ..settings(PLENTY, PLENTY, "1/86400") };
    let server = TestServer::with(&settings).await;
    server.tenant("acme").await;
    let tried = async |forwarded: &str, email: &str| {
        let query = json!({ "query": format!("mutation {{ {} }}", TRY.replace('?', email)) });
        let request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
        let request = request.header("x-forwarded-for", forwarded).body(query.to_string());
        let answer = body_of(server.send(request).await).await;
        answer["data"]["signIn"]["userErrors"][0]["code"].as_str().expect("a code").to_owned()
    };
    for n in 0..6 {
        // What the client itself writes there comes before what the proxy adds.
        assert_eq!(tried(&format!("10.0.0.{n}, 192.0.2.1"), &format!("{n}@acme.test")).await, "BAD_CREDENTIALS");
    }
    assert_eq!(tried("10.0.0.9, 192.0.2.1", "x@acme.test").await, "RATE_LIMITED");
    assert_eq!(tried("10.0.0.9, 192.0.2.2", "y@acme.test").await, "BAD_CREDENTIALS");
}
