//! Closing: what was computed becomes what is owed, once and for good.

use std::collections::HashSet;

use crate::caller::{Permission, Scoped, Writer};
use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{SettlementId, SourceId};
use crate::ledger::{self, posting::Closing};
use crate::time::MICROS_PER_DAY;
use crate::{contracts, events, imports, sources, transactions};

use super::accrue::{Opening, open_in};
use super::blockers::{Blocker, NamedSource, Situation, blockers};
use super::settlement::LineCode;
use super::statement::{Statement, rows_of, statements_in};
use super::{Settlement, State, store};

impl Scoped {
    /// Closes a settlement: freezes its lines, posts it and opens the next period with what is carried. Closing it
    /// again changes nothing and gives the same settlement.
    pub async fn close_settlement(&self, id: SettlementId) -> Result<Settlement> {
        self.require(Permission::Settle)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let settlement = store::by_id(tx, id).await?.ok_or(Error::NotFound("settlement"))?;
            if settlement.state == State::Closed.as_str() {
                return Ok(settlement);
            }
            let versions = contracts::active_versions_of_in(tx, &[settlement.contract_id]).await?;
            refuse_if_blocked(blockers_in(writer, tx, &settlement, &versions).await?)?;
            let mut statements = statements_in(tx, std::slice::from_ref(&settlement)).await?;
            let statement = statements.remove(&id).ok_or_else(|| Fault::Internal(format!("{id} has no statement")))?;
            let closed = close_in(writer, tx, settlement, &statement, &versions).await?;
            let chain = store::of_contracts(tx, &[closed.contract_id]).await?;
            let touched = |row: &&Settlement| row.currency == closed.currency && (row.is_open() || row.id == closed.id);
            events::announce_settlements(tx, chain.iter().filter(touched));
            Ok(closed)
        })
        .await
    }

    /// Why a settlement cannot close yet; a closed one has no reasons.
    pub async fn blockers(&self, id: SettlementId) -> Result<Vec<Blocker>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let settlement = store::by_id(&tx, id).await?.ok_or(Error::NotFound("settlement"))?;
        if settlement.state == State::Closed.as_str() {
            return Ok(Vec::new());
        }
        let versions = contracts::active_versions_of_in(&tx, &[settlement.contract_id]).await?;
        blockers_in(self, &tx, &settlement, &versions).await
    }
}

fn refuse_if_blocked(blockers: Vec<Blocker>) -> Result<()> {
    if blockers.is_empty() {
        return Ok(());
    }
    let problem = |blocker: Blocker| {
        let message = format!("{}: {} {}", blocker.code(), blocker.message(), blocker.remedy());
        Problem::new(Code::Blocked, "settlementId", message)
    };
    Err(Error::Invalid(blockers.into_iter().map(problem).collect()))
}

async fn close_in(
    scoped: &Scoped,
    tx: &TenantTx,
    settlement: Settlement,
    statement: &Statement,
    versions: &[ActiveVersion],
) -> Result<Settlement> {
    let carried_base =
        serde_json::to_string(&statement.carry_out.base).map_err(|error| Fault::Internal(error.to_string()))?;
    let closed = Settlement {
        state: State::Closed.as_str().to_owned(),
        total: Some(statement.total),
        carried_base: Some(carried_base),
        carried_amount: Some(statement.carry_out.amount),
        transaction_count: Some(statement.transaction_count),
        closed_at: Some(scoped.clock().now()),
        closed_by: scoped.caller().member(),
        ..settlement
    };
    store::freeze(tx, closed.clone()).await?;
    store::insert_lines(tx, rows_of(tx, closed.id, &statement.lines)).await?;
    let book = ledger::Book { settlement: closed.id, partner: closed.partner_id, currency: &closed.currency };
    ledger::close_in(tx, scoped.clock(), &book, closing(statement)?).await?;
    open_next_in(scoped, tx, &closed, versions).await?;
    Ok(closed)
}

fn closing(statement: &Statement) -> Result<Closing> {
    let sum = |code: LineCode| {
        let lines = statement.lines.iter().filter(|line| line.code == code);
        crate::money::Minor::sum(lines.map(|line| line.amount)).map_err(|error| Fault::Internal(error.to_string()))
    };
    let carried_out = sum(LineCode::CarriedOut)?.checked_neg().map_err(|error| Fault::Internal(error.to_string()))?;
    Ok(Closing { earned: statement.earned, carried_in: sum(LineCode::CarriedIn)?, carried_out, total: statement.total })
}

/// The next period is there as soon as the last one closes, so that what is carried has a place, and so that it shows
/// when nothing happens in it.
async fn open_next_in(scoped: &Scoped, tx: &TenantTx, closed: &Settlement, versions: &[ActiveVersion]) -> Result<()> {
    let in_force = versions
        .iter()
        .filter(|version| version.valid_from <= closed.period_end)
        .max_by_key(|version| version.valid_from);
    let Some(version) = in_force else { return Ok(()) };
    let period = version.terms.cycle.period(closed.period_end);
    let settlements = store::of_contracts(tx, &[closed.contract_id]).await?;
    let known = |row: &Settlement| row.currency == closed.currency && row.period_start == period.start;
    if !settlements.iter().any(known) {
        let opening =
            Opening { contract: closed.contract_id, partner: closed.partner_id, currency: &closed.currency, period };
        open_in(tx, scoped.clock(), opening, false).await?;
    }
    Ok(())
}

pub(super) async fn blockers_in(
    scoped: &Scoped,
    tx: &TenantTx,
    settlement: &Settlement,
    versions: &[ActiveVersion],
) -> Result<Vec<Blocker>> {
    let period = Period { start: settlement.period_start, end: settlement.period_end };
    let earlier_open = store::of_contracts(tx, &[settlement.contract_id])
        .await?
        .into_iter()
        .filter(|row| row.currency == settlement.currency && row.state == State::Open.as_str())
        .filter(|row| row.period_start < settlement.period_start)
        .map(|row| Period { start: row.period_start, end: row.period_end })
        .min();
    let names = sources::names_in(tx).await?;
    let in_scope = sources_in_scope(versions, names.keys().copied());
    let named = |id: SourceId| NamedSource { id, name: names.get(&id).cloned().unwrap_or_default() };
    let quarantined = transactions::quarantine::open_counts_in(tx).await?;
    let mut quarantined: Vec<(NamedSource, u64)> = quarantined
        .into_iter()
        .filter(|(source, _)| in_scope.contains(source))
        .map(|(source, count)| (named(source), u64::try_from(count).unwrap_or_default()))
        .collect();
    quarantined.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let mut ids: Vec<SourceId> = in_scope.iter().copied().collect();
    ids.sort_unstable();
    // While the period runs, a day is missed only once it is over.
    let now = scoped.clock().now();
    let until = if now < period.end { period.end.min(now.plus(1 - MICROS_PER_DAY)) } else { period.end };
    let missing = match ids.is_empty() {
        true => Vec::new(),
        false => sources::missing_days_in(tx, &ids, period.start, until).await?,
    };
    let running = imports::running_in(tx).await?;
    let situation = Situation {
        now,
        period,
        earlier_open,
        quarantined,
        missing: missing.into_iter().map(|missing| (named(missing.source), missing.days)).collect(),
        running: running
            .into_iter()
            .filter(|run| in_scope.contains(&run.source_id))
            .map(|run| (named(run.source_id), run.id))
            .collect(),
        unpriced: transactions::unpriced_count_in(tx, settlement.contract_id, period.end).await?,
    };
    Ok(blockers(situation))
}

/// The sources whose records a contract counts under any of its versions; an empty scope counts all.
fn sources_in_scope(versions: &[ActiveVersion], all: impl Iterator<Item = SourceId>) -> HashSet<SourceId> {
    if versions.iter().any(|version| version.terms.scope.sources.is_empty()) {
        return all.collect();
    }
    versions.iter().flat_map(|version| version.terms.scope.sources.iter().copied()).collect()
}
