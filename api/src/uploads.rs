//! Files over HTTP, after the IETF's resumable uploads (draft-ietf-httpbis-resumable-upload): `POST` begins a run of
//! a source, `HEAD` asks where it stands, `PATCH` goes on from there, `DELETE` gives it up, `GET` tells its counts.
//!
//! The body streams through the source's mapping as it arrives; nothing holds a file whole, and no length is too
//! long. Where a connection breaks off, what was whole is recorded and the run waits to be resumed. Its offset is
//! always at a record's end, so that it may be less than what was sent.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use domain::ids::{ImportRunId, SourceId};
use domain::imports::ImportRun;
use domain::imports::run::State;
use domain::{Code, Error, Problem, Scoped};
use futures_util::{Stream, StreamExt, stream};
use poem::http::{HeaderMap, StatusCode, header};
use poem::web::{Data, Json, Path, Query};
use poem::{Body, IntoResponse, Request, Response, RouteMethod, get, handler};
use serde::{Deserialize, Serialize};

use crate::graphql::Session;
use crate::graphql::errors::logged;
use crate::http::{App, session};

const UPLOAD_OFFSET: &str = "upload-offset";
const UPLOAD_COMPLETE: &str = "upload-complete";
/// The sender's own name for the upload, by which an unfinished run is found again. Not in the draft, which has no
/// way back to an upload whose first answer was lost.
const UPLOAD_KEY: &str = "upload-key";
const FILE_NAME: &str = "file-name";
/// A sender that is silent for so long has gone; its run waits to be resumed.
const SILENCE: Duration = Duration::from_secs(60);

pub(crate) fn run_route() -> RouteMethod {
    get(tell).head(stand).patch(append).delete(abandon)
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[handler]
pub(crate) async fn begin(
    app: Data<&App>,
    request: &Request,
    Path(source): Path<String>,
    Query(named): Query<Named>,
    body: Body,
) -> Response {
    answer(take_new(&app, request, &source, named.name, body).await)
}

#[handler]
async fn append(
    app: Data<&App>,
    request: &Request,
    Path((source, run)): Path<(String, String)>,
    body: Body,
) -> Response {
    answer(take_more(&app, request, &source, &run, body).await)
}

#[handler]
async fn tell(app: Data<&App>, request: &Request, Path((source, run)): Path<(String, String)>) -> Response {
    answer(find(&app, request, &source, &run).await.map(|(_, run)| Answer::of(StatusCode::OK, run)))
}

#[handler]
async fn stand(app: Data<&App>, request: &Request, Path((source, run)): Path<(String, String)>) -> Response {
    answer(find(&app, request, &source, &run).await.map(|(_, run)| Answer::of(StatusCode::NO_CONTENT, run)))
}

#[handler]
async fn abandon(app: Data<&App>, request: &Request, Path((source, run)): Path<(String, String)>) -> Response {
    answer(give_up(&app, request, &source, &run).await)
}

async fn take_new(
    app: &App,
    request: &Request,
    source: &str,
    name: Option<String>,
    body: Body,
) -> Result<Answer, Refusal> {
    let scoped = sender(app, request).await?;
    only_bytes(request.headers())?;
    let complete = upload_complete(request.headers())?;
    let offset = upload_offset(request.headers())?;
    let name = match name {
        Some(name) => name,
        None => text(request.headers(), FILE_NAME)?.unwrap_or("upload").to_owned(),
    };
    let key = text(request.headers(), UPLOAD_KEY)?;
    let source = source_of(&scoped, source).await?;
    let run = scoped.begin_import(source, &name, key).await?;
    // Only to begin, or to ask where an unfinished run stands.
    if body.is_empty() && !complete && offset.is_none() {
        return Ok(Answer::of(StatusCode::CREATED, run));
    }
    let mut answer = take(&scoped, run, offset.unwrap_or_default(), body, complete).await?;
    if answer.run.state == State::Running.as_str() {
        answer.status = StatusCode::CREATED;
    }
    Ok(answer)
}

async fn take_more(app: &App, request: &Request, source: &str, run: &str, body: Body) -> Result<Answer, Refusal> {
    let (scoped, run) = find(app, request, source, run).await?;
    only_bytes(request.headers())?;
    let complete = upload_complete(request.headers())?;
    let missing = || Refusal::malformed("the header Upload-Offset says where in the file the body begins");
    let offset = upload_offset(request.headers())?.ok_or_else(missing)?;
    take(&scoped, run, offset, body, complete).await
}

async fn take(scoped: &Scoped, run: ImportRun, offset: u64, body: Body, complete: bool) -> Result<Answer, Refusal> {
    match scoped.import(run.id, offset, until_silence(body.into_bytes_stream()), complete).await {
        Ok(run) => Ok(Answer::of(StatusCode::OK, run)),
        Err(error) => {
            // The sender learns where to go on.
            let stands = scoped.import_run(run.id).await.ok().flatten().unwrap_or(run);
            Err(Refusal { run: Some(Box::new(stands)), ..error.into() })
        }
    }
}

async fn give_up(app: &App, request: &Request, source: &str, run: &str) -> Result<Answer, Refusal> {
    let (scoped, run) = find(app, request, source, run).await?;
    let run = scoped.abandon_import(run.id).await?;
    Ok(Answer::of(StatusCode::OK, run))
}

async fn find(app: &App, request: &Request, source: &str, run: &str) -> Result<(Scoped, ImportRun), Refusal> {
    let scoped = sender(app, request).await?;
    let source = source_of(&scoped, source).await?;
    let run = match ImportRunId::parse(run) {
        Some(id) => scoped.import_run(id).await?,
        None => None,
    };
    let run = run.filter(|run| run.source_id == source).ok_or(Error::NotFound("upload"))?;
    Ok((scoped, run))
}

pub(crate) async fn sender(app: &App, request: &Request) -> Result<Scoped, Refusal> {
    match session(app, request).await {
        Ok(Session::Caller(scoped)) => Ok(*scoped),
        Ok(Session::Anonymous) => Err(Refusal::stranger("send an API key or an access token".to_owned())),
        Err(error @ Error::Fault(_)) => Err(error.into()),
        Err(error) => Err(Refusal::stranger(error.to_string())),
    }
}

/// By id or name. A source that is not there and one that the sender may not see give the same answer.
async fn source_of(scoped: &Scoped, text: &str) -> Result<SourceId, Error> {
    let found = match SourceId::parse(text) {
        Some(id) => scoped.source(id).await?,
        None => scoped.source_by_name(text).await?,
    };
    found.map(|source| source.id).ok_or(Error::NotFound("source"))
}

/// The stream, ended with an error where nothing comes for too long.
fn until_silence<S>(body: S) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    stream::unfold(Some(Box::pin(body)), |body| async {
        let mut body = body?;
        match tokio::time::timeout(SILENCE, body.next()).await {
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(body))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let malformed = |_| Refusal::malformed(format!("the header {name} takes printable ASCII"));
    value.to_str().map(|text| Some(text.trim())).map_err(malformed)
}

/// Refuses a body that is not the file's own bytes: a form, or something compressed.
pub(crate) fn only_bytes(headers: &HeaderMap) -> Result<(), Refusal> {
    let form = text(headers, "content-type")?.is_some_and(|kind| kind.starts_with("multipart/"));
    let encoded = text(headers, "content-encoding")?.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    if !form && !encoded {
        return Ok(());
    }
    let detail = "send the file's bytes as the body: no form (with curl: --data-binary @file), not compressed";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadInput.as_str(), detail.to_owned()))
}

/// Whether the file ends with this body. Without the header it does, as for any other upload.
fn upload_complete(headers: &HeaderMap) -> Result<bool, Refusal> {
    match text(headers, UPLOAD_COMPLETE)? {
        None | Some("?1") => Ok(true),
        Some("?0") => Ok(false),
        Some(_) => Err(Refusal::malformed("the header Upload-Complete is ?0 or ?1")),
    }
}

fn upload_offset(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(offset) = text(headers, UPLOAD_OFFSET)? else { return Ok(None) };
    let digits = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
    let offset = offset.parse().ok().filter(|_| digits);
    offset.map(Some).ok_or_else(|| Refusal::malformed("the header Upload-Offset is a number of bytes"))
}

/// A run as JSON. Counts are as in GraphQL's `ImportRun`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunJson<'r> {
    id: String,
    source_id: String,
    file_name: &'r str,
    upload_key: Option<&'r str>,
    state: &'r str,
    mapping_version: i64,
    /// Durably taken in, always at a record's end.
    bytes: i64,
    records: i64,
    emitted: i64,
    ignored: i64,
    quarantined: i64,
    recorded: i64,
    replayed: i64,
    conflicting: i64,
    error: Option<&'r str>,
    created_at: String,
    updated_at: String,
}

impl<'r> From<&'r ImportRun> for RunJson<'r> {
    fn from(run: &'r ImportRun) -> Self {
        Self {
            id: run.id.to_string(),
            source_id: run.source_id.to_string(),
            file_name: &run.file_name,
            upload_key: run.upload_key.as_deref(),
            state: &run.state,
            mapping_version: run.mapping_version,
            bytes: run.bytes,
            records: run.records,
            emitted: run.emitted,
            ignored: run.ignored,
            quarantined: run.quarantined,
            recorded: run.recorded,
            replayed: run.replayed,
            conflicting: run.conflicting,
            error: run.error.as_deref(),
            created_at: run.created_at.to_rfc3339(),
            updated_at: run.updated_at.to_rfc3339(),
        }
    }
}

struct Answer {
    status: StatusCode,
    run: ImportRun,
}

impl Answer {
    fn of(status: StatusCode, run: ImportRun) -> Self {
        Self { status, run }
    }
}

/// Problem details of RFC 9457, with Saldo's own error code.
#[derive(Serialize)]
struct Details<'d> {
    title: &'d str,
    status: u16,
    code: &'d str,
    detail: &'d str,
}

pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: String,
    run: Option<Box<ImportRun>>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: String) -> Self {
        Self { status, code, detail, run: None }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BadInput.as_str(), detail.into())
    }

    fn stranger(detail: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", detail)
    }
}

impl Refusal {
    pub(crate) fn response(self) -> Response {
        let Self { status, code, detail, run } = self;
        let title = status.canonical_reason().unwrap_or_default();
        let details = Json(Details { title, status: status.as_u16(), code, detail: &detail }).with_status(status);
        let mut response = details.with_content_type("application/problem+json").into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        match run {
            Some(run) => standing(response, &run),
            None => response,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Denied(_) => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", text),
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", text),
            Error::Invalid(problems) => {
                let code = problems.first().map_or(Code::BadInput, |problem: &Problem| problem.code);
                let status = match code {
                    Code::WrongOffset | Code::WrongState => StatusCode::CONFLICT,
                    // The sender's stream broke: nobody may be left to read this.
                    Code::Unavailable => StatusCode::BAD_REQUEST,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Self::new(status, code.as_str(), text)
            }
            Error::Fault(fault) if fault.passes().is_some() => {
                logged(&fault);
                let detail = fault.passes().unwrap_or_default().to_owned();
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", detail)
            }
            Error::Fault(fault) => {
                let detail = format!("the log has the details under {}", logged(&fault));
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", detail)
            }
        }
    }
}

fn answer(result: Result<Answer, Refusal>) -> Response {
    match result {
        Ok(Answer { status: StatusCode::NO_CONTENT, run }) => standing(StatusCode::NO_CONTENT.into(), &run),
        Ok(Answer { status, run }) => standing(Json(RunJson::from(&run)).with_status(status).into_response(), &run),
        Err(refusal) => refusal.response(),
    }
}

/// Says in the headers where the run is and stands.
fn standing(response: Response, run: &ImportRun) -> Response {
    let complete = if run.state == State::Running.as_str() { "?0" } else { "?1" };
    response
        .with_header(header::LOCATION, format!("/v1/sources/{}/files/{}", run.source_id, run.id))
        .with_header(UPLOAD_OFFSET, run.bytes.to_string())
        .with_header(UPLOAD_COMPLETE, complete)
        .with_header(header::CACHE_CONTROL, "no-store")
        .into_response()
}
