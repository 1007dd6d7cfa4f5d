//! Funds of contracts: recording what is paid beforehand, the balances with which a contract moves in, and what is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use crate::caller::{Permission, Scoped, Writer};
use crate::contracts::contract::ActiveVersion;
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, FundId, PartnerId};
use crate::ledger::{self, posting, posting::AccountCode, posting::Reason};
use crate::money::{Asset, Minor, Rate, Units};
use crate::page::{Page, PageRequest};
use crate::partners::text;
use crate::{catalogue, contracts, events};

use super::accrue::{Opening, open_in};
use super::chain::Beforehand;
use super::fund::{self, CreditState, FundKind};
use super::opening::{self, OpeningBalances};
use super::settlement::{Carry, Funds};
use super::statement::{carry_of, statements_in};
use super::{FundEntry, Settlement, store, tables};

#[derive(Clone)]
pub struct NewFund {
    pub contract: ContractId,
    pub kind: FundKind,
    /// Major units: paid; face value bought; what the supplier says is left. A negative advance was paid back.
    pub amount: String,
    pub currency: String,
    /// Of credit, what it cost in per cent of its face value.
    pub percent: Option<Rate>,
    /// Paid before Saldo was there, so that nothing of it is owed.
    pub opening: bool,
    pub happened_on: NaiveDate,
    pub note: String,
}

/// What was paid beforehand under a contract in one currency, as of now.
#[derive(Clone, Debug)]
pub struct FundsOf {
    pub asset: Asset,
    pub advanced: Minor,
    pub recouped: Minor,
    /// Face value.
    pub bought: Minor,
    pub drawn: Units,
    pub credit: Option<CreditState>,
    /// Below it, credit is low.
    pub low: Option<Minor>,
    /// The newest that the supplier said was left, and when.
    pub supplier: Option<(Minor, String)>,
}

impl FundsOf {
    /// What is left of the credit, at its face value.
    pub fn left(&self) -> Option<Units> {
        let bought = self.bought.0.checked_mul(self.asset.units_per_minor())?;
        bought.checked_sub(self.drawn.0).map(Units)
    }
}

impl Scoped {
    /// Records an advance, credit that was bought, or what the supplier says is left of it.
    pub async fn record_fund(&self, new: NewFund) -> Result<FundEntry> {
        self.require(Permission::Settle)?;
        let note = text("note", &new.note, 500)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let place = Place::find(writer, tx, new.contract, &new.currency).await?;
            let (amount, cost) = fund::check(new.kind, &new.amount, new.percent, &place.version.terms, &place.asset)
                .map_err(Error::Invalid)?;
            let row = FundEntry {
                tenant_id: tx.tenant(),
                id: writer.clock().id(),
                contract_id: new.contract,
                currency: new.currency.clone(),
                kind: new.kind.as_str().to_owned(),
                opening: new.opening,
                amount,
                cost: if new.kind == FundKind::Advance { Minor::ZERO } else { cost },
                happened_on: new.happened_on.to_string(),
                note: note.clone(),
                created_at: writer.clock().now(),
                created_by: writer.caller().member(),
            };
            tables::insert_fund(tx, row.clone()).await?;
            let account = match new.kind {
                FundKind::Advance => AccountCode::Advance,
                FundKind::Credit | FundKind::SupplierBalance => AccountCode::Prepaid,
            };
            if cost != Minor::ZERO {
                let settlement = place.open_in(writer, tx).await?;
                let legs = posting::fund(account, cost, new.opening);
                ledger::post_in(tx, writer.clock(), &place.book(&settlement), Reason::Fund, legs).await?;
            }
            place.announce_in(tx).await?;
            Ok(row)
        })
        .await
    }

    /// Sets what is carried into the first settlement, as long as none is closed; again replaces it.
    pub async fn set_opening_balances(&self, new: OpeningBalances) -> Result<ContractId> {
        self.require(Permission::Settle)?;
        let pseudonyms = self.pseudonyms().await?;
        let new = OpeningBalances { players: opening::pseudonymous(new.players, &pseudonyms)?, ..new };
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let place = Place::find(writer, tx, new.contract, &new.currency).await?;
            if place.settlements.iter().any(|row| !row.is_open()) {
                let message = "a settlement of this contract and currency is closed; its carry follows from that one";
                return Err(Problem::new(Code::WrongState, "contractId", message).into());
            }
            let carry = opening::carry(&new, &place.asset).map_err(Error::Invalid)?;
            let before = tables::openings(tx, &[new.contract]).await?;
            let before = before.iter().find(|row| row.currency == new.currency);
            let before = before.map(|row| opening::read(&row.carry)).transpose()?.unwrap_or_default();
            let row = tables::opening::Model {
                tenant_id: tx.tenant(),
                contract_id: new.contract,
                currency: new.currency.clone(),
                carry: serde_json::to_string(&carry).map_err(|error| Fault::Internal(error.to_string()))?,
                created_at: writer.clock().now(),
                created_by: writer.caller().member(),
            };
            tables::replace_opening(tx, row).await?;
            let settlement = place.open_in(writer, tx).await?;
            let legs = posting::opening(before.amount, carry.amount);
            ledger::post_in(tx, writer.clock(), &place.book(&settlement), Reason::Opening, legs).await?;
            place.announce_in(tx).await?;
            Ok(new.contract)
        })
        .await
    }

    /// What was recorded, for a contract or for all, the latest first.
    pub async fn fund_entries(&self, contract: Option<ContractId>, page: PageRequest) -> Result<Page<FundEntry>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(tables::funds_page(&self.read().await?, contract, page).await?, &page))
    }

    pub async fn fund_entry(&self, id: FundId) -> Result<Option<FundEntry>> {
        self.require(Permission::Read)?;
        Ok(tables::fund_by_id(&self.read().await?, id).await?)
    }

    /// What is left of what was paid beforehand, by contract and in the order of currencies.
    pub async fn funds(&self, contracts: &[ContractId]) -> Result<HashMap<ContractId, Vec<FundsOf>>> {
        self.require(Permission::Read)?;
        funds_in(&self.read().await?, contracts).await
    }
}

pub(super) async fn funds_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<HashMap<ContractId, Vec<FundsOf>>> {
    let mut entries: BTreeMap<(ContractId, String), Vec<FundEntry>> = BTreeMap::new();
    for row in tables::funds(tx, contracts).await? {
        entries.entry((row.contract_id, row.currency.clone())).or_default().push(row);
    }
    let versions = contracts::active_versions_of_in(tx, contracts).await?;
    let latest = latest_in(tx, contracts).await?;
    let codes: BTreeSet<&str> = entries.keys().map(|(_, currency)| currency.as_str()).collect();
    let assets = catalogue::assets_by_codes_in(tx, codes.iter().copied()).await?;
    let mut funds: HashMap<ContractId, Vec<FundsOf>> = HashMap::new();
    for ((contract, currency), entries) in entries {
        let Some(asset) = assets.get(&currency) else { continue };
        let carry = latest.get(&(contract, currency.clone())).cloned().unwrap_or_default();
        let of = versions.iter().filter(|version| version.contract == contract && version.terms.currency == currency);
        let version = of.max_by_key(|version| version.valid_from);
        funds.entry(contract).or_default().push(funds_of(asset, &entries, &carry, version)?);
    }
    Ok(funds)
}

/// The carry of the newest settlement of each contract and currency: what was taken up to now.
async fn latest_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<HashMap<(ContractId, String), Carry>> {
    let mut newest: HashMap<(ContractId, String), Settlement> = HashMap::new();
    for row in store::of_contracts(tx, contracts).await? {
        newest.insert((row.contract_id, row.currency.clone()), row);
    }
    let rows: Vec<Settlement> = newest.into_values().collect();
    let statements = statements_in(tx, &rows).await?;
    let carry = |row: &Settlement| statements.get(&row.id).map(|statement| statement.carry_out.clone());
    Ok(rows.iter().filter_map(|row| Some(((row.contract_id, row.currency.clone()), carry(row)?))).collect())
}

fn funds_of(asset: &Asset, entries: &[FundEntry], carry: &Carry, version: Option<&ActiveVersion>) -> Result<FundsOf> {
    let sum = |kind: FundKind| {
        let of = entries.iter().filter(|row| row.kind == kind.as_str());
        Minor::sum(of.map(|row| row.amount)).map_err(|error| Fault::Corrupt(error.to_string()))
    };
    let supplier = entries.iter().rev().find(|row| row.kind == FundKind::SupplierBalance.as_str());
    let mut funds = FundsOf {
        asset: asset.clone(),
        advanced: sum(FundKind::Advance)?,
        recouped: carry.recouped,
        bought: sum(FundKind::Credit)?,
        drawn: carry.drawn,
        credit: None,
        low: None,
        supplier: supplier.map(|row| (row.amount, row.happened_on.clone())),
    };
    if let Some(prepaid) = version.and_then(|version| version.terms.prepaid.as_ref()) {
        funds.low = prepaid.low_balance.as_deref().and_then(|low| asset.parse_minor(low).ok());
        funds.credit = funds.left().map(|left| fund::credit_state(left, funds.low, asset));
    }
    Ok(funds)
}

/// Where funds of a contract in one currency belong.
struct Place {
    contract: ContractId,
    currency: String,
    asset: Asset,
    /// In force now, or the first that will be.
    version: ActiveVersion,
    /// In the order of their periods.
    settlements: Vec<Settlement>,
}

impl Place {
    async fn find(scoped: &Scoped, tx: &TenantTx, contract: ContractId, currency: &str) -> Result<Self> {
        if !contracts::exists_in(tx, contract).await? {
            return Err(Error::NotFound("contract"));
        }
        let mut versions = contracts::active_versions_of_in(tx, &[contract]).await?;
        versions.retain(|version| version.terms.currency == currency);
        let now = scoped.clock().now();
        let in_force = versions.iter().filter(|version| version.valid_from <= now).max_by_key(|one| one.valid_from);
        let version = in_force.or(versions.iter().min_by_key(|version| version.valid_from)).cloned();
        let version = version.ok_or_else(|| {
            let message = format!("the contract has no version in force in '{currency}'");
            Problem::new(Code::WrongState, "contractId", message)
        })?;
        let Some(asset) = catalogue::asset_in(tx, currency).await? else {
            return Err(Fault::Corrupt(format!("a contract in the unknown currency '{currency}'")).into());
        };
        let mut settlements = store::of_contracts(tx, &[contract]).await?;
        settlements.retain(|row| row.currency == currency);
        Ok(Self { contract, currency: currency.to_owned(), asset, version, settlements })
    }

    /// The earliest open settlement: in its book stands what is not of a period.
    async fn open_in(&self, scoped: &Scoped, tx: &TenantTx) -> Result<Settlement> {
        if let Some(open) = self.settlements.iter().find(|row| row.is_open()) {
            return Ok(open.clone());
        }
        let period = self.version.terms.cycle.period(scoped.clock().now().max(self.version.valid_from));
        let (contract, partner) = (self.contract, self.version.partner);
        let opening = Opening { contract, partner, currency: &self.currency, period };
        open_in(tx, scoped.clock(), opening, false).await
    }

    fn book<'a>(&'a self, settlement: &Settlement) -> ledger::Book<'a> {
        ledger::Book { settlement: settlement.id, partner: self.version.partner, currency: &self.currency }
    }

    async fn announce_in(&self, tx: &TenantTx) -> Result<()> {
        let rows = store::of_contracts(tx, &[self.contract]).await?;
        events::announce_settlements(tx, rows.iter().filter(|row| row.is_open()));
        Ok(())
    }
}

/// What the chains of these contracts begin with and may take from. `versions`: their active ones.
pub(super) async fn beforehand_in(
    tx: &TenantTx,
    contracts: &[ContractId],
    versions: &HashMap<ContractId, Vec<ActiveVersion>>,
) -> Result<HashMap<(ContractId, String), Beforehand>> {
    let mut beforehand: HashMap<(ContractId, String), Beforehand> = HashMap::new();
    for row in tables::openings(tx, contracts).await? {
        beforehand.entry((row.contract_id, row.currency)).or_default().opening = opening::read(&row.carry)?;
    }
    for row in tables::funds(tx, contracts).await? {
        let funds = &mut beforehand.entry((row.contract_id, row.currency)).or_default().funds;
        let sum = match FundKind::parse(&row.kind) {
            Some(FundKind::Advance) => &mut funds.advanced,
            Some(FundKind::Credit) => &mut funds.credit,
            _ => continue,
        };
        *sum = sum.checked_add(row.amount).map_err(|error| Fault::Corrupt(error.to_string()))?;
    }
    let pooled = versions.values().flatten().filter(|version| version.terms.pool().is_some());
    let partners: BTreeSet<PartnerId> = pooled.map(|version| version.partner).collect();
    for partner in partners {
        pool_in(tx, partner, contracts, &mut beforehand).await?;
    }
    Ok(beforehand)
}

/// Contracts of one pool have all its advances, less what the others of it recouped in closed settlements: whoever
/// closes first recoups first.
async fn pool_in(
    tx: &TenantTx,
    partner: PartnerId,
    contracts: &[ContractId],
    beforehand: &mut HashMap<(ContractId, String), Beforehand>,
) -> Result<()> {
    let mut newest: BTreeMap<(ContractId, String), ActiveVersion> = BTreeMap::new();
    for version in contracts::active_versions_of_partner_in(tx, partner).await? {
        newest.insert((version.contract, version.terms.currency.clone()), version);
    }
    newest.retain(|_, version| version.terms.pool().is_some());
    let members: BTreeSet<ContractId> = newest.keys().map(|(contract, _)| *contract).collect();
    let members: Vec<ContractId> = members.into_iter().collect();
    let mut recouped: HashMap<(ContractId, String), i128> = HashMap::new();
    for row in store::of_contracts(tx, &members).await?.iter().filter(|row| !row.is_open()) {
        recouped.insert((row.contract_id, row.currency.clone()), i128::from(carry_of(row)?.recouped.0));
    }
    let mut advanced: HashMap<(ContractId, String), i128> = HashMap::new();
    for row in tables::funds(tx, &members).await?.into_iter().filter(|row| row.kind == FundKind::Advance.as_str()) {
        *advanced.entry((row.contract_id, row.currency)).or_default() += i128::from(row.amount.0);
    }
    for (own, version) in newest.iter().filter(|((contract, _), _)| contracts.contains(contract)) {
        let pool = newest.iter().filter(|(other, row)| other.1 == own.1 && row.terms.pool() == version.terms.pool());
        let mut left: i128 = 0;
        for (member, _) in pool {
            left += advanced.get(member).copied().unwrap_or_default();
            left -= if member == own { 0 } else { recouped.get(member).copied().unwrap_or_default() };
        }
        let left = Minor::narrow(left).map_err(|error| Fault::Corrupt(error.to_string()))?;
        let funds = &mut beforehand.entry(own.clone()).or_default().funds;
        *funds = Funds { advanced: left, ..*funds };
    }
    Ok(())
}
