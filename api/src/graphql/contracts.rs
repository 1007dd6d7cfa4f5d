//! Contracts: what is agreed with a partner, in versions.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ContractId, MemberId, PartnerId};
use domain::{Scoped, contracts};

use super::access::{self, Member};
use super::agreed::Terms;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders::{self, VersionsOf};
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::DateTime;
use super::scoped;
use super::terms::TermsInput;

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

    /// In the order they were written, drafts too.
    #[graphql(complexity = "short(child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<ContractVersion>, Failure> {
        let versions = loaders::one(ctx, VersionsOf(self.key)).await?.unwrap_or_default();
        Ok(versions.into_iter().map(ContractVersion::from).collect())
    }
}

/// Where a version of a contract stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contracts::VersionState")]
pub enum ContractVersionState {
    /// Counts nothing yet and can still change.
    Draft,
    /// In force from its date on; only another version changes what counts.
    Active,
}

/// What holds from a day on.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ContractVersion {
    /// 1 is the first that was written, whatever it counts from.
    pub version: i64,
    /// Where it stands.
    pub state: ContractVersionState,
    /// The instant that `terms.validFrom` stands for in the contract's zone.
    pub valid_from: DateTime,
    /// What it says.
    pub terms: Terms,
    /// When it was first written.
    pub created_at: DateTime,
    /// When it was put in force; null for a draft.
    pub activated_at: Option<DateTime>,
    #[graphql(skip)]
    activated_by: Option<MemberId>,
}

#[ComplexObject]
impl ContractVersion {
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
            valid_from: version.valid_from.into(),
            terms: version.terms.into(),
            created_at: version.created_at.into(),
            activated_at: version.activated_at.map(DateTime),
            activated_by: version.activated_by,
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

/// What `createContract` takes.
#[derive(InputObject)]
pub struct CreateContractInput {
    /// The partner.
    partner_id: ID,
    /// Unique among the partner's contracts.
    name: String,
    /// Of the first version, which begins as a draft.
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `draftContractVersion` takes.
#[derive(InputObject)]
pub struct DraftContractVersionInput {
    /// The contract.
    contract_id: ID,
    /// What is agreed.
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `changeContractDraft` takes.
#[derive(InputObject)]
pub struct ChangeContractDraftInput {
    /// The contract.
    contract_id: ID,
    /// The number of the version.
    version: i64,
    /// What is agreed.
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `activateContractVersion` takes.
#[derive(InputObject)]
pub struct ActivateContractVersionInput {
    /// The contract.
    contract_id: ID,
    /// The number of the version.
    version: i64,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

macro_rules! version_payload {
    ($(#[$doc:meta])* $name:ident) => {
        pub struct $name {
            contract_version: Option<ContractVersion>,
            user_errors: Vec<UserError>,
            of: Option<ContractId>,
        }

        $(#[$doc])*
        #[Object]
        impl $name {
            /// The contract as it is now.
            async fn contract(&self, ctx: &Context<'_>) -> Result<Option<Contract>, Failure> {
                let Some(id) = self.of else { return Ok(None) };
                Ok(loaders::one(ctx, id).await?.map(Contract::from))
            }

            /// The version that was written or put in force.
            async fn contract_version(&self) -> Option<&ContractVersion> {
                self.contract_version.as_ref()
            }

            /// What should have been done otherwise; empty when it is done.
            #[graphql(complexity = "short(child_complexity)")]
            async fn user_errors(&self) -> &[UserError] {
                &self.user_errors
            }
        }

        impl $name {
            fn of(result: domain::Result<contracts::ContractVersion>) -> Result<Self, Failure> {
                let (version, user_errors) = outcome(result.map_err(Failure::from))?;
                let of = version.as_ref().map(|version| version.contract);
                Ok(Self { contract_version: version.map(ContractVersion::from), user_errors, of })
            }
        }
    };
}
version_payload!(
    /// What `createContract` did.
    CreateContractPayload
);
version_payload!(
    /// What `draftContractVersion` did.
    DraftContractVersionPayload
);
version_payload!(
    /// What `changeContractDraft` did.
    ChangeContractDraftPayload
);
version_payload!(
    /// What `activateContractVersion` did.
    ActivateContractVersionPayload
);

#[derive(Default)]
pub struct ContractsMutation;

#[Object]
impl ContractsMutation {
    /// A contract with its first version, as a draft.
    async fn create_contract(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] mut input: CreateContractInput,
    ) -> Result<CreateContractPayload, Failure> {
        let key = input.idempotency_key.take();
        CreateContractPayload::of(once(ctx, key, async |scoped| create(&scoped, input).await).await?)
    }

    /// Another version of a contract, as a draft.
    async fn draft_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: DraftContractVersionInput,
    ) -> Result<DraftContractVersionPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let drafted = once(ctx, input.idempotency_key, async |scoped| {
            scoped.draft_contract_version(contract, input.terms.core(&scoped).await?).await
        });
        DraftContractVersionPayload::of(drafted.await?)
    }

    /// Changes the terms of a draft.
    async fn change_contract_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ChangeContractDraftInput,
    ) -> Result<ChangeContractDraftPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let changed = once(ctx, input.idempotency_key, async |scoped| {
            scoped.change_contract_draft(contract, input.version, input.terms.core(&scoped).await?).await
        });
        ChangeContractDraftPayload::of(changed.await?)
    }

    /// Puts a draft in force from its date on, also for what is recorded already: closed settlements of those times
    /// get corrections. Again changes nothing.
    async fn activate_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ActivateContractVersionInput,
    ) -> Result<ActivateContractVersionPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let activated = once(ctx, input.idempotency_key, async |scoped| {
            scoped.activate_contract_version(contract, input.version).await
        });
        ActivateContractVersionPayload::of(activated.await?)
    }
}

async fn create(scoped: &Scoped, input: CreateContractInput) -> domain::Result<contracts::ContractVersion> {
    let partner = id(&input.partner_id, PartnerId::parse);
    let terms = input.terms.core(scoped).await?;
    let (_, version) = scoped.create_contract(contracts::NewContract { partner, name: input.name, terms }).await?;
    Ok(version)
}
