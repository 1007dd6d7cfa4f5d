//! All of a tenant's rows of any table, for moving them to another database. The tenant is bound here as everywhere:
//! it filters every row that is read and is put into every row that is written.

use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, TryGetable, Value};
use uuid::Uuid;

use super::TenantTx;
use super::bulk::{MAX_PARAMETERS, STEPS, dialect};
use super::catalogue::{self, Column, Kind, Table};

/// A value as every database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Bytes(Vec<u8>),
    Integer(i64),
    Text(String),
}

impl TenantTx {
    /// The tables that hold rows of tenants, `tenants` included, each after those that it refers to.
    pub(crate) async fn tables(&self) -> Result<Vec<Table>, DbErr> {
        let mut tables = catalogue::read(self.connection().await?).await?;
        tables.retain(|table| table.tenant().is_some());
        Ok(tables)
    }

    /// The changes of the schema that the database has been through, in their order.
    pub(crate) async fn schema(&self) -> Result<Vec<String>, DbErr> {
        let backend = self.settled().get_database_backend();
        let sql = Statement::from_string(backend, "SELECT version FROM seaql_migrations ORDER BY version");
        self.connection().await?.query_all_raw(sql).await?.iter().map(|row| row.try_get_by_index(0)).collect()
    }

    /// Lets a statement of this transaction take as long as it takes: reading a table to its end is one.
    pub(crate) async fn allow_long_statements(&self) -> Result<(), DbErr> {
        if self.settled().get_database_backend() == DbBackend::Postgres {
            self.connection().await?.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        }
        Ok(())
    }

    /// Gives `each` every row that the tenant has in a table, in the order of the key, which is the same on every
    /// database. One row is in memory at a time.
    pub(crate) async fn each_row<E: From<DbErr>>(
        &self,
        table: &Table,
        mut each: impl FnMut(Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        let tenant = tenant_column(table)?;
        // A table whose key is the tenant has one row.
        let names = |columns: &[Column]| columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>();
        let order = match table.key() {
            [] => String::new(),
            key => format!(" ORDER BY {}", names(key).join(", ")),
        };
        let columns = names(table.typed_columns()).join(", ");
        // A table may be nothing but its tenant.
        let columns = if columns.is_empty() { "1" } else { &columns };
        let sql = format!("SELECT {columns} FROM {} WHERE {} = ?{order}", quoted(table.name()), quoted(tenant));
        let backend = self.settled().get_database_backend();
        let sql = dialect(&sql, backend).into_owned();
        let statement = Statement::from_sql_and_values(backend, sql, [self.tenant().into()]);
        let mut rows = std::pin::pin!(self.stream(statement).await?);
        while let Some(row) = rows.try_next().await? {
            let cells = table.typed_columns().iter().enumerate().map(|(index, column)| read(&row, index, column.kind));
            each(cells.collect::<Result<_, DbErr>>()?)?;
        }
        Ok(())
    }

    /// Adds rows of this tenant, each with the values of the table's columns in their order.
    pub(crate) async fn put_rows(&self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), DbErr> {
        let tenant = tenant_column(table)?;
        let columns = table.typed_columns();
        let backend = self.settled().get_database_backend();
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let fits = |step: &&usize| **step <= left && **step * (columns.len() + 1) <= MAX_PARAMETERS;
            let step = STEPS.iter().find(fits).copied().unwrap_or(1);
            let mut values = Vec::with_capacity(step * (columns.len() + 1));
            for row in rows.by_ref().take(step) {
                values.push(self.tenant().into());
                for (cell, column) in row.into_iter().zip(columns) {
                    values.push(value(cell, column, table)?);
                }
            }
            let sql = dialect(&insert(table.name(), tenant, columns, step), backend).into_owned();
            self.connection().await?.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            left -= step;
        }
        Ok(())
    }
}

fn tenant_column(table: &Table) -> Result<&'static str, DbErr> {
    table.tenant().ok_or_else(|| DbErr::Custom(format!("{} has no rows of tenants", table.name())))
}

/// Names are those of the catalogue; the quotes are for those that are words of SQL.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn insert(table: &str, tenant: &str, columns: &[Column], rows: usize) -> String {
    let names: String = columns.iter().map(|column| format!(", {}", quoted(&column.name))).collect();
    let row = format!("(?{})", ", ?".repeat(columns.len()));
    let all = vec![row; rows].join(", ");
    format!("INSERT INTO {} ({}{names}) VALUES {all}", quoted(table), quoted(tenant))
}

fn read(row: &QueryResult, index: usize, kind: Kind) -> Result<Cell, DbErr> {
    fn get<T: TryGetable>(row: &QueryResult, index: usize, cell: impl FnOnce(T) -> Cell) -> Result<Cell, DbErr> {
        Ok(row.try_get_by_index::<Option<T>>(index)?.map_or(Cell::Null, cell))
    }
    match kind {
        Kind::Uuid => get(row, index, |id: Uuid| Cell::Bytes(id.as_bytes().to_vec())),
        Kind::Bytes => get(row, index, Cell::Bytes),
        Kind::Integer => get(row, index, Cell::Integer),
        Kind::Boolean => get(row, index, |is_so: bool| Cell::Integer(is_so.into())),
        Kind::Text => get(row, index, Cell::Text),
    }
}

/// A value in the type of its column; what does not go into it is refused by name.
fn value(cell: Cell, column: &Column, table: &Table) -> Result<Value, DbErr> {
    Ok(match (column.kind, cell) {
        (Kind::Uuid, Cell::Null) => Value::Uuid(None),
        (Kind::Bytes, Cell::Null) => Value::Bytes(None),
        (Kind::Integer, Cell::Null) => Value::BigInt(None),
        (Kind::Boolean, Cell::Null) => Value::Bool(None),
        (Kind::Text, Cell::Null) => Value::String(None),
        (Kind::Uuid, Cell::Bytes(bytes)) if bytes.len() == 16 => {
            Uuid::from_slice(&bytes).map_err(|error| DbErr::Type(error.to_string()))?.into()
        }
        (Kind::Bytes, Cell::Bytes(bytes)) => bytes.into(),
        (Kind::Integer, Cell::Integer(number)) => number.into(),
        (Kind::Boolean, Cell::Integer(number @ (0 | 1))) => (number == 1).into(),
        (Kind::Text, Cell::Text(text)) => text.into(),
        (kind, _) => {
            return Err(DbErr::Type(format!("a value of {}.{} is no {kind:?}", table.name(), column.name)));
        }
    })
}
