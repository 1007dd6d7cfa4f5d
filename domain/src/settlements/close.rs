//! Closing: what was computed becomes what is owed, once and for good.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::caller::{Permission, Scoped, Writer};
use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{ContractId, SettlementId, SourceId};
use crate::imports::ImportRun;
use crate::ledger::{self, posting::Closing};
use crate::sources::Deliveries;
use crate::time::{MICROS_PER_DAY, Timestamp};
use crate::{anomalies, calendars, contracts, events, imports, sources, transactions};

use super::blockers::{Blocker, NamedSource, Situation, blockers};
use super::ending::open_next_in;
use super::next::at_end;
use super::settlement::LineCode;
use super::statement::{Statement, columns_of, rows_of, statements_in};
use super::{Settlement, State, credit, holds, parties, store};

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
            let this = std::slice::from_ref(&settlement);
            let mut blockers = blockers_in(writer, tx, this, &versions).await?;
            refuse_if_blocked(blockers.remove(&id).unwrap_or_default())?;
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
        self.blockers_of(&[id]).await?.remove(&id).ok_or(Error::NotFound("settlement"))
    }

    /// Why some settlements cannot close yet.
    pub async fn blockers_of(&self, ids: &[SettlementId]) -> Result<HashMap<SettlementId, Vec<Blocker>>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let settlements = store::by_ids(&tx, ids).await?;
        let contracts: BTreeSet<ContractId> = settlements.iter().map(|row| row.contract_id).collect();
        let contracts: Vec<ContractId> = contracts.into_iter().collect();
        let versions = contracts::active_versions_of_in(&tx, &contracts).await?;
        blockers_in(self, &tx, &settlements, &versions).await
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
    let (carried_base, carried_state) = columns_of(statement)?;
    let closed_at = scoped.clock().now();
    let period = Period { start: settlement.period_start, end: settlement.period_end };
    let terms = at_end(versions, settlement.contract_id, &settlement.currency, period.end).map(|own| &own.terms);
    let due_on = match terms.filter(|terms| terms.payment.is_some()) {
        Some(terms) => terms.due_on(period, Some(closed_at), &calendars::all_in(tx).await?),
        None => None,
    };
    let closed = Settlement {
        state: State::Closed.as_str().to_owned(),
        total: Some(statement.total),
        carried_base: Some(carried_base),
        carried_state,
        carried_amount: Some(statement.carry_out.amount),
        transaction_count: Some(statement.transaction_count),
        closed_at: Some(closed_at),
        closed_by: scoped.caller().member(),
        due_on: due_on.map(|date| date.to_string()),
        ..settlement
    };
    store::freeze(tx, closed.clone()).await?;
    store::insert_lines(tx, rows_of(tx, closed.id, &statement.lines)).await?;
    let book = ledger::Book { settlement: closed.id, partner: closed.partner_id, currency: &closed.currency };
    credit::draw_in(tx, scoped.clock(), &book, closed.contract_id, statement).await?;
    parties::freeze_in(tx, &closed, &statement.parts).await?;
    let parts: Vec<_> = statement.parts.iter().map(|part| (part.partner, part.amount)).collect();
    ledger::close_in(tx, scoped.clock(), &book, closing(statement)?, &parts).await?;
    holds::post_in(tx, scoped.clock(), &closed, statement).await?;
    open_next_in(tx, scoped.clock(), &closed, statement.carry_out.amount, versions).await?;
    Ok(closed)
}

fn closing(statement: &Statement) -> Result<Closing> {
    let sum = |code: LineCode| {
        let lines = statement.lines.iter().filter(|line| line.code == code);
        crate::money::Minor::sum(lines.map(|line| line.amount)).map_err(|error| Fault::Internal(error.to_string()))
    };
    let carried_out = sum(LineCode::CarriedOut)?.checked_neg().map_err(|error| Fault::Internal(error.to_string()))?;
    let recouped = sum(LineCode::Recouped)?.checked_neg().map_err(|error| Fault::Internal(error.to_string()))?;
    let carried_in = sum(LineCode::CarriedIn)?;
    Ok(Closing { earned: statement.earned, carried_in, recouped, carried_out, total: statement.total })
}

/// Why each of these settlements cannot close yet, in a number of queries that does not grow with them. `versions`: the
/// active ones of their contracts.
async fn blockers_in(
    scoped: &Scoped,
    tx: &TenantTx,
    settlements: &[Settlement],
    versions: &[ActiveVersion],
) -> Result<HashMap<SettlementId, Vec<Blocker>>> {
    let now = scoped.clock().now();
    let is_open = |row: &&Settlement| row.state == State::Open.as_str();
    let open: Vec<&Settlement> = settlements.iter().filter(is_open).collect();
    let known = Known::read(tx, &open, versions, now).await?;
    let none = settlements.iter().map(|settlement| (settlement.id, Vec::new()));
    let some = open.iter().map(|settlement| (settlement.id, blockers(known.situation(settlement, versions, now))));
    Ok(none.chain(some).collect())
}

/// What is to be known about the blockers of some settlements.
struct Known {
    /// Open settlements of the same contracts.
    open: Vec<Settlement>,
    names: HashMap<SourceId, String>,
    quarantined: HashMap<SourceId, i64>,
    deliveries: Deliveries,
    running: Vec<ImportRun>,
    unpriced: HashMap<(ContractId, Timestamp), u64>,
    unscored: HashMap<(SourceId, Timestamp), u64>,
}

impl Known {
    async fn read(
        tx: &TenantTx,
        settlements: &[&Settlement],
        versions: &[ActiveVersion],
        now: Timestamp,
    ) -> Result<Self> {
        let contracts: BTreeSet<ContractId> = settlements.iter().map(|row| row.contract_id).collect();
        let contracts: Vec<ContractId> = contracts.into_iter().collect();
        let mut open = store::of_contracts(tx, &contracts).await?;
        open.retain(|row| row.state == State::Open.as_str());
        let names = sources::names_in(tx).await?;
        let in_scope = sources_in_scope(versions.iter(), names.keys().copied());
        let in_scope: Vec<SourceId> = in_scope.into_iter().collect();
        let ends: BTreeSet<_> = settlements.iter().map(|row| (row.contract_id, row.period_end)).collect();
        let ends: Vec<_> = ends.into_iter().collect();
        let until: BTreeSet<Timestamp> = ends.iter().map(|(_, end)| *end).collect();
        let until: Vec<Timestamp> = until.into_iter().collect();
        let start = settlements.iter().map(|row| row.period_start).min().unwrap_or(now);
        let end = settlements.iter().map(|row| row.period_end).max().unwrap_or(now);
        Ok(Self {
            open,
            deliveries: sources::deliveries_in(tx, &in_scope, start, end).await?,
            names,
            quarantined: transactions::quarantine::open_counts_in(tx).await?,
            running: imports::running_in(tx).await?,
            unpriced: transactions::unpriced_counts_in(tx, &ends).await?,
            unscored: anomalies::unscored_counts_in(tx, &until).await?,
        })
    }

    fn situation(&self, settlement: &Settlement, versions: &[ActiveVersion], now: Timestamp) -> Situation {
        let period = Period { start: settlement.period_start, end: settlement.period_end };
        let earlier = self.open.iter().filter(|row| {
            row.contract_id == settlement.contract_id
                && row.currency == settlement.currency
                && row.period_start < settlement.period_start
        });
        let decides = at_end(versions, settlement.contract_id, &settlement.currency, period.end);
        let versions = versions.iter().filter(|version| version.contract == settlement.contract_id);
        let in_scope = sources_in_scope(versions, self.names.keys().copied());
        let named = |id: SourceId| NamedSource { id, name: self.names.get(&id).cloned().unwrap_or_default() };
        let quarantined = self.quarantined.iter().filter(|(source, _)| in_scope.contains(source));
        let mut quarantined: Vec<(NamedSource, u64)> =
            quarantined.map(|(source, count)| (named(*source), u64::try_from(*count).unwrap_or_default())).collect();
        quarantined.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        // While the period runs, a day is missed only once it is over.
        let until = if now < period.end { period.end.min(now.plus(1 - MICROS_PER_DAY)) } else { period.end };
        let missing = self.deliveries.missing(&in_scope, period.start, until).into_iter();
        let running = self.running.iter().filter(|run| in_scope.contains(&run.source_id));
        let unpriced = self.unpriced.get(&(settlement.contract_id, settlement.period_end));
        let unscored = in_scope.iter().filter_map(|source| self.unscored.get(&(*source, settlement.period_end)));
        Situation {
            now,
            period,
            awaits_until: decides.and_then(|version| version.terms.awaits_until(period)),
            earlier_open: earlier.map(|row| Period { start: row.period_start, end: row.period_end }).min(),
            quarantined,
            missing: missing.map(|missing| (named(missing.source), missing.days)).collect(),
            running: running.map(|run| (named(run.source_id), run.id)).collect(),
            unpriced: unpriced.copied().unwrap_or_default(),
            unscored: unscored.sum(),
        }
    }
}

/// The sources whose records are counted under any of these versions; an empty scope counts all.
fn sources_in_scope<'v>(
    versions: impl Iterator<Item = &'v ActiveVersion> + Clone,
    all: impl Iterator<Item = SourceId>,
) -> HashSet<SourceId> {
    if versions.clone().any(|version| version.terms.scope.sources.is_empty()) {
        return all.collect();
    }
    versions.flat_map(|version| version.terms.scope.sources.iter().copied()).collect()
}
