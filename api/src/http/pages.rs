//! Pages for people.

use poem::http::header;
use poem::web::{Data, Html};
use poem::{IntoResponse, Response, handler};

use crate::app::App;

/// Scripts come from the page itself and from where GraphiQL's code is; what they learn goes to this server alone, and
/// no other page frames this one.
const GRAPHIQL_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' https://unpkg.com; style-src 'unsafe-inline' \
    https://unpkg.com; font-src data:; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Everything comes from this server, nothing is written into the page, and no text can become markup or code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// GraphiQL, for whoever signs in first. Its own code comes from a public server (unpkg.com), and where that is out of
/// reach the page says so.
pub(super) fn graphiql() -> Response {
    Html(include_str!("graphiql.html")).with_header(header::CONTENT_SECURITY_POLICY, GRAPHIQL_POLICY).into_response()
}

/// What Saldo is for, and what it does right now for whoever signs in.
#[handler]
pub(super) fn page(app: Data<&App>) -> Response {
    let mut page = include_str!("page/page.html").to_owned();
    if let Some(tenant) = &app.form_tenant {
        let escaped = tenant.replace('&', "&amp;").replace('"', "&quot;");
        page = page.replace("data-tenant=\"\"", &format!("data-tenant=\"{escaped}\""));
    }
    Html(page)
        .with_header(header::CONTENT_SECURITY_POLICY, POLICY)
        .with_header(header::REFERRER_POLICY, "no-referrer")
        .with_header(header::CACHE_CONTROL, "no-cache")
        .into_response()
}

/// The parts of the page, by the paths under which it asks for them.
pub(super) const PARTS: [(&str, Part); 5] = [
    ("/page.css", Part("text/css; charset=utf-8", include_str!("page/page.css"))),
    ("/page.js", Part(SCRIPT, include_str!("page/page.js"))),
    ("/cards.js", Part(SCRIPT, include_str!("page/cards.js"))),
    ("/live.js", Part(SCRIPT, include_str!("page/live.js"))),
    ("/words.js", Part(SCRIPT, include_str!("page/words.js"))),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A media type and a text.
#[derive(Clone, Copy)]
pub(super) struct Part(&'static str, &'static str);

impl poem::Endpoint for Part {
    type Output = Response;

    async fn call(&self, _: poem::Request) -> poem::Result<Response> {
        let Self(media, text) = *self;
        // Another build has other parts under the same paths.
        let response = text.with_content_type(media).with_header(header::CACHE_CONTROL, "no-cache");
        Ok(response.with_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff").into_response())
    }
}
