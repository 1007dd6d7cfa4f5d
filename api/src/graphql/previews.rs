//! The dry run of a mapping: what the first records of a file would become.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::ids::SourceId;
use domain::sources::mapping::Mapping;
use domain::sources::{self, Trial};
use domain::transactions::transaction::Draft;
use domain::{Code, Error, Permission, Problem, Scoped};

use super::errors::{Failure, UserError, outcome};
use super::ids::id;
use super::mappings::SourceMapping;
use super::page::short;
use super::scalars::DateTime;
use super::scoped;
use super::sources::under;
use super::transactions::Attribute;

/// One of `sourceId` and `mapping`, and one of `text` and `base64`.
#[derive(InputObject)]
pub struct PreviewMappingInput {
    /// Tries the present mapping of this source.
    source_id: Option<ID>,
    /// Tries a mapping that need not be kept anywhere yet.
    mapping: Option<SourceMapping>,
    /// The beginning of a file, as text, whatever the mapping's encoding.
    text: Option<String>,
    /// The beginning of a file, its bytes in base64.
    base64: Option<String>,
    /// Whether it is the whole file; otherwise a last record that is cut off is left out.
    #[graphql(default)]
    complete: bool,
}

/// What the first records of a file would become. Nothing is recorded.
#[derive(SimpleObject)]
pub struct MappingPreview {
    /// The column names, for CSV.
    pub header: Option<Vec<String>>,
    /// At most 20.
    #[graphql(complexity = "short(child_complexity)")]
    pub records: Vec<PreviewedRecord>,
    /// Why the file cannot be read at all.
    pub problem: Option<UserError>,
}

/// A record, and what it would become.
#[derive(SimpleObject)]
pub struct PreviewedRecord {
    /// 1 is the first record.
    pub number: i64,
    /// The record as it was read.
    pub text: String,
    /// Empty when the mapping ignores the record, or it is wrong.
    #[graphql(complexity = "short(child_complexity)")]
    pub transactions: Vec<PreviewedTransaction>,
    /// What is wrong with it.
    pub error: Option<UserError>,
}

/// What a mapping makes of a record, before it is checked against products and currencies.
#[derive(SimpleObject)]
pub struct PreviewedTransaction {
    /// What `externalId` gave.
    pub external_id: String,
    /// What `kind` gave.
    pub kind: String,
    /// What `amount` gave.
    pub amount: String,
    /// What `currency` gave.
    pub currency: String,
    /// When it happened.
    pub occurred_at: Option<DateTime>,
    /// When it was settled; some contracts count by it.
    pub settled_at: Option<DateTime>,
    /// When its source says it was reported.
    pub reported_at: Option<DateTime>,
    /// What `product` gave.
    pub product: Option<String>,
    /// What `player` gave, before it is made a pseudonym.
    pub player: Option<String>,
    /// The round of the game that it belongs to.
    pub round: Option<String>,
    /// Whether the round ends with it.
    pub round_closed: bool,
    /// Where it was sold or played, such as `WEB`.
    pub channel: Option<String>,
    /// Where the player is, as the source writes it.
    pub region: Option<String>,
    /// The external id of what a rollback undoes.
    pub reverses: Option<String>,
    /// The base that an adjustment moves.
    pub affects: Option<String>,
    /// Why, in words.
    pub note: Option<String>,
    /// Whether it is of a test player: recorded and never settled.
    pub test: bool,
    /// Values beside what Saldo knows, by name.
    #[graphql(complexity = "short(child_complexity)")]
    pub attributes: Vec<Attribute>,
}

impl From<Draft> for PreviewedTransaction {
    fn from(draft: Draft) -> Self {
        let attributes = draft.attributes.into_iter();
        Self {
            external_id: draft.external_id,
            kind: draft.kind,
            amount: draft.amount,
            currency: draft.currency,
            occurred_at: draft.occurred_at.map(DateTime),
            settled_at: draft.settled_at.map(DateTime),
            reported_at: draft.reported_at.map(DateTime),
            product: draft.product,
            player: draft.player,
            round: draft.round,
            round_closed: draft.round_closed,
            channel: draft.channel,
            region: draft.region,
            reverses: draft.reverses,
            affects: draft.affects,
            note: draft.note,
            test: draft.test,
            attributes: attributes.map(|(name, value)| Attribute { name, value }).collect(),
        }
    }
}

impl From<sources::DryRunRecord> for PreviewedRecord {
    fn from(record: sources::DryRunRecord) -> Self {
        let (transactions, error) = match record.outcome {
            Ok(drafts) => (drafts.into_iter().map(PreviewedTransaction::from).collect(), None),
            Err(problem) => (Vec::new(), Some(problem.into())),
        };
        Self { number: i64::try_from(record.number).unwrap_or(i64::MAX), text: record.text, transactions, error }
    }
}

/// What `previewMapping` did.
#[derive(SimpleObject)]
pub struct PreviewMappingPayload {
    /// What came of it.
    pub preview: Option<MappingPreview>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct PreviewsMutation;

#[Object]
impl PreviewsMutation {
    /// A dry run: shows what the first records of a file would become, and changes nothing.
    async fn preview_mapping(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: PreviewMappingInput,
    ) -> Result<PreviewMappingPayload, Failure> {
        let (run, user_errors) = outcome(run(scoped(ctx)?, input).await.map_err(Failure::from))?;
        let preview = run.map(|run| MappingPreview {
            header: run.header,
            records: run.records.into_iter().map(PreviewedRecord::from).collect(),
            problem: run.problem.map(UserError::from),
        });
        Ok(PreviewMappingPayload { preview, user_errors })
    }
}

async fn run(scoped: &Scoped, input: PreviewMappingInput) -> domain::Result<sources::DryRun> {
    scoped.require(Permission::Configure)?;
    let wrong = |path: &str, message: &str| Error::from(Problem::new(Code::BadInput, path, message));
    let mut trial = match (input.source_id, input.mapping) {
        (Some(source), None) => Trial::Source(id(&source, SourceId::parse)),
        (None, Some(mapping)) => Trial::Mapping(Box::new(mapping.core().map_err(|error| under("mapping", error))?)),
        _ => return Err(wrong("mapping", "give either a mapping or the id of a source")),
    };
    let sample = match (input.text, input.base64) {
        (Some(text), None) => {
            trial = Trial::Mapping(Box::new(reading_text(scoped, trial).await?));
            text.into_bytes()
        }
        (None, Some(base64)) => STANDARD.decode(&base64).map_err(|_| wrong("base64", "is no base64"))?,
        _ => return Err(wrong("text", "give the beginning of a file either as text or in base64")),
    };
    scoped.dry_run(trial, sample, input.complete).await
}

/// The mapping for a sample that has been decoded already.
async fn reading_text(scoped: &Scoped, trial: Trial) -> domain::Result<Mapping> {
    let mapping = match trial {
        Trial::Mapping(mapping) => *mapping,
        Trial::Source(id) => {
            let source = scoped.source(id).await?.ok_or(Error::NotFound("source"))?;
            let found = scoped.source_mapping(id, source.mapping_version).await?;
            found.ok_or(Error::NotFound("source"))?.mapping
        }
    };
    Ok(Mapping { encoding: "utf-8".to_owned(), ..mapping })
}
