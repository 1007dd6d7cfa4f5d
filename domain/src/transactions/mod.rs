//! Transactions: the facts everything else is computed from.
//!
//! [`decide`] decides, [`find`] and [`store`] read and write, [`record`] puts them into one database transaction, [`lanes`]
//! gathers what arrives while the last one commits.

mod batch;
pub(crate) mod conflicts;
mod context;
mod decide;
mod extract;
mod feeds;
mod find;
mod lanes;
pub mod quarantine;
mod raw;
mod record;
mod scan;
mod seen;
mod store;
pub mod submission;
mod tables;
mod tally;
pub mod transaction;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sea_orm::{ColumnTrait, QueryFilter, Select};

use crate::caller::{Permission, Scoped};
use crate::db::TenantTx;
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{BlockId, ContractId, QuarantineId, SourceId, TransactionId};
use crate::page::{Page, PageRequest};
use crate::sources;
use crate::time::Timestamp;

use submission::{Form, Resolves};
use transaction::{Draft, Kind};

pub use conflicts::Model as Conflict;
pub(crate) use context::Context;
pub(crate) use extract::{Record, counted_in, extracted_in, is_there_in};
pub(crate) use feeds::{before_latest_in, facts_after_in, facts_by_ids_in, feeds_of_in, newest_in, set_scores_in};
pub use lanes::Lanes;
pub use quarantine::Model as QuarantinedRecord;
pub(crate) use record::{computed, load_context_in};
pub(crate) use scan::{Scanned, scan_in, scanned_one_in};
pub use seen::Seen;
pub use submission::{Incoming, Outcome, RecordOutcome, Submission, What};
pub use tables::Model as Transaction;
pub use tables::unpriced::Model as Unpriced;
pub(crate) use tally::{check_in, replace_pending_in, tally_in};

/// The most transactions that one request may bring; files may be of any length.
pub const MAX_REQUEST: usize = 1_000;

#[derive(Clone, Debug, Default)]
pub struct TransactionFilter {
    pub source: Option<SourceId>,
    pub kind: Option<Kind>,
    pub external_id: Option<String>,
    pub product: Option<String>,
    pub occurred_from: Option<Timestamp>,
    pub occurred_before: Option<Timestamp>,
    /// Only what some contract should have counted and none did.
    pub unpriced: bool,
}

impl TransactionFilter {
    fn narrow(&self, mut q: Select<tables::Entity>) -> Select<tables::Entity> {
        use tables::Column;
        if let Some(source) = self.source {
            q = q.filter(Column::SourceId.eq(source));
        }
        if let Some(kind) = self.kind {
            q = q.filter(Column::Kind.eq(kind.as_str()));
        }
        if let Some(external_id) = &self.external_id {
            q = q.filter(Column::ExternalId.eq(external_id));
        }
        if let Some(product) = &self.product {
            q = q.filter(Column::Product.eq(product));
        }
        if let Some(from) = self.occurred_from {
            q = q.filter(Column::OccurredAt.gte(from));
        }
        if let Some(before) = self.occurred_before {
            q = q.filter(Column::OccurredAt.lt(before));
        }
        q
    }
}

impl Scoped {
    /// Records what a caller says happened; an outcome for each draft, in order.
    pub async fn record_transactions(&self, source: SourceId, drafts: Vec<Draft>) -> Result<Vec<RecordOutcome>> {
        self.require(Permission::Record(source))?;
        if drafts.len() > MAX_REQUEST {
            let message =
                format!("has {} transactions; a request takes {MAX_REQUEST}, a file any number", drafts.len());
            return Err(Problem::new(Code::BadInput, "transactions", message).into());
        }
        self.known_source(source).await?;
        let mut raw = Vec::new();
        let mut records = Vec::with_capacity(drafts.len());
        for (number, draft) in (1..).zip(drafts) {
            let offset = raw.len();
            serde_json::to_writer(&mut raw, &draft).map_err(|error| Fault::Internal(error.to_string()))?;
            records.push(Incoming { number, offset, length: raw.len() - offset, hash: None, content: Ok(vec![draft]) });
            raw.push(b'\n');
        }
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let (raw, records) = (Arc::new(raw), Arc::new(records));
        let submission = Submission {
            source,
            raw,
            file_offset: 0,
            form: Form::Transaction,
            header: None,
            records,
            piece: None,
            resolves: None,
            once: self.keyed().cloned(),
        };
        self.lanes().submit(self, submission).await
    }

    /// Queues a piece of a file. The right to do so was checked when its run began.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<Vec<RecordOutcome>> {
        self.lanes().submit(self, submission).await
    }

    async fn known_source(&self, source: SourceId) -> Result<()> {
        let place = (self.tenant(), source);
        if self.caller().partner().is_none() && self.lanes().sources.contains_key(&place) {
            return Ok(());
        }
        let tx = self.read().await?;
        if !sources::exists_in(&tx, source).await? {
            return Err(Error::NotFound("source"));
        }
        self.lanes().sources.insert(place, ()).await;
        Ok(())
    }

    pub async fn transactions(&self, filter: &TransactionFilter, page: PageRequest) -> Result<Page<Transaction>> {
        self.require(Permission::Read)?;
        Ok(Page::cut(store::page(&self.read_elsewhere().await?, filter, page).await?, &page))
    }

    /// Also for an API key, which may look at what it recorded.
    pub async fn transactions_by_ids(&self, ids: &[TransactionId]) -> Result<Vec<Transaction>> {
        let mut rows = store::by_ids(&self.read().await?, ids).await?;
        rows.retain(|row| self.caller().may(Permission::Read) || self.caller().may(Permission::Record(row.source_id)));
        Ok(rows)
    }

    /// Why transactions are not counted, by transaction. A partner's user hears of its own contracts only: why another
    /// partner's contract cannot count a transaction tells what is agreed there.
    pub async fn unpriced(&self, ids: &[TransactionId]) -> Result<HashMap<TransactionId, Vec<Unpriced>>> {
        self.require(Permission::Read)?;
        let mut unpriced = store::unpriced_of(&self.read().await?, ids).await?;
        if self.caller().partner().is_some() {
            let named: BTreeSet<ContractId> = unpriced.values().flatten().map(|row| row.contract_id).collect();
            let own = self.contracts_by_ids(&named.into_iter().collect::<Vec<_>>()).await?;
            let own: BTreeSet<ContractId> =
                own.into_iter().map(|contract| contract.id).chain([ContractId::NONE]).collect();
            unpriced.values_mut().for_each(|rows| rows.retain(|row| own.contains(&row.contract_id)));
        }
        Ok(unpriced)
    }

    /// The bytes of the record that a transaction came from, out of its block, whose hash is checked.
    pub async fn raw_record(&self, transaction: &Transaction) -> Result<Vec<u8>> {
        let mut found = self.raw_records(&[transaction.id]).await?;
        Ok(found.remove(&transaction.id).ok_or(Error::NotFound("transaction"))??)
    }

    /// The bytes of the records that transactions came from. Each block is read and unpacked once, a few at a time
    /// because they are long. One that is damaged takes only its own records with it.
    pub async fn raw_records(&self, ids: &[TransactionId]) -> Result<HashMap<TransactionId, Result<Vec<u8>, Fault>>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let mut places: BTreeMap<BlockId, Vec<raw::Place>> = BTreeMap::new();
        let mut records = HashMap::new();
        for row in store::by_ids(&tx, ids).await? {
            // Until its block is found.
            records.insert(row.id, Err(Fault::Corrupt(format!("{} has lost its block", row.id))));
            let place = raw::Place { of: row.id, offset: row.block_offset, length: row.block_length };
            places.entry(row.block_id).or_default().push(place);
        }
        let blocks: Vec<BlockId> = places.keys().copied().collect();
        for blocks in blocks.chunks(raw::AT_A_TIME) {
            for block in store::blocks_by_ids(&tx, blocks).await? {
                let places = places.remove(&block.id).unwrap_or_default();
                let unpacked = tokio::task::spawn_blocking(move || raw::unpack(&block, &places)).await;
                records.extend(unpacked.map_err(|error| Fault::Internal(error.to_string()))?);
            }
        }
        Ok(records)
    }
}

async fn submit_one(
    scoped: &Scoped,
    source: SourceId,
    raw: Vec<u8>,
    form: Form,
    incoming: Incoming,
    resolves: Option<QuarantineId>,
) -> Result<RecordOutcome> {
    let resolves = resolves.map(|record| Resolves { record, by: scoped.caller().member() });
    let records = Arc::new(vec![incoming]);
    let once = scoped.keyed().cloned();
    let raw = Arc::new(raw);
    let submission =
        Submission { source, raw, file_offset: 0, form, header: None, records, piece: None, resolves, once };
    the_only(scoped.lanes().submit(scoped, submission).await?)
}

fn the_only(outcomes: Vec<RecordOutcome>) -> Result<RecordOutcome> {
    outcomes.into_iter().next().ok_or_else(|| Fault::Internal("a record has no outcome".into()).into())
}

/// Of each contract and end of a period, the facts from before it that the contract covers and could not count: what
/// comes later is no reason to keep the period open.
pub(crate) async fn unpriced_counts_in(
    tx: &TenantTx,
    periods: &[(ContractId, Timestamp)],
) -> Result<HashMap<(ContractId, Timestamp), u64>> {
    Ok(store::unpriced_counts(tx, periods).await?)
}

pub(crate) async fn any_in_currency(tx: &TenantTx, currency: &str) -> Result<bool> {
    Ok(store::any_in_currency(tx, currency).await?)
}
