//! Records that could not become transactions: kept with their bytes until a person corrects or dismisses them.
//!
//! A broken record is known by the hash of its bytes. Delivered again it is the same quarantined record; once
//! corrected, what the correction gave counts in its place, so that the file it came in can be imported again.

use std::collections::HashMap;

use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, Set};

use crate::caller::{Permission, Scoped, Writer};
use crate::db::{Reach, TenantTx, tenant_owned};
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::idempotency;
use crate::ids::{ImportRunId, MemberId, QuarantineId, SourceId, TenantId};
use crate::page::{Page, PageRequest};
use crate::paged;
use crate::partners::text;
use crate::time::Timestamp;

use super::batch::{Decision, Found, Wanted};
use super::store::{hash_of, length};
use super::submission::{Form, RecordOutcome, Resolves, Submission};
use super::transaction::Draft;
use super::{Incoming, submit_one, the_only};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quarantined_records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: QuarantineId,
    pub source_id: SourceId,
    pub import_run_id: Option<ImportRunId>,
    pub record_number: i64,
    pub file_offset: i64,
    pub form: String,
    pub raw: Vec<u8>,
    pub raw_hash: Vec<u8>,
    pub header: Option<String>,
    pub code: String,
    pub field: Option<String>,
    pub message: String,
    pub state: String,
    /// JSON array of the drafts that were taken in its place.
    pub correction: Option<String>,
    pub resolved_by: Option<Uuid>,
    pub resolved_at: Option<Timestamp>,
    pub note: Option<String>,
    pub created_at: Timestamp,
}

tenant_owned!(Reach::Source(Column::SourceId));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    /// Corrected, or tried again after its cause was mended, and taken.
    Retried,
    Dismissed,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Open, Self::Retried, Self::Dismissed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Retried => "RETRIED",
            Self::Dismissed => "DISMISSED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Bytes of a record that are kept: all of one that a file may have, so that it can be tried again.
const KEPT_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Default)]
pub struct QuarantineFilter {
    pub source: Option<SourceId>,
    pub state: Option<State>,
}

/// What became of a retry.
#[derive(Debug)]
pub struct Retried {
    pub record: Model,
    pub outcome: RecordOutcome,
}

impl Scoped {
    pub async fn quarantine(&self, filter: QuarantineFilter, page: PageRequest) -> Result<Page<Model>> {
        self.require(Permission::Read)?;
        let tx = self.read().await?;
        let rows = tx
            .all::<Entity>(|mut q| {
                if let Some(source) = filter.source {
                    q = q.filter(Column::SourceId.eq(source));
                }
                if let Some(state) = filter.state {
                    q = q.filter(Column::State.eq(state.as_str()));
                }
                paged!(q, Column::Id, page)
            })
            .await?;
        Ok(Page::cut(rows, &page))
    }

    pub async fn quarantined_record(&self, id: QuarantineId) -> Result<Option<Model>> {
        self.require(Permission::Read)?;
        Ok(by_id(&self.read().await?, id).await?)
    }

    /// Also for an API key, which may look at what it sent.
    pub async fn quarantined_records_by_ids(&self, ids: &[QuarantineId]) -> Result<Vec<Model>> {
        let tx = self.read().await?;
        let mut rows = tx.all::<Entity>(|q| q.filter(Column::Id.is_in(ids.iter().copied()))).await?;
        rows.retain(|row| self.caller().may(Permission::Read) || self.caller().may(Permission::Record(row.source_id)));
        Ok(rows)
    }

    /// Tries a record again: as it is, or with a correction in its place (a record of the same format, or the JSON of
    /// a transaction where it came as one). Where it is still wrong it stays in quarantine, and the outcome says why.
    pub async fn retry_quarantined(&self, id: QuarantineId, correction: Option<String>) -> Result<Retried> {
        self.require(Permission::Settle)?;
        let tx = self.read().await?;
        // Both from one view: where the record is resolved already by this very request, that is known as well.
        let known = idempotency::outcome_in(self, &tx).await?;
        let record = by_id(&tx, id).await?.ok_or(Error::NotFound("quarantined record"))?;
        drop(tx);
        let outcome = match known {
            Some(outcomes) => the_only(outcomes)?,
            None => self.try_again(record, correction).await?,
        };
        let record = by_id(&self.read().await?, id).await?.ok_or(Error::NotFound("quarantined record"))?;
        Ok(Retried { record, outcome })
    }

    async fn try_again(&self, record: Model, correction: Option<String>) -> Result<RecordOutcome> {
        open(&record)?;
        if correction.is_none() && crate::secrets::sha256(&record.raw) != record.raw_hash.as_slice() {
            let message = "only the beginning of this record was kept; give what is to be taken in its place";
            return Err(Problem::new(Code::RecordTooLong, "correction", message).into());
        }
        let header: Option<Vec<String>> =
            record.header.as_deref().map(serde_json::from_str).transpose().map_err(corrupt)?;
        let (raw, content) = match (record.form == Form::Transaction.as_str(), &correction) {
            (true, correction) => {
                let raw = correction.as_ref().map_or_else(|| record.raw.clone(), |text| text.clone().into_bytes());
                let draft = serde_json::from_slice::<Draft>(&raw).map_err(|error| {
                    Problem::new(Code::MalformedRecord, "correction", format!("is no transaction in JSON: {error}"))
                });
                (raw, draft.map(|draft| vec![draft]))
            }
            (false, correction) => {
                let mapping = self.current_mapping(record.source_id).await?;
                let raw = match correction {
                    Some(text) => mapping
                        .encode(text.trim_end_matches(['\r', '\n']))
                        .map_err(|problem| problem.under("correction"))?,
                    None => record.raw.clone(),
                };
                let content = mapping.map_one(&raw, header.as_deref());
                (raw, content)
            }
        };
        let form = if record.form == Form::Transaction.as_str() { Form::Transaction } else { Form::Record };
        let number = u64::try_from(record.record_number).unwrap_or_default();
        let incoming = Incoming { number, offset: 0, length: raw.len(), hash: None, content };
        submit_one(self, record.source_id, raw, form, incoming, Some(record.id)).await
    }

    /// Sets a record aside for good. The note says why, for whoever asks later.
    pub async fn dismiss_quarantined(&self, id: QuarantineId, note: &str) -> Result<Model> {
        self.require(Permission::Settle)?;
        let note = text("note", note, 1_000)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let record = by_id(tx, id).await?.ok_or(Error::NotFound("quarantined record"))?;
            open(&record)?;
            let change = ActiveModel {
                note: Set(Some(note)),
                ..resolved(writer.caller().member(), State::Dismissed, writer.clock().now())
            };
            tx.update::<Entity>(|q| q.set(change).filter(Column::Id.eq(id))).await?;
            Ok(())
        })
        .await?;
        // Read afterwards, because an outcome that is kept should not have the record's bytes in it once more.
        by_id(&self.read().await?, id).await?.ok_or(Error::NotFound("quarantined record"))
    }
}

fn open(record: &Model) -> Result<(), Problem> {
    if record.state == State::Open.as_str() {
        return Ok(());
    }
    Err(Problem::new(Code::WrongState, "quarantinedRecordId", format!("the record is {} already", record.state)))
}

fn resolved(by: Option<MemberId>, state: State, now: Timestamp) -> ActiveModel {
    ActiveModel {
        state: Set(state.as_str().to_owned()),
        resolved_by: Set(by.map(|id| id.0)),
        resolved_at: Set(Some(now)),
        ..Default::default()
    }
}

fn corrupt(error: serde_json::Error) -> Fault {
    Fault::Corrupt(format!("quarantined_records: {error}"))
}

async fn by_id(tx: &TenantTx, id: QuarantineId) -> Result<Option<Model>, DbErr> {
    tx.one::<Entity>(|q| q.filter(Column::Id.eq(id))).await
}

async fn by_hashes(tx: &TenantTx, wanted: &Wanted) -> Result<Vec<Model>, DbErr> {
    let mut rows = Vec::new();
    for (source, hashes) in &wanted.broken {
        for chunk in hashes.chunks(1_000) {
            let hashes = chunk.iter().map(|hash| hash.to_vec());
            rows.extend(
                tx.all::<Entity>(|q| q.filter(Column::SourceId.eq(*source)).filter(Column::RawHash.is_in(hashes)))
                    .await?,
            );
        }
    }
    Ok(rows)
}

/// The broken records of a batch that are held already.
pub(super) async fn find_in(tx: &TenantTx, wanted: &Wanted, found: &mut Found) -> Result<()> {
    for row in by_hashes(tx, wanted).await? {
        let state = State::parse(&row.state).ok_or_else(|| Fault::Corrupt(format!("{}: state", row.id)))?;
        found.broken.insert((row.source_id, hash_of(&row.raw_hash)?), (row.id, state));
    }
    Ok(())
}

/// What was taken in the place of broken records that come again.
pub(super) async fn corrections_in(
    tx: &TenantTx,
    wanted: &Wanted,
) -> Result<HashMap<(SourceId, [u8; 32]), Vec<Draft>>> {
    let mut corrections = HashMap::new();
    for row in by_hashes(tx, wanted).await? {
        if let Some(json) = &row.correction {
            let drafts = serde_json::from_str(json).map_err(corrupt)?;
            corrections.insert((row.source_id, hash_of(&row.raw_hash)?), drafts);
        }
    }
    Ok(corrections)
}

pub(super) async fn write_in(
    tx: &TenantTx,
    decision: &Decision,
    submissions: &[Submission],
    now: Timestamp,
) -> Result<(), DbErr> {
    let rows = decision.quarantined.iter().map(|new| {
        let submission = &submissions[new.submission];
        let incoming = &submission.records[new.record];
        let raw = submission.bytes_of(incoming);
        let header = submission.header.as_ref().and_then(|header| serde_json::to_string(&**header).ok());
        Model {
            tenant_id: tx.tenant(),
            id: new.id,
            source_id: submission.source,
            import_run_id: submission.run(),
            record_number: i64::try_from(incoming.number).unwrap_or(i64::MAX),
            file_offset: i64::try_from(submission.file_offset)
                .unwrap_or(i64::MAX)
                .saturating_add(length(incoming.offset)),
            form: submission.form.as_str().to_owned(),
            raw: raw[..raw.len().min(KEPT_BYTES)].to_vec(),
            raw_hash: submission.hash_of(incoming).to_vec(),
            header,
            code: new.problem.code.as_str().to_owned(),
            field: (!new.problem.path.is_empty()).then(|| new.problem.path.clone()),
            message: new.problem.message.clone(),
            state: State::Open.as_str().to_owned(),
            correction: None,
            resolved_by: None,
            resolved_at: None,
            note: None,
            created_at: now,
        }
    });
    let rows: Vec<ActiveModel> = rows.map(ActiveModel::from).collect();
    for chunk in rows.chunks(500) {
        tx.insert_all(chunk.to_vec()).await?;
    }
    Ok(())
}

/// Closes the quarantined record that a submission replaces, if the submission was taken.
pub(super) async fn resolve_in(
    tx: &TenantTx,
    Resolves { record: id, by }: Resolves,
    submission: &Submission,
    outcomes: &[RecordOutcome],
    now: Timestamp,
) -> Result<()> {
    let Some((incoming, outcome)) = submission.records.first().zip(outcomes.first()) else { return Ok(()) };
    let drafts = match (outcome, &incoming.content) {
        (RecordOutcome::Quarantined { problem, .. }, _) => {
            let change = ActiveModel {
                code: Set(problem.code.as_str().to_owned()),
                field: Set((!problem.path.is_empty()).then(|| problem.path.clone())),
                message: Set(problem.message.clone()),
                ..Default::default()
            };
            tx.update::<Entity>(|q| q.set(change).filter(Column::Id.eq(id))).await?;
            return Ok(());
        }
        (_, Ok(drafts)) => drafts,
        (_, Err(_)) => return Ok(()),
    };
    let correction = serde_json::to_string(drafts).map_err(corrupt)?;
    let change = ActiveModel { correction: Set(Some(correction)), ..resolved(by, State::Retried, now) };
    let open = tx
        .update::<Entity>(|q| q.set(change).filter(Column::Id.eq(id)).filter(Column::State.eq(State::Open.as_str())))
        .await?;
    // Two people retried at once: the second one's facts are replays or a conflict, never doubled; tell it so.
    if open == 0 {
        Err(Problem::new(Code::WrongState, "id", "somebody else resolved the record just now").into())
    } else {
        Ok(())
    }
}

/// How many records of each source are waiting for a person.
pub(crate) async fn open_counts_in(tx: &TenantTx) -> Result<HashMap<SourceId, i64>, DbErr> {
    use sea_orm::{FromQueryResult, QuerySelect};
    #[derive(FromQueryResult)]
    struct Count {
        source_id: SourceId,
        records: i64,
    }
    let rows = tx
        .rows::<Entity, Count>(|q| {
            q.select_only()
                .column(Column::SourceId)
                .column_as(Column::Id.count(), "records")
                .filter(Column::State.eq(State::Open.as_str()))
                .group_by(Column::SourceId)
        })
        .await?;
    Ok(rows.into_iter().map(|row| (row.source_id, row.records)).collect())
}
