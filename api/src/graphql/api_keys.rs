//! API keys: what machines send with.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, ID, InputObject, Object, SimpleObject};
use domain::ids::{ApiKeyId, SourceId};
use domain::tenants;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::page::{self, Cursor, cost, short};
use super::scalars::DateTime;
use super::scoped;
use super::sources::{self, Source};

/// The key of a machine that sends to one source.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ApiKey {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// What the key is for.
    pub name: String,
    /// When it was revoked; null while it is good.
    pub revoked_at: Option<DateTime>,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    source: SourceId,
}

impl From<tenants::ApiKey> for ApiKey {
    fn from(key: tenants::ApiKey) -> Self {
        Self {
            id: key.id.into(),
            name: key.name,
            revoked_at: key.revoked_at.map(DateTime),
            created_at: key.created_at.into(),
            source: key.source,
        }
    }
}

#[ComplexObject]
impl ApiKey {
    /// The one source that it sends to.
    async fn source(&self, ctx: &Context<'_>) -> Result<Source, Failure> {
        sources::of(ctx, self.source).await
    }
}

#[derive(Default)]
pub struct ApiKeysQuery;

#[Object]
impl ApiKeysQuery {
    /// The tenant's API keys, revoked ones too. For administrators.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, ApiKey>, Failure> {
        let page = scoped(ctx)?.api_keys(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |key| key.id.0))
    }
}

/// What `createApiKey` takes.
#[derive(InputObject)]
pub struct CreateApiKeyInput {
    /// The source.
    pub source_id: ID,
    /// What the key is for.
    pub name: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `createApiKey` did.
#[derive(SimpleObject)]
pub struct CreateApiKeyPayload {
    /// The key without its secret.
    pub api_key: Option<ApiKey>,
    /// The key itself, shown this once.
    pub secret: Option<String>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `revokeApiKey` takes.
#[derive(InputObject)]
pub struct RevokeApiKeyInput {
    /// The key.
    pub api_key_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `revokeApiKey` did.
#[derive(SimpleObject)]
pub struct RevokeApiKeyPayload {
    /// The key as it is now.
    pub api_key: Option<ApiKey>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ApiKeysMutation;

#[Object]
impl ApiKeysMutation {
    /// A key with which a machine sends to one source, and does nothing else.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: CreateApiKeyInput,
    ) -> Result<CreateApiKeyPayload, Failure> {
        let source = id(&input.source_id, SourceId::parse);
        let created =
            once(ctx, input.idempotency_key, async |scoped| scoped.create_api_key(source, &input.name).await).await?;
        let (created, user_errors) = outcome(created.map_err(Failure::from))?;
        let secret = created.as_ref().map(|created| created.secret.expose().to_owned());
        Ok(CreateApiKeyPayload { api_key: created.map(|created| created.key.into()), secret, user_errors })
    }

    /// Ends a key for good. Again changes nothing.
    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: RevokeApiKeyInput,
    ) -> Result<RevokeApiKeyPayload, Failure> {
        let key = id(&input.api_key_id, ApiKeyId::parse);
        let revoked = once(ctx, input.idempotency_key, async |scoped| scoped.revoke_api_key(key).await).await?;
        let (revoked, user_errors) = outcome(revoked.map_err(Failure::from))?;
        Ok(RevokeApiKeyPayload { api_key: revoked.map(ApiKey::from), user_errors })
    }
}
