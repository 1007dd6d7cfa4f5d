//! The table `jobs`.

use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbErr, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};

use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{JobId, TenantId};
use crate::time::Timestamp;

use super::job::JobKind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub kind: String,
    pub created_at: Timestamp,
    pub run_at: Timestamp,
    pub leased_until: Option<Timestamp>,
    pub attempts: i64,
    pub failed_at: Option<Timestamp>,
    pub error: Option<String>,
}

tenant_owned!(Reach::Hidden);

/// Of this kind, and not given up.
pub async fn waiting(tx: &TenantTx, kind: JobKind) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|jobs| jobs.filter(Column::Kind.eq(kind.as_str())).filter(Column::FailedAt.is_null()).limit(1))
        .await
}

pub async fn insert(tx: &TenantTx, job: Model) -> Result<(), DbErr> {
    tx.insert(job.into_active_model()).await
}

/// The job that has waited longest for its time and that nobody works on.
pub async fn next(tx: &TenantTx, now: Timestamp) -> Result<Option<Model>, DbErr> {
    let free = Condition::any().add(Column::LeasedUntil.is_null()).add(Column::LeasedUntil.lte(now));
    tx.one::<Entity>(|jobs| {
        jobs.filter(Column::RunAt.lte(now))
            .filter(Column::FailedAt.is_null())
            .filter(free)
            .order_by_asc(Column::RunAt)
            .limit(1)
    })
    .await
}

pub async fn lease(tx: &TenantTx, id: JobId, until: Timestamp, attempts: i64) -> Result<(), DbErr> {
    tx.update::<Entity>(|jobs| {
        jobs.col_expr(Column::LeasedUntil, Expr::value(until))
            .col_expr(Column::Attempts, attempts.into())
            .filter(Column::Id.eq(id))
    })
    .await
    .map(drop)
}

pub async fn remove(tx: &TenantTx, id: JobId) -> Result<(), DbErr> {
    tx.delete::<Entity>(|jobs| jobs.filter(Column::Id.eq(id))).await.map(drop)
}

/// Done, and to be done again.
pub async fn again(tx: &TenantTx, id: JobId, run_at: Timestamp) -> Result<(), DbErr> {
    tx.update::<Entity>(|jobs| {
        jobs.col_expr(Column::LeasedUntil, Expr::value(None::<i64>))
            .col_expr(Column::Attempts, 0.into())
            .col_expr(Column::Error, Expr::value(None::<String>))
            .col_expr(Column::RunAt, Expr::value(run_at))
            .filter(Column::Id.eq(id))
    })
    .await
    .map(drop)
}

/// Tried again at `run_at`, or given up now where there is none.
pub async fn fail(
    tx: &TenantTx,
    id: JobId,
    error: &str,
    run_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let failed = run_at.is_none().then_some(now.0);
    tx.update::<Entity>(|jobs| {
        let jobs = jobs
            .col_expr(Column::LeasedUntil, Expr::value(None::<i64>))
            .col_expr(Column::Error, error.into())
            .col_expr(Column::FailedAt, Expr::value(failed))
            .filter(Column::Id.eq(id));
        match run_at {
            Some(run_at) => jobs.col_expr(Column::RunAt, Expr::value(run_at)),
            None => jobs,
        }
    })
    .await
    .map(drop)
}
