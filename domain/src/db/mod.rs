//! The database, and the only place that runs a query.
//!
//! [`TenantTx`] is the only holder of a connection for a tenant's data: it stamps and filters `tenant_id`, so that a
//! query can be built anywhere and run nowhere else. [`AdminTx`] is for the few rows that belong to the installation
//! (tenants by slug, signing keys). [`bulk`] has the multi-row statements of the hot path.
//!
//! - `sqlite.rs`: one process owns the file (a lock file says which), with one writing connection, whose transactions
//!   are all `BEGIN IMMEDIATE`, and a few read-only ones.
//! - `postgres.rs`: a transaction binds its tenant, which row level security checks below all of this; one that writes
//!   locks the tenant's row, so that a tenant's changes happen one after the other as on SQLite, whoever makes them.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is where what they do is done, with the tenant bound"
)]

/// Makes a sea-orm entity one whose rows belong to tenants, in the module that derives it.
macro_rules! tenant_owned {
    ($reach:expr) => {
        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}

        impl $crate::db::TenantOwned for Entity {
            const TENANT: Column = Column::TenantId;
            const REACH: Reach<Column> = $reach;
        }
    };
}
pub(crate) use tenant_owned;

mod admin_tx;
pub(crate) mod bulk;
mod postgres;
mod sqlite;
mod tenant_tx;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait,
};
use thiserror::Error;

pub use admin_tx::{AdminTx, Installation};
pub use tenant_tx::{Reach, TenantOwned, TenantTx};

use crate::ids::{PartnerId, TenantId};
use crate::time::Timestamp;

const POOL_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
pub enum OpenError {
    #[error(
        "'{0}' is no database URL that this build knows; use sqlite://path/to/saldo.db or postgres://user@host/database"
    )]
    Url(String),
    #[error(
        "{path} is in use by another Saldo ({owner}); one process owns an embedded database. Stop it, or send your work to it over HTTP"
    )]
    Locked { path: String, owner: String },
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("the role '{role}' {why}")]
    Role { role: String, why: String },
    #[error("the database does not open: {0}")]
    Database(#[from] DbErr),
    #[error("the database does not open: {0}")]
    Sqlx(#[from] sqlx::Error),
}

/// The right to use a database: of an embedded one held by one process at a time and given up when dropped, of one on a
/// server as many as there are.
pub struct DbLock(Held);

enum Held {
    Sqlite(sqlite::Lock),
    Postgres { url: String },
}

impl DbLock {
    /// Takes the database behind `url`. An embedded one is locked from here on, and its folder made where it is
    /// missing.
    pub fn take(url: &str, purpose: &str) -> Result<Self, OpenError> {
        let held = match url.split_once("://") {
            Some(("sqlite", _)) => Held::Sqlite(sqlite::Lock::take(url, purpose)?),
            Some(("postgres" | "postgresql", _)) => Held::Postgres { url: url.to_owned() },
            _ => return Err(OpenError::Url(shown(url))),
        };
        Ok(Self(held))
    }

    /// A file beside an embedded database; in the folder `var` otherwise.
    pub fn beside(&self, extension: &str) -> PathBuf {
        match &self.0 {
            Held::Sqlite(lock) => lock.path().with_extension(extension),
            Held::Postgres { .. } => PathBuf::from("var/saldo").with_added_extension(extension),
        }
    }
}

/// The role as which a URL connects to PostgreSQL.
pub fn role_of(url: &str) -> Result<String, OpenError> {
    postgres::options(url).map(|options| options.get_username().to_owned())
}

/// A URL as it may be shown: without the password in it.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, place)) => format!("{scheme}://{}@{place}", user.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

/// What a database says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The changes of the schema that were made.
    pub versions: Vec<String>,
    /// Its own clock, where it has one.
    pub time: Option<Timestamp>,
}

pub struct Db {
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    /// How many statements ran.
    statements: Arc<AtomicU64>,
    _lock: DbLock,
}

impl Db {
    /// Opens a database that has been migrated.
    pub async fn open(lock: DbLock) -> Result<Self, OpenError> {
        let (writer, readers) = match &lock.0 {
            Held::Sqlite(lock) => sqlite::pools(lock.path())?,
            Held::Postgres { url } => postgres::pools(url).await?,
        };
        let statements = Arc::new(AtomicU64::new(0));
        let counting = |mut connection: DatabaseConnection| {
            let statements = statements.clone();
            connection.set_metric_callback(move |_| {
                statements.fetch_add(1, Ordering::Relaxed);
            });
            connection
        };
        let (writer, readers) = (counting(writer), counting(readers));
        let db = Self { writer, readers, statements: statements.clone(), _lock: lock };
        db.writer.execute_unprepared("SELECT 1").await?;
        Ok(db)
    }

    pub(crate) async fn read(&self, tenant: TenantId, partner: Option<PartnerId>) -> Result<TenantTx, DbErr> {
        let tx = self.begin_read().await?;
        bind(&tx, tenant).await?;
        Ok(TenantTx::new(tx, tenant, partner))
    }

    pub(crate) async fn write(&self, tenant: TenantId, partner: Option<PartnerId>) -> Result<TenantTx, DbErr> {
        let tx = self.begin_write().await?;
        if is_postgres(&tx) {
            tx.execute_unprepared(&postgres::bound_and_locked(tenant)).await?;
        }
        Ok(TenantTx::new(tx, tenant, partner))
    }

    pub(crate) async fn admin(&self) -> Result<AdminTx, DbErr> {
        Ok(AdminTx::new(self.begin_write().await?))
    }

    pub(crate) async fn admin_read(&self) -> Result<AdminTx, DbErr> {
        Ok(AdminTx::new(self.begin_read().await?))
    }

    /// One view of the database for all that is read.
    async fn begin_read(&self) -> Result<DatabaseTransaction, DbErr> {
        let tx = self.readers.begin().await?;
        if is_postgres(&tx) {
            tx.execute_unprepared(postgres::READ).await?;
        }
        Ok(tx)
    }

    async fn begin_write(&self) -> Result<DatabaseTransaction, DbErr> {
        match self.writer.get_database_backend() {
            DbBackend::Sqlite => self.writer.begin_with_options(sqlite::immediate()).await,
            _ => self.writer.begin().await,
        }
    }

    /// How many statements have run since it was opened; `BEGIN` and `COMMIT` are not among them.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Whether the database answers, and what with.
    pub async fn probe(&self) -> Result<Probe, DbErr> {
        let backend = self.readers.get_database_backend();
        let (list, time) = match backend {
            DbBackend::Postgres => ("string_agg", postgres::TIME),
            _ => ("group_concat", "NULL"),
        };
        let sql = format!("SELECT {list}(version, ','), {time} FROM seaql_migrations");
        let row = self.readers.query_one_raw(Statement::from_string(backend, sql)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("seaql_migrations".to_owned()))?;
        let versions: String = row.try_get_by_index(0)?;
        let time: Option<i64> = row.try_get_by_index(1)?;
        Ok(Probe { versions: versions.split(',').map(str::to_owned).collect(), time: time.map(Timestamp) })
    }

    pub async fn close(&self) {
        // The writer last: whoever closes last folds SQLite's log into its file, and readers may not write.
        for pool in [&self.readers, &self.writer] {
            if let Err(error) = pool.clone().close().await {
                tracing::warn!(%error, "a connection pool did not close cleanly");
            }
        }
    }
}

/// Whether a number was to be written that a column of integers cannot hold.
pub(crate) fn is_overflow(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("cannot store REAL value") || text.contains("bigint out of range")
}

/// Whether a row was to be written that the schema does not allow.
pub(crate) fn is_refusal(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("constraint failed") || text.contains(" violates ")
}

fn is_postgres(tx: &DatabaseTransaction) -> bool {
    tx.get_database_backend() == DbBackend::Postgres
}

/// Tells the database whose rows the transaction may touch.
async fn bind(tx: &DatabaseTransaction, tenant: TenantId) -> Result<(), DbErr> {
    if is_postgres(tx) {
        tx.execute_unprepared(&postgres::bound(tenant)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, expected) in [
            ("postgres://saldo:s3cr@t@db.test:5432/saldo", "postgres://saldo@db.test:5432/saldo"),
            ("postgres://saldo@db.test/saldo", "postgres://saldo@db.test/saldo"),
            ("postgres://db.test/saldo", "postgres://db.test/saldo"),
            ("sqlite://var/saldo.db", "sqlite://var/saldo.db"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
