//! Pages of other origins.

use api::app::{App, Settings};
use api::http::cors::{Origins, origin_allowed};
use poem::http::{Method, StatusCode};
use poem::{Request, Response};
use serde_json::json;

use crate::support::TestServer;

const PORTAL: &str = "https://portal.example";

fn settings() -> Settings {
    Settings { allowed_origins: Origins::parse(PORTAL).expect("an origin"), ..Settings::default() }
}

fn preflight(origin: &str) -> Request {
    let request = Request::builder().method(Method::OPTIONS).uri_str("/graphql").header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "authorization,content-type").finish()
}

fn question(origin: &str) -> Request {
    let request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
    request.header("origin", origin).body(json!({ "query": "{ __typename }" }).to_string())
}

fn allowed(response: &Response) -> Option<&str> {
    response.header("access-control-allow-origin")
}

#[tokio::test]
async fn a_listed_origin_may_ask_and_read_and_no_other() {
    let server = TestServer::with(&settings()).await;
    let asked = server.send(preflight(PORTAL)).await;
    assert_eq!((asked.status(), allowed(&asked)), (StatusCode::NO_CONTENT, Some(PORTAL)));
    assert_eq!(asked.header("access-control-allow-methods"), Some("GET, POST"));
    let headers = asked.header("access-control-allow-headers").expect("headers");
    for name in ["authorization", "content-type", "idempotency-key", "x-request-id"] {
        assert!(headers.split(", ").any(|header| header == name), "{name}");
    }
    assert_eq!(asked.header("access-control-allow-credentials"), None);
    let answered = server.send(question(PORTAL)).await;
    assert_eq!((answered.status(), allowed(&answered)), (StatusCode::OK, Some(PORTAL)));
    assert_eq!(answered.header("access-control-expose-headers"), Some("retry-after, x-request-id"));
    assert!(answered.headers().get_all("vary").iter().any(|vary| vary == "origin"));
    for other in ["https://evil.example", "https://portal.example.evil", "http://portal.example", "null"] {
        assert_eq!(allowed(&server.send(preflight(other)).await), None, "{other}");
        assert_eq!(allowed(&server.send(question(other)).await), None, "{other}");
    }
    let closed = TestServer::new().await;
    assert_eq!(allowed(&closed.send(preflight(PORTAL)).await), None, "by default there is none");
}

#[tokio::test]
async fn a_socket_is_for_own_pages_listed_ones_and_programs() {
    let server = TestServer::new().await;
    let app = App::new(server.domain.clone(), &settings()).expect("good settings");
    for (origin, host, fine) in [
        (None, "saldo.example", true),
        (Some("https://saldo.example"), "saldo.example", true),
        (Some("http://127.0.0.1:8080"), "127.0.0.1:8080", true),
        (Some(PORTAL), "saldo.example", true),
        (Some("http://127.0.0.1:3000"), "127.0.0.1:8080", false),
        (Some("https://evil.example"), "saldo.example", false),
        (Some("https://saldo.example.evil"), "saldo.example", false),
        (Some("null"), "saldo.example", false),
    ] {
        let mut request = Request::builder().uri_str("/graphql").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        assert_eq!(origin_allowed(&app, &request.finish()), fine, "{origin:?} to {host}");
    }
}
