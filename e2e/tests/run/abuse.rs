//! What somebody who means harm does to the real binary: each is refused with its code, for little of the process's CPU
//! time and memory, and whoever comes after is answered. What was measured is beside each bound, of a development
//! build on two cores; `cargo test -p e2e --test run abuse -- --nocapture` prints it.

mod callers;
mod requests;
mod slow;
mod sockets;

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::meter::Meter;
use crate::saldo::{PASSWORD, Saldo};

/// What a case may take: milliseconds of CPU time, and mebibytes.
#[derive(Clone, Copy)]
struct Most(u64, u64);

/// Nothing here takes longer on the wall, but for what is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server under attack, and the token of the administrator whom it must go on serving.
struct Attacked {
    saldo: Saldo,
    ada: String,
    /// Whose connections are not used again: the server leaves some of them in the middle of a request.
    attacker: reqwest::Client,
}

impl Attacked {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With a tenant `acme` and its rival `bolt`.
    async fn with(settings: &[(&str, &str)]) -> Self {
        let mut saldo = Saldo::new().await;
        saldo.tenant("acme").await;
        saldo.tenant("bolt").await;
        saldo.serve_set(settings).await;
        let ada = saldo.token("acme").await;
        let attacker = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
        Self { saldo, ada, attacker }
    }

    /// Goes through with an attack and sees what it took; then an honest request is answered.
    async fn case<T>(&self, what: &str, most: Most, attack: impl Future<Output = T>) -> T {
        let meter = Meter::start(self.saldo.process());
        let outcome = tokio::time::timeout(PATIENCE, attack).await.unwrap_or_else(|_| panic!("{what}: no end"));
        let taken = meter.read();
        eprintln!("{what}: {taken}");
        let Most(millis, mebibytes) = most;
        assert!(taken.cpu <= Duration::from_millis(millis), "{what} took {taken}");
        assert!(taken.bytes <= mebibytes * 1024 * 1024, "{what} took {taken}");
        let viewer = self.saldo.graphql(Some(&self.ada), "{ viewer { tenant { slug } } }", json!({})).await;
        assert_eq!(viewer["viewer"]["tenant"]["slug"], "acme", "after {what}");
        outcome
    }

    fn post(&self, token: Option<&str>, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.attacker.post(self.saldo.url("/graphql")).header("content-type", "application/json");
        match token {
            Some(token) => request.bearer_auth(token).body(body),
            None => request.body(body),
        }
    }

    /// The status and answer of a request.
    async fn ask(&self, token: Option<&str>, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = self.post(token, body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// The access token of another administrator of a tenant.
    async fn second(&self, slug: &str, token: &str) -> String {
        let email = format!("bob@{slug}.test");
        let invite = json!({ "email": email, "name": "Bob", "role": "ADMIN" });
        let invited = self.saldo.mutate(token, "inviteMember", invite, "oneTimeToken { token }").await;
        let accept = json!({ "token": invited["oneTimeToken"]["token"], "password": PASSWORD });
        let query = "mutation($input: AcceptTokenInput!) { acceptToken(input: $input) { userErrors { code } } }";
        let accepted = self.saldo.graphql(None, query, json!({ "input": accept })).await;
        assert_eq!(accepted["acceptToken"]["userErrors"], json!([]));
        self.saldo.sign_in(slug, &email, PASSWORD).await
    }
}

/// The code of the first error.
fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
}

/// Status and code of an answer, and whether it has data.
async fn refusal(answer: Response) -> (u16, String, bool) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.expect("JSON");
    (status, code(&body).to_owned(), body.get("data").is_some())
}
