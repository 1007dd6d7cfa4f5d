//! A change that is a file of tables, with row security around them where the database has it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

pub struct Tables {
    pub name: &'static str,
    pub sql: &'static str,
    /// From the change on that built the walls.
    pub walled: bool,
}

/// The change of the file of this name.
macro_rules! tables {
    ($name:literal, walled: $walled:literal) => {
        Box::new(crate::tables::Tables { name: $name, sql: include_str!(concat!($name, ".sql")), walled: $walled })
    };
}
pub(crate) use tables;

impl MigrationName for Tables {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Tables {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (connection, backend) = (manager.get_connection(), manager.get_database_backend());
        connection.execute_unprepared(&crate::dialect(self.sql, backend)).await?;
        if self.walled && backend == DatabaseBackend::Postgres {
            connection.execute_unprepared(include_str!("walls.pgsql")).await?;
        }
        Ok(())
    }
}
