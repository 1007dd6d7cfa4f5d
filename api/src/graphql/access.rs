//! Members, and who one is oneself.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use domain::ids::{MemberId, PartnerId};
use domain::tenants;

use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::ids::id;
use super::language::Language;
use super::loaders;
use super::page::{self, Cursor, cost, short};
use super::partners::Partner;
use super::scalars::DateTime;
use super::scoped;

/// What a member may do.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Role")]
pub enum Role {
    /// Members, keys and everything else.
    Admin,
    /// Contracts, sources, imports and settlements.
    Settlement,
    /// Reviews flagged items; reads the rest.
    Risk,
    /// Reads.
    ReadOnly,
}

/// Whether a member can sign in.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "tenants::MemberState")]
pub enum MemberState {
    /// Has not chosen a password yet.
    Invited,
    /// Can sign in.
    Active,
    /// Cannot sign in.
    Disabled,
}

/// Whoever settles with partners here.
#[derive(SimpleObject)]
pub struct Tenant {
    /// The short name to sign in with.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime,
}

/// A person who may sign in.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Member {
    /// Of this thing, for `node` and for inputs that name it.
    pub id: ID,
    /// In lower case, and once in a tenant.
    pub email: String,
    /// Of the person.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it can sign in.
    pub state: MemberState,
    /// In which mails to it are written.
    pub language: Language,
    /// When it was made.
    pub created_at: DateTime,
    #[graphql(skip)]
    partner: Option<PartnerId>,
}

impl From<tenants::Member> for Member {
    fn from(member: tenants::Member) -> Self {
        Self {
            id: member.id.into(),
            email: member.email,
            name: member.name,
            role: member.role.into(),
            state: member.state.into(),
            language: member.language.into(),
            created_at: member.created_at.into(),
            partner: member.partner,
        }
    }
}

#[ComplexObject]
impl Member {
    /// The one partner whose things a partner's user sees; null for the tenant's own people.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>, Failure> {
        let Some(id) = self.partner else { return Ok(None) };
        Ok(loaders::one(ctx, id).await?.map(Partner::from))
    }
}

/// The member who did something; null where nobody is named, and for whoever may not see that member.
pub async fn member(ctx: &Context<'_>, id: Option<MemberId>) -> Result<Option<Member>, Failure> {
    let Some(id) = id else { return Ok(None) };
    Ok(loaders::one(ctx, id).await?.map(Member::from))
}

/// Who you are.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Viewer {
    /// The tenant whose things you see.
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
    /// For `acceptToken`, once.
    pub token: String,
    /// When it stops being good.
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
        #[graphql(desc = "How many rows, from 1 to 100; 50 when absent.")] first: Option<i32>,
        #[graphql(desc = "The cursor of the row after which the page begins.")] after: Option<String>,
    ) -> Result<Connection<Cursor, Member>, Failure> {
        let page = scoped(ctx)?.members(page::request(first, after.as_deref())?).await?;
        Ok(page::connection(page, |member| member.id.0))
    }
}

/// What `inviteMember` takes.
#[derive(InputObject)]
pub struct InviteMemberInput {
    /// To whom the invitation is; unique in the tenant.
    pub email: String,
    /// Of the person.
    pub name: String,
    /// What the member may do. A partner's user can only be `READ_ONLY`.
    pub role: Role,
    /// Makes it this partner's user, who reads that partner's things only.
    pub partner_id: Option<ID>,
    /// In which mails to it are written.
    #[graphql(default_with = "Language::En")]
    pub language: Language,
    /// Whether the token goes to the address by mail, too. The answer has it in any case.
    #[graphql(default)]
    pub send_mail: bool,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `resetPassword` takes.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The member.
    pub member_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `disableMember` takes.
#[derive(InputObject)]
pub struct DisableMemberInput {
    /// The member.
    pub member_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `enableMember` takes.
#[derive(InputObject)]
pub struct EnableMemberInput {
    /// The member.
    pub member_id: ID,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `setMemberRole` takes.
#[derive(InputObject)]
pub struct SetMemberRoleInput {
    /// The member.
    pub member_id: ID,
    /// What the member may do from now on.
    pub role: Role,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

macro_rules! member_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The member as it is now.
            pub member: Option<Member>,
            /// What should have been done otherwise; empty when it is done.
            #[graphql(complexity = "short(child_complexity)")]
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
member_payload!(
    /// What `setMemberRole` did.
    SetMemberRolePayload
);
member_payload!(
    /// What `disableMember` did.
    DisableMemberPayload
);
member_payload!(
    /// What `enableMember` did.
    EnableMemberPayload
);

macro_rules! invitation_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// The member as it is now.
            pub member: Option<Member>,
            /// For the administrator to pass on.
            pub one_time_token: Option<OneTimeToken>,
            /// What should have been done otherwise; empty when it is done.
            #[graphql(complexity = "short(child_complexity)")]
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
invitation_payload!(
    /// What `inviteMember` did.
    InviteMemberPayload
);
invitation_payload!(
    /// What `resetPassword` did.
    ResetPasswordPayload
);

#[derive(Default)]
pub struct AccessMutation;

#[Object]
impl AccessMutation {
    /// Adds a member, who chooses a password with the token of the answer.
    async fn invite_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: InviteMemberInput,
    ) -> Result<InviteMemberPayload, Failure> {
        let partner = input.partner_id.map(|partner| id(&partner, PartnerId::parse));
        let invite = tenants::Invite {
            email: &input.email,
            name: &input.name,
            role: input.role.into(),
            partner,
            language: input.language.into(),
            send_mail: input.send_mail,
        };
        let invited = once(ctx, input.idempotency_key, async |scoped| scoped.invite(invite).await);
        InviteMemberPayload::of(invited.await?)
    }

    /// A token for a new password; a new invitation for somebody who has none yet.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: ResetPasswordInput,
    ) -> Result<ResetPasswordPayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let reset = once(ctx, input.idempotency_key, async |scoped| scoped.reset_password(member).await);
        ResetPasswordPayload::of(reset.await?)
    }

    /// Changes what a member may do.
    async fn set_member_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetMemberRoleInput,
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
        #[graphql(desc = "What it takes.")] input: DisableMemberInput,
    ) -> Result<DisableMemberPayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let disabled = once(ctx, input.idempotency_key, async |scoped| scoped.disable_member(member).await);
        DisableMemberPayload::of(disabled.await?)
    }

    /// Lets a disabled member in again, with the password it had.
    async fn enable_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: EnableMemberInput,
    ) -> Result<EnableMemberPayload, Failure> {
        let member = id(&input.member_id, MemberId::parse);
        let enabled = once(ctx, input.idempotency_key, async |scoped| scoped.enable_member(member).await);
        EnableMemberPayload::of(enabled.await?)
    }
}
