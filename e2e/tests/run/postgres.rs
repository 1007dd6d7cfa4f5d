//! Databases on PostgreSQL for the binary: on the server of `e2e/with-postgres.sh`, or on one of a test's own that keeps
//! what it says it has kept, and may be killed.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// How long a server may take to begin, recovery included.
const PATIENCE: Duration = Duration::from_secs(60);

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The URL of the superuser of the server that the tests run beside; `None`, and a word about it, where there is none.
pub fn server() -> Option<String> {
    let server = std::env::var("SALDO_TEST_POSTGRES").ok();
    if server.is_none() {
        eprintln!("SKIPPED: there is no PostgreSQL; run it with e2e/with-postgres.sh");
    }
    server
}

/// An empty database, and a folder for the master key of those who serve it.
pub struct Database {
    server: String,
    name: String,
    key: PathBuf,
}

impl Database {
    pub async fn on(server: &str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e_{}_{number}", std::process::id());
        let key = std::env::temp_dir().join(format!("saldo-{name}.key"));
        let database = Self { server: server.to_owned(), name, key };
        let sql = format!("CREATE DATABASE {} OWNER saldo_owner", database.name);
        run(server, &sql).await.expect("a database");
        database
    }

    fn url(&self, role: &str) -> String {
        let (_, place) = self.server.split_once('@').expect("a user");
        let (place, _) = place.split_once('/').expect("a database");
        format!("postgres://{role}@{place}/{}", self.name)
    }

    /// What a process is told that serves it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SALDO_DATABASE_URL", self.url("saldo_server")),
            ("SALDO_OWNER_DATABASE_URL", self.url("saldo_owner")),
            ("SALDO_MASTER_KEY_FILE", self.key.display().to_string()),
        ]
    }

    /// One column of text, past the server and its walls.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the database");
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.expect("rows");
        connection.close().await.expect("closed");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        std::fs::remove_file(&self.key).ok();
    }
}

async fn run(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    connection.close().await
}

/// A server of a test's own. Unlike the one of `e2e/with-postgres.sh` it waits for the disk before it answers COMMIT.
pub struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Postgres {
    /// `None`, and a word about it, where the tests run without PostgreSQL.
    pub async fn start() -> Option<Self> {
        server()?;
        let bin = newest_bin()?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("saldo-postgres-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        hand_over(&folder);
        let data = folder.join("data");
        let mut initdb = as_server(&bin.join("initdb"), &folder);
        initdb.arg("--pgdata").arg(&data).args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]);
        assert!(initdb.arg("--locale=C").stdout(Stdio::null()).status().expect("initdb").success());
        let port = free_port();
        let process = spawn(&bin, &folder, port);
        let mut postgres = Self { bin, folder, port, process };
        postgres.answers().await;
        run(&postgres.url(), "CREATE ROLE saldo_owner LOGIN; CREATE ROLE saldo_server LOGIN").await.expect("roles");
        Some(postgres)
    }

    /// The URL of its superuser.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// `kill -9` of the postmaster; its backends end themselves when they notice.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }

    /// Starts on what the killed one has left on the disk, and waits until it has recovered.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.bin, &self.folder, self.port);
        self.answers().await;
    }

    async fn answers(&mut self) {
        let answers = async {
            while run(&self.url(), "SELECT 1").await.is_err() {
                // It does not begin as long as a backend of the killed one is there.
                if self.process.try_wait().expect("a process").is_some() {
                    self.process = spawn(&self.bin, &self.folder, self.port);
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, answers).await.expect("PostgreSQL answers");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

pub fn newest_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let bins = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    let newest = bins.max_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    if newest.is_none() {
        eprintln!("SKIPPED: PostgreSQL's initdb is not where Debian has it");
    }
    newest
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// Gives a folder to the user that the server runs as.
pub fn hand_over(folder: &Path) {
    if is_root() {
        assert!(Command::new("chown").arg("postgres").arg(folder).status().expect("chown").success());
    }
}

/// The server refuses to run as root.
pub fn as_server(program: &Path, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    // Ctrl-C in a terminal is for the test, which ends it.
    command.current_dir(folder).process_group(0).stdin(Stdio::null());
    command
}

fn spawn(bin: &Path, folder: &Path, port: u16) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = as_server(&bin.join("postgres"), folder);
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
        "fsync=on",
        "synchronous_commit=on",
        "full_page_writes=on",
    ] {
        command.args(["-c", setting]);
    }
    command.stdout(Stdio::null()).stderr(log).spawn().expect("postgres starts")
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}
