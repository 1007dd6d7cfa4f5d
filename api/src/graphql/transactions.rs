//! Transactions: what happened, as sources told it.

use std::collections::BTreeMap;

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ContractId, QuarantineId, SourceId, TransactionId};
use domain::transactions::transaction::{self, Draft, Kind};
use domain::transactions::{self, What};
use domain::{Code, Problem};

use super::contracts::Contract;
use super::errors::{Failure, UserError, outcome};
use super::ids::id;
use super::loaders::{self, UnpricedOf};
use super::money::{self, corrupt, word};
use super::page::{self, Cursor, cost};
use super::scalars::{DateTime, Money, MoneyInput};
use super::scoped;
use super::sources::{self, Source};

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "transaction::Kind")]
pub enum TransactionKind {
    Stake,
    Win,
    /// A stake from bonus money.
    BonusStake,
    /// A win that cannot be withdrawn.
    BonusWin,
    JackpotContribution,
    JackpotWin,
    Sale,
    Refund,
    Fee,
    /// Moves a base, which `affects` names, for the reason in `note`.
    Adjustment,
    /// Undoes the transaction that `reverses` names.
    Rollback,
}

/// The base that an adjustment moves.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "AdjustedBase", remote = "transaction::Affects")]
pub enum Affects {
    Ggr,
    Turnover,
    Sales,
}

/// A fact that a source told, kept as it was told.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Transaction {
    pub id: ID,
    /// The source's own id of it.
    pub external_id: String,
    pub occurred_at: DateTime,
    pub settled_at: Option<DateTime>,
    /// When its source says it was reported.
    pub reported_at: Option<DateTime>,
    pub recorded_at: DateTime,
    /// The code of the product.
    pub product: Option<String>,
    /// The player's pseudonym, in hexadecimal digits.
    pub player: Option<String>,
    pub round: Option<String>,
    /// Whether the round ended with it.
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    /// The external id of what a rollback undoes.
    pub reverses: Option<String>,
    pub note: Option<String>,
    /// Of a test player: recorded and never settled.
    pub test: bool,
    #[graphql(skip)]
    row: transactions::Transaction,
}

impl From<transactions::Transaction> for Transaction {
    fn from(row: transactions::Transaction) -> Self {
        let copy = row.clone();
        Self {
            id: row.id.into(),
            external_id: row.external_id,
            occurred_at: row.occurred_at.into(),
            settled_at: row.settled_at.map(DateTime),
            reported_at: row.reported_at.map(DateTime),
            recorded_at: row.recorded_at.into(),
            product: row.product,
            player: row.player.as_deref().map(super::catalogue::hex),
            round: row.round,
            round_closed: row.round_closed,
            channel: row.channel,
            region: row.region,
            reverses: row.reverses,
            note: row.note,
            test: row.test,
            row: copy,
        }
    }
}

/// A value that the source gave beside what Saldo knows.
#[derive(SimpleObject)]
pub struct Attribute {
    pub name: String,
    pub value: String,
}

/// Why a transaction is not counted.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Unpriced {
    /// Such as `NO_CONTRACT`.
    pub reason: String,
    pub message: String,
    #[graphql(skip)]
    contract: ContractId,
}

#[ComplexObject]
impl Unpriced {
    /// The contract that should have counted it; null when none covers it.
    async fn contract(&self, ctx: &Context<'_>) -> Result<Option<Contract>, Failure> {
        if self.contract == ContractId::NONE {
            return Ok(None);
        }
        Ok(loaders::one(ctx, self.contract).await?.map(Contract::from))
    }
}

#[ComplexObject]
impl Transaction {
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.row.source_id).await
    }

    async fn kind(&self) -> Result<TransactionKind, Failure> {
        Ok(word("transaction kind", &self.row.kind, Kind::parse)?.into())
    }

    /// The base that an adjustment moves.
    async fn affects(&self) -> Result<Option<Affects>, Failure> {
        let affects = self.row.affects.as_deref();
        affects.map(|base| Ok(word("base", base, transaction::Affects::parse)?.into())).transpose()
    }

    async fn amount(&self, ctx: &Context<'_>) -> Result<Money, Failure> {
        Ok(money::of_units(&money::asset(ctx, &self.row.currency).await?, self.row.amount))
    }

    async fn attributes(&self) -> Result<Vec<Attribute>, Failure> {
        let Some(json) = &self.row.attributes else { return Ok(Vec::new()) };
        let attributes: BTreeMap<String, String> =
            serde_json::from_str(json).map_err(|error| corrupt(format!("attributes of {}: {error}", self.row.id)))?;
        Ok(attributes.into_iter().map(|(name, value)| Attribute { name, value }).collect())
    }

    /// Why contracts do not count it; empty when all is well.
    async fn unpriced(&self, ctx: &Context<'_>) -> Result<Vec<Unpriced>, Failure> {
        let reasons = loaders::one(ctx, UnpricedOf(self.row.id)).await?.unwrap_or_default();
        let each = |row: transactions::Unpriced| Unpriced {
            reason: row.reason,
            message: row.message,
            contract: row.contract_id,
        };
        Ok(reasons.into_iter().map(each).collect())
    }

    /// The record as it came, out of its checked block; bytes that are no UTF-8 are shown as ISO 8859-1.
    #[graphql(complexity = "RAW_COST")]
    async fn raw_record(&self, ctx: &Context<'_>) -> Result<String, Failure> {
        Ok(shown(scoped(ctx)?.raw_record(&self.row).await?))
    }
}

/// Reading one raw record unpacks its whole block.
const RAW_COST: usize = 100;

/// Bytes as text that loses none of them.
pub fn shown(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect())
}

#[derive(Default, InputObject)]
pub struct TransactionFilter {
    source_id: Option<ID>,
    kind: Option<TransactionKind>,
    external_id: Option<String>,
    /// A product's code.
    product: Option<String>,
    /// This instant included.
    occurred_from: Option<DateTime>,
    /// This instant not included.
    occurred_before: Option<DateTime>,
    /// Only what some contract should have counted and none did.
    #[graphql(default)]
    unpriced: bool,
}

impl From<TransactionFilter> for transactions::TransactionFilter {
    fn from(filter: TransactionFilter) -> Self {
        Self {
            source: filter.source_id.map(|source| id(&source, SourceId::parse)),
            kind: filter.kind.map(Kind::from),
            external_id: filter.external_id,
            product: filter.product,
            occurred_from: filter.occurred_from.map(|time| time.0),
            occurred_before: filter.occurred_before.map(|time| time.0),
            unpriced: filter.unpriced,
        }
    }
}

#[derive(Default)]
pub struct TransactionsQuery;

#[Object]
impl TransactionsQuery {
    /// What is recorded, the latest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        filter: Option<TransactionFilter>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, Transaction>, Failure> {
        let filter = filter.unwrap_or_default().into();
        let page = scoped(ctx)?.transactions(&filter, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |transaction| transaction.id.0))
    }
}

#[derive(InputObject)]
pub struct AttributeInput {
    name: String,
    value: String,
}

#[derive(InputObject)]
pub struct TransactionInput {
    /// The source's own id of it. The same id with the same content is a replay, with another content a conflict.
    external_id: String,
    kind: TransactionKind,
    amount: MoneyInput,
    occurred_at: DateTime,
    settled_at: Option<DateTime>,
    reported_at: Option<DateTime>,
    /// A product's code.
    product: Option<String>,
    /// As the source names it; only a pseudonym is kept.
    player: Option<String>,
    round: Option<String>,
    /// Whether the round ends with it.
    #[graphql(default)]
    round_closed: bool,
    channel: Option<String>,
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
    #[graphql(default)]
    attributes: Vec<AttributeInput>,
}

impl TransactionInput {
    fn draft(self) -> Result<Draft, Problem> {
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

#[derive(InputObject)]
pub struct RecordTransactionsInput {
    /// The source's id or name.
    source: String,
    /// At most 1000; a file takes any number.
    transactions: Vec<TransactionInput>,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum RecordOutcome {
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
    pub external_id: String,
    pub outcome: RecordOutcome,
    /// Why it is in quarantine or in conflict.
    pub error: Option<UserError>,
    /// The record in quarantine.
    pub quarantined_record_id: Option<ID>,
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
        Self { external_id, outcome, error, quarantined_record_id: None, stands }
    }

    fn quarantined(external_id: String, record: QuarantineId, problem: Problem, path: &str) -> Self {
        Self {
            external_id,
            outcome: RecordOutcome::Quarantined,
            error: Some(named_as_input(problem).under(path).into()),
            quarantined_record_id: Some(record.into()),
            stands: None,
        }
    }
}

/// The core knows amount and currency side by side.
fn named_as_input(mut problem: Problem) -> Problem {
    match problem.path.as_str() {
        "amount" => problem.path = "amount.amount".to_owned(),
        "currency" => problem.path = "amount.currency".to_owned(),
        _ => {}
    }
    problem
}

#[derive(SimpleObject)]
pub struct RecordTransactionsPayload {
    /// One for each transaction, in their order.
    pub results: Vec<RecordTransactionResult>,
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct TransactionsMutation;

#[Object]
impl TransactionsMutation {
    /// Records what happened, durably before the answer. Sending it again changes nothing.
    async fn record_transactions(
        &self,
        ctx: &Context<'_>,
        input: RecordTransactionsInput,
    ) -> Result<RecordTransactionsPayload, Failure> {
        let (results, user_errors) = outcome(record(ctx, input).await)?;
        Ok(RecordTransactionsPayload { results: results.unwrap_or_default(), user_errors })
    }
}

async fn record(ctx: &Context<'_>, input: RecordTransactionsInput) -> Result<Vec<RecordTransactionResult>, Failure> {
    let scoped = scoped(ctx)?;
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
                quarantined_record_id: None,
                stands: None,
            }),
        }
    }
    Ok(results)
}
