//! Which pages in browsers may call: those of this server, and those of the origins that the operator lists. Callers
//! bring their token in a header, never a cookie, so that credentials mode is not offered.

use std::sync::Arc;

use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};

use crate::app::App;

/// What a page may send.
const METHODS: &str = "GET, POST";
const HEADERS: &str = "accept, authorization, content-type, idempotency-key, last-event-id, x-request-id";
/// What of an answer's headers a page may read.
const EXPOSED: &str = "retry-after, x-request-id";
/// Seconds for which a browser need not ask again.
const MAX_AGE: &str = "7200";

/// Origins as browsers write them: `https://portal.example`, with a port where it is not the scheme's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Reads a list with commas; the error names what is no origin.
    pub fn parse(list: &str) -> Result<Self, String> {
        let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
        let origins = texts.map(|text| {
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
            let is_origin = !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*\\".contains(&byte))
                && !text.bytes().any(|byte| byte.is_ascii_uppercase());
            is_origin
                .then(|| text.to_owned())
                .ok_or_else(|| format!("'{text}' is no origin like https://portal.example"))
        });
        origins.collect::<Result<_, _>>().map(Self)
    }

    fn has(&self, origin: &str) -> bool {
        self.0.iter().any(|listed| listed == origin)
    }
}

/// Whether a request comes from a page that may call. Programs other than browsers send no `Origin` and may.
pub fn origin_allowed(app: &App, request: &Request) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    // Behind a proxy the scheme is not known, and the host is what the page was loaded from.
    let host = request.header(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let own =
        origin.split_once("://").is_some_and(|(_, rest)| host.is_some_and(|host| rest.eq_ignore_ascii_case(host)));
    own || app.origins.has(origin)
}

/// Answers preflights, and tells browsers which pages may read what this server answers.
pub async fn share<E: Endpoint>(next: Arc<E>, request: Request) -> poem::Result<Response> {
    let Some(app) = request.data::<App>().cloned() else { return Ok(next.get_response(request).await) };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let listed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| app.origins.has(origin)));
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if is_preflight { StatusCode::NO_CONTENT.into_response() } else { next.get_response(request).await };
    let headers = response.headers_mut();
    // Caches must keep apart what each page got.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = listed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if is_preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        } else {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let origins = Origins::parse("https://portal.example, http://localhost:3000,").expect("two");
        assert!(origins.has("https://portal.example") && origins.has("http://localhost:3000"));
        for other in ["https://portal.example:8443", "http://portal.example", "https://portal.example.evil", "null"] {
            assert!(!origins.has(other), "{other}");
        }
        assert_eq!(Origins::parse(""), Ok(Origins::default()));
        for bad in [
            "*",
            "null",
            "portal.example",
            "https://",
            "https://a/",
            "https://a/b",
            "https://*.a",
            "https://A",
            "https://u@a",
        ] {
            assert!(Origins::parse(bad).is_err(), "{bad}");
        }
    }
}
