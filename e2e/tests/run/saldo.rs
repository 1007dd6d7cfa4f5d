//! [`Saldo`]: a folder with a database, and the binary that serves it.

// Tests and the benchmark take what they need.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

pub const PASSWORD: &str = "correct staple battery";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The demo under way: its process, and the access tokens of two of its people.
pub struct Demo {
    pub process: u32,
    pub admin: String,
    pub partner: String,
}

impl Demo {
    /// The CPU time that the process has taken.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.process)
    }
}

/// The CPU time that a process has taken, of all its threads.
pub fn cpu_of(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    // User and system time are the 14th and 15th field, in hundredths of a second on every Linux.
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Lines that the server logs: those that nobody has read yet, and all of them.
struct Log {
    lines: mpsc::UnboundedReceiver<String>,
    all: String,
}

pub struct Saldo {
    pub folder: PathBuf,
    /// What every command is told besides: another database than the one in the folder, say.
    settings: Vec<(&'static str, String)>,
    server: Option<(Child, String)>,
    /// What the server has logged, where the test wants to know.
    log: Option<Log>,
    client: reqwest::Client,
}

impl Saldo {
    /// A migrated database with nobody serving it.
    pub async fn new() -> Self {
        Self::with(Vec::new()).await
    }

    /// The same where these settings say.
    pub async fn with(settings: Vec<(&'static str, String)>) -> Self {
        let saldo = Self::beside(settings);
        saldo.done(&["migrate"], "").await;
        saldo
    }

    /// A process more for a database that is there.
    pub fn beside(settings: Vec<(&'static str, String)>) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("saldo-e2e-{}-{number}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).expect("a folder");
        Self { folder, settings, server: None, log: None, client: reqwest::Client::new() }
    }

    /// A tenant with the administrator `ada@<slug>.test`.
    pub async fn tenant(&self, slug: &str) {
        let (name, email) = (format!("{slug} Ltd"), format!("ada@{slug}.test"));
        let arguments =
            ["tenant", "create", "--slug", slug, "--name", &name, "--admin-email", &email, "--admin-password-stdin"];
        self.done(&arguments, PASSWORD).await;
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("SALDO_DATABASE_URL", format!("sqlite://{}", self.folder.join("saldo.db").display()))
            .env("SALDO_LISTEN", "127.0.0.1:0")
            .env("SALDO_LOG", "warn")
            .env_remove("SALDO_MASTER_KEY_FILE")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("it starts");
        if let Some(mut stdin) = child.stdin.take() {
            use tokio::io::AsyncWriteExt;
            // A command that wants no input may be gone already.
            stdin.write_all(input.as_bytes()).await.ok();
        }
        child.wait_with_output().await.expect("it ends")
    }

    /// Runs a command that must succeed; what it printed.
    pub async fn done(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{out}\n{err}", output.status);
        out.into_owned()
    }

    /// Serves on a free port, once it listens.
    pub async fn serve(&mut self) {
        self.serve_set(&[]).await;
    }

    /// The same with settings of its own.
    pub async fn serve_set(&mut self, settings: &[(&str, &str)]) {
        let mut command = self.command(&["serve"]);
        let child = command.envs(settings.iter().copied()).stderr(Stdio::inherit()).spawn().expect("it starts");
        self.listens(child).await;
    }

    /// The same with these settings; [`Saldo::logged`] and [`Saldo::terminate_logged`] read what it logs.
    pub async fn serve_with(&mut self, settings: &[(&str, &str)]) {
        let mut child = self.command(&["serve"]).envs(settings.iter().copied()).spawn().expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
        let (tell, lines) = mpsc::unbounded_channel();
        // Whoever logs more than a pipe holds would wait for a reader.
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                tell.send(line).ok();
            }
        });
        self.log = Some(Log { lines, all: String::new() });
        self.listens(child).await;
    }

    /// Waits until the server logs these words.
    pub async fn logged(&mut self, words: &str) {
        let log = self.log.as_mut().expect("its log");
        let read = async { while !log.next().await.expect("it goes on").contains(words) {} };
        tokio::time::timeout(Duration::from_secs(60), read).await.unwrap_or_else(|_| panic!("{words}"));
    }

    /// SIGTERM; all that it logged.
    pub async fn terminate_logged(&mut self) -> String {
        let mut log = self.log.take().expect("its log");
        let rest = async { while log.next().await.is_some() {} };
        tokio::join!(self.terminate(), rest);
        log.all
    }

    async fn listens(&mut self, mut child: Child) {
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("a line").expect("it says where it is");
        let address = line.rsplit(' ').next().expect("an address").to_owned();
        assert!(address.starts_with("http://"), "{line}");
        self.server = Some((child, address));
    }

    /// Runs the demo until its provider has delivered the past, and signs in as its people.
    pub async fn demo(&mut self) -> Demo {
        let mut child = self.command(&["demo"]).stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (mut address, mut passwords) = (None, Vec::new());
        while let Some(line) = lines.next_line().await.expect("a line") {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["Saldo", "is", "at", url, ..] => address = Some(url.to_owned()),
                [email, password, ..] if email.ends_with("@demo.test") => {
                    passwords.push((email.to_owned(), password.to_owned()));
                }
                ["The", "past", "is", "delivered;", ..] => break,
                _ => {}
            }
        }
        let process = child.id().expect("it runs");
        self.server = Some((child, address.expect("an address")));
        // Whoever reads the output must go on reading.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let sign_in = async |who: &str| {
            let (email, password) = passwords.iter().find(|(email, _)| email.starts_with(who)).expect("a sign-in");
            self.sign_in("demo", email, password).await
        };
        Demo { process, admin: sign_in("ada").await, partner: sign_in("lumi").await }
    }

    /// `kill -9`: nothing is flushed, nobody is told.
    pub async fn kill(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            child.start_kill().expect("it runs");
            child.wait().await.expect("it ends");
        }
    }

    /// SIGTERM; the server ends by itself, and without an error.
    pub async fn terminate(&mut self) {
        let (mut child, _) = self.server.take().expect("a server");
        let process = child.id().expect("it runs").to_string();
        let told = Command::new("kill").args(["-TERM", &process]).status().await.expect("it is told");
        assert!(told.success() && child.wait().await.expect("it ends").success());
    }

    /// The server's process.
    pub fn process(&self) -> u32 {
        let (child, _) = self.server.as_ref().expect("a server");
        child.id().expect("it runs")
    }

    pub fn url(&self, path: &str) -> String {
        let (_, address) = self.server.as_ref().expect("a server");
        format!("{address}{path}")
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The access token of a tenant's administrator.
    pub async fn token(&self, slug: &str) -> String {
        self.sign_in(slug, &format!("ada@{slug}.test"), PASSWORD).await
    }

    pub async fn sign_in(&self, slug: &str, email: &str, password: &str) -> String {
        let input = json!({ "tenant": slug, "email": email, "password": password });
        let query = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken userErrors { message } } }";
        let answer = self.graphql(None, query, json!({ "input": input })).await;
        answer["signIn"]["accessToken"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// What a request that must succeed answers under `data`.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let mut request =
            self.client.post(self.url("/graphql")).json(&json!({ "query": query, "variables": variables }));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let mut answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        answer["data"].take()
    }

    /// Runs one mutation with one input; its payload, which must have no user errors.
    pub async fn mutate(&self, token: &str, name: &str, input: Value, fields: &str) -> Value {
        let type_name: String = name[..1].to_uppercase() + &name[1..];
        let query = format!(
            "mutation($input: {type_name}Input!) {{ {name}(input: $input) {{ {fields} userErrors {{ code field message }} }} }}"
        );
        let mut answer = self.graphql(Some(token), &query, json!({ "input": input })).await;
        assert_eq!(answer[name]["userErrors"], json!([]), "{name}");
        answer[name].take()
    }
}

impl Log {
    async fn next(&mut self) -> Option<String> {
        let line = self.lines.recv().await?;
        self.all += &line;
        self.all.push('\n');
        Some(line)
    }
}

impl Drop for Saldo {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The binary that cargo built beside this test.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test");
    let folder = test.parent().and_then(Path::parent).expect("the target folder");
    let binary = folder.join(format!("saldo{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing: build it with `cargo build -p api`", binary.display());
    binary
}

/// The real file, kept beside the repository and never in it. Tests that need it say so when it is absent.
pub fn crash_game_file() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("SALDO_TEST_DATA").map_or(beside, PathBuf::from);
    let file = folder.join("crash-game-rounds.csv");
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: crash-game-rounds.csv is not in {}; SALDO_TEST_DATA names its folder", folder.display());
    None
}
