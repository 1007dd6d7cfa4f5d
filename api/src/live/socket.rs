//! GraphQL over a WebSocket: one connection, its credentials, and the operations under way on it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use domain::Error;
use domain::secrets::Secret;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use poem::web::websocket::{CloseCode, Message, WebSocketStream};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::access::{Access, Lost};
use super::operation::{self, Part, What};
use super::protocol::{self, Close, Said};
use super::{Ending, ended};
use crate::app::App;
use crate::graphql::{Sender, Session};

/// Time for `connection_init`.
const INIT_WITHIN: Duration = Duration::from_secs(3);
/// Time for the client to take a message off our hands.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is there; the second time nothing came, it is gone.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// Operations under way on one connection.
const MAX_OPERATIONS: usize = 100;
/// Parts of answers that wait for the client.
const WAITING: usize = 16;
/// The protocol's reason is at most this long.
const MAX_REASON_BYTES: usize = 123;

/// How a connection ends: the client left, or we close it and say why.
enum End {
    Gone,
    Close(Close, String),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        let reason = match close {
            Close::Restart => "the server stops; resume where your subscriptions say",
            Close::Slow => "too slow; resume where your subscriptions say",
            Close::BadRequest => "not a message of this protocol",
            Close::Unauthorized => "Unauthorized",
            Close::Forbidden => "Forbidden",
            Close::Internal => "the credentials could not be looked up",
            Close::InitTimeout => "Connection initialisation timeout",
            Close::AlreadyExists => "Subscriber already exists",
            Close::TooManyInits => "Too many initialisation requests",
        };
        Self::Close(close, reason.to_owned())
    }
}

/// Serves one connection until it ends.
pub async fn serve(app: App, stream: WebSocketStream, address: Option<IpAddr>) {
    let _counted = app.live.connection();
    let (sink, frames) = stream.split();
    let mut wire = Wire { sink, frames };
    let end = match greet(&app, &mut wire).await {
        Ok(access) => Connection::new(app, access, address).run(&mut wire).await,
        Err(end) => end,
    };
    if let End::Close(close, reason) = end {
        wire.close(close, &reason).await;
    }
}

struct Wire {
    sink: SplitSink<WebSocketStream, Message>,
    frames: SplitStream<WebSocketStream>,
}

impl Wire {
    /// The next thing that the client says; none for a frame that says nothing.
    async fn hear(&mut self) -> Result<Option<Said>, End> {
        match self.frames.next().await {
            Some(Ok(Message::Text(text))) => match protocol::read(&text) {
                Ok(said) => Ok(Some(said)),
                Err(reason) => Err(End::Close(Close::BadRequest, reason)),
            },
            Some(Ok(Message::Binary(_))) => Err(End::Close(Close::BadRequest, "messages are text".to_owned())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
        }
    }

    async fn say(&mut self, text: impl Into<String>) -> Result<(), End> {
        self.put(Message::Text(text.into())).await
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        match tokio::time::timeout(TAKEN_WITHIN, self.sink.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(Close::Slow.into()),
        }
    }

    /// Says why, and waits a moment for the client to agree: a connection that is dropped with unread frames in it
    /// may take the reason with it.
    async fn close(mut self, close: Close, reason: &str) {
        let mut end = reason.len().min(MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let frame = Message::close_with(CloseCode::from(close.code()), &reason[..end]);
        if self.put(frame).await.is_ok() {
            let agreed = async { while let Some(Ok(_)) = self.frames.next().await {} };
            tokio::time::timeout(INIT_WITHIN, agreed).await.ok();
        }
    }
}

/// Waits for `connection_init` and its credentials.
async fn greet(app: &App, wire: &mut Wire) -> Result<Access, End> {
    let deadline = Instant::now() + INIT_WITHIN;
    loop {
        let said = tokio::select! {
            () = app.live.closing().cancelled() => return Err(Close::Restart.into()),
            said = tokio::time::timeout_at(deadline, wire.hear()) => said.map_err(|_| End::from(Close::InitTimeout))??,
        };
        match said {
            Some(Said::Init(payload)) => {
                let token = token(&payload).ok_or(Close::Forbidden)?;
                let access = Access::open(&app.domain, token).await.map_err(|error| match error {
                    Error::Fault(fault) => {
                        crate::graphql::errors::logged(&fault);
                        Close::Internal
                    }
                    _ => Close::Forbidden,
                })?;
                wire.say(protocol::ACK).await?;
                return Ok(access);
            }
            Some(Said::Ping) => wire.say(protocol::PONG).await?,
            Some(Said::Subscribe { .. }) => return Err(Close::Unauthorized.into()),
            Some(Said::Pong | Said::Complete { .. }) | None => {}
        }
    }
}

/// `{"authorization": "Bearer …"}`, as in the header of that name, or `{"token": "…"}`.
fn token(payload: &Value) -> Option<Secret> {
    let authorization = payload.get("authorization").or_else(|| payload.get("Authorization"));
    let token = match authorization {
        Some(header) => {
            let (scheme, token) = header.as_str()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)?
        }
        None => payload.get("token")?.as_str()?,
    };
    Some(Secret::new(token.trim()))
}

struct Connection {
    app: App,
    access: Access,
    sender: Sender,
    operations: HashMap<String, Operation>,
    parts: mpsc::Receiver<Part>,
    to_parts: mpsc::Sender<Part>,
    /// Numbers operations, because an id may be used again when its operation is over.
    last: u64,
    stopping: bool,
}

struct Operation {
    number: u64,
    task: AbortHandle,
    /// Where to resume, for a subscription.
    cursor: Option<String>,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    fn new(app: App, access: Access, address: Option<IpAddr>) -> Self {
        // A connection brings many operations, so a key of its own is in the input of each.
        let session = Session::Caller(Box::new(access.scoped().clone()));
        let sender = Sender { session, address, idempotency_key: None };
        let (to_parts, parts) = mpsc::channel(WAITING);
        Self { app, access, sender, operations: HashMap::new(), parts, to_parts, last: 0, stopping: false }
    }

    async fn run(mut self, wire: &mut Wire) -> End {
        let ending = loop {
            match self.step(wire).await {
                Ok(()) if self.stopping && self.operations.is_empty() => break Close::Restart.into(),
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        if let End::Close(close, _) = &ending {
            let why = match close {
                Close::Slow => Some(Ending::Slow),
                Close::Forbidden => Some(Ending::SignedOut),
                _ => None,
            };
            if let Some(why) = why {
                // It goes out with the close, if the client takes it.
                self.send_off(wire, why).await.ok();
            }
        }
        ending
    }

    /// Does the next thing that is to be done.
    async fn step(&mut self, wire: &mut Wire) -> Result<(), End> {
        let closing = self.app.live.closing().clone();
        let silent = tokio::time::sleep_until(Instant::now() + ASK_EVERY);
        tokio::select! {
            () = closing.cancelled(), if !self.stopping => {
                // Answers may finish; subscriptions never would.
                self.stopping = true;
                self.send_off(wire, Ending::Restart).await
            }
            lost = self.access.lost() => Err(self.lost(lost)),
            said = wire.hear() => match said? {
                Some(said) => self.take(said, wire).await,
                None => Ok(()),
            },
            Some(part) = self.parts.recv() => self.give(part, wire).await,
            () = silent => self.ask(wire).await,
        }
    }

    fn lost(&self, lost: Lost) -> End {
        let reason = match lost {
            Lost::Expired => "the access token has expired",
            Lost::Revoked => "the session is over or its rights have changed",
        };
        End::Close(Close::Forbidden, reason.to_owned())
    }

    /// Nothing has happened for a while: is anybody there?
    async fn ask(&mut self, wire: &mut Wire) -> Result<(), End> {
        wire.put(Message::Ping(Vec::new())).await?;
        match tokio::time::timeout(ASK_EVERY, wire.hear()).await {
            Ok(Ok(Some(said))) => self.take(said, wire).await,
            Ok(Ok(None)) => Ok(()),
            Ok(Err(end)) => Err(end),
            Err(_) => Err(End::Gone),
        }
    }

    async fn take(&mut self, said: Said, wire: &mut Wire) -> Result<(), End> {
        match said {
            Said::Init(_) => Err(Close::TooManyInits.into()),
            Said::Ping => wire.say(protocol::PONG).await,
            Said::Pong => Ok(()),
            Said::Complete { id } => {
                self.operations.remove(&id);
                Ok(())
            }
            Said::Subscribe { id, payload } => self.begin(id, payload, wire).await,
        }
    }

    async fn begin(&mut self, id: String, payload: Map<String, Value>, wire: &mut Wire) -> Result<(), End> {
        if self.operations.contains_key(&id) {
            return Err(End::Close(Close::AlreadyExists, format!("Subscriber for {id} already exists")));
        }
        let refusal = if self.stopping {
            Some(operation::refusal("UNAVAILABLE", "the server stops; connect again"))
        } else if self.operations.len() >= MAX_OPERATIONS {
            let message = format!("{MAX_OPERATIONS} operations are under way on this connection");
            Some(operation::refusal("RATE_LIMITED", &message))
        } else {
            None
        };
        if let Some(errors) = refusal {
            return wire.say(protocol::error(&id, &errors)).await;
        }
        self.access.check().await.map_err(|lost| self.lost(lost))?;
        self.last += 1;
        let number = self.last;
        let parts = operation::Parts { id: id.clone(), number, to: self.to_parts.clone() };
        let task = operation::start(self.app.clone(), self.sender.clone(), payload, parts);
        self.operations.insert(id, Operation { number, task, cursor: None });
        Ok(())
    }

    /// Sends a part of an answer, unless its operation is over for the client.
    async fn give(&mut self, part: Part, wire: &mut Wire) -> Result<(), End> {
        let Part { id, number, what } = part;
        if self.operations.get(&id).is_none_or(|operation| operation.number != number) {
            return Ok(());
        }
        self.access.check().await.map_err(|lost| self.lost(lost))?;
        match what {
            What::Follows(cursor) => self.move_to(&id, cursor),
            What::Next(body) => {
                wire.say(protocol::next(&id, body.as_str())).await?;
                if let Some(cursor) = body.cursor() {
                    self.move_to(&id, cursor.to_owned());
                }
            }
            What::Error(errors) => {
                self.operations.remove(&id);
                wire.say(protocol::error(&id, &errors)).await?;
            }
            What::Complete => {
                self.operations.remove(&id);
                wire.say(protocol::complete(&id)).await?;
            }
        }
        Ok(())
    }

    fn move_to(&mut self, id: &str, cursor: String) {
        if let Some(operation) = self.operations.get_mut(id) {
            operation.cursor = Some(cursor);
        }
    }

    /// Tells every subscription why it ends and where to resume.
    async fn send_off(&mut self, wire: &mut Wire, why: Ending) -> Result<(), End> {
        let over: Vec<(String, String)> = self
            .operations
            .iter()
            .filter_map(|(id, operation)| Some((id.clone(), operation.cursor.clone()?)))
            .collect();
        for (id, cursor) in over {
            self.operations.remove(&id);
            wire.say(protocol::error(&id, &ended(why, Some(&cursor)))).await?;
        }
        Ok(())
    }
}
