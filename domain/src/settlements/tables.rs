//! The tables `contract_funds`, `opening_balances`, `credit_states` and `settlement_parties`.

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::db::{Reach, TenantTx, tenant_owned};
use crate::ids::{ContractId, FundId, MemberId, PartnerId, SettlementId, TenantId};
use crate::money::Minor;
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::parties::{PartFilter, PartKey};

pub mod fund {
    use serde::{Deserialize, Serialize};

    use super::*;

    /// Something paid beforehand under a contract, or what its supplier says is left of it.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
    #[sea_orm(table_name = "contract_funds")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: FundId,
        pub contract_id: ContractId,
        pub currency: String,
        pub kind: String,
        pub opening: bool,
        pub amount: Minor,
        pub cost: Minor,
        pub happened_on: String,
        pub note: String,
        pub created_at: Timestamp,
        pub created_by: Option<MemberId>,
    }

    tenant_owned!(Reach::Contract(Column::ContractId));
}

pub mod opening {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "opening_balances")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub contract_id: ContractId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub currency: String,
        /// JSON.
        pub carry: String,
        pub created_at: Timestamp,
        pub created_by: Option<MemberId>,
    }

    tenant_owned!(Reach::Contract(Column::ContractId));
}

pub mod credit {
    use super::*;

    /// How prepaid credit stood when somebody was told last.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "credit_states")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub contract_id: ContractId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub currency: String,
        pub state: String,
        pub changed_at: Timestamp,
    }

    tenant_owned!(Reach::Contract(Column::ContractId));
}

pub async fn credit_states(tx: &TenantTx) -> Result<Vec<credit::Model>, DbErr> {
    tx.all::<credit::Entity>(|q| q).await
}

pub async fn replace_credit_state(tx: &TenantTx, row: credit::Model) -> Result<(), DbErr> {
    use credit::Column;
    tx.delete::<credit::Entity>(|q| {
        q.filter(Column::ContractId.eq(row.contract_id)).filter(Column::Currency.eq(row.currency.clone()))
    })
    .await?;
    tx.insert(credit::ActiveModel::from(row)).await
}

pub mod party {
    use super::*;

    /// What a party had of a settlement when it closed.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "settlement_parties")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub settlement_id: SettlementId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: i64,
        pub partner_id: PartnerId,
        pub contract_id: ContractId,
        pub currency: String,
        pub percent: String,
        pub weight: String,
        pub amount: Minor,
    }

    // Of its own settlements a partner's user sees all of it; of others its own part alone, by `parties.rs`.
    tenant_owned!(Reach::Settlement(Column::SettlementId));
}

/// The parts of these settlements, in the order of each one's parties.
pub async fn parties(tx: &TenantTx, settlements: &[SettlementId]) -> Result<Vec<party::Model>, DbErr> {
    use party::Column;
    let mut rows = Vec::new();
    for chunk in settlements.chunks(5_000) {
        let ids = chunk.iter().copied();
        let of = |q: Select<party::Entity>| q.filter(Column::SettlementId.is_in(ids)).order_by_asc(Column::Position);
        rows.extend(tx.all::<party::Entity>(of).await?);
    }
    Ok(rows)
}

/// One page, and one row more: the latest opened settlements first, and of each its parts in their order.
pub async fn parties_page(
    tx: &TenantTx,
    filter: &PartFilter,
    page: &PageRequest<PartKey>,
) -> Result<Vec<party::Model>, DbErr> {
    use party::Column;
    tx.all::<party::Entity>(|mut q| {
        if let Some(partner) = filter.partner {
            q = q.filter(Column::PartnerId.eq(partner));
        }
        if let Some(contract) = filter.contract {
            q = q.filter(Column::ContractId.eq(contract));
        }
        if let Some(currency) = &filter.currency {
            q = q.filter(Column::Currency.eq(currency));
        }
        if let Some((settlement, position)) = page.after {
            let same = Column::SettlementId.eq(settlement).and(Column::Position.gt(i64::from(position)));
            q = q.filter(Column::SettlementId.lt(settlement).or(same));
        }
        q.order_by_desc(Column::SettlementId).order_by_asc(Column::Position).limit(page.first + 1)
    })
    .await
}

pub async fn insert_parties(tx: &TenantTx, rows: Vec<party::Model>) -> Result<(), DbErr> {
    tx.insert_all(rows.into_iter().map(party::ActiveModel::from)).await
}

/// What was recorded for these contracts, in that order.
pub async fn funds(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<fund::Model>, DbErr> {
    use fund::Column;
    let mut rows = Vec::new();
    for chunk in contracts.chunks(5_000) {
        let ids = chunk.iter().copied();
        rows.extend(
            tx.all::<fund::Entity>(|q| q.filter(Column::ContractId.is_in(ids)).order_by_asc(Column::Id)).await?,
        );
    }
    Ok(rows)
}

pub async fn fund_by_id(tx: &TenantTx, id: FundId) -> Result<Option<fund::Model>, DbErr> {
    tx.one::<fund::Entity>(|q| q.filter(fund::Column::Id.eq(id))).await
}

pub async fn all_funds(tx: &TenantTx) -> Result<Vec<fund::Model>, DbErr> {
    tx.all::<fund::Entity>(|q| q.order_by_asc(fund::Column::Id)).await
}

pub async fn funds_page(
    tx: &TenantTx,
    contract: Option<ContractId>,
    page: PageRequest,
) -> Result<Vec<fund::Model>, DbErr> {
    tx.all::<fund::Entity>(|q| {
        let q = match contract {
            Some(contract) => q.filter(fund::Column::ContractId.eq(contract)),
            None => q,
        };
        paged!(q, fund::Column::Id, page)
    })
    .await
}

pub async fn insert_fund(tx: &TenantTx, row: fund::Model) -> Result<(), DbErr> {
    tx.insert(fund::ActiveModel::from(row)).await
}

pub async fn openings(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<opening::Model>, DbErr> {
    let mut rows = Vec::new();
    for chunk in contracts.chunks(5_000) {
        let ids = chunk.iter().copied();
        rows.extend(tx.all::<opening::Entity>(|q| q.filter(opening::Column::ContractId.is_in(ids))).await?);
    }
    Ok(rows)
}

pub async fn replace_opening(tx: &TenantTx, row: opening::Model) -> Result<(), DbErr> {
    use opening::Column;
    tx.delete::<opening::Entity>(|q| {
        q.filter(Column::ContractId.eq(row.contract_id)).filter(Column::Currency.eq(row.currency.clone()))
    })
    .await?;
    tx.insert(opening::ActiveModel::from(row)).await
}
