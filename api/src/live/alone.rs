//! Subscriptions that end by themselves and are each one's own: not shared with who asks the same, and not resumed.

use async_graphql::{Response, Value};
use futures_util::stream::{self, BoxStream, StreamExt};

use super::operation::{Parts, What};
use super::{Ending, Place, after, ended};
use crate::app::App;
use crate::graphql::Sender;
use crate::graphql::errors::in_request;
use crate::graphql::execute::{Finish, Outcome, Prepared};

/// Fields of `Subscription` that are run so.
const ALONE: [&str; 1] = ["simulateContractVersion"];

pub fn is_alone(prepared: &Prepared) -> bool {
    after::root(prepared).is_some_and(|field| ALONE.contains(&field))
}

struct Alone {
    app: App,
    responses: BoxStream<'static, Response>,
    finish: Finish,
    begun: bool,
    id: String,
    _place: Place,
}

/// Runs what was prepared, at the sender's own expense. It goes on while the parts are taken.
pub fn parts(app: App, sender: &Sender, place: Place, prepared: Prepared, id: String) -> Parts {
    let (request, finish) = prepared.into_request(&app, sender, sender.payer());
    let responses = app.schema.execute_stream(request);
    let alone = Alone { app, responses, finish, begun: false, id, _place: place };
    let parts = stream::unfold(Some(alone), |going_on| async move {
        let mut alone = going_on?;
        let part = alone.next().await;
        let goes_on = matches!(part, What::Result(_));
        Some((part, goes_on.then_some(alone)))
    });
    parts.boxed()
}

impl Alone {
    async fn next(&mut self) -> What {
        let closing = self.app.live.closing().clone();
        let response = self.finish.drive(self.responses.next());
        let response = tokio::select! {
            response = in_request(self.id.clone(), response) => response,
            () = closing.cancelled() => return What::Error(ended(Ending::Restart, None)),
        };
        let Some(response) = response else { return What::Complete };
        let failed = !response.errors.is_empty() && response.data == Value::Null;
        // What it cost is told once.
        let answer = if self.begun { self.finish.update(response) } else { self.finish.answer(response) };
        self.begun = true;
        if failed || answer.outcome != Outcome::Executed {
            return What::Error(answer.errors().to_string());
        }
        What::Result(answer.body().to_string())
    }
}
