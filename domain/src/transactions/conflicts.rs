//! Another content under a known external id: reported and kept with what differs, never an overwrite.

use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::caller::{Permission, Scoped};
use crate::db::bulk::Insert;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::error::Result;
use crate::ids::{BlockId, ConflictId, ImportRunId, SourceId, TenantId, TransactionId};
use crate::page::{Page, PageRequest};
use crate::paged;
use crate::time::Timestamp;

use super::batch::NewConflict;
use super::store::length;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conflicts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConflictId,
    pub source_id: SourceId,
    pub external_id: String,
    /// The transaction that stands.
    pub transaction_id: TransactionId,
    pub import_run_id: Option<ImportRunId>,
    pub payload_hash: Vec<u8>,
    /// JSON array of [`super::transaction::Difference`].
    pub differences: String,
    pub block_id: BlockId,
    pub block_offset: i64,
    pub block_length: i64,
    pub created_at: Timestamp,
}

tenant_owned!(Reach::Source(Column::SourceId));

impl Scoped {
    pub async fn conflicts(&self, source: Option<SourceId>, page: PageRequest) -> Result<Page<Model>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let rows = tx
            .all::<Entity>(|mut q| {
                if let Some(source) = source {
                    q = q.filter(Column::SourceId.eq(source));
                }
                paged!(q, Column::Id, page)
            })
            .await?;
        Ok(Page::cut(rows, &page))
    }

    pub async fn conflict(&self, id: ConflictId) -> Result<Option<Model>> {
        self.require(Permission::Read)?;
        Ok(self.read().await?.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await?)
    }
}

/// The same wrong content delivered twice is one conflict.
const CONFLICTS: Insert = Insert {
    table: "conflicts",
    columns: &[
        "id",
        "source_id",
        "external_id",
        "transaction_id",
        "import_run_id",
        "payload_hash",
        "differences",
        "block_id",
        "block_offset",
        "block_length",
        "created_at",
    ],
    on_conflict: "ON CONFLICT (tenant_id, source_id, external_id, payload_hash) DO NOTHING",
};

pub(super) async fn write_in(tx: &TenantTx, conflicts: &[NewConflict], now: Timestamp) -> Result<(), DbErr> {
    let values = conflicts.iter().flat_map(|new| -> [sea_orm::Value; 11] {
        let (source, external_id) = &new.key;
        [
            new.id.into(),
            (*source).into(),
            external_id.as_str().into(),
            new.stands.into(),
            new.run.map(|run| run.0).into(),
            new.hash.to_vec().into(),
            serde_json::to_string(&new.differences).unwrap_or_default().into(),
            new.at.block.into(),
            length(new.at.offset).into(),
            length(new.at.length).into(),
            now.into(),
        ]
    });
    tx.bulk_insert(&CONFLICTS, values.collect()).await
}
