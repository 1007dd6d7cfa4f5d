//! [`TestServer`]: the routes over a core on a database of its own.

// Each module takes what it needs.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::app::{App, Settings};
use api::connections::{self, Patience};
use domain::Domain;
use domain::clock::Clock;
use domain::db::{Db, DbLock};
use domain::secrets::{MasterKey, Secret};
use domain::tenants::NewTenant;
use poem::http::{Method, StatusCode};
use poem::{Body, Endpoint, Request, Response};
use serde_json::{Value, json};

use crate::databases::TestDatabase;

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
    pub app: App,
    pub folder: PathBuf,
    database: TestDatabase,
    /// Leaves the folder to whoever comes after.
    keep: bool,
    routes: Box<dyn Fn(Request) -> futures_util::future::BoxFuture<'static, Response> + Send + Sync>,
}

impl TestServer {
    pub async fn new() -> Self {
        Self::with(&Settings::default()).await
    }

    /// With settings of its own.
    pub async fn with(settings: &Settings) -> Self {
        let folder = new_folder();
        let database = TestDatabase::new(&folder, "saldo.db").await;
        Self::on(database, folder, settings, Clock::System).await
    }

    async fn on(database: TestDatabase, folder: PathBuf, settings: &Settings, clock: Clock) -> Self {
        Self::at(database, MasterKey::from_bytes([7; 32]), folder, false, settings, clock).await
    }

    /// On the database and key that the binary takes in this folder; it must be shut down before the binary starts.
    pub async fn for_the_binary(folder: &Path) -> Self {
        let key = MasterKey::load_or_create(&folder.join("var/saldo.key")).expect("a key");
        let database = TestDatabase::embedded(&folder.join("var/saldo.db")).await;
        Self::at(database, key, folder.to_owned(), true, &Settings::default(), Clock::System).await
    }

    /// With a clock that stands until [`TestServer::pass`] moves it.
    pub async fn with_set_clock() -> Self {
        Self::with_clock(Clock::set_to(Clock::System.now())).await
    }

    pub async fn with_clock(clock: Clock) -> Self {
        let folder = new_folder();
        let database = TestDatabase::new(&folder, "saldo.db").await;
        Self::on(database, folder, &Settings::default(), clock).await
    }

    pub fn pass(&self, micros: i64) {
        self.domain.clock().move_to(self.domain.clock().now().plus(micros));
    }

    /// Runs SQL past the core.
    pub async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// Serves on a port of its own until the test is over.
    pub async fn listen(&self) -> SocketAddr {
        self.listen_on(tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    pub fn listen_on(&self, listener: tokio::net::TcpListener) -> SocketAddr {
        let address = listener.local_addr().expect("its address");
        let (routes, never) = (api::http::routes(self.app.clone()), std::future::pending());
        tokio::spawn(connections::serve(listener, routes, Patience::default(), never, Duration::ZERO));
        address
    }

    /// An operation whose results come as events.
    pub async fn stream(&self, token: &str, query: &str) -> Response {
        let request = Request::builder().method(Method::POST).uri_str("/graphql/stream");
        let request = request.content_type("application/json").header("accept", "text/event-stream");
        let request = request.header("authorization", format!("Bearer {token}"));
        self.send(request.body(json!({ "query": query }).to_string())).await
    }

    /// The same database, once everything that has begun is done, served anew.
    pub async fn reopened(mut self, settings: &Settings) -> Self {
        self.keep = true;
        self.domain.shut_down().await;
        let (folder, database) = (self.folder.clone(), self.database.clone());
        drop(self);
        Self::on(database, folder, settings, Clock::System).await
    }

    async fn at(
        database: TestDatabase,
        key: MasterKey,
        folder: PathBuf,
        keep: bool,
        settings: &Settings,
        clock: Clock,
    ) -> Self {
        let lock = DbLock::take(&database.url, "test").expect("the database is ours");
        let db = Db::open(lock).await.expect("the database opens");
        let domain = Domain::new(db, clock, key);
        let app = App::new(domain.clone(), settings).expect("good settings");
        let routes = std::sync::Arc::new(api::http::routes(app.clone()));
        let routes = Box::new(move |request| {
            let routes = routes.clone();
            let answer: futures_util::future::BoxFuture<'static, Response> =
                Box::pin(async move { routes.get_response(request).await });
            answer
        });
        Self { domain, app, folder, database, keep, routes }
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

    /// A GraphQL request by whoever has this token; the body of the response without its cost, of which each answer
    /// leaves less.
    pub async fn ask(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let request = json!({ "query": query, "variables": variables }).to_string();
        let (_, Value::Object(mut body)) = self.ask_raw(token, &request).await else { unreachable!("an object") };
        body.shift_remove("extensions");
        Value::Object(body)
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
        if !self.keep {
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// The code of the first error of a response.
pub fn code(response: &Value) -> &str {
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

/// A tenant with everything that a file of the crash game needs: asset, product, partner, source `crash` and an active
/// contract of 8 % a month.
pub struct Crash {
    /// The administrator's access token.
    pub ada: String,
    pub partner: String,
    pub source: String,
    pub contract: String,
    /// An API key of the source.
    pub key: String,
}

/// Columns of the crash-game file; a record is a stake, and a win where the player cashed out.
pub const HEADER: &str = "Id,GameID,Username,Bet,CashedOut,Profit,PlayDate\n";

pub fn mapping() -> Value {
    let shared = json!({ "currency": "'BIT'", "occurredAt": "PlayDate", "product": "'crash'", "player": "Username", "round": "GameID" });
    let mut stake = shared.clone();
    let mut win = shared;
    let fields = |emission: &mut Value, more: Value| {
        let Value::Object(more) = more else { unreachable!("an object") };
        emission.as_object_mut().expect("an object").extend(more);
    };
    fields(&mut stake, json!({ "kind": "STAKE", "externalId": "Id + ':stake'", "amount": "number(Bet)" }));
    fields(
        &mut win,
        json!({ "when": "CashedOut != 'NA'", "kind": "WIN", "externalId": "Id + ':win'", "amount": "number(Bet) + number(Profit)" }),
    );
    json!({ "format": "csv", "encoding": "utf-8", "timeZone": "UTC", "emit": [stake, win] })
}

pub fn terms() -> Value {
    json!({
        "validFrom": "2021-10-01", "role": "PROVIDER", "scope": { "sources": ["crash"] },
        "currency": "BIT", "attribution": "OCCURRED",
        "cycle": { "every": "MONTH", "timeZone": "UTC", "cutOffHour": 0 },
        "base": { "ggr": { "bonusTreatment": "INCLUDE" } },
        "negative": { "mode": "CARRY", "level": "TOTAL" },
        "rateTable": { "match": "FIRST", "rows": [{ "code": "all", "percent": "8" }] },
        "rounding": "HALF_EVEN", "minimumPayout": "0", "advance": {}
    })
}

impl TestServer {
    /// The payload of a mutation that takes one input. Panics when it has errors.
    pub async fn mutate(&self, token: &str, mutation: &str, input: Value, fields: &str) -> Value {
        let payload = self.try_mutate(token, mutation, input, fields).await;
        assert_eq!(payload["userErrors"], json!([]), "{mutation}");
        payload
    }

    pub async fn try_mutate(&self, token: &str, mutation: &str, input: Value, fields: &str) -> Value {
        let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!(
            "mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ {fields} userErrors {{ code field message }} }} }}"
        );
        let answer = self.ask(Some(token), &query, json!({ "input": input })).await;
        assert!(answer["errors"].is_null(), "{mutation}: {answer}");
        answer["data"][mutation].clone()
    }

    /// The data of a query. Panics when it has errors.
    pub async fn query(&self, token: &str, query: &str, variables: Value) -> Value {
        let answer = self.ask(Some(token), query, variables).await;
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        answer["data"].clone()
    }

    pub async fn crash(&self, slug: &str) -> Crash {
        self.tenant(slug).await;
        let ada = self.token(slug, &format!("ada@{slug}.test")).await;
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        self.mutate(&ada, "createAsset", json!({ "code": "BIT", "exponent": 2 }), "asset { code }").await;
        self.mutate(&ada, "createProduct", json!({ "code": "crash", "name": "Crash" }), "product { id }").await;
        let partner = self.mutate(&ada, "createPartner", json!({ "name": "Bustabit" }), "partner { id }").await;
        let partner = text(&partner["partner"]["id"]);
        let source = json!({ "partnerId": partner, "name": "crash", "mapping": mapping() });
        let source = text(&self.mutate(&ada, "createSource", source, "source { id }").await["source"]["id"]);
        let contract = json!({ "partnerId": partner, "name": "GGR", "terms": terms() });
        let contract = self.mutate(&ada, "createContract", contract, "contract { id }").await;
        let contract = text(&contract["contract"]["id"]);
        let first = json!({ "contractId": contract, "version": 1 });
        self.mutate(&ada, "activateContractVersion", first, "contract { id }").await;
        let key = json!({ "sourceId": source, "name": "feed" });
        let key = text(&self.mutate(&ada, "createApiKey", key, "secret").await["secret"]);
        Crash { ada, partner, source, contract, key }
    }

    /// Sends to `/v1/sources/…` with headers; status, headers and JSON.
    pub async fn upload(
        &self,
        method: Method,
        path: &str,
        token: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Body>,
    ) -> Uploaded {
        let mut request =
            Request::builder().method(method).uri_str(path).header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.send(request.body(body.into())).await;
        let header = |name| response.header(name).unwrap_or_default().to_owned();
        let (status, location) = (response.status(), header("location"));
        let (offset, complete, kind) = (
            header("upload-offset"),
            header("upload-complete"),
            response.content_type().unwrap_or_default().to_owned(),
        );
        let text = response.into_body().into_string().await.expect("text");
        let json = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
        Uploaded { status, location, offset, complete, kind, json }
    }
}

/// A file of the crash game with this many records, every other one a win.
pub fn file(records: usize) -> String {
    let mut file = HEADER.to_owned();
    for n in 0..records {
        let cashed = if n % 2 == 0 { "2.0" } else { "NA" };
        file += &format!("{n},{},alice,100,{cashed},50,2021-11-20T19:44:{:02}Z\n", n / 10, n % 60);
    }
    file
}

/// The answer to a request about an upload.
#[derive(Debug)]
pub struct Uploaded {
    pub status: StatusCode,
    pub location: String,
    pub offset: String,
    pub complete: String,
    pub kind: String,
    pub json: Value,
}
