//! Proves the books by reading everything back: the ledger balances, closed settlements are what their lines and
//! postings say, and the running totals are what the transactions add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::caller::{Permission, Scoped};
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{ContractId, PartnerId, SettlementId};
use crate::ledger::posting::AccountCode;
use crate::money::Minor;
use crate::{catalogue, ledger, transactions};

use super::fund::FundKind;
use super::statement::carry_of;
use super::{FundEntry, Settlement, State, fund, holds, players, recoup, store, tables};

/// What a check of the books found. Nothing found means that every figure is what its parts add up to.
#[derive(Clone, Debug, Default)]
pub struct BooksCheck {
    pub findings: Vec<String>,
    pub settlements: usize,
}

impl Scoped {
    /// Reads all books of the tenant back. It takes as long as reading every transaction does.
    pub async fn check_books(&self) -> Result<BooksCheck> {
        self.require(Permission::Settle)?;
        let tx = self.read_elsewhere().await?;
        let mut findings = ledger::check_in(&tx).await?;
        findings.extend(check_lines(&tx).await?);
        findings.extend(check_accruals(self, &tx).await?);
        let closed: Vec<_> = store::all(&tx).await?.into_iter().filter(|row| !row.is_open()).collect();
        findings.extend(holds::check_in(&tx, &closed).await?);
        findings.extend(check_funds(&tx).await?);
        Ok(BooksCheck { findings, settlements: store::all(&tx).await?.len() })
    }
}

/// The lines of a closed settlement sum to its total.
async fn check_lines(tx: &TenantTx) -> Result<Vec<String>> {
    let closed: Vec<_> = store::all(tx).await?.into_iter().filter(|row| row.state == State::Closed.as_str()).collect();
    let ids: Vec<SettlementId> = closed.iter().map(|row| row.id).collect();
    let mut sums: BTreeMap<SettlementId, i128> = BTreeMap::new();
    for line in store::lines(tx, &ids).await? {
        *sums.entry(line.settlement_id).or_default() += i128::from(line.amount.0);
    }
    let wrong = closed.iter().filter_map(|row| {
        let (sum, total) = (sums.get(&row.id).copied().unwrap_or_default(), row.total.unwrap_or(Minor::ZERO));
        (sum != i128::from(total.0)).then(|| format!("{} has the total {} and its lines sum to {sum}", row.id, total.0))
    });
    Ok(wrong.collect())
}

type Sum = (i128, i128, i128);

/// Every transaction is what was recorded, and every running total, late rows included, is the sum of those that it
/// stands for.
async fn check_accruals(scoped: &Scoped, tx: &TenantTx) -> Result<Vec<String>> {
    let settlements = store::all(tx).await?;
    let ids: Vec<SettlementId> = settlements.iter().map(|row| row.id).collect();
    let places: BTreeMap<_, _> =
        settlements.iter().map(|row| ((row.contract_id, row.currency.clone(), row.period_start), row.id)).collect();
    let mut differences: BTreeMap<(SettlementId, i64, String, String), Sum> = BTreeMap::new();
    for row in store::accruals(tx, &ids).await? {
        let sum = differences.entry((row.settlement_id, row.version, row.rate_class, row.kind)).or_default();
        *sum = (sum.0 + i128::from(row.amount.0), sum.1 + i128::from(row.units), sum.2 + i128::from(row.transactions));
    }
    let mut tally = transactions::tally_in(scoped, tx).await?;
    let mut findings = transactions::check_in(tx, &tally).await?;
    findings.extend(players::check_in(tx, &places, &tally.deltas.take_players()).await?);
    for (key, delta) in tally.deltas.sorted() {
        let Some(id) = places.get(&(key.contract, delta.currency.clone(), key.period_start)) else {
            findings.push(format!(
                "{} has transactions from {} on and no settlement for them",
                key.contract, key.period_start
            ));
            continue;
        };
        let sum =
            differences.entry((*id, key.version, key.class.to_string(), key.kind.as_str().to_owned())).or_default();
        *sum = (sum.0 - delta.amount, sum.1 - i128::from(delta.units), sum.2 - i128::from(delta.transactions));
    }
    for ((id, version, class, kind), (amount, units, transactions)) in differences {
        if (amount, units, transactions) != (0, 0, 0) {
            findings.push(format!(
                "{id}, version {version}, rate class '{class}', {kind}: the totals exceed the transactions by {amount} \
                 accounting units, {units} units and {transactions} transactions"
            ));
        }
    }
    Ok(findings)
}

/// Accounts of what was paid beforehand whose balance is not what was recorded less what closed settlements took.
async fn check_funds(tx: &TenantTx) -> Result<Vec<String>> {
    let entries = tables::all_funds(tx).await?;
    let settlements = store::all(tx).await?;
    let mut newest: BTreeMap<(ContractId, String), &Settlement> = BTreeMap::new();
    for row in settlements.iter().filter(|row| !row.is_open()) {
        let known = newest.entry((row.contract_id, row.currency.clone())).or_insert(row);
        if known.period_start < row.period_start {
            *known = row;
        }
    }
    let partners: HashMap<ContractId, PartnerId> =
        settlements.iter().map(|row| (row.contract_id, row.partner_id)).collect();
    let mut expected: BTreeMap<(AccountCode, PartnerId, String), i128> = BTreeMap::new();
    let mut by_contract: BTreeMap<(ContractId, String), Vec<FundEntry>> = BTreeMap::new();
    for row in entries {
        by_contract.entry((row.contract_id, row.currency.clone())).or_default().push(row);
    }
    let places: BTreeSet<_> = by_contract.keys().chain(newest.keys()).cloned().collect();
    let codes: BTreeSet<&str> = places.iter().map(|(_, currency)| currency.as_str()).collect();
    let assets = catalogue::assets_by_codes_in(tx, codes.iter().copied()).await?;
    for place in &places {
        let (Some(partner), Some(asset)) = (partners.get(&place.0), assets.get(&place.1)) else { continue };
        let carry = newest.get(place).map(|row| carry_of(row)).transpose()?.unwrap_or_default();
        let own = by_contract.get(place).map(Vec::as_slice).unwrap_or_default();
        let advances = own.iter().filter(|row| row.kind == FundKind::Advance.as_str());
        let advanced: i128 = advances.map(|row| i128::from(row.amount.0)).sum();
        let cost: i128 = own.iter().map(|row| i128::from(row.cost.0)).sum();
        let corrupt = |error: crate::money::MoneyError| Fault::Corrupt(error.to_string());
        let drawn = recoup::cost_of(asset, &fund::lots(own), carry.drawn).map_err(corrupt)?;
        let mut add = |code, amount| {
            *expected.entry((code, *partner, place.1.clone())).or_default() += amount;
        };
        add(AccountCode::Advance, advanced - i128::from(carry.recouped.0));
        add(AccountCode::Prepaid, cost - i128::from(drawn.0));
    }
    let balances = ledger::balances_in(tx).await?;
    let mut findings = Vec::new();
    for ((code, partner, currency), expected) in expected {
        let balance = balances.get(&(code.as_str().to_owned(), partner, currency.clone()));
        let balance = i128::from(balance.copied().unwrap_or_default().0);
        if balance != expected {
            let code = code.as_str();
            findings.push(format!("{code} of {partner} in {currency} should be {expected} and is {balance}"));
        }
    }
    Ok(findings)
}
