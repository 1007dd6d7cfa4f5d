//! One operation, from its request to the parts of its answer, for both ways to the client.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use domain::Fault;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::Ending;
use super::group::Update;
use crate::app::App;
use crate::graphql::errors::{in_request, logged};
use crate::graphql::execute::{self, Answer, Outcome, Prepared, Via};
use crate::graphql::{Sender, request};

/// A part of an operation's answer.
pub struct Part {
    pub id: String,
    pub number: u64,
    pub what: What,
}

pub enum What {
    /// A subscription stands here, before its first update.
    Follows(String),
    Next(Body),
    /// Nothing comes any more; a JSON array.
    Error(String),
    Complete,
}

/// A body that belongs to one operation, or is shared by all who asked the same.
pub enum Body {
    Own(String),
    Shared(Arc<Update>),
}

impl Body {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own(body) => body,
            Self::Shared(update) => &update.body,
        }
    }

    /// Where a subscription stands after it.
    pub fn cursor(&self) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::Shared(update) => Some(&update.cursor),
        }
    }
}

/// Where an operation puts the parts of its answer.
#[derive(Clone)]
pub struct Parts {
    pub id: String,
    pub number: u64,
    pub to: mpsc::Sender<Part>,
}

impl Parts {
    /// False when nobody takes them any more.
    async fn put(&self, what: What) -> bool {
        self.to.send(Part { id: self.id.clone(), number: self.number, what }).await.is_ok()
    }

    /// Ends the operation with errors.
    async fn fail(&self, errors: String) {
        self.put(What::Error(errors)).await;
    }
}

/// The errors of a refusal, as a JSON array.
pub fn refusal(code: &str, message: &str) -> String {
    Answer::refusal(Outcome::Invalid, code, message).errors().to_string()
}

/// Begins an operation in a task of its own. Aborting the task ends a query or a subscription; a mutation that has
/// begun goes on to its end.
pub fn start(app: App, sender: Sender, payload: Map<String, Value>, parts: Parts) -> AbortHandle {
    let id = app.domain.clock().id::<uuid::Uuid>().simple().to_string();
    let work = async move {
        let incoming = match request::from_json(Value::Object(payload)) {
            Ok(incoming) => incoming,
            Err(malformed) => return parts.fail(refusal("BAD_USER_INPUT", malformed.0)).await,
        };
        match execute::prepare(&app, &sender, incoming, Via::Stream) {
            Ok(prepared) => answer(&app, &sender, prepared, &parts).await,
            Err(refused) => parts.fail(refused.errors().to_string()).await,
        }
    };
    tokio::spawn(in_request(id, work)).abort_handle()
}

/// Runs what was prepared and puts out its answer, until it ends or nobody takes it.
pub async fn answer(app: &App, sender: &Sender, prepared: Prepared, parts: &Parts) {
    if prepared.kind() == OperationType::Subscription {
        return follow(app, sender, prepared, parts).await;
    }
    let answer = execute::run(app, sender, prepared).await;
    match answer.outcome {
        Outcome::Executed => {
            if parts.put(What::Next(Body::Own(answer.body().to_string()))).await {
                parts.put(What::Complete).await;
            }
        }
        _ => parts.fail(answer.errors().to_string()).await,
    }
}

async fn follow(app: &App, sender: &Sender, prepared: Prepared, parts: &Parts) {
    let mut subscription = match app.live.subscribe(app, sender, prepared).await {
        Ok(subscription) => subscription,
        Err(refused) => return parts.fail(refused.errors().to_string()).await,
    };
    if !parts.put(What::Follows(subscription.cursor())).await {
        return;
    }
    loop {
        let what = match subscription.next().await {
            Ok(update) => What::Next(Body::Shared(update)),
            Err(error) => {
                logged(&Fault::Internal(error.to_string()));
                let errors = super::ended(Ending::Broken, Some(&subscription.cursor()));
                return parts.fail(errors).await;
            }
        };
        if !parts.put(what).await {
            return;
        }
    }
}
