//! The multi-row statements of the hot path, written out because their shape decides its speed. The tenant is the
//! first value of every row and the first parameter of every look-up, put there here. Rows go into SQLite as one long
//! list of values, into PostgreSQL as arrays (`arrays.rs`). Other statements are written with SQLite's `?`; [`dialect`]
//! numbers them for PostgreSQL.

use std::borrow::Cow;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};

use super::{Db, TenantTx, arrays, postgres};
use crate::clock::Clock;

/// So many SQLite takes in a statement.
pub(super) const MAX_PARAMETERS: usize = 32_766;
/// Rows go in steps of these sizes, so that a handful of prepared statements serve every batch.
pub(super) const STEPS: [usize; 4] = [1024, 128, 16, 1];
/// Rows of one statement on PostgreSQL, so that what a recount writes has bounds.
const MAX_ARRAY: usize = 20_000;

/// Where rows go: a table, its columns after `tenant_id`, and what happens to a row that is there already.
pub(crate) struct Insert {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub on_conflict: &'static str,
}

impl Db {
    /// How many batches may be under way at once. Some connections are left to changes of other kinds.
    pub(crate) fn writers(&self) -> usize {
        if self.servers.is_some() { postgres::BATCHES } else { 1 }
    }
}

/// Rows on their way into PostgreSQL: they wait for the next statement of their transaction, so that what a batch writes is
/// one statement and one round trip.
pub(super) struct Waiting {
    into: &'static Insert,
    values: Vec<Value>,
    /// The counter of the tenant whose next numbers the rows get.
    counter: Option<&'static str>,
}

impl TenantTx {
    /// Inserts rows given flat, column after column, without the tenant.
    pub(crate) async fn bulk_insert(&self, into: &'static Insert, mut values: Vec<Value>) -> Result<(), DbErr> {
        if values.is_empty() {
            return Ok(());
        }
        if !self.is_postgres() {
            return self.insert_lists(into, values).await;
        }
        while values.len() > MAX_ARRAY * into.columns.len() {
            let rest = values.split_off(MAX_ARRAY * into.columns.len());
            self.insert_soon(into, std::mem::replace(&mut values, rest), None).await?;
        }
        self.insert_soon(into, values, None).await
    }

    /// The same for rows whose first column, which is not among the values, gets the next numbers of the tenant's counter
    /// in this table. From here to COMMIT nobody else takes any, so that there is no gap and their order is that of the
    /// commits.
    pub(crate) async fn bulk_insert_numbered(
        &self,
        counter: &'static str,
        into: &'static Insert,
        values: Vec<Value>,
    ) -> Result<(), DbErr> {
        if self.is_postgres() {
            return self.insert_soon(into, values, Some(counter)).await;
        }
        let width = into.columns.len() - 1;
        let count = i64::try_from(values.len() / width).unwrap_or(i64::MAX);
        let sql = arrays::take_sql(counter).replace("$1", "?").replace("$2", "?");
        let taken = self.bulk_query::<Taken>(&sql, vec![count.into()]).await?;
        let last = taken.first().ok_or_else(|| DbErr::RecordNotFound(counter.to_owned()))?.sequence;
        let mut numbered = Vec::with_capacity(values.len() + values.len() / width);
        for (number, value) in values.into_iter().enumerate() {
            if number % width == 0 {
                numbered.push((last - count + 1 + i64::try_from(number / width).unwrap_or_default()).into());
            }
            numbered.push(value);
        }
        self.insert_lists(into, numbered).await
    }

    async fn insert_soon(
        &self,
        into: &'static Insert,
        values: Vec<Value>,
        counter: Option<&'static str>,
    ) -> Result<(), DbErr> {
        // One statement changes no row twice.
        if self.waiting().iter().any(|waiting| waiting.into.table == into.table) {
            self.settle().await?;
        }
        self.waiting().push(Waiting { into, values, counter });
        Ok(())
    }

    /// Inserts what waits: before anything else is asked, and before COMMIT.
    pub(crate) async fn settle(&self) -> Result<(), DbErr> {
        let waiting = std::mem::take(&mut *self.waiting());
        let (mut inserts, mut parameters) = (Vec::new(), vec![self.tenant().into()]);
        for Waiting { into, values, counter } in waiting {
            let columns = &into.columns[usize::from(counter.is_some())..];
            let count = i64::try_from(values.len() / columns.len()).unwrap_or(i64::MAX);
            let arrays = arrays::turn(columns.len(), values)?;
            let (kept, values): (Vec<_>, Vec<_>) = arrays.columns.into_iter().unzip();
            let columns: Vec<&str> = kept.into_iter().map(|column| columns[column]).collect();
            let first = parameters.len() + 1;
            if let Some(counter) = counter {
                parameters.push(count.into());
                inserts.push(arrays::take_sql(counter).replace("$2", &format!("${first}")));
                let taken = format!("part_{}", inserts.len() - 1);
                inserts.push(arrays::numbered_sql(into, &columns, arrays.nulls.is_some(), first, &taken));
            } else {
                inserts.push(arrays::insert_sql(into, &columns, arrays.nulls.is_some(), first));
            }
            parameters.extend(values.into_iter().chain(arrays.nulls));
        }
        let Some(sql) = arrays::together(inserts) else { return Ok(()) };
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, parameters);
        self.settled().execute_raw(statement).await.map(drop)
    }

    async fn insert_lists(&self, into: &Insert, values: Vec<Value>) -> Result<(), DbErr> {
        let width = into.columns.len();
        let mut left = values.len() / width;
        let mut values = values.into_iter();
        while left > 0 {
            let fitting = STEPS.iter().find(|step| **step <= left && **step * (width + 1) <= MAX_PARAMETERS);
            let rows = *fitting.unwrap_or(&1);
            let mut parameters = Vec::with_capacity(rows * (width + 1));
            for _ in 0..rows {
                parameters.push(self.tenant().into());
                parameters.extend(values.by_ref().take(width));
            }
            let statement = Statement::from_sql_and_values(DbBackend::Sqlite, into.sql(rows), parameters);
            self.connection().await?.execute_raw(statement).await?;
            left -= rows;
        }
        Ok(())
    }

    /// Marks that something changed which pricing or mapping can see, so that no process goes on with what it remembers.
    /// An epoch is the time of the change, so that one which was lost (a backup restored, a standby that lagged) does not
    /// come again for something else.
    pub(crate) async fn bump_epoch(&self, clock: &Clock) -> Result<(), DbErr> {
        let now: Value = clock.now().into();
        let sql = "UPDATE tenants SET config_epoch = CASE WHEN config_epoch < ? THEN ? ELSE config_epoch + 1 END WHERE id = ?";
        let statement = self.statement(sql, vec![now.clone(), now, self.tenant().into()]);
        self.connection().await?.execute_raw(statement).await.map(drop)
    }

    /// What [`TenantTx::bump_epoch`] counts, as this transaction sees it.
    pub(crate) async fn epoch(&self) -> Result<i64, DbErr> {
        let statement = self.statement("SELECT config_epoch FROM tenants WHERE id = ?", vec![self.tenant().into()]);
        let row = self.connection().await?.query_one_raw(statement).await?;
        row.ok_or_else(|| DbErr::RecordNotFound(format!("tenant {}", self.tenant())))?.try_get_by_index(0)
    }

    fn statement(&self, sql: &str, values: Vec<Value>) -> Statement {
        let backend = self.settled().get_database_backend();
        Statement::from_sql_and_values(backend, dialect(sql, backend).into_owned(), values)
    }

    /// The rows whose last column of the lookup is one of `texts`.
    pub(crate) async fn bulk_lookup<R: FromQueryResult>(
        &self,
        lookup: &Lookup,
        fixed: impl IntoIterator<Item = Value>,
        texts: &[impl AsRef<str>],
    ) -> Result<Vec<R>, DbErr> {
        let backend = self.settled().get_database_backend();
        let texts = texts.iter().map(AsRef::as_ref);
        let list = match backend {
            DbBackend::Postgres => arrays::of_texts(texts),
            _ => serde_json::Value::from_iter(texts).to_string().into(),
        };
        let values = std::iter::once(self.tenant().into()).chain(fixed).chain([list]);
        let statement = Statement::from_sql_and_values(backend, lookup.sql(backend), values);
        R::find_by_statement(statement).all(self.connection().await?).await
    }

    /// Rows of `sql` whose first parameter is the tenant and the rest `parameters`. `sql` uses `?`.
    pub(crate) async fn bulk_query<R: FromQueryResult>(
        &self,
        sql: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<R>, DbErr> {
        let mut all = Vec::with_capacity(parameters.len() + 1);
        all.push(self.tenant().into());
        all.extend(parameters);
        R::find_by_statement(self.statement(sql, all)).all(self.connection().await?).await
    }
}

#[derive(FromQueryResult)]
struct Taken {
    sequence: i64,
}

/// Where rows are looked up by many texts at once: a table, what is wanted of it, and its columns after `tenant_id`, the
/// last of which is the one that is looked up.
pub(crate) struct Lookup {
    pub table: &'static str,
    pub wanted: &'static str,
    pub by: &'static [&'static str],
}

impl Lookup {
    /// Its parameters are the tenant, a value for each column but the last, and the texts: an array, or on SQLite one in JSON.
    fn sql(&self, backend: DbBackend) -> String {
        let Self { table, wanted, by } = self;
        let (last, fixed) = by.split_last().unwrap_or((&"", &[]));
        let fixed: String = fixed.iter().map(|column| format!(" AND {column} = ?")).collect();
        if backend != DbBackend::Postgres {
            return format!(
                "SELECT {wanted} FROM {table} WHERE tenant_id = ?{fixed} AND {last} IN (SELECT value FROM json_each(?))"
            );
        }
        // One by one: compared with a list, each row of the tenant would be compared with all of it. OFFSET keeps the
        // planner from undoing that.
        let list = by.len() + 1;
        dialect(
            &format!(
                "SELECT found.* FROM UNNEST(${list}) AS listed (value), \
                 LATERAL (SELECT {wanted} FROM {table} WHERE tenant_id = ?{fixed} AND {last} = listed.value OFFSET 0) AS found"
            ),
            backend,
        )
        .into_owned()
    }
}

impl Insert {
    fn sql(&self, rows: usize) -> String {
        let row = format!("(?{})", ", ?".repeat(self.columns.len()));
        let mut sql = format!("INSERT INTO {} (tenant_id, {}) VALUES ", self.table, self.columns.join(", "));
        for number in 0..rows {
            if number > 0 {
                sql.push_str(", ");
            }
            sql.push_str(&row);
        }
        sql.push(' ');
        sql.push_str(self.on_conflict);
        sql
    }
}

/// The same statement in the words of the database that is there.
pub(super) fn dialect(sql: &str, backend: DbBackend) -> Cow<'_, str> {
    if backend != DbBackend::Postgres {
        return sql.into();
    }
    let mut numbered = String::with_capacity(sql.len() * 2);
    for (number, piece) in sql.split('?').enumerate() {
        if number > 0 {
            numbered.push('$');
            numbered.push_str(&number.to_string());
        }
        numbered.push_str(piece);
    }
    numbered.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_gets_numbers_and_looks_up_one_by_one() {
        let sql = "SELECT a FROM t WHERE b = ? AND c = ?";
        assert_eq!(dialect(sql, DbBackend::Sqlite), sql);
        assert_eq!(dialect(sql, DbBackend::Postgres), "SELECT a FROM t WHERE b = $1 AND c = $2");
        let lookup = Lookup { table: "t", wanted: "a, c", by: &["b", "c"] };
        assert_eq!(
            lookup.sql(DbBackend::Sqlite),
            "SELECT a, c FROM t WHERE tenant_id = ? AND b = ? AND c IN (SELECT value FROM json_each(?))"
        );
        assert_eq!(
            lookup.sql(DbBackend::Postgres),
            "SELECT found.* FROM UNNEST($3) AS listed (value), \
             LATERAL (SELECT a, c FROM t WHERE tenant_id = $1 AND b = $2 AND c = listed.value OFFSET 0) AS found"
        );
    }
}
