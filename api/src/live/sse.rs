//! GraphQL over server-sent events, each operation on a connection of its own: `next` with a result, as often as there
//! are some, then `complete`.

use std::time::Duration;

use bytes::Bytes;
use domain::secrets::Secret;
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use poem::Body;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::access::Access;
use super::operation::{self, Part, Parts, What};
use super::{Ending, ended};
use crate::app::App;
use crate::graphql::Sender;
use crate::graphql::errors::{in_request, request_id};
use crate::graphql::execute::Prepared;

/// How often a silent stream shows that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(12);
/// Time for the client to take an event off our hands.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Events that wait for the client.
const WAITING: usize = 16;

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
pub fn stream(app: App, sender: Sender, token: Option<Secret>, prepared: Prepared) -> Body {
    let (to_client, mut client) = mpsc::channel(WAITING);
    let (counted, id) = (app.live.connection(), request_id());
    tokio::spawn(async move {
        let _counted = counted;
        in_request(id, serve(app, sender, token, prepared, to_client)).await;
    });
    Body::from_bytes_stream(poll_fn(move |cx| client.poll_recv(cx)).map(Ok::<Bytes, std::io::Error>))
}

async fn serve(app: App, sender: Sender, token: Option<Secret>, prepared: Prepared, client: mpsc::Sender<Bytes>) {
    let mut access = match token {
        Some(token) => match Access::open(&app.domain, token).await {
            Ok(access) => Some(access),
            // It was good a moment ago.
            Err(_) => return end(&client, &ended(Ending::SignedOut, None)).await,
        },
        None => None,
    };
    let closing = app.live.closing().clone();
    let (to, mut parts) = mpsc::channel::<Part>(1);
    let to = Parts { id: String::new(), number: 0, to };
    // What is not finished when this task ends is ended with it, but for a mutation, which has a task of its own.
    let mut work = std::pin::pin!(operation::answer(&app, &sender, prepared, &to));
    let (mut cursor, mut working) = (None, true);
    loop {
        let alive = tokio::time::sleep_until(Instant::now() + ALIVE_EVERY);
        let what = tokio::select! {
            () = client.closed() => return,
            () = closing.cancelled(), if cursor.is_some() => {
                return end(&client, &ended(Ending::Restart, cursor.as_deref())).await;
            }
            () = lost(&mut access) => return end(&client, &ended(Ending::SignedOut, cursor.as_deref())).await,
            () = &mut work, if working => {
                working = false;
                continue;
            }
            Some(part) = parts.recv() => part.what,
            () = alive => {
                if !put(&client, Bytes::from_static(ALIVE)).await {
                    return;
                }
                continue;
            }
        };
        if let Some(access) = &mut access
            && access.check().await.is_err()
        {
            return end(&client, &ended(Ending::SignedOut, cursor.as_deref())).await;
        }
        match what {
            What::Follows(place) => cursor = Some(place),
            What::Next(body) => {
                if !put(&client, next(body.as_str())).await {
                    return;
                }
                cursor = body.cursor().map(str::to_owned).or(cursor);
            }
            What::Error(errors) => return end(&client, &errors).await,
            What::Complete => {
                put(&client, Bytes::from_static(COMPLETE)).await;
                return;
            }
        }
    }
}

async fn lost(access: &mut Option<Access>) {
    match access {
        Some(access) => drop(access.lost().await),
        None => std::future::pending().await,
    }
}

/// The last result, which says why there are no more, and the end.
async fn end(client: &mpsc::Sender<Bytes>, errors: &str) {
    if put(client, next(&format!(r#"{{"errors":{errors}}}"#))).await {
        put(client, Bytes::from_static(COMPLETE)).await;
    }
}

/// False when the client is gone, or takes nothing any more: it has the place of what it took last.
async fn put(client: &mpsc::Sender<Bytes>, bytes: Bytes) -> bool {
    matches!(tokio::time::timeout(TAKEN_WITHIN, client.send(bytes)).await, Ok(Ok(())))
}

/// JSON has no line breaks of its own, so a body is one line.
fn next(body: &str) -> Bytes {
    format!("event: next\ndata: {body}\n\n").into()
}
