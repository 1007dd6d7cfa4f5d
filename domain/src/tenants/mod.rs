//! Tenants, and who may act in them. Uses `db`, `secrets`, `caller` and, for invitations, `notifications`; every other
//! capability rests on the [`Caller`] made here.
//!
//! - `mod.rs`: tenants themselves, and what every caller may know of its own.
//! - `sessions.rs`: signing in, staying in, and turning a bearer token into a [`Caller`].
//! - `members.rs`: inviting, resetting, promoting and disabling people; accepting a one-time token.
//! - `api_keys.rs`: keys of machines, each for one source.
//! - `member.rs`, `password.rs`, `tokens.rs`, `access_token.rs`: the rules and formats, without a database.

mod access_token;
mod api_keys;
mod member;
mod members;
mod password;
mod sessions;
mod store;
mod tokens;

use std::sync::Arc;

use sea_orm::{DbErr, SqlErr};
use tokio::sync::Mutex;

use self::access_token::Keyring;
use self::password::Hasher;
use crate::Domain;
use crate::caller::{Actor, Caller, Role, Scoped};
use crate::db::{AdminTx, TenantTx};
use crate::error::{Code, Error, Fault, Problem, Result};
use crate::ids::{MemberId, PartnerId, TenantId};
use crate::notifications::Language;
use crate::secrets::{self, KEY_BYTES, Pseudonyms, Secret};
use crate::time::Timestamp;

pub use self::api_keys::{ApiKey, CreatedApiKey};
pub use self::member::{Member, MemberState};
pub use self::members::{Invitation, Invite, OneTimeToken};
pub(crate) use self::members::{member_names_in, staff_in};
pub use self::sessions::{Admission, SignedIn};

/// What signing in keeps in memory.
#[derive(Default)]
pub(crate) struct Access {
    keyring: Mutex<Option<Arc<Keyring>>>,
    hasher: Hasher,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    /// The short name that people type when they sign in.
    pub slug: String,
    pub name: String,
    pub created_at: Timestamp,
}

/// A tenant that is to be, with its first administrator.
#[derive(Clone)]
pub struct NewTenant {
    pub slug: String,
    pub name: String,
    pub admin_email: String,
    /// The address, where absent.
    pub admin_name: Option<String>,
    /// Where absent, the administrator gets an invitation and chooses one.
    pub admin_password: Option<Secret>,
}

#[derive(Clone, Debug)]
pub struct CreatedTenant {
    pub tenant: Tenant,
    pub admin: Member,
    /// Present when no password was given.
    pub invitation: Option<OneTimeToken>,
}

/// What a caller may know of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub tenant: Tenant,
    /// Absent for an API key and for the operator.
    pub member: Option<Member>,
}

/// A member as it is written: everything checked.
#[derive(Clone)]
pub(crate) struct NewMember {
    email: String,
    name: String,
    role: Role,
    partner: Option<PartnerId>,
    language: Language,
}

impl Domain {
    /// A tenant with its first administrator. Only the operator's own command line calls this.
    pub async fn create_tenant(&self, new: NewTenant) -> Result<CreatedTenant> {
        let (slug, name, admin) = check_new_tenant(&new)?;
        let hash = match new.admin_password {
            Some(password) => Some(self.access().hasher.hash(password.expose().to_owned()).await?),
            None => None,
        };
        let domain = self.clone();
        self.run_durably(async move {
            let now = domain.clock().now();
            let id: TenantId = domain.clock().id();
            let player_key = domain.master_key().seal(&player_key_purpose(id), &secrets::random::<KEY_BYTES>()?)?;
            let row = store::tenant::Model { id, slug, name, config_epoch: 0, player_key, created_at: now };
            let tenant = Tenant::from(row.clone());
            let tx = domain.db().admin().await?;
            let taken = Problem::new(Code::AlreadyExists, "slug", "a tenant with this name exists");
            store::insert_for_installation(&tx, row).await.map_err(|error| refused(error, Some(taken), None))?;
            let tx = tx.into_tenant(id).await?;
            let admin = store::new_member(&tx, domain.clock().id(), admin, hash, now);
            store::insert(&tx, admin.clone()).await?;
            let invitation = match admin.password_hash {
                Some(_) => None,
                None => Some(members::issue_token_in(&tx, &domain, &admin).await?),
            };
            tx.commit().await?;
            Ok(CreatedTenant { tenant, admin: admin.try_into()?, invitation })
        })
        .await
    }

    /// The operator of this machine, acting in one tenant: the local command line and the demo. Whoever calls it must
    /// hold the database file itself; nothing from the network may reach it.
    pub async fn operator(&self, slug: &str) -> Result<Caller> {
        let tx = self.db().admin_read().await?;
        let tenant = store::tenant_by_slug(&tx, slug).await?.ok_or(Error::NotFound("tenant"))?;
        Ok(Caller::verified(tenant.id, Actor::Operator))
    }

    /// Every tenant of the installation, oldest first: for background work and the local command line.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let tx = self.db().admin_read().await?;
        Ok(store::tenants(&tx).await?.into_iter().map(Tenant::from).collect())
    }

    /// All of one tenant, whoever asks: for what a caller cannot see of itself, such as its own member row.
    async fn read_as_installation(&self, tenant: TenantId) -> Result<TenantTx> {
        Ok(self.db().read(tenant, None).await?)
    }

    async fn tenant_row(&self, id: TenantId) -> Result<store::tenant::Model> {
        let tx = self.db().admin_read().await?;
        store::tenant_by_id(&tx, id).await?.ok_or_else(|| Fault::Corrupt(format!("{id} is gone")).into())
    }
}

impl Scoped {
    /// Who this caller is. Every caller may know.
    pub async fn viewer(&self) -> Result<Viewer> {
        let tenant = self.tenant_row(self.tenant()).await?.into();
        let member = match self.caller().member() {
            Some(id) => Some(self.own_member(id).await?),
            None => None,
        };
        Ok(Viewer { tenant, member })
    }

    /// What the tenant is called.
    pub(crate) async fn tenant_name(&self) -> Result<String> {
        Ok(self.tenant_row(self.tenant()).await?.name)
    }

    /// What turns players' names into this tenant's pseudonyms.
    pub(crate) async fn pseudonyms(&self) -> Result<Pseudonyms> {
        let id = self.tenant();
        let key = self.master_key().open(&player_key_purpose(id), &self.tenant_row(id).await?.player_key)?;
        let key = key.try_into().map_err(|_| Fault::Corrupt(format!("the player key of {id}")))?;
        Ok(Pseudonyms::new(key))
    }

    async fn own_member(&self, id: MemberId) -> Result<Member> {
        let tx = self.read_as_installation(self.tenant()).await?;
        Ok(store::member_by_id(&tx, id).await?.ok_or(Error::NotFound("member"))?.try_into()?)
    }
}

/// That neither the id nor the short name of a tenant who moves in is here.
pub(crate) async fn check_absent_in(tx: &AdminTx, id: TenantId, slug: &str) -> Result<()> {
    let problem = |message| Err(Problem::new(Code::AlreadyExists, "", message).into());
    if let Some(same) = store::tenant_by_id(tx, id).await? {
        return problem(format!("the tenant '{}' ({id}) is here already", same.slug));
    }
    if store::tenant_by_slug(tx, slug).await?.is_some() {
        return problem(format!("another tenant is called '{slug}' here"));
    }
    Ok(())
}

fn check_new_tenant(new: &NewTenant) -> Result<(String, String, NewMember)> {
    let slug = member::check_slug(&new.slug, "slug");
    let name = member::check_name(&new.name, "name");
    let email = member::check_email(&new.admin_email, "adminEmail");
    let admin = member::check_name(new.admin_name.as_deref().unwrap_or(&new.admin_email), "adminName");
    let weak = new.admin_password.as_ref().and_then(|password| {
        password::check(password.expose(), email.as_deref().unwrap_or_default(), &new.slug, "adminPassword")
    });
    match (slug, name, email, admin, weak) {
        (Ok(slug), Ok(name), Ok(email), Ok(admin), None) => Ok((
            slug,
            name,
            NewMember { email, name: admin, role: Role::Admin, partner: None, language: Language::default() },
        )),
        (slug, name, email, admin, weak) => {
            let checked = [slug.err(), name.err(), email.err(), admin.err(), weak];
            Err(Error::Invalid(checked.into_iter().flatten().collect()))
        }
    }
}

fn player_key_purpose(tenant: TenantId) -> String {
    format!("the player key of {tenant}")
}

/// What the database says about a second row of one name, or a reference to nothing (another tenant's row included),
/// as the problem of the field that gave it. A check before the insert would race; the constraint does not.
fn refused(error: DbErr, second: Option<Problem>, dangling: Option<Problem>) -> Error {
    let problem = match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => second,
        Some(SqlErr::ForeignKeyConstraintViolation(_)) => dangling,
        _ => None,
    };
    problem.map_or_else(|| error.into(), Error::from)
}
