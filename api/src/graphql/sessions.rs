//! Signing in and staying in: the only mutations for somebody who has no session yet.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use domain::{Code, Error, Problem, tenants};

use super::access::Member;
use super::errors::{Failure, UserError, outcome};
use super::page::short;
use super::scalars::DateTime;
use super::{SLOW_HASH_COST, domain, tries};
use crate::rates::Over;

/// What `signIn` takes.
#[derive(InputObject)]
pub struct SignInInput {
    /// The tenant's short name.
    pub tenant: String,
    /// The member's address.
    pub email: String,
    /// The member's password.
    #[graphql(secret)]
    pub password: String,
}

/// A mutation has a payload type of its own, even where it looks like another's: it must be free to grow.
macro_rules! session_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub struct $name {
            /// For the header `Authorization: Bearer …`, until `expiresAt`.
            pub access_token: Option<String>,
            /// Good for one `refreshSession`; using it again ends the session.
            pub refresh_token: Option<String>,
            /// When it stops being good.
            pub expires_at: Option<DateTime>,
            /// What should have been done otherwise; empty when it is done.
            #[graphql(complexity = "short(child_complexity)")]
            pub user_errors: Vec<UserError>,
        }

        impl $name {
            fn of(result: ::domain::Result<tenants::SignedIn>) -> Result<Self, Failure> {
                let (session, user_errors) = outcome(result.map_err(Failure::from))?;
                let Some(session) = session else {
                    return Ok(Self { access_token: None, refresh_token: None, expires_at: None, user_errors });
                };
                Ok(Self {
                    access_token: Some(session.access_token.expose().to_owned()),
                    refresh_token: Some(session.refresh_token.expose().to_owned()),
                    expires_at: Some(session.expires_at.into()),
                    user_errors,
                })
            }
        }
    };
}
session_payload!(
    /// What `signIn` did.
    SignInPayload
);
session_payload!(
    /// What `refreshSession` did.
    RefreshSessionPayload
);

/// What `refreshSession` takes.
#[derive(InputObject)]
pub struct RefreshSessionInput {
    /// The latest one of the session.
    #[graphql(secret)]
    pub refresh_token: String,
}

/// What `signOut` takes.
#[derive(InputObject)]
pub struct SignOutInput {
    /// A token of the session to end.
    #[graphql(secret)]
    pub refresh_token: String,
}

/// What `signOut` did.
#[derive(SimpleObject)]
pub struct SignOutPayload {
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

/// What `acceptToken` takes.
#[derive(InputObject)]
pub struct AcceptTokenInput {
    /// From an invitation or a reset.
    #[graphql(secret)]
    pub token: String,
    /// The new password, of at least 12 characters.
    #[graphql(secret)]
    pub password: String,
}

/// What `acceptToken` did.
#[derive(SimpleObject)]
pub struct AcceptTokenPayload {
    /// The member as it is now.
    pub member: Option<Member>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SessionsMutation;

#[Object]
impl SessionsMutation {
    /// Begins a session with an address and a password.
    #[graphql(complexity = "SLOW_HASH_COST + child_complexity")]
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SignInInput,
    ) -> Result<SignInPayload, Failure> {
        let (rates, place) = tries(ctx)?;
        SignInPayload::of(match rates.try_account(place, &input.tenant, &input.email).await {
            Ok(()) => domain(ctx)?.sign_in(&input.tenant, &input.email, &input.password).await,
            Err(over) => Err(too_many_tries(over)),
        })
    }

    /// A new pair of tokens for a refresh token.
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: RefreshSessionInput,
    ) -> Result<RefreshSessionPayload, Failure> {
        let (rates, place) = tries(ctx)?;
        RefreshSessionPayload::of(match rates.try_code(place).await {
            Ok(()) => domain(ctx)?.refresh(&input.refresh_token).await,
            Err(over) => Err(too_many_tries(over)),
        })
    }

    /// Ends the session of a refresh token.
    async fn sign_out(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SignOutInput,
    ) -> Result<SignOutPayload, Failure> {
        domain(ctx)?.sign_out(&input.refresh_token).await?;
        Ok(SignOutPayload { user_errors: Vec::new() })
    }

    /// Chooses a password with a one-time token. Ends every session of the member.
    #[graphql(complexity = "SLOW_HASH_COST + child_complexity")]
    async fn accept_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: AcceptTokenInput,
    ) -> Result<AcceptTokenPayload, Failure> {
        let (rates, place) = tries(ctx)?;
        let accepted = match rates.try_code(place).await {
            Ok(()) => domain(ctx)?.accept_token(&input.token, &input.password).await,
            Err(over) => Err(too_many_tries(over)),
        };
        let (member, user_errors) = outcome(accepted.map_err(Failure::from))?;
        Ok(AcceptTokenPayload { member: member.map(Member::from), user_errors })
    }
}

/// Counted for each operation, before anything is hashed or looked up: it says nothing of whether there is such an
/// account.
fn too_many_tries(over: Over) -> Error {
    let message = format!("too many tries; try again in {} s", over.retry_after);
    Problem::new(Code::RateLimited, "", message).into()
}
