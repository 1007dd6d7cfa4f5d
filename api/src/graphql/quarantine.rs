//! What did not go through: records in quarantine, and conflicts with what is recorded.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ImportRunId, MemberId, QuarantineId, SourceId, TransactionId};
use domain::money::Units;
use domain::transactions::transaction::Difference;
use domain::transactions::{self, RecordOutcome as CoreOutcome, quarantine};

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::imports::ImportRun;
use super::loaders;
use super::money::{self, corrupt, word};
use super::page::{self, Cursor, cost};
use super::recording::RecordTransactionResult;
use super::scalars::{DateTime, Decimal};
use super::scoped;
use super::sources::{self, Source};
use super::transactions::{Transaction, shown};

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "quarantine::State")]
pub enum QuarantineState {
    Open,
    /// Corrected, or tried again after its cause was mended, and taken.
    Retried,
    Dismissed,
}

/// A record that could not become transactions, kept until a person corrects or dismisses it.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct QuarantinedRecord {
    pub id: ID,
    /// 1 is the first record of its file or request.
    pub record_number: i64,
    /// The byte of the file at which it begins.
    pub file_offset: Decimal,
    /// The record as it came; bytes that are no UTF-8 are shown as ISO 8859-1.
    pub raw_record: String,
    /// What is wrong with it.
    pub error: UserError,
    pub resolved_at: Option<DateTime>,
    /// The member who corrected or dismissed it.
    pub resolved_by_id: Option<ID>,
    /// Why it was dismissed.
    pub note: Option<String>,
    pub created_at: DateTime,
    #[graphql(skip)]
    state: String,
    #[graphql(skip)]
    header: Option<String>,
    #[graphql(skip)]
    source: SourceId,
    #[graphql(skip)]
    run: Option<ImportRunId>,
}

impl From<transactions::QuarantinedRecord> for QuarantinedRecord {
    fn from(row: transactions::QuarantinedRecord) -> Self {
        let field = row.field.unwrap_or_default();
        let field = field.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self {
            id: row.id.into(),
            record_number: row.record_number,
            file_offset: Decimal(row.file_offset.to_string()),
            raw_record: shown(row.raw),
            error: UserError { code: row.code, field, message: row.message },
            resolved_at: row.resolved_at.map(DateTime),
            resolved_by_id: row.resolved_by.map(|member| MemberId(member).into()),
            note: row.note,
            created_at: row.created_at.into(),
            state: row.state,
            header: row.header,
            source: row.source_id,
            run: row.import_run_id,
        }
    }
}

#[ComplexObject]
impl QuarantinedRecord {
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.source).await
    }

    async fn state(&self) -> Result<QuarantineState, Failure> {
        Ok(word("quarantine state", &self.state, quarantine::State::parse)?.into())
    }

    /// The column names that it was read with, for CSV.
    async fn header(&self) -> Result<Option<Vec<String>>, Failure> {
        let read = |json: &String| serde_json::from_str(json).map_err(|error| corrupt(format!("a header: {error}")));
        self.header.as_ref().map(read).transpose()
    }

    /// The import that brought it; null for a record that came in a request.
    async fn import_run(&self, ctx: &Context<'_>) -> Result<Option<ImportRun>, Failure> {
        ImportRun::of(ctx, self.run).await
    }
}

/// Another content under a known external id.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Conflict {
    pub id: ID,
    pub external_id: String,
    pub created_at: DateTime,
    #[graphql(skip)]
    differences: String,
    #[graphql(skip)]
    source: SourceId,
    #[graphql(skip)]
    stands: TransactionId,
    #[graphql(skip)]
    run: Option<ImportRunId>,
}

impl From<transactions::Conflict> for Conflict {
    fn from(row: transactions::Conflict) -> Self {
        Self {
            id: row.id.into(),
            external_id: row.external_id,
            created_at: row.created_at.into(),
            differences: row.differences,
            source: row.source_id,
            stands: row.transaction_id,
            run: row.import_run_id,
        }
    }
}

/// A field in which what came differs from what is recorded.
#[derive(SimpleObject)]
#[graphql(name = "Difference")]
pub struct FieldDifference {
    pub field: String,
    pub recorded: Option<String>,
    pub received: Option<String>,
}

#[ComplexObject]
impl Conflict {
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.source).await
    }

    /// The transaction that stands.
    async fn transaction(&self, ctx: &Context<'_>) -> Result<Transaction, Failure> {
        Ok(loaders::required(ctx, self.stands, "transaction").await?.into())
    }

    async fn differences(&self, ctx: &Context<'_>) -> Result<Vec<FieldDifference>, Failure> {
        let differences: Vec<Difference> =
            serde_json::from_str(&self.differences).map_err(|error| corrupt(format!("a conflict: {error}")))?;
        let recorded = loaders::required(ctx, self.stands, "transaction").await?.currency;
        let other = differences.iter().find(|difference| difference.field == "currency");
        let received = other.and_then(|difference| difference.received.clone()).unwrap_or_else(|| recorded.clone());
        let mut shown = Vec::with_capacity(differences.len());
        for Difference { field, recorded: ours, received: theirs } in differences {
            shown.push(match field.as_str() {
                "amountUnits" => FieldDifference {
                    field: "amount".to_owned(),
                    recorded: major(ctx, ours, &recorded).await?,
                    received: major(ctx, theirs, &received).await?,
                },
                _ => FieldDifference { field, recorded: ours, received: theirs },
            });
        }
        Ok(shown)
    }

    /// The import that brought it; null for one that came in a request.
    async fn import_run(&self, ctx: &Context<'_>) -> Result<Option<ImportRun>, Failure> {
        ImportRun::of(ctx, self.run).await
    }
}

/// Accounting units, which the core compares, in the major units that clients know.
async fn major(ctx: &Context<'_>, units: Option<String>, currency: &str) -> Result<Option<String>, Failure> {
    let Some(units) = units else { return Ok(None) };
    let units = units.parse().map_err(|_| corrupt(format!("the amount '{units}' of a conflict")))?;
    Ok(Some(money::asset(ctx, currency).await?.format_units(Units(units))))
}

#[derive(Default, InputObject)]
pub struct QuarantineFilter {
    source_id: Option<ID>,
    state: Option<QuarantineState>,
}

#[derive(Default)]
pub struct QuarantineQuery;

#[Object]
impl QuarantineQuery {
    /// Records that could not become transactions, the latest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn quarantine(
        &self,
        ctx: &Context<'_>,
        filter: Option<QuarantineFilter>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, QuarantinedRecord>, Failure> {
        let filter = filter.unwrap_or_default();
        let filter = quarantine::QuarantineFilter {
            source: filter.source_id.map(|source| id(&source, SourceId::parse)),
            state: filter.state.map(quarantine::State::from),
        };
        let page = scoped(ctx)?.quarantine(filter, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |record| record.id.0))
    }

    /// What came with another content under a known external id, the latest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn conflicts(
        &self,
        ctx: &Context<'_>,
        source_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, Conflict>, Failure> {
        let source = source_id.map(|source| id(&source, SourceId::parse));
        let page = scoped(ctx)?.conflicts(source, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |conflict| conflict.id.0))
    }
}

#[derive(InputObject)]
pub struct RetryQuarantinedRecordInput {
    record_id: ID,
    /// What to take in its place: a record of the same format, or a transaction in JSON where it came as one. The
    /// record as it came when absent.
    correction: Option<String>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
pub struct RetryQuarantinedRecordPayload {
    pub record: Option<QuarantinedRecord>,
    /// What the record became; empty when it is ignored or still wrong, and then `userErrors` says why.
    pub results: Vec<RecordTransactionResult>,
    pub user_errors: Vec<UserError>,
}

#[derive(InputObject)]
pub struct DismissQuarantinedRecordInput {
    record_id: ID,
    /// Why, for whoever asks later.
    note: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
pub struct DismissQuarantinedRecordPayload {
    pub record: Option<QuarantinedRecord>,
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct QuarantineMutation;

#[Object]
impl QuarantineMutation {
    /// Tries a record again: as it is, after its cause was mended, or with a correction in its place.
    async fn retry_quarantined_record(
        &self,
        ctx: &Context<'_>,
        input: RetryQuarantinedRecordInput,
    ) -> Result<RetryQuarantinedRecordPayload, Failure> {
        let record = id(&input.record_id, QuarantineId::parse);
        let correction = input.correction;
        let retried =
            once(ctx, input.idempotency_key, async |scoped| scoped.retry_quarantined(record, correction).await).await?;
        let (retried, user_errors) = outcome(retried.map_err(Failure::from))?;
        let mut payload = RetryQuarantinedRecordPayload { record: None, results: Vec::new(), user_errors };
        if let Some(retried) = retried {
            payload.record = Some(retried.record.into());
            match retried.outcome {
                CoreOutcome::Taken(taken) => {
                    let results = taken.into_iter().map(|taken| RecordTransactionResult::taken(taken, "correction"));
                    payload.results = results.collect();
                }
                CoreOutcome::Quarantined { problem, .. } => payload.user_errors.push(problem.into()),
                CoreOutcome::Ignored => {}
            }
        }
        Ok(payload)
    }

    /// Sets a record aside for good.
    async fn dismiss_quarantined_record(
        &self,
        ctx: &Context<'_>,
        input: DismissQuarantinedRecordInput,
    ) -> Result<DismissQuarantinedRecordPayload, Failure> {
        let record = id(&input.record_id, QuarantineId::parse);
        let note = input.note;
        let dismissed =
            once(ctx, input.idempotency_key, async |scoped| scoped.dismiss_quarantined(record, &note).await).await?;
        let (record, user_errors) = outcome(dismissed.map_err(Failure::from))?;
        Ok(DismissQuarantinedRecordPayload { record: record.map(QuarantinedRecord::from), user_errors })
    }
}
