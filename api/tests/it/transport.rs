//! GraphQL over HTTP: media types, statuses, and what surrounds an answer.

use poem::http::{Method, StatusCode, header};
use poem::middleware::Compression;
use poem::{Body, Endpoint, EndpointExt, Request, Response};
use serde_json::{Value, json};

use crate::support::{TestServer, code};

const EXACT: &str = "application/graphql-response+json";
const PLAIN: &str = "application/json";

/// Percent-encodes everything but letters and digits.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

fn post(token: Option<&str>, accept: &str, body: impl Into<Body>) -> Request {
    let mut request = Request::builder().method(Method::POST).uri_str("/graphql").content_type(PLAIN);
    if !accept.is_empty() {
        request = request.header(header::ACCEPT, accept);
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(body)
}

fn get(token: Option<&str>, accept: &str, parameters: &[(&str, &str)]) -> Request {
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let mut request = Request::builder().uri_str(format!("/graphql?{}", parameters.join("&")));
    if !accept.is_empty() {
        request = request.header(header::ACCEPT, accept);
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request.finish()
}

async fn body_of(response: Response) -> Value {
    serde_json::from_str(&response.into_body().into_string().await.expect("text")).expect("JSON")
}

/// The status in `graphql-response+json` and in plain JSON, whether there is data, and the error's code.
type Outcome = (u16, u16, bool, &'static str);

const EXECUTED: Outcome = (200, 200, true, "none");
const PARTIAL: Outcome = (294, 200, true, "BAD_USER_INPUT");
const MALFORMED: Outcome = (400, 400, false, "BAD_USER_INPUT");
const INVALID: Outcome = (400, 200, false, "BAD_USER_INPUT");
const UNKNOWN: Outcome = (400, 200, false, "PERSISTED_QUERY_NOT_FOUND");
const NOBODY: Outcome = (401, 200, false, "UNAUTHENTICATED");
const STRANGER: Outcome = (401, 401, false, "UNAUTHENTICATED");
const FORBIDDEN: Outcome = (403, 200, false, "FORBIDDEN");

#[tokio::test]
async fn a_status_for_each_outcome_in_each_media_type() {
    let server = TestServer::new().await;
    let crash = server.crash("acme").await;
    let (ada, key) = (Some(crash.ada.as_str()), Some(crash.key.as_str()));
    for (token, body, outcome) in [
        (ada, "", MALFORMED),
        (ada, "{", MALFORMED),
        (ada, r#"{"qeury": "{ __typename }"}"#, MALFORMED),
        (ada, r#"{"query": "{ __typename }", "variables": [7]}"#, MALFORMED),
        (ada, r#"{"query": "query a { __typename }", "operationName": "b"}"#, INVALID),
        (ada, r#"{"query": "query($id: ID!) { node(id: $id) { id } }", "variables": {"id": null}}"#, INVALID),
    ] {
        check(&server, token, body, outcome).await;
    }
    let never_sent = json!({ "version": 1, "sha256Hash": "0".repeat(64) });
    let never_sent = json!({ "extensions": { "persistedQuery": never_sent } });
    check(&server, ada, &never_sent.to_string(), UNKNOWN).await;
    let nested = "[".repeat(2000);
    for (token, query, outcome) in [
        (ada, "{ viewer { tenant { slug } } }", EXECUTED),
        (ada, "{ __schema { queryType { name } } }", EXECUTED),
        (ada, "{ viewer { tenant { slug } } members(first: 0) { nodes { id } } }", PARTIAL),
        (ada, "{", INVALID),
        (ada, "{ nothingLikeIt }", INVALID),
        (ada, "query a { __typename } query b { __typename }", INVALID),
        (ada, "subscription { a }", INVALID),
        (ada, &nested, INVALID),
        (None, "{ viewer { tenant { slug } } }", NOBODY),
        (None, "{ __schema { queryType { name } } }", NOBODY),
        (Some("garbage"), "{ __typename }", STRANGER),
        (key, "{ ...f } fragment f on Query { __schema { queryType { name } } }", FORBIDDEN),
        (key, "{ t: __type(name: \"Query\") { name } }", FORBIDDEN),
    ] {
        check(&server, token, &json!({ "query": query }).to_string(), outcome).await;
    }
}

async fn check(server: &TestServer, token: Option<&str>, body: &str, (exact, plain, has_data, expected): Outcome) {
    for (accept, media, status) in [
        (EXACT, EXACT, exact),
        (PLAIN, PLAIN, plain),
        ("*/*", PLAIN, plain),
        ("", PLAIN, plain),
        ("application/json;q=0.9, application/graphql-response+json", EXACT, exact),
    ] {
        let response = server.send(post(token, accept, body.to_owned())).await;
        assert_eq!(response.status().as_u16(), status, "{body}, {accept}");
        assert_eq!(response.content_type(), Some(&*format!("{media}; charset=utf-8")), "{body}, {accept}");
        assert_eq!(response.header("www-authenticate"), (status == 401).then_some("Bearer"), "{body}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let answer = body_of(response).await;
        assert_eq!((answer.get("data").is_some(), code(&answer)), (has_data, expected), "{body}: {answer}");
        let coded = |error: &Value| error["extensions"]["code"].is_string();
        assert!(answer["errors"].as_array().is_none_or(|errors| errors.iter().all(coded)), "{answer}");
    }
}

#[tokio::test]
async fn what_comes_before_the_request_is_read() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let token = server.token("acme", "ada@acme.test").await;
    let body = json!({ "query": "{ __typename }" }).to_string();
    let send = async |method: Method, headers: &[(&'static str, &str)], body: &str| {
        let mut request = Request::builder().method(method).uri_str("/graphql");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server.send(request.body(body.to_owned())).await
    };
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD, Method::OPTIONS] {
        let response = send(method.clone(), &[("content-type", PLAIN)], &body).await;
        assert_eq!((response.status().as_u16(), response.header("allow")), (405, Some("GET, POST")), "{method}");
    }
    for (headers, status) in [
        (vec![("content-type", PLAIN), ("accept", "text/csv")], 406),
        (vec![("content-type", PLAIN), ("accept", "text/html")], 406),
        (vec![], 415),
        (vec![("content-type", "text/plain")], 415),
        (vec![("content-type", "multipart/form-data; boundary=x")], 415),
        (vec![("content-type", "application/json; charset=utf-16")], 415),
        (vec![("content-type", PLAIN), ("content-encoding", "gzip")], 415),
        (vec![("content-type", PLAIN), ("content-encoding", "identity")], 200),
        (vec![("content-type", "application/json;charset=UTF-8")], 200),
    ] {
        let response = send(Method::POST, &headers, &body).await;
        assert_eq!(response.status().as_u16(), status, "{headers:?}");
    }
    let longest = format!("{body}{}", " ".repeat(1024 * 1024 - body.len()));
    for (body, status) in [(longest.clone(), StatusCode::OK), (format!("{longest} "), StatusCode::PAYLOAD_TOO_LARGE)] {
        assert_eq!(server.send(post(Some(&token), EXACT, body)).await.status(), status);
    }
}

#[tokio::test]
async fn a_get_asks_and_changes_nothing() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let token = server.token("acme", "ada@acme.test").await;
    let ask = async |accept: &str, parameters: &[(&str, &str)]| {
        let response = server.send(get(Some(&token), accept, parameters)).await;
        let (status, allow) = (response.status().as_u16(), response.header("allow").map(str::to_owned));
        (status, allow, body_of(response).await)
    };
    let two = "query a($id: ID!) { node(id: $id) { id } } query b { viewer { tenant { slug } } }";
    let (status, _, answer) = ask(EXACT, &[("query", two), ("operationName", "b"), ("variables", "")]).await;
    assert_eq!((status, &answer["data"]["viewer"]["tenant"]["slug"]), (200, &json!("acme")));
    let variables = json!({ "id": "mem_1" }).to_string();
    let (status, _, answer) = ask(EXACT, &[("query", two), ("operationName", "a"), ("variables", &variables)]).await;
    assert_eq!((status, &answer["data"]), (200, &json!({ "node": null })), "{answer}");
    for parameters in [
        &[("query", "{ __typename }"), ("variables", "[1]")][..],
        &[("query", "{ __typename }"), ("extensions", "{")],
        &[("query", "{ __typename }"), ("query", "{ __typename }")],
        &[("query", "")],
        &[],
    ] {
        assert_eq!(ask(PLAIN, parameters).await.0, 400, "{parameters:?}");
    }
    let change = "mutation { createPartner(input: { name: \"P\" }) { partner { id } } }";
    for accept in [EXACT, PLAIN] {
        for parameters in [
            &[("query", change)][..],
            &[
                ("query", &format!("query q {{ __typename }} {}", change.replace("mutation", "mutation m"))),
                ("operationName", "m"),
            ],
        ] {
            let (status, allow, answer) = ask(accept, parameters).await;
            assert_eq!((status, allow.as_deref()), (405, Some("POST")), "{answer}");
        }
    }
    let partners = server.query(&token, "{ partners { nodes { id } } }", json!({})).await;
    assert_eq!(partners["partners"]["nodes"], json!([]), "nothing was changed");
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = server.send(get(None, browser, &[])).await;
    assert_eq!((page.status().as_u16(), page.content_type()), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
    let page = page.into_body().into_string().await.expect("text");
    for part in ["name=\"tenant\"", "name=\"password\"", "Sign in", "로그인", "refreshSession", "unpkg.com"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("localStorage") && !page.contains("document.cookie"), "tokens are in memory only");
}

#[tokio::test]
async fn a_batch_is_answered_one_by_one_in_its_order() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let token = server.token("acme", "ada@acme.test").await;
    let create = json!({ "query": "mutation { createPartner(input: { name: \"P\" }) { partner { name } } }" });
    let list = json!({ "query": "{ partners { nodes { name } } }" });
    let wrong = json!({ "query": "{" });
    let send = async |batch: Value| {
        let response = server.send(post(Some(&token), EXACT, batch.to_string())).await;
        (response.status().as_u16(), body_of(response).await)
    };
    let (status, answers) = send(json!([create, list, wrong])).await;
    assert_eq!(status, 200);
    assert_eq!(answers[1]["data"]["partners"]["nodes"], json!([{ "name": "P" }]), "what came before is done");
    assert_eq!(code(&answers[2]), "BAD_USER_INPUT");
    assert_eq!(send(json!([wrong, wrong])).await.0, 400, "true of all of it");
    assert_eq!(send(json!(vec![&list; 5])).await.0, 200);
    let (status, answer) = send(json!(vec![&list; 6])).await;
    assert_eq!((status, answer["errors"][0]["message"].as_str()), (400, Some("a batch has at most 5 requests")));
}

/// What a body was before it was compressed: poem's middleware, the other way round.
async fn unpacked(coding: &str, body: Vec<u8>) -> String {
    let echo =
        poem::endpoint::make(|request: Request| async move { request.into_body().into_string().await.expect("text") });
    let request = Request::builder().header("content-encoding", coding).body(body);
    echo.with(Compression::new()).get_response(request).await.into_body().into_string().await.expect("text")
}

#[tokio::test]
async fn long_answers_are_compressed_where_the_client_can_read_it() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let token = server.token("acme", "ada@acme.test").await;
    let long = json!({ "query": "{ __schema { types { name description } } }" }).to_string();
    let send = async |body: &str, accept: Option<&str>| {
        let mut request = post(Some(&token), PLAIN, body.to_owned());
        if let Some(accept) = accept {
            request.headers_mut().insert("accept-encoding", accept.parse().expect("a header"));
        }
        let response = server.send(request).await;
        assert!(response.headers().get_all("vary").iter().any(|vary| vary == "accept, accept-encoding"));
        let coding = response.header("content-encoding").map(str::to_owned);
        (coding, response.into_body().into_vec().await.expect("bytes"))
    };
    let data = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["data"].clone();
    let (coding, plain) = send(&long, None).await;
    assert_eq!(coding, None);
    let expected = data(std::str::from_utf8(&plain).expect("text"));
    for (accept, expected_coding) in [("gzip", "gzip"), ("br;q=0.9, gzip;q=0.1", "br"), ("gzip, br, zstd", "br")] {
        let (coding, packed) = send(&long, Some(accept)).await;
        assert_eq!(coding.as_deref(), Some(expected_coding), "{accept}");
        assert!(packed.len() * 2 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
        assert_eq!(data(&unpacked(expected_coding, packed).await), expected);
    }
    assert_eq!(send(&long, Some("gzip;q=0, identity")).await.0, None);
    assert_eq!(send(&json!({ "query": "{ __typename }" }).to_string(), Some("gzip, br")).await.0, None, "short");
}

#[tokio::test]
async fn a_request_keeps_its_own_id_where_it_is_a_decent_one() {
    let server = TestServer::new().await;
    let id_for = async |sent: Option<&str>| {
        let mut request = post(None, PLAIN, json!({ "query": "{ __typename }" }).to_string());
        if let Some(sent) = sent {
            request.headers_mut().insert("x-request-id", sent.parse().expect("a header"));
        }
        server.send(request).await.header("x-request-id").expect("an id").to_owned()
    };
    for fine in ["a", "order-4711_b", &"x".repeat(128)] {
        assert_eq!(id_for(Some(fine)).await, fine);
    }
    for odd in [Some(""), Some("a b"), Some("a\tb"), Some("<script>"), Some(&*"x".repeat(129)), None] {
        let made = id_for(odd).await;
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{odd:?}: {made}");
    }
}
