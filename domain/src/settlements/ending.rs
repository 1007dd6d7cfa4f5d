//! Which period comes after another one, also where a contract ends: none then, until something late has to be corrected.

use std::collections::BTreeSet;

use crate::clock::Clock;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{self, Period};
use crate::db::TenantTx;
use crate::error::Result;
use crate::ids::ContractId;
use crate::money::Minor;

use super::accrue::{Opening, open_in};
use super::next::next;
use super::{Settlement, store};

/// The next period is there as soon as the last one closes, so that what is carried has a place, and so that it shows
/// when nothing happens in it. Behind the last day of a contract there is none, unless money is carried into it.
pub(super) async fn open_next_in(
    tx: &TenantTx,
    clock: &Clock,
    closed: &Settlement,
    carried: Minor,
    versions: &[ActiveVersion],
) -> Result<()> {
    let Some(next) = next(versions, &closed.currency, closed.period_end) else { return Ok(()) };
    if !next.counts && carried == Minor::ZERO {
        return Ok(());
    }
    let settlements = store::of_contracts(tx, &[closed.contract_id]).await?;
    let known = |row: &Settlement| row.currency == closed.currency && row.period_start == next.period.start;
    if !settlements.iter().any(known) {
        open_after_in(tx, clock, closed, next.period).await?;
    }
    Ok(())
}

/// Opens a period for corrections where closed ones of these contracts and currencies were touched and none is open.
pub(super) async fn open_for_corrections_in(
    tx: &TenantTx,
    clock: &Clock,
    touched: BTreeSet<(ContractId, String)>,
) -> Result<()> {
    let contracts: BTreeSet<ContractId> = touched.iter().map(|(contract, _)| *contract).collect();
    let contracts: Vec<ContractId> = contracts.into_iter().collect();
    if contracts.is_empty() {
        return Ok(());
    }
    let settlements = store::of_contracts(tx, &contracts).await?;
    let mut versions = None;
    for (contract, currency) in touched {
        let own = || settlements.iter().filter(|row| row.contract_id == contract && row.currency == currency);
        if own().any(Settlement::is_open) {
            continue;
        }
        let Some(last) = own().max_by_key(|row| row.period_end) else { continue };
        if versions.is_none() {
            versions = Some(contracts::versions_ever_active_of_in(tx, &contracts).await?);
        }
        let own = versions.iter().flatten().filter(|version| version.contract == contract);
        let own: Vec<ActiveVersion> = own.cloned().collect();
        if let Some(next) = next(&own, &currency, last.period_end) {
            open_after_in(tx, clock, last, next.period).await?;
        }
    }
    Ok(())
}

async fn open_after_in(tx: &TenantTx, clock: &Clock, before: &Settlement, period: Period) -> Result<()> {
    let (contract, partner) = (before.contract_id, before.partner_id);
    let opening = Opening { contract, partner, currency: &before.currency, period };
    open_in(tx, clock, opening, false).await.map(drop)
}
