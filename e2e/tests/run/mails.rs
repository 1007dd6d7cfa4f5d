//! Mail over the network, to a mail server that others wrote (`e2e/clients/mail-server.js`), and into files.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::MessageParser;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use crate::clients::clients;
use crate::saldo::Saldo;

const MAIL_PASSWORD: &str = "p@ss/word of the mail server";
/// The same in an URL.
const ESCAPED: &str = "p%40ss%2Fword%20of%20the%20mail%20server";
/// Longer than the first few retries take.
const DEADLINE: Duration = Duration::from_secs(120);

struct MailServer {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

struct Mail {
    from: String,
    to: Vec<String>,
    message: Vec<u8>,
}

impl MailServer {
    /// On this port, or on any when it is 0.
    async fn start(folder: &PathBuf, port: u16) -> Self {
        let mut process = Command::new("node")
            .args(["mail-server.js", &port.to_string()])
            .current_dir(folder)
            .env("SMTP_PASSWORD", MAIL_PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut server = Self { port, lines, _process: process };
        server.port = u16::try_from(server.said().await["port"].as_u64().expect("a port")).expect("a port");
        server
    }

    async fn said(&mut self) -> Value {
        let line = tokio::time::timeout(DEADLINE, self.lines.next_line()).await.expect("in time");
        serde_json::from_str(&line.expect("a line").expect("the server is there")).expect("JSON")
    }

    async fn mail(&mut self) -> Mail {
        let said = self.said().await;
        let to = said["to"].as_array().expect("recipients").iter();
        Mail {
            from: said["from"].as_str().expect("a sender").to_owned(),
            to: to.map(|to| to.as_str().expect("an address").to_owned()).collect(),
            message: STANDARD.decode(said["data"].as_str().expect("a message")).expect("base64"),
        }
    }
}

async fn served(port: u16) -> (Saldo, String) {
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    let url = format!("smtp://saldo:{ESCAPED}@127.0.0.1:{port}");
    let settings = [
        ("SALDO_SMTP_URL", url.as_str()),
        ("SALDO_MAIL_FROM", "정산 <saldo@mail.example>"),
        ("SALDO_PUBLIC_URL", "https://saldo.example"),
        ("SALDO_LOG", "trace"),
    ];
    saldo.serve_with(&settings).await;
    let token = saldo.token("acme").await;
    (saldo, token)
}

/// Invites somebody by mail; the token of the answer.
async fn invite(saldo: &Saldo, token: &str, email: &str, language: &str) -> String {
    let input = json!({ "email": email, "name": "김민지", "role": "RISK", "language": language, "sendMail": true });
    let fields = "member { language } oneTimeToken { token }";
    let invited = saldo.mutate(token, "inviteMember", input, fields).await;
    assert_eq!(invited["member"]["language"], language);
    invited["oneTimeToken"]["token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_reaches_a_mail_server_and_lets_in() {
    let Some(folder) = clients() else { return };
    let mut server = MailServer::start(&folder, 0).await;
    let (mut saldo, ada) = served(server.port).await;
    invite(&saldo, &ada, "refused@acme.test", "EN").await;
    saldo.logged("a mail is parked").await;
    let once = invite(&saldo, &ada, "kim@acme.test", "KO").await;
    let mail = server.mail().await;
    assert_eq!((mail.from.as_str(), mail.to), ("saldo@mail.example", vec!["kim@acme.test".to_owned()]));
    let read = MessageParser::default().parse(&mail.message).expect("a message");
    assert_eq!(read.subject(), Some("[Saldo] acme Ltd에서 초대합니다"));
    assert_eq!(read.from().and_then(|from| from.first()).and_then(|from| from.name()), Some("정산"));
    let text = read.body_text(0).expect("a text");
    assert!(text.contains("https://saldo.example") && text.contains("김민지님"), "{text}");

    // Who reads the mail can sign in by it.
    let token = text.lines().find(|line| line.starts_with("saldo_once_")).expect("a token").trim();
    assert_eq!(token, once);
    let input = json!({ "token": token, "password": "correct staple battery" });
    let accept =
        "mutation($input: AcceptTokenInput!) { acceptToken(input: $input) { member { state } userErrors { code } } }";
    let accepted = saldo.graphql(None, accept, json!({ "input": input })).await;
    assert_eq!(accepted["acceptToken"]["member"]["state"], "ACTIVE", "{accepted}");

    saldo.logged("a mail was sent").await;
    let log = saldo.terminate_logged().await;
    for secret in [MAIL_PASSWORD, ESCAPED, token] {
        assert!(!log.contains(secret), "a secret was logged");
    }
    assert!(log.contains("550") && log.contains("answered"), "all is logged, and what the server said is in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_comes_back_gets_each_mail_once() {
    let Some(folder) = clients() else { return };
    // In its place one that hangs up on everybody.
    let down = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = down.local_addr().expect("its address").port();
    let (saldo, ada) = served(port).await;
    invite(&saldo, &ada, "first@acme.test", "EN").await;
    drop(down.accept().await.expect("an attempt"));
    invite(&saldo, &ada, "second@acme.test", "EN").await;
    drop(down);
    let mut server = MailServer::start(&folder, port).await;
    let mut to: Vec<String> = Vec::new();
    for _ in 0..2 {
        to.extend(server.mail().await.to);
    }
    // Whatever else there was would have come before this one.
    invite(&saldo, &ada, "third@acme.test", "EN").await;
    to.extend(server.mail().await.to);
    to.sort();
    assert_eq!(to, ["first@acme.test", "second@acme.test", "third@acme.test"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_mail_is_a_file_that_mail_programs_open() {
    let mut saldo = Saldo::new().await;
    saldo.tenant("acme").await;
    saldo.serve_with(&[("SALDO_LOG", "info")]).await;
    let ada = saldo.token("acme").await;
    let once = invite(&saldo, &ada, "kim@acme.test", "EN").await;
    saldo.logged("a mail was sent").await;
    let files: Vec<PathBuf> = std::fs::read_dir(saldo.folder.join("outbox"))
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].extension().and_then(|extension| extension.to_str()), Some("eml"));
    let message = std::fs::read(&files[0]).expect("a mail");
    let read = MessageParser::default().parse(&message).expect("a message");
    let text = read.body_text(0).expect("a text");
    assert!(text.contains(&once) && text.contains(&saldo.url("")), "the link is where it listens: {text}");
}
