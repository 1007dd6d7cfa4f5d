//! One operation, from its request to the parts of its answer, for both ways to the client.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use domain::{Error, Fault};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use serde_json::{Map, Value};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::group::Update;
use super::{Ending, Subscription, alone};
use crate::app::App;
use crate::graphql::errors::{in_request, logged};
use crate::graphql::execute::{self, Answer, Outcome, Prepared, Refused, Via};
use crate::graphql::{Sender, request};

/// The parts of an operation's answer, in their order; an error or [`What::Complete`] is the last. Dropping it ends a
/// query or a subscription; a mutation that has begun goes on to its end.
pub type Parts = BoxStream<'static, What>;

/// A part of an operation's answer.
pub enum What {
    /// A subscription stands here, before its first update.
    Follows(String),
    /// Shared by all who asked the same.
    Update(Arc<Update>),
    /// The body of this operation's own result.
    Result(String),
    /// Nothing comes any more; a JSON array.
    Error(String),
    Complete,
}

/// The errors of a refusal, as a JSON array.
pub fn refusal(code: &str, message: &str) -> String {
    Answer::refusal(Outcome::Invalid, code, message).errors().to_string()
}

/// Begins an operation that a client sent, as a request of its own.
pub async fn start(app: &App, sender: &Sender, payload: Map<String, Value>) -> Parts {
    let id = app.domain.clock().id::<uuid::Uuid>().simple().to_string();
    let prepare = async {
        let incoming = request::from_json(Value::Object(payload));
        let incoming = incoming.map_err(|malformed| refusal("BAD_USER_INPUT", malformed.0))?;
        execute::prepare(app, sender, incoming, Via::Stream).map_err(|refused| refused.errors().to_string())
    };
    match in_request(id.clone(), prepare).await {
        Ok(prepared) => answer(app, sender, prepared, id),
        Err(errors) => stream::iter([What::Error(errors)]).boxed(),
    }
}

/// Begins what was prepared, under this request's id.
pub fn answer(app: &App, sender: &Sender, prepared: Prepared, id: String) -> Parts {
    let (app, sender) = (app.clone(), sender.clone());
    if prepared.kind() == OperationType::Subscription && alone::is_alone(&prepared) {
        let refused = |refused: Refused| stream::iter([What::Error(refused.errors().to_string())]).boxed();
        return app.live.run_alone(&app, &sender, prepared, id).unwrap_or_else(refused);
    }
    if prepared.kind() == OperationType::Subscription {
        return stream::once(follow(app, sender, prepared, id)).flatten().boxed();
    }
    // What executes takes its time, and the connection has more to do. A subscription only waits.
    let work = async move { execute::run(&app, &sender, prepared).await };
    let task = AbortOnDropHandle::new(tokio::spawn(in_request(id, work)));
    let parts = async move {
        let panicked = |error: JoinError| Answer::failed(Error::from(Fault::Internal(error.to_string())).into());
        let parts = match task.await.unwrap_or_else(panicked) {
            answer if answer.outcome == Outcome::Executed => {
                vec![What::Result(answer.body().to_string()), What::Complete]
            }
            answer => vec![What::Error(answer.errors().to_string())],
        };
        stream::iter(parts)
    };
    stream::once(parts).flatten().boxed()
}

/// The place where a subscription stands, and then its updates.
async fn follow(app: App, sender: Sender, prepared: Prepared, id: String) -> Parts {
    match in_request(id.clone(), app.live.subscribe(&app, &sender, prepared)).await {
        Ok(subscription) => {
            let begun = What::Follows(subscription.cursor());
            stream::iter([begun]).chain(updates(subscription, id)).boxed()
        }
        Err(refused) => stream::iter([What::Error(refused.errors().to_string())]).boxed(),
    }
}

fn updates(subscription: Subscription, id: String) -> impl Stream<Item = What> {
    stream::unfold(Some((subscription, id)), |going_on| async move {
        let (mut subscription, id) = going_on?;
        match subscription.next().await {
            Ok(update) => Some((What::Update(update), Some((subscription, id)))),
            Err(error) => {
                in_request(id, async { logged(&Fault::Internal(error.to_string())) }).await;
                Some((What::Error(super::ended(Ending::Broken, Some(&subscription.cursor()))), None))
            }
        }
    })
}
