//! Rows that many fields of one request ask for, read together: a page of a hundred settlements takes one statement
//! for their partners. Built per request with its caller, so that nothing is shared between callers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, Loader};
use chrono::NaiveDate;
use domain::ids::{
    AccountId, ContractId, ImportRunId, MemberId, PartnerId, ProductId, QuarantineId, SettlementId, SourceId,
    TransactionId,
};
use domain::money::Asset;
use domain::page::{Page, PageRequest};
use domain::transactions::transaction::Player;
use domain::{
    Error, Fault, Scoped, catalogue, contracts, imports, ledger, partners, settlements, sources, tenants, transactions,
};

use super::errors::Failure;
use super::waves::Waves;

pub struct Rows(pub(super) Scoped);

pub type Loaders = DataLoader<Rows>;

/// The loaders of a request, and what it is to be driven by so that they load in waves.
pub fn new(scoped: Scoped) -> (Loaders, Waves) {
    let waves = Waves::default();
    let adding = waves.clone();
    (DataLoader::new(Rows(scoped), move |load| adding.add(load)).delay(Duration::ZERO), waves)
}

/// What one key stands for; a row that is not there, or not the caller's, is no error here.
pub async fn one<K>(ctx: &Context<'_>, key: K) -> Result<Option<<Rows as Loader<K>>::Value>, Failure>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    Rows: Loader<K, Error = Arc<Error>>,
{
    let loaders = ctx.data_opt::<Loaders>().ok_or(Failure::Unauthenticated)?;
    loaders.load_one(key).await.map_err(Failure::Shared)
}

/// What one key stands for, where a foreign key promises that it is there.
pub async fn required<K>(ctx: &Context<'_>, key: K, what: &'static str) -> Result<<Rows as Loader<K>>::Value, Failure>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    Rows: Loader<K, Error = Arc<Error>>,
{
    one(ctx, key).await?.ok_or(Failure::Core(Error::NotFound(what)))
}

/// What some keys stand for. Those that are not there, or not the caller's, are left out.
pub async fn many<K>(
    ctx: &Context<'_>,
    keys: impl IntoIterator<Item = K>,
) -> Result<HashMap<K, <Rows as Loader<K>>::Value>, Failure>
where
    K: Send + Sync + Hash + Eq + Clone + 'static,
    Rows: Loader<K, Error = Arc<Error>>,
{
    let loaders = ctx.data_opt::<Loaders>().ok_or(Failure::Unauthenticated)?;
    loaders.load_many(keys).await.map_err(Failure::Shared)
}

pub(super) fn by<K: Hash + Eq, V>(
    rows: domain::Result<Vec<V>>,
    key: impl Fn(&V) -> K,
) -> Result<HashMap<K, V>, Arc<Error>> {
    Ok(rows.map_err(Arc::new)?.into_iter().map(|row| (key(&row), row)).collect())
}

impl Loader<PartnerId> for Rows {
    type Value = partners::Partner;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[PartnerId]) -> Result<HashMap<PartnerId, Self::Value>, Self::Error> {
        by(self.0.partners_by_ids(ids).await, |partner| partner.id)
    }
}

/// Members whom the caller may see.
impl Loader<MemberId> for Rows {
    type Value = tenants::Member;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[MemberId]) -> Result<HashMap<MemberId, Self::Value>, Self::Error> {
        by(self.0.members_by_ids(ids).await, |member| member.id)
    }
}

impl Loader<SourceId> for Rows {
    type Value = sources::Source;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[SourceId]) -> Result<HashMap<SourceId, Self::Value>, Self::Error> {
        by(self.0.sources_by_ids(ids).await, |source| source.id)
    }
}

impl Loader<ContractId> for Rows {
    type Value = contracts::Contract;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[ContractId]) -> Result<HashMap<ContractId, Self::Value>, Self::Error> {
        by(self.0.contracts_by_ids(ids).await, |contract| contract.id)
    }
}

/// The versions of a contract, oldest first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VersionsOf(pub ContractId);

impl Loader<VersionsOf> for Rows {
    type Value = Vec<contracts::ContractVersion>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[VersionsOf]) -> Result<HashMap<VersionsOf, Self::Value>, Self::Error> {
        let ids: Vec<ContractId> = keys.iter().map(|key| key.0).collect();
        let mut versions: HashMap<VersionsOf, Self::Value> = HashMap::new();
        for version in self.0.contract_versions(&ids).await.map_err(Arc::new)? {
            versions.entry(VersionsOf(version.contract)).or_default().push(version);
        }
        Ok(versions)
    }
}

/// What was paid beforehand under a contract.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FundsOf(pub ContractId);

impl Loader<FundsOf> for Rows {
    type Value = Vec<settlements::FundsOf>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[FundsOf]) -> Result<HashMap<FundsOf, Self::Value>, Self::Error> {
        let ids: Vec<ContractId> = keys.iter().map(|key| key.0).collect();
        let funds = self.0.funds(&ids).await.map_err(Arc::new)?;
        Ok(funds.into_iter().map(|(contract, funds)| (FundsOf(contract), funds)).collect())
    }
}

/// The versions of a product, oldest first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProductVersionsOf(pub ProductId);

impl Loader<ProductVersionsOf> for Rows {
    type Value = Vec<catalogue::ProductVersion>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[ProductVersionsOf]) -> Result<HashMap<ProductVersionsOf, Self::Value>, Self::Error> {
        let ids: Vec<ProductId> = keys.iter().map(|key| key.0).collect();
        let mut versions: HashMap<ProductVersionsOf, Self::Value> = HashMap::new();
        for version in self.0.product_versions(&ids).await.map_err(Arc::new)? {
            versions.entry(ProductVersionsOf(version.product_id)).or_default().push(version);
        }
        Ok(versions)
    }
}

/// What staff said about a player, oldest first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlayerVersionsOf(pub Player);

impl Loader<PlayerVersionsOf> for Rows {
    type Value = Vec<catalogue::PlayerVersion>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[PlayerVersionsOf]) -> Result<HashMap<PlayerVersionsOf, Self::Value>, Self::Error> {
        let players: Vec<Player> = keys.iter().map(|key| key.0).collect();
        let mut versions: HashMap<PlayerVersionsOf, Self::Value> = HashMap::new();
        for version in self.0.player_versions(&players).await.map_err(Arc::new)? {
            // A pseudonym of another length is none of those that were asked for.
            let Ok(player) = Player::try_from(version.player.as_slice()) else { continue };
            versions.entry(PlayerVersionsOf(player)).or_default().push(version);
        }
        Ok(versions)
    }
}

/// A currency or asset by its code.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AssetCode(pub String);

impl Loader<AssetCode> for Rows {
    type Value = Asset;
    type Error = Arc<Error>;

    async fn load(&self, codes: &[AssetCode]) -> Result<HashMap<AssetCode, Asset>, Self::Error> {
        let codes: Vec<String> = codes.iter().map(|code| code.0.clone()).collect();
        let assets = self.0.assets_by_codes(&codes).await.map_err(Arc::new)?;
        Ok(assets.into_iter().map(|(code, asset)| (AssetCode(code), asset)).collect())
    }
}

impl Loader<TransactionId> for Rows {
    type Value = transactions::Transaction;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[TransactionId]) -> Result<HashMap<TransactionId, Self::Value>, Self::Error> {
        by(self.0.transactions_by_ids(ids).await, |transaction| transaction.id)
    }
}

/// Why a transaction is not counted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnpricedOf(pub TransactionId);

impl Loader<UnpricedOf> for Rows {
    type Value = Vec<transactions::Unpriced>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[UnpricedOf]) -> Result<HashMap<UnpricedOf, Self::Value>, Self::Error> {
        let ids: Vec<TransactionId> = keys.iter().map(|key| key.0).collect();
        let unpriced = self.0.unpriced(&ids).await.map_err(Arc::new)?;
        Ok(unpriced.into_iter().map(|(id, reasons)| (UnpricedOf(id), reasons)).collect())
    }
}

impl Loader<SettlementId> for Rows {
    type Value = settlements::Settlement;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[SettlementId]) -> Result<HashMap<SettlementId, Self::Value>, Self::Error> {
        by(self.0.settlements_by_ids(ids).await, |settlement| settlement.id)
    }
}

impl Loader<ImportRunId> for Rows {
    type Value = imports::ImportRun;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[ImportRunId]) -> Result<HashMap<ImportRunId, Self::Value>, Self::Error> {
        by(self.0.import_runs_by_ids(ids).await, |run| run.id)
    }
}

impl Loader<QuarantineId> for Rows {
    type Value = transactions::QuarantinedRecord;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[QuarantineId]) -> Result<HashMap<QuarantineId, Self::Value>, Self::Error> {
        by(self.0.quarantined_records_by_ids(ids).await, |record| record.id)
    }
}

impl Loader<AccountId> for Rows {
    type Value = ledger::Account;
    type Error = Arc<Error>;

    async fn load(&self, ids: &[AccountId]) -> Result<HashMap<AccountId, Self::Value>, Self::Error> {
        by(self.0.accounts_by_ids(ids).await, |account| account.id)
    }
}

/// A settlement's lines and totals as of now.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StatementOf(pub SettlementId);

impl Loader<StatementOf> for Rows {
    type Value = Arc<settlements::Statement>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[StatementOf]) -> Result<HashMap<StatementOf, Self::Value>, Self::Error> {
        let ids: Vec<SettlementId> = keys.iter().map(|key| key.0).collect();
        let statements = self.0.statements(&ids).await.map_err(Arc::new)?;
        Ok(statements.into_iter().map(|(id, statement)| (StatementOf(id), Arc::new(statement))).collect())
    }
}

/// The mapping of a source in one version.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MappingOf(pub SourceId, pub i64);

impl Loader<MappingOf> for Rows {
    type Value = sources::SourceMapping;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[MappingOf]) -> Result<HashMap<MappingOf, Self::Value>, Self::Error> {
        let versions: Vec<(SourceId, i64)> = keys.iter().map(|key| (key.0, key.1)).collect();
        let found = self.0.source_mappings(&versions).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|((source, version), mapping)| (MappingOf(source, version), mapping)).collect())
    }
}

/// What is known of a source's days, from one to another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DaysOf(pub SourceId, pub NaiveDate, pub NaiveDate);

impl Loader<DaysOf> for Rows {
    type Value = Vec<sources::DayStatus>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[DaysOf]) -> Result<HashMap<DaysOf, Self::Value>, Self::Error> {
        let mut days = HashMap::new();
        for ((from, until), ids) in grouped(keys.iter().map(|key| ((key.1, key.2), key.0))) {
            let found = self.0.days_of_sources(&ids, from, until).await.map_err(Arc::new)?;
            days.extend(found.into_iter().map(|(id, of_one)| (DaysOf(id, from, until), of_one)));
        }
        Ok(days)
    }
}

/// The bytes of the record that a transaction came from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawOf(pub TransactionId);

impl Loader<RawOf> for Rows {
    /// A damaged block is the fault of its own records alone.
    type Value = Result<Vec<u8>, Arc<Error>>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[RawOf]) -> Result<HashMap<RawOf, Self::Value>, Self::Error> {
        let ids: Vec<TransactionId> = keys.iter().map(|key| key.0).collect();
        let found = self.0.raw_records(&ids).await.map_err(Arc::new)?;
        let shared = |raw: Result<Vec<u8>, Fault>| raw.map_err(|fault| Arc::new(fault.into()));
        Ok(found.into_iter().map(|(id, raw)| (RawOf(id), shared(raw))).collect())
    }
}

/// Why a settlement cannot close yet.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BlockersOf(pub SettlementId);

impl Loader<BlockersOf> for Rows {
    type Value = Vec<settlements::blockers::Blocker>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[BlockersOf]) -> Result<HashMap<BlockersOf, Self::Value>, Self::Error> {
        let ids: Vec<SettlementId> = keys.iter().map(|key| key.0).collect();
        let found = self.0.blockers_of(&ids).await.map_err(Arc::new)?;
        Ok(found.into_iter().map(|(id, blockers)| (BlockersOf(id), blockers)).collect())
    }
}

/// A page of what was posted for a settlement, latest first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntriesOf(pub SettlementId, pub PageRequest);

impl Loader<EntriesOf> for Rows {
    type Value = Page<(ledger::Entry, Vec<ledger::EntryLeg>)>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[EntriesOf]) -> Result<HashMap<EntriesOf, Self::Value>, Self::Error> {
        let mut entries = HashMap::new();
        for (page, ids) in grouped(keys.iter().map(|key| (key.1, key.0))) {
            let found = self.0.entries(&ids, page).await.map_err(Arc::new)?;
            entries.extend(found.into_iter().map(|(id, of_one)| (EntriesOf(id, page), of_one)));
        }
        Ok(entries)
    }
}

/// A product by its code.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProductCode(pub String);

impl Loader<ProductCode> for Rows {
    type Value = catalogue::Product;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[ProductCode]) -> Result<HashMap<ProductCode, Self::Value>, Self::Error> {
        let codes: Vec<String> = keys.iter().map(|key| key.0.clone()).collect();
        by(self.0.products_by_codes(&codes).await, |product| ProductCode(product.code.clone()))
    }
}

/// What is asked for with the same arguments, which is all that one field of a query asks for.
pub(super) fn grouped<A: Eq + Hash, K>(keys: impl Iterator<Item = (A, K)>) -> HashMap<A, Vec<K>> {
    let mut groups: HashMap<A, Vec<K>> = HashMap::new();
    for (arguments, key) in keys {
        groups.entry(arguments).or_default().push(key);
    }
    groups
}
