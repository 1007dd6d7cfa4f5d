//! The statements that spread the same schema over the machines of a Citus cluster, by tenant.

use std::fmt::Write;

use sea_orm::DbErr;

use super::Db;
use super::catalogue::{self, Table};

/// Stays where the migrations run: nothing refers to it, and no request reads it.
const LOCAL: &str = "seaql_migrations";

impl Db {
    /// What spreads this database over a Citus cluster, to be run by its owner. Nothing is run here.
    pub async fn distribution(&self) -> Result<String, DbErr> {
        Ok(statements(&catalogue::read(&self.pools().readers).await?))
    }
}

/// `tables` come each after those that it refers to, which is the order that foreign keys need.
fn statements(tables: &[Table]) -> String {
    let mut sql = "-- Run these as the owner of the tables, on the coordinator, while nobody uses the database.\n\
                   -- Row level security needs the transaction's tenant on every node:\n\
                   --   ALTER ROLE <the server's role> SET citus.propagate_set_commands = 'local';\n\
                   BEGIN;\n"
        .to_owned();
    let by_tenant = |table: &&Table| table.tenant() == Some("tenant_id");
    for table in tables.iter().filter(|table| !by_tenant(table) && table.name() != LOCAL) {
        // A text that cannot be written to a String does not exist.
        writeln!(sql, "-- {}: few rows, a copy on every node; tables of tenants may refer to it.", table.name()).ok();
        writeln!(sql, "SELECT create_reference_table('{}');", table.name()).ok();
    }
    let mut first: Option<&str> = None;
    for table in tables.iter().filter(by_tenant) {
        let (why, beside) = match first {
            None => ("the first: its shards are the tenants' places", "none"),
            Some(first) => ("a tenant's rows beside its others, with all of its partitions", first),
        };
        writeln!(sql, "-- {}: {why}.", table.name()).ok();
        let name = table.name();
        writeln!(sql, "SELECT create_distributed_table('{name}', 'tenant_id', colocate_with => '{beside}');").ok();
        first = first.or(Some(name));
    }
    writeln!(sql, "-- {LOCAL} stays on the coordinator, where migrations run.\nCOMMIT;").ok();
    sql
}
