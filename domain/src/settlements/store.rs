//! The tables `settlements`, `accruals`, `settlement_lines` and `holds`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryFilter, QueryOrder, QuerySelect, Value};
use serde::{Deserialize, Serialize};

use crate::db::bulk::Insert;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{CaseId, ContractId, MemberId, PartnerId, SettlementId, TenantId};
use crate::money::{Minor, Units};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::SettlementFilter;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "settlements")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SettlementId,
    pub contract_id: ContractId,
    pub partner_id: PartnerId,
    pub currency: String,
    pub period_start: Timestamp,
    pub period_end: Timestamp,
    pub state: String,
    /// Frozen at the close, like the five below it.
    pub total: Option<Minor>,
    /// JSON object: rate class (empty for the total) to accounting units.
    pub carried_base: Option<String>,
    /// JSON: what filled the tiers of the year, was recouped and drawn so far. Absent where nothing was.
    pub carried_state: Option<String>,
    pub carried_amount: Option<Minor>,
    pub transaction_count: Option<i64>,
    pub closed_at: Option<Timestamp>,
    pub closed_by: Option<MemberId>,
    pub created_at: Timestamp,
    /// A date, frozen at the close; absent where nothing is agreed.
    #[serde(default)]
    pub due_on: Option<String>,
}

tenant_owned!(Reach::Partner(Column::PartnerId));

impl Model {
    pub fn is_open(&self) -> bool {
        self.state == super::State::Open.as_str()
    }
}

pub mod accrual {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "accruals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub settlement_id: SettlementId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub rate_class: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub late: bool,
        pub amount: Units,
        pub units: i64,
        pub transactions: i64,
    }

    tenant_owned!(Reach::Settlement(Column::SettlementId));
}

pub mod line {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "settlement_lines")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub settlement_id: SettlementId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i64,
        pub code: String,
        pub version: i64,
        pub rate_class: Option<String>,
        pub clause: Option<String>,
        pub base: Option<Units>,
        pub rate: Option<String>,
        pub amount: Minor,
        pub corrects: Option<SettlementId>,
    }

    tenant_owned!(Reach::Settlement(Column::SettlementId));
}

pub mod hold {
    use super::*;

    /// A line set aside: those of its rate class in its settlement.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "holds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub settlement_id: SettlementId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub rate_class: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub case_id: CaseId,
        pub placed_at: Timestamp,
        pub released_at: Option<Timestamp>,
    }

    tenant_owned!(Reach::Settlement(Column::SettlementId));
}

pub async fn by_id(tx: &TenantTx, id: SettlementId) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await
}

pub async fn by_ids(tx: &TenantTx, ids: &[SettlementId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::Id.is_in(ids.iter().copied()))).await
}

pub async fn page(tx: &TenantTx, filter: &SettlementFilter, page: PageRequest) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|mut q| {
        if let Some(contract) = filter.contract {
            q = q.filter(Column::ContractId.eq(contract));
        }
        if let Some(partner) = filter.partner {
            q = q.filter(Column::PartnerId.eq(partner));
        }
        if let Some(state) = filter.state {
            q = q.filter(Column::State.eq(state.as_str()));
        }
        if let Some(currency) = &filter.currency {
            q = q.filter(Column::Currency.eq(currency));
        }
        if let Some(until) = filter.due_until {
            q = q.filter(Column::DueOn.lte(until.to_string()));
        }
        paged!(q, Column::Id, page)
    })
    .await
}

/// Every settlement of these contracts, in the order of their periods.
pub async fn of_contracts(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| {
        q.filter(Column::ContractId.is_in(contracts.iter().copied()))
            .order_by_asc(Column::ContractId)
            .order_by_asc(Column::Currency)
            .order_by_asc(Column::PeriodStart)
    })
    .await
}

pub async fn open(tx: &TenantTx) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::State.eq(super::State::Open.as_str()))).await
}

pub async fn all(tx: &TenantTx) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q).await
}

pub async fn insert(tx: &TenantTx, settlement: Model) -> Result<(), DbErr> {
    tx.insert(ActiveModel::from(settlement)).await
}

pub async fn freeze(tx: &TenantTx, settlement: Model) -> Result<(), DbErr> {
    let id = settlement.id;
    let change = ActiveModel::from(settlement).reset_all();
    tx.update::<Entity>(|q| q.set(change).filter(Column::Id.eq(id))).await.map(drop)
}

/// Settlements among these that facts reached after they were closed, or that were corrected before: once touched,
/// what was frozen after them reckoned with that.
pub async fn touched_late(tx: &TenantTx, ids: &[SettlementId]) -> Result<Vec<SettlementId>, DbErr> {
    #[derive(sea_orm::FromQueryResult)]
    struct Row {
        id: SettlementId,
    }
    use {accrual::Column as A, line::Column as L};
    let mut touched = Vec::new();
    for chunk in ids.chunks(5_000) {
        let ids = || chunk.iter().copied();
        let late = tx
            .rows::<accrual::Entity, Row>(|q| {
                let q = q.select_only().column_as(A::SettlementId, "id").distinct();
                q.filter(A::SettlementId.is_in(ids())).filter(A::Late.eq(true))
            })
            .await?;
        let corrected = tx
            .rows::<line::Entity, Row>(|q| {
                q.select_only().column_as(L::Corrects, "id").distinct().filter(L::Corrects.is_in(ids()))
            })
            .await?;
        touched.extend(late.into_iter().chain(corrected).map(|row| row.id));
    }
    Ok(touched)
}

pub async fn accruals(tx: &TenantTx, ids: &[SettlementId]) -> Result<Vec<accrual::Model>, DbErr> {
    use accrual::Column as A;
    let mut rows = Vec::new();
    for chunk in ids.chunks(5_000) {
        let ids = chunk.iter().copied();
        rows.extend(tx.all::<accrual::Entity>(|q| q.filter(A::SettlementId.is_in(ids))).await?);
    }
    Ok(rows)
}

pub async fn lines(tx: &TenantTx, ids: &[SettlementId]) -> Result<Vec<line::Model>, DbErr> {
    use line::Column as L;
    let mut rows = Vec::new();
    for chunk in ids.chunks(5_000) {
        let ids = chunk.iter().copied();
        rows.extend(
            tx.all::<line::Entity>(|q| {
                q.filter(L::SettlementId.is_in(ids)).order_by_asc(L::SettlementId).order_by_asc(L::Position)
            })
            .await?,
        );
    }
    Ok(rows)
}

/// Correction lines of closed settlements that repair these.
pub async fn corrections_of(tx: &TenantTx, ids: &[SettlementId]) -> Result<Vec<line::Model>, DbErr> {
    use line::Column as L;
    let mut rows = Vec::new();
    for chunk in ids.chunks(5_000) {
        let ids = chunk.iter().copied();
        rows.extend(tx.all::<line::Entity>(|q| q.filter(L::Corrects.is_in(ids))).await?);
    }
    Ok(rows)
}

pub async fn insert_lines(tx: &TenantTx, lines: Vec<line::Model>) -> Result<(), DbErr> {
    let lines: Vec<line::ActiveModel> = lines.into_iter().map(line::ActiveModel::from).collect();
    for chunk in lines.chunks(500) {
        tx.insert_all(chunk.to_vec()).await?;
    }
    Ok(())
}

/// Adds to the running totals, or begins them.
const ACCRUALS: Insert = Insert {
    table: "accruals",
    columns: &["settlement_id", "version", "rate_class", "kind", "late", "amount", "units", "transactions"],
    on_conflict: "ON CONFLICT (tenant_id, settlement_id, version, rate_class, kind, late) DO UPDATE SET \
                  amount = accruals.amount + excluded.amount, units = accruals.units + excluded.units, \
                  transactions = accruals.transactions + excluded.transactions",
};

pub async fn add_accruals(tx: &TenantTx, rows: Vec<accrual::Model>) -> Result<(), DbErr> {
    let values = rows.into_iter().flat_map(|row| -> [Value; 8] {
        [
            row.settlement_id.into(),
            row.version.into(),
            row.rate_class.into(),
            row.kind.into(),
            row.late.into(),
            row.amount.into(),
            row.units.into(),
            row.transactions.into(),
        ]
    });
    tx.bulk_insert(&ACCRUALS, values.collect()).await
}

/// Forgets running totals that are about to be computed anew.
pub async fn delete_accruals(tx: &TenantTx, settlement: SettlementId, late: bool) -> Result<(), DbErr> {
    use accrual::Column as A;
    tx.delete::<accrual::Entity>(|q| q.filter(A::SettlementId.eq(settlement)).filter(A::Late.eq(late))).await.map(drop)
}

/// The holds on some settlements that nobody has released, in the order in which they were placed.
pub async fn holds_on(tx: &TenantTx, settlements: &[SettlementId]) -> Result<Vec<hold::Model>, DbErr> {
    use hold::{Column, Entity};
    tx.all::<Entity>(|q| {
        q.filter(Column::SettlementId.is_in(settlements.iter().copied()))
            .filter(Column::ReleasedAt.is_null())
            .order_by_asc(Column::PlacedAt)
            .order_by_asc(Column::CaseId)
            .order_by_asc(Column::RateClass)
    })
    .await
}

/// Those of a case that nobody has released.
pub async fn holds_of(tx: &TenantTx, case: CaseId) -> Result<Vec<hold::Model>, DbErr> {
    use hold::{Column, Entity};
    tx.all::<Entity>(|q| q.filter(Column::CaseId.eq(case)).filter(Column::ReleasedAt.is_null())).await
}

/// Places a hold, or places one again that was released; one that stands stays as it is.
pub async fn place_hold(
    tx: &TenantTx,
    settlement: SettlementId,
    class: &str,
    case: CaseId,
    now: Timestamp,
) -> Result<(), DbErr> {
    const HOLDS: Insert = Insert {
        table: "holds",
        columns: &["settlement_id", "rate_class", "case_id", "placed_at"],
        on_conflict: "ON CONFLICT (tenant_id, settlement_id, rate_class, case_id) DO UPDATE SET released_at = NULL, \
                      placed_at = CASE WHEN holds.released_at IS NULL THEN holds.placed_at ELSE excluded.placed_at END",
    };
    tx.bulk_insert(&HOLDS, vec![settlement.into(), class.into(), case.into(), now.into()]).await
}

pub async fn release_holds(tx: &TenantTx, case: CaseId, now: Timestamp) -> Result<(), DbErr> {
    use hold::{Column, Entity};
    tx.update::<Entity>(|q| {
        q.col_expr(Column::ReleasedAt, Expr::value(now))
            .filter(Column::CaseId.eq(case))
            .filter(Column::ReleasedAt.is_null())
    })
    .await
    .map(drop)
}
