//! What the server's role may do on PostgreSQL. It owns nothing, so this is all of it.

use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// Tables in which a row stands once it is written: it is neither changed nor removed.
pub const APPEND_ONLY: [&str; 11] = [
    "anomaly_verdicts",
    "conflicts",
    "contract_funds",
    "contract_version_steps",
    "ingest_blocks",
    "ledger_entries",
    "ledger_legs",
    "settlement_lines",
    "settlement_parties",
    "transaction_keys",
    "transactions",
];

/// Gives a role what the server needs, and takes from it what it must not have.
pub(super) async fn give(db: &impl ConnectionTrait, role: &str) -> Result<(), DbErr> {
    let role = quoted(role);
    // It reads and writes partitions through the table that they are parts of.
    let sql = "SELECT coalesce(string_agg(oid::regclass::text, ', '), '') FROM pg_class \
               WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let parts: String = row.ok_or_else(|| DbErr::Custom("no answer".into()))?.try_get_by_index(0)?;
    let parts = if parts.is_empty() { String::new() } else { format!("REVOKE ALL ON {parts} FROM {role};") };
    let fixed = APPEND_ONLY.join(", ");
    let sql = format!(
        "GRANT USAGE ON SCHEMA public TO {role};
         REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
         REVOKE UPDATE, DELETE ON {fixed}, signing_keys, tenants FROM {role};
         REVOKE INSERT, UPDATE, DELETE ON seaql_migrations FROM {role};
         GRANT UPDATE (config_epoch) ON tenants TO {role};
         GRANT UPDATE (score, model_id) ON transactions TO {role};
         {parts}"
    );
    db.execute_unprepared(&sql).await.map(drop)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_whatever_is_in_it() {
        assert_eq!(quoted("saldo"), "\"saldo\"");
        assert_eq!(quoted("a\"; DROP TABLE t; --"), "\"a\"\"; DROP TABLE t; --\"");
    }
}
