//! Business calendars, and when what a settlement owes is due.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0013_calendars"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (connection, backend) = (manager.get_connection(), manager.get_database_backend());
        connection.execute_unprepared(&crate::dialect(include_str!("m0013_calendars.sql"), backend)).await?;
        if backend == DatabaseBackend::Postgres {
            connection.execute_unprepared(include_str!("walls.pgsql")).await?;
        }
        Ok(())
    }
}
