//! Settlements: what one contract owes for one period and currency.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{CaseId, ContractId, PartnerId, SettlementId};
use domain::money::Minor;
use domain::settlements::{self, Statement, blockers};

use super::anomalies::AnomalyCase;
use super::calendars::DueOf;
use super::case_loaders::HoldsOf;
use super::contracts::Contract;
use super::errors::{Failure, UserError, outcome};
use super::fences::{PlayersSeenOf, RingFencedPlayer};
use super::idempotency::once;
use super::ids::id;
use super::ledger::LedgerEntry;
use super::lines::SettlementLine;
use super::loaders::{self, BlockersOf, EntriesOf, StatementOf};
use super::money::{of_minor, of_units, word};
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::{Date, DateTime, Money};
use super::scoped;
use super::splits::SettlementPart;

/// Where a settlement stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "settlements::State")]
pub enum SettlementState {
    /// Its lines change with what is recorded.
    Open,
    /// Frozen; what comes late is a correction in a later one.
    Closed,
}

/// What one contract owes for one period and currency. An amount is positive where the tenant owes it to the partner.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Settlement {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// An ISO 4217 code or the code of one of the tenant's assets.
    pub currency: String,
    /// This instant included.
    pub period_start: DateTime,
    /// This instant not included.
    pub period_end: DateTime,
    /// When it was closed; null while it is open.
    pub closed_at: Option<DateTime>,
    #[graphql(skip)]
    row: settlements::Settlement,
}

impl From<settlements::Settlement> for Settlement {
    fn from(row: settlements::Settlement) -> Self {
        Self {
            id: row.id.into(),
            currency: row.currency.clone(),
            period_start: row.period_start.into(),
            period_end: row.period_end.into(),
            closed_at: row.closed_at.map(DateTime),
            row,
        }
    }
}

impl Settlement {
    async fn statement(&self, ctx: &Context<'_>) -> Result<Arc<Statement>, Failure> {
        loaders::required(ctx, StatementOf(self.row.id), "settlement").await
    }
}

#[ComplexObject]
impl Settlement {
    /// Whose terms it follows.
    async fn contract(&self, ctx: &Context<'_>) -> Result<Contract, Failure> {
        Ok(loaders::required(ctx, self.row.contract_id, "contract").await?.into())
    }

    /// With whom it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner, Failure> {
        Ok(loaders::required(ctx, self.row.partner_id, "partner").await?.into())
    }

    /// Where it stands.
    async fn state(&self) -> Result<SettlementState, Failure> {
        Ok(word("settlement state", &self.row.state, settlements::State::parse)?.into())
    }

    /// As of now; their amounts add up to the total.
    #[graphql(complexity = "short(child_complexity)")]
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<SettlementLine>, Failure> {
        let statement = self.statement(ctx).await?;
        Ok(statement.lines.iter().map(|line| SettlementLine::new(line.clone(), &statement.asset)).collect())
    }

    /// What is owed for the period; negative where the partner owes it.
    async fn total(&self, ctx: &Context<'_>) -> Result<Money, Failure> {
        let statement = self.statement(ctx).await?;
        Ok(of_minor(&statement.asset, statement.total))
    }

    /// Transactions that this settlement counts.
    async fn transaction_count(&self, ctx: &Context<'_>) -> Result<i64, Failure> {
        Ok(self.statement(ctx).await?.transaction_count)
    }

    /// The negative base that goes on into the next period; null where there is none.
    async fn carried_base(&self, ctx: &Context<'_>) -> Result<Option<Money>, Failure> {
        let statement = self.statement(ctx).await?;
        Ok(settlements::carried_base(&statement).map(|base| of_units(&statement.asset, base)))
    }

    /// What is below the minimum payout and goes on into the next period; null where there is nothing.
    async fn carried_amount(&self, ctx: &Context<'_>) -> Result<Option<Money>, Failure> {
        let statement = self.statement(ctx).await?;
        let amount = statement.carry_out.amount;
        Ok((amount != Minor::ZERO).then(|| of_minor(&statement.asset, amount)))
    }

    /// What the ring-fence made of players, by pseudonym: those against whom something stands, or stood. Empty for a
    /// partner's user who may not see all transactions that the contract counts.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn ring_fence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, RingFencedPlayer>, Failure> {
        let request = page::request(first, after.as_deref())?;
        if loaders::one(ctx, PlayersSeenOf(self.row.contract_id)).await?.is_none() {
            return Ok(Connection::new(false, false));
        }
        RingFencedPlayer::page(&*self.statement(ctx).await?, &request)
    }

    /// When what it owes is due: frozen at the close, before that as far as it can be told. Null where nothing is agreed.
    async fn due_on(&self, ctx: &Context<'_>) -> Result<Option<Date>, Failure> {
        Ok(loaders::one(ctx, DueOf(self.row.id)).await?.map(Date))
    }

    /// Why it cannot close yet, each with what to do; empty when it can, or has.
    #[graphql(complexity = "BLOCKERS_COST + short(child_complexity)")]
    async fn blockers(&self, ctx: &Context<'_>) -> Result<Vec<Blocker>, Failure> {
        let blockers = loaders::one(ctx, BlockersOf(self.row.id)).await?.unwrap_or_default();
        Ok(blockers.iter().map(Blocker::from).collect())
    }

    /// What is set aside of it until a person releases it: the amount of held lines, at most the total.
    async fn held(&self, ctx: &Context<'_>) -> Result<Money, Failure> {
        let holds = loaders::one(ctx, HoldsOf(self.row.id)).await?.unwrap_or_default();
        let statement = self.statement(ctx).await?;
        Ok(of_minor(&statement.asset, settlements::held_of(&statement, &holds)?))
    }

    /// What each party has of the total, where the terms split it; empty where the contract's partner has it all.
    #[graphql(complexity = "short(child_complexity)")]
    async fn parties(&self, ctx: &Context<'_>) -> Result<Vec<SettlementPart>, Failure> {
        let statement = self.statement(ctx).await?;
        if statement.parts.is_empty() {
            return Ok(Vec::new());
        }
        let holds = loaders::one(ctx, HoldsOf(self.row.id)).await?.unwrap_or_default();
        let parts = settlements::PartOf::all(&self.row, &statement, &holds)?;
        Ok(parts.into_iter().map(|part| SettlementPart::new(part, None)).collect())
    }

    /// What sets lines of it aside, the first placed first.
    #[graphql(complexity = "short(child_complexity)")]
    async fn holds(&self, ctx: &Context<'_>) -> Result<Vec<SettlementHold>, Failure> {
        let holds = loaders::one(ctx, HoldsOf(self.row.id)).await?.unwrap_or_default();
        Ok(holds.into_iter().map(SettlementHold::from).collect())
    }

    /// What was posted for it, the latest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, LedgerEntry>, Failure> {
        let key = EntriesOf(self.row.id, page::request(first, after.as_deref())?);
        let page = loaders::one(ctx, key).await?.unwrap_or_default();
        Ok(page::connection(page, |(entry, _)| entry.id.0))
    }
}

/// What sets a line of a settlement aside.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SettlementHold {
    /// The code of the rate table's row whose lines are held.
    pub rate_class: String,
    /// When it was placed.
    pub placed_at: DateTime,
    #[graphql(skip)]
    case: CaseId,
}

impl From<settlements::Hold> for SettlementHold {
    fn from(hold: settlements::Hold) -> Self {
        Self { rate_class: hold.rate_class, placed_at: hold.placed_at.into(), case: hold.case_id }
    }
}

#[ComplexObject]
impl SettlementHold {
    /// The confirmed case that it follows from; null for whoever may not see that case.
    #[graphql(name = "case")]
    async fn anomaly_case(&self, ctx: &Context<'_>) -> Result<Option<AnomalyCase>, Failure> {
        Ok(loaders::one(ctx, self.case).await?.map(AnomalyCase::from))
    }
}

/// It asks every source of the contract.
const BLOCKERS_COST: usize = 20;

/// Why a settlement cannot close yet.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum BlockerCode {
    /// The period goes on.
    PeriodNotEnded,
    /// The contract waits for what comes late.
    LateWindowOpen,
    /// An earlier period of the same contract and currency is open, and may carry into this one.
    EarlierPeriodOpen,
    /// A file is on its way in.
    ImportRunning,
    /// Records wait in quarantine.
    QuarantinedRecords,
    /// A source has delivered nothing for days that it promised.
    MissingDays,
    /// The contract covers transactions that it cannot count.
    UnpricedTransactions,
    /// The detector has not looked at transactions yet.
    UnscoredTransactions,
}

impl From<&blockers::Blocker> for BlockerCode {
    fn from(blocker: &blockers::Blocker) -> Self {
        match blocker {
            blockers::Blocker::PeriodNotEnded { .. } => Self::PeriodNotEnded,
            blockers::Blocker::LateWindowOpen { .. } => Self::LateWindowOpen,
            blockers::Blocker::EarlierPeriodOpen { .. } => Self::EarlierPeriodOpen,
            blockers::Blocker::ImportRunning { .. } => Self::ImportRunning,
            blockers::Blocker::QuarantinedRecords { .. } => Self::QuarantinedRecords,
            blockers::Blocker::MissingDays { .. } => Self::MissingDays,
            blockers::Blocker::UnpricedTransactions { .. } => Self::UnpricedTransactions,
            blockers::Blocker::UnscoredTransactions { .. } => Self::UnscoredTransactions,
        }
    }
}

/// Why a settlement cannot close yet, and what to do about it.
#[derive(SimpleObject)]
pub struct Blocker {
    /// What stands in the way.
    pub code: BlockerCode,
    /// In words, with what it is about.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl From<&blockers::Blocker> for Blocker {
    fn from(blocker: &blockers::Blocker) -> Self {
        Self { code: blocker.into(), message: blocker.message(), remedy: blocker.remedy().to_owned() }
    }
}

/// Settlements for which all of it is so.
#[derive(Default, InputObject)]
pub struct SettlementFilter {
    /// Settlements of this contract.
    contract_id: Option<ID>,
    /// Settlements with this partner.
    partner_id: Option<ID>,
    /// Settlements that stand there.
    state: Option<SettlementState>,
    /// Settlements in this currency.
    currency: Option<String>,
    /// Closed settlements that are due on this day or before.
    due_until: Option<Date>,
}

impl From<SettlementFilter> for settlements::SettlementFilter {
    fn from(filter: SettlementFilter) -> Self {
        Self {
            contract: filter.contract_id.map(|contract| id(&contract, ContractId::parse)),
            partner: filter.partner_id.map(|partner| id(&partner, PartnerId::parse)),
            state: filter.state.map(settlements::State::from),
            currency: filter.currency,
            due_until: filter.due_until.map(|date| date.0),
        }
    }
}

#[derive(Default)]
pub struct SettlementsQuery;

#[Object]
impl SettlementsQuery {
    /// Settlements, the latest opened first; a partner's user sees its own.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn settlements(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<SettlementFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Settlement>, Failure> {
        let filter = filter.unwrap_or_default().into();
        let page = scoped(ctx)?.settlements(&filter, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |settlement| settlement.id.0))
    }
}

/// What `closeSettlement` takes.
#[derive(InputObject)]
pub struct CloseSettlementInput {
    /// The settlement.
    settlement_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `closeSettlement` did.
#[derive(SimpleObject)]
pub struct CloseSettlementPayload {
    /// The settlement as it is now.
    pub settlement: Option<Settlement>,
    /// `BLOCKED` once for each blocker.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SettlementsMutation;

#[Object]
impl SettlementsMutation {
    /// Freezes a settlement's lines, posts it and opens the next period with what is carried. Again changes nothing.
    async fn close_settlement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: CloseSettlementInput,
    ) -> Result<CloseSettlementPayload, Failure> {
        let settlement = id(&input.settlement_id, SettlementId::parse);
        let closed = once(ctx, input.idempotency_key, async |scoped| scoped.close_settlement(settlement).await).await?;
        let (settlement, user_errors) = outcome(closed.map_err(Failure::from))?;
        Ok(CloseSettlementPayload { settlement: settlement.map(Settlement::from), user_errors })
    }
}
