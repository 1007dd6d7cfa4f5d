//! Mail to people: what it says, the outbox in which it waits, and getting it out.
//!
//! Whoever decides that somebody is to be told posts the mail in the transaction of the decision ([`post_in`]): both
//! are there or neither. A worker takes it from the outbox and sends it outside of any transaction ([`rounds`]). A mail
//! is sent at least once: a server that took it and could not say so is asked again, with the same `Message-ID`.
//!
//! - `mail.rs`, `language.rs`: the words, in each language, from templates.
//! - `retry.rs`: when a mail that was not taken is tried again.
//! - `rounds.rs`: taking due mail, and what becomes of it.
//! - `delivery.rs`: SMTP, or files.
//!
//! Uses `tenants`, for who is told.

mod delivery;
mod language;
pub mod mail;
mod retry;
mod rounds;
mod store;

use serde::{Deserialize, Serialize};

use crate::caller::{Permission, Role, Scoped};
use crate::db::TenantTx;
use crate::domain::Domain;
use crate::error::{Fault, Result};
use crate::ids::{MailId, MemberId, TenantId};
use crate::tenants;

pub use self::delivery::{MailFrom, MailTransport, SmtpUrlError};
pub use self::language::Language;
use self::mail::Letter;
pub(crate) use self::rounds::Post;

/// A member to whom something is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub member: MemberId,
    pub email: String,
    pub name: String,
    pub language: Language,
}

impl From<tenants::Member> for Recipient {
    fn from(member: tenants::Member) -> Self {
        Self { member: member.id, email: member.email, name: member.name, language: member.language }
    }
}

/// A mail for the outbox. Its letter is in the recipient's language.
pub struct NewMail {
    pub to: Recipient,
    pub letter: Letter,
}

/// What only the recipient may read; some of it is a token.
#[derive(Serialize, Deserialize)]
struct Body {
    text: String,
    html: Option<String>,
}

/// Puts mail into the outbox, in the transaction that decided on it. It goes out soon after COMMIT.
pub(crate) async fn post_in(tx: &TenantTx, domain: &Domain, mails: Vec<NewMail>) -> Result<()> {
    if mails.is_empty() {
        return Ok(());
    }
    let now = domain.clock().now();
    let rows = mails.into_iter().map(|NewMail { to, letter: Letter { subject, text, html } }| {
        let id: MailId = domain.clock().id();
        let body = serde_json::to_vec(&Body { text, html }).map_err(|error| Fault::Internal(error.to_string()))?;
        Ok(store::Model {
            tenant_id: tx.tenant(),
            id,
            recipient: to.email,
            recipient_name: to.name,
            language: to.language.as_str().to_owned(),
            subject,
            body: Some(domain.master_key().seal(&body_purpose(tx.tenant(), id), &body)?),
            created_at: now,
            attempts: 0,
            next_at: Some(now),
            sent_at: None,
            failed_at: None,
            last_error: None,
        })
    });
    store::insert(tx, rows.collect::<Result<_, Fault>>()?).await?;
    tx.mark_posted();
    Ok(())
}

/// What a mail is sealed for: moved to another row or tenant it does not open.
fn body_purpose(tenant: TenantId, mail: MailId) -> String {
    format!("the body of {mail} of {tenant}")
}

/// Who is told of what is theirs to see to: the tenant's own staff of a role that can sign in, or its administrators
/// where it has none. The transaction must not be a partner's.
pub(crate) async fn recipients_in(tx: &TenantTx, role: Role) -> Result<Vec<Recipient>> {
    let mut staff = tenants::staff_in(tx, role).await?;
    if staff.is_empty() {
        staff = tenants::staff_in(tx, Role::Admin).await?;
    }
    Ok(staff.into_iter().map(Recipient::from).collect())
}

impl Scoped {
    /// Who is told of what is odd. For administrators.
    pub async fn alert_recipients(&self) -> Result<Vec<Recipient>> {
        self.require(Permission::Administer)?;
        recipients_in(&self.read().await?, Role::Risk).await
    }
}
