//! Databases for tests, migrated and empty: SQLite files, or, where `SALDO_TEST_POSTGRES` names a server's superuser
//! (`e2e/with-postgres.sh`), databases of that server, used by a role that row level security stops.

// Each suite takes what it needs.
#![allow(dead_code)]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::db::DbLock;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::sync::OnceCell;

/// What the tests' own statements call that only SQLite has.
const SQLITES: &str = "
    CREATE SCHEMA tests;
    CREATE DOMAIN tests.blob AS bytea;
    CREATE FUNCTION tests.zeroblob(size int) RETURNS bytea LANGUAGE sql AS $$ SELECT decode(repeat('00', size), 'hex') $$;
    CREATE FUNCTION tests.iif(is_so boolean, one text, other text) RETURNS text LANGUAGE sql
      AS $$ SELECT CASE WHEN is_so THEN one ELSE other END $$;
    CREATE FUNCTION tests.instr(body bytea, part bytea) RETURNS int LANGUAGE sql AS $$ SELECT position(part IN body) $$;
    CREATE FUNCTION tests.instr(body text, part text) RETURNS int LANGUAGE sql AS $$ SELECT position(part IN body) $$;
    CREATE FUNCTION tests.strftime(form text, seconds bigint, unit text) RETURNS text LANGUAGE sql
      AS $$ SELECT to_char(to_timestamp(seconds) AT TIME ZONE 'UTC', 'YYYY-MM') $$;
";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The URL of the server's superuser.
fn server() -> Option<String> {
    std::env::var("SALDO_TEST_POSTGRES").ok()
}

pub fn on_postgres() -> bool {
    server().is_some()
}

/// An id as the database reads it in a statement.
pub fn hex(id: uuid::Uuid) -> String {
    if on_postgres() { format!("'{id}'") } else { format!("x'{}'", id.simple()) }
}

#[derive(Clone)]
pub struct TestDatabase {
    /// As the server uses it.
    pub url: String,
    /// As whoever migrates uses it.
    pub owner_url: String,
    raw: Raw,
}

/// Past the core, and past every wall.
#[derive(Clone)]
enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl TestDatabase {
    /// A new one, in `folder` where it is a file.
    pub async fn new(folder: &Path, name: &str) -> Self {
        match server() {
            None => Self::embedded(&folder.join(name)).await,
            Some(server) => Self::on_server(&server).await,
        }
    }

    /// A new file, whatever else is asked for.
    pub async fn embedded(file: &Path) -> Self {
        let url = format!("sqlite://{}", file.display());
        // The lock makes the folder.
        drop(DbLock::take(&url, "test").expect("the database is ours"));
        migrations::up(&url).await.expect("the schema");
        Self::file(file)
    }

    /// One that is there already.
    pub fn file(file: &Path) -> Self {
        let url = format!("sqlite://{}", file.display());
        let options = SqliteConnectOptions::new().filename(file).foreign_keys(true);
        let raw = Raw::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options));
        Self { owner_url: url.clone(), url, raw }
    }

    /// A copy of an empty one: to migrate anew for each test would take longer than most of them.
    async fn on_server(server: &str) -> Self {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let process = std::process::id();
        let template = TEMPLATE.get_or_init(async || {
            let name = format!("template_{process}");
            create(server, &format!("CREATE DATABASE {name} OWNER saldo_owner")).await;
            let url = url_of(server, "saldo_owner", &name);
            migrations::up(&url).await.expect("the schema");
            // Around the time at which tests begin; what lies beyond goes into the partition for others.
            migrations::partitions::make_from(&url, "2024-02", 2).await.expect("partitions");
            migrations::grant(&url, "saldo_server").await.expect("the server's rights");
            create(&url_of(server, "postgres", &name), SQLITES).await;
            name
        });
        let template = template.await;
        let name = format!("test_{process}_{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        create(server, &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER saldo_owner")).await;
        let options: PgConnectOptions = url_of(server, "postgres", &name).parse().expect("a URL");
        let options = options.options([("search_path", "public,tests")]);
        let raw = Raw::Postgres(PgPoolOptions::new().max_connections(1).connect_lazy_with(options));
        let [url, owner_url] = ["saldo_server", "saldo_owner"].map(|role| url_of(server, role, &name));
        Self { url, owner_url, raw }
    }

    /// Nobody writes for a tenant from here on until `ROLLBACK`.
    pub async fn stop_writing(&self) {
        let sql = match &self.raw {
            Raw::Sqlite(_) => "BEGIN IMMEDIATE",
            Raw::Postgres(_) => "BEGIN; SELECT 1 FROM tenants FOR UPDATE",
        };
        self.execute(sql).await;
    }

    /// Runs SQL past the core: to arrange what no service makes, or to do damage.
    pub async fn execute(&self, sql: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match &self.raw {
            Raw::Sqlite(pool) => drop(statement.execute(pool).await.expect("the statement runs")),
            Raw::Postgres(pool) => drop(statement.execute(pool).await.expect("the statement runs")),
        }
    }

    /// One column of text out of SQL that goes past the core.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => {
                sqlx::query(sql).fetch_all(pool).await.expect("rows").iter().map(|row| row.get(0)).collect()
            }
            Raw::Postgres(pool) => {
                sqlx::query(sql).fetch_all(pool).await.expect("rows").iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// One integer out of SQL that goes past the core.
    pub async fn number(&self, sql: &str) -> i64 {
        match &self.raw {
            Raw::Sqlite(pool) => {
                sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.expect("one row").get(0)
            }
            // A sum is a decimal there.
            Raw::Postgres(pool) => {
                let sql = AssertSqlSafe(format!("SELECT CAST(number AS BIGINT) FROM ({sql}) AS told (number)"));
                sqlx::query(sql).fetch_one(pool).await.expect("one row").get(0)
            }
        }
    }
}

async fn create(server: &str, sql: &str) {
    let mut connection = PgConnection::connect(server).await.expect("the server of SALDO_TEST_POSTGRES");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("a database");
    connection.close().await.expect("closed");
}

fn url_of(server: &str, role: &str, database: &str) -> String {
    let (_, place) = server.split_once('@').expect("a user");
    let (place, _) = place.split_once('/').expect("a database");
    format!("postgres://{role}@{place}/{database}")
}
