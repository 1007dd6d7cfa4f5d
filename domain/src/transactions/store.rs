//! The tables that a batch writes, and what is read of them for people: facts, their keys and blocks, rollbacks, rounds,
//! what is unpriced. What a batch reads is in `find`.

use std::collections::{BTreeSet, HashMap};

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Value, sea_query};

use crate::anomalies::Judged;
use crate::db::TenantTx;
use crate::db::bulk::Insert;
use crate::error::{Fault, Result};
use crate::ids::{BlockId, ContractId, TransactionId};
use crate::page::PageRequest;
use crate::paged;
use crate::time::Timestamp;

use super::TransactionFilter;
use super::batch::{Decision, RoundKey, Unpriced};
use super::tables::{Column, Entity, Model, block, rollback, round, unpriced, waiting};
use super::transaction::{Affects, Fact, Player};

const BLOCKS: Insert = Insert {
    table: "ingest_blocks",
    columns: &["id", "source_id", "import_run_id", "file_offset", "raw_length", "sha256", "body", "created_at"],
    on_conflict: "",
};
const TRANSACTIONS: Insert = Insert {
    table: "transactions",
    columns: &[
        "id",
        "source_id",
        "external_id",
        "kind",
        "affects",
        "amount",
        "currency",
        "occurred_at",
        "settled_at",
        "reported_at",
        "recorded_at",
        "product",
        "player",
        "round",
        "round_closed",
        "channel",
        "region",
        "reverses",
        "attributes",
        "note",
        "test",
        "payload_hash",
        "block_id",
        "block_offset",
        "block_length",
        "score",
        "model_id",
    ],
    on_conflict: "",
};
const KEYS: Insert = Insert {
    table: "transaction_keys",
    columns: &["source_id", "external_id", "transaction_id", "payload_hash"],
    on_conflict: "",
};
const ROLLBACKS: Insert =
    Insert { table: "rollbacks", columns: &["source_id", "reverses", "transaction_id", "matched"], on_conflict: "" };
/// A round closes once: a second fact that says so changes nothing.
const ROUNDS: Insert = Insert {
    table: "rounds",
    columns: &["source_id", "round", "player", "closed_at"],
    on_conflict: "ON CONFLICT (tenant_id, source_id, round, player) DO NOTHING",
};
const WAITING: Insert = Insert {
    table: "waiting",
    columns: &["source_id", "round", "player", "contract_id", "transaction_id"],
    on_conflict: "",
};
const UNPRICED: Insert = Insert {
    table: "unpriced",
    columns: &["transaction_id", "contract_id", "source_id", "reason", "message"],
    on_conflict: "",
};

/// Writes the facts of a batch and what hangs on them. Conflicts, quarantine and totals have stores of their own.
pub(super) async fn write(tx: &TenantTx, decision: &Decision, judged: &Judged, now: Timestamp) -> Result<(), DbErr> {
    let (mut rows, mut keys) =
        (Vec::with_capacity(decision.facts.len() * 27), Vec::with_capacity(decision.facts.len() * 4));
    for (number, new) in decision.facts.iter().enumerate() {
        fact_values(new, now, &mut rows);
        let score = judged.scores.get(number).copied().flatten();
        rows.extend([score.into(), score.map(|_| judged.model.0).into()]);
        let fact = &new.fact;
        keys.extend([fact.source.into(), fact.external_id.as_str().into(), new.id.into(), new.hash.to_vec().into()]);
    }
    let rollbacks = decision.rollbacks.iter();
    let rollbacks = rollbacks.flat_map(|((source, reverses), id, matched)| -> [Value; 4] {
        [(*source).into(), reverses.as_str().into(), (*id).into(), (*matched).into()]
    });
    tx.bulk_insert(&BLOCKS, block_values(decision, now)).await?;
    tx.bulk_insert(&TRANSACTIONS, rows).await?;
    tx.bulk_insert(&KEYS, keys).await?;
    tx.bulk_insert(&ROLLBACKS, rollbacks.collect()).await?;
    for (source, reverses) in &decision.matched {
        use rollback::{Column, Entity};
        tx.update::<Entity>(|q| {
            q.col_expr(Column::Matched, true.into())
                .filter(Column::SourceId.eq(*source))
                .filter(Column::Reverses.eq(reverses))
        })
        .await?;
    }
    let rounds = decision.rounds.iter().flat_map(|((source, round, player), closed_at)| -> [Value; 4] {
        [(*source).into(), round.as_str().into(), player.to_vec().into(), (*closed_at).into()]
    });
    tx.bulk_insert(&ROUNDS, rounds.collect()).await?;
    for (source, round, player) in &decision.closed {
        use waiting::{Column, Entity};
        tx.delete::<Entity>(|q| {
            q.filter(Column::SourceId.eq(*source))
                .filter(Column::Round.eq(round))
                .filter(Column::Player.eq(player.to_vec()))
        })
        .await?;
    }
    tx.bulk_insert(&WAITING, waiting_values(&decision.waiting)).await?;
    let undone: Vec<TransactionId> = decision.undone.iter().copied().collect();
    for ids in undone.chunks(1_000) {
        let ids = ids.iter().copied();
        tx.delete::<unpriced::Entity>(|q| q.filter(unpriced::Column::TransactionId.is_in(ids))).await?;
    }
    tx.bulk_insert(&UNPRICED, unpriced_values(&decision.unpriced)).await
}

fn block_values(decision: &Decision, now: Timestamp) -> Vec<Value> {
    let blocks = decision.blocks.iter().flat_map(|block| -> [Value; 8] {
        [
            block.id.into(),
            block.source.into(),
            block.run.map(|run| run.0).into(),
            i64::try_from(block.file_offset).unwrap_or(i64::MAX).into(),
            length(block.length).into(),
            block.sha256.to_vec().into(),
            block.compressed.clone().into(),
            now.into(),
        ]
    });
    blocks.collect()
}

fn fact_values(new: &super::batch::NewFact, now: Timestamp, rows: &mut Vec<Value>) {
    let fact = &new.fact;
    let text = |text: &Option<String>| Value::from(text.as_deref());
    let attributes = (!fact.attributes.is_empty()).then(|| serde_json::to_string(&fact.attributes).unwrap_or_default());
    rows.extend([
        new.id.into(),
        fact.source.into(),
        fact.external_id.as_str().into(),
        fact.kind.as_str().into(),
        fact.affects.map(Affects::as_str).into(),
        fact.amount.into(),
        fact.currency.as_str().into(),
        fact.occurred_at.into(),
        fact.settled_at.map(|time| time.0).into(),
        fact.reported_at.map(|time| time.0).into(),
        now.into(),
        text(&fact.product),
        fact.player.map(|player| player.to_vec()).into(),
        text(&fact.round),
        fact.round_closed.into(),
        text(&fact.channel),
        text(&fact.region),
        text(&fact.reverses),
        attributes.into(),
        text(&fact.note),
        fact.test.into(),
        new.hash.to_vec().into(),
        new.at.block.into(),
        length(new.at.offset).into(),
        length(new.at.length).into(),
    ]);
}

pub(super) fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn hash_of(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::Corrupt("a hash has not 32 bytes".into()))
}

pub async fn by_id(tx: &TenantTx, id: TransactionId) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await
}

pub async fn by_ids(tx: &TenantTx, ids: &[TransactionId]) -> Result<Vec<Model>, DbErr> {
    tx.all::<Entity>(|q| q.filter(Column::Id.is_in(ids.iter().copied()))).await
}

pub async fn page(tx: &TenantTx, filter: &TransactionFilter, page: PageRequest) -> Result<Vec<Model>, DbErr> {
    // The outer query is held to what the caller may see; this one has the tenant so that it is cheap.
    let unpriced = sea_query::Query::select()
        .column(unpriced::Column::TransactionId)
        .from(unpriced::Entity)
        .and_where(unpriced::Column::TenantId.eq(tx.tenant()))
        .to_owned();
    tx.all::<Entity>(|q| {
        let q = filter.narrow(q);
        let q = if filter.unpriced { q.filter(Column::Id.in_subquery(unpriced)) } else { q };
        paged!(q, Column::Id, page)
    })
    .await
}

pub async fn unpriced_of(
    tx: &TenantTx,
    ids: &[TransactionId],
) -> Result<HashMap<TransactionId, Vec<unpriced::Model>>, DbErr> {
    let rows =
        tx.all::<unpriced::Entity>(|q| q.filter(unpriced::Column::TransactionId.is_in(ids.iter().copied()))).await?;
    let mut by_id: HashMap<TransactionId, Vec<unpriced::Model>> = HashMap::new();
    for row in rows {
        by_id.entry(row.transaction_id).or_default().push(row);
    }
    Ok(by_id)
}

/// Of each contract and instant, the facts from before it that the contract covers and could not count.
pub async fn unpriced_counts(
    tx: &TenantTx,
    wanted: &[(ContractId, Timestamp)],
) -> Result<HashMap<(ContractId, Timestamp), u64>, DbErr> {
    #[derive(FromQueryResult)]
    struct Count {
        contract: ContractId,
        before: Timestamp,
        facts: i64,
    }
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT wanted.column1 AS contract, wanted.column2 AS before, \
         (SELECT count(*) FROM unpriced JOIN transactions \
         ON transactions.tenant_id = unpriced.tenant_id AND transactions.id = unpriced.transaction_id \
         WHERE unpriced.tenant_id = ? AND unpriced.contract_id = wanted.column1 \
         AND transactions.occurred_at < wanted.column2) AS facts \
         FROM (VALUES {}) AS wanted",
        vec!["(?, ?)"; wanted.len()].join(", ")
    );
    let parameters =
        wanted.iter().flat_map(|(contract, before)| -> [Value; 2] { [(*contract).into(), (*before).into()] });
    let rows = tx.bulk_query::<Count>(&sql, parameters.collect()).await?;
    Ok(rows.into_iter().map(|row| ((row.contract, row.before), u64::try_from(row.facts).unwrap_or_default())).collect())
}

/// How many facts were recorded, whether or not they are still there.
pub(super) async fn count_keys(tx: &TenantTx) -> Result<u64, DbErr> {
    #[derive(FromQueryResult)]
    struct Count {
        keys: i64,
    }
    let sql = "SELECT count(*) AS keys FROM transaction_keys WHERE tenant_id = ?";
    let rows = tx.bulk_query::<Count>(sql, Vec::new()).await?;
    Ok(rows.first().map_or(0, |row| u64::try_from(row.keys).unwrap_or_default()))
}

/// A fact as it reads back, and the hash that it was recorded with.
pub(super) struct Stored {
    pub id: TransactionId,
    pub fact: Fact,
    pub hash: Vec<u8>,
}

/// Facts in the order they were recorded, from after `after` on, some thousands at a time.
pub(super) async fn facts_after(tx: &TenantTx, after: TransactionId) -> Result<Vec<Stored>> {
    const PAGE: u64 = 10_000;
    let rows = tx.all::<Entity>(|q| q.filter(Column::Id.gt(after)).order_by_asc(Column::Id).limit(PAGE)).await?;
    let stored = rows.into_iter().map(|mut row| {
        let hash = std::mem::take(&mut row.payload_hash);
        Ok(Stored { id: row.id, fact: row.fact()?, hash })
    });
    stored.collect()
}

/// All that is listed as unpriced or waits for a round: the transaction, the contract, and why or which round.
pub(super) async fn pending(tx: &TenantTx) -> Result<BTreeSet<(TransactionId, ContractId, String)>, DbErr> {
    let unpriced = tx.all::<unpriced::Entity>(|q| q).await?.into_iter();
    let waiting = tx.all::<waiting::Entity>(|q| q).await?.into_iter();
    let unpriced = unpriced.map(|row| (row.transaction_id, row.contract_id, row.reason));
    Ok(unpriced.chain(waiting.map(|row| (row.transaction_id, row.contract_id, row.round))).collect())
}

pub(super) async fn all_rounds(tx: &TenantTx) -> Result<HashMap<RoundKey, Timestamp>> {
    let rows = tx.all::<round::Entity>(|q| q).await?;
    let rounds = rows.into_iter().map(|row| {
        let player = Player::try_from(row.player.as_slice()).map_err(|_| Fault::Corrupt("rounds: player".into()))?;
        Ok(((row.source_id, row.round, player), row.closed_at))
    });
    rounds.collect()
}

pub(super) async fn replace_unpriced(tx: &TenantTx, unpriced: &[Unpriced]) -> Result<(), DbErr> {
    tx.delete::<unpriced::Entity>(|q| q).await?;
    tx.bulk_insert(&UNPRICED, unpriced_values(unpriced)).await
}

pub(super) async fn replace_waiting(
    tx: &TenantTx,
    waiting: &[(RoundKey, ContractId, TransactionId)],
) -> Result<(), DbErr> {
    tx.delete::<waiting::Entity>(|q| q).await?;
    tx.bulk_insert(&WAITING, waiting_values(waiting)).await
}

fn unpriced_values(unpriced: &[Unpriced]) -> Vec<Value> {
    let rows = unpriced.iter().flat_map(|row| -> [Value; 5] {
        [
            row.transaction.into(),
            row.contract.into(),
            row.source.into(),
            row.reason.as_str().into(),
            row.message.as_str().into(),
        ]
    });
    rows.collect()
}

fn waiting_values(waiting: &[(RoundKey, ContractId, TransactionId)]) -> Vec<Value> {
    let rows = waiting.iter().flat_map(|((source, round, player), contract, id)| -> [Value; 5] {
        [(*source).into(), round.as_str().into(), player.to_vec().into(), (*contract).into(), (*id).into()]
    });
    rows.collect()
}

pub async fn any_in_currency(tx: &TenantTx, currency: &str) -> Result<bool, DbErr> {
    Ok(tx.one::<Entity>(|q| q.filter(Column::Currency.eq(currency)).limit(1)).await?.is_some())
}

pub async fn blocks_by_ids(tx: &TenantTx, ids: &[BlockId]) -> Result<Vec<block::Model>, DbErr> {
    tx.all::<block::Entity>(|q| q.filter(block::Column::Id.is_in(ids.iter().copied()))).await
}
