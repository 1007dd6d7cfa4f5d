//! GraphQL over server-sent events, each operation on a connection of its own: `next` with a result, as often as there
//! are some, then `complete`.

use std::time::Duration;

use bytes::Bytes;
use domain::secrets::Secret;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use poem::Body;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::access::{Access, Lost};
use super::operation::{self, Parts, What};
use super::silence::Silence;
use super::{Ending, ended};
use crate::app::App;
use crate::graphql::Sender;
use crate::graphql::errors::request_id;
use crate::graphql::execute::Prepared;

/// How often a silent stream shows that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(12);

const ALIVE: &[u8] = b":\n\n";
/// With an empty `data`, without which a browser's `EventSource` would not tell of it.
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

/// A stream with one body and its end, for what was not run.
pub fn once(body: &str) -> Body {
    let mut bytes = next(body).to_vec();
    bytes.extend_from_slice(COMPLETE);
    bytes.into()
}

/// A stream with the results of an operation. It ends when the operation does, the access is lost or the server stops.
/// The connection takes each event when it can write it; one that cannot is given up in `http/listener.rs`.
pub async fn stream(app: &App, sender: &Sender, token: Option<Secret>, prepared: Prepared) -> Body {
    let access = match token {
        Some(token) => match Access::open(&app.domain, token).await {
            Ok(access) => Some(access),
            // It was good a moment ago.
            Err(_) => return end(&ended(Ending::SignedOut, None)).into(),
        },
        None => None,
    };
    let events = Events {
        _counted: app.live.connection(),
        lost: match access.clone() {
            Some(access) => Box::pin(access.lost()),
            None => Box::pin(std::future::pending()),
        },
        access,
        closing: Box::pin(app.live.closing().clone().cancelled_owned()),
        silence: Silence::new(ALIVE_EVERY),
        parts: operation::answer(app, sender, prepared, request_id()),
        cursor: None,
    };
    let events = stream::unfold(Some(events), |going_on| async move {
        let mut events = going_on?;
        let (bytes, goes_on) = events.next().await;
        Some((Ok::<_, std::io::Error>(bytes), goes_on.then_some(events)))
    });
    Body::from_bytes_stream(events)
}

/// What a stream waits for. All of it is kept from one event to the next.
struct Events {
    _counted: TaskTrackerToken,
    access: Option<Access>,
    lost: BoxFuture<'static, Lost>,
    closing: BoxFuture<'static, ()>,
    silence: Silence,
    parts: Parts,
    /// Where a subscription stands.
    cursor: Option<String>,
}

impl Events {
    /// The next event, and whether there are more.
    async fn next(&mut self) -> (Bytes, bool) {
        loop {
            let what = tokio::select! {
                () = &mut self.closing, if self.cursor.is_some() => return (self.ended(Ending::Restart), false),
                _ = &mut self.lost => return (self.ended(Ending::SignedOut), false),
                part = self.parts.next() => part.unwrap_or(What::Complete),
                () = self.silence.lasted() => return (Bytes::from_static(ALIVE), true),
            };
            if let Some(access) = &mut self.access
                && access.check().await.is_err()
            {
                return (self.ended(Ending::SignedOut), false);
            }
            self.silence.broken();
            match what {
                What::Follows(place) => self.cursor = Some(place),
                What::Result(body) => return (next(&body), true),
                What::Update(update) => {
                    self.cursor = Some(update.cursor.clone());
                    return (update.event.clone(), true);
                }
                What::Error(errors) => return (end(&errors), false),
                What::Complete => return (Bytes::from_static(COMPLETE), false),
            }
        }
    }

    fn ended(&self, why: Ending) -> Bytes {
        end(&ended(why, self.cursor.as_deref()))
    }
}

/// The last result, which says why there are no more, and the end.
fn end(errors: &str) -> Bytes {
    let mut bytes = next(&format!(r#"{{"errors":{errors}}}"#)).to_vec();
    bytes.extend_from_slice(COMPLETE);
    bytes.into()
}

/// JSON has no line breaks of its own, so a body is one line.
pub fn next(body: &str) -> Bytes {
    format!("event: next\ndata: {body}\n\n").into()
}
