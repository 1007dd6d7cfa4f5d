//! Writing contracts: new ones, drafts, and putting them in force.

use async_graphql::{Context, ID, InputObject, Object};
use domain::contracts::VersionDraft;
use domain::ids::{ContractId, PartnerId};
use domain::{Scoped, contracts};

use super::contracts::{Contract, ContractVersion};
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders;
use super::page::short;
use super::terms::TermsInput;

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
    /// The number of the active version whose place it is to take; it begins when that one does.
    replaces: Option<i64>,
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
    /// The revision that was read. Where somebody saved another one since, nothing is changed.
    revision: i64,
    /// What is agreed.
    terms: TermsInput,
    /// The number of the active version whose place it is to take; it begins when that one does.
    replaces: Option<i64>,
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
    /// The revision that was read. Where somebody saved another one since, nothing is put in force.
    revision: Option<i64>,
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
            pub(super) fn of(result: domain::Result<contracts::ContractVersion>) -> Result<Self, Failure> {
                let (version, user_errors) = outcome(result.map_err(Failure::from))?;
                let of = version.as_ref().map(|version| version.contract);
                Ok(Self { contract_version: version.map(ContractVersion::from), user_errors, of })
            }
        }
    };
}
pub(super) use version_payload;
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
            let draft = VersionDraft { terms: input.terms.core(&scoped).await?, replaces: input.replaces };
            scoped.draft_contract_version(contract, draft).await
        });
        DraftContractVersionPayload::of(drafted.await?)
    }

    /// Saves a draft. It is neither tested nor approved after.
    async fn change_contract_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ChangeContractDraftInput,
    ) -> Result<ChangeContractDraftPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let changed = once(ctx, input.idempotency_key, async |scoped| {
            let draft = VersionDraft { terms: input.terms.core(&scoped).await?, replaces: input.replaces };
            scoped.change_contract_draft(contract, input.version, input.revision, draft).await
        });
        ChangeContractDraftPayload::of(changed.await?)
    }

    /// Puts a draft in force from its date on, also for what is recorded already: closed settlements of those times
    /// get corrections. All test cases have to pass, and it has to be approved where `contractPolicy` asks. Again changes
    /// nothing.
    async fn activate_contract_version(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ActivateContractVersionInput,
    ) -> Result<ActivateContractVersionPayload, Failure> {
        let contract = id(&input.contract_id, ContractId::parse);
        let activated = once(ctx, input.idempotency_key, async |scoped| {
            scoped.activate_contract_revision(contract, input.version, input.revision).await
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
