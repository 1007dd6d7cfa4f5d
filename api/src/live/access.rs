//! Whether a subscriber may go on: its access token runs out, its session can end, and what it may see can change
//! while it listens.

use domain::events::Tail;
use domain::secrets::Secret;
use domain::tenants::Admission;
use domain::time::Timestamp;
use domain::{Domain, Error, Scoped};
use tokio::time::Instant;

/// The credentials of one connection.
#[derive(Clone)]
pub struct Access {
    token: Secret,
    scoped: Scoped,
    expires_at: Option<Timestamp>,
    tail: Tail,
    /// The place up to which changes of access are known to leave this one as it is.
    checked: i64,
}

/// Why a connection may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The access token has expired: come again with a new one.
    Expired,
    /// The session is over, the key revoked, or role and partner are others.
    Revoked,
}

impl Access {
    /// Who presents this token. Changes of its access are known from here on.
    pub async fn open(domain: &Domain, token: Secret) -> Result<Self, Error> {
        let tenant = domain.admit(token.expose()).await?.caller.tenant();
        let tail = domain.follow(tenant).await?;
        let checked = tail.position();
        // Once more: it may have ended before anybody listened.
        let Admission { caller, expires_at } = domain.admit(token.expose()).await?;
        Ok(Self { token, scoped: domain.for_caller(caller), expires_at, tail, checked })
    }

    pub fn scoped(&self) -> &Scoped {
        &self.scoped
    }

    /// Looks again where something has changed: to be asked before anything is sent.
    pub async fn check(&mut self) -> Result<(), Lost> {
        if self.expires_at.is_some_and(|at| at <= self.scoped.clock().now()) {
            return Err(Lost::Expired);
        }
        let changed = self.tail.access_changed(self.scoped.caller().actor_id());
        if changed > self.checked {
            let admitted = self.scoped.admit(self.token.expose()).await;
            if !admitted.is_ok_and(|admitted| admitted.caller == *self.scoped.caller()) {
                return Err(Lost::Revoked);
            }
            self.checked = changed;
        }
        Ok(())
    }

    /// Waits until the access is lost. It is to be kept while the connection lasts: begun anew for each message, it
    /// would set its timer and take its place among those who wait each time.
    pub async fn lost(mut self) -> Lost {
        let mut expired = std::pin::pin!(until(self.expires_at, self.scoped.clock().now()));
        loop {
            if let Err(lost) = self.check().await {
                return lost;
            }
            tokio::select! {
                () = self.tail.any_access_change() => {}
                // Clocks are set: the check has the last word.
                () = &mut expired => expired.set(until(self.expires_at, self.scoped.clock().now())),
            }
        }
    }
}

async fn until(expires_at: Option<Timestamp>, now: Timestamp) {
    match expires_at {
        Some(at) => {
            let left = u64::try_from(at.0 - now.0).unwrap_or_default();
            tokio::time::sleep_until(Instant::now() + std::time::Duration::from_micros(left)).await;
        }
        None => std::future::pending().await,
    }
}
