//! Signing in, staying in, and who a bearer token belongs to.

use std::sync::Arc;

use super::access_token::{Keyring, Session, SigningKey};
use super::tokens::{Token, TokenKind};
use super::{member, store};
use crate::Domain;
use crate::caller::{Actor, Caller};
use crate::db::TenantTx;
use crate::error::{Code, Error, Problem, Result};
use crate::events::{self, event::News};
use crate::ids::{FamilyId, MemberId, RefreshTokenId};
use crate::secrets::{self, Secret};
use crate::time::{MICROS_PER_DAY, Timestamp};

/// A session that nobody refreshes for so long is over.
const SESSION_IDLE_MICROS: i64 = 14 * MICROS_PER_DAY;

/// What a member gets for its password or its last refresh token.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub access_token: Secret,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// Good for one refresh; using it again ends the session.
    pub refresh_token: Secret,
}

/// Who a bearer token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    pub caller: Caller,
    /// When an access token expires; an API key does not.
    pub expires_at: Option<Timestamp>,
}

impl Domain {
    /// Signs a member in. An unknown tenant, an unknown address, a wrong password and a disabled member are one error,
    /// after about the same time.
    pub async fn sign_in(&self, slug: &str, email: &str, password: &str) -> Result<SignedIn> {
        let row = match self.find_member(slug, email).await? {
            Some(row) if row.disabled_at.is_none() => Some(row),
            _ => None,
        };
        let kept = row.as_ref().and_then(|row| row.password_hash.clone());
        let right = self.access().hasher.verify(password.to_owned(), kept.clone()).await?;
        let Some(row) = row.filter(|_| right) else { return Err(wrong_credentials()) };
        self.keyring().await?;
        let domain = self.clone();
        self.run_durably(async move {
            let tx = domain.db().write(row.tenant_id, None).await?;
            // Hashing took a while: what was true of the member before must be true of it now.
            let now = store::member_by_id(&tx, row.id).await?;
            if now.is_none_or(|now| now.disabled_at.is_some() || now.password_hash != kept) {
                return Err(wrong_credentials());
            }
            let signed_in = domain.issue_session_in(&tx, row.id, domain.clock().id()).await?;
            tx.commit().await?;
            Ok(signed_in)
        })
        .await
    }

    /// A new pair of tokens for a refresh token. One that was used before is in two hands: the whole session ends,
    /// for both.
    pub async fn refresh(&self, refresh_token: &str) -> Result<SignedIn> {
        let token = Token::parse(TokenKind::Refresh, refresh_token).ok_or_else(expired_session)?;
        self.keyring().await?;
        let domain = self.clone();
        self.run_durably(async move {
            let now = domain.clock().now();
            let tx = domain.db().write(token.tenant, None).await?;
            let row = store::refresh_token(&tx, token.id()).await?.filter(|row| token.matches(&row.secret_hash));
            let row = row.filter(|row| row.revoked_at.is_none()).ok_or_else(expired_session)?;
            if row.rotated_at.is_some() {
                tracing::warn!(tenant = %token.tenant, member = %row.member_id, "a used refresh token came back; its session ends");
                store::revoke_family(&tx, row.family_id, now).await?;
                tx.announce(News::access(row.member_id.0));
                events::commit(&domain, tx).await?;
                return Err(expired_session());
            }
            let disabled = store::member_by_id(&tx, row.member_id).await?.is_none_or(|row| row.disabled_at.is_some());
            if disabled || row.expires_at <= now {
                return Err(expired_session());
            }
            store::mark_rotated(&tx, row.id, now).await?;
            let signed_in = domain.issue_session_in(&tx, row.member_id, row.family_id).await?;
            tx.commit().await?;
            Ok(signed_in)
        })
        .await
    }

    /// Ends the session of a refresh token. Whoever has no session is signed out already.
    pub async fn sign_out(&self, refresh_token: &str) -> Result<()> {
        let Some(token) = Token::parse(TokenKind::Refresh, refresh_token) else { return Ok(()) };
        let domain = self.clone();
        self.run_durably(async move {
            let tx = domain.db().write(token.tenant, None).await?;
            let row = store::refresh_token(&tx, token.id()).await?.filter(|row| token.matches(&row.secret_hash));
            if let Some(row) = row {
                store::revoke_family(&tx, row.family_id, domain.clock().now()).await?;
                tx.announce(News::access(row.member_id.0));
            }
            events::commit(&domain, tx).await
        })
        .await
    }

    /// Who presents this access token or API key.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        Ok(self.admit(bearer).await?.caller)
    }

    /// Who presents this access token or API key, and until when. Role, partner and whether the session stands are
    /// read from the database each time, so that a change takes effect at once.
    pub async fn admit(&self, bearer: &str) -> Result<Admission> {
        match self.admit_once(bearer).await {
            // Every request begins with this: one that changes something is not turned away by a read.
            Err(error) if error.may_be_tried_again(true) && self.db().recover().await => self.admit_once(bearer).await,
            admitted => admitted,
        }
    }

    async fn admit_once(&self, bearer: &str) -> Result<Admission> {
        if let Some(token) = Token::parse(TokenKind::ApiKey, bearer) {
            let tx = self.read_as_installation(token.tenant).await?;
            let key = store::api_key(&tx, token.id()).await?.filter(|key| token.matches(&key.secret_hash));
            let key = key.filter(|key| key.revoked_at.is_none()).ok_or_else(bad_bearer)?;
            let caller = Caller::verified(token.tenant, Actor::ApiKey { id: key.id, source: key.source_id });
            return Ok(Admission { caller, expires_at: None });
        }
        let now = self.clock().now();
        let mut keyring = self.keyring().await?;
        if keyring.may_be_outdated_by(bearer, now) {
            self.access().keyring.lock().await.take();
            keyring = self.keyring().await?;
        }
        let (session, expires_at) = keyring.verify(bearer, now).ok_or_else(bad_bearer)?;
        let tx = self.read_as_installation(session.tenant).await?;
        let row = store::member_by_id(&tx, session.member).await?.filter(|row| row.disabled_at.is_none());
        let member = member::Member::try_from(row.ok_or_else(bad_bearer)?)?;
        if !store::family_stands(&tx, session.family, session.member).await? {
            return Err(bad_bearer());
        }
        let actor = Actor::Member { id: member.id, role: member.role, partner: member.partner };
        Ok(Admission { caller: Caller::verified(session.tenant, actor), expires_at: Some(expires_at) })
    }

    /// Loads the keys that sign access tokens, making the first one where there is none. Callers need not: it happens
    /// at first use. A server does so when it starts, to find out then that its master key is the wrong one.
    pub async fn load_signing_keys(&self) -> Result<()> {
        self.keyring().await.map(drop)
    }

    async fn keyring(&self) -> Result<Arc<Keyring>> {
        let mut kept = self.access().keyring.lock().await;
        if let Some(keyring) = &*kept {
            return Ok(keyring.clone());
        }
        let keyring = Arc::new(self.run_durably(load_keyring(self.clone())).await?);
        *kept = Some(keyring.clone());
        Ok(keyring)
    }

    async fn find_member(&self, slug: &str, email: &str) -> Result<Option<store::member::Model>> {
        let installation = self.db().admin_read().await?;
        let Some(tenant) = store::tenant_by_slug(&installation, slug).await? else { return Ok(None) };
        let tx = self.read_as_installation(tenant.id).await?;
        Ok(store::member_by_email(&tx, &email.trim().to_lowercase()).await?)
    }

    /// A refresh token of this session, and an access token to go with it.
    async fn issue_session_in(&self, tx: &TenantTx, member: MemberId, family: FamilyId) -> Result<SignedIn> {
        let (now, tenant) = (self.clock().now(), tx.tenant());
        let id: RefreshTokenId = self.clock().id();
        let token = Token::new(TokenKind::Refresh, tenant, id.0)?;
        let row = store::refresh_token::Model {
            tenant_id: tenant,
            id,
            family_id: family,
            member_id: member,
            secret_hash: token.hash(),
            expires_at: now.plus(SESSION_IDLE_MICROS),
            rotated_at: None,
            revoked_at: None,
            created_at: now,
        };
        store::insert(tx, row).await?;
        let (access_token, expires_at) = self.keyring().await?.sign(Session { tenant, member, family }, now)?;
        Ok(SignedIn { access_token, expires_at, refresh_token: token.reveal() })
    }
}

async fn load_keyring(domain: Domain) -> Result<Keyring> {
    let mut rows = store::signing_keys(&domain.db().admin_read().await?).await?;
    if rows.is_empty() {
        // Two processes that begin at once make one each, and read the other's when a token shows it.
        let tx = domain.db().admin().await?;
        let id = secrets::base64url(&secrets::random::<12>()?);
        let private_key = domain.master_key().seal(&signing_key_purpose(&id), &SigningKey::generate()?)?;
        let row = store::signing_key::Model { id, private_key, created_at: domain.clock().now() };
        store::insert_for_installation(&tx, row.clone()).await?;
        tx.commit().await?;
        rows.push(row);
    }
    let read_at = domain.clock().now();
    let keys = rows.into_iter().map(|row| {
        let pkcs8 = domain.master_key().open(&signing_key_purpose(&row.id), &row.private_key)?;
        Ok(SigningKey::from_pkcs8(row.id, &pkcs8)?)
    });
    Ok(Keyring::new(keys.collect::<Result<_>>()?, read_at))
}

fn signing_key_purpose(id: &str) -> String {
    format!("signing key {id}")
}

fn wrong_credentials() -> Error {
    Problem::new(Code::BadCredentials, "", "tenant, e-mail address or password is wrong").into()
}

fn expired_session() -> Error {
    Problem::new(Code::BadCredentials, "refreshToken", "this session is over; sign in again").into()
}

fn bad_bearer() -> Error {
    Problem::new(Code::BadCredentials, "", "the bearer token is wrong, expired or revoked").into()
}
