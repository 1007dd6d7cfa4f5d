//! Imports: files on their way in.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ImportRunId, SourceId};
use domain::imports;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders;
use super::money::word;
use super::page::{self, Cursor, cost, short};
use super::scalars::{DateTime, Decimal};
use super::scoped;
use super::sources::{self, Source};

/// Where an import stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "imports::run::State")]
pub enum ImportRunState {
    /// Under way, or cut off and waiting to be resumed.
    Running,
    /// The whole file is in.
    Completed,
    /// The file cannot be read, or its sender gave up. What was recorded before stays.
    Failed,
}

/// One file streaming through its source's mapping. Every record is `emitted`, `ignored` or `quarantined`.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ImportRun {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// What its sender called it.
    pub file_name: String,
    /// The sender's own name for the upload, by which it is resumed.
    pub upload_key: Option<String>,
    /// The version of the source's mapping that it began with.
    pub mapping_version: i64,
    /// Durably taken in, always at a record's end.
    pub bytes: Decimal,
    /// Records read.
    pub records: i64,
    /// Records that became transactions.
    pub emitted: i64,
    /// Records of which the mapping makes nothing.
    pub ignored: i64,
    /// Records that could not become transactions.
    pub quarantined: i64,
    /// Transactions that are new.
    pub recorded: i64,
    /// Transactions that were there already.
    pub replayed: i64,
    /// Transactions with another content than the recorded one.
    pub conflicting: i64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: DateTime,
    /// When it last moved.
    pub updated_at: DateTime,
    #[graphql(skip)]
    state: String,
    #[graphql(skip)]
    source: SourceId,
}

impl From<imports::ImportRun> for ImportRun {
    fn from(run: imports::ImportRun) -> Self {
        Self {
            id: run.id.into(),
            file_name: run.file_name,
            upload_key: run.upload_key,
            mapping_version: run.mapping_version,
            bytes: Decimal(run.bytes.to_string()),
            records: run.records,
            emitted: run.emitted,
            ignored: run.ignored,
            quarantined: run.quarantined,
            recorded: run.recorded,
            replayed: run.replayed,
            conflicting: run.conflicting,
            error: run.error,
            created_at: run.created_at.into(),
            updated_at: run.updated_at.into(),
            state: run.state,
            source: run.source_id,
        }
    }
}

#[ComplexObject]
impl ImportRun {
    /// Through whose mapping it goes.
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.source).await
    }

    /// Where it stands.
    async fn state(&self) -> Result<ImportRunState, Failure> {
        Ok(word("import state", &self.state, imports::run::State::parse)?.into())
    }
}

impl ImportRun {
    /// The run that brought something.
    pub async fn of(ctx: &Context<'_>, id: Option<ImportRunId>) -> Result<Option<Self>, Failure> {
        let Some(id) = id else { return Ok(None) };
        Ok(loaders::one(ctx, id).await?.map(Self::from))
    }
}

/// Imports for which all of it is so.
#[derive(InputObject)]
pub struct ImportRunFilter {
    /// Files of this source.
    source_id: Option<ID>,
}

#[derive(Default)]
pub struct ImportsQuery;

#[Object]
impl ImportsQuery {
    /// Files that came, the latest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn import_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<ImportRunFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, ImportRun>, Failure> {
        let source = filter.and_then(|filter| filter.source_id).map(|source| id(&source, SourceId::parse));
        let page = scoped(ctx)?.import_runs(source, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |run| run.id.0))
    }
}

/// What `abandonImportRun` takes.
#[derive(InputObject)]
pub struct AbandonImportRunInput {
    /// The import.
    import_run_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `abandonImportRun` did.
#[derive(SimpleObject)]
pub struct AbandonImportRunPayload {
    /// The import as it is now.
    pub import_run: Option<ImportRun>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ImportsMutation;

#[Object]
impl ImportsMutation {
    /// Gives an unfinished import up; what it recorded stays.
    async fn abandon_import_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: AbandonImportRunInput,
    ) -> Result<AbandonImportRunPayload, Failure> {
        let run = id(&input.import_run_id, ImportRunId::parse);
        let abandoned = once(ctx, input.idempotency_key, async |scoped| scoped.abandon_import(run).await).await?;
        let (run, user_errors) = outcome(abandoned.map_err(Failure::from))?;
        Ok(AbandonImportRunPayload { import_run: run.map(ImportRun::from), user_errors })
    }
}
