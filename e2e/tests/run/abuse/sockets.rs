//! WebSockets: every breach of the protocol, and floods within it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Request;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Attacked, Most};
use crate::crash::set_up;
use crate::follower::{Heard, Socket, Way, messages};

/// Measured: up to 20 ms and 1.7 MiB.
const SMALL: Most = Most(200, 6);
/// Measured: up to 10 ms and 1 MiB.
const LONG: Most = Most(200, 4);
/// Measured: up to 360 ms and 0.4 MiB.
const FLOOD: Most = Most(2_500, 4);
/// Measured: up to 370 ms, and 7.7 MiB, which is 16 KiB a connection.
const MANY: Most = Most(2_500, 20);
/// Measured: 6,400 ms, nearly all of them for the 300 updates that others hear meanwhile, and 3 MiB.
const UNREAD: Most = Most(30_000, 16);

const FOLLOW: &str = "subscription { settlementUpdated { cursor } }";

fn opening(server: &Attacked, headers: &[(&'static str, &str)]) -> Request<()> {
    let url = server.saldo.url("/graphql").replacen("http", "ws", 1);
    let mut request = url.into_client_request().expect("an address");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    request
}

const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

async fn connect(server: &Attacked) -> Socket {
    // Of which the server agrees to nothing.
    let request = opening(server, &[PROTOCOL, ("sec-websocket-extensions", "permessage-deflate")]);
    let (socket, response) = tokio_tungstenite::connect_async(request).await.expect("a connection");
    assert!(response.headers().get("sec-websocket-extensions").is_none(), "nothing is compressed");
    socket
}

fn init(token: &str) -> Message {
    Message::text(json!({ "type": "connection_init", "payload": { "token": token } }).to_string())
}

fn subscribe(id: &str, query: &str) -> Message {
    Message::text(json!({ "id": id, "type": "subscribe", "payload": { "query": query } }).to_string())
}

/// A connection of this token's.
pub async fn opened(server: &Attacked, token: &str) -> Socket {
    let mut socket = connect(server).await;
    socket.send(init(token)).await.expect("sent");
    let ack = socket.next().await.expect("an answer").expect("a message");
    assert_eq!(ack, Message::text(r#"{"type":"connection_ack"}"#));
    socket
}

/// With which code this token is sent away.
pub async fn greeted(server: &Attacked, token: &str) -> u16 {
    let mut socket = connect(server).await;
    socket.send(init(token)).await.expect("sent");
    end(socket).await.expect("a reason")
}

/// With which code a connection is closed, where one arrives: a connection that is given up with what is not read in it
/// may take the reason with it.
pub async fn end<S>(mut socket: WebSocketStream<S>) -> Option<u16>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut code = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(Some(frame)) = message {
            code = Some(u16::from(frame.code));
        }
    }
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_not_opened_for_a_page_of_another_origin_or_another_protocol() {
    let server = Attacked::new().await;
    for (what, headers, status) in [
        ("another origin", vec![PROTOCOL, ("origin", "https://evil.test")], 403),
        ("no origin that is one", vec![PROTOCOL, ("origin", "null")], 403),
        ("its own name at another port", vec![PROTOCOL, ("origin", "http://127.0.0.1:1")], 403),
        ("no protocol", vec![], 400),
        ("the protocol before this one", vec![("sec-websocket-protocol", "graphql-ws")], 400),
        ("another protocol", vec![("sec-websocket-protocol", "mqtt, soap")], 400),
    ] {
        let request = opening(&server, &headers);
        match server.case(what, SMALL, tokio_tungstenite::connect_async(request)).await {
            Err(Error::Http(refused)) => assert_eq!(refused.status().as_u16(), status, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    let own = server.saldo.url("");
    let (_, opened) =
        tokio_tungstenite::connect_async(opening(&server, &[PROTOCOL, ("origin", &own)])).await.expect("its own page");
    assert_eq!(opened.headers()["sec-websocket-protocol"], "graphql-transport-ws");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_breach_of_the_protocol_has_its_code() {
    let server = Attacked::new().await;
    for (what, signed_in, messages, expected) in [
        ("nothing said", false, vec![], 4408),
        ("pings and no init", false, vec![Message::text(r#"{"type":"ping"}"#)], 4408),
        ("an operation before the init", false, vec![subscribe("1", "{ __typename }")], 4401),
        ("an init of nobody", false, vec![Message::text(r#"{"type":"connection_init"}"#)], 4403),
        ("an init twice", true, vec![init(&server.ada)], 4429),
        ("an id twice", true, vec![subscribe("1", FOLLOW), subscribe("1", FOLLOW)], 4409),
        ("an unknown message", true, vec![Message::text(r#"{"type":"start","id":"1"}"#)], 4400),
        ("a message of the server's", true, vec![Message::text(r#"{"type":"next","id":"1","payload":{}}"#)], 4400),
        ("no JSON", true, vec![Message::text("{")], 4400),
        ("deep JSON", true, vec![Message::text("[".repeat(1_000_000))], 4400),
        ("bytes", true, vec![Message::binary(vec![0; 1_000])], 4400),
        ("an id of a megabyte", true, vec![subscribe(&"x".repeat(1_000_000), FOLLOW)], 4400),
        ("100,000 values", true, vec![Message::text(format!("[{}0]", "0,".repeat(100_000)))], 4400),
        ("a name twice", true, vec![Message::text(r#"{"type":"ping","type":"pong"}"#)], 4400),
        ("an id of another kind", true, vec![Message::text(r#"{"type":"subscribe","id":1,"payload":{}}"#)], 4400),
    ] {
        let attack = async {
            let mut socket = if signed_in { opened(&server, &server.ada).await } else { connect(&server).await };
            for message in messages {
                socket.send(message).await.expect("sent");
            }
            end(socket).await
        };
        assert_eq!(server.case(what, SMALL, attack).await, Some(expected), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_or_cannot_be_read_ends_the_connection() {
    let server = Attacked::new().await;
    for signed_in in [false, true] {
        let socket = async || if signed_in { opened(&server, &server.ada).await } else { connect(&server).await };
        let giant = async {
            let mut socket = socket().await;
            socket.send(Message::text("x".repeat(64 * 1024 * 1024))).await.ok();
            end(socket).await
        };
        assert_eq!(server.case("a message of 64 MiB", LONG, giant).await, None);
        let announced = async {
            let mut socket = socket().await;
            // A frame's head alone, which says that an exabyte comes.
            let mut head = vec![0x81, 0xff];
            head.extend((1_u64 << 60).to_be_bytes());
            head.extend([0; 4]);
            let MaybeTlsStream::Plain(stream) = socket.get_mut() else { panic!("no TLS here") };
            tokio::io::AsyncWriteExt::write_all(stream, &head).await.expect("sent");
            end(socket).await
        };
        assert_eq!(server.case("a frame of an exabyte", LONG, announced).await, None);
        let parts = async {
            let mut socket = socket().await;
            let part = |code| Message::Frame(Frame::message(vec![b'x'; 64 * 1024], OpCode::Data(code), false));
            let mut sent = socket.send(part(Data::Text)).await;
            for _ in 0..1_024 {
                if sent.is_err() {
                    break;
                }
                sent = socket.send(part(Data::Continue)).await;
            }
            end(socket).await
        };
        assert_eq!(server.case("64 MiB in parts without an end", LONG, parts).await, None);
        let empty = async {
            let mut socket = socket().await;
            let part = |code| Message::Frame(Frame::message(Vec::new(), OpCode::Data(code), false));
            let mut sent = socket.feed(part(Data::Text)).await;
            for _ in 0..50_000 {
                if sent.is_err() {
                    break;
                }
                sent = socket.feed(part(Data::Continue)).await;
            }
            socket.close(None).await.ok();
            drop(socket);
        };
        server.case("50,000 empty parts", FLOOD, empty).await;
        let compressed = async {
            let mut socket = socket().await;
            let mut frame = Frame::message(b"{}".to_vec(), OpCode::Data(Data::Text), true);
            frame.header_mut().rsv1 = true;
            socket.send(Message::Frame(frame)).await.ok();
            end(socket).await
        };
        assert_eq!(server.case("a compressed frame, which was not agreed", SMALL, compressed).await, None);
    }
}

/// Sends many of a message and reads what comes of each.
async fn flood(socket: &mut Socket, message: Message, answered: bool, count: usize) {
    for _ in 0..count {
        socket.send(message.clone()).await.expect("sent");
        if answered {
            socket.next().await.expect("open").expect("an answer");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_take_what_their_messages_take() {
    let server = Attacked::new().await;
    let ping = || Message::text(r#"{"type":"ping"}"#);
    let mut socket = opened(&server, &server.ada).await;
    server.case("5,000 pings of the protocol", FLOOD, flood(&mut socket, ping(), true, 5_000)).await;
    let frame = Message::Ping(vec![0; 100].into());
    server.case("5,000 pings of the transport", FLOOD, flood(&mut socket, frame, true, 5_000)).await;
    let none = Message::text(r#"{"type":"complete","id":"none"}"#);
    server.case("5,000 ends of nothing", FLOOD, flood(&mut socket, none, false, 5_000)).await;
    let attack = async {
        for n in 0..1_000 {
            socket.send(subscribe(&n.to_string(), FOLLOW)).await.expect("sent");
        }
        let mut refused = 0;
        while refused < 900 {
            let Message::Text(said) = socket.next().await.expect("open").expect("a message") else { continue };
            let said: Value = serde_json::from_str(&said).expect("JSON");
            let expected = (&json!("error"), &json!("RATE_LIMITED"));
            assert_eq!((&said["type"], &said["payload"][0]["extensions"]["code"]), expected, "{said}");
            refused += 1;
        }
    };
    server.case("1,000 subscriptions", MANY, attack).await;
    // A hundred of them go on, and no more.
    flood(&mut socket, ping(), true, 1).await;
    let mut strangers = Vec::new();
    let attack = async {
        for _ in 0..500 {
            strangers.push(connect(&server).await);
        }
    };
    server.case("500 connections that say nothing", MANY, attack).await;
    for stranger in strangers {
        assert_eq!(end(stranger).await, Some(4408));
    }
}

/// The sockets that a process has open.
fn sockets(process: u32) -> BTreeSet<PathBuf> {
    let all = std::fs::read_dir(format!("/proc/{process}/fd")).expect("Linux");
    let links = all.filter_map(|entry| std::fs::read_link(entry.expect("an entry").path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).collect()
}

/// A connection whose client has next to no room for what it does not read.
async fn cramped(server: &Attacked) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let address = server.saldo.url("").trim_start_matches("http://").parse().expect("an address");
    let stream = socket.connect(address).await.expect("a connection");
    let (mut socket, _) =
        tokio_tungstenite::client_async(opening(server, &[PROTOCOL]), stream).await.expect("a connection");
    socket.send(init(&server.ada)).await.expect("sent");
    socket.next().await.expect("an answer").expect("a message");
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_is_closed_and_the_others_go_on() {
    let server = Attacked::new().await;
    let game = set_up(&server.saldo, "acme", "CARRY").await;
    let process = server.saldo.process();
    let before = sockets(process);
    let mut lazy = cramped(&server).await;
    let opened: Vec<PathBuf> = sockets(process).difference(&before).cloned().collect();
    let [its_socket] = &opened[..] else { panic!("one connection, and not {opened:?}") };
    // Much of each update: a hundred times what has a few kilobytes.
    let lines: String = (0..90).map(|n| format!("l{n}: lines {{ code rateClass }} ")).collect();
    let much = format!("subscription {{ settlementUpdated {{ cursor settlement {{ id {lines} }} }} }}");
    for n in 0..100 {
        lazy.send(subscribe(&n.to_string(), &much)).await.expect("sent");
    }
    let mut others = Vec::new();
    for way in [Way::Socket, Way::Events] {
        let heard = messages(way, &server.saldo.url(""), &game.token, server.saldo.client(), None).await;
        others.push((heard.expect("a stream"), Heard::default()));
    }
    let mut number = 0;
    let attack = async {
        while sockets(process).contains(its_socket) {
            let transaction = json!({ "externalId": number.to_string(), "kind": "STAKE", "product": "crash",
                "amount": { "amount": "1.00", "currency": "BIT" }, "occurredAt": "2021-11-15T12:00:00Z" });
            let input = json!({ "source": "crash", "transactions": [transaction] });
            server.saldo.mutate(&game.token, "recordTransactions", input, "results { outcome }").await;
            number += 1;
            for (messages, heard) in &mut others {
                while heard.counts.values().sum::<i64>() < number {
                    let message = messages.next().await.expect("it goes on");
                    heard.take(&message["payload"]["data"]["settlementUpdated"]);
                }
            }
        }
    };
    server.case("100 subscriptions that nobody reads", UNREAD, attack).await;
    eprintln!("closed after {number} updates");
    drop(lazy);
}
