//! The partitions of `transactions` on PostgreSQL: a month of recorded time each, and one for what belongs to none.
//! They belong to the role that owns the tables, and so are made ahead by whoever has its URL, never by the server.
//! The server's role has no right on them: it reads and writes through the table that they are parts of.
#![expect(clippy::disallowed_types, reason = "whoever owns the tables comes by itself, beside any server")]

use sea_orm_migration::sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement, TransactionTrait,
};

use crate::quiet;

/// The one for what belongs to no month.
pub const OTHER: &str = "transactions_other";
/// What the server's role is not in.
const ARCHIVE: &str = "archive";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub name: String,
    /// `2026-11`, or nothing for the one that takes what belongs to no month.
    pub month: Option<String>,
    pub bytes: i64,
    /// As the server last estimated them.
    pub rows: i64,
}

/// A month, and the ids that were made in it: from the first on, before the second.
struct Month {
    name: String,
    from: String,
    until: String,
}

/// Makes the partitions from the present month on, `ahead` of them, that are not there. Rows of such a month that are
/// in the partition for others move into it. Gives the names of the new ones.
pub async fn make_ahead(url: &str, ahead: u32) -> Result<Vec<String>, DbErr> {
    let from = "date_trunc('month', now() AT TIME ZONE 'UTC')";
    make(url, from, ahead).await
}

/// The same from a month on: `2026-11`.
pub async fn make_from(url: &str, month: &str, count: u32) -> Result<Vec<String>, DbErr> {
    let (year, number) = parsed(month)?;
    make(url, &format!("make_timestamp({year}, {number}, 1, 0, 0, 0)"), count).await
}

pub async fn list(url: &str) -> Result<Vec<Partition>, DbErr> {
    let db = Database::connect(quiet(url.to_owned())).await?;
    let listed = list_in(&db).await;
    db.close().await?;
    listed
}

/// Takes the partition of a month out of the table and into the schema `archive`, where the server's role has no
/// business. Refused while a settlement is open in some tenant that the month's transactions may count in.
pub async fn detach(url: &str, month: &str) -> Result<String, DbErr> {
    let (year, number) = parsed(month)?;
    let db = Database::connect(quiet(url.to_owned())).await?;
    let done = in_transaction(&db, async |tx| {
        let first = format!("make_timestamp({year}, {number}, 1, 0, 0, 0)");
        let month = months(tx, &first, 1).await?.pop().ok_or_else(|| DbErr::Custom("no month".into()))?;
        // A server that is at work is not held up for long; whoever detaches tries again.
        tx.execute_unprepared("SET LOCAL lock_timeout = '5s'").await?;
        refuse_open(tx, &first).await?;
        let name = &month.name;
        tx.execute_unprepared(&format!(
            "ALTER TABLE transactions DETACH PARTITION {name};
             CREATE SCHEMA IF NOT EXISTS {ARCHIVE};
             ALTER TABLE {name} SET SCHEMA {ARCHIVE}"
        ))
        .await?;
        Ok(format!("{ARCHIVE}.{name}"))
    })
    .await;
    db.close().await?;
    done
}

/// Puts a month back that [`detach`] took out.
pub async fn attach(url: &str, month: &str) -> Result<String, DbErr> {
    let (year, number) = parsed(month)?;
    let db = Database::connect(quiet(url.to_owned())).await?;
    let done = in_transaction(&db, async |tx| {
        let first = format!("make_timestamp({year}, {number}, 1, 0, 0, 0)");
        let month = months(tx, &first, 1).await?.pop().ok_or_else(|| DbErr::Custom("no month".into()))?;
        let Month { name, from, until } = month;
        tx.execute_unprepared(&format!(
            "SET LOCAL lock_timeout = '5s';
             ALTER TABLE {ARCHIVE}.{name} SET SCHEMA public;
             ALTER TABLE transactions ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{until}')"
        ))
        .await?;
        Ok(name)
    })
    .await;
    db.close().await?;
    done
}

async fn make(url: &str, from: &str, count: u32) -> Result<Vec<String>, DbErr> {
    let db = Database::connect(quiet(url.to_owned())).await?;
    let made = in_transaction(&db, async |tx| {
        let there: Vec<String> = list_in(tx).await?.into_iter().map(|partition| partition.name).collect();
        let mut made = Vec::new();
        for month in months(tx, from, count).await? {
            if !there.contains(&month.name) {
                add(tx, &month).await?;
                made.push(month.name);
            }
        }
        Ok(made)
    })
    .await;
    db.close().await?;
    made
}

/// Adds a month, behind the same wall as the table itself.
async fn add(tx: &DatabaseTransaction, Month { name, from, until }: &Month) -> Result<(), DbErr> {
    let bound = "nullif(current_setting('app.tenant', true), '')::uuid";
    let of_month = format!("id >= '{from}' AND id < '{until}'");
    // Nobody adds rows while those that are there already move. The owner is no exception to the policies unless they
    // are told so, and a foreign key is checked with what the owner sees; to a row that moves it holds at the end.
    tx.execute_unprepared(&format!(
        "SET LOCAL lock_timeout = '5s';
         LOCK TABLE transactions IN SHARE ROW EXCLUSIVE MODE;
         CREATE TABLE {name} (LIKE transactions INCLUDING INDEXES);
         ALTER TABLE unscored DROP CONSTRAINT unscored_tenant_id_transaction_id_fkey;
         ALTER TABLE {OTHER} NO FORCE ROW LEVEL SECURITY;
         WITH moved AS (DELETE FROM {OTHER} WHERE {of_month} RETURNING *) INSERT INTO {name} SELECT * FROM moved;
         ALTER TABLE {OTHER} FORCE ROW LEVEL SECURITY;
         ALTER TABLE transactions ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{until}');
         ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
         ALTER TABLE {name} FORCE ROW LEVEL SECURITY;
         CREATE POLICY tenant ON {name} USING (tenant_id = {bound}) WITH CHECK (tenant_id = {bound});
         ALTER TABLE unscored NO FORCE ROW LEVEL SECURITY;
         ALTER TABLE transactions NO FORCE ROW LEVEL SECURITY;
         ALTER TABLE unscored ADD CONSTRAINT unscored_tenant_id_transaction_id_fkey
           FOREIGN KEY (tenant_id, transaction_id) REFERENCES transactions (tenant_id, id);
         ALTER TABLE transactions FORCE ROW LEVEL SECURITY;
         ALTER TABLE unscored FORCE ROW LEVEL SECURITY"
    ))
    .await
    .map(drop)
}

/// The months from an instant on, with the ids that begin with their times.
async fn months(db: &impl ConnectionTrait, from: &str, count: u32) -> Result<Vec<Month>, DbErr> {
    let id = |at: &str| {
        format!("(rpad(lpad(to_hex(CAST(extract(epoch FROM {at}) * 1000 AS bigint)), 12, '0'), 32, '0'))::uuid::text")
    };
    let sql = format!(
        "SELECT 'transactions_' || to_char(month, 'YYYY_MM'), {}, {} \
         FROM (SELECT {from} + make_interval(months => number) AS month FROM generate_series(0, {count} - 1) AS number) AS listed",
        id("month"),
        id("(month + interval '1 month')")
    );
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let month = |row: &sea_orm_migration::sea_orm::QueryResult| {
        Ok(Month { name: row.try_get_by_index(0)?, from: row.try_get_by_index(1)?, until: row.try_get_by_index(2)? })
    };
    rows.iter().map(month).collect()
}

async fn list_in(db: &impl ConnectionTrait) -> Result<Vec<Partition>, DbErr> {
    let sql = "SELECT relname::text, pg_total_relation_size(pg_class.oid), greatest(reltuples, 0)::bigint \
               FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid \
               WHERE inhparent = 'public.transactions'::regclass ORDER BY relname";
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let partition = |row: &sea_orm_migration::sea_orm::QueryResult| {
        let name: String = row.try_get_by_index(0)?;
        let month = name.strip_prefix("transactions_").filter(|month| *month != "other");
        let month = month.map(|month| month.replace('_', "-"));
        Ok(Partition { month, bytes: row.try_get_by_index(1)?, rows: row.try_get_by_index(2)?, name })
    };
    rows.iter().map(partition).collect()
}

/// A settlement that began before the end of the month may still count what was recorded in it. Each tenant is asked as
/// itself: its rows are nobody else's, the owner's included.
async fn refuse_open(tx: &DatabaseTransaction, first: &str) -> Result<(), DbErr> {
    let sql = |sql: String| Statement::from_string(DbBackend::Postgres, sql);
    let before = format!("(extract(epoch FROM {first} + interval '1 month') * 1000000)::bigint");
    for row in tx.query_all_raw(sql("SELECT id::text, slug FROM tenants ORDER BY slug".into())).await? {
        let (id, slug): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        tx.execute_unprepared(&format!("SET LOCAL app.tenant = '{id}'")).await?;
        let open = format!("SELECT count(*) FROM settlements WHERE state = 'OPEN' AND period_start < {before}");
        let row = tx.query_one_raw(sql(open)).await?.ok_or_else(|| DbErr::Custom("no count".into()))?;
        let open: i64 = row.try_get_by_index(0)?;
        if open > 0 {
            return Err(DbErr::Custom(format!(
                "the tenant {slug} has {open} open settlements that this month's transactions may count in; close them first"
            )));
        }
    }
    Ok(())
}

async fn in_transaction<T>(
    db: &DatabaseConnection,
    work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, DbErr>,
) -> Result<T, DbErr> {
    let tx = db.begin().await?;
    let done = work(&tx).await?;
    tx.commit().await?;
    Ok(done)
}

fn parsed(month: &str) -> Result<(u16, u8), DbErr> {
    let read = || {
        let (year, number) = month.split_once('-')?;
        let number: u8 = number.parse().ok().filter(|number| (1..=12).contains(number))?;
        Some((year.parse().ok()?, number))
    };
    read().ok_or_else(|| DbErr::Custom(format!("'{month}' is no month; write it like 2026-11")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_year_and_a_number() {
        assert_eq!(parsed("2026-11").unwrap(), (2026, 11));
        for nonsense in ["2026", "2026-13", "2026-00", "x-1", "2026-1; DROP TABLE t"] {
            assert!(parsed(nonsense).is_err(), "{nonsense}");
        }
    }
}
