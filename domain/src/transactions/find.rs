//! What a batch must know of what is stored: how the tenant stands, known keys, the facts that rollbacks name, rounds and
//! who waits for them.

use std::collections::{BTreeSet, HashMap};

use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryFilter};

use crate::db::TenantTx;
use crate::db::bulk::Lookup;
use crate::error::{Fault, Result};
use crate::ids::{SourceId, TransactionId};

use super::batch::{Decision, Found, Key, RoundKey, Waiting, Wanted, round_key};
use super::store::{by_id, hash_of};
use super::tables::{rollback, round, waiting};
use super::transaction::{Fact, Kind};

#[derive(FromQueryResult)]
struct KnownKey {
    external_id: String,
    transaction_id: TransactionId,
    payload_hash: Vec<u8>,
}

/// How a tenant stands when a batch begins.
#[derive(FromQueryResult)]
pub(super) struct Standing {
    pub epoch: i64,
    /// The newest transaction, from a known one on.
    pub newest: Option<TransactionId>,
    /// Whether a rollback of the source waits for its fact: of most sources none does.
    pending: i64,
}

/// All of it at once; of a batch with several sources it is said that rollbacks may wait.
pub(super) async fn standing_in(
    tx: &TenantTx,
    sources: &BTreeSet<SourceId>,
    newest: TransactionId,
) -> Result<Standing> {
    const STANDING: &str = "WITH own AS (SELECT id, config_epoch FROM tenants WHERE id = ?) \
        SELECT own.config_epoch AS epoch, \
        (SELECT id FROM transactions WHERE tenant_id = own.id AND id >= ? ORDER BY id DESC LIMIT 1) AS newest, \
        CAST(CASE WHEN EXISTS (SELECT 1 FROM rollbacks WHERE tenant_id = own.id AND source_id = ? AND NOT matched) \
             THEN 1 ELSE 0 END AS BIGINT) AS pending FROM own";
    let source = sources.first().copied().unwrap_or(SourceId::NONE);
    let rows = tx.bulk_query::<Standing>(STANDING, vec![newest.into(), source.into()]).await?;
    let gone = || Fault::Corrupt(format!("{} is gone", tx.tenant()));
    let mut standing = rows.into_iter().next().ok_or_else(gone)?;
    standing.pending += i64::from(sources.len() > 1);
    Ok(standing)
}

pub(super) async fn find(tx: &TenantTx, wanted: &Wanted, standing: &Standing, with_rounds: bool) -> Result<Found> {
    let mut found = Found::default();
    for (source, ids) in &wanted.keys {
        find_keys(tx, *source, ids, &mut found).await?;
        if standing.pending > 0 {
            find_pending_rollbacks(tx, *source, ids, &mut found).await?;
        }
    }
    for (source, reverses) in &wanted.reversed {
        find_reversed(tx, (*source, reverses.clone()), &mut found).await?;
    }
    if with_rounds {
        // A rollback takes effect in the round of the fact that it names, and need not name the round itself.
        let mut rounds = wanted.rounds.clone();
        rounds.extend(found.facts.values().filter_map(round_key));
        for key in &rounds {
            find_round(tx, key, &mut found).await?;
        }
    }
    Ok(found)
}

async fn find_keys(tx: &TenantTx, source: SourceId, ids: &[String], found: &mut Found) -> Result<()> {
    const KNOWN: Lookup = Lookup {
        table: "transaction_keys",
        wanted: "external_id, transaction_id, payload_hash",
        by: &["source_id", "external_id"],
    };
    for row in tx.bulk_lookup::<KnownKey>(&KNOWN, [source.into()], ids).await? {
        let hash = hash_of(&row.payload_hash)?;
        found.keys.insert((source, row.external_id), (row.transaction_id, hash));
    }
    Ok(())
}

/// The facts that have these external ids.
pub(super) async fn ids_of(tx: &TenantTx, source: SourceId, ids: &[String]) -> Result<HashMap<Key, TransactionId>> {
    let mut found = Found::default();
    for chunk in ids.chunks(1_000) {
        find_keys(tx, source, chunk, &mut found).await?;
    }
    Ok(found.keys.into_iter().map(|(key, (id, _))| (key, id)).collect())
}

async fn find_pending_rollbacks(tx: &TenantTx, source: SourceId, ids: &[String], found: &mut Found) -> Result<()> {
    use rollback::{Column, Entity};
    let pending = || move |q: Select<Entity>| q.filter(Column::SourceId.eq(source)).filter(Column::Matched.eq(false));
    for chunk in ids.chunks(1_000) {
        let named = chunk.iter().map(String::as_str);
        for row in tx.all::<Entity>(|q| pending()(q).filter(Column::Reverses.is_in(named))).await? {
            found.rollbacks.insert((source, row.reverses), (row.transaction_id, false));
        }
    }
    Ok(())
}

/// The fact that a rollback names, and whether another rollback named it before.
async fn find_reversed(tx: &TenantTx, key: Key, found: &mut Found) -> Result<()> {
    use rollback::{Column, Entity};
    let (source, reverses) = &key;
    let other =
        tx.one::<Entity>(|q| q.filter(Column::SourceId.eq(*source)).filter(Column::Reverses.eq(reverses))).await?;
    if let Some(other) = other {
        found.rollbacks.insert(key.clone(), (other.transaction_id, other.matched));
    }
    find_keys(tx, *source, std::slice::from_ref(reverses), found).await?;
    if let Some((id, _)) = found.keys.get(&key) {
        let fact = by_id(tx, *id).await?.ok_or_else(|| Fault::Corrupt(format!("key without its transaction {id}")))?;
        found.facts.insert(key, fact.fact()?);
    }
    Ok(())
}

async fn find_round(tx: &TenantTx, key: &RoundKey, found: &mut Found) -> Result<()> {
    let (source, name, player) = key;
    let round = tx
        .one::<round::Entity>(|q| {
            q.filter(round::Column::SourceId.eq(*source))
                .filter(round::Column::Round.eq(name))
                .filter(round::Column::Player.eq(player.to_vec()))
        })
        .await?;
    if let Some(round) = round {
        found.rounds.insert(key.clone(), round.closed_at);
        return Ok(());
    }
    let rows = tx
        .all::<waiting::Entity>(|q| {
            q.filter(waiting::Column::SourceId.eq(*source))
                .filter(waiting::Column::Round.eq(name))
                .filter(waiting::Column::Player.eq(player.to_vec()))
        })
        .await?;
    for row in rows {
        let fact = by_id(tx, row.transaction_id)
            .await?
            .ok_or_else(|| Fault::Corrupt("a waiting transaction is gone".into()))?
            .fact()?;
        let undoes = fact.kind == Kind::Rollback;
        let fact = if undoes { target_of(tx, &fact).await? } else { fact };
        let waiting = Waiting { contract: row.contract_id, transaction: row.transaction_id, fact, undoes };
        found.waiting.entry(key.clone()).or_default().push(waiting);
    }
    Ok(())
}

async fn target_of(tx: &TenantTx, rollback: &Fact) -> Result<Fact> {
    let mut found = Found::default();
    let key = (rollback.source, rollback.reverses.clone().unwrap_or_default());
    find_reversed(tx, key.clone(), &mut found).await?;
    found.facts.remove(&key).ok_or_else(|| Fault::Corrupt("a matched rollback lost its transaction".into()).into())
}

/// The facts that stand where another content came under their id.
pub(super) async fn find_conflicting(tx: &TenantTx, decision: &mut Decision) -> Result<()> {
    for conflict in &mut decision.conflicts {
        if conflict.differences.is_empty()
            && let Some(recorded) = by_id(tx, conflict.stands).await?
        {
            conflict.differences = recorded.fact()?.differences(&conflict.received);
        }
    }
    Ok(())
}

/// The fact that this rollback undoes, if it is there.
pub(super) async fn matched_target(
    tx: &TenantTx,
    rollback: TransactionId,
    key: Key,
) -> Result<Option<(TransactionId, Fact)>> {
    let mut found = Found::default();
    find_reversed(tx, key.clone(), &mut found).await?;
    let effective = found.rollbacks.get(&key).is_some_and(|(id, matched)| *id == rollback && *matched);
    let target = found.keys.get(&key).map(|(id, _)| *id).zip(found.facts.remove(&key));
    Ok(target.filter(|_| effective))
}
