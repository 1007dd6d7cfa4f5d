//! Whether the partitions of `transactions` on PostgreSQL reach far enough: the server may not make them itself.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::Db;

/// Fewer than so many months ahead are told in the log.
const WARNED_BELOW: i64 = 2;

impl Db {
    /// How many months after this one have a partition; nothing on a database without partitions.
    pub(crate) async fn months_ahead(&self) -> Result<Option<i64>, DbErr> {
        let readers = self.pools().readers.clone();
        if readers.get_database_backend() != DbBackend::Postgres {
            return Ok(None);
        }
        let sql = "SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
                   WHERE inhparent = 'transactions'::regclass AND relname <> 'transactions_other' \
                   AND relname::text > 'transactions_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')";
        let row = readers.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        row.map(|row| row.try_get_by_index(0)).transpose()
    }

    /// Says so where partitions run out. Nothing is lost then: what has no month goes into the partition for others.
    pub(crate) async fn look_at_partitions(&self) {
        match self.months_ahead().await {
            Ok(Some(ahead)) if ahead < WARNED_BELOW => tracing::warn!(
                ahead,
                "partitions of transactions run out; `saldo partitions --ahead`, as the role that owns the tables, makes more"
            ),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the partitions of transactions could not be looked at"),
        }
    }
}
