//! Clients that follow settlements, over either transport, and what they know.

// Tests and the benchmark take what they need.
#![allow(dead_code)]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::BoxStream;
use futures_util::{SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub const QUERY: &str = "subscription($after: String) { settlementUpdated(after: $after) { cursor changedAt settlement { id \
                         transactionCount total { amount } lines { amount { amount } } } } }";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Socket,
    Events,
}

/// The place behind a cursor. Clients must not look; a test may.
pub fn place(cursor: &str) -> i64 {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).expect("a cursor");
    i64::from_be_bytes(bytes[bytes.len() - 8..].try_into().expect("eight bytes"))
}

/// What one subscriber has been told.
#[derive(Debug, Default)]
pub struct Heard {
    pub cursor: Option<String>,
    /// The newest count of each settlement.
    pub counts: BTreeMap<String, i64>,
    pub updates: usize,
}

impl Heard {
    /// Takes in an update. Panics where it is not later than the last one, or shows an older state.
    pub fn take(&mut self, event: &Value) {
        let cursor = event["cursor"].as_str().unwrap_or_else(|| panic!("no cursor: {event}"));
        if let Some(last) = &self.cursor {
            assert!(place(cursor) > place(last), "{cursor} after {last}: out of order, or told twice");
        }
        let settlement = &event["settlement"];
        let id = settlement["id"].as_str().expect("an id").to_owned();
        let count = settlement["transactionCount"].as_i64().expect("a count");
        let before = self.counts.insert(id, count).unwrap_or_default();
        assert!(count >= before, "{count} transactions after {before}: an older state");
        let cents =
            |amount: &Value| amount.as_str().expect("an amount").replace('.', "").parse::<i64>().expect("cents");
        let lines = settlement["lines"].as_array().expect("lines").iter();
        let sum: i64 = lines.map(|line| cents(&line["amount"]["amount"])).sum();
        assert_eq!(sum, cents(&settlement["total"]["amount"]), "one state, not halves of two");
        self.cursor = Some(cursor.to_owned());
        self.updates += 1;
    }
}

/// A connection that was acknowledged.
pub async fn socket(url: &str, token: &str) -> Result<Socket, Error> {
    let mut request = format!("{}/graphql", url.replacen("http", "ws", 1)).into_client_request()?;
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
    socket.send(Message::text(init.to_string())).await?;
    match socket.next().await {
        Some(Ok(Message::Text(ack))) => assert_eq!(ack.as_str(), r#"{"type":"connection_ack"}"#),
        Some(Err(error)) => return Err(error),
        // The database did not answer: as good as no connection.
        Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 4500 => return Err(Error::ConnectionClosed),
        other => panic!("no acknowledgement: {other:?}"),
    }
    Ok(socket)
}

pub async fn subscribe(socket: &mut Socket, query: &str, after: Option<&str>) -> Result<(), Error> {
    let payload = json!({ "query": query, "variables": { "after": after } });
    let subscribe = json!({ "id": "1", "type": "subscribe", "payload": payload });
    socket.send(Message::text(subscribe.to_string())).await
}

/// The messages of a WebSocket, or of a stream of events, in one form: `{"type": "next", "payload": …}`. It ends where
/// the connection does.
pub async fn messages(
    way: Way,
    url: &str,
    token: &str,
    client: &reqwest::Client,
    after: Option<&str>,
) -> Option<BoxStream<'static, Value>> {
    match way {
        Way::Socket => {
            let mut socket = socket(url, token).await.ok()?;
            subscribe(&mut socket, QUERY, after).await.ok()?;
            let said = socket.filter_map(async |message| match message {
                Ok(Message::Text(text)) => serde_json::from_str(&text).ok(),
                Ok(Message::Close(Some(frame))) => Some(json!({ "type": "closed", "code": u16::from(frame.code) })),
                _ => None,
            });
            Some(said.boxed())
        }
        Way::Events => {
            let body = json!({ "query": QUERY, "variables": { "after": after } });
            let request = client.post(format!("{url}/graphql/stream")).bearer_auth(token);
            let request = request.header("accept", "text/event-stream").json(&body);
            let answer = request.send().await.ok()?;
            assert_eq!(answer.status(), 200);
            Some(events(answer.bytes_stream()).boxed())
        }
    }
}

/// Reads `event: next\ndata: …\n\n`, whatever pieces it comes in.
pub fn events(
    bytes: impl Stream<Item = reqwest::Result<impl AsRef<[u8]>>> + Send + 'static,
) -> impl Stream<Item = Value> + Send {
    let lines = bytes.scan(Vec::new(), |rest: &mut Vec<u8>, piece| {
        // A connection that breaks ends the stream.
        let Ok(piece) = piece else { return std::future::ready(None) };
        rest.extend_from_slice(piece.as_ref());
        let mut blocks = Vec::new();
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = rest.drain(..end + 2).collect();
            blocks.push(String::from_utf8(block).expect("UTF-8"));
        }
        std::future::ready(Some(futures_util::stream::iter(blocks)))
    });
    lines.flatten().filter_map(async |block| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let kind = field("event:")?;
        let payload = field("data:").and_then(|data| serde_json::from_str(data).ok()).unwrap_or(Value::Null);
        Some(json!({ "type": kind, "payload": payload }))
    })
}
