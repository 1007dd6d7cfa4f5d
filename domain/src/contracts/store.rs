//! The tables `contracts` and `contract_versions`.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DbErr, QueryFilter, QueryOrder};
use serde::{Deserialize, Serialize};

use super::contract::{ActiveVersion, Terms};
use super::{ContractVersion, VersionState};
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::error::Fault;
use crate::ids::{ContractId, MemberId, PartnerId, TenantId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "contracts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ContractId,
    pub partner_id: PartnerId,
    pub name: String,
    pub created_at: Timestamp,
}

tenant_owned!(Reach::Partner(Column::PartnerId));

pub mod version {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contract_versions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub contract_id: ContractId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub version: i64,
        pub state: String,
        pub valid_from: Timestamp,
        pub terms: String,
        pub created_at: Timestamp,
        pub activated_at: Option<Timestamp>,
        pub activated_by: Option<MemberId>,
    }

    tenant_owned!(Reach::Contract(Column::ContractId));
}

use version::Column as V;

impl TryFrom<version::Model> for ContractVersion {
    type Error = Fault;

    fn try_from(row: version::Model) -> Result<Self, Fault> {
        let damaged = |what: String| Fault::Corrupt(format!("{} version {}: {what}", row.contract_id, row.version));
        let state = VersionState::parse(&row.state).ok_or_else(|| damaged(format!("state {}", row.state)))?;
        let terms: Terms = serde_json::from_str(&row.terms).map_err(|error| damaged(error.to_string()))?;
        Ok(Self {
            contract: row.contract_id,
            version: row.version,
            state,
            valid_from: row.valid_from,
            terms,
            created_at: row.created_at,
            activated_at: row.activated_at,
            activated_by: row.activated_by,
        })
    }
}

pub async fn insert(tx: &TenantTx, contract: Model) -> Result<(), DbErr> {
    tx.insert(ActiveModel::from(contract)).await
}

pub async fn by_id(tx: &TenantTx, id: ContractId) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await
}

pub async fn by_ids(tx: &TenantTx, ids: &[ContractId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::Id.is_in(ids.iter().copied()))).await
}

pub async fn by_name(tx: &TenantTx, partner: PartnerId, name: &str) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::PartnerId.eq(partner)).filter(Column::Name.eq(name))).await
}

pub async fn page(tx: &TenantTx, page: PageRequest) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| paged!(q, Column::Id, page)).await
}

pub async fn insert_version(tx: &TenantTx, version: version::Model) -> Result<(), DbErr> {
    tx.insert(version::ActiveModel::from(version)).await
}

pub async fn version(tx: &TenantTx, contract: ContractId, version: i64) -> Result<Option<version::Model>, DbErr> {
    tx.one::<version::Entity>(|q| q.filter(V::ContractId.eq(contract)).filter(V::Version.eq(version))).await
}

/// All versions of these contracts, drafts too, in the order they were written.
pub async fn versions(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<version::Model>, DbErr> {
    tx.all::<version::Entity>(|q| {
        let ids = contracts.iter().copied();
        q.filter(V::ContractId.is_in(ids)).order_by_asc(V::ContractId).order_by_asc(V::Version)
    })
    .await
}

pub async fn change_version(
    tx: &TenantTx,
    contract: ContractId,
    version: i64,
    change: version::ActiveModel,
) -> Result<(), DbErr> {
    let at = |q: sea_orm::UpdateMany<version::Entity>| {
        q.set(change).filter(V::ContractId.eq(contract)).filter(V::Version.eq(version))
    };
    tx.update::<version::Entity>(at).await.map(drop)
}

pub fn draft_of(valid_from: Timestamp, terms: String) -> version::ActiveModel {
    version::ActiveModel { valid_from: Set(valid_from), terms: Set(terms), ..Default::default() }
}

pub fn activated(at: Timestamp, by: Option<MemberId>) -> version::ActiveModel {
    version::ActiveModel {
        state: Set(VersionState::Active.as_str().to_owned()),
        activated_at: Set(Some(at)),
        activated_by: Set(by),
        ..Default::default()
    }
}

/// The active versions of all contracts, or of one partner's, by contract and the instant from which they count.
pub async fn active(tx: &TenantTx, partner: Option<PartnerId>) -> crate::error::Result<Vec<ActiveVersion>> {
    let contracts = tx
        .all::<Entity>(|q| match partner {
            Some(partner) => q.filter(Column::PartnerId.eq(partner)),
            None => q,
        })
        .await?;
    active_of(tx, contracts).await
}

/// Contracts asked for in one query, well below what a statement takes.
const CHUNK: usize = 5_000;

pub async fn active_of(tx: &TenantTx, contracts: Vec<Model>) -> crate::error::Result<Vec<ActiveVersion>> {
    let partners: BTreeMap<ContractId, PartnerId> =
        contracts.into_iter().map(|contract| (contract.id, contract.partner_id)).collect();
    let ids: Vec<ContractId> = partners.keys().copied().collect();
    let mut active = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let rows = tx
            .all::<version::Entity>(|q| {
                q.filter(V::State.eq(VersionState::Active.as_str()))
                    .filter(V::ContractId.is_in(chunk.iter().copied()))
                    .order_by_asc(V::ContractId)
                    .order_by_asc(V::ValidFrom)
            })
            .await?;
        for row in rows {
            let Some(partner) = partners.get(&row.contract_id).copied() else { continue };
            active.push(ContractVersion::try_from(row)?.active(partner));
        }
    }
    Ok(active)
}
