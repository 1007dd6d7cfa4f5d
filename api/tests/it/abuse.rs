//! What somebody who means harm sends: each is refused with its code, within little CPU time, and the server answers
//! whoever comes after. The process's own CPU is counted, because a clock on the wall counts what others do.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::time::MICROS_PER_SECOND;
use futures_util::{SinkExt, StreamExt};
use poem::Request;
use poem::http::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::hostile::{LONGEST_ANSWER, NUMBERS, bodies, documents, page_of, query, too_long, twisted};
use crate::shape::{Shape, text};
use crate::support::{PASSWORD, TestServer, code};

/// Far more than any of it takes in a debug build, and far less than what takes time with the square of its length.
const ENOUGH: Duration = Duration::from_secs(5);
/// Nothing here takes longer on the wall, but for what is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The CPU time of this thread, on which a test's server runs, too.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    // User and system time are the 14th and 15th field, in hundredths of a second on every Linux.
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Sends a body; its status and answer, and nothing of it cost much.
async fn post(server: &TestServer, token: Option<&str>, what: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
    let mut request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let begun = cpu();
    let response = server.send(request.body(body.into())).await;
    let status = response.status().as_u16();
    let answer = response.into_body().into_string().await.expect("text");
    let took = cpu() - begun;
    assert!(took < ENOUGH, "{what} took {took:?}");
    assert!(answer.len() <= LONGEST_ANSWER, "{what} is answered with {} bytes", answer.len());
    (status, serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{what}: {answer}")))
}

#[tokio::test]
async fn long_and_twisted_documents_are_refused_for_little() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    for (what, document, says) in [documents(), too_long(), twisted()].concat() {
        let (status, answer) = post(&server, Some(&ada), what, query(document)).await;
        assert_eq!(status, 200, "{what}: {answer}");
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", None), "{what}");
        let message = text(&answer["errors"][0], "message");
        assert!(message.starts_with(says), "{what}: {message}");
        assert!(!answer.to_string().contains("Did you mean"), "{what}");
    }
    let viewer = server.query(&ada, "{ viewer { tenant { slug } } }", json!({})).await;
    assert_eq!(viewer["viewer"]["tenant"]["slug"], "acme");
}

#[tokio::test]
async fn bodies_that_are_no_requests_are_refused_for_little() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    for (what, body, begun) in bodies() {
        let (status, answer) = post(&server, Some(&ada), what, body).await;
        let expected = if begun { Some(&Value::Null) } else { None };
        assert_eq!((code(&answer), answer.get("data")), ("BAD_USER_INPUT", expected), "{what}: {status} {answer}");
    }
    for first in NUMBERS {
        let (status, answer) = post(&server, Some(&ada), first, page_of(first)).await;
        assert_eq!((status, code(&answer), answer.get("data")), (200, "BAD_USER_INPUT", None), "{first}: {answer}");
    }
}

/// Every field of the roots, and the schema itself, for whoever is nobody: anonymous where that is `None`.
async fn is_nobody(server: &TestServer, shape: &Shape, token: Option<&str>, what: &str) {
    let open = ["signIn", "refreshSession", "signOut", "acceptToken"];
    for (operation, root) in [("query", "Query"), ("mutation", "Mutation"), ("subscription", "Subscription")] {
        for field in shape.fields(root) {
            let name = text(field, "name");
            if token.is_none() && open.contains(&name) {
                continue;
            }
            let document = format!("{operation} {{ {name}{} {{ __typename }} }}", shape.arguments(field, ""));
            let mut request = Request::builder().method(Method::POST).content_type("application/json");
            let streams = root == "Subscription";
            request = request.uri_str(if streams { "/graphql/stream" } else { "/graphql" });
            request = request.header("accept", if streams { "text/event-stream" } else { "application/json" });
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let response = server.send(request.body(query(document))).await;
            let answer = response.into_body().into_string().await.expect("text");
            assert!(answer.contains("\"UNAUTHENTICATED\""), "{what}, {name}: {answer}");
            assert!(!answer.contains("__typename"), "{what}, {name}: {answer}");
        }
    }
    let answer = server.ask(token, "{ __schema { types { name } } }", json!({})).await;
    assert_eq!((code(&answer), answer.get("data")), ("UNAUTHENTICATED", None), "{what}: introspection");
}

/// A token with another header or other claims, and the signature as it was.
fn forged(token: &str, change: impl Fn(&mut Value, &mut Value), signature: Option<&str>) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&domain::secrets::from_base64url(part).expect("base64")).expect("JSON")
    };
    let (mut header, mut claims) = (read(parts[0]), read(parts[1]));
    change(&mut header, &mut claims);
    let written = |part: Value| domain::secrets::base64url(part.to_string().as_bytes());
    format!("{}.{}.{}", written(header), written(claims), signature.unwrap_or(parts[2]))
}

#[tokio::test]
async fn who_is_nobody_is_refused_at_every_root_field() {
    let (server, shape) = (TestServer::with_set_clock().await, Shape::read().await);
    server.tenant("acme").await;
    let other = TestServer::new().await;
    other.tenant("acme").await;
    let good = server.token("acme", "ada@acme.test").await;
    is_nobody(&server, &shape, None, "anonymous").await;
    let elsewhere = other.token("acme", "ada@acme.test").await;
    is_nobody(&server, &shape, Some(&elsewhere), "another installation's").await;
    let audience = forged(&good, |_, claims| claims["aud"] = json!("other"), None);
    for (what, token) in [
        ("wrong audience", audience),
        ("no algorithm", forged(&good, |header, _| header["alg"] = json!("none"), Some(""))),
        ("a symmetric algorithm", forged(&good, |header, _| header["alg"] = json!("HS256"), None)),
        ("a key that is not there", forged(&good, |header, _| header["kid"] = json!("other"), None)),
        ("a later end", forged(&good, |_, claims| claims["exp"] = json!(9_999_999_999_u64), None)),
        ("no signature", forged(&good, |_, _| {}, Some(""))),
        ("an empty token", String::new()),
        ("a long token", "x".repeat(100_000)),
    ] {
        is_nobody(&server, &shape, Some(&token), what).await;
    }
    let session = server.domain.sign_in("acme", "ada@acme.test", PASSWORD).await.expect("signed in");
    server.domain.sign_out(session.refresh_token.expose()).await.expect("signed out");
    is_nobody(&server, &shape, Some(session.access_token.expose()), "a session that ended").await;
    let invite = json!({ "email": "bob@acme.test", "name": "Bob", "role": "ADMIN" });
    let bob = server.mutate(&good, "inviteMember", invite, "member { id } oneTimeToken { token }").await;
    server.domain.accept_token(text(&bob["oneTimeToken"], "token"), PASSWORD).await.expect("a password");
    let his = server.token("acme", "bob@acme.test").await;
    server.query(&his, "{ viewer { tenant { slug } } }", json!({})).await;
    server.mutate(&good, "disableMember", json!({ "memberId": bob["member"]["id"] }), "member { id }").await;
    is_nobody(&server, &shape, Some(&his), "a disabled member").await;
    server.query(&good, "{ viewer { tenant { slug } } }", json!({})).await;
    server.pass(615 * MICROS_PER_SECOND);
    is_nobody(&server, &shape, Some(&good), "an expired token").await;
    let followed = shape.fields("Subscription").iter().map(|field| text(field, "name"));
    assert_eq!(followed.collect::<BTreeSet<_>>(), crate::followed::fields(), "and each has its cases there");
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(address: std::net::SocketAddr) -> Socket {
    let mut request = format!("ws://{address}/graphql").into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    // Of which the server agrees to nothing.
    request.headers_mut().insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
    let (socket, response) = tokio_tungstenite::connect_async(request).await.expect("a connection");
    assert!(response.headers().get("sec-websocket-extensions").is_none(), "nothing is compressed");
    socket
}

async fn signed_in(address: std::net::SocketAddr, token: &str) -> Socket {
    let mut socket = connect(address).await;
    let init = json!({ "type": "connection_init", "payload": { "token": token } });
    socket.send(Message::text(init.to_string())).await.expect("sent");
    socket.next().await.expect("an answer").expect("a message");
    socket
}

/// Reads until the server closes or drops the connection; the code it gave, if any.
async fn ended(mut socket: Socket, what: &str) -> Option<u16> {
    let reading = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{what}: it goes on"))
}

#[tokio::test]
async fn abuse_of_a_socket_ends_it_and_nobody_elses() {
    let server = TestServer::new().await;
    server.tenant("acme").await;
    let ada = server.token("acme", "ada@acme.test").await;
    let address = server.listen().await;
    let begun = cpu();

    let mut giant = signed_in(address, &ada).await;
    giant.send(Message::text("x".repeat(2 * 1024 * 1024))).await.ok();
    ended(giant, "a message of two megabytes").await;

    // Before it has signed in, too: parts without an end of one message.
    let mut parts = connect(address).await;
    let part = |code| Message::Frame(Frame::message(vec![b'x'; 64 * 1024], OpCode::Data(code), false));
    let mut sent = parts.send(part(Data::Text)).await;
    for _ in 0..64 {
        if sent.is_err() {
            break;
        }
        sent = parts.send(part(Data::Continue)).await;
    }
    ended(parts, "four megabytes of one message").await;

    // Said to be compressed, which was not agreed.
    let mut compressed = signed_in(address, &ada).await;
    let mut frame = Frame::message(b"{}".to_vec(), OpCode::Data(Data::Text), true);
    frame.header_mut().rsv1 = true;
    compressed.send(Message::Frame(frame)).await.ok();
    ended(compressed, "a compressed frame").await;

    let mut flood = signed_in(address, &ada).await;
    for _ in 0..2_000 {
        flood.send(Message::text(r#"{"type":"ping"}"#)).await.expect("sent");
        flood.next().await.expect("open").expect("a pong");
    }

    let mut many = signed_in(address, &ada).await;
    for n in 0..1_000 {
        let follow = json!({ "query": "subscription { settlementUpdated { cursor } }" });
        let message = json!({ "id": n.to_string(), "type": "subscribe", "payload": follow });
        if many.send(Message::text(message.to_string())).await.is_err() {
            break;
        }
    }
    let mut refused = 0;
    while refused == 0 {
        match tokio::time::timeout(PATIENCE, many.next()).await.expect("refused in time") {
            Some(Ok(Message::Text(text))) => refused += usize::from(text.contains("\"error\"")),
            Some(Ok(Message::Close(_)) | Err(_)) | None => refused += 1,
            Some(Ok(_)) => {}
        }
    }

    flood.send(Message::text(r#"{"type":"ping"}"#)).await.expect("sent");
    assert_eq!(flood.next().await.expect("open").expect("a pong"), Message::text(r#"{"type":"pong"}"#));
    let took = cpu() - begun;
    assert!(took < 2 * ENOUGH, "{took:?}");
}
