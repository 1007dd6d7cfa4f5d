//! The table `idempotency_keys`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryFilter, QueryOrder, QuerySelect, Value};

use crate::db::bulk::{Insert, Lookup};
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::TenantId;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub actor_id: Uuid,
    pub operation: String,
    pub request_hash: Vec<u8>,
    pub outcome: Vec<u8>,
    pub created_at: Timestamp,
}

tenant_owned!(Reach::Hidden);

const KEYS: Insert = Insert {
    table: "idempotency_keys",
    columns: &["key", "actor_id", "operation", "request_hash", "outcome", "created_at"],
    on_conflict: "",
};

/// What is kept under these keys, whoever used them.
pub async fn find(tx: &TenantTx, keys: &[&str]) -> Result<Vec<Model>, DbErr> {
    const KNOWN: Lookup = Lookup { table: "idempotency_keys", wanted: "*", by: &["key"] };
    tx.bulk_lookup::<Model>(&KNOWN, [], keys).await
}

pub async fn insert(tx: &TenantTx, rows: Vec<Model>) -> Result<(), DbErr> {
    let values = rows.into_iter().flat_map(|row| {
        let Model { tenant_id: _, key, actor_id, operation, request_hash, outcome, created_at } = row;
        [Value::from(key), actor_id.into(), operation.into(), request_hash.into(), outcome.into(), created_at.into()]
    });
    tx.bulk_insert(&KEYS, values.collect()).await
}

/// Removes the oldest rows from before an instant, about `most` of them; how many there were.
pub async fn forget(tx: &TenantTx, before: Timestamp, most: u64) -> Result<u64, DbErr> {
    #[derive(sea_orm::FromQueryResult)]
    struct Row {
        created_at: Timestamp,
    }
    let old = Column::CreatedAt.lt(before);
    let last = tx
        .rows::<Entity, Row>(|q| {
            let q = q.select_only().column(Column::CreatedAt).filter(old.clone());
            q.order_by_asc(Column::CreatedAt).offset(most.saturating_sub(1)).limit(1)
        })
        .await?;
    let until = last.first().map_or(before, |row| row.created_at);
    tx.delete::<Entity>(|q| q.filter(old).filter(Column::CreatedAt.lte(until))).await
}
