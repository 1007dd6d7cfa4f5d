//! The ledger: accounts with their balances, and what was posted for a settlement.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject};
use domain::ids::{AccountId, PartnerId, SettlementId};
use domain::ledger::{self, posting};

use super::errors::Failure;
use super::loaders;
use super::money::{self, word};
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::{DateTime, Money};
use super::scoped;
use super::settlements::Settlement;

/// What an account is for.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "LedgerAccountCode", remote = "posting::AccountCode")]
pub enum AccountCode {
    /// The tenant's own result: expense to partners, or income from them.
    SettlementResult,
    /// Earned by a partner in settlements that are still open.
    Accrued,
    /// Owed to a partner by closed settlements.
    Payable,
    /// Owed by a partner.
    Receivable,
    /// Owed to a partner, but below the minimum payout: waits for the next settlement.
    Carried,
    /// Owed to a partner, and set aside until a person releases it.
    Held,
    /// Paid to a partner beforehand, and not recouped yet.
    Advance,
    /// What prepaid credit cost that is not drawn yet.
    Prepaid,
    /// What contracts moved in with: the tenant's own counterpart.
    Opening,
}

/// Why something was posted.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "LedgerEntryReason", remote = "posting::Reason")]
pub enum EntryReason {
    /// Brings what is accrued up to what an open settlement has earned.
    TrueUp,
    /// Makes what is accrued payable, receivable or carried, as the settlement closes.
    Close,
    /// Sets aside what is payable.
    Hold,
    /// Makes what was set aside payable again.
    Release,
    /// Makes an advance, or what credit cost, owed to the partner.
    Fund,
    /// Makes expense of what drawn credit cost.
    Draw,
    /// A contract moved in.
    Opening,
}

/// An account of the tenant or of a partner, in one currency.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct LedgerAccount {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    #[graphql(skip)]
    row: ledger::Account,
}

impl From<ledger::Account> for LedgerAccount {
    fn from(row: ledger::Account) -> Self {
        Self { id: row.id.into(), row }
    }
}

#[ComplexObject]
impl LedgerAccount {
    /// What it is for.
    async fn code(&self) -> Result<AccountCode, Failure> {
        Ok(word("account code", &self.row.code, posting::AccountCode::parse)?.into())
    }

    /// Null for the tenant's own accounts.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>, Failure> {
        if self.row.partner_id == PartnerId::NONE {
            return Ok(None);
        }
        Ok(loaders::one(ctx, self.row.partner_id).await?.map(Partner::from))
    }

    /// An ISO 4217 code or the code of one of the tenant's assets.
    async fn currency(&self) -> &str {
        &self.row.currency
    }

    /// Debits are positive: what we owe has a negative balance.
    async fn balance(&self, ctx: &Context<'_>) -> Result<Money, Failure> {
        Ok(money::of_minor(&money::asset(ctx, &self.row.currency).await?, self.row.balance))
    }
}

/// A posting whose legs sum to zero.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct LedgerEntry {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// When it was posted.
    pub posted_at: DateTime,
    #[graphql(skip)]
    reason: String,
    #[graphql(skip)]
    legs: Vec<ledger::EntryLeg>,
    #[graphql(skip)]
    settlement: SettlementId,
}

impl From<(ledger::Entry, Vec<ledger::EntryLeg>)> for LedgerEntry {
    fn from((entry, legs): (ledger::Entry, Vec<ledger::EntryLeg>)) -> Self {
        let (id, posted_at) = (entry.id.into(), entry.posted_at.into());
        Self { id, posted_at, reason: entry.reason, legs, settlement: entry.settlement_id }
    }
}

#[ComplexObject]
impl LedgerEntry {
    /// Why it was posted.
    async fn reason(&self) -> Result<EntryReason, Failure> {
        Ok(word("reason of an entry", &self.reason, posting::Reason::parse)?.into())
    }

    /// For which it was posted.
    async fn settlement(&self, ctx: &Context<'_>) -> Result<Settlement, Failure> {
        Ok(loaders::required(ctx, self.settlement, "settlement").await?.into())
    }

    /// At least two; they sum to zero.
    #[graphql(complexity = "short(child_complexity)")]
    async fn legs(&self, ctx: &Context<'_>) -> Result<Vec<LedgerLeg>, Failure> {
        let settlement = loaders::required(ctx, self.settlement, "settlement").await?;
        let asset = money::asset(ctx, &settlement.currency).await?;
        let leg =
            |leg: &ledger::EntryLeg| LedgerLeg { amount: money::of_minor(&asset, leg.amount), account: leg.account_id };
        Ok(self.legs.iter().map(leg).collect())
    }
}

/// One side of an entry.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct LedgerLeg {
    /// A debit is positive, a credit negative.
    pub amount: Money,
    #[graphql(skip)]
    account: AccountId,
}

#[ComplexObject]
impl LedgerLeg {
    /// Null for the tenant's own account where a partner's user asks.
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<LedgerAccount>, Failure> {
        Ok(loaders::one(ctx, self.account).await?.map(LedgerAccount::from))
    }
}

/// What reading all books back found.
#[derive(SimpleObject)]
pub struct BooksCheck {
    /// Whether every figure is what its parts add up to.
    pub balanced: bool,
    /// What does not add up.
    pub findings: Vec<String>,
    /// How many settlements were read back.
    pub settlements: u64,
}

/// It reads every transaction of the tenant: one check in a request.
const CHECK_COST: usize = super::MAX_COMPLEXITY / 2 + 1;

#[derive(Default)]
pub struct LedgerQuery;

#[Object]
impl LedgerQuery {
    /// Accounts with their balances, the latest opened first; a partner's user sees its own.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn ledger_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, LedgerAccount>, Failure> {
        let page = scoped(ctx)?.accounts(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |account| account.id.0))
    }

    /// Reads all books back and proves that they balance. It takes as long as reading every transaction does.
    #[graphql(complexity = "CHECK_COST + child_complexity")]
    async fn books_check(&self, ctx: &Context<'_>) -> Result<BooksCheck, Failure> {
        let check = scoped(ctx)?.check_books().await?;
        let settlements = u64::try_from(check.settlements).unwrap_or(u64::MAX);
        Ok(BooksCheck { balanced: check.findings.is_empty(), findings: check.findings, settlements })
    }
}
