//! Adds what facts feed to the settlements they belong to, in the transaction that records the facts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::clock::Clock;
use crate::contracts::Period;
use crate::db::TenantTx;
use crate::error::{Code, Problem, Result};
use crate::events;
use crate::ids::{ContractId, PartnerId, SettlementId};
use crate::money::Units;
use crate::time::Timestamp;

use super::accrual::{Delta, DeltaKey, Deltas};
use super::ending::open_for_corrections_in;
use super::players::{self, Places};
use super::{Settlement, State, store};

/// What belongs to a closed period goes into rows of its own: those that the close counted never change.
pub(crate) async fn accrue_in(tx: &TenantTx, clock: &Clock, mut deltas: Deltas) -> Result<()> {
    if deltas.is_empty() {
        return Ok(());
    }
    let players = deltas.take_players();
    let deltas = deltas.sorted();
    let settlements = places(tx, clock, &deltas).await?;
    let rows = deltas.iter().map(|(key, delta)| {
        let settlement = &settlements[&(key.contract, delta.currency.clone(), key.period_start)];
        row(tx, settlement, key, delta)
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let late = late_ones(&rows);
    store::add_accruals(tx, rows).await?;
    players::accrue_in(tx, &settlements, &players).await?;
    announce(tx, &settlements, &deltas);
    open_for_corrections_in(tx, clock, touched(settlements.values(), &late)).await
}

fn late_ones(rows: &[store::accrual::Model]) -> HashSet<SettlementId> {
    rows.iter().filter(|row| row.late).map(|row| row.settlement_id).collect()
}

/// The contracts and currencies of settlements that late rows touch.
fn touched<'s>(
    settlements: impl Iterator<Item = &'s Settlement>,
    late: &HashSet<SettlementId>,
) -> BTreeSet<(ContractId, String)> {
    settlements.filter(|row| late.contains(&row.id)).map(|row| (row.contract_id, row.currency.clone())).collect()
}

/// What is counted in one period moves, through what is carried and corrected, every open settlement from there on.
fn announce(tx: &TenantTx, settlements: &Places, deltas: &[(DeltaKey, Delta)]) {
    let mut since: BTreeMap<(ContractId, &str), Timestamp> = BTreeMap::new();
    for (key, delta) in deltas {
        let first = since.entry((key.contract, &delta.currency)).or_insert(key.period_start);
        *first = key.period_start.min(*first);
    }
    let moved = |row: &&Settlement| {
        let first = since.get(&(row.contract_id, row.currency.as_str()));
        row.is_open() && first.is_some_and(|first| *first <= row.period_start)
    };
    events::announce_settlements(tx, settlements.values().filter(moved));
}

/// The settlements of these deltas, opened where they are new.
pub(super) async fn places(tx: &TenantTx, clock: &Clock, deltas: &[(DeltaKey, Delta)]) -> Result<Places> {
    let contracts: BTreeSet<ContractId> = deltas.iter().map(|(key, _)| key.contract).collect();
    let contracts: Vec<ContractId> = contracts.into_iter().collect();
    let known = store::of_contracts(tx, &contracts).await?;
    let mut horizons: BTreeMap<(ContractId, String), Timestamp> = BTreeMap::new();
    for settlement in known.iter().filter(|settlement| settlement.state == State::Closed.as_str()) {
        let horizon =
            horizons.entry((settlement.contract_id, settlement.currency.clone())).or_insert(settlement.period_end);
        *horizon = settlement.period_end.max(*horizon);
    }
    let place = |row: &Settlement| (row.contract_id, row.currency.clone(), row.period_start);
    let mut places: Places = known.into_iter().map(|row| (place(&row), row)).collect();
    for (key, delta) in deltas {
        let place = (key.contract, delta.currency.clone(), key.period_start);
        if places.contains_key(&place) {
            continue;
        }
        let horizon = horizons.get(&(key.contract, delta.currency.clone()));
        // Behind the last close everything is closed, also a period that nothing had happened in.
        let closed = horizon.is_some_and(|horizon| delta.period.end <= *horizon);
        let opening =
            Opening { contract: key.contract, partner: delta.partner, currency: &delta.currency, period: delta.period };
        let settlement = open_in(tx, clock, opening, closed).await?;
        places.insert(place, settlement);
    }
    Ok(places)
}

pub(super) struct Opening<'a> {
    pub contract: ContractId,
    pub partner: PartnerId,
    pub currency: &'a str,
    pub period: Period,
}

pub(super) async fn open_in(tx: &TenantTx, clock: &Clock, opening: Opening<'_>, closed: bool) -> Result<Settlement> {
    let now = clock.now();
    let state = if closed { State::Closed } else { State::Open };
    let settlement = Settlement {
        tenant_id: tx.tenant(),
        id: clock.id::<SettlementId>(),
        contract_id: opening.contract,
        partner_id: opening.partner,
        currency: opening.currency.to_owned(),
        period_start: opening.period.start,
        period_end: opening.period.end,
        state: state.as_str().to_owned(),
        total: closed.then_some(crate::money::Minor::ZERO),
        carried_base: closed.then(|| "{}".to_owned()),
        carried_state: None,
        carried_amount: closed.then_some(crate::money::Minor::ZERO),
        transaction_count: closed.then_some(0),
        closed_at: closed.then_some(now),
        closed_by: None,
        created_at: now,
        due_on: None,
    };
    store::insert(tx, settlement.clone()).await?;
    Ok(settlement)
}

fn row(tx: &TenantTx, settlement: &Settlement, key: &DeltaKey, delta: &Delta) -> Result<store::accrual::Model> {
    let amount = Units::narrow(delta.amount).map_err(|error| {
        let message = format!("{error}: rate class '{}', {}", key.class, key.kind.as_str());
        Problem::new(Code::Overflow, "amount", message)
    })?;
    Ok(store::accrual::Model {
        tenant_id: tx.tenant(),
        settlement_id: settlement.id,
        version: key.version,
        rate_class: key.class.to_string(),
        kind: key.kind.as_str().to_owned(),
        late: settlement.state == State::Closed.as_str(),
        amount,
        units: delta.units,
        transactions: delta.transactions,
    })
}

/// Brings the running totals to what the facts add up to under the versions that this transaction sees: of one
/// contract, or of all. Open settlements get the new sums; for closed ones the difference becomes late rows, and so
/// corrections.
pub(super) async fn replace_in(
    tx: &TenantTx,
    clock: &Clock,
    mut deltas: Deltas,
    only: Option<ContractId>,
) -> Result<()> {
    let mut players = deltas.take_players();
    players.retain(|(key, _)| only.is_none_or(|contract| contract == key.contract));
    let mut deltas = deltas.sorted();
    deltas.retain(|(key, _)| only.is_none_or(|contract| contract == key.contract));
    let mut settlements = places(tx, clock, &deltas).await?;
    let others = match only {
        Some(contract) => store::of_contracts(tx, &[contract]).await?,
        None => store::all(tx).await?,
    };
    for row in others {
        settlements.insert((row.contract_id, row.currency.clone(), row.period_start), row);
    }
    let mut sums: BTreeMap<(SettlementId, i64, String, String), store::accrual::Model> = BTreeMap::new();
    for (key, delta) in &deltas {
        let settlement = &settlements[&(key.contract, delta.currency.clone(), key.period_start)];
        let row = row(tx, settlement, key, delta)?;
        sums.insert((row.settlement_id, row.version, row.rate_class.clone(), row.kind.clone()), row);
    }
    let closed: Vec<SettlementId> = settlements.values().filter(|row| !row.is_open()).map(|row| row.id).collect();
    // A late row that comes to nothing stays: what was frozen after it reckoned with it.
    let (late, frozen): (Vec<_>, Vec<_>) = store::accruals(tx, &closed).await?.into_iter().partition(|row| row.late);
    let late: BTreeSet<_> =
        late.into_iter().map(|row| (row.settlement_id, row.version, row.rate_class, row.kind)).collect();
    for (settlement_id, version, rate_class, kind) in &late {
        let key = (*settlement_id, *version, rate_class.clone(), kind.clone());
        sums.entry(key).or_insert_with(|| store::accrual::Model {
            tenant_id: tx.tenant(),
            settlement_id: *settlement_id,
            version: *version,
            rate_class: rate_class.clone(),
            kind: kind.clone(),
            late: true,
            amount: Units::ZERO,
            units: 0,
            transactions: 0,
        });
    }
    for frozen in frozen {
        let key = (frozen.settlement_id, frozen.version, frozen.rate_class.clone(), frozen.kind.clone());
        let zero =
            || store::accrual::Model { late: true, amount: Units::ZERO, units: 0, transactions: 0, ..frozen.clone() };
        let sum = sums.entry(key).or_insert_with(zero);
        sum.amount =
            sum.amount.checked_sub(frozen.amount).map_err(|e| Problem::new(Code::Overflow, "amount", e.to_string()))?;
        sum.units -= frozen.units;
        sum.transactions -= frozen.transactions;
    }
    for settlement in settlements.values() {
        store::delete_accruals(tx, settlement.id, settlement.state == State::Closed.as_str()).await?;
    }
    let counts = |row: &store::accrual::Model| (row.amount, row.units, row.transactions) != (Units::ZERO, 0, 0);
    let (mut rows, nothing): (Vec<_>, Vec<_>) =
        sums.into_iter().partition(|(key, row)| counts(row) || late.contains(key));
    let moved = players::replace_in(tx, &settlements, &players).await?;
    touch(&mut rows, &nothing, moved);
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let late = late_ones(&rows);
    store::add_accruals(tx, rows).await?;
    events::announce_settlements(tx, settlements.values().filter(|row| row.is_open()));
    open_for_corrections_in(tx, clock, touched(settlements.values(), &late)).await
}

type Sum = ((SettlementId, i64, String, String), store::accrual::Model);

/// Players may have changed places although all sums are the same: a late row that comes to nothing tells that a
/// settlement was touched after it had closed.
fn touch(rows: &mut Vec<Sum>, nothing: &[Sum], settlements: BTreeSet<SettlementId>) {
    for id in settlements {
        let of = |(_, row): &&Sum| row.settlement_id == id && row.late;
        if !rows.iter().any(|row| of(&row)) {
            rows.extend(nothing.iter().find(of).cloned());
        }
    }
}
