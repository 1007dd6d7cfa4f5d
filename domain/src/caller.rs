//! Who asks, and what they may do. A [`Caller`] is built from verified credentials only; [`Scoped`] is the core as
//! that caller sees it, and the only thing with business methods.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Domain;
use crate::db::TenantTx;
use crate::error::{Error, Result};
use crate::idempotency::Once;
use crate::ids::{ApiKeyId, MemberId, PartnerId, SourceId, TenantId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Members, keys and everything else.
    Admin,
    /// Contracts, sources, imports and settlements.
    Settlement,
    /// Reviews flagged items; reads the rest.
    Risk,
    ReadOnly,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Settlement, Self::Risk, Self::ReadOnly];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Settlement => "SETTLEMENT",
            Self::Risk => "RISK",
            Self::ReadOnly => "READ_ONLY",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// See what the tenant (or the caller's partner) has.
    Read,
    /// Send transactions and files to this source.
    Record(SourceId),
    /// Change partners, products, players, assets, sources and contracts.
    Configure,
    /// Close settlements, sign off days, resolve quarantined records.
    Settle,
    /// Say what anomaly cases are, and set the detector.
    Review,
    /// Members, invitations and API keys.
    Administer,
}

impl Permission {
    const fn takes(self) -> &'static str {
        match self {
            Self::Read => "a member's sign-in",
            Self::Record(_) => "the role ADMIN or SETTLEMENT, or an API key of this source",
            Self::Configure | Self::Settle => "the role ADMIN or SETTLEMENT",
            Self::Review => "the role ADMIN or RISK",
            Self::Administer => "the role ADMIN",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    Member {
        id: MemberId,
        role: Role,
        partner: Option<PartnerId>,
    },
    ApiKey {
        id: ApiKeyId,
        source: SourceId,
    },
    /// The operator's own command line on the embedded database, and background work.
    Operator,
}

/// A verified caller of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    tenant: TenantId,
    actor: Actor,
}

impl Caller {
    /// Only `tenants` makes callers: it is the one that verifies credentials.
    pub(crate) fn verified(tenant: TenantId, actor: Actor) -> Self {
        Self { tenant, actor }
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The one partner that this caller may see, for a partner's user.
    pub fn partner(&self) -> Option<PartnerId> {
        match self.actor {
            Actor::Member { partner, .. } => partner,
            Actor::ApiKey { .. } | Actor::Operator => None,
        }
    }

    /// The member or API key itself; nobody for the operator.
    pub fn actor_id(&self) -> Uuid {
        match self.actor {
            Actor::Member { id, .. } => id.0,
            Actor::ApiKey { id, .. } => id.0,
            Actor::Operator => Uuid::nil(),
        }
    }

    /// The same rights without the person: what members of one tenant, role and partner see alike, and may share.
    pub fn audience(&self) -> Self {
        let actor = match self.actor {
            Actor::Member { role, partner, .. } => Actor::Member { id: MemberId::NONE, role, partner },
            ref other => other.clone(),
        };
        Self { tenant: self.tenant, actor }
    }

    pub fn member(&self) -> Option<MemberId> {
        match self.actor {
            Actor::Member { id, .. } => Some(id),
            Actor::ApiKey { .. } | Actor::Operator => None,
        }
    }

    pub fn may(&self, permission: Permission) -> bool {
        match (&self.actor, permission) {
            (Actor::Operator, _) => true,
            (Actor::ApiKey { source, .. }, Permission::Record(wanted)) => *source == wanted,
            (Actor::ApiKey { .. }, _) => false,
            (Actor::Member { .. }, Permission::Read) => true,
            // A partner's user reads, whatever its role says: the books are the tenant's.
            (Actor::Member { partner: Some(_), .. }, _) => false,
            (Actor::Member { role, .. }, Permission::Administer) => *role == Role::Admin,
            (Actor::Member { role, .. }, Permission::Review) => matches!(role, Role::Admin | Role::Risk),
            (Actor::Member { role, .. }, _) => matches!(role, Role::Admin | Role::Settlement),
        }
    }
}

/// The core as one caller sees it.
#[derive(Clone)]
pub struct Scoped {
    domain: Domain,
    caller: Caller,
    /// The request that the next change is for, where it is to be done once.
    once: Option<Arc<Once>>,
}

impl Scoped {
    pub(crate) fn new(domain: Domain, caller: Caller) -> Self {
        Self { domain, caller, once: None }
    }

    /// The same caller, whose next change is done once under this key: sent again, it gets the first outcome. Every
    /// caller has keys of its own. `request` is the SHA-256 of what is asked; the key with another operation or
    /// request is refused. A key that is too long or has other characters than visible ASCII is a [`Problem`].
    ///
    /// [`Problem`]: crate::error::Problem
    pub fn once(&self, key: &str, operation: &str, request: [u8; 32]) -> Result<Self> {
        let once = Once::new(self.caller.actor_id(), key, operation, request)?;
        Ok(Self { once: Some(Arc::new(once)), ..self.clone() })
    }

    pub(crate) fn keyed(&self) -> Option<&Arc<Once>> {
        self.once.as_ref()
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.caller.may(permission) { Ok(()) } else { Err(Error::Denied(permission.takes())) }
    }

    /// A consistent view for reading, narrowed to the caller's tenant and partner.
    pub(crate) async fn read(&self) -> Result<TenantTx> {
        Ok(self.domain.db().read(self.caller.tenant, self.caller.partner()).await?)
    }

    /// The same without what a partner's user may not see: for what pricing reads, whoever asks what came of it. Nothing
    /// that is read by it is shown.
    pub(crate) async fn read_for_pricing(&self) -> Result<TenantTx> {
        Ok(self.domain.db().read(self.caller.tenant, None).await?)
    }

    /// The same for the parts that a partner has of settlements of other partners' contracts. Of what is read by it a
    /// partner's user is shown its own parts, and nothing else.
    pub(crate) async fn read_for_parts(&self) -> Result<TenantTx> {
        Ok(self.domain.db().read(self.caller.tenant, None).await?)
    }

    /// The same for lists and reports, at the replica where there is one; it has all that was committed before.
    pub(crate) async fn read_elsewhere(&self) -> Result<TenantTx> {
        let (tenant, partner) = (self.caller.tenant, self.caller.partner());
        Ok(self.domain.db().read_elsewhere(self.domain.clock(), tenant, partner).await?)
    }

    /// The one way into a change: it runs to its end even if the caller hangs up. Services call [`Scoped::change`],
    /// which rests on it.
    pub(crate) async fn durable<T, W, F>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(Writer) -> F,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // Boxed where it is made: a development build copies it from frame to frame otherwise, and its stack is small.
        self.domain.run_durably(Box::pin(work(Writer(self.clone())))).await
    }
}

impl Deref for Scoped {
    type Target = Domain;
    fn deref(&self) -> &Domain {
        &self.domain
    }
}

/// [`Scoped`] inside [`Scoped::durable`]: the only one that can begin a change.
pub(crate) struct Writer(Scoped);

impl Writer {
    pub(crate) async fn begin(&self) -> Result<TenantTx> {
        Ok(self.0.domain.db().write(self.0.caller.tenant, self.0.caller.partner()).await?)
    }
}

impl Deref for Writer {
    type Target = Scoped;
    fn deref(&self) -> &Scoped {
        &self.0
    }
}
