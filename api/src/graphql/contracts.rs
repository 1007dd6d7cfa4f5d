//! Contracts: what is agreed with a partner, in versions.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ContractId, PartnerId};
use domain::{Scoped, contracts};

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders::{self, VersionsOf};
use super::page::{self, Cursor, cost};
use super::partners::Partner;
use super::scalars::DateTime;
use super::scoped;
use super::terms::{Terms, TermsInput};

/// What is agreed with a partner.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Contract {
    pub id: ID,
    /// Unique among the partner's contracts.
    pub name: String,
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
    async fn partner(&self, ctx: &Context<'_>) -> Result<Partner, Failure> {
        Ok(loaders::required(ctx, self.partner, "partner").await?.into())
    }

    /// In the order they were written, drafts too.
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<ContractVersion>, Failure> {
        let versions = loaders::one(ctx, VersionsOf(self.key)).await?.unwrap_or_default();
        Ok(versions.into_iter().map(ContractVersion::from).collect())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contracts::VersionState")]
pub enum ContractVersionState {
    /// Counts nothing yet and can still change.
    Draft,
    /// In force from its date on; only another version changes what counts.
    Active,
}

#[derive(SimpleObject)]
pub struct ContractVersion {
    /// 1 is the first that was written, whatever it counts from.
    pub version: i64,
    pub state: ContractVersionState,
    /// The instant that `terms.validFrom` stands for in the contract's zone.
    pub valid_from: DateTime,
    pub terms: Terms,
    pub created_at: DateTime,
    pub activated_at: Option<DateTime>,
    /// The member who activated it.
    pub activated_by_id: Option<ID>,
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
            activated_by_id: version.activated_by.map(ID::from),
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
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, Contract>, Failure> {
        let page = scoped(ctx)?.contracts(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |contract| contract.id.0))
    }
}

#[derive(InputObject)]
pub struct CreateContractInput {
    partner_id: ID,
    name: String,
    /// Of the first version, which begins as a draft.
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct DraftContractVersionInput {
    contract_id: ID,
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct ChangeContractDraftInput {
    contract_id: ID,
    version: i64,
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct ActivateContractVersionInput {
    contract_id: ID,
    version: i64,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

macro_rules! version_payload {
    ($name:ident) => {
        #[derive(SimpleObject)]
        #[graphql(complex)]
        pub struct $name {
            pub contract_version: Option<ContractVersion>,
            pub user_errors: Vec<UserError>,
            #[graphql(skip)]
            of: Option<ContractId>,
        }

        #[ComplexObject]
        impl $name {
            async fn contract(&self, ctx: &Context<'_>) -> Result<Option<Contract>, Failure> {
                let Some(id) = self.of else { return Ok(None) };
                Ok(loaders::one(ctx, id).await?.map(Contract::from))
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
version_payload!(CreateContractPayload);
version_payload!(DraftContractVersionPayload);
version_payload!(ChangeContractDraftPayload);
version_payload!(ActivateContractVersionPayload);

#[derive(Default)]
pub struct ContractsMutation;

#[Object]
impl ContractsMutation {
    /// A contract with its first version, as a draft.
    async fn create_contract(
        &self,
        ctx: &Context<'_>,
        mut input: CreateContractInput,
    ) -> Result<CreateContractPayload, Failure> {
        let key = input.idempotency_key.take();
        CreateContractPayload::of(once(ctx, key, async |scoped| create(&scoped, input).await).await?)
    }

    /// Another version of a contract, as a draft.
    async fn draft_contract_version(
        &self,
        ctx: &Context<'_>,
        input: DraftContractVersionInput,
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
        input: ChangeContractDraftInput,
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
        input: ActivateContractVersionInput,
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
