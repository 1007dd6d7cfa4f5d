//! Recording transactions, and what became of each.

use std::collections::BTreeMap;

use async_graphql::{ComplexObject, Context, Enum, InputObject, Object, SimpleObject};
use domain::ids::{QuarantineId, TransactionId};
use domain::transactions::transaction::{self, Draft, Kind};
use domain::transactions::{self, What};
use domain::{Code, Problem, Scoped};

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::loaders;
use super::page::short;
use super::quarantine::QuarantinedRecord;
use super::scalars::{DateTime, MoneyInput};
use super::sources;
use super::transactions::{Affects, Transaction, TransactionKind};

/// A value beside what Saldo knows.
#[derive(InputObject)]
pub struct AttributeInput {
    /// Once in a transaction.
    name: String,
    /// As it should be kept.
    value: String,
}

/// What happened, for `recordTransactions`.
#[derive(InputObject)]
pub struct TransactionInput {
    /// The source's own id of it. The same id with the same content is a replay, with another content a conflict.
    external_id: String,
    /// What happened.
    kind: TransactionKind,
    /// Never negative but for an adjustment.
    amount: MoneyInput,
    /// When it happened.
    occurred_at: DateTime,
    /// When it was settled; some contracts count by it.
    settled_at: Option<DateTime>,
    /// When its source says it was reported.
    reported_at: Option<DateTime>,
    /// A product's code.
    product: Option<String>,
    /// As the source names it; only a pseudonym is kept.
    player: Option<String>,
    /// The round of the game that it belongs to.
    round: Option<String>,
    /// Whether the round ends with it.
    #[graphql(default)]
    round_closed: bool,
    /// Where it was sold or played, such as `WEB`.
    channel: Option<String>,
    /// Where the player is, as the source writes it.
    region: Option<String>,
    /// The external id of what a rollback undoes, which may come later.
    reverses: Option<String>,
    /// The base that an adjustment moves.
    affects: Option<Affects>,
    /// Why there is an adjustment.
    note: Option<String>,
    /// Recorded and never settled.
    #[graphql(default)]
    test: bool,
    /// Values beside what Saldo knows, by name.
    #[graphql(default)]
    attributes: Vec<AttributeInput>,
}

impl TransactionInput {
    pub(super) fn draft(self) -> Result<Draft, Problem> {
        let mut attributes = BTreeMap::new();
        for (position, AttributeInput { name, value }) in self.attributes.into_iter().enumerate() {
            if attributes.contains_key(&name) {
                let message = format!("the attribute '{name}' is there twice");
                return Err(Problem::new(Code::BadInput, format!("attributes.{position}.name"), message));
            }
            attributes.insert(name, value);
        }
        Ok(Draft {
            external_id: self.external_id,
            kind: Kind::from(self.kind).as_str().to_owned(),
            amount: self.amount.amount.0,
            currency: self.amount.currency,
            occurred_at: Some(self.occurred_at.0),
            settled_at: self.settled_at.map(|time| time.0),
            reported_at: self.reported_at.map(|time| time.0),
            product: self.product,
            player: self.player,
            round: self.round,
            round_closed: self.round_closed,
            channel: self.channel,
            region: self.region,
            reverses: self.reverses,
            affects: self.affects.map(|base| transaction::Affects::from(base).as_str().to_owned()),
            note: self.note,
            test: self.test,
            round_excess: false,
            attributes,
        })
    }
}

/// What `recordTransactions` takes.
#[derive(InputObject)]
pub struct RecordTransactionsInput {
    /// The source's id or name.
    source: String,
    /// At most 1000; a file takes any number.
    transactions: Vec<TransactionInput>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What became of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum RecordOutcome {
    /// New, and recorded durably.
    Recorded,
    /// The same transaction again; nothing changed.
    Replayed,
    /// Another content under a known external id: kept apart, the recorded one stands.
    Conflict,
    /// Waits for a person to correct or dismiss it.
    Quarantined,
    /// Staff dismissed the very same record before.
    Dismissed,
}

/// What became of one transaction.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct RecordTransactionResult {
    /// As it was sent.
    pub external_id: String,
    /// What became of it.
    pub outcome: RecordOutcome,
    /// Why it is in quarantine or in conflict.
    pub error: Option<UserError>,
    #[graphql(skip)]
    record: Option<QuarantineId>,
    #[graphql(skip)]
    stands: Option<TransactionId>,
}

#[ComplexObject]
impl RecordTransactionResult {
    /// The transaction that stands under the external id.
    async fn transaction(&self, ctx: &Context<'_>) -> Result<Option<Transaction>, Failure> {
        let Some(id) = self.stands else { return Ok(None) };
        Ok(loaders::one(ctx, id).await?.map(Transaction::from))
    }

    /// The record in quarantine; null where there is none.
    async fn quarantined_record(&self, ctx: &Context<'_>) -> Result<Option<QuarantinedRecord>, Failure> {
        let Some(id) = self.record else { return Ok(None) };
        Ok(loaders::one(ctx, id).await?.map(QuarantinedRecord::from))
    }
}

impl RecordTransactionResult {
    pub fn taken(taken: transactions::Outcome, path: &str) -> Self {
        let conflict = || {
            let message = "another content is recorded under this external id; it stands, and this one is kept apart";
            UserError::from(Problem::new(Code::Conflict, "externalId", message).under(path))
        };
        let (outcome, error) = match taken.what {
            What::Recorded => (RecordOutcome::Recorded, None),
            What::Replayed => (RecordOutcome::Replayed, None),
            What::Conflict => (RecordOutcome::Conflict, Some(conflict())),
        };
        let (external_id, stands) = (taken.external_id, Some(taken.transaction));
        Self { external_id, outcome, error, record: None, stands }
    }

    fn quarantined(external_id: String, record: QuarantineId, problem: Problem, path: &str) -> Self {
        Self {
            external_id,
            outcome: RecordOutcome::Quarantined,
            error: Some(named_as_input(problem).under(path).into()),
            record: Some(record),
            stands: None,
        }
    }
}

/// The core knows amount and currency side by side.
pub(super) fn named_as_input(mut problem: Problem) -> Problem {
    match problem.path.as_str() {
        "amount" => problem.path = "amount.amount".to_owned(),
        "currency" => problem.path = "amount.currency".to_owned(),
        _ => {}
    }
    problem
}

/// What `recordTransactions` did.
#[derive(SimpleObject)]
pub struct RecordTransactionsPayload {
    /// One for each transaction, in their order.
    #[graphql(complexity = "short(child_complexity)")]
    pub results: Vec<RecordTransactionResult>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct RecordingMutation;

#[Object]
impl RecordingMutation {
    /// Records what happened, durably before the answer. Sending it again changes nothing.
    async fn record_transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] mut input: RecordTransactionsInput,
    ) -> Result<RecordTransactionsPayload, Failure> {
        let key = input.idempotency_key.take();
        let recorded = once(ctx, key, async |scoped| record(&scoped, input).await).await?;
        let (results, user_errors) = outcome(recorded.map_err(Failure::from))?;
        Ok(RecordTransactionsPayload { results: results.unwrap_or_default(), user_errors })
    }
}

async fn record(scoped: &Scoped, input: RecordTransactionsInput) -> domain::Result<Vec<RecordTransactionResult>> {
    let source = sources::named(scoped, &input.source).await?;
    let external_ids: Vec<String> = input.transactions.iter().map(|input| input.external_id.clone()).collect();
    let drafts = input.transactions.into_iter().enumerate();
    let drafts = drafts.map(|(n, input)| input.draft().map_err(|problem| problem.under(&format!("transactions.{n}"))));
    let outcomes = scoped.record_transactions(source, drafts.collect::<Result<_, _>>()?).await?;
    let mut results = Vec::with_capacity(outcomes.len());
    for ((n, outcome), external_id) in outcomes.into_iter().enumerate().zip(external_ids) {
        let path = format!("transactions.{n}");
        match outcome {
            transactions::RecordOutcome::Taken(taken) => {
                results.extend(taken.into_iter().map(|taken| RecordTransactionResult::taken(taken, &path)));
            }
            transactions::RecordOutcome::Quarantined { id, problem } => {
                results.push(RecordTransactionResult::quarantined(external_id, id, problem, &path));
            }
            transactions::RecordOutcome::Ignored => results.push(RecordTransactionResult {
                external_id,
                outcome: RecordOutcome::Dismissed,
                error: None,
                record: None,
                stands: None,
            }),
        }
    }
    Ok(results)
}
