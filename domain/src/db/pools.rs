//! The connections to one server, and how a transaction begins on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, TransactionTrait};
use tokio_util::sync::CancellationToken;

use super::primary::{Primary, Servers};
use super::tenant_tx::At;
use super::{OpenError, postgres, sqlite};

/// The connections to one server.
pub(super) struct Pools {
    pub writer: DatabaseConnection,
    pub readers: DatabaseConnection,
    pub primary: Option<Primary>,
    pub at: At,
}

#[derive(Clone, Copy)]
pub(super) enum Begin {
    /// One view of the database for all that is read.
    Reading,
    Writing,
}

impl Pools {
    pub async fn begin(&self, what: Begin) -> Result<(DatabaseTransaction, At), DbErr> {
        let begin = async {
            match (what, self.writer.get_database_backend()) {
                (Begin::Reading, DbBackend::Postgres) => {
                    let tx = self.readers.begin().await?;
                    tx.execute_unprepared(postgres::READ).await?;
                    Ok(tx)
                }
                (Begin::Reading, _) => self.readers.begin().await,
                (Begin::Writing, DbBackend::Sqlite) => self.writer.begin_with_options(sqlite::immediate()).await,
                (Begin::Writing, _) => self.writer.begin().await,
            }
        };
        Ok((self.at.ask(begin).await?, self.at.clone()))
    }

    pub fn new(
        writer: DatabaseConnection,
        readers: DatabaseConnection,
        primary: Option<Primary>,
        waits: bool,
        statements: &Arc<AtomicU64>,
    ) -> Self {
        let counting = |mut connection: DatabaseConnection| {
            let statements = statements.clone();
            connection.set_metric_callback(move |_| {
                statements.fetch_add(1, Ordering::Relaxed);
            });
            connection
        };
        let (writer, readers) = (counting(writer), counting(readers));
        Self { writer, readers, primary, at: At { waits, gone: CancellationToken::new() } }
    }

    pub async fn at(servers: &Servers, primary: Primary, statements: &Arc<AtomicU64>) -> Result<Self, OpenError> {
        let (writer, readers, waits) = postgres::pools(servers.options(primary)).await?;
        Ok(Self::new(writer, readers, Some(primary), waits, statements))
    }
}
