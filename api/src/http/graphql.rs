//! GraphQL over HTTP, to the letter of its specification: what is asked by `GET` and `POST` at `/graphql`, and how
//! the answer is written. `docs/transport.md` has the table of statuses.

use std::time::Duration;

use domain::Error;
use futures_util::StreamExt;
use poem::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use poem::web::{Compress, CompressionAlgo, Data};
use poem::{Body, IntoResponse, Request, Response, handler};
use serde_json::Value as Json;

use super::negotiate::{self, Coding, Media};
use super::{live, pages, session};
use crate::app::App;
use crate::graphql::Sender;
use crate::graphql::execute::{self, Answer, Outcome, Via};
use crate::graphql::idempotency::HeaderKey;
use crate::graphql::request::{self, Incoming, Malformed, Parameters};

/// The longest request; files have a way of their own.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// A sender has so long for its body.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
/// A shorter answer fits a packet or two as it is.
const COMPRESS_FROM_BYTES: usize = 1024;
/// Of a longer body, what is read at a time.
const BLOCK: usize = 64 * 1024;
/// What the specification gives an answer that has both data and errors.
const PARTIAL_SUCCESS: u16 = 294;
pub(super) const ALLOW: &str = "GET, POST";

/// Everything at `/graphql`.
#[handler]
pub(super) async fn graphql(app: Data<&App>, request: &Request, body: Body) -> Response {
    if live::is_upgrade(request) {
        return live::upgrade(&app, request).await;
    }
    let (offered, via): (&[Media], _) = match *request.method() {
        Method::GET => (&[Media::GraphqlResponse, Media::Json, Media::Html], Via::Get),
        Method::POST => (&[Media::GraphqlResponse, Media::Json], Via::Post),
        _ => {
            let refused = refusal(Media::Json, StatusCode::METHOD_NOT_ALLOWED, "send GET or POST");
            return refused.with_header(header::ALLOW, ALLOW).into_response();
        }
    };
    let response = match negotiate::media(texts(request.headers(), header::ACCEPT), offered) {
        None => {
            let message = "the answer is application/graphql-response+json or application/json";
            refusal(Media::Json, StatusCode::NOT_ACCEPTABLE, message)
        }
        Some(Media::Html) => pages::graphiql(),
        Some(media) => match answer(&app, request, via, body).await {
            Ok(answered) => write(request.headers(), media, answered),
            Err(stopped) => stopped.write(media),
        },
    };
    response
        .with_header(header::CACHE_CONTROL, "no-store")
        .with_header(header::VARY, "accept, accept-encoding")
        .into_response()
}

/// What was asked is answered one by one.
enum Answered {
    One(Box<Answer>),
    Batch(Vec<Answer>),
}

/// Why there is nothing to run.
pub(super) enum Stopped {
    Answered(Box<Answer>),
    Refused(StatusCode, &'static str),
    Stranger(String),
    Failed(Error),
}

impl From<Malformed> for Stopped {
    fn from(malformed: Malformed) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, malformed.0)
    }
}

impl Stopped {
    pub(super) fn write(self, media: Media) -> Response {
        match self {
            Self::Answered(answer) => with_headers(json(media, status(media, &answer), &answer.body()), answer.outcome),
            Self::Refused(status, message) => refusal(media, status, message),
            Self::Stranger(message) => {
                let answer = Answer::refusal(Outcome::Unauthenticated, "UNAUTHENTICATED", &message);
                with_challenge(json(media, StatusCode::UNAUTHORIZED, &answer.body()))
            }
            Self::Failed(error) => json(media, StatusCode::SERVICE_UNAVAILABLE, &Answer::failed(error.into()).body()),
        }
    }
}

async fn answer(app: &App, request: &Request, via: Via, body: Body) -> Result<Answered, Stopped> {
    if via == Via::Post {
        check_body(request.headers())?;
    }
    let sender = sender(app, request).await?;
    Ok(match asked(request, via == Via::Post, body).await? {
        request::Body::One(incoming) => Answered::One(Box::new(answer_one(app, &sender, *incoming, via).await)),
        request::Body::Batch(all) if all.len() > 1 && sender.idempotency_key.is_some() => {
            let message =
                "the header Idempotency-Key is for one request; in a batch, give each mutation a key in its input";
            return Err(Stopped::Refused(StatusCode::BAD_REQUEST, message));
        }
        request::Body::Batch(all) => {
            // One after the other: what a batch changes, it changes in its order.
            let mut answers = Vec::with_capacity(all.len());
            for incoming in all {
                answers.push(answer_one(app, &sender, incoming, via).await);
            }
            Answered::Batch(answers)
        }
    })
}

/// What is asked in the body, or in the parameters of the URL.
pub(super) async fn asked(request: &Request, posted: bool, body: Body) -> Result<request::Body, Stopped> {
    if posted {
        return Ok(request::from_body(&read(body).await?)?);
    }
    let parameters = request.params::<Parameters>();
    let parameters = parameters.map_err(|_| Malformed("a parameter is given twice"))?;
    Ok(request::Body::One(Box::new(request::from_parameters(parameters)?)))
}

async fn answer_one(app: &App, sender: &Sender, incoming: Incoming, via: Via) -> Answer {
    match execute::prepare(app, sender, incoming, via) {
        Ok(prepared) => execute::run(app, sender, prepared).await,
        Err(refused) => *refused,
    }
}

/// Only JSON as it is, which a form on a foreign page cannot send, and which cannot unfold into more than it seems.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Stopped> {
    let unsupported = |message| Stopped::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    negotiate::check_content_type(content_type).map_err(unsupported)?;
    if texts(headers, header::CONTENT_ENCODING).any(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Err(unsupported("send the body as it is, not compressed"));
    }
    Ok(())
}

async fn read(body: Body) -> Result<bytes::Bytes, Stopped> {
    let late = |_| Stopped::Refused(StatusCode::REQUEST_TIMEOUT, "the body did not come within 30 seconds");
    tokio::time::timeout(BODY_DEADLINE, gather(body)).await.map_err(late)?
}

/// Pieces as they come, put together once: a buffer that grows is copied again and again, and what it was before stays
/// with the allocator for a while.
async fn gather(body: Body) -> Result<bytes::Bytes, Stopped> {
    let (mut blocks, mut length): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
    let mut pieces = body.into_bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Stopped::Refused(StatusCode::BAD_REQUEST, "the body broke off"))?;
        length += piece.len();
        if length > MAX_BODY {
            return Err(Stopped::Refused(StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 1 MiB"));
        }
        match blocks.last_mut() {
            Some(block) if block.len() + piece.len() <= block.capacity() => block.extend_from_slice(&piece),
            Some(_) => {
                let mut block = Vec::with_capacity(piece.len().max(BLOCK));
                block.extend_from_slice(&piece);
                blocks.push(block);
            }
            // Most bodies are one piece.
            None => blocks.push(piece.to_vec()),
        }
    }
    Ok(blocks.concat().into())
}

/// What belongs to the request as a whole: whatever resolvers are to know of it comes from here.
pub(super) async fn sender(app: &App, request: &Request) -> Result<Sender, Stopped> {
    let session = match session(app, request).await {
        Ok(session) => session,
        Err(error @ Error::Fault(_)) => return Err(Stopped::Failed(error)),
        Err(error) => return Err(Stopped::Stranger(error.to_string())),
    };
    let idempotency_key = HeaderKey::of(request.headers());
    Ok(Sender { session, address: super::client_address(app, request), idempotency_key })
}

fn write(headers: &HeaderMap, media: Media, answered: Answered) -> Response {
    let (status, body, outcome) = match &answered {
        Answered::One(answer) => (status(media, answer), answer.body(), Some(answer.outcome)),
        Answered::Batch(answers) => {
            // Each says in its body what became of it; the status tells of a batch what is true of all of it.
            let first = answers.first().map(|answer| (status(media, answer), answer.outcome));
            let shared = first.filter(|(first, _)| answers.iter().all(|answer| status(media, answer) == *first));
            let body = Json::Array(answers.iter().map(Answer::body).collect());
            (shared.map_or(StatusCode::OK, |(status, _)| status), body, shared.map(|(_, outcome)| outcome))
        }
    };
    let response = compressed(headers, media, status, &body);
    match outcome {
        Some(outcome) => with_headers(response, outcome),
        None => response,
    }
}

/// What a status wants said beside it.
fn with_headers(response: Response, outcome: Outcome) -> Response {
    match outcome {
        Outcome::RateLimited { retry_after } => {
            response.with_header(header::RETRY_AFTER, retry_after.to_string()).into_response()
        }
        Outcome::MutationByGet => response.with_header(header::ALLOW, "POST").into_response(),
        _ if response.status() == StatusCode::UNAUTHORIZED => with_challenge(response),
        _ => response,
    }
}

/// For plain JSON, a well-formed request is answered 200: its clients read the body only then.
fn status(media: Media, answer: &Answer) -> StatusCode {
    let exact = media == Media::GraphqlResponse;
    match answer.outcome {
        Outcome::Executed if exact && answer.is_partial() => {
            StatusCode::from_u16(PARTIAL_SUCCESS).unwrap_or(StatusCode::OK)
        }
        Outcome::Executed => StatusCode::OK,
        Outcome::MutationByGet => StatusCode::METHOD_NOT_ALLOWED,
        Outcome::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Outcome::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        _ if !exact => StatusCode::OK,
        Outcome::Invalid => StatusCode::BAD_REQUEST,
        Outcome::Unauthenticated => StatusCode::UNAUTHORIZED,
        Outcome::Forbidden => StatusCode::FORBIDDEN,
    }
}

fn compressed(headers: &HeaderMap, media: Media, status: StatusCode, body: &Json) -> Response {
    let body = body.to_string();
    let coding = negotiate::coding(texts(headers, header::ACCEPT_ENCODING));
    let algorithm = match coding.filter(|_| body.len() >= COMPRESS_FROM_BYTES) {
        Some(Coding::Brotli) => Some(CompressionAlgo::BR),
        Some(Coding::Gzip) => Some(CompressionAlgo::GZIP),
        None => None,
    };
    let response = Response::builder().status(status).content_type(media.content_type()).body(body);
    match algorithm {
        Some(algorithm) => Compress::new(response, algorithm).into_response(),
        None => response,
    }
}

fn json(media: Media, status: StatusCode, body: &Json) -> Response {
    Response::builder().status(status).content_type(media.content_type()).body(body.to_string())
}

pub(super) fn refusal(media: Media, status: StatusCode, message: &str) -> Response {
    json(media, status, &Answer::refusal(Outcome::Invalid, "BAD_USER_INPUT", message).body())
}

fn with_challenge(response: Response) -> Response {
    response.with_header(header::WWW_AUTHENTICATE, "Bearer").into_response()
}

pub(super) fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}
