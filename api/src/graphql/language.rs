//! The language in which somebody is written to.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use domain::notifications;

use super::access::Member;
use super::errors::{Failure, UserError, outcome};
use super::idempotency::once;
use super::page::short;

/// A language that Saldo writes in.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "notifications::Language")]
pub enum Language {
    /// English.
    En,
    /// Korean.
    Ko,
}

/// What `setLanguage` takes.
#[derive(InputObject)]
pub struct SetLanguageInput {
    /// The language of mails to you.
    pub language: Language,
    /// A text of the client's own, such as a UUID. The same input under it is done once, and answered the same again.
    pub idempotency_key: Option<String>,
}

/// What `setLanguage` did.
#[derive(SimpleObject)]
pub struct SetLanguagePayload {
    /// You, as you are now.
    pub member: Option<Member>,
    /// What should have been done otherwise; empty when it is done.
    #[graphql(complexity = "short(child_complexity)")]
    pub user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct LanguageMutation;

#[Object]
impl LanguageMutation {
    /// Chooses the language of mails to yourself. Every member may, and an API key may not.
    async fn set_language(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it takes.")] input: SetLanguageInput,
    ) -> Result<SetLanguagePayload, Failure> {
        let language = input.language.into();
        let set = once(ctx, input.idempotency_key, async |scoped| scoped.set_language(language).await).await?;
        let (member, user_errors) = outcome(set.map_err(Failure::from))?;
        Ok(SetLanguagePayload { member: member.map(Member::from), user_errors })
    }
}
