//! People: inviting, promoting and disabling them, and the one-time tokens by which they choose a password.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::member::{self, Member};
use super::password;
use super::store;
use super::tokens::{Token, TokenKind};
use super::{NewMember, Tenant, refused};
use crate::Domain;
use crate::caller::{Permission, Role, Scoped, Writer};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::events::{self, event::News};
use crate::ids::{MemberId, OneTimeTokenId, PartnerId};
use crate::notifications::mail::{self, InvitationMail};
use crate::notifications::{self, Language, NewMail};
use crate::page::{Page, PageRequest};
use crate::secrets::{Secret, exposed};
use crate::time::{MICROS_PER_DAY, MICROS_PER_HOUR, Timestamp};

const INVITATION_MICROS: i64 = 7 * MICROS_PER_DAY;
const RESET_MICROS: i64 = MICROS_PER_HOUR;

/// Lets its holder choose a password, once. The administrator who asked for it passes it on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OneTimeToken {
    #[serde(with = "exposed")]
    pub token: Secret,
    pub expires_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invitation {
    pub member: Member,
    pub token: OneTimeToken,
}

/// Somebody who is to become a member.
#[derive(Clone, Copy, Debug)]
pub struct Invite<'a> {
    pub email: &'a str,
    pub name: &'a str,
    pub role: Role,
    /// Makes it this partner's user.
    pub partner: Option<PartnerId>,
    /// Of the mails to it.
    pub language: Language,
    /// Whether the token goes to it by mail as well.
    pub send_mail: bool,
}

impl Scoped {
    pub async fn members(&self, request: PageRequest) -> Result<Page<Member>> {
        self.require(Permission::Administer)?;
        let tx = self.read().await?;
        let page = store::members(&tx, request).await?;
        let items = page.items.into_iter().map(Member::try_from).collect::<Result<_, _>>()?;
        Ok(Page { items, has_next: page.has_next })
    }

    /// One member: any for an administrator, itself for everybody.
    pub async fn member(&self, id: MemberId) -> Result<Member> {
        if self.caller().member() == Some(id) {
            return self.own_member(id).await;
        }
        self.require(Permission::Administer)?;
        let tx = self.read().await?;
        Ok(store::member_by_id(&tx, id).await?.ok_or(Error::NotFound("member"))?.try_into()?)
    }

    /// Those of these members whom the caller may see: all for an administrator, itself for everybody.
    pub async fn members_by_ids(&self, ids: &[MemberId]) -> Result<Vec<Member>> {
        if self.caller().may(Permission::Administer) {
            let rows = store::members_by_ids(&self.read().await?, ids).await?;
            return Ok(rows.into_iter().map(Member::try_from).collect::<Result<_, _>>()?);
        }
        match self.caller().member().filter(|own| ids.contains(own)) {
            Some(own) => Ok(vec![self.own_member(own).await?]),
            None => Ok(Vec::new()),
        }
    }

    /// Adds a member who reads English and gets no mail.
    pub async fn invite_member(
        &self,
        email: &str,
        name: &str,
        role: Role,
        partner: Option<PartnerId>,
    ) -> Result<Invitation> {
        self.invite(Invite { email, name, role, partner, language: Language::En, send_mail: false }).await
    }

    /// Adds a member who chooses a password with the token. With a partner it becomes that partner's user.
    pub async fn invite(&self, invite: Invite<'_>) -> Result<Invitation> {
        self.require(Permission::Administer)?;
        let new = check_new_member(&invite)?;
        let by = if invite.send_mail { Some(Tenant::from(self.tenant_row(self.tenant()).await?)) } else { None };
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let row = store::new_member(tx, writer.clock().id(), new, None, writer.clock().now());
            let taken = Problem::new(Code::AlreadyExists, "email", "a member with this address exists");
            let no_partner = Problem::new(Code::NotFound, "partnerId", "there is no such partner");
            let inserted = store::insert(tx, row.clone()).await;
            inserted.map_err(|error| refused(error, Some(taken), Some(no_partner)))?;
            let token = issue_token_in(tx, writer, &row).await?;
            let invitation = Invitation { member: row.try_into()?, token };
            if let Some(by) = by {
                notifications::post_in(tx, writer, vec![invitation_mail(&by, &invitation, writer.public_url())?])
                    .await?;
            }
            Ok(invitation)
        })
        .await
    }

    /// Chooses the language in which the caller itself is written to.
    pub async fn set_language(&self, language: Language) -> Result<Member> {
        self.require(Permission::Read)?;
        let id = self.caller().member().ok_or(Error::Denied("a member's sign-in"))?;
        // A partner's user sees no row of members, not even its own.
        let own = self.own_member(id).await?;
        self.change(async move |_: &Writer, tx: &TenantTx| {
            store::set_language(tx, id, language).await?;
            Ok(Member { language, ..own })
        })
        .await
    }

    /// A token with which a member chooses a new password (or a first one: an invitation again). Until then the old
    /// password works; earlier tokens do not.
    pub async fn reset_password(&self, id: MemberId) -> Result<Invitation> {
        self.require(Permission::Administer)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let row = member_in(tx, id).await?;
            if row.disabled_at.is_some() {
                return Err(
                    Problem::new(Code::WrongState, "memberId", "a disabled member has no password to reset").into()
                );
            }
            let token = issue_token_in(tx, writer, &row).await?;
            Ok(Invitation { member: row.try_into()?, token })
        })
        .await
    }

    pub async fn set_member_role(&self, id: MemberId, role: Role) -> Result<Member> {
        self.change_member(id, move |row| {
            member::check_role(role, row.partner_id).map_or(Ok(()), |problem| Err(Error::from(problem)))?;
            row.role = role.as_str().to_owned();
            Ok(())
        })
        .await
    }

    /// Ends a member's sessions and takes no password or token of it any more.
    pub async fn disable_member(&self, id: MemberId) -> Result<Member> {
        let now = self.clock().now();
        self.change_member(id, move |row| {
            row.disabled_at.get_or_insert(now);
            Ok(())
        })
        .await
    }

    /// Lets a disabled member in again, with the password it had.
    pub async fn enable_member(&self, id: MemberId) -> Result<Member> {
        self.change_member(id, |row| {
            row.disabled_at = None;
            Ok(())
        })
        .await
    }

    async fn change_member(
        &self,
        id: MemberId,
        change: impl FnOnce(&mut store::member::Model) -> Result<()> + Clone + Send + 'static,
    ) -> Result<Member> {
        self.require(Permission::Administer)?;
        self.change(async move |writer: &Writer, tx: &TenantTx| {
            let now = writer.clock().now();
            let mut row = member_in(tx, id).await?;
            let before = Member::try_from(row.clone())?;
            change(&mut row)?;
            let after = Member::try_from(row.clone())?;
            if !still_administered_in(tx, &before, &after).await? {
                let message = "this is the tenant's last administrator; make another one first";
                return Err(Problem::new(Code::LastAdministrator, "memberId", message).into());
            }
            store::update_member(tx, &row).await?;
            if after.state == member::MemberState::Disabled {
                store::revoke_sessions(tx, id, now).await?;
                store::spend_one_time_tokens(tx, id, now).await?;
            }
            tx.announce(News::access(id.0));
            Ok(after)
        })
        .await
    }
}

impl Domain {
    /// Spends an invitation or a reset: its member has this password from now on, and every session it had ends.
    pub async fn accept_token(&self, token: &str, password: &str) -> Result<Member> {
        let token = Token::parse(TokenKind::OneTime, token).ok_or_else(spent)?;
        // Only a good token is worth the slow hash. It is looked at again in the change itself.
        let now = self.clock().now();
        let tx = self.read_as_installation(token.tenant).await?;
        let row = holder_in(&tx, &token, now).await?;
        drop(tx);
        let slug = self.tenant_row(token.tenant).await?.slug;
        if let Some(problem) = password::check(password, &row.email, &slug, "password") {
            return Err(problem.into());
        }
        let hash = self.access().hasher.hash(password.to_owned()).await?;
        let domain = self.clone();
        self.run_durably(async move {
            let tx = domain.db().write(token.tenant, None).await?;
            let mut row = holder_in(&tx, &token, now).await?;
            row.password_hash = Some(hash);
            store::update_member(&tx, &row).await?;
            store::spend_one_time_tokens(&tx, row.id, now).await?;
            store::revoke_sessions(&tx, row.id, now).await?;
            tx.announce(News::access(row.id.0));
            events::commit(&domain, tx).await?;
            Ok(row.try_into()?)
        })
        .await
    }
}

/// A new one-time token for a member; the ones before it are spent.
pub(super) async fn issue_token_in(
    tx: &TenantTx,
    domain: &Domain,
    member: &store::member::Model,
) -> Result<OneTimeToken> {
    let now = domain.clock().now();
    let id: OneTimeTokenId = domain.clock().id();
    let token = Token::new(TokenKind::OneTime, tx.tenant(), id.0)?;
    let lifetime = if member.password_hash.is_some() { RESET_MICROS } else { INVITATION_MICROS };
    let expires_at = now.plus(lifetime);
    store::spend_one_time_tokens(tx, member.id, now).await?;
    let row = store::one_time_token::Model {
        tenant_id: tx.tenant(),
        id,
        member_id: member.id,
        secret_hash: token.hash(),
        expires_at,
        used_at: None,
        created_at: now,
    };
    store::insert(tx, row).await?;
    Ok(OneTimeToken { token: token.reveal(), expires_at })
}

/// The member that a good one-time token belongs to.
async fn holder_in(tx: &TenantTx, token: &Token, now: Timestamp) -> Result<store::member::Model> {
    let row = store::one_time_token(tx, token.id()).await?.filter(|row| token.matches(&row.secret_hash));
    let row = row.filter(|row| row.used_at.is_none() && row.expires_at > now).ok_or_else(spent)?;
    let member = store::member_by_id(tx, row.member_id).await?;
    member.filter(|member| member.disabled_at.is_none()).ok_or_else(spent)
}

async fn member_in(tx: &TenantTx, id: MemberId) -> Result<store::member::Model> {
    store::member_by_id(tx, id).await?.ok_or(Error::NotFound("member"))
}

async fn still_administered_in(tx: &TenantTx, before: &Member, after: &Member) -> Result<bool> {
    let rows = store::with_role(tx, Role::Admin).await?;
    let admins: Vec<Member> = rows.into_iter().map(Member::try_from).collect::<Result<_, _>>()?;
    Ok(after.administers() || member::another_administers(&admins, before))
}

/// What these members are called. The transaction must not be a partner's, which sees none.
pub(crate) async fn member_names_in(tx: &TenantTx, ids: Vec<MemberId>) -> Result<BTreeMap<MemberId, String>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    Ok(store::members_by_ids(tx, &ids).await?.into_iter().map(|row| (row.id, row.name)).collect())
}

/// The tenant's own members with this role that can sign in, oldest first. The transaction must not be a partner's.
pub(crate) async fn staff_in(tx: &TenantTx, role: Role) -> Result<Vec<Member>> {
    let rows = store::with_role(tx, role).await?;
    let members: Vec<Member> = rows.into_iter().map(Member::try_from).collect::<Result<_, _>>()?;
    let own = |member: &Member| member.partner.is_none() && member.state == member::MemberState::Active;
    Ok(members.into_iter().filter(own).collect())
}

fn invitation_mail(by: &Tenant, invitation: &Invitation, link: Option<&str>) -> Result<NewMail> {
    let Invitation { member, token } = invitation;
    let letter = mail::invitation_mail(
        &InvitationMail {
            tenant_name: &by.name,
            slug: &by.slug,
            name: &member.name,
            email: &member.email,
            token: &token.token,
            expires_at: token.expires_at,
            link,
        },
        member.language,
    )?;
    Ok(NewMail { to: member.clone().into(), letter })
}

fn check_new_member(invite: &Invite<'_>) -> Result<NewMember> {
    let Invite { email, name, role, partner, language, .. } = *invite;
    match (member::check_email(email, "email"), member::check_name(name, "name"), member::check_role(role, partner)) {
        (Ok(email), Ok(name), None) => Ok(NewMember { email, name, role, partner, language }),
        (email, name, role) => Err(Error::Invalid([email.err(), name.err(), role].into_iter().flatten().collect())),
    }
}

fn spent() -> Error {
    Problem::new(Code::BadCredentials, "token", "this token is wrong, used or expired; ask for another one").into()
}
