//! From a wire request to its answer, for every transport: [`prepare`] looks the document up, holds it against every
//! limit and decides whether its sender may run it; [`run`] executes it. Nothing runs that was not prepared.

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection};
use async_graphql::parser::{self, parse_query};
use async_graphql::{Name, Request, Response, ServerError, Value};
use domain::Actor;
use serde_json::{Map, Value as Json};

use super::cost::{Charge, over_budget};
use super::errors::{Failure, coded_error, give_codes, in_request, leave_some, request_id};
use super::limits::{self, Beyond};
use super::order::in_order;
use super::persisted::Missing;
use super::request::Incoming;
use super::waves::Waves;
use super::{Sender, loaders};
use crate::app::App;
use crate::rates::{Over, Payer};

/// What one may ask without having signed in. Everything else, introspection included, is refused before it runs.
const ANONYMOUS: [&str; 5] = ["signIn", "refreshSession", "signOut", "acceptToken", "__typename"];

/// How a request came, which decides what may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// HTTP `GET`: queries.
    Get,
    /// HTTP `POST`: queries and mutations.
    Post,
    /// A stream of events asked for by `GET`: queries and subscriptions.
    StreamByGet,
    /// A WebSocket, or a stream of events asked for by `POST`: everything.
    Stream,
}

/// What became of a request; the transport makes a status of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is data, which may be null, and there may be errors beside it.
    Executed,
    /// The request is at fault. Nothing ran, as in all that follow.
    Invalid,
    /// It takes a sign-in.
    Unauthenticated,
    /// This caller may not ask this.
    Forbidden,
    /// A `GET` must change nothing.
    MutationByGet,
    /// A budget is spent; seconds until it is worth trying again.
    RateLimited { retry_after: u64 },
    /// The fault is on this side.
    Failed,
}

/// The answer to one request.
#[derive(Debug)]
pub struct Answer {
    pub outcome: Outcome,
    response: Response,
}

/// An answer to a request that is not run.
pub type Refused = Box<Answer>;

impl Answer {
    /// Refuses a request with one error.
    pub fn refusal(outcome: Outcome, code: &str, message: &str) -> Self {
        Self { outcome, response: Response::from_errors(vec![coded_error(code, message)]) }
    }

    /// The answer where the sender could not even be looked up, or the work broke.
    pub fn failed(failure: Failure) -> Self {
        let error = async_graphql::Error::from(failure);
        let error = ServerError { extensions: error.extensions, ..ServerError::new(error.message, None) };
        Self { outcome: Outcome::Failed, response: Response::from_errors(vec![error]) }
    }

    /// The answer where a budget does not have what a request costs.
    pub fn over_budget(points: u32, over: Over) -> Self {
        let outcome = Outcome::RateLimited { retry_after: over.retry_after };
        Self { outcome, response: Response::from_errors(vec![over_budget(points, over)]) }
    }

    /// Whether there are errors beside the data.
    pub fn is_partial(&self) -> bool {
        self.outcome == Outcome::Executed && !self.response.errors.is_empty()
    }

    /// The response as the specification writes it: of a request that was not run, without `data`.
    pub fn body(&self) -> Json {
        let mut body = Map::new();
        if !self.response.errors.is_empty() {
            body.insert("errors".to_owned(), self.errors());
        }
        if self.outcome == Outcome::Executed {
            body.insert("data".to_owned(), serde_json::to_value(&self.response.data).unwrap_or_default());
            if !self.response.extensions.is_empty() {
                let extensions = serde_json::to_value(&self.response.extensions).unwrap_or_default();
                body.insert("extensions".to_owned(), extensions);
            }
        }
        Json::Object(body)
    }

    /// The list of errors alone.
    pub fn errors(&self) -> Json {
        serde_json::to_value(&self.response.errors).unwrap_or_default()
    }
}

fn refuse(outcome: Outcome, code: &str, message: &str) -> Refused {
    Box::new(Answer::refusal(outcome, code, message))
}

impl From<Beyond> for Refused {
    fn from(beyond: Beyond) -> Self {
        let mut refused = refuse(Outcome::Invalid, "BAD_USER_INPUT", &beyond.message);
        for error in &mut refused.response.errors {
            error.locations.extend(beyond.at);
        }
        refused
    }
}

impl From<Missing> for Refused {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Malformed(why) => refuse(Outcome::Invalid, "BAD_USER_INPUT", why),
            // Clients look for this very text.
            Missing::Unknown => refuse(Outcome::Invalid, "PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"),
            Missing::NotAllowed => {
                refuse(Outcome::Forbidden, "QUERY_NOT_ALLOWED", "this server runs only the documents on its list")
            }
        }
    }
}

/// A document that may run, and with what.
pub struct Prepared {
    kind: OperationType,
    document: Arc<ExecutableDocument>,
    incoming: Incoming,
    text: Arc<str>,
}

impl Prepared {
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    pub fn document(&self) -> &ExecutableDocument {
        &self.document
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Gives a variable another value.
    pub fn set_variable(&mut self, name: Name, value: Value) {
        self.incoming.variables.insert(name, value);
    }

    /// The library's request, with everything that resolvers find in their context, and what is left to do when it
    /// is answered. A subscription is run with it; for all else there is [`run`].
    pub fn into_request(self, app: &App, sender: &Sender, payer: Payer) -> (Request, Finish) {
        let Self { document, incoming, text, .. } = self;
        let mut request = Request::new(&*text).variables(incoming.variables);
        request.operation_name = incoming.operation_name.clone();
        request.set_parsed_query((*document).clone());
        let mut waves = Waves::default();
        if let Some(scoped) = sender.scoped() {
            let loaders;
            (loaders, waves) = loaders::new(scoped.clone());
            request = request.data(loaders);
        }
        let charge = Charge::new(app.rates.clone(), payer);
        let request =
            request.data(sender.clone()).data(app.domain.clone()).data(app.rates.clone()).data(charge.clone());
        (request, Finish { document, operation: incoming.operation_name, charge, waves })
    }
}

/// What makes an answer of the library's response.
#[derive(Clone)]
pub struct Finish {
    document: Arc<ExecutableDocument>,
    operation: Option<String>,
    charge: Arc<Charge>,
    waves: Waves,
}

impl Finish {
    /// Runs the request, or the next result of it, so that what its fields want is read together.
    pub async fn drive<F: Future>(&self, request: F) -> F::Output {
        self.waves.clone().drive(request).await
    }

    pub fn answer(&self, mut response: Response) -> Answer {
        // An error before execution has no path, and then the specification wants no `data` at all.
        let was_run = response.errors.is_empty()
            || response.data != Value::Null
            || response.errors.iter().any(|error| !error.path.is_empty());
        give_codes(&mut response);
        let outcome = match self.charge.refused() {
            Some(retry_after) => Outcome::RateLimited { retry_after },
            None if was_run => Outcome::Executed,
            None => Outcome::Invalid,
        };
        if outcome == Outcome::Invalid {
            leave_some(&mut response);
        }
        response.data = in_order(response.data, &self.document, self.operation.as_deref());
        self.charge.tell(&mut response);
        Answer { outcome, response }
    }

    /// The answer with one of a subscription's results, which was paid for when it began.
    pub fn update(&self, response: Response) -> Answer {
        let mut answer = self.answer(response);
        answer.response.extensions.clear();
        answer
    }

    /// What the operation cost, once it has been validated.
    pub fn cost(&self) -> u32 {
        self.charge.points()
    }
}

/// Parses a document that is within the limits of its text. What the error says is ours, not the parser's.
pub fn parse(text: &str) -> Result<ExecutableDocument, Beyond> {
    limits::check_text(text)?;
    parse_query(text).map_err(|error| match error {
        parser::Error::Syntax { start, .. } => {
            let message = format!("syntax error at line {}, column {}", start.line, start.column);
            Beyond { message, at: Some(start) }
        }
        other => Beyond { message: other.to_string(), at: other.positions().next() },
    })
}

/// Everything that is checked before an operation runs: the document is there and on the list where there is one, it
/// is within the limits, and its sender may ask this in this way.
pub fn prepare(app: &App, sender: &Sender, mut incoming: Incoming, via: Via) -> Result<Prepared, Refused> {
    let tenant = sender.scoped().map(|scoped| scoped.tenant());
    incoming.operation_name = incoming.operation_name.filter(|name| !name.is_empty());
    let found = app.documents.find(tenant, &incoming)?;
    let document = parse(&found.text)?;
    if sender.scoped().is_none() && !asks_only_to_get_in(&document) {
        return Err(refuse(Outcome::Unauthenticated, "UNAUTHENTICATED", "sign in first"));
    }
    let operation = &limits::operation(&document, incoming.operation_name.as_deref())?.node;
    let size = limits::check_document(&document, operation)?;
    limits::check_subscription(operation, &size)?;
    if size.introspects && !may_introspect(sender) {
        return Err(refuse(Outcome::Forbidden, "FORBIDDEN", "the schema is shown to members who have signed in"));
    }
    let kind = operation.ty;
    match (kind, via) {
        (OperationType::Mutation, Via::Get | Via::StreamByGet) => {
            return Err(refuse(Outcome::MutationByGet, "BAD_USER_INPUT", "a mutation is sent by POST"));
        }
        (OperationType::Subscription, Via::Get | Via::Post) => {
            let message = "a subscription runs over a WebSocket or a stream of events";
            return Err(refuse(Outcome::Invalid, "BAD_USER_INPUT", message));
        }
        _ => {}
    }
    app.documents.keep(tenant, &found);
    Ok(Prepared { kind, document: Arc::new(document), incoming, text: found.text })
}

/// Runs a query or a mutation. A mutation has a task of its own: a request that is dropped does not stop it between
/// two of its fields, nor before its answer is known to the log.
pub async fn run(app: &App, sender: &Sender, prepared: Prepared) -> Answer {
    let kind = prepared.kind;
    let (request, finish) = prepared.into_request(app, sender, sender.payer());
    let (schema, drive) = (app.schema.clone(), finish.clone());
    let work = async move { drive.drive(schema.execute(request)).await };
    let response = match kind {
        OperationType::Mutation => app.domain.run_to_end(in_request(request_id(), work)).await,
        _ => Ok(work.await),
    };
    match response {
        Ok(response) => finish.answer(response),
        Err(error) => Answer::failed(error.into()),
    }
}

fn may_introspect(sender: &Sender) -> bool {
    let actor = sender.scoped().map(|scoped| scoped.caller().actor());
    matches!(actor, Some(Actor::Member { .. } | Actor::Operator))
}

fn asks_only_to_get_in(document: &ExecutableDocument) -> bool {
    document.operations.iter().all(|(_, operation)| {
        operation.node.selection_set.node.items.iter().all(|selection| match &selection.node {
            Selection::Field(field) => ANONYMOUS.contains(&field.node.name.node.as_str()),
            Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
        })
    })
}
