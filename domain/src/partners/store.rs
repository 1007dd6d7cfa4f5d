//! The table `partners`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryFilter};
use serde::{Deserialize, Serialize};

use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{PartnerId, TenantId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "partners")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PartnerId,
    pub reference: String,
    pub name: String,
    pub created_at: Timestamp,
}

tenant_owned!(Reach::Partner(Column::Id));

pub async fn by_id(tx: &TenantTx, id: PartnerId) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await
}

pub async fn by_ids(tx: &TenantTx, ids: &[PartnerId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::Id.is_in(ids.iter().copied()))).await
}

pub async fn by_reference(tx: &TenantTx, reference: &str) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Reference.eq(reference))).await
}

pub async fn change(tx: &TenantTx, id: PartnerId, change: ActiveModel) -> Result<u64, DbErr> {
    tx.update::<Entity>(|q| q.set(change).filter(Column::Id.eq(id))).await
}

pub async fn page(tx: &TenantTx, page: PageRequest) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| paged!(q, Column::Id, page)).await
}
