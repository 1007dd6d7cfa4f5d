//! `saldo demo`: a tenant with simulated providers, to look at and to play with. It uses the same services as any
//! tenant and keeps nothing of its own but a file of passwords beside the database.
//!
//! `agreements.rs` says what is agreed with each provider; `slots.rs`, `crash.rs` and `sales.rs` are what each has to
//! tell of a stretch of time, and `faults.rs` what goes wrong with it, on a script.

mod agreements;
mod chance;
mod crash;
mod faults;
mod feed;
mod passwords;
mod sales;
mod setup;
mod slots;
mod window;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::{Outcome, say};
use crate::config::Config;
use crate::serve;

use setup::{ADMINISTRATOR, Demo, TENANT};

/// Brings the database up to date, makes the demo tenant where it is missing, and serves while its providers send
/// records, until told to stop. Started again it goes on from where it was.
pub(crate) async fn run(config: &Config) -> Outcome {
    let lock = serve::lock(config, "demo")?;
    let passwords = lock.beside("demo-sign-ins");
    serve::bring_up(config).await?;
    let domain = serve::open_locked(config, lock).await?;
    let demo = match prepare(&domain, passwords).await {
        Ok(demo) => demo,
        Err(error) => {
            domain.shut_down().await;
            return Err(error);
        }
    };
    let announce = |address| say(welcome(&demo, address).trim_end());
    let mut config = config.clone();
    config.requests.form_tenant = Some(TENANT.to_owned());
    serve::run(&config, domain, announce, feed::deliver(&demo)).await
}

async fn prepare(domain: &domain::Domain, passwords: PathBuf) -> Outcome<Demo> {
    setup::prepare(domain, &passwords).await
}

/// Queries to try, each with what it shows.
const QUERIES: [(&str, &str); 3] = [
    (
        "What is owed, line by line, and why it cannot be closed yet",
        "{ settlements(first: 2) { nodes { periodStart state total { amount currency } transactionCount lines { code \
         rateClass base { amount } rate amount { amount } } blockers { code message remedy } } } }",
    ),
    (
        "The latest transactions",
        "{ transactions(first: 5) { nodes { externalId kind amount { amount currency } occurredAt product } } }",
    ),
    (
        "What could not be read, and where it is",
        "{ quarantine(first: 3) { nodes { recordNumber error { code field message } rawRecord state } } }",
    ),
];

fn welcome(demo: &Demo, address: SocketAddr) -> String {
    let url = format!("http://{address}");
    let width = demo.sign_ins.iter().map(|(user, _)| user.email.len()).max().unwrap_or_default();
    let mut text = format!(
        "Saldo is at {url} (open it, sign in and watch; GraphiQL is at {url}/graphql). Ctrl-C stops it.\n\n\
         Tenant `{TENANT}`, sign-ins:\n"
    );
    for (user, password) in &demo.sign_ins {
        text.push_str(&format!("  {:width$}  {password}  {}\n", user.email, user.sees));
    }
    let password = demo.sign_ins.iter().find(|(user, _)| user.email == ADMINISTRATOR.email);
    let password = password.map_or("", |(_, password)| password);
    text.push_str("\nTo try from another terminal (the token is good for ten minutes):\n\n");
    let sign_in = format!(
        r#"mutation {{ signIn(input: {{ tenant: \"{TENANT}\", email: \"{}\", password: \"{password}\" }}) {{ accessToken }} }}"#,
        ADMINISTRATOR.email
    );
    text.push_str(&format!(
        "TOKEN=$(curl -s {url}/graphql -H 'content-type: application/json' \\\n  -d '{{\"query\":\"{sign_in}\"}}' \\\n  | sed 's/.*\"accessToken\":\"\\([^\"]*\\)\".*/\\1/')\n"
    ));
    for (what, query) in QUERIES {
        text.push_str(&format!(
            "\n# {what}\ncurl -s -w '\\n' {url}/graphql -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \\\n  -d '{{\"query\":\"{query}\"}}'\n"
        ));
    }
    text
}
