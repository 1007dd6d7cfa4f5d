//! A standby that lists and reports are read from. It is asked only when it has all that the primary had when it was
//! asked, so that nobody misses what was written before; otherwise, and where it is not there, the primary answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqlxPostgresConnector, Statement,
    TransactionTrait,
};
use sqlx::postgres::PgPoolOptions;

use super::primary::Servers;
use super::{OpenError, postgres};
use crate::clock::Clock;
use crate::ids::TenantId;
use crate::time::MICROS_PER_SECOND;

const READERS: u32 = 8;
/// How long a reader waits for the standby in all, and between two looks at how far it is.
const PATIENCE: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long nobody asks a standby that failed or fell behind.
const PAUSE_MICROS: u64 = 2 * MICROS_PER_SECOND.unsigned_abs();

pub(super) struct Replica {
    readers: DatabaseConnection,
    /// When it may be asked again, in microseconds since 1970.
    asks_again: AtomicU64,
}

impl Replica {
    /// A standby that is not there yet is no error; one that the server may not use is.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let options = Servers::parse(url)?.first();
        let pool = PgPoolOptions::new().max_connections(READERS).acquire_timeout(PATIENCE);
        let readers = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.connect_lazy_with(options));
        Ok(Self { readers, asks_again: AtomicU64::new(0) })
    }

    /// A transaction of this tenant that sees at least what the primary had.
    pub async fn read(
        &self,
        clock: &Clock,
        primary: &DatabaseConnection,
        tenant: TenantId,
    ) -> Option<DatabaseTransaction> {
        let now = u64::try_from(clock.now().0).unwrap_or_default();
        if now < self.asks_again.load(Ordering::Relaxed) {
            return None;
        }
        let failed = match tokio::time::timeout(PATIENCE, self.begun(primary, tenant)).await {
            Ok(Ok(tx)) => return Some(tx),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it has not what the primary has within {} ms", PATIENCE.as_millis()),
        };
        self.asks_again.store(now + PAUSE_MICROS, Ordering::Relaxed);
        tracing::warn!(error = failed, "the replica is not asked for a while; the primary answers");
        None
    }

    async fn begun(&self, primary: &DatabaseConnection, tenant: TenantId) -> Result<DatabaseTransaction, DbErr> {
        let place = "SELECT CAST(pg_current_wal_lsn() AS TEXT)";
        let place: String = value(primary, place.to_owned()).await?;
        let mut pause = tokio::time::interval(LOOK_EVERY);
        loop {
            pause.tick().await;
            // Of a server that is no standby it is nothing.
            let sql = format!("SELECT coalesce(pg_last_wal_replay_lsn() >= CAST('{place}' AS pg_lsn), false)");
            if value(&self.readers, sql).await? {
                break;
            }
        }
        let tx = self.readers.begin().await?;
        tx.execute_unprepared(postgres::READ).await?;
        tx.execute_unprepared(&postgres::bound(tenant)).await?;
        Ok(tx)
    }

    /// By how many seconds it is behind, where it answers.
    pub async fn lag(&self) -> Result<i64, DbErr> {
        let sql = "SELECT CAST(coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) AS BIGINT)";
        value(&self.readers, sql.to_owned()).await
    }

    pub async fn close(&self) {
        self.readers.clone().close().await.ok();
    }
}

async fn value<T: sea_orm::TryGetable>(connection: &DatabaseConnection, sql: String) -> Result<T, DbErr> {
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("a value".to_owned()))?.try_get_by_index(0)
}
