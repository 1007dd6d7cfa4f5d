//! The HTTP face: thin handlers over `graphql::execute`, two pages for people, two probes for machines.

pub mod cors;
mod graphql;
mod live;
mod negotiate;
mod pages;

use std::net::IpAddr;
use std::sync::Arc;

use domain::Error;
use poem::http::{HeaderValue, Method, header};
use poem::{Endpoint, EndpointExt, Request, Response, Route, get, post};
use tracing::Instrument;
use uuid::Uuid;

pub use crate::app::App;
use crate::graphql::Session;
use crate::graphql::errors::in_request;
use crate::{health, sheets, texts, uploads};

const REQUEST_ID: &str = "x-request-id";
/// A client's own id of a request is at most so long.
const MAX_REQUEST_ID: usize = 128;

/// Everything this server answers to.
pub fn routes(app: App) -> impl Endpoint<Output = Response> {
    let mut routes = Route::new().at("/healthz", get(health::healthz)).at("/readyz", get(health::readyz));
    if app.roles.api {
        routes = routes.at("/", get(pages::page)).at("/graphql", graphql::graphql).at("/graphql/stream", live::events);
        routes = routes
            .at("/v1/contracts/:contract/versions/:version/rate-table.csv", sheets::csv_route())
            .at("/v1/contracts/:contract/versions/:version/rate-table.xlsx", sheets::xlsx_route())
            .at("/v1/contracts/:contract/versions/:version/text", texts::route());
        routes = pages::PARTS.into_iter().fold(routes, |routes, (path, part)| routes.at(path, get(part)));
    }
    if app.roles.ingest {
        routes = routes
            .at("/v1/sources/:source/files", post(uploads::begin))
            .at("/v1/sources/:source/files/:run", uploads::run_route());
    }
    routes.around(cors::share).around(log_request).data(app)
}

/// Who sends this request. `Err` when it brings credentials that are not good: then nobody, rather than anybody.
pub async fn session(app: &App, request: &Request) -> Result<Session, Error> {
    let Some(token) = bearer(request) else { return Ok(Session::Anonymous) };
    let caller = app.domain.authenticate(token).await?;
    Ok(Session::Caller(Box::new(app.domain.for_caller(caller))))
}

/// The token in the header `Authorization`; an empty one, which is nobody's, where the header has another scheme.
fn bearer(request: &Request) -> Option<&str> {
    let authorization = request.header(header::AUTHORIZATION)?;
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

/// Where a request comes from. Behind a proxy the connection is the proxy's, and the operator names the header in
/// which the proxy adds its client to what the client may have written there itself.
pub fn client_address(app: &App, request: &Request) -> Option<IpAddr> {
    let Some(header) = &app.address_header else {
        return request.remote_addr().as_socket_addr().map(|address| address.ip());
    };
    let last = request.headers().get_all(&**header).into_iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// Gives the request an id, which its log lines, its `x-request-id` and what it says of a fault share: the client's
/// own, where it sends a decent one.
async fn log_request<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let sent = request.header(REQUEST_ID).filter(|id| is_request_id(id)).map(str::to_owned);
    let id = match (sent, request.data::<App>()) {
        (Some(id), _) => id,
        (None, Some(app)) => app.domain.clock().id::<Uuid>().simple().to_string(),
        (None, None) => String::new(),
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
    let mut response = in_request(id.clone(), work.instrument(span)).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// Nothing that could break a line of a log or mean something to whatever reads it.
fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
