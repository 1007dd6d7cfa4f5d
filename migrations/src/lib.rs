//! The schema's history: one file per change. It imports no entity, because history must not move.
//!
//! A change is written once, in the types of PostgreSQL; [`dialect`] maps them to SQLite, where every table is
//! `STRICT` (a sum that overflows is refused there instead of turning into a float) and `WITHOUT ROWID` (the
//! primary key, with the tenant first, is the table itself).

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m0001_initial;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_initial::Migration)]
    }
}

/// The same statements in the words of the database that is there.
fn dialect(sql: &str, backend: sea_orm::DatabaseBackend) -> String {
    if backend != sea_orm::DatabaseBackend::Sqlite {
        return sql.to_owned();
    }
    sql.lines()
        .map(|line| match line.split_once("--") {
            Some((code, _)) => code,
            None => line,
        })
        .map(|line| {
            line.replace(" UUID", " BLOB")
                .replace(" BYTEA", " BLOB")
                .replace(" BIGINT", " INTEGER")
                .replace(" BOOLEAN", " INTEGER")
        })
        .map(|line| if line == ");" { ") STRICT, WITHOUT ROWID;".to_owned() } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_gets_strict_tables_without_rowid() {
        let sql = "CREATE TABLE t ( -- note\n  id UUID NOT NULL, n BIGINT,\n  PRIMARY KEY (id)\n);";
        assert_eq!(
            dialect(sql, sea_orm::DatabaseBackend::Sqlite),
            "CREATE TABLE t ( \n  id BLOB NOT NULL, n INTEGER,\n  PRIMARY KEY (id)\n) STRICT, WITHOUT ROWID;"
        );
        assert_eq!(dialect(sql, sea_orm::DatabaseBackend::Postgres), sql);
    }
}
