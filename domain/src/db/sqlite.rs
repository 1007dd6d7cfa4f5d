//! The embedded database: one file, one process, one writer.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sea_orm::{DatabaseConnection, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{OpenError, POOL_WAIT, shown};

const READERS: u32 = 4;

pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    pub fn take(url: &str, purpose: &str) -> Result<Self, OpenError> {
        let path = path_of(url)?;
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

fn path_of(url: &str) -> Result<PathBuf, OpenError> {
    let path = url.strip_prefix("sqlite://").filter(|path| !path.is_empty() && !path.contains('?'));
    path.map(PathBuf::from).ok_or_else(|| OpenError::Url(shown(url)))
}

/// The writing connection, and those that read.
pub(super) fn pools(path: &Path) -> Result<(DatabaseConnection, DatabaseConnection), OpenError> {
    let options = SqliteConnectOptions::from_str(&format!("sqlite://{}", path.display()))?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(POOL_WAIT)
        .pragma("cache_size", "-65536")
        .pragma("temp_store", "MEMORY")
        .optimize_on_close(true, None)
        .disable_statement_logging();
    // A session that comes back to the pool inside a transaction (its user was dropped in the middle of BEGIN) would
    // swallow the next user's writes; a bare ROLLBACK outside of one would log a warning each time.
    let pool = |connections, options| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(POOL_WAIT)
            .after_release(|connection, _| {
                Box::pin(async move {
                    let is_outside = sqlx::raw_sql("BEGIN; ROLLBACK").execute(&mut *connection).await.is_ok();
                    // Where SQLite itself gave a transaction up (the disk is full), sqlx goes on counting it: the next one
                    // would be a savepoint, and its COMMIT none. Such a session is closed.
                    Ok(is_outside && !connection.is_in_transaction())
                })
            })
            .connect_lazy_with(options)
    };
    // A reader that may not write fails to optimise, and its `close` comes back before it has closed: then it may be
    // the last to do so, and the log stays beside the file.
    let reading = options.clone().read_only(true).optimize_on_close(false, None);
    let opened = |pool| SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    Ok((opened(pool(1, options)), opened(pool(READERS, reading))))
}

/// A deferred transaction that reads and then writes fails at once when somebody wrote in between.
pub(super) fn immediate() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}
