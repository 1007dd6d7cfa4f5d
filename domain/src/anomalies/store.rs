//! The tables of the detector and of its cases.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, FromQueryResult, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Value};

use crate::db::bulk::Insert;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{CaseId, MemberId, ModelId, SourceId, TenantId, TransactionId, VerdictId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::CaseFilter;
use super::case::{CaseKey, CaseState};

/// What risk staff review. Nobody of a partner sees any of it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, serde::Serialize, serde::Deserialize)]
#[sea_orm(table_name = "anomaly_cases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CaseId,
    pub kind: String,
    pub state: String,
    pub source_id: SourceId,
    pub product: Option<String>,
    pub player: Option<Vec<u8>>,
    pub window_start: Timestamp,
    pub window_end: Timestamp,
    pub transactions: i64,
    pub score: i64,
    pub reasons: String,
    pub model_id: ModelId,
    pub raised_at: Timestamp,
    pub updated_at: Timestamp,
    pub mailed_at: Option<Timestamp>,
    pub reviewed_at: Option<Timestamp>,
    pub reviewed_by: Option<MemberId>,
    pub note: Option<String>,
}

tenant_owned!(Reach::Hidden);

pub mod case_transaction {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "anomaly_case_transactions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub case_id: CaseId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub transaction_id: TransactionId,
        pub score: i64,
        pub reasons: String,
    }

    tenant_owned!(Reach::Hidden);
}

pub mod verdict {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "anomaly_verdicts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub case_id: CaseId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: VerdictId,
        pub verdict: String,
        pub note: Option<String>,
        pub given_by: Option<MemberId>,
        pub given_at: Timestamp,
    }

    tenant_owned!(Reach::Hidden);
}

pub mod unscored {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "unscored")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub transaction_id: TransactionId,
        pub source_id: SourceId,
    }

    tenant_owned!(Reach::Source(Column::SourceId));
}

pub mod fitted {
    use super::*;

    /// A model that was fitted to the tenant's own transactions.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "detector_models")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ModelId,
        pub rows: i64,
        pub rows_from: Timestamp,
        pub rows_until: Timestamp,
        pub body: Vec<u8>,
        pub created_at: Timestamp,
    }

    tenant_owned!(Reach::Hidden);
}

pub mod detector {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "detectors")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        pub model_id: ModelId,
        pub alerts_per_million: i64,
        pub most_alerts_a_day: i64,
    }

    tenant_owned!(Reach::Hidden);
}

pub mod memory {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "detector_memories")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        pub body: Vec<u8>,
        pub remembers_until: TransactionId,
        pub saved_at: Timestamp,
    }

    tenant_owned!(Reach::Hidden);
}

const UNSCORED: Insert = Insert { table: "unscored", columns: &["transaction_id", "source_id"], on_conflict: "" };
const CASE_TRANSACTIONS: Insert = Insert {
    table: "anomaly_case_transactions",
    columns: &["case_id", "transaction_id", "score", "reasons"],
    on_conflict: "",
};

pub async fn page(tx: &TenantTx, filter: &CaseFilter, page: PageRequest) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|mut cases| {
        if let Some(state) = filter.state {
            cases = cases.filter(Column::State.eq(state.as_str()));
        }
        if let Some(source) = filter.source {
            cases = cases.filter(Column::SourceId.eq(source));
        }
        paged!(cases, Column::Id, page)
    })
    .await
}

pub async fn by_ids(tx: &TenantTx, ids: &[CaseId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|cases| cases.filter(Column::Id.is_in(ids.iter().copied()))).await
}

/// The open cases of these keys.
pub async fn open(tx: &TenantTx, keys: &[&CaseKey]) -> Result<HashMap<CaseKey, Model>, DbErr> {
    let sources = keys.iter().map(|key| key.source);
    let days = keys.iter().map(|key| key.day);
    let rows = tx.all::<Entity>(|cases| {
        cases
            .filter(Column::SourceId.is_in(sources))
            .filter(Column::WindowStart.is_in(days))
            .filter(Column::State.eq(CaseState::Open.as_str()))
    });
    let rows = rows.await?.into_iter();
    Ok(rows.filter_map(|row| Some((row.key()?, row))).filter(|(key, _)| keys.contains(&key)).collect())
}

/// Cases that nobody was told of yet, the first raised first.
pub async fn untold(tx: &TenantTx, most: u64) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|cases| cases.filter(Column::MailedAt.is_null()).order_by_asc(Column::Id).limit(most)).await
}

/// When somebody was last told of any.
pub async fn last_told(tx: &TenantTx) -> Result<Option<Timestamp>, DbErr> {
    let row =
        tx.one::<Entity>(|cases| cases.filter(Column::MailedAt.is_not_null()).order_by_desc(Column::MailedAt).limit(1));
    Ok(row.await?.and_then(|row| row.mailed_at))
}

pub async fn told(tx: &TenantTx, ids: &[CaseId], now: Timestamp) -> Result<(), DbErr> {
    tx.update::<Entity>(|cases| {
        cases.col_expr(Column::MailedAt, Expr::value(now)).filter(Column::Id.is_in(ids.iter().copied()))
    })
    .await
    .map(drop)
}

pub async fn insert(tx: &TenantTx, case: Model) -> Result<(), DbErr> {
    tx.insert(case.into_active_model()).await
}

/// Writes what may change of a case: all but its key.
pub async fn update(tx: &TenantTx, case: &Model) -> Result<(), DbErr> {
    tx.update::<Entity>(|cases| {
        cases
            .col_expr(Column::State, case.state.as_str().into())
            .col_expr(Column::Transactions, case.transactions.into())
            .col_expr(Column::Score, case.score.into())
            .col_expr(Column::Reasons, case.reasons.as_str().into())
            .col_expr(Column::ModelId, Expr::value(case.model_id))
            .col_expr(Column::UpdatedAt, Expr::value(case.updated_at))
            .col_expr(Column::ReviewedAt, Expr::value(case.reviewed_at.map(|time| time.0)))
            .col_expr(Column::ReviewedBy, Expr::value(case.reviewed_by.map(|member| member.0)))
            .col_expr(Column::Note, Expr::value(case.note.clone()))
            .filter(Column::Id.eq(case.id))
    })
    .await
    .map(drop)
}

pub async fn insert_verdict(tx: &TenantTx, verdict: verdict::Model) -> Result<(), DbErr> {
    tx.insert(verdict.into_active_model()).await
}

pub async fn insert_transactions(
    tx: &TenantTx,
    rows: impl Iterator<Item = (CaseId, TransactionId, i64, String)>,
) -> Result<(), DbErr> {
    let values = rows.flat_map(|(case, transaction, score, reasons)| -> [Value; 4] {
        [case.into(), transaction.into(), score.into(), reasons.into()]
    });
    tx.bulk_insert(&CASE_TRANSACTIONS, values.collect()).await
}

/// The same page of the transactions of each of some cases, the latest recorded first.
pub async fn transactions_page(
    tx: &TenantTx,
    cases: &[CaseId],
    page: PageRequest,
) -> Result<Vec<case_transaction::Model>, DbErr> {
    #[derive(FromQueryResult)]
    struct Row {
        case_id: CaseId,
        transaction_id: TransactionId,
        score: i64,
        reasons: String,
    }
    // Of a partner's user, [`by_ids`] has found no case.
    let cases: Vec<CaseId> = by_ids(tx, cases).await?.into_iter().map(|case| case.id).collect();
    if cases.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "WITH wanted AS (SELECT tenant_id, id FROM anomaly_cases WHERE tenant_id = ? AND id IN ({})) \
         SELECT row.case_id, row.transaction_id, row.score, row.reasons \
         FROM wanted JOIN anomaly_case_transactions AS row ON row.tenant_id = wanted.tenant_id \
         AND row.case_id = wanted.id AND row.transaction_id IN \
         (SELECT transaction_id FROM anomaly_case_transactions WHERE tenant_id = wanted.tenant_id \
         AND case_id = wanted.id AND transaction_id < ? ORDER BY transaction_id DESC LIMIT ?) \
         ORDER BY row.case_id, row.transaction_id DESC",
        vec!["?"; cases.len()].join(", ")
    );
    let mut parameters: Vec<Value> = cases.iter().map(|id| (*id).into()).collect();
    parameters.push(page.after.unwrap_or(Uuid::max()).into());
    parameters.push(i64::try_from(page.first + 1).unwrap_or(i64::MAX).into());
    let rows = tx.bulk_query::<Row>(&sql, parameters).await?.into_iter();
    let row = |row: Row| case_transaction::Model {
        tenant_id: tx.tenant(),
        case_id: row.case_id,
        transaction_id: row.transaction_id,
        score: row.score,
        reasons: row.reasons,
    };
    Ok(rows.map(row).collect())
}

/// All transactions of a case.
pub async fn transactions_of(tx: &TenantTx, case: CaseId) -> Result<Vec<TransactionId>, DbErr> {
    use case_transaction::{Column, Entity};
    let rows = tx.all::<Entity>(|q| q.filter(Column::CaseId.eq(case))).await?;
    Ok(rows.into_iter().map(|row| row.transaction_id).collect())
}

/// The transactions of confirmed cases from after `after` on: a detector does not learn from them.
pub async fn confirmed_after(tx: &TenantTx, after: TransactionId) -> Result<Vec<TransactionId>, DbErr> {
    let confirmed = tx.all::<Entity>(|cases| cases.filter(Column::State.eq(CaseState::Confirmed.as_str()))).await?;
    let mut ids = Vec::new();
    for cases in confirmed.chunks(500) {
        use case_transaction::{Column, Entity};
        let cases = cases.iter().map(|case| case.id);
        let rows = tx.all::<Entity>(|q| q.filter(Column::CaseId.is_in(cases)).filter(Column::TransactionId.gt(after)));
        ids.extend(rows.await?.into_iter().map(|row| row.transaction_id));
    }
    Ok(ids)
}

pub async fn insert_unscored(
    tx: &TenantTx,
    rows: impl Iterator<Item = (TransactionId, SourceId)>,
) -> Result<(), DbErr> {
    let values = rows.flat_map(|(id, source)| -> [Value; 2] { [id.into(), source.into()] });
    tx.bulk_insert(&UNSCORED, values.collect()).await
}

pub async fn unscored(tx: &TenantTx, most: u64) -> Result<Vec<TransactionId>, DbErr> {
    use unscored::{Column, Entity};
    let rows = tx.all::<Entity>(|q| q.order_by_asc(Column::TransactionId).limit(most)).await?;
    Ok(rows.into_iter().map(|row| row.transaction_id).collect())
}

pub async fn count_unscored(tx: &TenantTx) -> Result<u64, DbErr> {
    tx.count::<unscored::Entity>(|q| q).await
}

pub async fn remove_unscored(tx: &TenantTx, ids: &[TransactionId]) -> Result<(), DbErr> {
    use unscored::{Column, Entity};
    tx.delete::<Entity>(|q| q.filter(Column::TransactionId.is_in(ids.iter().copied()))).await.map(drop)
}

/// Of each source, what happened before the end of some period and has no score yet.
pub async fn unscored_counts(tx: &TenantTx, ends: &[Timestamp]) -> Result<HashMap<(SourceId, Timestamp), u64>, DbErr> {
    #[derive(FromQueryResult)]
    struct Count {
        source: SourceId,
        before: Timestamp,
        facts: i64,
    }
    if ends.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT late.source_id AS source, wanted.column1 AS before, count(*) AS facts \
         FROM (SELECT tenant_id, transaction_id, source_id FROM unscored WHERE tenant_id = ?) AS late \
         JOIN transactions ON transactions.tenant_id = late.tenant_id AND transactions.id = late.transaction_id \
         JOIN (VALUES {}) AS wanted ON transactions.occurred_at < wanted.column1 \
         GROUP BY late.source_id, wanted.column1",
        vec!["(?)"; ends.len()].join(", ")
    );
    let rows = tx.bulk_query::<Count>(&sql, ends.iter().map(|end| (*end).into()).collect()).await?;
    let count = |row: Count| ((row.source, row.before), u64::try_from(row.facts).unwrap_or_default());
    Ok(rows.into_iter().map(count).collect())
}

pub async fn detector(tx: &TenantTx) -> Result<Option<detector::Model>, DbErr> {
    tx.one::<detector::Entity>(|q| q).await
}

pub async fn set_detector(tx: &TenantTx, row: detector::Model) -> Result<(), DbErr> {
    use detector::{Column, Entity};
    let changed = tx.update::<Entity>(|q| {
        q.col_expr(Column::ModelId, Expr::value(row.model_id))
            .col_expr(Column::AlertsPerMillion, row.alerts_per_million.into())
            .col_expr(Column::MostAlertsADay, row.most_alerts_a_day.into())
    });
    if changed.await? == 0 { tx.insert(row.into_active_model()).await } else { Ok(()) }
}

pub async fn model(tx: &TenantTx, id: ModelId) -> Result<Option<fitted::Model>, DbErr> {
    tx.one::<fitted::Entity>(|q| q.filter(fitted::Column::Id.eq(id))).await
}

pub async fn insert_model(tx: &TenantTx, row: fitted::Model) -> Result<(), DbErr> {
    tx.insert(row.into_active_model()).await
}

pub async fn memory(tx: &TenantTx) -> Result<Option<memory::Model>, DbErr> {
    tx.one::<memory::Entity>(|q| q).await
}

pub async fn save_memory(tx: &TenantTx, row: memory::Model) -> Result<(), DbErr> {
    tx.delete::<memory::Entity>(|q| q).await?;
    tx.insert(row.into_active_model()).await
}
