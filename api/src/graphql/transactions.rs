//! Transactions: what happened, as sources told it.

use std::collections::BTreeMap;

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ContractId, SourceId};
use domain::transactions::transaction::{self, Kind};
use domain::{contracts, transactions};

use super::anomalies::score_of;
use super::contracts::Contract;
use super::errors::Failure;
use super::ids::id;
use super::loaders::{self, RawOf, UnpricedOf};
use super::money::{self, corrupt, word};
use super::page::{self, Cursor, cost, short};
use super::scalars::{DateTime, Decimal, Money};
use super::scoped;
use super::sources::{self, Source};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "transaction::Kind")]
pub enum TransactionKind {
    /// A stake.
    Stake,
    /// A win.
    Win,
    /// A stake from bonus money.
    BonusStake,
    /// A win that cannot be withdrawn.
    BonusWin,
    /// What goes into a jackpot.
    JackpotContribution,
    /// What a jackpot pays.
    JackpotWin,
    /// A sale.
    Sale,
    /// Gives a sale back.
    Refund,
    /// A fee.
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
    /// Stakes less wins.
    Ggr,
    /// Stakes.
    Turnover,
    /// Sales less refunds.
    Sales,
}

/// A fact that a source told, kept as it was told.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Transaction {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// The source's own id of it.
    pub external_id: String,
    /// When it happened.
    pub occurred_at: DateTime,
    /// When it was settled; some contracts count by it.
    pub settled_at: Option<DateTime>,
    /// When its source says it was reported.
    pub reported_at: Option<DateTime>,
    /// When Saldo recorded it.
    pub recorded_at: DateTime,
    /// The code of the product.
    pub product: Option<String>,
    /// The player's pseudonym, in hexadecimal digits.
    pub player: Option<String>,
    /// The round of the game that it belongs to.
    pub round: Option<String>,
    /// Whether the round ended with it.
    pub round_closed: bool,
    /// Where it was sold or played, such as `WEB`.
    pub channel: Option<String>,
    /// Where the player is, as the source writes it.
    pub region: Option<String>,
    /// The external id of what a rollback undoes.
    pub reverses: Option<String>,
    /// Why there is an adjustment.
    pub note: Option<String>,
    /// Of a test player: recorded and never settled.
    pub test: bool,
    /// How odd the detector finds it: −ln of how often one like it comes by chance, so that 6.9 is one in a thousand;
    /// null while it has not looked.
    pub score: Option<Decimal>,
    /// What is left for the fields below, once those above have taken theirs.
    #[graphql(skip)]
    row: Box<transactions::Transaction>,
}

impl From<transactions::Transaction> for Transaction {
    fn from(mut row: transactions::Transaction) -> Self {
        Self {
            id: row.id.into(),
            external_id: std::mem::take(&mut row.external_id),
            occurred_at: row.occurred_at.into(),
            settled_at: row.settled_at.map(DateTime),
            reported_at: row.reported_at.map(DateTime),
            recorded_at: row.recorded_at.into(),
            product: row.product.take(),
            player: row.player.take().as_deref().map(super::catalogue::hex),
            round: row.round.take(),
            round_closed: row.round_closed,
            channel: row.channel.take(),
            region: row.region.take(),
            reverses: row.reverses.take(),
            note: row.note.take(),
            test: row.test,
            score: row.score.map(score_of),
            row: Box::new(row),
        }
    }
}

/// A value that the source gave beside what Saldo knows.
#[derive(SimpleObject)]
pub struct Attribute {
    /// What the source calls it.
    pub name: String,
    /// As the source gave it.
    pub value: String,
}

/// Why a transaction is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contracts::UnpricedReason")]
pub enum UnpricedReason {
    /// No contract in force covers it.
    NoContract,
    /// The contract counts by settlement time, and it has none.
    NoSettledTime,
    /// The contract counts by the closing of rounds, and it has no round.
    NoRound,
    /// No row of the rate table takes it, or a condition failed on it.
    ConditionFailed,
    /// An adjustment that does not say which base it moves.
    NoBase,
}

/// Why a transaction is not counted, and by which contract.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Unpriced {
    /// What is in the way.
    pub reason: UnpricedReason,
    /// In words.
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
    /// Which told it.
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.row.source_id).await
    }

    /// What happened.
    async fn kind(&self) -> Result<TransactionKind, Failure> {
        Ok(word("transaction kind", &self.row.kind, Kind::parse)?.into())
    }

    /// The base that an adjustment moves.
    async fn affects(&self) -> Result<Option<Affects>, Failure> {
        let affects = self.row.affects.as_deref();
        affects.map(|base| Ok(word("base", base, transaction::Affects::parse)?.into())).transpose()
    }

    /// How much, never negative but for an adjustment.
    async fn amount(&self, ctx: &Context<'_>) -> Result<Money, Failure> {
        Ok(money::of_units(&money::asset(ctx, &self.row.currency).await?, self.row.amount))
    }

    /// By name.
    #[graphql(complexity = "short(child_complexity)")]
    async fn attributes(&self) -> Result<Vec<Attribute>, Failure> {
        let Some(json) = &self.row.attributes else { return Ok(Vec::new()) };
        let attributes: BTreeMap<String, String> =
            serde_json::from_str(json).map_err(|error| corrupt(format!("attributes of {}: {error}", self.row.id)))?;
        Ok(attributes.into_iter().map(|(name, value)| Attribute { name, value }).collect())
    }

    /// Why contracts do not count it; empty when all is well.
    #[graphql(complexity = "short(child_complexity)")]
    async fn unpriced(&self, ctx: &Context<'_>) -> Result<Vec<Unpriced>, Failure> {
        let reasons = loaders::one(ctx, UnpricedOf(self.row.id)).await?.unwrap_or_default();
        let each = |row: transactions::Unpriced| {
            let reason = word("reason of an unpriced transaction", &row.reason, contracts::UnpricedReason::parse)?;
            Ok(Unpriced { reason: reason.into(), message: row.message, contract: row.contract_id })
        };
        reasons.into_iter().map(each).collect()
    }

    /// The record as it came, out of its checked block; bytes that are no UTF-8 are shown as ISO 8859-1.
    #[graphql(complexity = "RAW_COST")]
    async fn raw_record(&self, ctx: &Context<'_>) -> Result<String, Failure> {
        let raw = loaders::required(ctx, RawOf(self.row.id), "transaction").await?;
        Ok(shown(raw.map_err(Failure::Shared)?))
    }
}

/// Reading one raw record unpacks its whole block.
const RAW_COST: usize = 100;

/// Bytes as text that loses none of them.
pub fn shown(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect())
}

/// Transactions for which all of it is so.
#[derive(Default, InputObject)]
pub struct TransactionFilter {
    /// Of this source.
    source_id: Option<ID>,
    /// Of this kind.
    kind: Option<TransactionKind>,
    /// With this id of the source.
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
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<TransactionFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Transaction>, Failure> {
        let filter = filter.unwrap_or_default().into();
        let page = scoped(ctx)?.transactions(&filter, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |transaction| transaction.id.0))
    }
}
