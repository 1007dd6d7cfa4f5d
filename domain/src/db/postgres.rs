//! PostgreSQL: the tenant is bound for row level security, and a tenant's changes happen one after the other.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqlxPostgresConnector};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, Row};

use super::{OpenError, POOL_WAIT};
use crate::ids::TenantId;

const READERS: u32 = 8;
const WRITERS: u32 = 8;
/// All of them may be broken at once.
pub(super) const CONNECTIONS: u32 = READERS + WRITERS;
pub(super) const BATCHES: usize = 6;

/// What a transaction begins with that reads: nothing changes under it.
pub(super) const READ: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Before a COMMIT that waits for another server: where the wait for a statement ended, the server would say that the
/// transaction is committed, and the other one might not have it.
pub(super) const WAIT_FOR_IT: &str = "SET LOCAL statement_timeout = 0";

/// The server's clock in microseconds.
pub(super) const TIME: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// The tenant for row level security. It is an id by its type, never text from outside.
pub(super) fn bound(tenant: TenantId) -> String {
    format!("SET LOCAL app.tenant = '{}'", tenant.0)
}

/// Tells the database whose rows the transaction may touch.
pub(super) async fn bind(tx: &DatabaseTransaction, tenant: TenantId) -> Result<(), DbErr> {
    if super::is_postgres(tx) {
        tx.execute_unprepared(&bound(tenant)).await?;
    }
    Ok(())
}

/// The same, and the tenant's row locked until the end: whoever changes something of the tenant waits here. Foreign keys
/// to the row do not wait for it. What a change asks goes by keys, whose plan is the same whatever the values are: the
/// server makes it once.
pub(super) fn bound_and_locked(tenant: TenantId) -> String {
    let (bound, id) = (bound(tenant), tenant.0);
    format!(
        "{bound}; SET LOCAL plan_cache_mode = force_generic_plan; \
         SELECT 1 FROM tenants WHERE id = '{id}' FOR NO KEY UPDATE"
    )
}

/// Connections that write, and those that read; and whether a commit waits for another server.
pub(super) async fn pools(
    options: PgConnectOptions,
) -> Result<(DatabaseConnection, DatabaseConnection, bool), OpenError> {
    let mut connection = PgConnection::connect_with(&options).await?;
    check_role(&mut connection).await?;
    let waits = sqlx::query_scalar("SELECT current_setting('synchronous_standby_names') <> ''");
    let waits = waits.fetch_one(&mut connection).await?;
    connection.close().await?;
    // As on SQLite: a session never comes back to the pool inside a transaction.
    let pool = |connections| {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(POOL_WAIT)
            // One that is broken shows at BEGIN, before anything is done.
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql("BEGIN; ROLLBACK").execute(&mut *connection).await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_lazy_with(options.clone())
    };
    let opened = |pool| SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    Ok((opened(pool(WRITERS)), opened(pool(READERS)), waits))
}

/// The server's role must not be able to step over the wall between tenants, nor to tear it down.
async fn check_role(connection: &mut PgConnection) -> Result<(), OpenError> {
    let sql = "SELECT current_user::text, rolsuper, rolbypassrls, \
               (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace \
                AND pg_has_role(current_user, relowner, 'MEMBER')), \
               (SELECT coalesce(string_agg(relname::text, ', '), '') FROM pg_class WHERE relkind IN ('r', 'p') \
                AND relnamespace = 'public'::regnamespace AND relname <> 'seaql_migrations' AND NOT relispartition \
                AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT'))) \
               FROM pg_roles WHERE rolname = current_user";
    let row = sqlx::query(sql).fetch_one(connection).await?;
    let (role, owned): (String, i64) = (row.try_get(0)?, row.try_get(3)?);
    let lacking: String = row.try_get(4)?;
    let why = match () {
        () if row.try_get(1)? => "is a superuser, whom row level security does not stop".to_owned(),
        () if row.try_get(2)? => "may bypass row level security (BYPASSRLS)".to_owned(),
        () if owned > 0 => {
            "owns tables, and so could take row level security off them; tables belong to the role that migrates"
                .to_owned()
        }
        () if !lacking.is_empty() => format!("may not read and add rows in {lacking}; run `saldo migrate`"),
        () => return Ok(()),
    };
    Err(OpenError::Role { role, why })
}
