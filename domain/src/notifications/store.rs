//! The table `mails`.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DbErr, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{MailId, TenantId};
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MailId,
    pub recipient: String,
    pub recipient_name: String,
    pub language: String,
    pub subject: String,
    pub body: Option<Vec<u8>>,
    pub created_at: Timestamp,
    pub attempts: i64,
    pub next_at: Option<Timestamp>,
    pub sent_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    pub last_error: Option<String>,
}

tenant_owned!(Reach::Hidden);

pub async fn insert(tx: &TenantTx, rows: Vec<Model>) -> Result<(), DbErr> {
    tx.insert_all(rows.into_iter().map(|row| row.into_active_model().reset_all())).await
}

/// Mails whose time has come, those that wait for longest first.
pub async fn due(tx: &TenantTx, now: Timestamp, most: u64) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|mails| {
        mails.filter(Column::NextAt.lte(now)).order_by_asc(Column::NextAt).order_by_asc(Column::Id).limit(most)
    })
    .await
}

/// When the next mail is due.
pub async fn next_due(tx: &TenantTx) -> Result<Option<Timestamp>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        next_at: Timestamp,
    }
    let rows = tx.rows::<Entity, Row>(|mails| {
        let mails = mails.select_only().column(Column::NextAt).filter(Column::NextAt.is_not_null());
        mails.order_by_asc(Column::NextAt).limit(1)
    });
    Ok(rows.await?.first().map(|row| row.next_at))
}

/// Counts an attempt before it begins. `false` when somebody else has taken the mail since it was read.
pub async fn claim(tx: &TenantTx, read: &Model, until: Timestamp) -> Result<bool, DbErr> {
    let claimed = ActiveModel { attempts: Set(read.attempts + 1), next_at: Set(Some(until)), ..Default::default() };
    let rows = tx.update::<Entity>(|mails| {
        let same = mails.set(claimed).filter(Column::Id.eq(read.id));
        same.filter(Column::Attempts.eq(read.attempts)).filter(Column::NextAt.is_not_null())
    });
    Ok(rows.await? == 1)
}

/// Writes what became of an attempt: everything but the attempts themselves.
pub async fn settle(tx: &TenantTx, row: Model) -> Result<(), DbErr> {
    let settled = ActiveModel {
        body: Set(row.body),
        next_at: Set(row.next_at),
        sent_at: Set(row.sent_at),
        failed_at: Set(row.failed_at),
        last_error: Set(row.last_error),
        ..Default::default()
    };
    tx.update::<Entity>(|mails| mails.set(settled).filter(Column::Id.eq(row.id))).await.map(drop)
}

/// Removes what was written before an instant and is sent or parked.
pub async fn forget(tx: &TenantTx, before: Timestamp) -> Result<u64, DbErr> {
    tx.delete::<Entity>(|mails| mails.filter(Column::NextAt.is_null()).filter(Column::CreatedAt.lt(before))).await
}
