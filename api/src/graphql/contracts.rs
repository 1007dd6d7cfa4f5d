//! Contracts: what is agreed with a partner, in versions. `drafting.rs` writes them.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, Object, SimpleObject};
use domain::ids::{ContractId, MemberId, PartnerId};
use domain::{Problem, contracts};

use super::access::{self, Member};
use super::agreed::Terms;
use super::errors::Failure;
use super::findings::{FindingsOf, RateTableFinding};
use super::funds::ContractFunds;
use super::language::Language;
use super::loaders::{self, FundsOf, VersionsOf};
use super::money::corrupt;
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::DateTime;
use super::scoped;
use super::test_cases::ContractTestCase;
use super::texts::{ContractClauseText, ContractWarning, TextOf, WarningsOf};
use super::version_loaders::{CasesOf, StepsOf};
use super::versions::{ContractDifference, ContractVersionStep};

/// Steps of a version that are shown: people do them, one at a time.
const MOST_STEPS: usize = 200;

/// What is agreed with a partner.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Contract {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// Unique among the partner's contracts.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    key: ContractId,
    #[graphql(skip)]
    partner: PartnerId,
}

impl From<contracts::Contract> for Contract {
    fn from(row: contracts::Contract) -> Self {
        let created_at = row.created_at.into();
        Self { id: row.id.into(), name: row.name, created_at, key: row.id, partner: row.partner_id }
    }
}

#[ComplexObject]
impl Contract {
    /// With whom it is.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner, Failure> {
        Ok(loaders::required(ctx, self.partner, "partner").await?.into())
    }

    /// What was paid beforehand, by currency; empty where nothing was.
    #[graphql(complexity = "short(child_complexity)")]
    async fn funds(&self, ctx: &Context<'_>) -> Result<Vec<ContractFunds>, Failure> {
        let funds = loaders::one(ctx, FundsOf(self.key)).await?.unwrap_or_default();
        Ok(funds.into_iter().map(ContractFunds::from).collect())
    }

    /// In the order they were written, drafts too.
    #[graphql(complexity = "short(child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<ContractVersion>, Failure> {
        let versions = loaders::one(ctx, VersionsOf(self.key)).await?.unwrap_or_default();
        Ok(versions.into_iter().map(ContractVersion::from).collect())
    }

    /// The version in force at an instant; null where none is.
    async fn version_in_force(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The instant by which a transaction belongs to a period.")] at: DateTime,
        #[graphql(desc = "What was known then: later activations do not count. Now when absent.")] known_at: Option<
            DateTime,
        >,
    ) -> Result<Option<ContractVersion>, Failure> {
        let versions = loaders::one(ctx, VersionsOf(self.key)).await?.unwrap_or_default();
        let known_at = known_at.map_or_else(|| scoped(ctx).map(|scoped| scoped.clock().now()), |at| Ok(at.0))?;
        // Activation refuses what would leave a doubt.
        let found = contracts::resolution::in_force(&versions, self.key, at.0, known_at);
        let found = found.map_err(|ambiguous| corrupt(Problem::from(ambiguous).message))?;
        Ok(found.cloned().map(ContractVersion::from))
    }

    /// What its versions have to give, by name; empty for whoever may not see it.
    #[graphql(complexity = "short(child_complexity)")]
    async fn test_cases(&self, ctx: &Context<'_>) -> Result<Vec<ContractTestCase>, Failure> {
        let cases = loaders::one(ctx, CasesOf(self.key)).await?.unwrap_or_default();
        Ok(cases.into_iter().map(ContractTestCase::from).collect())
    }
}

/// Where a version of a contract stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contracts::VersionState")]
pub enum ContractVersionState {
    /// Counts nothing yet and can still change.
    Draft,
    /// A draft that passed the contract's test cases as it is now.
    Tested,
    /// A draft that was approved as it is now.
    Approved,
    /// In force from its date on; only another version changes what counts.
    Active,
    /// Another version has taken over: see `supersededAt`.
    Superseded,
}

/// What holds from a day on.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ContractVersion {
    /// 1 is the first that was written, whatever it counts from.
    pub version: i64,
    /// Where it stands.
    pub state: ContractVersionState,
    /// Counts each save of the draft. Whoever saves or approves it says which one was read.
    pub revision: i64,
    /// The instant that `terms.validFrom` stands for in the contract's zone.
    pub valid_from: DateTime,
    /// What it says.
    pub terms: Terms,
    /// When it was first written.
    pub created_at: DateTime,
    /// When the draft was saved last.
    pub changed_at: DateTime,
    /// When it passed the contract's test cases as it is now; null where it did not.
    pub tested_at: Option<DateTime>,
    /// When it was approved as it is now; null where it was not.
    pub approved_at: Option<DateTime>,
    /// When it was put in force; null for a draft.
    pub activated_at: Option<DateTime>,
    /// The number of the version whose place it takes when it is activated: one that begins when it does.
    pub replaces: Option<i64>,
    /// When another version takes over: when its place was taken, or when the next one begins. Null while none does.
    pub superseded_at: Option<DateTime>,
    /// The number of that version.
    pub superseded_by: Option<i64>,
    #[graphql(skip)]
    activated_by: Option<MemberId>,
    #[graphql(skip)]
    pub(super) contract: ContractId,
}

#[ComplexObject]
impl ContractVersion {
    /// What was done to it, the latest first; at most the last 200 steps, and none for whoever may not see it.
    #[graphql(complexity = "short(child_complexity)")]
    async fn history(&self, ctx: &Context<'_>) -> Result<Vec<ContractVersionStep>, Failure> {
        let steps = loaders::one(ctx, StepsOf(self.contract)).await?.unwrap_or_default();
        let own = steps.into_iter().filter(|step| step.version == self.version).take(MOST_STEPS);
        Ok(own.map(ContractVersionStep::from).collect())
    }

    /// What it says otherwise than another version, by the paths of the fields; at most 1000 differences.
    #[graphql(complexity = "short(child_complexity)")]
    async fn differences(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of the other version; the one that was written before when absent.")]
        since: Option<i64>,
    ) -> Result<Vec<ContractDifference>, Failure> {
        let versions = loaders::one(ctx, VersionsOf(self.contract)).await?.unwrap_or_default();
        let of = |number: i64| versions.iter().find(|version| version.version == number);
        let missing = || Failure::from(domain::Error::NotFound("contract version"));
        let after = of(self.version).ok_or_else(missing)?;
        let before = match since {
            Some(number) => of(number).ok_or_else(missing)?,
            // The first one differs from nothing.
            None => of(self.version - 1).unwrap_or(after),
        };
        let splits = [&before.terms, &after.terms].into_iter().filter_map(|terms| terms.split.as_ref());
        let parties = splits.flat_map(|split| split.parties()).map(|party| party.partner);
        let names = loaders::many(ctx, parties).await?.into_iter().map(|(id, partner)| (id, partner.name)).collect();
        let found = contracts::difference::differences_named(&before.terms, &after.terms, &names);
        Ok(found.into_iter().map(ContractDifference::from).collect())
    }

    /// What is to be said about its rate table: what would be refused if it were saved now, and what somebody should
    /// look at. Errors first.
    #[graphql(complexity = "short(child_complexity)")]
    async fn findings(&self, ctx: &Context<'_>) -> Result<Vec<RateTableFinding>, Failure> {
        let found = loaders::one(ctx, FindingsOf(self.contract, self.version)).await?.unwrap_or_default();
        Ok(found.into_iter().map(RateTableFinding::from).collect())
    }

    /// What it says, in plain words, for both sides to sign.
    #[graphql(complexity = "short(child_complexity)")]
    async fn text(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which language. Both say the same.")] language: Language,
    ) -> Result<Vec<ContractClauseText>, Failure> {
        let key = TextOf(self.contract, self.version, language.into());
        let clauses = loaders::one(ctx, key).await?.unwrap_or_default();
        Ok(clauses.into_iter().map(ContractClauseText::from).collect())
    }

    /// What somebody should know about the money before it is signed: of a kind at most 100, and none for a partner's
    /// user. `findings` has what is to be said about the rate table by itself.
    #[graphql(complexity = "short(child_complexity)")]
    async fn warnings(&self, ctx: &Context<'_>) -> Result<Vec<ContractWarning>, Failure> {
        let found = loaders::one(ctx, WarningsOf(self.contract, self.version)).await?.unwrap_or_default();
        Ok(found.into_iter().map(ContractWarning).collect())
    }

    /// The member who activated it; null for whoever may not see that member.
    async fn activated_by(&self, ctx: &Context<'_>) -> Result<Option<Member>, Failure> {
        access::member(ctx, self.activated_by).await
    }
}

impl From<contracts::ContractVersion> for ContractVersion {
    fn from(version: contracts::ContractVersion) -> Self {
        Self {
            version: version.version,
            state: version.state.into(),
            revision: version.revision,
            valid_from: version.valid_from.into(),
            terms: version.terms.into(),
            created_at: version.created_at.into(),
            changed_at: version.changed_at.unwrap_or(version.created_at).into(),
            tested_at: version.tested_at.map(DateTime),
            approved_at: version.approved_at.map(DateTime),
            activated_at: version.activated_at.map(DateTime),
            replaces: version.replaces,
            superseded_at: version.superseded_at.map(DateTime),
            superseded_by: version.superseded_by,
            activated_by: version.activated_by,
            contract: version.contract,
        }
    }
}

#[derive(Default)]
pub struct ContractsQuery;

#[Object]
impl ContractsQuery {
    /// The tenant's contracts; a partner's user sees its own.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn contracts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Contract>, Failure> {
        let page = scoped(ctx)?.contracts(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |contract| contract.id.0))
    }
}
