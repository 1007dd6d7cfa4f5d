//! The messages of `graphql-transport-ws` and its close codes, as
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md> has them.

use serde_json::{Map, Value};

use crate::graphql::request::checked;

/// An operation's id, which stands in every message about it.
const MAX_ID_BYTES: usize = 128;

/// The only sub-protocol that is spoken.
pub const NAME: &str = "graphql-transport-ws";

/// Why a socket is closed; clients rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The server stops; another one, or this one again, takes over.
    Restart,
    /// The client reads too slowly.
    Slow,
    /// A message that is none, or that no server takes.
    BadRequest,
    /// An operation before the connection was acknowledged.
    Unauthorized,
    /// The credentials are wrong, expired or revoked.
    Forbidden,
    /// The server could not look the credentials up.
    Internal,
    /// No `connection_init` in time.
    InitTimeout,
    /// An operation under the id of another that is still under way.
    AlreadyExists,
    /// A second `connection_init`.
    TooManyInits,
}

impl Close {
    pub const fn code(self) -> u16 {
        match self {
            Self::Restart => 1012,
            Self::Slow => 1013,
            Self::BadRequest => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::InitTimeout => 4408,
            Self::AlreadyExists => 4409,
            Self::TooManyInits => 4429,
            Self::Internal => 4500,
        }
    }
}

/// What a client says.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// With its `payload`, null when absent.
    Init(Value),
    Ping,
    Pong,
    Subscribe {
        id: String,
        /// The request: `query`, `operationName`, `variables`, `extensions`.
        payload: Map<String, Value>,
    },
    Complete {
        id: String,
    },
}

/// Reads a message; what is wrong with it otherwise.
pub fn read(text: &str) -> Result<Said, String> {
    let message = checked::read(text.as_bytes()).map_err(|malformed| malformed.0.replace("body", "message"))?;
    let Value::Object(mut message) = message else { return Err("the message is no object".to_owned()) };
    let Some(Value::String(kind)) = message.remove("type") else { return Err("the message has no type".to_owned()) };
    let payload = message.remove("payload").unwrap_or_default();
    let object_or_nothing = matches!(payload, Value::Null | Value::Object(_));
    let id = match message.remove("id") {
        Some(Value::String(id)) if (1..=MAX_ID_BYTES).contains(&id.len()) => Some(id),
        _ => None,
    };
    let id = |kind: &str| id.ok_or_else(|| format!("'{kind}' needs an id: a text of 1 to {MAX_ID_BYTES} bytes"));
    match kind.as_str() {
        "connection_init" | "ping" | "pong" if !object_or_nothing => {
            Err(format!("the payload of '{kind}' is no object"))
        }
        "connection_init" => Ok(Said::Init(payload)),
        "ping" => Ok(Said::Ping),
        "pong" => Ok(Said::Pong),
        "complete" => Ok(Said::Complete { id: id("complete")? }),
        "subscribe" => match payload {
            Value::Object(payload) => Ok(Said::Subscribe { id: id("subscribe")?, payload }),
            _ => Err("the payload of 'subscribe' is no object".to_owned()),
        },
        _ => Err("the type of the message is none that a client sends".to_owned()),
    }
}

pub const ACK: &str = r#"{"type":"connection_ack"}"#;
pub const PONG: &str = r#"{"type":"pong"}"#;

/// The result of an execution; `body` is JSON already.
pub fn next(id: &str, body: &str) -> String {
    with_payload("next", id, body)
}

/// Errors that ended an operation before it ran, or while it did; `errors` is a JSON array.
pub fn error(id: &str, errors: &str) -> String {
    with_payload("error", id, errors)
}

pub fn complete(id: &str) -> String {
    format!(r#"{{"id":{},"type":"complete"}}"#, quoted(id))
}

fn with_payload(kind: &str, id: &str, payload: &str) -> String {
    let id = quoted(id).to_string();
    let mut message =
        String::with_capacity(r#"{"id":,"type":"","payload":}"#.len() + id.len() + kind.len() + payload.len());
    for part in [r#"{"id":"#, &id, r#","type":""#, kind, r#"","payload":"#, payload, "}"] {
        message.push_str(part);
    }
    message
}

fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_read_as_the_protocol_has_them() {
        let init = |payload| Ok(Said::Init(payload));
        assert_eq!(read(r#"{"type":"connection_init"}"#), init(Value::Null));
        assert_eq!(read(r#"{"type":"connection_init","payload":{"a":1}}"#), init(json!({ "a": 1 })));
        assert_eq!(read(r#"{"type":"ping","payload":null}"#), Ok(Said::Ping));
        assert_eq!(read(r#"{"type":"pong","payload":{}}"#), Ok(Said::Pong));
        assert_eq!(read(r#"{"type":"complete","id":"1"}"#), Ok(Said::Complete { id: "1".to_owned() }));
        let subscribe = read(r#"{"id":"1","type":"subscribe","payload":{"query":"{ a }"}}"#);
        let payload = Map::from_iter([("query".to_owned(), json!("{ a }"))]);
        assert_eq!(subscribe, Ok(Said::Subscribe { id: "1".to_owned(), payload }));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"next","id":"1"}"#,
            r#"{"type":"start"}"#,
            r#"{"type":"connection_init","payload":"x"}"#,
            r#"{"type":"subscribe","payload":{}}"#,
            r#"{"type":"subscribe","id":"","payload":{}}"#,
            r#"{"type":"subscribe","id":1,"payload":{}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","query":"{ b }"}}"#,
            &format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(MAX_ID_BYTES + 1)),
            r#"{"type":"complete"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whatever_an_id_holds_the_message_is_json() {
        for id in ["1", "a\"b\\", "\u{0}\n", "가"] {
            for message in [next(id, "{}"), error(id, "[]"), complete(id)] {
                let read: Value = serde_json::from_str(&message).expect("JSON");
                assert_eq!(read["id"], id);
            }
        }
        assert_eq!(next("1", r#"{"data":null}"#), r#"{"id":"1","type":"next","payload":{"data":null}}"#);
    }
}
