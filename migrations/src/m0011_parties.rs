//! What each party had of a settlement when it closed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0011_parties"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (connection, backend) = (manager.get_connection(), manager.get_database_backend());
        connection.execute_unprepared(&crate::dialect(include_str!("m0011_parties.sql"), backend)).await?;
        if backend == DatabaseBackend::Postgres {
            connection.execute_unprepared(include_str!("walls.pgsql")).await?;
        }
        Ok(())
    }
}
