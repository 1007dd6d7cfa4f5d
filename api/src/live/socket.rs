//! GraphQL over a WebSocket: one connection, its credentials, and the operations under way on it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use domain::Error;
use domain::secrets::Secret;
use futures_util::future::AbortHandle;
use futures_util::stream::{self, BoxStream, SelectAll, SplitSink, SplitStream, Stream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use poem::web::websocket::{CloseCode, Message, WebSocketStream};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::access::{Access, Lost};
use super::operation::{self, What};
use super::protocol::{self, Close, Said};
use super::silence::Silence;
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
/// Messages that go out together, where so many are there.
const TOGETHER: usize = 16;
/// The protocol's reason is at most this long.
const MAX_REASON_BYTES: usize = 123;

/// How a connection ends: the client left, or we close it and say why.
enum End {
    Gone,
    Close(Close, String),
}

impl From<Lost> for End {
    fn from(lost: Lost) -> Self {
        let reason = match lost {
            Lost::Expired => "the access token has expired",
            Lost::Revoked => "the session is over or its rights have changed",
        };
        Self::Close(Close::Forbidden, reason.to_owned())
    }
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
    let mut wire = Wire { sink, events: SelectAll::from_iter([frames_of(frames).boxed()]), said: 0 };
    let end = match greet(&app, &mut wire).await {
        Ok(access) => Connection::new(app, access, address, &mut wire).run(&mut wire).await,
        Err(end) => end,
    };
    if let End::Close(close, reason) = end {
        wire.close(close, &reason).await;
    }
}

/// What can happen on a connection.
enum Event {
    /// The client said something, or sent a frame that says nothing, or is gone.
    Said(Result<Option<Said>, End>),
    /// The client has said nothing for a while.
    Silent,
    /// An operation has an answer.
    Part(Arc<str>, What),
    Lost(Lost),
    Closing,
}

/// A connection, and all that it waits for. Each of those has a waker of its own, so that an update is looked for where
/// it is and nowhere else: to ask the socket and the timers, too, before each message cost more than to write it.
struct Wire {
    sink: SplitSink<WebSocketStream, Message>,
    events: SelectAll<BoxStream<'static, Event>>,
    /// Messages that were said and not yet sent.
    said: usize,
}

fn frames_of(frames: SplitStream<WebSocketStream>) -> impl Stream<Item = Event> {
    stream::unfold(Some((frames, Silence::new(ASK_EVERY))), |going_on| async move {
        let (mut frames, mut silence) = going_on?;
        let frame = tokio::select! {
            frame = frames.next() => frame,
            () = silence.lasted() => return Some((Event::Silent, Some((frames, silence)))),
        };
        silence.broken();
        let said = match frame {
            Some(Ok(Message::Text(text))) => match protocol::read(&text) {
                Ok(said) => Ok(Some(said)),
                Err(reason) => Err(End::Close(Close::BadRequest, reason)),
            },
            Some(Ok(Message::Binary(_))) => Err(End::Close(Close::BadRequest, "messages are text".to_owned())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Some((Event::Said(Err(End::Gone)), None)),
        };
        Some((Event::Said(said), Some((frames, silence))))
    })
}

impl Wire {
    /// The next thing that happens. What was said is sent before anything is waited for.
    async fn next(&mut self) -> Result<Event, End> {
        if self.said > 0 {
            if self.said < TOGETHER
                && let Poll::Ready(Some(event)) = poll_fn(|cx| Poll::Ready(self.events.poll_next_unpin(cx))).await
            {
                return Ok(event);
            }
            taken(self.sink.flush()).await?;
            self.said = 0;
        }
        self.events.next().await.ok_or(End::Gone)
    }

    /// Puts a message among those that go out together.
    async fn say(&mut self, text: impl Into<String>) -> Result<(), End> {
        taken(self.sink.feed(Message::Text(text.into()))).await?;
        self.said += 1;
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        taken(self.sink.send(message)).await
    }

    /// Says why, and waits a moment for the client to agree: a connection that is dropped with unread frames in it
    /// may take the reason with it.
    async fn close(mut self, close: Close, reason: &str) {
        let mut end = reason.len().min(MAX_REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let frame = Message::close_with(CloseCode::from(close.code()), &reason[..end]);
        if self.send(frame).await.is_ok() {
            let agreed =
                async { while !matches!(self.events.next().await, None | Some(Event::Said(Err(End::Gone)))) {} };
            tokio::time::timeout(INIT_WITHIN, agreed).await.ok();
        }
    }
}

async fn taken(sent: impl Future<Output = std::io::Result<()>>) -> Result<(), End> {
    match tokio::time::timeout(TAKEN_WITHIN, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(Close::Slow.into()),
    }
}

/// Waits for `connection_init` and its credentials.
async fn greet(app: &App, wire: &mut Wire) -> Result<Access, End> {
    let deadline = Instant::now() + INIT_WITHIN;
    loop {
        let event = tokio::select! {
            () = app.live.closing().cancelled() => return Err(Close::Restart.into()),
            event = tokio::time::timeout_at(deadline, wire.next()) => event.map_err(|_| End::from(Close::InitTimeout))??,
        };
        let Event::Said(said) = event else { continue };
        match said? {
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
    operations: HashMap<Arc<str>, Operation>,
    /// The client was asked whether it is there.
    asked: bool,
    stopping: bool,
}

/// An operation under way; dropped, it answers nothing any more.
struct Operation {
    parts: AbortHandle,
    /// Where to resume, for a subscription.
    cursor: Option<String>,
}

impl Drop for Operation {
    fn drop(&mut self) {
        self.parts.abort();
    }
}

impl Connection {
    fn new(app: App, access: Access, address: Option<IpAddr>, wire: &mut Wire) -> Self {
        // A connection brings many operations, so a key of its own is in the input of each.
        let session = Session::Caller(Box::new(access.scoped().clone()));
        let sender = Sender { session, address, idempotency_key: None };
        let lost = access.clone().lost().map(Event::Lost);
        let closing = app.live.closing().clone().cancelled_owned().map(|()| Event::Closing);
        wire.events.extend([lost.into_stream().boxed(), closing.into_stream().boxed()]);
        Self { app, access, sender, operations: HashMap::new(), asked: false, stopping: false }
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
        match wire.next().await? {
            Event::Part(id, what) => self.give(id, what, wire).await,
            Event::Said(said) => {
                self.asked = false;
                match said? {
                    Some(said) => self.take(said, wire).await,
                    None => Ok(()),
                }
            }
            Event::Silent if self.asked => Err(End::Gone),
            Event::Silent => {
                self.asked = true;
                wire.send(Message::Ping(Vec::new())).await
            }
            Event::Lost(lost) => Err(lost.into()),
            Event::Closing => {
                // Answers may finish; subscriptions never would.
                self.stopping = true;
                self.send_off(wire, Ending::Restart).await
            }
        }
    }

    async fn take(&mut self, said: Said, wire: &mut Wire) -> Result<(), End> {
        match said {
            Said::Init(_) => Err(Close::TooManyInits.into()),
            Said::Ping => wire.say(protocol::PONG).await,
            Said::Pong => Ok(()),
            Said::Complete { id } => {
                self.operations.remove(&*id);
                Ok(())
            }
            Said::Subscribe { id, payload } => self.begin(id, payload, wire).await,
        }
    }

    async fn begin(&mut self, id: String, payload: Map<String, Value>, wire: &mut Wire) -> Result<(), End> {
        if self.operations.contains_key(&*id) {
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
        self.access.check().await?;
        let id: Arc<str> = id.into();
        let (parts, handle) = stream::abortable(operation::start(&self.app, &self.sender, payload).await);
        self.operations.insert(id.clone(), Operation { parts: handle, cursor: None });
        wire.events.push(parts.map(move |what| Event::Part(id.clone(), what)).boxed());
        Ok(())
    }

    /// Sends a part of an answer.
    async fn give(&mut self, id: Arc<str>, what: What, wire: &mut Wire) -> Result<(), End> {
        self.access.check().await?;
        match what {
            What::Follows(cursor) => self.move_to(&id, cursor),
            What::Update(update) => {
                wire.say(protocol::next(&id, &update.body)).await?;
                self.move_to(&id, update.cursor.clone());
            }
            What::Result(body) => wire.say(protocol::next(&id, &body)).await?,
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
        let over: Vec<(Arc<str>, String)> = self
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
