//! Explanations: how a line came about, down to its transactions, and what contracts make of a transaction.

use std::sync::Arc;

use async_graphql::connection::{Connection, Edge};
use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject};
use domain::contracts::{self, Says};
use domain::ids::{ContractId, SettlementId, TransactionId};
use domain::notifications;
use domain::settlements::{self as core, Standing};

use super::contracts::{Contract, ContractVersion};
use super::errors::{Failure, or_null};
use super::formulas::FormulaStep;
use super::ids::id;
use super::language::Language;
use super::lines::SettlementLine;
use super::loaders::{self, VersionsOf};
use super::money::of_units;
use super::page::{self, Cursor, cost, short};
use super::scalars::{DateTime, Decimal, Money};
use super::scoped;
use super::settlements::Settlement;
use super::transactions::Transaction;

/// How a line of a settlement came about.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SettlementLineExplanation {
    /// Its place among the lines of the settlement, from 1.
    pub position: i32,
    /// The line itself.
    pub line: SettlementLine,
    /// The clause in the terms of its version, such as `rateTable.rows.0`.
    pub path: Option<String>,
    #[graphql(skip)]
    of: Arc<core::LineExplanation>,
}

impl From<core::LineExplanation> for SettlementLineExplanation {
    fn from(of: core::LineExplanation) -> Self {
        Self {
            position: i32::try_from(of.position).unwrap_or(i32::MAX),
            line: SettlementLine::new(of.line.clone(), &of.asset),
            path: of.path.clone(),
            of: Arc::new(of),
        }
    }
}

#[ComplexObject]
impl SettlementLineExplanation {
    /// Whose line it is.
    async fn settlement(&self) -> Settlement {
        self.of.settlement.clone().into()
    }

    /// The version whose terms made it.
    async fn version(&self, ctx: &Context<'_>) -> Result<Option<ContractVersion>, Failure> {
        let versions = loaders::one(ctx, VersionsOf(self.of.settlement.contract_id)).await?.unwrap_or_default();
        let own = versions.into_iter().find(|version| version.version == self.of.line.version);
        Ok(own.map(ContractVersion::from))
    }

    /// Its formula: the result of the last step is what the line says.
    #[graphql(complexity = "short(child_complexity)")]
    async fn steps(
        &self,
        #[graphql(desc = "Of the words; English when absent.")] language: Option<Language>,
    ) -> Vec<FormulaStep> {
        let language = language.map(notifications::Language::from).unwrap_or_default();
        self.of.steps.iter().map(|step| FormulaStep::new(step, &self.of.asset, language)).collect()
    }

    /// The transactions that it counts, the first recorded first; what they add is its base before deductions and
    /// netting. A page looks at 5,000 records at most, so it may be short, or empty, and have a next one: go on with `nextCursor`.
    #[graphql(complexity = "SCAN_COST + cost(first, child_complexity)")]
    async fn transactions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins, or `nextCursor`.")] after: Option<String>,
    ) -> Result<Connection<Cursor, CountedTransaction, Next>, Failure> {
        let request = page::request(first, after.as_deref())?;
        let (page, next) = scoped(ctx)?.line_transactions(self.of.settlement.id, self.of.position, request).await?;
        let next = Next { next_cursor: next.map(|next| page::cursor_text(next.0)) };
        let mut connection = Connection::with_additional_fields(false, page.has_next, next);
        let edge = |fed: core::FedTransaction| Edge::new(page::cursor(fed.transaction.id.0), fed.into());
        connection.edges.extend(page.items.into_iter().map(edge));
        Ok(connection)
    }
}

/// A page that is looked for among thousands of records.
const SCAN_COST: usize = 500;

/// Where the next page begins.
#[derive(SimpleObject)]
pub struct Next {
    /// What `after` takes for the next page; null where there is none.
    pub next_cursor: Option<String>,
}

/// A transaction that a line counts.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct CountedTransaction {
    /// The fact, with the record that it came from.
    pub transaction: Transaction,
    /// The sum that it is part of, such as `STAKE` or `ADJUSTMENT_GGR`.
    pub sum: String,
    /// The code of the rate table's row.
    pub rate_class: String,
    /// What goes into the sum; negative of a rollback.
    pub amount: Money,
    /// What goes into the count; negative of a rollback.
    pub units: i64,
    /// What it adds to the base before deductions and netting, exactly: money, or units where those are counted.
    pub adds: Decimal,
    /// Whether it was recorded after the settlement that counts it had closed.
    pub late: bool,
    #[graphql(skip)]
    undoes: Option<TransactionId>,
    #[graphql(skip)]
    undone_by: Option<TransactionId>,
}

impl From<core::FedTransaction> for CountedTransaction {
    fn from(fed: core::FedTransaction) -> Self {
        Self {
            transaction: fed.transaction.into(),
            sum: fed.kind.as_str().to_owned(),
            rate_class: fed.rate_class,
            amount: of_units(&fed.asset, fed.amount),
            units: fed.units,
            adds: Decimal(fed.asset.format_share(fed.adds)),
            late: fed.late,
            undoes: fed.undoes,
            undone_by: fed.undone_by,
        }
    }
}

#[ComplexObject]
impl CountedTransaction {
    /// What a rollback takes out again.
    async fn undoes(&self, ctx: &Context<'_>) -> Result<Option<Transaction>, Failure> {
        transaction(ctx, self.undoes).await
    }

    /// The rollback that takes it out again.
    async fn undone_by(&self, ctx: &Context<'_>) -> Result<Option<Transaction>, Failure> {
        transaction(ctx, self.undone_by).await
    }
}

async fn transaction(ctx: &Context<'_>, id: Option<TransactionId>) -> Result<Option<Transaction>, Failure> {
    let Some(id) = id else { return Ok(None) };
    Ok(loaders::one(ctx, id).await?.map(Transaction::from))
}

/// What contracts make of a transaction.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct TransactionExplanation {
    /// The fact, with the record that it came from.
    pub transaction: Transaction,
    /// Recorded only, because it or its player is for tests.
    pub test: bool,
    #[graphql(skip)]
    id: TransactionId,
    #[graphql(skip)]
    standing: Standing,
}

#[ComplexObject]
impl TransactionExplanation {
    /// What a rollback undoes; null while that has not come, or where another rollback undid it.
    async fn undoes(&self, ctx: &Context<'_>) -> Result<Option<Transaction>, Failure> {
        transaction(ctx, self.standing.undoes).await
    }

    /// The rollback that undoes it.
    async fn undone_by(&self, ctx: &Context<'_>) -> Result<Option<Transaction>, Failure> {
        transaction(ctx, self.standing.undone_by).await
    }

    /// What each contract with a version in force makes of it, as of now; a partner's user sees its own contracts.
    #[graphql(complexity = "SCAN_COST + cost(first, child_complexity)")]
    async fn contracts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, ConsideredContract>, Failure> {
        let request = page::request(first, after.as_deref())?;
        let request = domain::page::PageRequest { first: request.first, after: request.after.map(ContractId) };
        let page = scoped(ctx)?.explain_transaction(self.id, request).await?;
        Ok(page::connection(page, |counted| counted.considered.contract.0))
    }
}

/// What a contract makes of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "ContractSays", remote = "contracts::Says")]
pub enum ContractSays {
    /// It counts it.
    Counts,
    /// It does not cover it.
    NotCovered,
    /// It counts by the closing of rounds, and the round is open.
    AwaitsRound,
    /// It covers it and cannot count it.
    Fails,
}

/// What one contract makes of a transaction.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ConsideredContract {
    /// What it makes of it.
    pub says: ContractSays,
    /// The number of the version in force; null where none is.
    pub version: Option<i64>,
    /// When it counts by that version.
    pub counts_at: Option<DateTime>,
    /// What of the terms does not take it, such as `scope.products`, `currency`, or `validFrom` where no version was in
    /// force yet.
    pub path: Option<String>,
    /// Why it cannot be counted.
    pub message: Option<String>,
    /// Rows of the rate table in order: those that take it, and the first fifty that do not.
    #[graphql(complexity = "short(child_complexity)")]
    pub rows: Vec<ConsideredRow>,
    /// How many more rows do not take it.
    pub rows_left_out: i32,
    /// What it adds, once for each rate class.
    #[graphql(complexity = "short(child_complexity)")]
    pub adds: Vec<ConsideredAddition>,
    #[graphql(skip)]
    contract: ContractId,
}

impl From<core::CountedBy> for ConsideredContract {
    fn from(counted: core::CountedBy) -> Self {
        let core::CountedBy { considered, feeds } = counted;
        let says: Says = considered.says;
        Self {
            says: says.into(),
            version: considered.version,
            counts_at: considered.at.map(DateTime),
            path: considered.path,
            message: considered.message,
            rows: considered.rows.into_iter().map(ConsideredRow::from).collect(),
            rows_left_out: i32::try_from(considered.left_out).unwrap_or(i32::MAX),
            adds: feeds.into_iter().map(ConsideredAddition::from).collect(),
            contract: considered.contract,
        }
    }
}

#[ComplexObject]
impl ConsideredContract {
    /// The contract.
    async fn contract(&self, ctx: &Context<'_>) -> Result<Contract, Failure> {
        Ok(loaders::required(ctx, self.contract, "contract").await?.into())
    }
}

/// A row of a rate table that was asked.
#[derive(SimpleObject)]
pub struct ConsideredRow {
    /// Its place in the table, from 0 as in paths of the terms.
    pub row: i32,
    /// Its rate class.
    pub code: String,
    /// Whether it takes the transaction.
    pub holds: bool,
    /// What the column reads whose cell does not hold; null where the condition does not.
    pub column: Option<String>,
    /// What the transaction has in that column; null where it has nothing.
    pub found: Option<String>,
}

impl From<contracts::RowTried> for ConsideredRow {
    fn from(row: contracts::RowTried) -> Self {
        Self {
            row: i32::try_from(row.row).unwrap_or(i32::MAX),
            code: row.code.to_string(),
            holds: row.holds,
            column: row.column,
            found: row.found,
        }
    }
}

/// What a transaction adds to one rate class.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ConsideredAddition {
    /// The code of the rate table's row.
    pub rate_class: String,
    /// The sum that it is part of, such as `STAKE` or `ADJUSTMENT_GGR`.
    pub sum: String,
    /// What goes into the sum; negative of a rollback.
    pub amount: Money,
    /// What goes into the count; negative of a rollback.
    pub units: i64,
    /// What it adds to the base before deductions and netting, exactly: money, or units where those are counted.
    pub adds: Decimal,
    /// The period that it counts in, this instant included.
    pub period_start: DateTime,
    /// This instant not included.
    pub period_end: DateTime,
    /// Whether it was recorded after the settlement had closed, so that a correction counts it.
    pub late: bool,
    #[graphql(skip)]
    settlement: Option<SettlementId>,
}

impl From<core::CountedFeed> for ConsideredAddition {
    fn from(counted: core::CountedFeed) -> Self {
        Self {
            rate_class: counted.feed.class.to_string(),
            sum: counted.feed.kind.as_str().to_owned(),
            amount: of_units(&counted.asset, counted.amount),
            units: counted.units,
            adds: Decimal(counted.asset.format_share(counted.adds)),
            period_start: counted.feed.period.start.into(),
            period_end: counted.feed.period.end.into(),
            late: counted.late,
            settlement: counted.settlement,
        }
    }
}

#[ComplexObject]
impl ConsideredAddition {
    /// The settlement of that period.
    async fn settlement(&self, ctx: &Context<'_>) -> Result<Option<Settlement>, Failure> {
        let Some(id) = self.settlement else { return Ok(None) };
        Ok(loaders::one(ctx, id).await?.map(Settlement::from))
    }
}

#[derive(Default)]
pub struct ExplanationsQuery;

#[Object]
impl ExplanationsQuery {
    /// How a line of a settlement came about; null where there is no such line, or none that you may see. A line whose
    /// steps do not lead to it is an error that says so.
    #[graphql(complexity = "SCAN_COST + child_complexity")]
    async fn settlement_line_explanation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The settlement.")] settlement_id: ID,
        #[graphql(desc = "The line's place among the settlement's `lines`, from 1.")] position: i32,
    ) -> Result<Option<SettlementLineExplanation>, Failure> {
        let settlement = id(&settlement_id, SettlementId::parse);
        let explained = Box::pin(scoped(ctx)?.explain_line(settlement, position.into())).await;
        Ok(or_null(explained)?.map(SettlementLineExplanation::from))
    }

    /// What contracts make of a transaction; null where there is none that you may see.
    async fn transaction_explanation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The transaction.")] transaction_id: ID,
    ) -> Result<Option<TransactionExplanation>, Failure> {
        let id = id(&transaction_id, TransactionId::parse);
        let scoped = scoped(ctx)?;
        let Some(standing) = or_null(scoped.transaction_standing(id).await)? else { return Ok(None) };
        let row = scoped.transactions_by_ids(&[id]).await?.pop();
        Ok(row.map(|row| TransactionExplanation { transaction: row.into(), test: standing.test, id, standing }))
    }
}
