//! Pages for people.

use poem::http::header;
use poem::web::Html;
use poem::{IntoResponse, Response, handler};

/// Scripts come from the page itself and from where GraphiQL's code is; what they learn goes to this server alone, and
/// no other page frames this one.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' https://unpkg.com; style-src 'unsafe-inline' \
    https://unpkg.com; font-src data:; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// GraphiQL, for whoever signs in first. Its own code comes from a public server (unpkg.com), and where that is out of
/// reach the page says so.
pub(super) fn graphiql() -> Response {
    Html(include_str!("graphiql.html")).with_header(header::CONTENT_SECURITY_POLICY, POLICY).into_response()
}

#[handler]
pub(super) fn welcome() -> Html<&'static str> {
    Html(include_str!("welcome.html"))
}
