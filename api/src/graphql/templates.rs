//! Templates, and contracts that are made of them or of other contracts.

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::contracts::{self, template};
use domain::ids::{ContractId, PartnerId};
use domain::money::Rate;
use domain::{Code, Error, Problem, Scoped};

use super::agreed::Terms;
use super::contracts::{Contract, ContractVersion};
use super::drafting::version_payload;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::loaders;
use super::page::{self, Cursor, cost, short};
use super::scalars::{Date, DateTime, Decimal};
use super::scoped;
use super::terms::{ScopeInput, TermsInput};

/// Terms under a name, to make contracts of.
#[derive(SimpleObject)]
pub struct ContractTemplate {
    /// Once in a tenant.
    pub name: String,
    /// What a contract that is made of it says, but for what it says itself.
    pub terms: Terms,
    /// When it was saved last.
    pub changed_at: DateTime,
}

impl From<template::Template> for ContractTemplate {
    fn from(template: template::Template) -> Self {
        Self { name: template.name, terms: template.terms.into(), changed_at: template.changed_at.into() }
    }
}

/// What a copy has otherwise than what it is made of. What is absent stays.
#[derive(Default, InputObject)]
pub struct TermsChangesInput {
    /// From the beginning of this local day on.
    valid_from: Option<Date>,
    /// Transactions in other currencies are not counted.
    currency: Option<String>,
    /// Which transactions count; all of it takes the place of what was there.
    scope: Option<ScopeInput>,
    /// In major units; a smaller total is carried over instead of being paid.
    minimum_payout: Option<Decimal>,
    /// Percentages of some rows of the rate table.
    #[graphql(default)]
    percents: Vec<RowPercentInput>,
}

/// Another percentage for a row of a rate table.
#[derive(InputObject)]
pub struct RowPercentInput {
    /// The code of the row.
    code: String,
    /// Per cent, such as "8".
    percent: Decimal,
}

impl TermsChangesInput {
    async fn core(self, scoped: &Scoped) -> domain::Result<template::Changes> {
        let mut problems = Vec::new();
        let scope = match self.scope {
            Some(scope) => Some(scope.core(scoped, &mut problems).await?),
            None => None,
        };
        let mut percents = Vec::with_capacity(self.percents.len());
        for (position, row) in self.percents.into_iter().enumerate() {
            match Rate::parse(&row.percent.0) {
                Ok(percent) => percents.push((row.code, percent)),
                Err(error) => {
                    let path = format!("percents.{position}.percent");
                    problems.push(Problem::new(Code::BadAmount, path, error.to_string()));
                }
            }
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems.into_iter().map(|problem| problem.under("changes")).collect()));
        }
        Ok(template::Changes {
            valid_from: self.valid_from.map(|date| date.0),
            currency: self.currency,
            scope,
            minimum_payout: self.minimum_payout.map(|amount| amount.0),
            percents,
        })
    }
}

#[derive(Default)]
pub struct TemplatesQuery;

#[Object]
impl TemplatesQuery {
    /// The tenant's templates, by name; a partner's user sees none.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn contract_templates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, ContractTemplate>, Failure> {
        let page = scoped(ctx)?.contract_templates(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |template| template.name.clone()))
    }
}

/// What `saveContractTemplate` takes.
#[derive(InputObject)]
pub struct SaveContractTemplateInput {
    /// Once in a tenant: a template that has it is written over.
    name: String,
    /// What contracts that are made of it say.
    terms: TermsInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `deleteContractTemplate` takes.
#[derive(InputObject)]
pub struct DeleteContractTemplateInput {
    /// The name of the template.
    name: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `createContractFromTemplate` takes.
#[derive(InputObject)]
pub struct CreateContractFromTemplateInput {
    /// The name of the template.
    template: String,
    /// The partner.
    partner_id: ID,
    /// Unique among the partner's contracts.
    name: String,
    /// What the contract says otherwise.
    #[graphql(default)]
    changes: TermsChangesInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `copyContract` takes.
#[derive(InputObject)]
pub struct CopyContractInput {
    /// The contract that is copied.
    contract_id: ID,
    /// The number of the version that is copied.
    version: i64,
    /// With whom the copy is.
    partner_id: ID,
    /// Unique among the partner's contracts.
    name: String,
    /// What the copy says otherwise.
    #[graphql(default)]
    changes: TermsChangesInput,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

version_payload!(
    /// What `createContractFromTemplate` did.
    CreateContractFromTemplatePayload
);
version_payload!(
    /// What `copyContract` did.
    CopyContractPayload
);

/// What `saveContractTemplate` did.
#[derive(SimpleObject)]
pub struct SaveContractTemplatePayload {
    /// As it was saved.
    pub contract_template: Option<ContractTemplate>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `deleteContractTemplate` did.
#[derive(SimpleObject)]
pub struct DeleteContractTemplatePayload {
    /// The name of the template that is gone.
    pub name: Option<String>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct TemplatesMutation;

#[Object]
impl TemplatesMutation {
    /// Keeps terms under a name, to make contracts of.
    async fn save_contract_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SaveContractTemplateInput,
    ) -> Result<SaveContractTemplatePayload, Failure> {
        let saved = once(ctx, input.idempotency_key, async |scoped| {
            scoped.save_contract_template(&input.name, input.terms.core(&scoped).await?).await
        });
        let (template, user_errors) = outcome(saved.await?.map_err(Failure::from))?;
        Ok(SaveContractTemplatePayload { contract_template: template.map(ContractTemplate::from), user_errors })
    }

    /// Deletes a template. Contracts that were made of it stay.
    async fn delete_contract_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: DeleteContractTemplateInput,
    ) -> Result<DeleteContractTemplatePayload, Failure> {
        let deleted =
            once(ctx, input.idempotency_key, async |scoped| scoped.delete_contract_template(&input.name).await);
        let (name, user_errors) = outcome(deleted.await?.map_err(Failure::from))?;
        Ok(DeleteContractTemplatePayload { name, user_errors })
    }

    /// A contract with the terms of a template, but for some changes, as a draft.
    async fn create_contract_from_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] mut input: CreateContractFromTemplateInput,
    ) -> Result<CreateContractFromTemplatePayload, Failure> {
        let key = input.idempotency_key.take();
        let made = once(ctx, key, async |scoped| from_template(&scoped, input).await);
        CreateContractFromTemplatePayload::of(made.await?)
    }

    /// A contract with the terms of a version of another one, but for some changes, as a draft, and with its test cases.
    async fn copy_contract(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] mut input: CopyContractInput,
    ) -> Result<CopyContractPayload, Failure> {
        let key = input.idempotency_key.take();
        CopyContractPayload::of(once(ctx, key, async |scoped| copy(&scoped, input).await).await?)
    }
}

async fn from_template(
    scoped: &Scoped,
    input: CreateContractFromTemplateInput,
) -> domain::Result<contracts::ContractVersion> {
    let partner = id(&input.partner_id, PartnerId::parse);
    let changes = input.changes.core(scoped).await?;
    Ok(scoped.create_contract_from_template(&input.template, partner, &input.name, changes).await?.1)
}

async fn copy(scoped: &Scoped, input: CopyContractInput) -> domain::Result<contracts::ContractVersion> {
    let (from, partner) = (id(&input.contract_id, ContractId::parse), id(&input.partner_id, PartnerId::parse));
    let changes = input.changes.core(scoped).await?;
    Ok(scoped.copy_contract(from, input.version, partner, &input.name, changes).await?.1)
}
