//! The table `import_runs`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, ExprTrait, QueryFilter, Set};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{ImportRunId, SourceId, TenantId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::Piece;
use super::run::{Counts, State};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "import_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ImportRunId,
    pub source_id: SourceId,
    pub mapping_version: i64,
    pub file_name: String,
    pub upload_key: Option<String>,
    pub state: String,
    /// Durably taken in, always at a record's end.
    pub bytes: i64,
    pub header: Option<String>,
    pub records: i64,
    pub emitted: i64,
    pub ignored: i64,
    pub quarantined: i64,
    pub recorded: i64,
    pub replayed: i64,
    pub conflicting: i64,
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

tenant_owned!(Reach::Source(Column::SourceId));

impl Model {
    pub(super) fn new(
        tx: &TenantTx,
        clock: &Clock,
        source_id: SourceId,
        mapping_version: i64,
        file_name: String,
        upload_key: Option<String>,
    ) -> Self {
        let now = clock.now();
        Self {
            tenant_id: tx.tenant(),
            id: clock.id(),
            source_id,
            mapping_version,
            file_name,
            upload_key,
            state: State::Running.as_str().to_owned(),
            bytes: 0,
            header: None,
            records: 0,
            emitted: 0,
            ignored: 0,
            quarantined: 0,
            recorded: 0,
            replayed: 0,
            conflicting: 0,
            error: None,
            created_at: now,
            updated_at: now,
        }
    }
}

pub async fn insert(tx: &TenantTx, run: Model) -> Result<(), DbErr> {
    tx.insert(ActiveModel::from(run)).await
}

pub async fn by_id(tx: &TenantTx, id: ImportRunId) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await
}

pub async fn by_ids(tx: &TenantTx, ids: &[ImportRunId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::Id.is_in(ids.iter().copied()))).await
}

pub async fn unfinished(tx: &TenantTx, source: SourceId, upload_key: &str) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| {
        q.filter(Column::SourceId.eq(source))
            .filter(Column::UploadKey.eq(upload_key))
            .filter(Column::State.eq(State::Running.as_str()))
    })
    .await
}

pub async fn page(tx: &TenantTx, source: Option<SourceId>, page: PageRequest) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|mut q| {
        if let Some(source) = source {
            q = q.filter(Column::SourceId.eq(source));
        }
        paged!(q, Column::Id, page)
    })
    .await
}

pub async fn running(tx: &TenantTx) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::State.eq(State::Running.as_str()))).await
}

/// Moves a run past a piece; `false` when it does not stand where the piece begins.
pub async fn advance(
    tx: &TenantTx,
    piece: Piece,
    header: Option<String>,
    counts: Counts,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let more = |column: Column, count: i64| Expr::col(column).add(count);
    let change =
        ActiveModel { bytes: Set(bytes(piece.ends)), header: Set(header), updated_at: Set(now), ..Default::default() };
    let moved = tx
        .update::<Entity>(|q| {
            q.set(change)
                .col_expr(Column::Records, more(Column::Records, counts.records))
                .col_expr(Column::Emitted, more(Column::Emitted, counts.emitted))
                .col_expr(Column::Ignored, more(Column::Ignored, counts.ignored))
                .col_expr(Column::Quarantined, more(Column::Quarantined, counts.quarantined))
                .col_expr(Column::Recorded, more(Column::Recorded, counts.recorded))
                .col_expr(Column::Replayed, more(Column::Replayed, counts.replayed))
                .col_expr(Column::Conflicting, more(Column::Conflicting, counts.conflicting))
                .filter(Column::Id.eq(piece.run))
                .filter(Column::Bytes.eq(bytes(piece.begins)))
                .filter(Column::State.eq(State::Running.as_str()))
        })
        .await?;
    Ok(moved == 1)
}

/// Ends a running run; `false` when it has ended already.
pub async fn end(
    tx: &TenantTx,
    id: ImportRunId,
    state: State,
    error: Option<String>,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let change = ActiveModel {
        state: Set(state.as_str().to_owned()),
        error: Set(error),
        updated_at: Set(now),
        ..Default::default()
    };
    let ended = tx
        .update::<Entity>(|q| q.set(change).filter(Column::Id.eq(id)).filter(Column::State.eq(State::Running.as_str())))
        .await?;
    Ok(ended == 1)
}
