//! Periods in which something is owed although nothing happened: fees, guarantees and whatever else goes by the day.

use std::collections::BTreeSet;

use crate::caller::Scoped;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{self, AccrualKind, Period};
use crate::db::TenantTx;
use crate::error::Result;
use crate::events;
use crate::ids::{ContractId, SettlementId};
use crate::money::Units;
use crate::time::Timestamp;

use super::accrue::{Opening, open_in};
use super::ending::open_for_corrections_in;
use super::{Settlement, State, store};

/// After a version was activated that counts from this instant on: opens the periods that owe by the day, up to the
/// present one, behind which closing opens the next; and has closed ones from then on calculated again, those that
/// nobody settled included. Contracts that owe nothing by the day are left alone: their facts tell which periods change.
pub(crate) async fn govern_in(scoped: &Scoped, tx: &TenantTx, contract: ContractId, from: Timestamp) -> Result<()> {
    let versions = contracts::active_versions_of_in(tx, &[contract]).await?;
    if !versions.iter().any(|version| version.terms.goes_by_days()) {
        return Ok(());
    }
    let known = store::of_contracts(tx, &[contract]).await?;
    let now = scoped.clock().now();
    let mut touched = Vec::new();
    for version in &versions {
        let next = versions.iter().map(|other| other.valid_from).filter(|at| *at > version.valid_from).min();
        let ends = version.until(&versions);
        let own = |row: &&Settlement| row.currency == version.terms.currency;
        let closed = known.iter().filter(own).filter(|row| !row.is_open());
        let horizon = closed.map(|row| row.period_end).max();
        let mut period = version.terms.cycle.period(version.valid_from.max(from));
        while next.is_none_or(|next| period.start < next) {
            let behind = horizon.is_some_and(|horizon| period.end <= horizon);
            // Behind its last day it owes nothing, and what was settled there under what it took the place of was wrong.
            let ended = ends.is_some_and(|ends| ends <= period.start);
            let place = known.iter().filter(own).find(|row| row.period_start == period.start);
            if (!ended || place.is_some())
                && let Some(id) = place_in(scoped, tx, version, period, behind, place).await?
            {
                touched.push(late_row(tx, id, version));
            }
            if !behind && (ended || period.end > now) {
                break;
            }
            period = version.terms.cycle.period(period.end);
        }
    }
    let corrected: BTreeSet<_> = if touched.is_empty() {
        BTreeSet::new()
    } else {
        versions.iter().map(|version| (contract, version.terms.currency.clone())).collect()
    };
    store::add_accruals(tx, touched).await?;
    open_for_corrections_in(tx, scoped.clock(), corrected).await?;
    let rows = store::of_contracts(tx, &[contract]).await?;
    events::announce_settlements(tx, rows.iter().filter(|row| row.is_open()));
    Ok(())
}

/// The closed settlement of a period, which has to be calculated again; made where it is missing and owes something.
async fn place_in(
    scoped: &Scoped,
    tx: &TenantTx,
    version: &ActiveVersion,
    period: Period,
    behind: bool,
    known: Option<&Settlement>,
) -> Result<Option<SettlementId>> {
    if let Some(row) = known {
        return Ok((!row.is_open()).then_some(row.id));
    }
    if !version.terms.goes_by_days() {
        return Ok(None);
    }
    let currency = &version.terms.currency;
    let opening = Opening { contract: version.contract, partner: version.partner, currency, period };
    let row = open_in(tx, scoped.clock(), opening, behind).await?;
    Ok((row.state == State::Closed.as_str()).then_some(row.id))
}

/// A late row that comes to nothing: it tells that a settlement was touched after it had closed.
fn late_row(tx: &TenantTx, settlement_id: SettlementId, version: &ActiveVersion) -> store::accrual::Model {
    let class = version.terms.rate_table.rows.first();
    store::accrual::Model {
        tenant_id: tx.tenant(),
        settlement_id,
        version: version.version,
        rate_class: class.map(|row| row.code.clone()).unwrap_or_default(),
        kind: AccrualKind::Stake.as_str().to_owned(),
        late: true,
        amount: Units::ZERO,
        units: 0,
        transactions: 0,
    }
}
