//! Getting mail out: rounds over the outboxes of the tenants.
//!
//! An attempt is counted in a transaction of its own before it begins, so that a mail on which the process dies is not
//! tried for ever. What the server said is written in another one after it. None is open while a server is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::delivery::{Failure, MailTransport, Outgoing};
use super::mail::Letter;
use super::{Body, body_purpose, retry, store};
use crate::caller::{Actor, Caller, Scoped, Writer};
use crate::db::TenantTx;
use crate::domain::Domain;
use crate::error::{Fault, Result};
use crate::ids::TenantId;
use crate::time::{MICROS_PER_DAY, MICROS_PER_SECOND, Timestamp};

/// Tenants that are served at the same time: one whose mails hang does not hold up the others.
const TENANTS_AT_ONCE: usize = 4;
/// Mails of one tenant in one round, before the others have their turn.
const MAILS_A_ROUND: u64 = 8;
/// Every outbox is looked into at least so often: hints may be lost.
const LOOK_MICROS: i64 = 60 * MICROS_PER_SECOND;
/// How long nobody is bothered after the server took no mail at all.
const PAUSE_MICROS: i64 = 5 * MICROS_PER_SECOND;
/// When a mail is due again whose attempt nobody ended, because the process died: longer than any attempt takes.
const CLAIM_MICROS: i64 = 300 * MICROS_PER_SECOND;
/// How long sent and parked mails can be looked up.
const KEPT_MICROS: i64 = 30 * MICROS_PER_DAY;

/// The way out, and who has something for it.
#[derive(Default)]
pub(crate) struct Post {
    transport: OnceLock<MailTransport>,
    public_url: OnceLock<String>,
    posted: Mutex<BTreeSet<TenantId>>,
    news: Notify,
}

impl Post {
    /// Tells that mail of this tenant was committed. It may be lost: what is true is the table.
    pub(crate) fn hint(&self, tenant: TenantId) {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
        self.news.notify_one();
    }

    fn take_posted(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut self.posted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a round found.
struct Round {
    /// When to look again.
    due: Option<Timestamp>,
    down: bool,
}

impl Domain {
    /// Sends mail by this transport; the first one given stays. Without any, mail waits in the outbox.
    pub fn with_mail(self, transport: MailTransport) -> Self {
        self.post().transport.set(transport).ok();
        self
    }

    /// Where people find this Saldo, for the links in mails; the first one given stays.
    pub fn set_public_url(&self, url: &str) {
        self.post().public_url.set(url.trim_end_matches('/').to_owned()).ok();
    }

    /// Without a slash at its end.
    pub fn public_url(&self) -> Option<&str> {
        self.post().public_url.get().map(String::as_str)
    }

    /// Sends everything that is due, of every tenant, unless the server takes no mail. When to look again.
    pub async fn deliver_mails(&self) -> Option<Timestamp> {
        match self.tenants().await {
            Ok(tenants) => self.deliver_for(tenants.into_iter().map(|tenant| tenant.id).collect()).await.due,
            Err(error) => {
                tracing::error!(%error, "the tenants could not be read");
                None
            }
        }
    }

    /// Sends mail as long as Saldo works: at once when some is posted, when a retry is due, and each minute.
    pub(crate) async fn keep_delivering(self, stopping: CancellationToken) {
        if self.post().transport.get().is_none() {
            return;
        }
        // When to look into every outbox. The process before may have left mail in some.
        let mut look_at = self.clock().now();
        let mut paused_until = look_at;
        loop {
            let now = self.clock().now();
            let until = if now < paused_until { paused_until } else { look_at };
            let wait = Duration::from_micros(until.0.saturating_sub(now.0).clamp(0, LOOK_MICROS).unsigned_abs());
            let hinted = async {
                self.post().news.notified().await;
                // While nobody is bothered, mail may gather.
                if now < paused_until {
                    std::future::pending::<()>().await;
                }
            };
            let is_time = tokio::select! {
                () = stopping.cancelled() => return,
                waited = tokio::time::timeout(wait, hinted) => waited.is_err() || wait.is_zero(),
            };
            let round = if is_time {
                look_at = self.clock().now().plus(LOOK_MICROS);
                self.post().take_posted();
                match self.tenants().await {
                    Ok(tenants) => self.deliver_for(tenants.into_iter().map(|tenant| tenant.id).collect()).await,
                    Err(error) => {
                        tracing::error!(%error, "the tenants could not be read");
                        continue;
                    }
                }
            } else {
                self.deliver_for(self.post().take_posted()).await
            };
            look_at = round.due.map_or(look_at, |due| due.min(look_at));
            if round.down {
                paused_until = self.clock().now().plus(PAUSE_MICROS);
                look_at = paused_until.min(look_at);
            }
        }
    }

    /// Rounds over these tenants until nothing of theirs is due.
    async fn deliver_for(&self, tenants: BTreeSet<TenantId>) -> Round {
        let Some(transport) = self.post().transport.get() else { return Round { due: None, down: false } };
        let (mut left, mut dues, down) = (tenants, BTreeMap::new(), AtomicBool::new(false));
        while !left.is_empty() {
            let one = async |tenant| (tenant, self.some_of(tenant, transport, &down).await);
            let each: Vec<_> = futures_util::stream::iter(left.iter().copied())
                .map(one)
                .buffer_unordered(TENANTS_AT_ONCE)
                .collect()
                .await;
            left.clear();
            for (tenant, due) in each {
                match due {
                    Ok(due) => {
                        if due.is_some_and(|due| due <= self.clock().now()) {
                            left.insert(tenant);
                        }
                        dues.insert(tenant, due);
                    }
                    Err(error) => tracing::error!(%tenant, %error, "the outbox could not be read"),
                }
            }
            if down.load(Ordering::Relaxed) || self.bus().stopping().is_cancelled() {
                break;
            }
        }
        Round { due: dues.into_values().flatten().min(), down: down.into_inner() }
    }

    /// Sends some of one tenant's due mail. When its next one is due.
    async fn some_of(
        &self,
        tenant: TenantId,
        transport: &MailTransport,
        down: &AtomicBool,
    ) -> Result<Option<Timestamp>> {
        let scoped = self.for_caller(Caller::verified(tenant, Actor::Operator));
        let tx = scoped.read().await?;
        let due = store::due(&tx, self.clock().now(), MAILS_A_ROUND).await?;
        drop(tx);
        for mail in due {
            if down.load(Ordering::Relaxed) || self.bus().stopping().is_cancelled() {
                break;
            }
            if scoped.attempt(transport, mail).await? {
                down.store(true, Ordering::Relaxed);
            }
        }
        Ok(store::next_due(&scoped.read().await?).await?)
    }
}

impl Scoped {
    /// One attempt at one mail. Whether the server turned out to take no mail at all.
    async fn attempt(&self, transport: &MailTransport, mut mail: store::Model) -> Result<bool> {
        if mail.attempts >= retry::MAX_ATTEMPTS {
            let said = "the last attempt did not come to an end";
            self.settle(failed(mail, Failure { said: said.to_owned(), lasting: true, down: false }, self)).await?;
            return Ok(false);
        }
        let (read, until) = (mail.clone(), self.clock().now().plus(CLAIM_MICROS));
        if !self.change(async move |_: &Writer, tx: &TenantTx| Ok(store::claim(tx, &read, until).await?)).await? {
            return Ok(false);
        }
        mail.attempts += 1;
        let sent = match self.outgoing(&mail) {
            Ok(outgoing) => transport.send(outgoing).await,
            Err(fault) => Err(Failure { said: fault.to_string(), lasting: true, down: false }),
        };
        let is_down = sent.as_ref().is_err_and(|failure| failure.down);
        let mail = match sent {
            Ok(()) => {
                tracing::info!(tenant = %mail.tenant_id, mail = %mail.id, "a mail was sent");
                let now = Some(self.clock().now());
                store::Model { body: None, next_at: None, sent_at: now, last_error: None, ..mail }
            }
            Err(failure) => failed(mail, failure, self),
        };
        self.settle(mail).await?;
        Ok(is_down)
    }

    fn outgoing(&self, mail: &store::Model) -> Result<Outgoing, Fault> {
        let corrupt = |what: String| Fault::Corrupt(format!("the body of {}: {what}", mail.id));
        let sealed = mail.body.as_ref().ok_or_else(|| corrupt("it is gone".to_owned()))?;
        let json = self.master_key().open(&body_purpose(mail.tenant_id, mail.id), sealed)?;
        let Body { text, html } = serde_json::from_slice(&json).map_err(|error| corrupt(error.to_string()))?;
        Ok(Outgoing {
            id: mail.id,
            recipient: mail.recipient.clone(),
            name: mail.recipient_name.clone(),
            letter: Letter { subject: mail.subject.clone(), text, html },
            written_at: mail.created_at,
        })
    }

    async fn settle(&self, mail: store::Model) -> Result<()> {
        self.change(async move |_: &Writer, tx: &TenantTx| Ok(store::settle(tx, mail).await?)).await
    }

    /// Forgets mails that were sent or parked long ago.
    pub(crate) async fn forget_mails(&self) -> Result<()> {
        let before = self.clock().now().plus(-KEPT_MICROS);
        self.change(async move |_: &Writer, tx: &TenantTx| Ok(store::forget(tx, before).await?)).await.map(drop)
    }
}

/// The mail after a failed attempt: to be tried again, or parked with its error.
fn failed(mail: store::Model, failure: Failure, domain: &Domain) -> store::Model {
    let Failure { said, lasting, .. } = failure;
    let now = domain.clock().now();
    let next_at = retry::wait(mail.id, mail.attempts).filter(|_| !lasting).map(|wait| now.plus(wait));
    let (tenant, id, attempts) = (mail.tenant_id, mail.id, mail.attempts);
    match next_at {
        Some(next) => tracing::warn!(%tenant, mail = %id, attempts, error = said, %next, "a mail was not taken"),
        None => tracing::error!(%tenant, mail = %id, attempts, error = said, "a mail is parked: nobody tries again"),
    }
    let failed_at = next_at.is_none().then_some(now);
    store::Model { next_at, failed_at, last_error: Some(said), ..mail }
}
