//! Partners.

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::ids::PartnerId;
use domain::partners;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::page::{self, Cursor, cost, short};
use super::scalars::DateTime;
use super::scoped;

/// A party that is owed or owes money: game or content provider, aggregator, affiliate, agent, platform.
#[derive(Clone, SimpleObject)]
pub struct Partner {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// The tenant's own short name for it.
    pub reference: String,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime,
}

impl From<partners::Partner> for Partner {
    fn from(partner: partners::Partner) -> Self {
        Self {
            id: partner.id.into(),
            reference: partner.reference,
            name: partner.name,
            created_at: partner.created_at.into(),
        }
    }
}

#[derive(Default)]
pub struct PartnersQuery;

#[Object]
impl PartnersQuery {
    /// The tenant's partners; a partner's user sees its own.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn partners(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Partner>, Failure> {
        let page = scoped(ctx)?.partners(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |partner| partner.id.0))
    }
}

/// What `createPartner` takes.
#[derive(InputObject)]
pub struct CreatePartnerInput {
    /// What people call it.
    name: String,
    /// Unique; made from the name when absent.
    reference: Option<String>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `createPartner` did.
#[derive(SimpleObject)]
pub struct CreatePartnerPayload {
    /// The partner as it is now.
    partner: Option<Partner>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    user_errors: Vec<UserError>,
}

/// What `renamePartner` takes.
#[derive(InputObject)]
pub struct RenamePartnerInput {
    /// The partner.
    partner_id: ID,
    /// What people are to call it.
    name: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

/// What `renamePartner` did.
#[derive(SimpleObject)]
pub struct RenamePartnerPayload {
    /// The partner as it is now.
    partner: Option<Partner>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct PartnersMutation;

#[Object]
impl PartnersMutation {
    /// Adds a partner.
    async fn create_partner(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: CreatePartnerInput,
    ) -> Result<CreatePartnerPayload, Failure> {
        let new = partners::NewPartner { name: input.name, reference: input.reference };
        let created = once(ctx, input.idempotency_key, async |scoped| scoped.create_partner(new).await).await?;
        let (partner, user_errors) = outcome(created.map(Partner::from).map_err(Failure::from))?;
        Ok(CreatePartnerPayload { partner, user_errors })
    }

    /// Gives a partner another name; its reference stays.
    async fn rename_partner(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: RenamePartnerInput,
    ) -> Result<RenamePartnerPayload, Failure> {
        let partner = id(&input.partner_id, PartnerId::parse);
        let renamed =
            once(ctx, input.idempotency_key, async |scoped| scoped.rename_partner(partner, &input.name).await).await?;
        let (partner, user_errors) = outcome(renamed.map(Partner::from).map_err(Failure::from))?;
        Ok(RenamePartnerPayload { partner, user_errors })
    }
}
