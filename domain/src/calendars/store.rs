//! The table `business_calendars`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryFilter, QueryOrder};

use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{MemberId, TenantId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "business_calendars")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    pub name: String,
    /// JSON: days of the week.
    pub weekend: String,
    /// JSON: dates with names.
    pub holidays: String,
    pub revision: i64,
    pub changed_at: Timestamp,
    pub changed_by: Option<MemberId>,
}

// What is due to a partner goes by them, so its user may see them.
tenant_owned!(Reach::Shared);

pub async fn by_code(tx: &TenantTx, code: &str) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Code.eq(code))).await
}

pub async fn all(tx: &TenantTx) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.order_by_asc(Column::Code)).await
}

pub async fn page(tx: &TenantTx, page: &PageRequest<String>) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| {
        let after = page.after.clone();
        let page = PageRequest { first: page.first, after };
        paged!(q, Column::Code, page, ascending)
    })
    .await
}

/// Puts a calendar in the place of the one with its code.
pub async fn save(tx: &TenantTx, row: Model) -> Result<(), DbErr> {
    tx.delete::<Entity>(|q| q.filter(Column::Code.eq(row.code.clone()))).await?;
    tx.insert(ActiveModel::from(row)).await
}
