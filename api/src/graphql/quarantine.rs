//! What did not go through: records in quarantine, and conflicts with what is recorded.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ImportRunId, MemberId, QuarantineId, SourceId, TransactionId};
use domain::money::Units;
use domain::transactions::transaction::Difference;
use domain::transactions::{self, RecordOutcome as CoreOutcome, quarantine};

use super::access::{self, Member};
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::imports::ImportRun;
use super::loaders;
use super::money::{self, corrupt, word};
use super::page::{self, Cursor, cost, short};
use super::recording::RecordTransactionResult;
use super::scalars::{DateTime, Decimal};
use super::scoped;
use super::sources::{self, Source};
use super::transactions::{Transaction, shown};

/// Where a record in quarantine stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "quarantine::State")]
pub enum QuarantinedRecordState {
    /// Waits for a person, and keeps its settlements from closing.
    Open,
    /// Corrected, or tried again after its cause was mended, and taken.
    Retried,
    /// Set aside for good.
    Dismissed,
}

/// A record that could not become transactions, kept until a person corrects or dismisses it.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct QuarantinedRecord {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// 1 is the first record of its file or request.
    pub record_number: i64,
    /// The byte of the file at which it begins.
    pub file_offset: Decimal,
    /// The record as it came; bytes that are no UTF-8 are shown as ISO 8859-1.
    pub raw_record: String,
    /// What is wrong with it.
    pub error: UserError,
    /// When it was corrected or dismissed.
    pub resolved_at: Option<DateTime>,
    /// Why it was dismissed.
    pub note: Option<String>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    state: String,
    #[graphql(skip)]
    header: Option<String>,
    #[graphql(skip)]
    resolved_by: Option<MemberId>,
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
            note: row.note,
            created_at: row.created_at.into(),
            state: row.state,
            header: row.header,
            resolved_by: row.resolved_by.map(MemberId),
            source: row.source_id,
            run: row.import_run_id,
        }
    }
}

#[ComplexObject]
impl QuarantinedRecord {
    /// Through which it came.
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.source).await
    }

    /// Where it stands.
    async fn state(&self) -> Result<QuarantinedRecordState, Failure> {
        Ok(word("quarantine state", &self.state, quarantine::State::parse)?.into())
    }

    /// The member who corrected or dismissed it; null for whoever may not see that member.
    async fn resolved_by(&self, ctx: &Context<'_>) -> Result<Option<Member>, Failure> {
        access::member(ctx, self.resolved_by).await
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
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// The source's own id.
    pub external_id: String,
    /// When it was made.
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
    /// The field, named as in `TransactionInput`.
    pub field: String,
    /// What is recorded; null for nothing.
    pub recorded: Option<String>,
    /// What came; null for nothing.
    pub received: Option<String>,
}

#[ComplexObject]
impl Conflict {
    /// Through which it came.
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.source).await
    }

    /// The transaction that stands.
    async fn transaction(&self, ctx: &Context<'_>) -> Result<Transaction, Failure> {
        Ok(loaders::required(ctx, self.stands, "transaction").await?.into())
    }

    /// Field by field.
    #[graphql(complexity = "short(child_complexity)")]
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

/// Records in quarantine for which all of it is so.
#[derive(Default, InputObject)]
pub struct QuarantineFilter {
    /// Records of this source.
    source_id: Option<ID>,
    /// Records that stand there.
    state: Option<QuarantinedRecordState>,
}

/// Conflicts for which all of it is so.
#[derive(InputObject)]
pub struct ConflictFilter {
    /// Conflicts of this source.
    source_id: Option<ID>,
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
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<QuarantineFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
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
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<ConflictFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Conflict>, Failure> {
        let source = filter.and_then(|filter| filter.source_id).map(|source| id(&source, SourceId::parse));
        let page = scoped(ctx)?.conflicts(source, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |conflict| conflict.id.0))
    }
}

/// What `retryQuarantinedRecord` takes.
#[derive(InputObject)]
pub struct RetryQuarantinedRecordInput {
    /// The record in quarantine.
    quarantined_record_id: ID,
    /// What to take in its place: a record of the same format, or a transaction in JSON where it came as one. The
    /// record as it came when absent.
    correction: Option<String>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `retryQuarantinedRecord` did.
#[derive(SimpleObject)]
pub struct RetryQuarantinedRecordPayload {
    /// The record as it is now.
    pub quarantined_record: Option<QuarantinedRecord>,
    /// What the record became; empty when it is ignored or still wrong, and then `userErrors` says why.
    #[graphql(complexity = "short(child_complexity)")]
    pub results: Vec<RecordTransactionResult>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `dismissQuarantinedRecord` takes.
#[derive(InputObject)]
pub struct DismissQuarantinedRecordInput {
    /// The record in quarantine.
    quarantined_record_id: ID,
    /// Why, for whoever asks later.
    note: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `dismissQuarantinedRecord` did.
#[derive(SimpleObject)]
pub struct DismissQuarantinedRecordPayload {
    /// The record as it is now.
    pub quarantined_record: Option<QuarantinedRecord>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
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
        #[graphql(desc = "What it takes.")] input: RetryQuarantinedRecordInput,
    ) -> Result<RetryQuarantinedRecordPayload, Failure> {
        let record = id(&input.quarantined_record_id, QuarantineId::parse);
        let correction = input.correction;
        let retried =
            once(ctx, input.idempotency_key, async |scoped| scoped.retry_quarantined(record, correction).await).await?;
        let (retried, user_errors) = outcome(retried.map_err(Failure::from))?;
        let mut payload = RetryQuarantinedRecordPayload { quarantined_record: None, results: Vec::new(), user_errors };
        if let Some(retried) = retried {
            payload.quarantined_record = Some(retried.record.into());
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
        #[graphql(desc = "What it takes.")] input: DismissQuarantinedRecordInput,
    ) -> Result<DismissQuarantinedRecordPayload, Failure> {
        let record = id(&input.quarantined_record_id, QuarantineId::parse);
        let note = input.note;
        let dismissed =
            once(ctx, input.idempotency_key, async |scoped| scoped.dismiss_quarantined(record, &note).await).await?;
        let (dismissed, user_errors) = outcome(dismissed.map_err(Failure::from))?;
        let quarantined_record = dismissed.map(QuarantinedRecord::from);
        Ok(DismissQuarantinedRecordPayload { quarantined_record, user_errors })
    }
}
