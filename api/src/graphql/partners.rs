//! Partners.

use async_graphql::connection::Connection;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::ids::PartnerId;
use domain::partners;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::page::{self, Cursor, cost};
use super::scalars::DateTime;
use super::scoped;

/// A party that is owed or owes money: game or content provider, aggregator, affiliate, agent, platform.
#[derive(Clone, SimpleObject)]
pub struct Partner {
    pub id: ID,
    /// The tenant's own short name for it.
    pub reference: String,
    pub name: String,
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
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, Partner>, Failure> {
        let page = scoped(ctx)?.partners(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |partner| partner.id.0))
    }
}

#[derive(InputObject)]
pub struct CreatePartnerInput {
    name: String,
    /// Unique; made from the name when absent.
    reference: Option<String>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
pub struct CreatePartnerPayload {
    partner: Option<Partner>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject)]
pub struct RenamePartnerInput {
    partner_id: ID,
    name: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
pub struct RenamePartnerPayload {
    partner: Option<Partner>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct PartnersMutation;

#[Object]
impl PartnersMutation {
    async fn create_partner(
        &self,
        ctx: &Context<'_>,
        input: CreatePartnerInput,
    ) -> Result<CreatePartnerPayload, Failure> {
        let new = partners::NewPartner { name: input.name, reference: input.reference };
        let created = once(ctx, input.idempotency_key, async |scoped| scoped.create_partner(new).await).await?;
        let (partner, user_errors) = outcome(created.map(Partner::from).map_err(Failure::from))?;
        Ok(CreatePartnerPayload { partner, user_errors })
    }

    async fn rename_partner(
        &self,
        ctx: &Context<'_>,
        input: RenamePartnerInput,
    ) -> Result<RenamePartnerPayload, Failure> {
        let partner = id(&input.partner_id, PartnerId::parse);
        let renamed =
            once(ctx, input.idempotency_key, async |scoped| scoped.rename_partner(partner, &input.name).await).await?;
        let (partner, user_errors) = outcome(renamed.map(Partner::from).map_err(Failure::from))?;
        Ok(RenamePartnerPayload { partner, user_errors })
    }
}
