//! Background work: the ledger follows what open settlements earn, mail goes out, what is old is forgotten, and jobs are
//! done.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::caller::{Actor, Caller, Scoped};
use crate::domain::Domain;
use crate::error::Result;
use crate::ids::TenantId;
use crate::jobs::job::JobKind;

/// How often the ledger may be trued up. Entries grow with time, not with transactions.
const TRUE_UP_EVERY: Duration = Duration::from_secs(1);
/// How often every tenant is looked at for work that nobody has hinted at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

const LOOK_AT_PARTITIONS_EVERY: Duration = Duration::from_secs(86_400);

impl Domain {
    /// Works until `stop`, and then ends what it has begun: a read that is dropped half way keeps its connection past
    /// the closing of the database.
    pub async fn work(&self, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let told = async {
            stop.await;
            stopping.cancel();
        };
        // Beside all this: a mail server may take its time.
        self.background(|stopping| self.clone().keep_delivering(stopping));
        tokio::join!(told, self.keep_books(&stopping), self.do_chores(&stopping));
    }

    /// Begins with every tenant, because the process before may have died between recording and truing up.
    async fn keep_books(&self, stopping: &CancellationToken) {
        self.true_up_tenants(self.every_tenant().await).await;
        let (mut tick, mut look) = (interval(TRUE_UP_EVERY), interval(LOOK_AT_PARTITIONS_EVERY));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = tick.tick() => self.true_up_tenants(self.lanes().take_touched()).await,
                _ = look.tick() => self.db().look_at_partitions().await,
            }
        }
    }

    /// What takes longer: jobs, and what the detector needs done. At the end, what it remembers is saved.
    async fn do_chores(&self, stopping: &CancellationToken) {
        let (mut tick, mut look) = (interval(TRUE_UP_EVERY), interval(LOOK_EVERY));
        loop {
            let tenants = tokio::select! {
                () = stopping.cancelled() => break,
                _ = tick.tick() => self.detectors().take_hinted(),
                _ = look.tick() => self.every_tenant().await.into_iter().collect(),
            };
            for tenant in tenants {
                if stopping.is_cancelled() {
                    break;
                }
                self.chores_of(tenant).await;
            }
            self.save_memories(false).await;
        }
        self.save_memories(true).await;
    }

    /// Everything that waits for this tenant.
    pub async fn chores_of(&self, tenant: TenantId) {
        let scoped = self.for_caller(Caller::verified(tenant, Actor::Operator));
        if let Err(error) = scoped.chores().await {
            tracing::error!(%tenant, %error, "background work could not be done");
        }
    }

    async fn save_memories(&self, all: bool) {
        for tenant in self.detectors().unsaved(self.clock().now(), all) {
            let scoped = self.for_caller(Caller::verified(tenant, Actor::Operator));
            if let Err(error) = scoped.save_memory().await {
                // It is read again from the transactions.
                tracing::error!(%tenant, %error, "what the detector remembers could not be saved");
            }
        }
    }

    async fn every_tenant(&self) -> Vec<TenantId> {
        match self.tenants().await {
            Ok(tenants) => tenants.into_iter().map(|tenant| tenant.id).collect(),
            Err(error) => {
                tracing::error!(%error, "the tenants could not be read");
                Vec::new()
            }
        }
    }

    /// Forgets of every tenant what is kept for a time only, when that time is over.
    pub async fn prune(&self) {
        for tenant in self.every_tenant().await {
            let scoped = self.for_caller(Caller::verified(tenant, Actor::Operator));
            if let Err(error) = scoped.forget().await {
                tracing::error!(%tenant, %error, "what is old could not be forgotten");
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

impl Scoped {
    async fn chores(&self) -> Result<()> {
        self.want_schedules().await?;
        self.want_training().await?;
        while let Some(job) = self.next_job().await? {
            let outcome = match job.kind {
                JobKind::TrainDetector => self.fit_detector().await,
                JobKind::Forget => self.forget().await,
            };
            self.end_job(job, outcome).await?;
        }
        while self.score_late().await? {}
        self.tell_of_cases().await?;
        self.tell_of_credit().await?;
        Ok(())
    }

    async fn forget(&self) -> Result<()> {
        self.prune_events().await?;
        self.forget_keys().await?;
        self.forget_mails().await
    }
}

fn interval(every: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}
