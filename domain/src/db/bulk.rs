//! The multi-row statements of the hot path, written out because their shape decides its speed. The tenant is the
//! first value of every row and the first parameter of every look-up, put there here.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement, Value};

use super::TenantTx;

/// SQLite takes 32,766 parameters a statement.
const MAX_PARAMETERS: usize = 32_766;
/// Rows go in steps of these sizes, so that a handful of prepared statements serve every batch.
const STEPS: [usize; 4] = [1024, 128, 16, 1];

/// Where rows go: a table, its columns after `tenant_id`, and what happens to a row that is there already.
pub(crate) struct Insert {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub on_conflict: &'static str,
}

impl TenantTx {
    /// Inserts rows given flat, column after column, without the tenant.
    pub(crate) async fn bulk_insert(&self, into: &Insert, values: Vec<Value>) -> Result<(), DbErr> {
        let width = into.columns.len();
        let backend = self.connection().get_database_backend();
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
            let statement = Statement::from_sql_and_values(backend, into.sql(rows), parameters);
            self.connection().execute_raw(statement).await?;
            left -= rows;
        }
        Ok(())
    }

    /// Marks that something changed which pricing or mapping can see, so that no node goes on with what it remembers.
    pub(crate) async fn bump_epoch(&self) -> Result<(), DbErr> {
        self.execute("UPDATE tenants SET config_epoch = config_epoch + 1 WHERE id = ?").await
    }

    /// What [`TenantTx::bump_epoch`] counts, as this transaction sees it.
    pub(crate) async fn epoch(&self) -> Result<i64, DbErr> {
        let sql = "SELECT config_epoch FROM tenants WHERE id = ?";
        let statement =
            Statement::from_sql_and_values(self.connection().get_database_backend(), sql, [self.tenant().into()]);
        let row = self.connection().query_one_raw(statement).await?;
        row.ok_or_else(|| DbErr::RecordNotFound(format!("tenant {}", self.tenant())))?.try_get_by_index(0)
    }

    async fn execute(&self, sql: &str) -> Result<(), DbErr> {
        let statement =
            Statement::from_sql_and_values(self.connection().get_database_backend(), sql, [self.tenant().into()]);
        self.connection().execute_raw(statement).await.map(drop)
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
        let statement = Statement::from_sql_and_values(self.connection().get_database_backend(), sql, all);
        R::find_by_statement(statement).all(self.connection()).await
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
