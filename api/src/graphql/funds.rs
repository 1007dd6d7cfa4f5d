//! What is paid beforehand under contracts: advances and prepaid credit; and the balances with which one moves in.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::Error;
use domain::ids::{ContractId, MemberId};
use domain::money::{Minor, Rate};
use domain::settlements::{self, fund};

use super::access::{self, Member};
use super::contracts::Contract;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders;
use super::money::{self, of_minor, of_units, word};
use super::page::{self, Cursor, cost, short};
use super::scalars::{Date, DateTime, Decimal, Money, MoneyInput};
use super::scoped;

/// What is paid beforehand.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "fund::FundKind")]
pub enum FundKind {
    /// Paid to the partner, and recouped from what becomes due.
    Advance,
    /// Credit that was bought; its amount is its face value.
    Credit,
    /// What the supplier says is left of the credit.
    SupplierBalance,
}

/// How a balance of prepaid credit stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "fund::CreditState")]
pub enum CreditState {
    /// There is enough.
    Enough,
    /// It is below the mark that the contract sets.
    Low,
    /// There is none left: what is played now is owed.
    Empty,
}

/// Something that was recorded as paid beforehand.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct FundEntry {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// Whether it moved in with the contract, paid before Saldo was there.
    pub opening: bool,
    /// The day on which it happened.
    pub happened_on: Option<Date>,
    /// What was noted with it.
    pub note: String,
    /// When it was recorded.
    pub recorded_at: DateTime,
    #[graphql(skip)]
    row: settlements::FundEntry,
}

impl From<settlements::FundEntry> for FundEntry {
    fn from(row: settlements::FundEntry) -> Self {
        Self {
            id: row.id.into(),
            opening: row.opening,
            happened_on: row.happened_on.parse().map(Date).ok(),
            note: row.note.clone(),
            recorded_at: row.created_at.into(),
            row,
        }
    }
}

#[ComplexObject]
impl FundEntry {
    /// What it is.
    async fn kind(&self) -> Result<FundKind, Failure> {
        Ok(word("fund kind", &self.row.kind, fund::FundKind::parse)?.into())
    }

    /// What was paid; the face value of credit; what the supplier says is left.
    async fn amount(&self, ctx: &Context<'_>) -> Result<Money, Failure> {
        Ok(of_minor(&money::asset(ctx, &self.row.currency).await?, self.row.amount))
    }

    /// What credit cost; null for anything else.
    async fn cost(&self, ctx: &Context<'_>) -> Result<Option<Money>, Failure> {
        if self.row.kind != fund::FundKind::Credit.as_str() {
            return Ok(None);
        }
        Ok(Some(of_minor(&money::asset(ctx, &self.row.currency).await?, self.row.cost)))
    }

    /// Under which contract.
    async fn contract(&self, ctx: &Context<'_>) -> Result<Contract, Failure> {
        Ok(loaders::required(ctx, self.row.contract_id, "contract").await?.into())
    }

    /// The member who recorded it; null for whoever may not see that member.
    async fn recorded_by(&self, ctx: &Context<'_>) -> Result<Option<Member>, Failure> {
        access::member(ctx, self.row.created_by.filter(|member| *member != MemberId::NONE)).await
    }
}

/// What was paid beforehand under a contract in one currency, as of now.
#[derive(SimpleObject)]
pub struct ContractFunds {
    /// An ISO 4217 code or the code of one of the tenant's assets.
    pub currency: String,
    /// All advances.
    pub advanced: Money,
    /// What was recouped of advances under this contract, open settlements included.
    pub recouped: Money,
    /// All credit that was bought, at its face value.
    pub bought: Money,
    /// What was drawn of it, open settlements included.
    pub drawn: Money,
    /// What is left of it; null where that cannot be computed.
    pub left: Option<Money>,
    /// How it stands; null where the contract has no prepaid credit.
    pub state: Option<CreditState>,
    /// What the supplier said last is left; null where it said nothing.
    pub supplier_balance: Option<Money>,
    /// The day of that.
    pub supplier_balance_on: Option<Date>,
    /// What the supplier says less what Saldo counts; zero where they match.
    pub difference: Option<Money>,
}

impl From<settlements::FundsOf> for ContractFunds {
    fn from(funds: settlements::FundsOf) -> Self {
        let asset = &funds.asset;
        let left = funds.left();
        let supplier = funds.supplier.as_ref();
        let units = |amount: Minor| amount.0.checked_mul(asset.units_per_minor()).map(domain::money::Units);
        let difference = supplier.zip(left).and_then(|((said, _), left)| units(*said)?.checked_sub(left).ok());
        Self {
            currency: asset.code.clone(),
            advanced: of_minor(asset, funds.advanced),
            recouped: of_minor(asset, funds.recouped),
            bought: of_minor(asset, funds.bought),
            drawn: of_units(asset, funds.drawn),
            left: left.map(|left| of_units(asset, left)),
            state: funds.credit.map(CreditState::from),
            supplier_balance: supplier.map(|(said, _)| of_minor(asset, *said)),
            supplier_balance_on: supplier.and_then(|(_, on)| on.parse().map(Date).ok()),
            difference: difference.map(|difference| of_units(asset, difference)),
        }
    }
}

/// Funds for which all of it is so.
#[derive(Default, InputObject)]
pub struct FundEntryFilter {
    /// Funds of this contract.
    contract_id: Option<ID>,
}

#[derive(Default)]
pub struct FundsQuery;

#[Object]
impl FundsQuery {
    /// What was recorded as paid beforehand, the latest first; a partner's user sees its own.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn fund_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<FundEntryFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, FundEntry>, Failure> {
        let contract = filter.and_then(|filter| filter.contract_id).map(|contract| id(&contract, ContractId::parse));
        let entries = scoped(ctx)?.fund_entries(contract, page::request(first, after.as_deref())?).await?;
        Ok(page::connection(entries, |entry| entry.id.0))
    }
}

/// What `recordFund` takes.
#[derive(InputObject)]
pub struct RecordFundInput {
    /// The contract, whose version in force says that there are advances, or prepaid credit.
    contract_id: ID,
    /// What it is.
    kind: FundKind,
    /// What was paid, negative where an advance was paid back; the face value of credit; what the supplier says is left.
    amount: MoneyInput,
    /// Of credit: what it cost, in per cent of its face value.
    percent: Option<Decimal>,
    /// It moved in with the contract, paid before Saldo was there: nothing of it is owed any more.
    #[graphql(default)]
    opening: bool,
    /// The day on which it happened.
    happened_on: Date,
    /// What it is about.
    note: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `recordFund` did.
#[derive(SimpleObject)]
pub struct RecordFundPayload {
    /// What was recorded.
    pub fund_entry: Option<FundEntry>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// An amount of a rate class.
#[derive(InputObject)]
pub struct ClassAmountInput {
    /// The code of a row; absent for all classes together.
    rate_class: Option<String>,
    /// In major units.
    amount: Decimal,
}

/// An amount of a player.
#[derive(InputObject)]
pub struct PlayerAmountInput {
    /// The player, as its source writes it.
    player: String,
    /// In major units.
    amount: Decimal,
}

/// What filled tiers that run over a year.
#[derive(InputObject)]
pub struct YearTiersInput {
    /// The calendar year.
    year: i32,
    /// By rate class, in major units, or units where those are counted.
    counted: Vec<ClassAmountInput>,
}

/// What `setOpeningBalances` takes.
#[derive(InputObject)]
pub struct SetOpeningBalancesInput {
    /// The contract, with no settlement closed yet.
    contract_id: ID,
    /// One of its currencies.
    currency: String,
    /// Losses that are carried in, negative.
    #[graphql(default)]
    carried_base: Vec<ClassAmountInput>,
    /// What stands against players alone under the ring-fence, negative.
    #[graphql(default)]
    players: Vec<PlayerAmountInput>,
    /// Earned before and not paid, because it was below the minimum payout; in major units.
    #[graphql(default_with = "Decimal(\"0\".to_owned())")]
    carried_amount: Decimal,
    /// What filled the tiers of the year so far.
    tiers: Option<YearTiersInput>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `setOpeningBalances` did.
#[derive(SimpleObject)]
pub struct SetOpeningBalancesPayload {
    /// The contract as it is now.
    pub contract: Option<Contract>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct FundsMutation;

#[Object]
impl FundsMutation {
    /// Records an advance, credit that was bought, or what the supplier says is left of it. What was paid is owed to
    /// the partner from then on.
    async fn record_fund(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: RecordFundInput,
    ) -> Result<RecordFundPayload, Failure> {
        let percent =
            input.percent.as_ref().map(|percent| Rate::parse(&percent.0)).transpose().map_err(|error| {
                Error::from(domain::Problem::new(domain::Code::BadAmount, "percent", error.to_string()))
            });
        let recorded = once(ctx, input.idempotency_key, async |scoped| {
            let new = settlements::NewFund {
                contract: id(&input.contract_id, ContractId::parse),
                kind: input.kind.into(),
                amount: input.amount.amount.0,
                currency: input.amount.currency,
                percent: percent?,
                opening: input.opening,
                happened_on: input.happened_on.0,
                note: input.note,
            };
            scoped.record_fund(new).await
        });
        let (entry, user_errors) = outcome(recorded.await?.map_err(Failure::from))?;
        Ok(RecordFundPayload { fund_entry: entry.map(FundEntry::from), user_errors })
    }

    /// Sets what is carried into the first settlement of a contract that moves in; again replaces it, as long as no
    /// settlement is closed. Advances and credit that move in are recorded with `recordFund`.
    async fn set_opening_balances(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetOpeningBalancesInput,
    ) -> Result<SetOpeningBalancesPayload, Failure> {
        let amounts = |list: Vec<ClassAmountInput>| -> Vec<(String, String)> {
            list.into_iter().map(|one| (one.rate_class.unwrap_or_default(), one.amount.0)).collect()
        };
        let set = once(ctx, input.idempotency_key, async |scoped| {
            let new = settlements::OpeningBalances {
                contract: id(&input.contract_id, ContractId::parse),
                currency: input.currency,
                carried_base: amounts(input.carried_base),
                players: input.players.into_iter().map(|one| (one.player, one.amount.0)).collect(),
                carried_amount: input.carried_amount.0,
                year: input.tiers.map(|tiers| (tiers.year, amounts(tiers.counted))),
            };
            scoped.set_opening_balances(new).await
        });
        let (contract, user_errors) = outcome(set.await?.map_err(Failure::from))?;
        let contract = match contract {
            Some(contract) => loaders::one(ctx, contract).await?.map(Contract::from),
            None => None,
        };
        Ok(SetOpeningBalancesPayload { contract, user_errors })
    }
}
