//! Background work: the ledger follows what open settlements earn, mail goes out, and what is old is forgotten.

use std::time::Duration;

use crate::caller::{Actor, Caller};
use crate::domain::Domain;
use crate::ids::TenantId;

/// How often the ledger may be trued up. Entries grow with time, not with transactions.
const TRUE_UP_EVERY: Duration = Duration::from_secs(1);
/// How often what is kept for a time only is looked through.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

impl Domain {
    /// Works until `stop`, and then ends what it has begun: a read that is dropped half way keeps its connection past
    /// the closing of the database. It begins with every tenant, because the process before may have died between
    /// recording and truing up.
    pub async fn work(&self, stop: impl Future<Output = ()>) {
        match self.tenants().await {
            Ok(tenants) => self.true_up_tenants(tenants.into_iter().map(|tenant| tenant.id)).await,
            Err(error) => tracing::error!(%error, "the tenants could not be read"),
        }
        // Beside all this: a mail server may take its time.
        self.background(|stopping| self.clone().keep_delivering(stopping));
        let mut tick = tokio::time::interval(TRUE_UP_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = tick.tick() => self.true_up_tenants(self.lanes().take_touched()).await,
                _ = prune.tick() => self.prune().await,
            }
        }
    }

    /// Forgets what is kept for a time only, when that time is over.
    pub async fn prune(&self) {
        let tenants = match self.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => return tracing::error!(%error, "the tenants could not be read"),
        };
        for tenant in tenants {
            let scoped = self.for_caller(Caller::verified(tenant.id, Actor::Operator));
            if let Err(error) = scoped.prune_events().await {
                tracing::error!(tenant = %tenant.id, %error, "old events could not be pruned");
            }
            if let Err(error) = scoped.forget_keys().await {
                tracing::error!(tenant = %tenant.id, %error, "old idempotency keys could not be forgotten");
            }
            if let Err(error) = scoped.forget_mails().await {
                tracing::error!(tenant = %tenant.id, %error, "old mails could not be forgotten");
            }
        }
    }

    async fn true_up_tenants(&self, tenants: impl IntoIterator<Item = TenantId>) {
        for tenant in tenants {
            let scoped = self.for_caller(Caller::verified(tenant, Actor::Operator));
            if let Err(error) = scoped.true_up().await {
                // The close trues up as well, so nothing is lost but freshness.
                tracing::error!(%tenant, %error, "the ledger could not be trued up");
            }
        }
    }
}
