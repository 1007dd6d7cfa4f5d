//! The clients that people use, from npm, against the binary. `make test` installs them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::crash::set_up;
use crate::saldo::{PASSWORD, Saldo};

/// The folder of the clients; `None` where they are not installed, which says so.
pub fn clients() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    if folder.join("node_modules").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: the clients are not installed; run `npm ci` in e2e/clients, or `make test`");
    None
}

/// Where the browser is; it need not be there.
fn chromium() -> PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from)
}

/// Runs one of the clients' test files; what it said.
async fn run(folder: &Path, file: &str, saldo: &Saldo, token: &str) -> String {
    let tests = Command::new("node")
        .args(["--test", "--test-reporter=spec", file])
        .current_dir(folder)
        .env("SALDO_URL", saldo.url("/graphql"))
        .env("SALDO_TOKEN", token)
        .env("SALDO_PASSWORD", PASSWORD)
        .env("CHROMIUM", chromium())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("Node starts");
    let said = String::from_utf8_lossy(&tests.stdout).into_owned();
    assert!(tests.status.success() && said.contains("fail 0"), "{said}{}", String::from_utf8_lossy(&tests.stderr));
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_is_what_the_audits_say() {
    let Some(folder) = clients() else { return };
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let said = run(&folder, "audit.test.js", &saldo, &saldo.token("acme").await).await;
    assert!(said.contains("SHOULD use 400"), "the audits ran: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_that_people_use_work_unchanged() {
    let Some(folder) = clients() else { return };
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let game = set_up(&saldo, "acme", "CARRY").await;
    let said = run(&folder, "clients.test.js", &saldo, &game.token).await;
    for client in ["graphql-ws", "graphql-sse", "urql", "Apollo"] {
        assert!(said.contains(client), "{client} ran: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_what_grows_and_what_is_odd_to_people_and_to_axe() {
    let Some(folder) = clients() else { return };
    if !chromium().exists() {
        eprintln!("SKIPPED: there is no browser at {}; CHROMIUM names another place", chromium().display());
        return;
    }
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let game = set_up(&saldo, "acme", "CARRY").await;
    run(&folder, "page.test.js", &saldo, &game.token).await;
}
