//! Settlements as of now: open ones computed from their accruals when they are read, closed ones as they were frozen.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::contracts;
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{AccrualKind, Period};
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{ContractId, SettlementId};
use crate::money::{Asset, Minor, Rate, Units};

use super::chain::{Account, Beforehand, Frozen, carried, chain};
use super::parts::Part;
use super::settlement::{Accrual, CarriedBase, Carry, Clauses, Fenced, Line, LineCode, PlayerSum, YearTiers};
use super::{Settlement, State, fence, funds, line, parties, players, store};

/// What a settlement comes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Statement {
    pub asset: Asset,
    pub lines: Vec<Line>,
    pub total: Minor,
    /// All but what is carried: what this settlement adds to what the partner has earned.
    pub earned: Minor,
    /// What goes on into the next period.
    pub carry_out: Carry,
    /// What the ring-fence made of players, by pseudonym.
    pub fenced: Vec<Fenced>,
    pub transaction_count: i64,
    /// Of the total, where it is shared out; they add up to it.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// The statements of these settlements, in a number of queries that does not grow with them.
pub(super) async fn statements_in(
    tx: &TenantTx,
    settlements: &[Settlement],
) -> Result<HashMap<SettlementId, Statement>> {
    let mut statements = frozen_in(tx, settlements).await?;
    let open = settlements.iter().filter(|row| row.state == State::Open.as_str());
    let contracts: BTreeSet<ContractId> = open.map(|row| row.contract_id).collect();
    let wanted: HashSet<SettlementId> = settlements.iter().map(|row| row.id).collect();
    for (id, statement) in chains_in(tx, &contracts.into_iter().collect::<Vec<_>>()).await? {
        if wanted.contains(&id) {
            statements.entry(id).or_insert(statement);
        }
    }
    Ok(statements)
}

async fn frozen_in(tx: &TenantTx, settlements: &[Settlement]) -> Result<HashMap<SettlementId, Statement>> {
    let closed: Vec<&Settlement> = settlements.iter().filter(|row| row.state == State::Closed.as_str()).collect();
    let ids: Vec<SettlementId> = closed.iter().map(|row| row.id).collect();
    let mut lines = lines_by_settlement(store::lines(tx, &ids).await?)?;
    let mut parts = parties::frozen_in(tx, &ids).await?;
    let assets = assets_in(tx, closed.iter().copied()).await?;
    let mut statements = HashMap::new();
    for row in closed {
        let lines = lines.remove(&row.id).unwrap_or_default();
        let statement = Statement {
            asset: asset_of(&assets, &row.currency)?,
            total: row.total.unwrap_or_default(),
            earned: line::earned(&lines).map_err(|error| Fault::Corrupt(error.to_string()))?,
            lines,
            carry_out: carry_of(row)?,
            fenced: fenced_of(row)?,
            transaction_count: row.transaction_count.unwrap_or_default(),
            parts: parts.remove(&row.id).unwrap_or_default(),
        };
        statements.insert(row.id, statement);
    }
    Ok(statements)
}

/// The open settlements of some contracts, each computed with what its predecessors carry into it.
async fn chains_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<(SettlementId, Statement)>> {
    let mut statements = Vec::new();
    for Chain { accounts, posted, beforehand, versions, asset } in loaded_in(tx, contracts).await? {
        let shared = versions.iter().any(|version| version.terms.split.is_some());
        let clauses = shared.then(|| Clauses::new(&versions, &asset)).transpose()?;
        for computed in chain(&accounts, &posted, &beforehand, &versions, &asset)? {
            let account = accounts.iter().find(|account| account.id == computed.id);
            let parts = match clauses.as_ref().zip(account) {
                Some((clauses, account)) => clauses.parts(account.period, computed.total)?,
                None => Vec::new(),
            };
            let statement = Statement {
                asset: asset.clone(),
                lines: computed.lines,
                total: computed.total,
                earned: computed.earned,
                carry_out: computed.carry_out,
                fenced: computed.fenced,
                transaction_count: computed.transaction_count,
                parts,
            };
            statements.push((computed.id, statement));
        }
    }
    Ok(statements)
}

/// What the open settlements of one contract and currency are computed from.
pub(super) struct Chain {
    pub accounts: Vec<Account>,
    pub posted: Vec<Line>,
    pub beforehand: Beforehand,
    pub versions: Vec<ActiveVersion>,
    pub asset: Asset,
}

/// The chains of some contracts, in a number of queries that does not grow with them.
pub(super) async fn loaded_in(tx: &TenantTx, contracts: &[ContractId]) -> Result<Vec<Chain>> {
    if contracts.is_empty() {
        return Ok(Vec::new());
    }
    let mut versions: HashMap<ContractId, Vec<ActiveVersion>> = HashMap::new();
    for version in contracts::versions_ever_active_of_in(tx, contracts).await? {
        versions.entry(version.contract).or_default().push(version);
    }
    let settlements = store::of_contracts(tx, contracts).await?;
    let closed: Vec<SettlementId> =
        settlements.iter().filter(|row| row.state == State::Closed.as_str()).map(|row| row.id).collect();
    let late: HashSet<SettlementId> = store::touched_late(tx, &closed).await?.into_iter().collect();
    let firsts = firsts(&settlements);
    let chains = suffixes(settlements, &late);
    let ids: Vec<SettlementId> = chains.iter().flatten().map(|row| row.id).collect();
    let mut accruals: HashMap<SettlementId, Vec<Accrual>> = HashMap::new();
    for row in store::accruals(tx, &ids).await? {
        accruals.entry(row.settlement_id).or_default().push(accrual_of(row)?);
    }
    let mut lines = lines_by_settlement(store::lines(tx, &ids).await?)?;
    let mut players = players::sums_in(tx, &ids, versions.values().flatten()).await?;
    let mut posted: HashMap<SettlementId, Vec<Line>> = HashMap::new();
    for row in store::corrections_of(tx, &ids).await? {
        if let Some(corrected) = row.corrects {
            posted.entry(corrected).or_default().push(line_of(row)?);
        }
    }
    let beforehand = funds::beforehand_in(tx, contracts, &versions).await?;
    let assets = assets_in(tx, chains.iter().flatten()).await?;
    let mut loaded = Vec::with_capacity(chains.len());
    for rows in chains {
        let Some(first) = rows.first() else { continue };
        let place = (first.contract_id, first.currency.clone());
        let beforehand = beginning(beforehand.get(&place).cloned().unwrap_or_default(), first, &firsts);
        let mut accounts = Vec::with_capacity(rows.len());
        for row in &rows {
            let counted = (accruals.remove(&row.id).unwrap_or_default(), players.remove(&row.id).unwrap_or_default());
            accounts.push(account_of(row, counted, lines.remove(&row.id))?);
        }
        loaded.push(Chain {
            accounts,
            posted: rows.iter().filter_map(|row| posted.get(&row.id)).flatten().cloned().collect(),
            beforehand,
            versions: versions.get(&first.contract_id).cloned().unwrap_or_default(),
            asset: asset_of(&assets, &first.currency)?,
        });
    }
    Ok(loaded)
}

/// What a contract's settlements carry into a window, every late fact counted, and what was paid beforehand; and the
/// periods of those within it.
pub(crate) async fn standing_at_in(
    tx: &TenantTx,
    contract: ContractId,
    versions: &[ActiveVersion],
    asset: &Asset,
    window: Period,
) -> Result<(Beforehand, BTreeSet<Period>)> {
    let mut rows = store::of_contracts(tx, &[contract]).await?;
    rows.retain(|row| row.currency == asset.code && row.period_start < window.end);
    let firsts = firsts(&rows);
    let (within, before): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| window.start <= row.period_start);
    let closed: Vec<SettlementId> =
        before.iter().filter(|row| row.state == State::Closed.as_str()).map(|row| row.id).collect();
    let late: HashSet<SettlementId> = store::touched_late(tx, &closed).await?.into_iter().collect();
    let before = suffixes(before, &late).pop().unwrap_or_default();
    let ids: Vec<SettlementId> = before.iter().map(|row| row.id).collect();
    let mut accruals: HashMap<SettlementId, Vec<Accrual>> = HashMap::new();
    for row in store::accruals(tx, &ids).await? {
        accruals.entry(row.settlement_id).or_default().push(accrual_of(row)?);
    }
    let mut lines = lines_by_settlement(store::lines(tx, &ids).await?)?;
    let mut players = players::sums_in(tx, &ids, versions.iter()).await?;
    let posted = store::corrections_of(tx, &ids).await?.into_iter().map(line_of).collect::<Result<Vec<_>, _>>()?;
    let mut accounts = Vec::with_capacity(before.len());
    for row in &before {
        let counted = (accruals.remove(&row.id).unwrap_or_default(), players.remove(&row.id).unwrap_or_default());
        accounts.push(account_of(row, counted, lines.remove(&row.id))?);
    }
    let own = HashMap::from([(contract, versions.to_vec())]);
    let mut beforehand = funds::beforehand_in(tx, &[contract], &own).await?;
    let mut beforehand = beforehand.remove(&(contract, asset.code.clone())).unwrap_or_default();
    if let Some(first) = before.first() {
        beforehand = beginning(beforehand, first, &firsts);
    }
    let opening = carried(&accounts, &posted, &beforehand, versions, asset)?;
    let beforehand = Beforehand { opening, ..beforehand };
    Ok((beforehand, within.iter().map(|row| Period { start: row.period_start, end: row.period_end }).collect()))
}

/// Of each contract and currency, the settlements that decide about its open ones: from the one before the first that
/// late facts changed, or before the first open one, to the end.
fn suffixes(settlements: Vec<Settlement>, late: &HashSet<SettlementId>) -> Vec<Vec<Settlement>> {
    let mut chains: BTreeMap<(ContractId, String), Vec<Settlement>> = BTreeMap::new();
    for row in settlements {
        chains.entry((row.contract_id, row.currency.clone())).or_default().push(row);
    }
    let suffix = |mut rows: Vec<Settlement>| {
        rows.sort_by_key(|row| row.period_start);
        let decides = |row: &Settlement| row.state == State::Open.as_str() || late.contains(&row.id);
        let first = rows.iter().position(decides).unwrap_or(rows.len());
        rows.split_off(first.saturating_sub(1))
    };
    chains.into_values().map(suffix).collect()
}

/// The first settlement of each contract and currency.
fn firsts(settlements: &[Settlement]) -> HashSet<SettlementId> {
    let mut firsts: HashMap<(ContractId, &str), &Settlement> = HashMap::new();
    for row in settlements {
        let first = firsts.entry((row.contract_id, &row.currency)).or_insert(row);
        if row.period_start < first.period_start {
            *first = row;
        }
    }
    firsts.into_values().map(|row| row.id).collect()
}

/// A chain that does not begin with the first settlement takes what its own first one left, which may be nothing: what
/// was carried in at the very beginning does not come again.
fn beginning(beforehand: Beforehand, first: &Settlement, firsts: &HashSet<SettlementId>) -> Beforehand {
    if firsts.contains(&first.id) { beforehand } else { Beforehand { opening: Carry::default(), ..beforehand } }
}

fn account_of(
    row: &Settlement,
    (accruals, players): (Vec<Accrual>, Vec<PlayerSum>),
    lines: Option<Vec<Line>>,
) -> Result<Account> {
    let open = row.state == State::Open.as_str();
    let frozen = Frozen { lines: lines.unwrap_or_default(), carry_out: carry_of(row)? };
    // A period behind the last close that nobody settled was born closed, without a close that froze anything. A close
    // that froze nothing at all, with nothing carried in either, looks the same and comes to the same.
    let born_closed = row.transaction_count == Some(0) && frozen == Frozen::default();
    let frozen = (!open && !born_closed).then_some(frozen);
    Ok(Account {
        id: row.id,
        period: Period { start: row.period_start, end: row.period_end },
        state: if open { State::Open } else { State::Closed },
        accruals,
        players,
        frozen,
    })
}

/// What is carried beside bases and money, as it is stored.
#[derive(Default, PartialEq, Eq, Serialize, Deserialize)]
struct CarriedState {
    #[serde(default)]
    tiers: YearTiers,
    #[serde(default)]
    recouped: Minor,
    #[serde(default)]
    drawn: Units,
    /// With what came in, so that it can be told how it was set off and taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fenced: Vec<Fenced>,
}

/// The columns of what a statement carries: its bases, and the rest but for money.
pub(super) fn columns_of(
    Statement { carry_out: carry, fenced, .. }: &Statement,
) -> Result<(String, Option<String>), Fault> {
    let json = |error: serde_json::Error| Fault::Internal(error.to_string());
    let (tiers, fenced) = (carry.tiers.clone(), fenced.clone());
    let state = CarriedState { tiers, recouped: carry.recouped, drawn: carry.drawn, fenced };
    let kept = (state != CarriedState::default()).then(|| serde_json::to_string(&state)).transpose().map_err(json)?;
    Ok((serde_json::to_string(&carry.base).map_err(json)?, kept))
}

pub(super) fn carry_of(row: &Settlement) -> Result<Carry, Fault> {
    let base: CarriedBase = match &row.carried_base {
        Some(json) => serde_json::from_str(json).map_err(|_| Fault::Corrupt(format!("{}: carried base", row.id)))?,
        None => CarriedBase::default(),
    };
    let CarriedState { tiers, recouped, drawn, fenced } = state_of(row)?;
    let players = fence::carried(&fenced).map_err(|error| Fault::Corrupt(format!("{}: {error}", row.id)))?;
    Ok(Carry { base, players, tiers, amount: row.carried_amount.unwrap_or_default(), recouped, drawn })
}

fn state_of(row: &Settlement) -> Result<CarriedState, Fault> {
    let read = |json: &String| serde_json::from_str(json);
    let state = row.carried_state.as_ref().map(read).transpose();
    state.map(Option::unwrap_or_default).map_err(|_| Fault::Corrupt(format!("{}: carried state", row.id)))
}

/// What stood against players when a closed settlement was calculated, and what became of it.
pub(super) fn fenced_of(row: &Settlement) -> Result<Vec<Fenced>, Fault> {
    Ok(state_of(row)?.fenced)
}

pub(super) fn accrual_of(row: store::accrual::Model) -> Result<Accrual, Fault> {
    let kind = AccrualKind::parse(&row.kind).ok_or_else(|| Fault::Corrupt(format!("accrual kind '{}'", row.kind)))?;
    Ok(Accrual {
        version: row.version,
        rate_class: row.rate_class,
        kind,
        late: row.late,
        amount: row.amount,
        units: row.units,
        transactions: row.transactions,
    })
}

fn lines_by_settlement(rows: Vec<store::line::Model>) -> Result<HashMap<SettlementId, Vec<Line>>, Fault> {
    let mut lines: HashMap<SettlementId, Vec<Line>> = HashMap::new();
    for row in rows {
        lines.entry(row.settlement_id).or_default().push(line_of(row)?);
    }
    Ok(lines)
}

pub(super) fn line_of(row: store::line::Model) -> Result<Line, Fault> {
    let corrupt = || Fault::Corrupt(format!("line {} of {}", row.position, row.settlement_id));
    let rate = row.rate.as_deref().map(Rate::parse).transpose().map_err(|_| corrupt())?;
    let code = LineCode::parse(&row.code).ok_or_else(corrupt)?;
    Ok(Line {
        code,
        version: row.version,
        rate_class: row.rate_class,
        clause: row.clause,
        base: row.base,
        rate,
        amount: row.amount,
        corrects: row.corrects,
    })
}

pub(super) fn rows_of(tx: &TenantTx, settlement: SettlementId, lines: &[Line]) -> Vec<store::line::Model> {
    let row = |(position, line): (i64, &Line)| store::line::Model {
        tenant_id: tx.tenant(),
        settlement_id: settlement,
        position,
        code: line.code.as_str().to_owned(),
        version: line.version,
        rate_class: line.rate_class.clone(),
        clause: line.clause.clone(),
        base: line.base,
        rate: line.rate.map(|rate| rate.to_string()),
        amount: line.amount,
        corrects: line.corrects,
    };
    (1..).zip(lines).map(row).collect()
}

pub(super) async fn assets_in(
    tx: &TenantTx,
    settlements: impl Iterator<Item = &Settlement>,
) -> Result<HashMap<String, Asset>> {
    let codes: BTreeSet<&str> = settlements.map(|row| row.currency.as_str()).collect();
    crate::catalogue::assets_by_codes_in(tx, codes.iter().copied()).await
}

pub(super) fn asset_of(assets: &HashMap<String, Asset>, code: &str) -> Result<Asset, Fault> {
    let asset = assets.get(code).cloned();
    asset.ok_or_else(|| Fault::Corrupt(format!("a settlement in the unknown currency '{code}'")))
}

/// Everything that is carried of bases, as one amount.
pub fn carried_base(statement: &Statement) -> Option<Units> {
    statement.carry_out.total_base().ok().filter(|base| *base != Units::ZERO)
}
