//! Contracts: what is agreed with a partner, in versions. A version is a draft until it is activated; from then on it
//! stands, and only another version changes what counts.
//!
//! Uses partners, catalogue and sources to check what terms name, and settlements to count anew when a version is
//! activated for times that already have facts.

mod activation;
pub mod book;
mod condition;
pub mod contract;
pub mod feed;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod period;
pub mod pricing;
mod store;
pub mod terms;

use serde::{Deserialize, Serialize};

use crate::caller::{Permission, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, MemberId, PartnerId};
use crate::page::{Page, PageRequest};
use crate::partners::text;
use crate::time::Timestamp;
use crate::{catalogue, partners, settlements, sources};

pub use book::{Book, PlayerVersion, ProductVersion};
use contract::{ActiveVersion, Terms};
pub use feed::{AccrualKind, Feed, UnpricedReason, Verdict};
pub use period::Period;
pub use pricing::Pricer;
pub use store::Model as Contract;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VersionState {
    Draft,
    Active,
}

impl VersionState {
    pub const ALL: [Self; 2] = [Self::Draft, Self::Active];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Active => "ACTIVE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractVersion {
    pub contract: ContractId,
    /// 1 is the first that was written, whatever it counts from.
    pub version: i64,
    pub state: VersionState,
    /// The instant that `terms.valid_from` stands for in the contract's zone.
    pub valid_from: Timestamp,
    pub terms: Terms,
    pub created_at: Timestamp,
    pub activated_at: Option<Timestamp>,
    pub activated_by: Option<MemberId>,
}

impl ContractVersion {
    fn active(self, partner: PartnerId) -> ActiveVersion {
        let Self { contract, version, valid_from, terms, .. } = self;
        ActiveVersion { contract, partner, version, valid_from, terms }
    }
}

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
            if !partners::exists_in(tx, new.partner).await? {
                return Err(Problem::new(Code::NotFound, "partnerId", "there is no such partner").into());
            }
            if store::by_name(tx, new.partner, &name).await?.is_some() {
                let message = format!("this partner has a contract '{name}' already");
                return Err(Problem::new(Code::AlreadyExists, "name", message).into());
            }
            let now = writer.clock().now();
            let contract = Contract {
                tenant_id: tx.tenant(),
                id: writer.clock().id(),
                partner_id: new.partner,
                name,
                created_at: now,
            };
            check_in(tx, &contract, &new.terms).await?;
            store::insert(tx, contract.clone()).await?;
            let version = insert_draft(tx, contract.id, 1, new.terms, now).await?;
            Ok((contract, version))
        })
        .await
    }

    /// Writes another version of a contract, as a draft.
    pub async fn draft_contract_version(&self, id: ContractId, terms: Terms) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let contract = store::by_id(tx, id).await?.ok_or(Error::NotFound("contract"))?;
            check_in(tx, &contract, &terms).await?;
            let last = store::versions(tx, &[id]).await?.last().map_or(0, |last| last.version);
            let version = insert_draft(tx, id, last + 1, terms, writer.clock().now()).await?;
            Ok(version)
        })
        .await
    }

    /// Changes the terms of a draft.
    pub async fn change_contract_draft(&self, id: ContractId, version: i64, terms: Terms) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        self.change(async move |_: &Writer, tx: &TenantTx| {
            let (contract, mut draft) = version_in(tx, id, version).await?;
            if draft.state != VersionState::Draft {
                let message = format!("version {version} is active; write another version instead");
                return Err(Problem::new(Code::VersionActive, "version", message).into());
            }
            check_in(tx, &contract, &terms).await?;
            draft.valid_from = terms.cycle.start_of(terms.valid_from);
            store::change_version(tx, id, version, store::draft_of(draft.valid_from, json(&terms)?)).await?;
            Ok(ContractVersion { terms, ..draft })
        })
        .await
    }

    /// Puts a draft in force from its date on, also for facts that are there already: closed settlements of those
    /// times get corrections. Again is no error and changes nothing.
    pub async fn activate_contract_version(&self, id: ContractId, version: i64) -> Result<ContractVersion> {
        self.require(Permission::Configure)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let (contract, mut draft) = version_in(tx, id, version).await?;
            if draft.state == VersionState::Active {
                return Ok(draft);
            }
            let active = check_in(tx, &contract, &draft.terms).await?;
            let new = draft.clone().active(contract.partner_id);
            let mut problems = activation::check(&new, &active);
            problems.extend(activation::recuts(&new, &active, &settlements::periods_in(tx, id).await?));
            refuse(problems)?;
            let (now, member) = (writer.clock().now(), writer.caller().member());
            store::change_version(tx, id, version, store::activated(now, member)).await?;
            tx.bump_epoch(writer.clock()).await?;
            settlements::reprice_in(writer, tx, Some(id)).await?;
            (draft.state, draft.activated_at, draft.activated_by) = (VersionState::Active, Some(now), member);
            Ok(draft)
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
        let rows = store::versions(&self.read().await?, contracts).await?;
        Ok(rows.into_iter().map(ContractVersion::try_from).collect::<Result<_, _>>()?)
    }
}

/// The active versions of all contracts, by contract and the instant from which they count.
pub(crate) async fn active_versions_in(tx: &TenantTx) -> Result<Vec<ActiveVersion>> {
    store::active(tx, None).await
}

/// The active versions of these contracts, in the same order.
pub(crate) async fn active_versions_of_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<ActiveVersion>> {
    let contracts = store::by_ids(tx, contracts).await?;
    store::active_of(tx, contracts).await
}

async fn version_in(tx: &TenantTx, id: ContractId, version: i64) -> Result<(Contract, ContractVersion)> {
    let contract = store::by_id(tx, id).await?.ok_or(Error::NotFound("contract"))?;
    let row = store::version(tx, id, version).await?.ok_or(Error::NotFound("contract version"))?;
    Ok((contract, row.try_into()?))
}

async fn insert_draft(
    tx: &TenantTx,
    contract: ContractId,
    version: i64,
    terms: Terms,
    now: Timestamp,
) -> Result<ContractVersion> {
    let row = store::version::Model {
        tenant_id: tx.tenant(),
        contract_id: contract,
        version,
        state: VersionState::Draft.as_str().to_owned(),
        valid_from: terms.cycle.start_of(terms.valid_from),
        terms: json(&terms)?,
        created_at: now,
        activated_at: None,
        activated_by: None,
    };
    store::insert_version(tx, row.clone()).await?;
    Ok(row.try_into()?)
}

/// Checks terms by themselves, against what they name and against the partner's other contracts, whose active
/// versions it returns.
async fn check_in(tx: &TenantTx, contract: &Contract, terms: &Terms) -> Result<Vec<ActiveVersion>> {
    let Some(asset) = catalogue::asset_in(tx, &terms.currency).await? else {
        let message = format!("'{}' is neither an ISO 4217 currency nor an asset of this tenant", terms.currency);
        return Err(Problem::new(Code::UnknownCurrency, "terms.currency", message).into());
    };
    let mut problems = terms::check(terms, &asset);
    for (position, source) in terms.scope.sources.iter().enumerate() {
        if !sources::exists_in(tx, *source).await? {
            let path = format!("scope.sources.{position}");
            problems.push(Problem::new(Code::NotFound, path, "there is no such source"));
        }
    }
    refuse(problems)?;
    let active = store::active(tx, Some(contract.partner_id)).await?;
    let new = ActiveVersion {
        contract: contract.id,
        partner: contract.partner_id,
        version: 0,
        valid_from: terms.cycle.start_of(terms.valid_from),
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
