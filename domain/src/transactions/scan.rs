//! Recorded facts as they count, in the order they were recorded, a bounded number at a time: a rollback as the fact that
//! it undoes, and when their rounds closed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::entity::prelude::*;
use sea_orm::{QueryFilter, QueryOrder, QuerySelect};

use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{SourceId, TransactionId};
use crate::time::Timestamp;

use super::batch::{Key, RoundKey, round_key};
use super::find;
use super::store;
use super::tables::{Column, Entity, Model, rollback, round};
use super::transaction::{Fact, Kind, Player};

/// Facts that one request looks at, at most.
pub(crate) const AT_A_TIME: usize = 5_000;

/// A fact that was recorded, and how it counts.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    pub row: Model,
    /// What is priced: the fact itself, or the one that it undoes.
    pub fact: Fact,
    /// What a rollback undoes.
    pub undoes: Option<TransactionId>,
    /// Whether a rollback takes it out again; of a rollback it is not said.
    pub undone_by: Option<TransactionId>,
    /// When it came to count: a rollback that came before its fact counts with it.
    pub counted_at: Timestamp,
    /// When its round closed.
    pub closed_at: Option<Timestamp>,
}

/// What follows a place in the order of recording.
pub(crate) struct Scan {
    pub facts: Vec<Scanned>,
    /// The last that was looked at, where there may be more.
    pub more_after: Option<TransactionId>,
}

/// The facts after `after`. A rollback that undoes nothing, or nothing yet, is left out. `with_rounds` also tells when
/// rounds closed.
pub(crate) async fn scan_in(tx: &TenantTx, after: TransactionId, with_rounds: bool) -> Result<Scan> {
    let limit = u64::try_from(AT_A_TIME).unwrap_or(u64::MAX);
    let rows = tx.all::<Entity>(|q| q.filter(Column::Id.gt(after)).order_by_asc(Column::Id).limit(limit)).await?;
    let more_after = rows.last().map(|row| row.id).filter(|_| rows.len() >= AT_A_TIME);
    Ok(Scan { facts: scanned_in(tx, rows, with_rounds).await?, more_after })
}

/// One fact, as it counts; `None` where it is not there, or undoes nothing.
pub(crate) async fn scanned_one_in(tx: &TenantTx, id: TransactionId) -> Result<Option<Scanned>> {
    let rows = store::by_ids(tx, &[id]).await?;
    Ok(scanned_in(tx, rows, true).await?.pop())
}

async fn scanned_in(tx: &TenantTx, rows: Vec<Model>, with_rounds: bool) -> Result<Vec<Scanned>> {
    let undone = undone_in(tx, &rows).await?;
    let mut facts = Vec::with_capacity(rows.len());
    for row in rows {
        let own = row.clone().fact()?;
        let (mut undoes, mut counted_at, mut undone_by) = (None, row.recorded_at, None);
        let fact = if own.kind == Kind::Rollback {
            let Some(target) = undone.targets.get(&row.id) else { continue };
            undoes = Some(target.id);
            counted_at = counted_at.max(target.recorded_at);
            target.clone().fact()?
        } else {
            undone_by = undone.by.get(&(own.source, own.external_id.clone())).copied();
            own
        };
        facts.push(Scanned { row, fact, undoes, undone_by, counted_at, closed_at: None });
    }
    if with_rounds {
        let closed = rounds_in(tx, facts.iter().filter_map(|scanned| round_key(&scanned.fact))).await?;
        for scanned in &mut facts {
            scanned.closed_at = round_key(&scanned.fact).and_then(|key| closed.get(&key)).copied();
        }
    }
    Ok(facts)
}

#[derive(Default)]
struct Undone {
    /// By rollback.
    targets: HashMap<TransactionId, Model>,
    /// The rollbacks that took effect, by what they undo.
    by: HashMap<Key, TransactionId>,
}

/// What the rollbacks among these undo, and which of the others are undone.
async fn undone_in(tx: &TenantTx, rows: &[Model]) -> Result<Undone> {
    use rollback::{Column, Entity};
    let mut named: BTreeMap<SourceId, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        named.entry(row.source_id).or_default().insert(row.reverses.as_deref().unwrap_or(&row.external_id));
    }
    let own: BTreeSet<TransactionId> =
        rows.iter().filter(|row| row.kind == Kind::Rollback.as_str()).map(|row| row.id).collect();
    let mut undone = Undone::default();
    let mut wanted: BTreeMap<SourceId, Vec<String>> = BTreeMap::new();
    for (source, names) in named {
        let names: Vec<&str> = names.into_iter().collect();
        for chunk in names.chunks(1_000) {
            let found = tx.all::<Entity>(|q| {
                let of_source = q.filter(Column::SourceId.eq(source)).filter(Column::Matched.eq(true));
                of_source.filter(Column::Reverses.is_in(chunk.iter().copied()))
            });
            for row in found.await? {
                if own.contains(&row.transaction_id) {
                    wanted.entry(source).or_default().push(row.reverses.clone());
                }
                undone.by.insert((row.source_id, row.reverses), row.transaction_id);
            }
        }
    }
    let mut targets = HashMap::new();
    for (source, names) in &wanted {
        targets.extend(find::ids_of(tx, *source, names).await?);
    }
    let ids: Vec<TransactionId> = targets.values().copied().collect();
    let mut facts: HashMap<TransactionId, Model> = HashMap::new();
    for chunk in ids.chunks(1_000) {
        facts.extend(store::by_ids(tx, chunk).await?.into_iter().map(|row| (row.id, row)));
    }
    for (key, target) in targets {
        if let Some((rollback, fact)) = undone.by.get(&key).copied().zip(facts.remove(&target)) {
            undone.targets.insert(rollback, fact);
        }
    }
    Ok(undone)
}

/// When rounds closed, of those that did.
async fn rounds_in(tx: &TenantTx, keys: impl Iterator<Item = RoundKey>) -> Result<HashMap<RoundKey, Timestamp>> {
    use round::{Column, Entity};
    let mut wanted: BTreeMap<SourceId, BTreeSet<String>> = BTreeMap::new();
    for (source, round, _) in keys {
        wanted.entry(source).or_default().insert(round);
    }
    let mut closed = HashMap::new();
    for (source, rounds) in wanted {
        let rounds: Vec<String> = rounds.into_iter().collect();
        for chunk in rounds.chunks(1_000) {
            let of_source = |q: Select<Entity>| q.filter(Column::SourceId.eq(source));
            let named = chunk.iter().map(String::as_str);
            for row in tx.all::<Entity>(|q| of_source(q).filter(Column::Round.is_in(named))).await? {
                let player = Player::try_from(row.player.as_slice());
                let player = player.map_err(|_| Fault::Corrupt("rounds: player".into()))?;
                closed.insert((row.source_id, row.round, player), row.closed_at);
            }
        }
    }
    Ok(closed)
}
