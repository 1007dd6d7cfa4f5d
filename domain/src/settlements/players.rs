//! The table `player_accruals`: running totals by player, of versions with a ring-fence only. They move with the accruals
//! that they are a part of, in the same transaction and after them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, QueryFilter, Value};

use crate::caller::{Permission, Scoped};
use crate::contracts::contract::ActiveVersion;
use crate::contracts::{self, AccrualKind};
use crate::db::bulk::Insert;
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::error::{Code, Fault, Problem, Result};
use crate::ids::{ContractId, SettlementId, SourceId, TenantId};
use crate::money::Units;
use crate::page::{Page, PageRequest};
use crate::secrets::hex;
use crate::sources;
use crate::time::Timestamp;
use crate::transactions::transaction::Player;

use super::accrual::{PlayerDelta, PlayerKey};
use super::fence::{Fenced, PlayerSum};
use super::{Settlement, State, Statement};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "player_accruals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub settlement_id: SettlementId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub player: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub late: bool,
    pub amount: Units,
}

tenant_owned!(Reach::Settlement(Column::SettlementId));

impl Scoped {
    /// Of these contracts, those whose players the caller may see: everybody in the tenant sees them, and a partner's
    /// user where all transactions that are counted come by the partner's own sources, so that he may see those too.
    pub async fn players_seen(&self, contracts: &[ContractId]) -> Result<HashSet<ContractId>> {
        self.require(Permission::Read)?;
        if self.caller().partner().is_none() {
            return Ok(contracts.iter().copied().collect());
        }
        let tx = self.read().await?;
        let own: HashSet<SourceId> = sources::names_in(&tx).await?.into_keys().collect();
        let all: HashSet<SourceId> = sources::names_in(&self.read_for_pricing().await?).await?.into_keys().collect();
        let mut seen: HashMap<ContractId, bool> = HashMap::new();
        for version in contracts::versions_ever_active_of_in(&tx, contracts).await? {
            let counted = &version.terms.scope.sources;
            let own = if counted.is_empty() { all == own } else { counted.iter().all(|source| own.contains(source)) };
            let seen = seen.entry(version.contract).or_insert(true);
            *seen &= own;
        }
        Ok(seen.into_iter().filter(|(_, seen)| *seen).map(|(contract, _)| contract).collect())
    }
}

/// What the ring-fence made of players in a settlement, by pseudonym.
pub fn fenced_page(statement: &Statement, page: &PageRequest<String>) -> Page<Fenced> {
    let after = |own: &&Fenced| page.after.as_ref().is_none_or(|after| *after < own.player);
    let first = usize::try_from(page.first).unwrap_or(usize::MAX).saturating_add(1);
    Page::cut(statement.fenced.iter().filter(after).take(first).cloned().collect(), page)
}

/// Settlements by contract, currency and period.
pub(super) type Places = BTreeMap<(ContractId, String, Timestamp), Settlement>;

/// Adds to the running totals, or begins them.
const PLAYER_ACCRUALS: Insert = Insert {
    table: "player_accruals",
    columns: &["settlement_id", "version", "player", "kind", "late", "amount"],
    on_conflict: "ON CONFLICT (tenant_id, settlement_id, version, player, kind, late) DO UPDATE SET \
                  amount = player_accruals.amount + excluded.amount",
};

async fn add(tx: &TenantTx, rows: Vec<Model>) -> Result<(), DbErr> {
    let values = rows.into_iter().flat_map(|row| -> [Value; 6] {
        [
            row.settlement_id.into(),
            row.version.into(),
            row.player.into(),
            row.kind.into(),
            row.late.into(),
            row.amount.into(),
        ]
    });
    tx.bulk_insert(&PLAYER_ACCRUALS, values.collect()).await
}

async fn rows(tx: &TenantTx, ids: &[SettlementId]) -> Result<Vec<Model>, DbErr> {
    let mut rows = Vec::new();
    for chunk in ids.chunks(5_000) {
        let ids = chunk.iter().copied();
        rows.extend(tx.all::<Entity>(|q| q.filter(Column::SettlementId.is_in(ids))).await?);
    }
    Ok(rows)
}

/// What settlements counted by player. Nothing is asked where no version of their contracts keeps it.
pub(super) async fn sums_in<'v>(
    tx: &TenantTx,
    ids: &[SettlementId],
    mut versions: impl Iterator<Item = &'v ActiveVersion>,
) -> Result<HashMap<SettlementId, Vec<PlayerSum>>> {
    let mut sums: HashMap<SettlementId, Vec<PlayerSum>> = HashMap::new();
    if versions.any(|version| version.terms.counts_players()) {
        for row in rows(tx, ids).await? {
            sums.entry(row.settlement_id).or_default().push(sum_of(row)?);
        }
    }
    Ok(sums)
}

fn sum_of(row: Model) -> Result<PlayerSum, Fault> {
    let corrupt = || Fault::Corrupt(format!("what {} counted by player", row.settlement_id));
    Ok(PlayerSum {
        version: row.version,
        player: Player::try_from(row.player.as_slice()).map_err(|_| corrupt())?,
        kind: AccrualKind::parse(&row.kind).ok_or_else(corrupt)?,
        late: row.late,
        amount: row.amount,
    })
}

fn row_of(tx: &TenantTx, places: &Places, key: &PlayerKey, delta: &PlayerDelta) -> Result<Model> {
    let place = (key.contract, delta.currency.clone(), key.period_start);
    let settlement =
        places.get(&place).ok_or_else(|| Fault::Internal("a player's sum without a settlement".to_owned()))?;
    let amount = Units::narrow(delta.amount).map_err(|error| {
        let message = format!("{error}: player {}, {}", hex(&key.player), key.kind.as_str());
        Problem::new(Code::Overflow, "amount", message)
    })?;
    Ok(Model {
        tenant_id: tx.tenant(),
        settlement_id: settlement.id,
        version: key.version,
        player: key.player.to_vec(),
        kind: key.kind.as_str().to_owned(),
        late: settlement.state == State::Closed.as_str(),
        amount,
    })
}

/// Adds what facts feed by player. The settlements are there: accruals have been added to them.
pub(super) async fn accrue_in(tx: &TenantTx, places: &Places, deltas: &[(PlayerKey, PlayerDelta)]) -> Result<()> {
    if deltas.is_empty() {
        return Ok(());
    }
    let rows = deltas.iter().map(|(key, delta)| row_of(tx, places, key, delta));
    add(tx, rows.collect::<Result<_>>()?).await?;
    Ok(())
}

/// Brings the sums of these settlements to what the facts add up to, in the way of the accruals: of closed ones, the
/// difference becomes late rows. Which closed ones are different.
pub(super) async fn replace_in(
    tx: &TenantTx,
    places: &Places,
    deltas: &[(PlayerKey, PlayerDelta)],
) -> Result<BTreeSet<SettlementId>> {
    type Slot = (SettlementId, i64, Vec<u8>, String);
    let slot = |row: &Model| -> Slot { (row.settlement_id, row.version, row.player.clone(), row.kind.clone()) };
    let ids: Vec<SettlementId> = places.values().map(|settlement| settlement.id).collect();
    let closed = |row: &Settlement| row.state == State::Closed.as_str();
    let closed: BTreeSet<SettlementId> = places.values().filter(|row| closed(row)).map(|row| row.id).collect();
    let before = rows(tx, &ids).await?;
    let mut sums: BTreeMap<Slot, Model> = BTreeMap::new();
    for (key, delta) in deltas {
        let row = row_of(tx, places, key, delta)?;
        sums.insert(slot(&row), row);
    }
    // A late row that comes to nothing stays, as it does of the accruals.
    let (late, frozen): (Vec<&Model>, Vec<&Model>) =
        before.iter().filter(|row| closed.contains(&row.settlement_id)).partition(|row| row.late);
    for row in late.iter().chain(&frozen) {
        let none = || Model { late: true, amount: Units::ZERO, ..Model::clone(row) };
        sums.entry(slot(row)).or_insert_with(none);
    }
    for row in frozen {
        let Some(sum) = sums.get_mut(&slot(row)) else { continue };
        let less = sum.amount.checked_sub(row.amount);
        sum.amount = less.map_err(|error| Problem::new(Code::Overflow, "amount", error.to_string()))?;
    }
    let late: BTreeSet<Slot> = late.into_iter().map(slot).collect();
    let touched: BTreeSet<SettlementId> = before.iter().map(|row| row.settlement_id).collect();
    for id in touched {
        let late = closed.contains(&id);
        tx.delete::<Entity>(|q| q.filter(Column::SettlementId.eq(id)).filter(Column::Late.eq(late))).await?;
    }
    sums.retain(|slot, row| row.amount != Units::ZERO || late.contains(slot));
    let different = sums.values().filter(|row| row.late).map(|row| row.settlement_id).collect();
    add(tx, sums.into_values().collect()).await?;
    Ok(different)
}

/// What the sums by player exceed those of all facts by, where they are not the same.
pub(super) async fn check_in(
    tx: &TenantTx,
    places: &BTreeMap<(ContractId, String, Timestamp), SettlementId>,
    deltas: &[(PlayerKey, PlayerDelta)],
) -> Result<Vec<String>> {
    let ids: Vec<SettlementId> = places.values().copied().collect();
    let mut differences: BTreeMap<(SettlementId, i64, String, String), i128> = BTreeMap::new();
    for row in rows(tx, &ids).await? {
        let slot = (row.settlement_id, row.version, hex(&row.player), row.kind);
        *differences.entry(slot).or_default() += i128::from(row.amount.0);
    }
    for (key, delta) in deltas {
        // A settlement that is missing is told with the accruals.
        let Some(id) = places.get(&(key.contract, delta.currency.clone(), key.period_start)) else { continue };
        let slot = (*id, key.version, hex(&key.player), key.kind.as_str().to_owned());
        *differences.entry(slot).or_default() -= delta.amount;
    }
    let wrong = differences.into_iter().filter(|(_, amount)| *amount != 0).map(|((id, version, player, kind), amount)| {
        format!(
            "{id}, version {version}, player {player}, {kind}: the totals exceed the transactions by {amount} accounting \
             units"
        )
    });
    Ok(wrong.collect())
}
