//! The tables of contracts, of their versions with what was done to them, of test cases, templates and the policy.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, DbErr, QueryFilter, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};

use super::contract::{ActiveVersion, Terms};
use super::version::{ContractVersion, StepKind, VersionState};
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::error::Fault;
use crate::ids::{ContractId, MemberId, PartnerId, StepId, TenantId};
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
        pub revision: i64,
        pub changed_at: Option<Timestamp>,
        pub changed_by: Option<MemberId>,
        pub tested_at: Option<Timestamp>,
        pub approved_at: Option<Timestamp>,
        pub replaces: Option<i64>,
        pub replaced_at: Option<Timestamp>,
        pub replaced_by: Option<i64>,
    }

    tenant_owned!(Reach::Contract(Column::ContractId));
}

/// What was done to versions. It is the tenant's own affair, as are test cases and templates.
pub mod step {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contract_version_steps")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: StepId,
        pub contract_id: ContractId,
        pub version: i64,
        pub kind: String,
        pub revision: i64,
        pub member_id: Option<MemberId>,
        pub made_at: Timestamp,
        pub note: Option<String>,
    }

    tenant_owned!(Reach::Hidden);
}

pub mod policy {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contract_policies")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        pub approval: String,
        pub changed_at: Timestamp,
    }

    tenant_owned!(Reach::Shared);
}

pub mod test_case {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contract_test_cases")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub contract_id: ContractId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub body: String,
        pub changed_at: Timestamp,
    }

    tenant_owned!(Reach::Hidden);
}

pub mod template {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "contract_templates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: TenantId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub terms: String,
        pub changed_at: Timestamp,
    }

    tenant_owned!(Reach::Hidden);
}

use version::Column as V;

impl TryFrom<version::Model> for ContractVersion {
    type Error = Fault;

    fn try_from(row: version::Model) -> Result<Self, Fault> {
        let damaged = |what: String| Fault::Corrupt(format!("{} version {}: {what}", row.contract_id, row.version));
        let state = match VersionState::parse(&row.state).ok_or_else(|| damaged(format!("state {}", row.state)))? {
            VersionState::Draft if row.approved_at.is_some() => VersionState::Approved,
            VersionState::Draft if row.tested_at.is_some() => VersionState::Tested,
            state => state,
        };
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
            revision: row.revision,
            changed_at: row.changed_at,
            changed_by: row.changed_by,
            tested_at: row.tested_at,
            approved_at: row.approved_at,
            replaces: row.replaces,
            replaced_at: row.replaced_at,
            superseded_at: None,
            superseded_by: row.replaced_by,
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

/// Another revision of a draft. Whatever was tested and approved was the one before.
pub fn saved(draft: &ContractVersion, terms: String) -> version::ActiveModel {
    version::ActiveModel {
        valid_from: Set(draft.valid_from),
        terms: Set(terms),
        revision: Set(draft.revision),
        changed_at: Set(draft.changed_at),
        changed_by: Set(draft.changed_by),
        replaces: Set(draft.replaces),
        ..checked(None, None)
    }
}

/// How far a draft has come.
pub fn checked(tested_at: Option<Timestamp>, approved_at: Option<Timestamp>) -> version::ActiveModel {
    version::ActiveModel { tested_at: Set(tested_at), approved_at: Set(approved_at), ..Default::default() }
}

pub fn activated(version: &ContractVersion) -> version::ActiveModel {
    version::ActiveModel {
        state: Set(VersionState::Active.as_str().to_owned()),
        activated_at: Set(version.activated_at),
        activated_by: Set(version.activated_by),
        ..checked(version.tested_at, version.approved_at)
    }
}

pub fn replaced(at: Timestamp, by: i64) -> version::ActiveModel {
    version::ActiveModel { replaced_at: Set(Some(at)), replaced_by: Set(Some(by)), ..Default::default() }
}

/// The active versions of all contracts, or of one partner's, by contract and the instant from which they count.
pub async fn active(tx: &TenantTx, partner: Option<PartnerId>) -> crate::error::Result<Vec<ActiveVersion>> {
    let contracts = tx
        .all::<Entity>(|q| match partner {
            Some(partner) => q.filter(Column::PartnerId.eq(partner)),
            None => q,
        })
        .await?;
    let mut active = active_of(tx, contracts).await?;
    active.retain(|version| version.replaced_at.is_none());
    Ok(active)
}

/// Contracts asked for in one query, well below what a statement takes.
const CHUNK: usize = 5_000;

/// The versions of these contracts that were ever activated, those among them that another one has replaced.
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
                    .order_by_asc(V::Version)
            })
            .await?;
        for row in rows {
            let Some(partner) = partners.get(&row.contract_id).copied() else { continue };
            active.push(ContractVersion::try_from(row)?.active(partner));
        }
    }
    Ok(active)
}

/// Contracts of which some activated version has this text in its terms.
pub async fn saying(tx: &TenantTx, text: &str, only: Option<ContractId>) -> Result<Vec<ContractId>, DbErr> {
    #[derive(sea_orm::FromQueryResult)]
    struct Row {
        id: ContractId,
    }
    let rows = tx
        .rows::<version::Entity, Row>(|q| {
            let q = q.select_only().column_as(V::ContractId, "id").distinct();
            let q = q.filter(V::State.eq(VersionState::Active.as_str())).filter(V::Terms.contains(text));
            match only {
                Some(contract) => q.filter(V::ContractId.eq(contract)),
                None => q,
            }
        })
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

pub async fn insert_step(tx: &TenantTx, step: step::Model) -> Result<(), DbErr> {
    tx.insert(step::ActiveModel::from(step)).await
}

/// What was done to the versions of these contracts, the latest first.
pub async fn steps(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<step::Model>, DbErr> {
    tx.all::<step::Entity>(|q| {
        q.filter(step::Column::ContractId.is_in(contracts.iter().copied())).order_by_desc(step::Column::Id)
    })
    .await
}

/// What of one kind was done to a version.
pub async fn steps_of(
    tx: &TenantTx,
    contract: ContractId,
    version: i64,
    kinds: &[StepKind],
) -> Result<Vec<step::Model>, DbErr> {
    tx.all::<step::Entity>(|q| {
        q.filter(step::Column::ContractId.eq(contract))
            .filter(step::Column::Version.eq(version))
            .filter(step::Column::Kind.is_in(kinds.iter().map(|kind| kind.as_str())))
    })
    .await
}

pub async fn policy(tx: &TenantTx) -> Result<Option<policy::Model>, DbErr> {
    tx.one::<policy::Entity>(|q| q).await
}

pub async fn set_policy(tx: &TenantTx, policy: policy::Model) -> Result<(), DbErr> {
    tx.delete::<policy::Entity>(|q| q).await?;
    tx.insert(policy::ActiveModel::from(policy)).await
}

/// The test cases of these contracts, by contract and name.
pub async fn test_cases(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<test_case::Model>, DbErr> {
    tx.all::<test_case::Entity>(|q| {
        q.filter(test_case::Column::ContractId.is_in(contracts.iter().copied()))
            .order_by_asc(test_case::Column::ContractId)
            .order_by_asc(test_case::Column::Name)
    })
    .await
}

/// Puts a case in the place of the one with its name.
pub async fn save_test_case(tx: &TenantTx, row: test_case::Model) -> Result<(), DbErr> {
    delete_test_case(tx, row.contract_id, &row.name).await?;
    tx.insert(test_case::ActiveModel::from(row)).await
}

/// How many there were.
pub async fn delete_test_case(tx: &TenantTx, contract: ContractId, name: &str) -> Result<u64, DbErr> {
    let column = test_case::Column::ContractId;
    tx.delete::<test_case::Entity>(|q| q.filter(column.eq(contract)).filter(test_case::Column::Name.eq(name))).await
}

pub async fn template(tx: &TenantTx, name: &str) -> Result<Option<template::Model>, DbErr> {
    tx.one::<template::Entity>(|q| q.filter(template::Column::Name.eq(name))).await
}

pub async fn templates(tx: &TenantTx, page: &PageRequest<String>) -> Result<Vec<template::Model>, DbErr> {
    tx.all::<template::Entity>(|q| {
        let after = page.after.clone();
        let page = PageRequest { first: page.first, after };
        paged!(q, template::Column::Name, page, ascending)
    })
    .await
}

/// Puts a template in the place of the one with its name.
pub async fn save_template(tx: &TenantTx, row: template::Model) -> Result<(), DbErr> {
    delete_template(tx, &row.name).await?;
    tx.insert(template::ActiveModel::from(row)).await
}

/// How many there were.
pub async fn delete_template(tx: &TenantTx, name: &str) -> Result<u64, DbErr> {
    tx.delete::<template::Entity>(|q| q.filter(template::Column::Name.eq(name))).await
}
