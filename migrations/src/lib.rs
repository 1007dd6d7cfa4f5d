//! The schema's history: one file per change. It imports no entity, because history must not move.
//!
//! A change is written once, in the types of PostgreSQL; [`dialect`] maps them to SQLite, where every table is
//! `STRICT` (a sum that overflows is refused there instead of turning into a float) and `WITHOUT ROWID` (the
//! primary key, with the tenant first, is the table itself), but for the tables whose rows are large. On PostgreSQL
//! texts are ordered by their bytes, as on SQLite, whatever the database's locale.

use std::path::Path;

pub use grants::APPEND_ONLY;
pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectOptions, ConnectionTrait, Database, Statement};

use tables::tables;

mod grants;
mod m0006_walls;
mod m0007_partitions;
pub mod partitions;
mod tables;

/// The digits of "saldo".
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_lock(495555732591)";

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            tables!("m0001_initial", walled: false),
            tables!("m0002_events", walled: false),
            tables!("m0003_idempotency", walled: false),
            tables!("m0004_anomalies", walled: false),
            tables!("m0005_mails", walled: false),
            Box::new(m0006_walls::Migration),
            Box::new(m0007_partitions::Migration),
            tables!("m0008_clauses", walled: false),
            tables!("m0009_versions", walled: true),
            tables!("m0010_funds", walled: true),
            tables!("m0011_parties", walled: true),
            tables!("m0012_players", walled: true),
            tables!("m0013_calendars", walled: true),
            tables!("m0014_credit", walled: true),
        ]
    }
}

/// How a database's schema stands to this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Current,
    /// Changes are missing, or the database itself is.
    Older,
    /// A later build was here; this one does not know what it did.
    Newer,
}

/// Where the schema behind `url` stands. Writes nothing, and makes no file.
pub async fn status(url: &str) -> Result<Status, DbErr> {
    if sqlite_path(url).is_some_and(|path| !path.exists()) {
        return Ok(Status::Older);
    }
    let db = Database::connect(quiet(url.to_owned())).await?;
    let status = status_of(&db).await;
    db.close().await?;
    status
}

/// Brings the schema behind `url` up to date, making the database where it is missing. How many changes it took.
/// It opens a connection of its own and closes it; a schema that is newer than this build is left alone. On a server, a
/// second one waits until the first is done.
pub async fn up(url: &str) -> Result<usize, DbErr> {
    let sqlite = sqlite_path(url).is_some();
    let db = Database::connect(quiet(if sqlite { format!("{url}?mode=rwc") } else { url.to_owned() })).await?;
    if !sqlite {
        // Held until the connection closes.
        db.execute_unprepared(ONE_AT_A_TIME).await?;
    }
    let done = match status_of(&db).await {
        Ok(Status::Newer) => Err(DbErr::Migration("the database is newer than this build of Saldo".to_owned())),
        Ok(Status::Current) => Ok(0),
        Ok(Status::Older) => {
            let before = Migrator::get_migration_models(&db).await?.len();
            Migrator::up(&db, None).await.map(|()| Migrator::migrations().len() - before)
        }
        Err(error) => Err(error),
    };
    db.close().await?;
    done
}

/// Gives the server's role what it needs of the schema behind `url`, which belongs to another role.
pub async fn grant(url: &str, role: &str) -> Result<(), DbErr> {
    let db = Database::connect(quiet(url.to_owned())).await?;
    let given = grants::give(&db, role).await;
    db.close().await?;
    given
}

fn quiet(url: String) -> ConnectOptions {
    ConnectOptions::new(url).sqlx_logging(false).max_connections(1).to_owned()
}

fn sqlite_path(url: &str) -> Option<&Path> {
    url.strip_prefix("sqlite://").map(Path::new)
}

// The migrations run on a connection of their own, before there is a `Db`.
#[allow(clippy::disallowed_types)]
async fn status_of(db: &sea_orm::DatabaseConnection) -> Result<Status, DbErr> {
    if !SchemaManager::new(db).has_table("seaql_migrations").await? {
        return Ok(Status::Older);
    }
    // Not by the library, which would make the table where it is missing: the server's role may not.
    let sql = Statement::from_string(db.get_database_backend(), "SELECT version FROM seaql_migrations");
    let rows = db.query_all_raw(sql).await?;
    let applied = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<String>, _>>()?;
    Ok(standing(&applied))
}

/// How a schema with these changes stands to this build.
pub fn standing(applied: &[String]) -> Status {
    let known: Vec<String> = Migrator::migrations().iter().map(|known| known.name().to_owned()).collect();
    if applied.iter().any(|applied| !known.contains(applied)) {
        Status::Newer
    } else if applied.len() < known.len() {
        Status::Older
    } else {
        Status::Current
    }
}

/// The same statements in the words of the database that is there.
fn dialect(sql: &str, backend: sea_orm::DatabaseBackend) -> String {
    if backend != sea_orm::DatabaseBackend::Sqlite {
        let ordered = |code: &str| code.replace(" TEXT", " TEXT COLLATE \"C\"");
        let line = |line: &str| match line.split_once("--") {
            Some((code, comment)) => format!("{}--{comment}", ordered(code)),
            None => ordered(line),
        };
        return sql.lines().map(line).collect::<Vec<_>>().join("\n");
    }
    sql.lines()
        .map(|line| {
            let (code, comment) = line.split_once("--").unwrap_or((line, ""));
            let code = code
                .replace(" UUID", " BLOB")
                .replace(" BYTEA", " BLOB")
                .replace(" BIGINT", " INTEGER")
                .replace(" BOOLEAN", " INTEGER");
            match (code.trim_end(), comment.contains("keeps its rowid")) {
                (");", true) => ") STRICT;".to_owned(),
                (");", false) => ") STRICT, WITHOUT ROWID;".to_owned(),
                _ => code,
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_gets_strict_tables_without_rowid() {
        let sql = "CREATE TABLE t ( -- a TEXT\n  id UUID NOT NULL, n BIGINT, s TEXT,\n  PRIMARY KEY (id)\n);";
        assert_eq!(
            dialect(sql, sea_orm::DatabaseBackend::Sqlite),
            "CREATE TABLE t ( \n  id BLOB NOT NULL, n INTEGER, s TEXT,\n  PRIMARY KEY (id)\n) STRICT, WITHOUT ROWID;"
        );
        assert_eq!(
            dialect(sql, sea_orm::DatabaseBackend::Postgres),
            "CREATE TABLE t ( -- a TEXT\n  id UUID NOT NULL, n BIGINT, s TEXT COLLATE \"C\",\n  PRIMARY KEY (id)\n);"
        );
    }
}
