//! The tables `event_heads` and `events`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Value};

use crate::db::bulk::Insert;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::error::Fault;
use crate::ids::{PartnerId, TenantId};
use crate::time::Timestamp;

use super::event::{Event, Interest, Kind, News};

pub mod head {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "event_heads")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        pub sequence: i64,
        pub pruned: i64,
    }

    tenant_owned!(Reach::Shared);
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    pub kind: String,
    pub subject_id: Uuid,
    pub partner_id: Option<PartnerId>,
    pub occurred_at: Timestamp,
}

tenant_owned!(Reach::Partner(Column::PartnerId));

impl TryFrom<Model> for Event {
    type Error = Fault;
    fn try_from(row: Model) -> Result<Self, Fault> {
        let kind = Kind::parse(&row.kind).ok_or_else(|| Fault::Corrupt(format!("an event of kind '{}'", row.kind)))?;
        let news = News { kind, subject: row.subject_id, partner: row.partner_id };
        Ok(Self { sequence: row.sequence, news, at: row.occurred_at })
    }
}

/// The tenant's last event and the last one that is gone.
pub async fn head(tx: &TenantTx) -> Result<(i64, i64), DbErr> {
    let row = tx.one::<head::Entity>(|heads| heads).await?;
    Ok(row.map_or((0, 0), |row| (row.sequence, row.pruned)))
}

const EVENTS: Insert = Insert {
    table: "events",
    columns: &["sequence", "kind", "subject_id", "partner_id", "occurred_at"],
    on_conflict: "",
};

/// Gives news their places, which are in the order of commits.
pub async fn append(tx: &TenantTx, news: &[News], now: Timestamp) -> Result<(), DbErr> {
    let rows = news.iter().flat_map(|news| -> [Value; 4] {
        [news.kind.as_str().into(), news.subject.into(), news.partner.into(), now.into()]
    });
    tx.bulk_insert_numbered("event_heads", &EVENTS, rows.collect()).await
}

/// Events after a place, in their order.
pub async fn after(tx: &TenantTx, sequence: i64, most: u64) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|events| events.filter(Column::Sequence.gt(sequence)).order_by_asc(Column::Sequence).limit(most))
        .await
}

#[derive(FromQueryResult)]
pub struct Latest {
    pub sequence: i64,
    pub subject_id: Uuid,
    pub partner_id: Option<PartnerId>,
    pub occurred_at: Timestamp,
}

/// Of each subject that changed between two places (the second one included), its newest event; in their order.
pub async fn latest(
    tx: &TenantTx,
    after: i64,
    until: i64,
    interest: &Interest,
    most: u64,
) -> Result<Vec<Latest>, DbErr> {
    tx.rows::<Entity, Latest>(|events| {
        let mut events = events
            .select_only()
            .column(Column::SubjectId)
            .column(Column::PartnerId)
            .column_as(Column::Sequence.max(), "sequence")
            .column_as(Column::OccurredAt.max(), "occurred_at")
            .filter(Column::Sequence.gt(after))
            .filter(Column::Sequence.lte(until))
            .filter(Column::Kind.eq(interest.kind.as_str()));
        if let Some(subject) = interest.subject {
            events = events.filter(Column::SubjectId.eq(subject));
        }
        if let Some(partner) = interest.partner {
            events = events.filter(Column::PartnerId.eq(partner));
        }
        events.group_by(Column::SubjectId).group_by(Column::PartnerId).order_by_asc(Column::Sequence.max()).limit(most)
    })
    .await
}

/// The first event since an instant. What is older comes first, so that no more is read than is about to go.
pub async fn first_since(tx: &TenantTx, instant: Timestamp) -> Result<Option<i64>, DbErr> {
    let row = tx
        .one::<Entity>(|events| events.filter(Column::OccurredAt.gte(instant)).order_by_asc(Column::Sequence).limit(1));
    Ok(row.await?.map(|row| row.sequence))
}

/// Forgets events up to this one, and remembers that they are gone.
pub async fn prune(tx: &TenantTx, until: i64) -> Result<(), DbErr> {
    tx.delete::<Entity>(|events| events.filter(Column::Sequence.lte(until))).await?;
    tx.update::<head::Entity>(|heads| heads.col_expr(head::Column::Pruned, Expr::value(until))).await.map(drop)
}
