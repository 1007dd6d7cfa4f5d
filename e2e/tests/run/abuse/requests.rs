//! Documents, bodies, and what a page of another origin can make a browser send.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Attacked, Most, code, refusal};
use crate::hostile::{LONGEST_ANSWER, NUMBERS, bodies, documents, page_of, query, too_long, twisted};
use crate::meter::memory;

/// Measured: up to 90 ms (a string of 100 kB) and 2.4 MiB.
const DOCUMENT: Most = Most(700, 12);
/// Measured: up to 100 ms and 18 MiB, for a list of nearly as many values as there may be.
const BODY: Most = Most(700, 36);
/// Measured: up to 10 ms and 1.2 MiB.
const HEAD: Most = Most(150, 8);
/// Mebibytes, of some three hundred cases of up to one: measured 42, which the allocator keeps.
const LEFT_BEHIND: u64 = 72;

/// What a stranger hears, too: what is found out without looking into the schema.
const TOLD: [&str; 8] = [
    "an operation has at most 20 fields",
    "at most 10 directives",
    "the document has several operations",
    "syntax error",
    "brackets nest",
    "a name has",
    "a document has at most 2000 tokens",
    "a document has at most 102400 bytes",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_documents_and_bodies_are_refused_for_little() {
    let server = Attacked::new().await;
    let before = memory(server.saldo.process(), "VmRSS:");
    for token in [Some(server.ada.as_str()), None] {
        for (what, document, says) in [documents(), too_long(), twisted()].concat() {
            let told = token.is_some() || TOLD.iter().any(|text| says.starts_with(text));
            let expected = if told { "BAD_USER_INPUT" } else { "UNAUTHENTICATED" };
            let (status, answer) = server.case(what, DOCUMENT, server.ask(token, query(document))).await;
            assert_eq!((status, code(&answer), answer.get("data")), (200, expected, None), "{what}: {answer}");
            let message = answer["errors"][0]["message"].as_str().expect("a message");
            assert!(message.starts_with(if told { says } else { "sign in" }), "{what}: {message}");
            assert!(answer.to_string().len() <= LONGEST_ANSWER, "{what}: {answer}");
        }
    }
    let numbers = NUMBERS.iter().map(|first| (*first, page_of(first), false));
    for (what, body, begun) in bodies().into_iter().chain(numbers) {
        let (status, answer) = server.case(what, BODY, server.ask(Some(&server.ada), body)).await;
        let data = begun.then_some(&Value::Null);
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", data), "{what}: {status} {answer}");
        assert!(answer.to_string().len() <= LONGEST_ANSWER, "{what}: {answer}");
    }
    let left = memory(server.saldo.process(), "VmRSS:").saturating_sub(before);
    eprintln!("left behind: {} KiB", left / 1024);
    assert!(left <= LEFT_BEHIND * 1024 * 1024, "{left} bytes are left behind");
}

/// The address of a document that is asked for by `GET`.
fn asking(server: &Attacked, path: &str, document: &str) -> String {
    let encoded: String = document.bytes().map(|byte| format!("%{byte:02X}")).collect();
    server.saldo.url(&format!("{path}?query={encoded}"))
}

/// What unfolds to more than a hundred megabytes of zeros: one zero, and then "the last 258 bytes again".
fn bomb() -> Vec<u8> {
    const AGAINS: usize = 500_000;
    let mut bits: Vec<bool> = Vec::new();
    // The last block, with the fixed codes; the zero is 0x30 in eight bits.
    bits.extend([true, true, false]);
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..AGAINS {
        // 258 bytes, from one byte back.
        bits.extend([true, true, false, false, false, true, false, true]);
        bits.extend([false; 5]);
    }
    bits.extend([false; 7]);
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    packed.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | u8::from(*bit))));
    packed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_or_unfolds_is_not_read() {
    let server = Attacked::new().await;
    let ada = Some(server.ada.as_str());
    for coding in ["gzip", "x-gzip", "deflate", "br", "zstd", "identity, gzip"] {
        let sent = server.post(ada, bomb()).header("content-encoding", coding).send();
        let answer = server.case(coding, HEAD, async { refusal(sent.await.expect("an answer")).await }).await;
        assert_eq!(answer, (415, "BAD_USER_INPUT".to_owned(), false), "{coding}");
    }
    // Its length is told, or comes out as it is sent.
    for (what, length) in [("two megabytes", Some(2_000_000)), ("pieces without an end", None)] {
        let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]));
        let body = match length {
            Some(length) => vec![b' '; length].into(),
            None => reqwest::Body::wrap_stream(pieces),
        };
        let sent = server.case(what, HEAD, async { server.post(ada, body).send().await }).await;
        // The server does not wait for the rest, so that the answer may be lost with the connection.
        if let Ok(answer) = sent {
            assert_eq!(refusal(answer).await, (413, "BAD_USER_INPUT".to_owned(), false), "{what}");
        }
    }
    let long = "x".repeat(1_000_000);
    let many: HeaderMap =
        (0..200).map(|n| (format!("x-{n}").parse().expect("a name"), "x".parse().expect("a value"))).collect();
    let get = || server.attacker.get(server.saldo.url("/graphql"));
    for (what, request, status) in [
        ("a long header", get().header("x-long", &long), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        ("many headers", get().headers(many), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        ("a long URL", server.attacker.get(asking(&server, "/graphql", &long[..200_000])), StatusCode::URI_TOO_LONG),
        ("a long token", get().bearer_auth(&long[..100_000]), StatusCode::UNAUTHORIZED),
    ] {
        let sent = server.case(what, HEAD, async { request.send().await }).await;
        if let Ok(answer) = sent {
            assert_eq!(answer.status(), status, "{what}");
        }
    }
}

const CHANGE: &str = "mutation { createPartner(input: { name: \"Forged\" }) { partner { id } } }";

/// Each with the token that no page of another origin has, so that it is not for want of it that it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_changes_nothing() {
    let server = Attacked::new().await;
    let json = json!({ "query": CHANGE }).to_string();
    let form = format!("query={}", CHANGE.replace(' ', "+"));
    let multipart = format!(
        "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{json}\r\n--x\r\nContent-Disposition: \
         form-data; name=\"map\"\r\n\r\n{{}}\r\n--x--\r\n"
    );
    let simple = [
        ("text/plain", &json),
        ("text/plain;charset=UTF-8", &json),
        ("application/x-www-form-urlencoded", &form),
        ("application/x-www-form-urlencoded", &json),
        ("multipart/form-data; boundary=x", &multipart),
        ("text/plain; application/json", &json),
        ("application/graphql", &json),
        ("", &json),
    ];
    for path in ["/graphql", "/graphql/stream"] {
        let request = |method: Method| {
            let url = match method {
                Method::GET => asking(&server, path, CHANGE),
                _ => server.saldo.url(path),
            };
            let request = server.attacker.request(method, url).bearer_auth(&server.ada);
            request.header("origin", "https://evil.test").header("accept", "*/*")
        };
        for (kind, body) in simple {
            let sent = request(Method::POST).body(body.clone());
            let sent = if kind.is_empty() { sent } else { sent.header("content-type", kind) };
            let answer = server.case(kind, HEAD, async { sent.send().await.expect("an answer") }).await;
            assert!(answer.headers().get("access-control-allow-origin").is_none(), "{path} {kind}");
            assert_eq!(refusal(answer).await, (415, "BAD_USER_INPUT".to_owned(), false), "{path} {kind}");
        }
        let get = request(Method::GET).send();
        let answer = server.case("a mutation by GET", HEAD, async { get.await.expect("an answer") }).await;
        assert_eq!(refusal(answer).await, (405, "BAD_USER_INPUT".to_owned(), false), "{path}");
        // Before it sends JSON, a browser asks.
        let asks = request(Method::OPTIONS).header("access-control-request-method", "POST");
        let asks = asks.header("access-control-request-headers", "authorization,content-type").send();
        let answer = server.case("a preflight", HEAD, async { asks.await.expect("an answer") }).await;
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control-allow")), "{path}");
    }
    // What an EventSource sends: no token, because it has no header for one and there are no cookies.
    let follow = asking(&server, "/graphql/stream", "subscription { settlementUpdated { cursor } }");
    let stream = server.attacker.get(follow);
    let stream = stream.header("origin", "https://evil.test").header("accept", "text/event-stream").send();
    let answer = server.case("an EventSource", HEAD, async { stream.await.expect("an answer") }).await;
    assert!(answer.headers().get("access-control-allow-origin").is_none());
    let said = answer.text().await.expect("text");
    assert!(said.contains("\"UNAUTHENTICATED\"") && said.ends_with("event: complete\ndata:\n\n"), "{said}");
    let file = server.attacker.post(server.saldo.url("/v1/sources/x/files")).header("content-type", "text/plain");
    let answer = server.case("a file", HEAD, async { file.body("a").send().await.expect("an answer") }).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let partners = server.saldo.graphql(Some(&server.ada), "{ partners { nodes { name } } }", json!({})).await;
    assert_eq!(partners["partners"]["nodes"], json!([]), "nothing was changed");
}
