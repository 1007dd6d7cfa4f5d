//! The clients that people use, from npm, against the binary. `make test` installs them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::saldo::Saldo;

/// The folder of the clients; `None` where they are not installed, which says so.
fn clients() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    if folder.join("node_modules").exists() {
        return Some(folder);
    }
    eprintln!("SKIPPED: the clients are not installed; run `npm ci` in e2e/clients, or `make test`");
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_is_what_the_audits_say() {
    let Some(folder) = clients() else { return };
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve().await;
    let token = saldo.token("acme").await;
    let audit = Command::new("node")
        .args(["--test", "--test-reporter=spec", "audit.test.js"])
        .current_dir(folder)
        .env("SALDO_URL", saldo.url("/graphql"))
        .env("SALDO_TOKEN", token)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("Node starts");
    let said = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success(), "{said}{}", String::from_utf8_lossy(&audit.stderr));
    assert!(said.contains("fail 0") && said.contains("SHOULD use 400"), "the audits ran: {said}");
}
