//! The database, and the only place that runs a query.
//!
//! [`TenantTx`] is the only holder of a connection for a tenant's data: it stamps and filters `tenant_id`, so that a
//! query can be built anywhere and run nowhere else. [`AdminTx`] is for the few rows that belong to the installation
//! (tenants by slug, signing keys). [`bulk`] has the multi-row statements of the hot path.
//!
//! On SQLite one process owns the file (a lock file says which), with one writing connection, whose transactions are
//! all `BEGIN IMMEDIATE`, and a few read-only ones.
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
mod tenant_tx;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, SqlxSqliteConnector,
    TransactionOptions, TransactionTrait,
};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use thiserror::Error;

pub use admin_tx::{AdminTx, Installation};
pub use tenant_tx::{Reach, TenantOwned, TenantTx};

use crate::ids::{PartnerId, TenantId};

const READERS: u32 = 4;
const POOL_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
pub enum OpenError {
    #[error("'{0}' is no database URL that this build knows; use sqlite://path/to/saldo.db")]
    Url(String),
    #[error(
        "{path} is in use by another Saldo ({owner}); one process owns an embedded database. Stop it, or send your work to it over HTTP"
    )]
    Locked { path: String, owner: String },
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("the database does not open: {0}")]
    Database(#[from] DbErr),
    #[error("the database does not open: {0}")]
    Sqlx(#[from] sqlx::Error),
}

/// The right to use an embedded database, held by one process at a time and given up when dropped.
pub struct DbLock {
    path: PathBuf,
    _file: File,
}

impl DbLock {
    /// Takes the lock of the database behind `url`, making its folder where it is missing.
    pub fn take(url: &str, purpose: &str) -> Result<Self, OpenError> {
        let path = sqlite_path(url)?;
        let lock_path = path.with_added_extension("lock");
        let named = |error| OpenError::File(lock_path.display().to_string(), error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(named)?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(named)?;
        if file.try_lock().is_err() {
            let mut owner = String::new();
            file.read_to_string(&mut owner).map_err(named)?;
            return Err(OpenError::Locked { path: path.display().to_string(), owner: owner.trim().to_owned() });
        }
        file.set_len(0).map_err(named)?;
        file.rewind().map_err(named)?;
        writeln!(file, "process {}, {purpose}", std::process::id()).map_err(named)?;
        Ok(Self { path, _file: file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn sqlite_path(url: &str) -> Result<PathBuf, OpenError> {
    let path = url.strip_prefix("sqlite://").filter(|path| !path.is_empty() && !path.contains('?'));
    path.map(PathBuf::from).ok_or_else(|| OpenError::Url(url.to_owned()))
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
        let options = SqliteConnectOptions::from_str(&format!("sqlite://{}", lock.path.display()))?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(POOL_WAIT)
            .pragma("cache_size", "-65536")
            .pragma("temp_store", "MEMORY")
            .optimize_on_close(true, None)
            .disable_statement_logging();
        // A session that comes back to the pool inside a transaction (its user was dropped in the middle of BEGIN)
        // would swallow the next user's writes; a bare ROLLBACK outside of one would log a warning each time.
        let pool = |connections, options| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(POOL_WAIT)
                .after_release(|connection, _| {
                    Box::pin(async move {
                        sqlx::raw_sql("BEGIN; ROLLBACK").execute(&mut *connection).await.ok();
                        Ok(true)
                    })
                })
                .connect_lazy_with(options)
        };
        // A reader that may not write fails to optimise, and its `close` comes back before it has closed: then it may
        // be the last to do so, and the log stays beside the file.
        let reading = options.clone().read_only(true).optimize_on_close(false, None);
        let statements = Arc::new(AtomicU64::new(0));
        let counting = |mut connection: DatabaseConnection| {
            let statements = statements.clone();
            connection.set_metric_callback(move |_| {
                statements.fetch_add(1, Ordering::Relaxed);
            });
            connection
        };
        let db = Self {
            writer: counting(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(1, options))),
            readers: counting(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool(READERS, reading))),
            statements: statements.clone(),
            _lock: lock,
        };
        db.writer.execute_unprepared("SELECT 1").await?;
        Ok(db)
    }

    pub(crate) async fn read(&self, tenant: TenantId, partner: Option<PartnerId>) -> Result<TenantTx, DbErr> {
        Ok(TenantTx::new(self.readers.begin().await?, tenant, partner))
    }

    pub(crate) async fn write(&self, tenant: TenantId, partner: Option<PartnerId>) -> Result<TenantTx, DbErr> {
        Ok(TenantTx::new(self.begin_immediate().await?, tenant, partner))
    }

    pub(crate) async fn admin(&self) -> Result<AdminTx, DbErr> {
        Ok(AdminTx::new(self.begin_immediate().await?))
    }

    pub(crate) async fn admin_read(&self) -> Result<AdminTx, DbErr> {
        Ok(AdminTx::new(self.readers.begin().await?))
    }

    async fn begin_immediate(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(options).await
    }

    /// How many statements have run since it was opened; `BEGIN` and `COMMIT` are not among them.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), DbErr> {
        self.readers.execute_unprepared("SELECT 1").await.map(drop)
    }

    pub async fn close(&self) {
        // The writer last: whoever closes last folds the log into the file, and readers may not write.
        for pool in [&self.readers, &self.writer] {
            if let Err(error) = pool.clone().close().await {
                tracing::warn!(%error, "a connection pool did not close cleanly");
            }
        }
    }
}
