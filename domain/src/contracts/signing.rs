//! Versions in plain words, and what somebody should know before they are signed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::contract::{ActiveVersion, Split};
use super::text::{self, ClauseText, Heading, Words};
use super::version::{ContractVersion, VersionState};
use super::warnings::{self, Around, Counted, Warning};
use super::{active_versions_in, json, store, version_in, versions_in};
use crate::caller::{Permission, Scoped};
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{ContractId, PartnerId, SourceId};
use crate::money::Asset;
use crate::notifications::Language;
use crate::secrets::sha256;
use crate::time::{MICROS_PER_DAY, Timestamp};
use crate::{calendars, catalogue, partners, settlements, sources};

/// Rows that nothing reached for so long are told.
const DAYS_LOOKED_AT: i64 = 31;

type Of = (ContractId, i64);

impl Scoped {
    /// What versions say, in words; those that are not there are left out.
    pub async fn contract_texts(&self, of: &[Of], language: Language) -> Result<HashMap<Of, Vec<ClauseText>>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let versions = some_in(&tx, of, self.clock().now()).await?;
        let assets = catalogue::assets_in(&tx).await?;
        let sources = names_in(&tx).await?;
        let parties = parties_in(&tx, &versions).await?;
        let calendars = calendars::all_in(&tx).await?;
        let said = move || -> Vec<(Of, Vec<ClauseText>)> {
            let own = versions.iter().map(|version| (version, asset_of(&assets, &version.terms.currency)));
            let told = own.map(|(version, asset)| {
                let words = Words { asset: &asset, sources: &sources, partners: &parties, calendars: &calendars };
                ((version.contract, version.version), text::text(&version.terms, &words, language))
            });
            told.collect()
        };
        Ok(on_a_thread(said).await?.into_iter().collect())
    }

    /// The same of one version as a page to print and sign.
    pub async fn contract_page(&self, id: ContractId, version: i64, language: Language) -> Result<String> {
        let texts = self.contract_texts(&[(id, version)], language).await?;
        let (contract, found) = version_in(&self.read().await?, id, version, self.clock().now()).await?;
        let partner = self.partners_by_ids(&[contract.partner_id]).await?;
        let heading = Heading {
            operator: self.tenant_name().await?,
            partner: partner.into_iter().next().map(|partner| partner.name).unwrap_or_default(),
            contract: contract.name,
            version,
            is_draft: !matches!(found.state, VersionState::Active | VersionState::Superseded),
            fingerprint: sha256(json(&found.terms)?.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        let clauses = texts.into_iter().next().map(|(_, clauses)| clauses).unwrap_or_default();
        on_a_thread(move || text::page(&heading, &clauses, language)).await
    }

    /// What somebody should know about the money of these versions. It tells of other partners' contracts, so a partner's
    /// user hears nothing.
    pub async fn contract_warnings(&self, of: &[Of]) -> Result<HashMap<Of, Vec<Warning>>> {
        self.require(Permission::Read)?;
        if self.caller().partner().is_some() {
            return Ok(HashMap::new());
        }
        let (tx, now) = (self.read().await?, self.clock().now());
        let versions = some_in(&tx, of, now).await?;
        let ids: BTreeSet<ContractId> = versions.iter().map(|version| version.contract).collect();
        let ids: Vec<ContractId> = ids.into_iter().collect();
        let own: BTreeMap<ContractId, PartnerId> =
            store::by_ids(&tx, &ids).await?.into_iter().map(|contract| (contract.id, contract.partner_id)).collect();
        let assets = catalogue::assets_in(&tx).await?;
        let active = active_versions_in(&tx).await?;
        let calendars = calendars::all_in(&tx).await?;
        let since = now.plus(-DAYS_LOOKED_AT * MICROS_PER_DAY);
        let counted = settlements::counted_since_in(&tx, &ids, since).await?;
        let beside: Vec<(ActiveVersion, Vec<ActiveVersion>)> = versions
            .into_iter()
            .filter_map(|version| Some(beside(*own.get(&version.contract)?, version, now, &active)))
            .collect();
        let named: BTreeSet<(ContractId, PartnerId)> = beside
            .iter()
            .flat_map(|(own, others)| warnings::overlapping(own, others).into_iter().chain([own]))
            .map(|other| (other.contract, other.partner))
            .collect();
        let (contracts, partners): (Vec<ContractId>, Vec<PartnerId>) = named.into_iter().unzip();
        let contracts = store::by_ids(&tx, &contracts).await?.into_iter().map(|row| (row.id, row.name)).collect();
        let partners = self.partners_by_ids(&partners).await?.into_iter().map(|row| (row.id, row.name)).collect();
        let said = move || {
            let one = |(own, others): &(ActiveVersion, Vec<ActiveVersion>)| {
                let key = (own.contract, own.version);
                let counted =
                    counted.get(&key).map(|(since, by_class)| Counted { since: *since, by_class: by_class.clone() });
                let (contracts, partners) = (&contracts, &partners);
                let around = Around { others, contracts, partners, counted, calendars: &calendars, now };
                (key, warnings::check(own, &asset_of(&assets, &own.terms.currency), &around))
            };
            beside.iter().map(one).collect()
        };
        on_a_thread(said).await
    }
}

/// A version as if it were in force, and what is in force beside it then.
fn beside(
    partner: PartnerId,
    version: ContractVersion,
    now: Timestamp,
    active: &[ActiveVersion],
) -> (ActiveVersion, Vec<ActiveVersion>) {
    let others = warnings::others_at(version.contract, now.max(version.valid_from), active);
    let own = ActiveVersion {
        contract: version.contract,
        partner,
        version: version.version,
        valid_from: version.valid_from,
        replaced_at: None,
        terms: version.terms,
    };
    (own, others)
}

async fn some_in(tx: &TenantTx, of: &[Of], now: Timestamp) -> Result<Vec<ContractVersion>> {
    let contracts: BTreeSet<ContractId> = of.iter().map(|(contract, _)| *contract).collect();
    let mut versions = versions_in(tx, &contracts.into_iter().collect::<Vec<_>>(), now).await?;
    versions.retain(|version| of.contains(&(version.contract, version.version)));
    Ok(versions)
}

async fn names_in(tx: &TenantTx) -> Result<BTreeMap<SourceId, String>> {
    Ok(sources::names_in(tx).await?.into_iter().collect())
}

/// What the parties of versions are called, as far as the caller may see them.
async fn parties_in(tx: &TenantTx, versions: &[ContractVersion]) -> Result<BTreeMap<PartnerId, String>> {
    let splits = versions.iter().filter_map(|version| version.terms.split.as_ref());
    let named: BTreeSet<PartnerId> = splits.flat_map(Split::parties).map(|party| party.partner).collect();
    if named.is_empty() {
        return Ok(BTreeMap::new());
    }
    partners::names_in(tx, &named.into_iter().collect::<Vec<_>>()).await
}

/// The asset of a currency. What is saved was checked, so that there is one.
fn asset_of(assets: &HashMap<String, Asset>, code: &str) -> Asset {
    assets.get(code).cloned().or_else(|| Asset::iso(code)).unwrap_or_else(|| Asset::new(code, 2))
}

/// A large table takes tenths of a second, in which its thread would answer nobody else.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Fault::Internal(error.to_string()))?)
}
