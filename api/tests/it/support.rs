//! [`TestServer`]: the routes over a core on a database of its own.

// Each module takes what it needs.
#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Domain;
use domain::clock::Clock;
use domain::db::{Db, DbLock};
use domain::secrets::{MasterKey, Secret};
use domain::tenants::NewTenant;
use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};
use serde_json::{Value, json};

pub const PASSWORD: &str = "correct staple battery";

static COUNTER: AtomicU64 = AtomicU64::new(0);

pub fn new_folder() -> PathBuf {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("saldo-api-{}-{number}", std::process::id()));
    std::fs::remove_dir_all(&folder).ok();
    folder
}

pub struct TestServer {
    pub domain: Domain,
    pub folder: PathBuf,
    routes: Box<dyn Fn(Request) -> futures_util::future::BoxFuture<'static, Response> + Send + Sync>,
}

impl TestServer {
    pub async fn new() -> Self {
        let folder = new_folder();
        let url = format!("sqlite://{}", folder.join("saldo.db").display());
        let lock = DbLock::take(&url, "test").expect("the database is ours");
        migrations::up(&url).await.expect("the schema");
        let db = Db::open(lock).await.expect("the database opens");
        let domain = Domain::new(db, Clock::System, MasterKey::from_bytes([7; 32]));
        let routes = std::sync::Arc::new(api::http::routes(domain.clone()));
        let routes = Box::new(move |request| {
            let routes = routes.clone();
            let answer: futures_util::future::BoxFuture<'static, Response> =
                Box::pin(async move { routes.get_response(request).await });
            answer
        });
        Self { domain, folder, routes }
    }

    /// A tenant with the administrator `ada@<slug>.test`.
    pub async fn tenant(&self, slug: &str) {
        let new = NewTenant {
            slug: slug.to_owned(),
            name: format!("{slug} Ltd"),
            admin_email: format!("ada@{slug}.test"),
            admin_name: None,
            admin_password: Some(Secret::new(PASSWORD)),
        };
        self.domain.create_tenant(new).await.expect("a tenant");
    }

    /// The access token of a member with [`PASSWORD`].
    pub async fn token(&self, slug: &str, email: &str) -> String {
        let signed_in = self.domain.sign_in(slug, email, PASSWORD).await.expect("the password is right");
        signed_in.access_token.expose().to_owned()
    }

    /// A GraphQL request by whoever has this token; the whole body of the response.
    pub async fn ask(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        self.ask_raw(token, &json!({ "query": query, "variables": variables }).to_string()).await.1
    }

    pub async fn ask_raw(&self, token: Option<&str>, body: &str) -> (StatusCode, Value) {
        let mut request = Request::builder().method(Method::POST).uri_str("/graphql").content_type("application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = self.send(request.body(body.to_owned())).await;
        let status = response.status();
        let text = response.into_body().into_string().await.expect("text");
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    pub async fn send(&self, request: Request) -> Response {
        (self.routes)(request).await
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The code of the first error of a response.
pub fn code(response: &Value) -> &str {
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}
