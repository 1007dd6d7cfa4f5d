//! The tables `sources`, `source_mappings` and `source_days`.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, QueryOrder, Set, Value};
use serde::{Deserialize, Serialize};

use crate::db::TenantTx;
use crate::db::bulk::Insert;
use crate::ids::{MemberId, PartnerId, SourceId, TenantId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::calendar::DayNumber;

pub mod source {
    use super::*;
    use crate::db::{Reach, tenant_owned};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "sources")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SourceId,
        pub partner_id: PartnerId,
        pub name: String,
        /// Of the mapping that new imports read with.
        pub mapping_version: i64,
        /// JSON; [`Model::calendar`] reads it.
        pub calendar: Option<String>,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Partner(Column::PartnerId));
}

pub mod mapping {
    use super::*;
    use crate::db::{Reach, tenant_owned};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "source_mappings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub source_id: SourceId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i64,
        /// JSON.
        pub mapping: String,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub mod day {
    use super::*;
    use crate::db::{Reach, tenant_owned};

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "source_days")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub source_id: SourceId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub day: DayNumber,
        pub transactions: i64,
        pub signed_off_by: Option<MemberId>,
        pub signed_off_at: Option<Timestamp>,
        pub note: Option<String>,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub async fn by_id(tx: &TenantTx, id: SourceId) -> Result<Option<source::Model>, DbErr> {
    tx.one::<source::Entity>(|q| q.filter(source::Column::Id.eq(id))).await
}

pub async fn by_ids(tx: &TenantTx, ids: &[SourceId]) -> Result<Vec<source::Model>, DbErr> {
    tx.all::<source::Entity>(|q| q.filter(source::Column::Id.is_in(ids.iter().copied()))).await
}

pub async fn by_name(tx: &TenantTx, name: &str) -> Result<Option<source::Model>, DbErr> {
    tx.one::<source::Entity>(|q| q.filter(source::Column::Name.eq(name))).await
}

pub async fn page(tx: &TenantTx, page: PageRequest) -> Result<Vec<source::Model>, DbErr> {
    tx.all::<source::Entity>(|q| paged!(q, source::Column::Id, page)).await
}

/// Sources with a calendar.
pub async fn all(tx: &TenantTx) -> Result<Vec<source::Model>, DbErr> {
    tx.all::<source::Entity>(|q| q).await
}

pub async fn with_calendar(tx: &TenantTx) -> Result<Vec<source::Model>, DbErr> {
    let sorted =
        |q: Select<source::Entity>| q.filter(source::Column::Calendar.is_not_null()).order_by_asc(source::Column::Id);
    tx.all::<source::Entity>(sorted).await
}

pub async fn change(tx: &TenantTx, id: SourceId, change: source::ActiveModel) -> Result<u64, DbErr> {
    tx.update::<source::Entity>(|q| q.set(change).filter(source::Column::Id.eq(id))).await
}

pub async fn insert_mapping(
    tx: &TenantTx,
    source: SourceId,
    version: i64,
    json: String,
    now: Timestamp,
) -> Result<(), DbErr> {
    tx.insert(mapping::ActiveModel {
        source_id: Set(source),
        version: Set(version),
        mapping: Set(json),
        created_at: Set(now),
        ..Default::default()
    })
    .await
}

pub async fn mapping(tx: &TenantTx, source: SourceId, version: i64) -> Result<Option<mapping::Model>, DbErr> {
    let of_source = mapping::Column::SourceId.eq(source);
    tx.one::<mapping::Entity>(|q| q.filter(of_source).filter(mapping::Column::Version.eq(version))).await
}

pub async fn mappings(tx: &TenantTx, versions: &[(SourceId, i64)]) -> Result<Vec<mapping::Model>, DbErr> {
    use mapping::Column;
    let any = versions.iter().fold(Condition::any(), |any, (source, version)| {
        any.add(Condition::all().add(Column::SourceId.eq(*source)).add(Column::Version.eq(*version)))
    });
    // A condition of no parts would be no condition.
    if versions.is_empty() {
        return Ok(Vec::new());
    }
    tx.all::<mapping::Entity>(|q| q.filter(any)).await
}

/// What is known of the days of some sources, both ends included, in order.
pub async fn days(
    tx: &TenantTx,
    sources: &[SourceId],
    from: DayNumber,
    until: DayNumber,
) -> Result<Vec<day::Model>, DbErr> {
    let of_sources = day::Column::SourceId.is_in(sources.iter().copied());
    let between = day::Column::Day.between(from, until);
    tx.all::<day::Entity>(|q| q.filter(of_sources).filter(between).order_by_asc(day::Column::Day)).await
}

pub async fn has_counted_days(tx: &TenantTx, source: SourceId) -> Result<bool, DbErr> {
    Ok(tx.one::<day::Entity>(|q| q.filter(day::Column::SourceId.eq(source))).await?.is_some())
}

/// Adds transactions to days.
pub async fn count_days(tx: &TenantTx, counts: BTreeMap<(SourceId, DayNumber), i64>) -> Result<(), DbErr> {
    const COUNT: Insert = Insert {
        table: "source_days",
        columns: &["source_id", "day", "transactions"],
        on_conflict: "ON CONFLICT (tenant_id, source_id, day) \
                      DO UPDATE SET transactions = source_days.transactions + excluded.transactions",
    };
    let values = counts.into_iter().flat_map(|((source, day), count)| [Value::from(source), day.into(), count.into()]);
    tx.bulk_insert(&COUNT, values.collect()).await
}

/// Who says that nothing is to come for a day, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignOff {
    pub by: Option<MemberId>,
    pub at: Timestamp,
    pub note: String,
}

/// Signs days off; those that have transactions or are signed off already stay as they are.
pub async fn sign_off(tx: &TenantTx, source: SourceId, days: &[DayNumber], sign_off: &SignOff) -> Result<(), DbErr> {
    const SIGN: Insert = Insert {
        table: "source_days",
        columns: &["source_id", "day", "transactions", "signed_off_by", "signed_off_at", "note"],
        on_conflict: "ON CONFLICT (tenant_id, source_id, day) DO UPDATE SET \
                      signed_off_by = excluded.signed_off_by, signed_off_at = excluded.signed_off_at, note = excluded.note \
                      WHERE source_days.transactions = 0 AND source_days.signed_off_at IS NULL",
    };
    let SignOff { by, at, note } = sign_off;
    let row = |day: &DayNumber| {
        [source.into(), (*day).into(), 0_i64.into(), by.map(|by| by.0).into(), (*at).into(), Value::from(note.as_str())]
    };
    tx.bulk_insert(&SIGN, days.iter().flat_map(row).collect()).await
}
