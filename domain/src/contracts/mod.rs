//! Contracts: what is agreed with a partner, in versions. A version is a draft until it is activated; from then on it
//! stands, and only another version changes what counts.
//!
//! - `mod.rs`: contracts themselves, and reading them.
//! - `lifecycle.rs`: the life of a version, from a draft to being superseded, and the policy of approvals.
//! - `signing.rs`: versions in plain words, and what somebody should know before they are signed.
//! - `cases.rs`: stored test cases. `templates.rs`: templates, and copies of contracts.
//!
//! Uses partners, catalogue, sources and calendars to check what terms name, transactions and settlements to run test cases as
//! everything else runs and to count anew when a version is activated for times that already have facts, tenants
//! for the names of those who did something, and notifications for the languages that contracts are told in.

mod activation;
mod also;
mod attribution;
pub mod base;
pub mod book;
pub mod case;
mod cases;
mod cell;
pub mod clauses;
mod condition;
pub mod contract;
mod custom;
pub mod difference;
mod due;
pub mod feed;
pub mod findings;
#[cfg(test)]
pub(crate) mod fixtures;
mod lifecycle;
mod numbers;
pub mod period;
pub mod pricing;
mod promotion;
pub mod resolution;
pub mod sheet;
mod signing;
pub mod split;
mod store;
mod table;
mod tables;
pub mod template;
mod templates;
pub mod terms;
pub mod text;
pub mod trial;
pub mod version;
pub mod warnings;

use std::collections::BTreeMap;

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, PartnerId};
use crate::page::{Page, PageRequest};
use crate::partners::text;
use crate::time::Timestamp;
use crate::{calendars, catalogue, partners, sources};

pub(crate) use also::{for_currency, in_each_currency};
pub use book::{Book, PlayerVersion, ProductVersion};
use contract::{ActiveVersion, Terms};
pub use feed::{AccrualKind, Feed, UnpricedReason, Verdict};
pub use lifecycle::{Step, TestRun};
pub use period::Period;
pub use pricing::{Considered, Pricer, RowTried, Says};
pub use store::Model as Contract;
pub use tables::Imported;
pub use text::ClauseText;
pub use version::{Approval, ContractVersion, StepKind, VersionDraft, VersionState};

pub struct NewContract {
    pub partner: PartnerId,
    /// Unique among the partner's contracts.
    pub name: String,
    /// Of the first version, which begins as a draft.
    pub terms: Terms,
}

impl Scoped {
    pub async fn create_contract(&self, new: NewContract) -> Result<(Contract, ContractVersion)> {
        self.require(Permission::Configure)?;
        let name = text("name", &new.name, 200)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            create_in(writer, tx, new.partner, &name, new.terms.clone()).await
        })
        .await
    }

    pub async fn contracts(&self, page: PageRequest) -> Result<Page<Contract>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read().await?, page).await?, &page))
    }

    pub async fn contract(&self, id: ContractId) -> Result<Option<Contract>> {
        self.require(Permission::Read)?;
        Ok(store::by_id(&self.read().await?, id).await?)
    }

    pub async fn contracts_by_ids(&self, ids: &[ContractId]) -> Result<Vec<Contract>> {
        self.require(Permission::Read)?;
        Ok(store::by_ids(&self.read().await?, ids).await?)
    }

    /// Every version of these contracts, drafts too, in the order they were written.
    pub async fn contract_versions(&self, contracts: &[ContractId]) -> Result<Vec<ContractVersion>> {
        self.require(Permission::Read)?;
        versions_in(&self.read().await?, contracts, self.clock().now()).await
    }
}

/// Every version of these contracts, in the order they were written, with what has taken over by now.
pub(crate) async fn versions_in(
    tx: &TenantTx,
    contracts: &[ContractId],
    now: Timestamp,
) -> Result<Vec<ContractVersion>> {
    let rows = store::versions(tx, contracts).await?;
    let mut versions = rows.into_iter().map(ContractVersion::try_from).collect::<Result<Vec<_>, _>>()?;
    versions.chunk_by_mut(|one, next| one.contract == next.contract).for_each(|own| version::supersede(own, now));
    Ok(versions)
}

/// A contract with its first version, as a draft.
async fn create_in(
    writer: &Writer,
    tx: &TenantTx,
    partner: PartnerId,
    name: &str,
    terms: Terms,
) -> Result<(Contract, ContractVersion)> {
    if !partners::exists_in(tx, partner).await? {
        return Err(Problem::new(Code::NotFound, "partnerId", "there is no such partner").into());
    }
    if store::by_name(tx, partner, name).await?.is_some() {
        let message = format!("this partner has a contract '{name}' already");
        return Err(Problem::new(Code::AlreadyExists, "name", message).into());
    }
    let contract = Contract {
        tenant_id: tx.tenant(),
        id: writer.clock().id(),
        partner_id: partner,
        name: name.to_owned(),
        created_at: writer.clock().now(),
    };
    check_in(tx, &contract, &terms).await?;
    store::insert(tx, contract.clone()).await?;
    let version = lifecycle::insert_draft(writer, tx, contract.id, 1, terms.into()).await?;
    Ok((contract, version))
}

/// The active versions of all contracts, by contract and the instant from which they count.
pub(crate) async fn active_versions_in(tx: &TenantTx) -> Result<Vec<ActiveVersion>> {
    store::active(tx, None).await
}

/// The active versions of these contracts, in the same order, as settlements are calculated by them: each once for each
/// of its currencies.
pub(crate) async fn active_versions_of_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<ActiveVersion>> {
    let mut versions = versions_ever_active_of_in(tx, contracts).await?;
    versions.retain(|version| version.replaced_at.is_none());
    Ok(versions)
}

/// The same and those that another one has replaced: what was counted and closed under one still says so.
pub(crate) async fn versions_ever_active_of_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<ActiveVersion>> {
    let contracts = store::by_ids(tx, contracts).await?;
    Ok(in_each_currency(store::active_of(tx, contracts).await?))
}

/// The active versions of a partner's contracts, likewise.
pub(crate) async fn active_versions_of_partner_in(tx: &TenantTx, partner: PartnerId) -> Result<Vec<ActiveVersion>> {
    Ok(in_each_currency(store::active(tx, Some(partner)).await?))
}

/// Contracts with a version that shares out what its settlements come to, or did; of one contract, or of all.
pub(crate) async fn shared_out_in(tx: &TenantTx, only: Option<ContractId>) -> Result<Vec<ContractId>> {
    Ok(store::saying(tx, "\"split\":", only).await?)
}

/// What contracts are called, as far as the caller may see them.
pub(crate) async fn names_in(tx: &TenantTx, ids: &[ContractId]) -> Result<BTreeMap<ContractId, String>> {
    Ok(store::by_ids(tx, ids).await?.into_iter().map(|contract| (contract.id, contract.name)).collect())
}

pub(crate) async fn exists_in(tx: &TenantTx, id: ContractId) -> Result<bool> {
    Ok(store::by_id(tx, id).await?.is_some())
}

/// A contract and one of its versions.
pub(crate) async fn version_in(
    tx: &TenantTx,
    id: ContractId,
    version: i64,
    now: Timestamp,
) -> Result<(Contract, ContractVersion)> {
    let contract = store::by_id(tx, id).await?.ok_or(Error::NotFound("contract"))?;
    let versions = versions_in(tx, &[id], now).await?;
    let found = versions.into_iter().find(|found| found.version == version);
    Ok((contract, found.ok_or(Error::NotFound("contract version"))?))
}

/// Checks terms by themselves and against what they name.
async fn check_terms_in(tx: &TenantTx, terms: &Terms) -> Result<()> {
    let Some(asset) = catalogue::asset_in(tx, &terms.currency).await? else {
        let message = format!("'{}' is neither an ISO 4217 currency nor an asset of this tenant", terms.currency);
        return Err(Problem::new(Code::UnknownCurrency, "terms.currency", message).into());
    };
    let mut problems = terms::check(terms, &asset);
    problems.extend(also_in(tx, terms).await?);
    for (position, source) in terms.scope.sources.iter().enumerate() {
        if !sources::exists_in(tx, *source).await? {
            let path = format!("scope.sources.{position}");
            problems.push(Problem::new(Code::NotFound, path, "there is no such source"));
        }
    }
    if terms.payment.is_some() {
        problems.extend(due::check_calendars(terms, &calendars::all_in(tx).await?));
    }
    problems.extend(tables::unknown_in(tx, terms).await?);
    problems.extend(unknown_parties_in(tx, terms).await?);
    refuse(problems)
}

/// Parties that the tenant has no partner for.
async fn unknown_parties_in(tx: &TenantTx, terms: &Terms) -> Result<Vec<Problem>> {
    let Some(split) = &terms.split else { return Ok(Vec::new()) };
    let parties = split.parties();
    if parties.len() > split::MAX_PARTIES {
        return Ok(Vec::new());
    }
    let named: Vec<PartnerId> = parties.iter().map(|party| party.partner).collect();
    let known = partners::names_in(tx, &named).await?;
    let unknown = parties.iter().enumerate().filter(|(_, party)| !known.contains_key(&party.partner));
    let problem = |(place, _): (usize, _)| {
        let path = format!("{}.{place}.partner", split.path());
        Problem::new(Code::NotFound, path, "there is no such partner")
    };
    Ok(unknown.map(problem).collect())
}

/// Whether the further currencies of terms are there, and amounts in them make sense.
async fn also_in(tx: &TenantTx, terms: &Terms) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (position, also) in terms.also_in.iter().enumerate() {
        let path = format!("alsoIn.{position}");
        match catalogue::asset_in(tx, &also.currency).await? {
            Some(asset) => problems.extend(terms::check_minimum_payout(&also.minimum_payout, &asset, &path)),
            None => {
                let message =
                    format!("'{}' is neither an ISO 4217 currency nor an asset of this tenant", also.currency);
                problems.push(Problem::new(Code::UnknownCurrency, format!("{path}.currency"), message));
            }
        }
    }
    Ok(problems)
}

/// Checks terms, also against the partner's other contracts, whose active versions it returns.
async fn check_in(tx: &TenantTx, contract: &Contract, terms: &Terms) -> Result<Vec<ActiveVersion>> {
    check_terms_in(tx, terms).await?;
    let active = store::active(tx, Some(contract.partner_id)).await?;
    let new = ActiveVersion {
        contract: contract.id,
        partner: contract.partner_id,
        version: 0,
        valid_from: terms.cycle.start_of(terms.valid_from),
        replaced_at: None,
        terms: terms.clone(),
    };
    let mut problems = Vec::new();
    for overlap in activation::overlaps(&new, &active) {
        let name = store::by_id(tx, overlap.contract).await?.map(|other| other.name).unwrap_or_default();
        let message = format!(
            "contract '{name}' ({}) of the same partner and role claims the same transactions from {} on",
            overlap.contract, overlap.from
        );
        problems.push(Problem::new(Code::ScopeOverlap, "scope", message));
    }
    refuse(problems)?;
    Ok(active)
}

/// Problems of terms, as seen from the input that has them.
fn refuse(problems: Vec<Problem>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(problems.into_iter().map(|problem| problem.under("terms")).collect()))
}

fn json(terms: &Terms) -> Result<String, Fault> {
    serde_json::to_string(terms).map_err(|error| Fault::Internal(error.to_string()))
}
