//! Recorded facts, in the order they were recorded, as a replay wants them: nothing but what pricing reads, and a rollback
//! as the fact that it undoes, at the place of whichever of the two came second. So what was read up to some transaction
//! stays true when more is recorded, but for rounds that close.

use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, Value};

use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{SourceId, TransactionId};
use crate::money::Units;
use crate::time::Timestamp;

use super::store;
use super::tables::{Column, Entity, rollback};
use super::transaction::{Affects, Kind, Player};

/// Facts that are read at a time.
const PAGE: u64 = 20_000;

/// One fact that counts, or that a rollback takes out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub source: SourceId,
    pub kind: Kind,
    pub affects: Option<Affects>,
    pub amount: Units,
    pub currency: String,
    pub occurred_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    /// When its round closed, where that was asked for.
    pub closed_at: Option<Timestamp>,
    pub product: Option<String>,
    pub player: Option<Player>,
    pub has_round: bool,
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    pub test: bool,
    /// As JSON, which is the same for the same attributes.
    pub attributes: Option<String>,
    /// Taken out by a rollback, and not put in.
    pub undoes: bool,
}

/// Some thousands of facts.
pub(crate) struct Extracted {
    pub records: Vec<Record>,
    /// How many facts were read. A rollback whose fact has not come is one and gives no record.
    pub facts: u64,
    pub last: TransactionId,
    /// Whether a round closes with one of them, which may count facts from before.
    pub closes_rounds: bool,
}

#[derive(FromQueryResult)]
struct Row {
    id: TransactionId,
    source_id: SourceId,
    kind: String,
    affects: Option<String>,
    amount: Units,
    currency: String,
    occurred_at: Timestamp,
    settled_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    product: Option<String>,
    player: Option<Vec<u8>>,
    has_round: i64,
    round_closed: bool,
    channel: Option<String>,
    region: Option<String>,
    test: bool,
    attributes: Option<String>,
}

/// Every column that pricing reads, and what a join goes by.
const FACT: &str = "f.id, f.source_id, f.kind, f.affects, f.amount, f.currency, f.occurred_at, f.settled_at, f.product, \
    f.player, CAST(CASE WHEN f.round IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_round, f.round_closed, f.channel, \
    f.region, f.test, f.attributes";

/// The facts after `after`; `None` where there are no more. `with_rounds` also tells when their rounds closed.
pub(crate) async fn extracted_in(tx: &TenantTx, after: TransactionId, with_rounds: bool) -> Result<Option<Extracted>> {
    let facts = format!("(SELECT * FROM transactions WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT {PAGE}) f");
    let rows = rows(tx, &facts, "1 = 1", with_rounds, vec![after.into()]).await?;
    let Some(last) = rows.last().map(|row| row.id) else { return Ok(None) };
    let facts = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let has_rollbacks = rows.iter().any(|row| row.kind == Kind::Rollback.as_str());
    let closes_rounds = rows.iter().any(|row| row.round_closed && row.has_round != 0);
    let mut records = Vec::with_capacity(rows.len());
    for row in rows.into_iter().filter(|row| row.kind != Kind::Rollback.as_str()) {
        records.push(row.record(false)?);
    }
    let within = || -> Vec<Value> { vec![after.into(), last.into()] };
    if has_rollbacks {
        for row in rows_undone_before(tx, with_rounds, within()).await? {
            records.push(row.record(true)?);
        }
    }
    if tx.one::<rollback::Entity>(|q| q).await?.is_some() {
        for row in rows_met_by_rollbacks(tx, with_rounds, within()).await? {
            records.push(row.record(true)?);
        }
    }
    Ok(Some(Extracted { records, facts, last, closes_rounds }))
}

/// What the rollbacks of a page undo, where it was there before them. The joins are written as crossed so that SQLite
/// keeps to their order: from the page to single rows by their keys.
async fn rows_undone_before(tx: &TenantTx, with_rounds: bool, within: Vec<Value>) -> Result<Vec<Row>, DbErr> {
    let facts = "(SELECT tenant_id, id, source_id, reverses FROM transactions \
         WHERE tenant_id = ? AND id > ? AND id <= ? AND kind = 'ROLLBACK') r \
         CROSS JOIN rollbacks b CROSS JOIN transaction_keys k CROSS JOIN transactions f";
    let which = "b.tenant_id = r.tenant_id AND b.source_id = r.source_id AND b.reverses = r.reverses \
         AND b.transaction_id = r.id AND b.matched \
         AND k.tenant_id = r.tenant_id AND k.source_id = r.source_id AND k.external_id = b.reverses \
         AND f.tenant_id = r.tenant_id AND f.id = k.transaction_id AND f.id < r.id";
    rows(tx, facts, which, with_rounds, within).await
}

/// The facts of a page that a rollback from before them undoes.
async fn rows_met_by_rollbacks(tx: &TenantTx, with_rounds: bool, within: Vec<Value>) -> Result<Vec<Row>, DbErr> {
    let facts = "(SELECT * FROM transactions WHERE tenant_id = ? AND id > ? AND id <= ? AND kind <> 'ROLLBACK') f \
         CROSS JOIN rollbacks b";
    let which = "b.tenant_id = f.tenant_id AND b.source_id = f.source_id AND b.reverses = f.external_id \
         AND b.matched AND b.transaction_id < f.id";
    rows(tx, facts, which, with_rounds, within).await
}

/// The facts `f` of these tables, in the order of their ids.
async fn rows(
    tx: &TenantTx,
    facts: &str,
    which: &str,
    with_rounds: bool,
    mut parameters: Vec<Value>,
) -> Result<Vec<Row>, DbErr> {
    let (closed_at, rounds) = if with_rounds {
        parameters.push(Player::default().to_vec().into());
        let rounds = "LEFT JOIN rounds c ON c.tenant_id = f.tenant_id AND c.source_id = f.source_id \
             AND c.round = f.round AND c.player = COALESCE(f.player, ?)";
        ("c.closed_at", rounds)
    } else {
        ("CAST(NULL AS BIGINT)", "")
    };
    let sql = format!("SELECT {FACT}, {closed_at} AS closed_at FROM {facts} {rounds} WHERE {which} ORDER BY f.id");
    tx.bulk_query(&sql, parameters).await
}

impl Row {
    fn record(self, undoes: bool) -> Result<Record, Fault> {
        let corrupt = |what: &str| Fault::Corrupt(format!("transaction {}: {what}", self.id));
        let kind = Kind::parse(&self.kind).ok_or_else(|| corrupt("kind"))?;
        let affects =
            self.affects.as_deref().map(|base| Affects::parse(base).ok_or_else(|| corrupt("affects"))).transpose()?;
        let player =
            self.player.as_deref().map(|bytes| Player::try_from(bytes).map_err(|_| corrupt("player"))).transpose()?;
        Ok(Record {
            source: self.source_id,
            kind,
            affects,
            amount: self.amount,
            currency: self.currency,
            occurred_at: self.occurred_at,
            settled_at: self.settled_at,
            closed_at: self.closed_at,
            product: self.product,
            player,
            has_round: self.has_round != 0,
            round_closed: self.round_closed,
            channel: self.channel,
            region: self.region,
            test: self.test,
            attributes: self.attributes,
            undoes,
        })
    }
}

/// How many facts were recorded, whether or not they are still there.
pub(crate) async fn counted_in(tx: &TenantTx) -> Result<u64> {
    Ok(store::count_keys(tx).await?)
}

/// Whether this fact is there: a database that was set back may have lost it.
pub(crate) async fn is_there_in(tx: &TenantTx, id: TransactionId) -> Result<bool> {
    Ok(tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await?.is_some())
}
