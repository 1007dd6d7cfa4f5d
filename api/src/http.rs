//! The HTTP face: thin handlers over `graphql::execute`, two pages for people, two probes for machines.

use async_graphql::http::GraphiQLSource;
use domain::{Domain, Error};
use poem::http::{Method, StatusCode, header};
use poem::web::{Data, Html, Json};
use poem::{Body, Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler, post};
use tracing::Instrument;
use uuid::Uuid;

use crate::graphql::errors::in_request;
use crate::graphql::{self, Schema, Session, execute};
use crate::uploads;

/// The longest request; files have a way of their own.
const MAX_BODY: usize = 1024 * 1024;

/// What every handler has: `Data<&App>`.
#[derive(Clone)]
pub struct App {
    pub domain: Domain,
    pub schema: Schema,
}

/// Everything this server answers to.
pub fn routes(domain: Domain) -> impl Endpoint<Output = Response> {
    let app = App { domain, schema: graphql::schema() };
    Route::new()
        .at("/", get(welcome))
        .at("/graphql", get(graphiql).post(post_graphql))
        .at("/v1/sources/:source/files", post(uploads::begin))
        .at("/v1/sources/:source/files/:run", uploads::run_route())
        .at("/healthz", get(health))
        .at("/readyz", get(ready))
        .around(log_request)
        .data(app)
}

/// Who sends this request. `Err` when it brings credentials that are not good: then nobody, rather than anybody.
pub async fn session(app: &App, request: &Request) -> Result<Session, Error> {
    let Some(authorization) = request.header(header::AUTHORIZATION) else { return Ok(Session::Anonymous) };
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let token = if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" };
    let caller = app.domain.authenticate(token).await?;
    Ok(Session::Caller(Box::new(app.domain.for_caller(caller))))
}

#[handler]
async fn post_graphql(app: Data<&App>, request: &Request, body: Body) -> Response {
    // Only JSON, which a form on a foreign page cannot send.
    let content_type = request.content_type().unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_USER_INPUT", "send application/json");
    }
    let session = match session(&app, request).await {
        Ok(session) => session,
        Err(error @ Error::Fault(_)) => {
            return Json(execute::failed(error.into())).with_status(StatusCode::SERVICE_UNAVAILABLE).into_response();
        }
        Err(error) => {
            let response = refused(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", &error.to_string());
            return response.with_header(header::WWW_AUTHENTICATE, "Bearer").into_response();
        }
    };
    let Ok(body) = body.into_bytes_limit(MAX_BODY).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "BAD_USER_INPUT", "a request has at most 1 MiB");
    };
    match execute::parse(&body) {
        Ok(request) => Json(execute::execute(&app.schema, &app.domain, session, request).await).into_response(),
        Err(malformed) => refused(StatusCode::BAD_REQUEST, "BAD_USER_INPUT", malformed.0),
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    Json(execute::refused(code, message)).with_status(status).into_response()
}

/// GraphiQL's own code comes from a public server (unpkg.com), so where that is out of reach the page says so.
#[handler]
fn graphiql() -> Html<String> {
    let page = GraphiQLSource::build().endpoint("/graphql").title("Saldo GraphiQL").finish();
    Html(page.replacen("<head>", include_str!("graphiql_head.html"), 1))
}

#[handler]
fn welcome() -> Html<&'static str> {
    Html(include_str!("welcome.html"))
}

/// Alive: the process answers.
#[handler]
fn health() -> &'static str {
    "ok\n"
}

/// Able to serve: the database answers. Schema and keys were checked before the server listened.
#[handler]
async fn ready(app: Data<&App>) -> Response {
    match app.domain.ready().await {
        true => "ready\n".into_response(),
        false => "the database does not answer\n".with_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
    }
}

/// Gives the request an id, which its log lines, its `x-request-id` and what it says of a fault share.
async fn log_request<E: Endpoint>(next: std::sync::Arc<E>, request: Request) -> poem::Result<Response> {
    let id = match request.data::<App>() {
        Some(app) => app.domain.clock().id::<Uuid>().simple().to_string(),
        None => String::new(),
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", id, %method, path);
    let work = async move {
        let response = next.get_response(request).await;
        let status = response.status();
        if method != Method::GET || !status.is_success() {
            tracing::info!(status = status.as_u16(), "answered");
        }
        response
    };
    let response = in_request(id.clone(), work.instrument(span)).await;
    Ok(response.with_header("x-request-id", id).into_response())
}
