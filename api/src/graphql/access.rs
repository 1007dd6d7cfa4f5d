//! Members and API keys, and who one is oneself.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{ApiKeyId, MemberId, PartnerId, SourceId};
use domain::tenants;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::page::{self, Cursor, cost};
use super::scalars::DateTime;
use super::scoped;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Role")]
pub enum Role {
    /// Members, keys and everything else.
    Admin,
    /// Contracts, sources, imports and settlements.
    Settlement,
    /// Reviews flagged items; reads the rest.
    Risk,
    ReadOnly,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tenants::MemberState")]
pub enum MemberState {
    /// Has not chosen a password yet.
    Invited,
    Active,
    Disabled,
}

#[derive(SimpleObject)]
pub struct Tenant {
    /// The short name to sign in with.
    pub slug: String,
    pub name: String,
    pub created_at: DateTime,
}

/// A person who may sign in.
#[derive(SimpleObject)]
pub struct Member {
    pub id: ID,
    pub email: String,
    pub name: String,
    pub role: Role,
    /// The one partner whose things a partner's user sees.
    pub partner_id: Option<ID>,
    pub state: MemberState,
    pub created_at: DateTime,
}

impl From<tenants::Member> for Member {
    fn from(member: tenants::Member) -> Self {
        Self {
            id: member.id.into(),
            email: member.email,
            name: member.name,
            role: member.role.into(),
            partner_id: member.partner.map(ID::from),
            state: member.state.into(),
            created_at: member.created_at.into(),
        }
    }
}

/// The key of a machine that sends to one source.
#[derive(SimpleObject)]
pub struct ApiKey {
    pub id: ID,
    pub source_id: ID,
    pub name: String,
    pub revoked_at: Option<DateTime>,
    pub created_at: DateTime,
}

impl From<tenants::ApiKey> for ApiKey {
    fn from(key: tenants::ApiKey) -> Self {
        Self {
            id: key.id.into(),
            source_id: key.source.into(),
            name: key.name,
            revoked_at: key.revoked_at.map(DateTime),
            created_at: key.created_at.into(),
        }
    }
}

/// Who you are.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Viewer {
    pub tenant: Tenant,
    /// Null for an API key.
    pub member: Option<Member>,
}

#[ComplexObject]
impl Viewer {
    /// The place of the tenant's newest event: subscribe `after` it to miss nothing that is committed from here on.
    /// Null for an API key, which follows nothing.
    async fn event_cursor(&self, ctx: &Context<'_>) -> Result<Option<String>, Failure> {
        let scoped = scoped(ctx)?;
        match scoped.event_cursor().await {
            Ok(cursor) => Ok(Some(cursor.text(scoped.tenant()))),
            Err(domain::Error::Denied(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lets its holder choose a password, once.
#[derive(SimpleObject)]
pub struct OneTimeToken {
    pub token: String,
    pub expires_at: DateTime,
}

impl From<tenants::OneTimeToken> for OneTimeToken {
    fn from(once: tenants::OneTimeToken) -> Self {
        Self { token: once.token.expose().to_owned(), expires_at: once.expires_at.into() }
    }
}

#[derive(Default)]
pub struct AccessQuery;

#[Object]
impl AccessQuery {
    /// Who you are.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer, Failure> {
        let tenants::Viewer { tenant, member } = scoped(ctx)?.viewer().await?;
        let tenant = Tenant { slug: tenant.slug, name: tenant.name, created_at: tenant.created_at.into() };
        Ok(Viewer { tenant, member: member.map(Member::from) })
    }

    /// The tenant's members. For administrators.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, Member>, Failure> {
        let page = scoped(ctx)?.members(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |member| member.id.0))
    }

    /// The tenant's API keys, revoked ones too. For administrators.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Cursor, ApiKey>, Failure> {
        let page = scoped(ctx)?.api_keys(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |key| key.id.0))
    }
}

#[derive(InputObject)]
pub struct InviteMemberInput {
    pub email: String,
    pub name: String,
    pub role: Role,
    /// Makes it this partner's user, who reads that partner's things only.
    pub partner_id: Option<ID>,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct ResetPasswordInput {
    pub member_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct DisableMemberInput {
    pub member_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct EnableMemberInput {
    pub member_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

#[derive(InputObject)]
pub struct SetMemberRoleInput {
    pub member_id: ID,
    pub role: Role,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

macro_rules! member_payload {
    ($name:ident) => {
        #[derive(SimpleObject)]
        pub struct $name {
            pub member: Option<Member>,
            pub user_errors: Vec<UserError>,
        }

        impl $name {
            fn of(result: domain::Result<tenants::Member>) -> Result<Self, Failure> {
                let (member, user_errors) = outcome(result.map_err(Failure::from))?;
                Ok(Self { member: member.map(Member::from), user_errors })
            }
        }
    };
}
member_payload!(SetMemberRolePayload);
member_payload!(DisableMemberPayload);
member_payload!(EnableMemberPayload);

macro_rules! invitation_payload {
    ($name:ident) => {
        #[derive(SimpleObject)]
        pub struct $name {
            pub member: Option<Member>,
            /// For the administrator to pass on.
            pub one_time_token: Option<OneTimeToken>,
            pub user_errors: Vec<UserError>,
        }

        impl $name {
            fn of(result: domain::Result<tenants::Invitation>) -> Result<Self, Failure> {
                let (invitation, user_errors) = outcome(result.map_err(Failure::from))?;
                let (member, token) = invitation.map(|invitation| (invitation.member, invitation.token)).unzip();
                let one_time_token = token.map(OneTimeToken::from);
                Ok(Self { member: member.map(Member::from), one_time_token, user_errors })
            }
        }
    };
}
invitation_payload!(InviteMemberPayload);
invitation_payload!(ResetPasswordPayload);

#[derive(InputObject)]
pub struct CreateApiKeyInput {
    pub source_id: ID,
    /// What the key is for.
    pub name: String,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
pub struct CreateApiKeyPayload {
    pub api_key: Option<ApiKey>,
    /// The key itself, shown this once.
    pub secret: Option<String>,
    pub user_errors: Vec<UserError>,
}

#[derive(InputObject)]
pub struct RevokeApiKeyInput {
    pub api_key_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
pub struct RevokeApiKeyPayload {
    pub api_key: Option<ApiKey>,
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct AccessMutation;

#[Object]
impl AccessMutation {
    async fn invite_member(&self, ctx: &Context<'_>, input: InviteMemberInput) -> Result<InviteMemberPayload, Failure> {
        let partner = input.partner_id.map(|partner| id(&partner, PartnerId::parse));
        let (key, role) = (input.idempotency_key, input.role.into());
        let invited =
            once(ctx, key, async |scoped| scoped.invite_member(&input.email, &input.name, role, partner).await);
        InviteMemberPayload::of(invited.await?)
    }

    /// A token for a new password; a new invitation for somebody who has none yet.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        input: ResetPasswordInput,
    ) -> Result<ResetPasswordPayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let reset = once(ctx, input.idempotency_key, async |scoped| scoped.reset_password(member).await);
        ResetPasswordPayload::of(reset.await?)
    }

    async fn set_member_role(
        &self,
        ctx: &Context<'_>,
        input: SetMemberRoleInput,
    ) -> Result<SetMemberRolePayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let role = input.role.into();
        let set = once(ctx, input.idempotency_key, async |scoped| scoped.set_member_role(member, role).await);
        SetMemberRolePayload::of(set.await?)
    }

    /// Ends a member's sessions and lets it in no more.
    async fn disable_member(
        &self,
        ctx: &Context<'_>,
        input: DisableMemberInput,
    ) -> Result<DisableMemberPayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let disabled = once(ctx, input.idempotency_key, async |scoped| scoped.disable_member(member).await);
        DisableMemberPayload::of(disabled.await?)
    }

    async fn enable_member(&self, ctx: &Context<'_>, input: EnableMemberInput) -> Result<EnableMemberPayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let enabled = once(ctx, input.idempotency_key, async |scoped| scoped.enable_member(member).await);
        EnableMemberPayload::of(enabled.await?)
    }

    /// A key with which a machine sends to one source, and does nothing else.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        input: CreateApiKeyInput,
    ) -> Result<CreateApiKeyPayload, Failure> {
        let source = id(&input.source_id, SourceId::parse);
        let created =
            once(ctx, input.idempotency_key, async |scoped| scoped.create_api_key(source, &input.name).await).await?;
        let (created, user_errors) = outcome(created.map_err(Failure::from))?;
        let secret = created.as_ref().map(|created| created.secret.expose().to_owned());
        Ok(CreateApiKeyPayload { api_key: created.map(|created| created.key.into()), secret, user_errors })
    }

    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        input: RevokeApiKeyInput,
    ) -> Result<RevokeApiKeyPayload, Failure> {
        let key = id(&input.api_key_id, ApiKeyId::parse);
        let revoked = once(ctx, input.idempotency_key, async |scoped| scoped.revoke_api_key(key).await).await?;
        let (revoked, user_errors) = outcome(revoked.map_err(Failure::from))?;
        Ok(RevokeApiKeyPayload { api_key: revoked.map(ApiKey::from), user_errors })
    }
}
