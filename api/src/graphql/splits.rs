//! Who gets which part of what settlements come to: as terms say it, and the parts of settlements.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, ID, InputObject, Object, OneofObject, SimpleObject};
use domain::contracts::contract;
use domain::ids::{ContractId, PartnerId};
use domain::money::Asset;
use domain::page::PageRequest;
use domain::settlements::formula::Step;
use domain::settlements::{self, PartFilter, PartKey, PartOf};
use domain::{Problem, notifications};
use uuid::Uuid;

use super::bases::rate;
use super::errors::Failure;
use super::formulas::FormulaStep;
use super::ids::id;
use super::language::Language;
use super::loaders;
use super::money::{of_minor, word};
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::{DateTime, Decimal, Money};
use super::scoped;
use super::settlements::{Settlement, SettlementState};

/// Who gets which part of the total of a settlement: one of its fields.
#[derive(OneofObject)]
pub enum SplitInput {
    /// Parties side by side: each has its per cent of the total, and together they have 100.
    Parallel(PartiesInput),
    /// A line of agents from the child up to the root: each has so many per cent of the base together with all below it,
    /// more than the one below, and the last as many as every row of the rate table.
    Differential(PartiesInput),
}

/// The parties of a split.
#[derive(InputObject)]
#[graphql(name = "SplitPartiesInput")]
pub struct PartiesInput {
    /// 2 to 50. Of a minor unit that does not divide, the earlier of equal ones has it.
    parties: Vec<PartyInput>,
}

/// One party of a split.
#[derive(InputObject)]
#[graphql(name = "SplitPartyInput")]
pub struct PartyInput {
    /// A partner of the tenant, once in a split. The contract's own may be one of them, or not.
    partner: ID,
    /// With at most eight decimals.
    percent: Decimal,
}

/// Who gets which part of the total of a settlement: one of its fields is set.
#[derive(Default, SimpleObject)]
pub struct Split {
    /// Parties side by side: each has its per cent of the total.
    pub parallel: Option<Parties>,
    /// A line of agents from the child up to the root: each has so many per cent of the base together with all below it.
    pub differential: Option<Parties>,
}

/// The parties of a split.
#[derive(SimpleObject)]
#[graphql(name = "SplitParties")]
pub struct Parties {
    /// In their order.
    #[graphql(complexity = "short(child_complexity)")]
    pub parties: Vec<Party>,
}

/// One party of a split.
#[derive(SimpleObject)]
#[graphql(complex, name = "SplitParty")]
pub struct Party {
    /// Of the total; of the base, together with all below it, along a line of agents.
    pub percent: Decimal,
    #[graphql(skip)]
    partner: PartnerId,
}

#[ComplexObject]
impl Party {
    /// Null for whoever may not see it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>, Failure> {
        Ok(loaders::one(ctx, self.partner).await?.map(Partner::from))
    }
}

impl SplitInput {
    pub fn core(self, problems: &mut Vec<Problem>) -> contract::Split {
        let (parties, path) = match &self {
            Self::Parallel(of) => (&of.parties, "split.parallel.parties"),
            Self::Differential(of) => (&of.parties, "split.differential.parties"),
        };
        let party = |(place, party): (usize, &PartyInput)| contract::Party {
            partner: id(&party.partner, PartnerId::parse),
            percent: rate(&party.percent, format!("{path}.{place}.percent"), problems),
        };
        let parties = contract::Parties { parties: parties.iter().enumerate().map(party).collect() };
        match self {
            Self::Parallel(_) => contract::Split::Parallel(parties),
            Self::Differential(_) => contract::Split::Differential(parties),
        }
    }
}

impl From<contract::Split> for Split {
    fn from(split: contract::Split) -> Self {
        let party =
            |party: &contract::Party| Party { percent: Decimal(party.percent.to_string()), partner: party.partner };
        let parties = Parties { parties: split.parties().iter().map(party).collect() };
        match split {
            contract::Split::Parallel(_) => Self { parallel: Some(parties), ..Self::default() },
            contract::Split::Differential(_) => Self { differential: Some(parties), ..Self::default() },
        }
    }
}

/// What one party has of a settlement; negative where it owes it.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SettlementPart {
    /// This instant included.
    pub period_start: DateTime,
    /// This instant not included.
    pub period_end: DateTime,
    /// As the terms say it.
    pub percent: Decimal,
    /// As of now; frozen when the settlement closes.
    pub amount: Money,
    /// What of it is set aside until a person releases it.
    pub held: Money,
    /// What all parties have together.
    pub total: Money,
    #[graphql(skip)]
    row: settlements::Settlement,
    #[graphql(skip)]
    partner: PartnerId,
    #[graphql(skip)]
    working: Step,
    #[graphql(skip)]
    asset: Asset,
    /// Of the contract, where it is known already.
    #[graphql(skip)]
    name: Option<String>,
}

impl SettlementPart {
    pub fn new(of: PartOf, name: Option<String>) -> Self {
        let asset = &of.asset;
        Self {
            period_start: of.settlement.period_start.into(),
            period_end: of.settlement.period_end.into(),
            percent: Decimal(of.part.percent.to_string()),
            amount: of_minor(asset, of.part.amount),
            held: of_minor(asset, of.held),
            total: of_minor(asset, of.total),
            partner: of.part.partner,
            row: of.settlement,
            working: of.working,
            asset: of.asset,
            name,
        }
    }
}

impl From<(PartOf, String)> for SettlementPart {
    fn from((part, name): (PartOf, String)) -> Self {
        Self::new(part, Some(name))
    }
}

#[ComplexObject]
impl SettlementPart {
    /// Who has it; null for whoever may not see that partner.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>, Failure> {
        Ok(loaders::one(ctx, self.partner).await?.map(Partner::from))
    }

    /// How it comes about: its weight among the others, the exact part, and the unit that may be added.
    async fn working(&self, #[graphql(desc = "English when absent.")] language: Option<Language>) -> FormulaStep {
        let language = language.map(notifications::Language::from).unwrap_or_default();
        FormulaStep::new(&self.working, &self.asset, language)
    }

    /// What the contract is called whose settlement it is.
    async fn contract_name(&self, ctx: &Context<'_>) -> Result<String, Failure> {
        match &self.name {
            Some(name) => Ok(name.clone()),
            None => Ok(loaders::required(ctx, self.row.contract_id, "contract").await?.name),
        }
    }

    /// Where the settlement stands.
    async fn state(&self) -> Result<SettlementState, Failure> {
        Ok(word("settlement state", &self.row.state, settlements::State::parse)?.into())
    }

    /// The whole settlement; null for a user of a partner who only has a part in it.
    async fn settlement(&self, ctx: &Context<'_>) -> Result<Option<Settlement>, Failure> {
        Ok(loaders::one(ctx, self.row.id).await?.map(Settlement::from))
    }
}

impl page::Key for PartKey {
    fn bytes(self) -> Vec<u8> {
        let (settlement, place) = self;
        settlement.as_bytes().iter().copied().chain([place]).collect()
    }

    fn read(mut bytes: Vec<u8>) -> Option<Self> {
        let place = bytes.pop()?;
        Some((<Uuid as page::Key>::read(bytes)?, place))
    }
}

/// Parts for which all of it is so.
#[derive(Default, InputObject)]
pub struct SettlementPartFilter {
    /// Parts that this partner has.
    partner_id: Option<ID>,
    /// Parts of settlements of this contract.
    contract_id: Option<ID>,
    /// Parts of settlements that stand there.
    state: Option<SettlementState>,
    /// Parts in this currency.
    currency: Option<String>,
}

impl From<SettlementPartFilter> for PartFilter {
    fn from(filter: SettlementPartFilter) -> Self {
        Self {
            partner: filter.partner_id.map(|partner| id(&partner, PartnerId::parse)),
            contract: filter.contract_id.map(|contract| id(&contract, ContractId::parse)),
            state: filter.state.map(settlements::State::from),
            currency: filter.currency,
        }
    }
}

#[derive(Default)]
pub struct SplitsQuery;

#[Object]
impl SplitsQuery {
    /// What parties have of settlements that are split, the latest opened settlement first. A partner's user sees what its
    /// own partner has, also of other partners' contracts.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn settlement_parts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which rows; all when absent.")] filter: Option<SettlementPartFilter>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, SettlementPart>, Failure> {
        let filter = filter.unwrap_or_default().into();
        let request: PageRequest<PartKey> = page::request(first, after.as_deref())?;
        let found = scoped(ctx)?.settlement_parts(&filter, request).await?;
        Ok(page::connection(found, |(part, _)| part.key()))
    }
}
