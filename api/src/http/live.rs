//! The two ways to live updates: a WebSocket at `/graphql`, and server-sent events at `/graphql/stream`.

use domain::secrets::Secret;
use poem::http::{Method, StatusCode, header};
use poem::web::Data;
use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::{Body, FromRequest, IntoResponse, Request, Response, handler};

use super::graphql::{ALLOW, MAX_BODY, Stopped, asked, check_body, refusal, sender, texts};
use super::negotiate::{self, Media};
use super::{bearer, cors};
use crate::app::App;
use crate::graphql::execute::{self, Outcome, Via};
use crate::graphql::request;
use crate::live::{self, protocol, socket};

/// What a client that reads slowly may leave in our hands, beside what the system buffers.
const WRITE_BUFFER_BYTES: usize = 128 * 1024;
/// Messages go out together up to this size. The buffer grows with what is in it.
const GATHERED_BYTES: usize = 16 * 1024;
/// Each connection keeps this much for what its client says next, and clears all of it whenever it looks whether
/// something has come: the default of 128 KiB was most of what a subscriber cost, in time and in memory. A longer
/// message makes room for itself.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// Whether the client asks for a WebSocket.
pub(super) fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.header(header::UPGRADE);
    *request.method() == Method::GET && upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
}

pub(super) async fn upgrade(app: &App, request: &Request) -> Response {
    if !cors::origin_allowed(app, request) {
        return refusal(Media::Json, StatusCode::FORBIDDEN, "pages of this origin may not call");
    }
    // A client that hears of no protocol believes that its own was agreed.
    let mut offered = texts(request.headers(), header::SEC_WEBSOCKET_PROTOCOL).flat_map(|list| list.split(','));
    if !offered.any(|name| name.trim() == protocol::NAME) {
        return refusal(Media::Json, StatusCode::BAD_REQUEST, "the sub-protocol is graphql-transport-ws");
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_BODY))
        .max_frame_size(Some(MAX_BODY))
        .max_write_buffer_size(MAX_BODY + WRITE_BUFFER_BYTES + GATHERED_BYTES)
        .write_buffer_size(GATHERED_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES);
    match WebSocket::from_request_without_body(request).await {
        Ok(socket) => {
            let (app, address) = (app.clone(), super::client_address(app, request));
            let socket = socket.protocols([protocol::NAME]).config(config);
            socket.on_upgrade(move |stream| socket::serve(app, stream, address)).into_response()
        }
        Err(_) => refusal(Media::Json, StatusCode::BAD_REQUEST, "this is no opening of a WebSocket, version 13"),
    }
}

/// Everything at `/graphql/stream`: one operation, its results as events.
#[handler]
pub(super) async fn events(app: Data<&App>, request: &Request, body: Body) -> Response {
    let via = match *request.method() {
        Method::GET => Via::StreamByGet,
        Method::POST => Via::Stream,
        _ => {
            let refused = refusal(Media::Json, StatusCode::METHOD_NOT_ALLOWED, "send GET or POST");
            return refused.with_header(header::ALLOW, ALLOW).into_response();
        }
    };
    let accept = texts(request.headers(), header::ACCEPT);
    let response = match negotiate::takes(accept, Media::EventStream) {
        false => refusal(Media::Json, StatusCode::NOT_ACCEPTABLE, "the answer is text/event-stream"),
        true => match begin(&app, request, via, body).await {
            Ok(body) => Response::builder().content_type(Media::EventStream.content_type()).body(body),
            Err(stopped) => stopped.write(Media::Json),
        },
    };
    // Proxies that gather an answer before they pass it on would hold every event back.
    let response = response.with_header(header::CACHE_CONTROL, "no-store").with_header("x-accel-buffering", "no");
    response.into_response()
}

async fn begin(app: &App, request: &Request, via: Via, body: Body) -> Result<Body, Stopped> {
    if via == Via::Stream {
        check_body(request.headers())?;
    }
    let sender = sender(app, request).await?;
    let request::Body::One(incoming) = asked(request, via == Via::Stream, body).await? else {
        return Err(Stopped::Refused(StatusCode::BAD_REQUEST, "a stream has one operation"));
    };
    // What is wrong with the operation is told in the stream, as the protocol wants it.
    let prepared = match execute::prepare(app, &sender, *incoming, via) {
        Ok(prepared) => prepared,
        Err(refused) if refused.outcome == Outcome::MutationByGet => return Err(Stopped::Answered(refused)),
        Err(refused) => return Ok(live::sse::once(&refused.body().to_string())),
    };
    let token = bearer(request).map(Secret::new);
    Ok(live::sse::stream(app, &sender, token, prepared).await)
}
