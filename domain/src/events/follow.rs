//! Following a tenant's events as they are committed: one reader per process keeps the newest ones of each followed
//! tenant in memory, and any number of tails read them there, or in the table where they are too far behind.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Domain;
use crate::error::{Fault, Result};
use crate::ids::TenantId;

use super::event::{Event, Interest, Kind, News};
use super::store;

/// Events of a tenant that are kept in memory; a tail that is further behind reads the table.
const RECENT: usize = 4_096;
/// Events that are read at once.
const READ_AT_ONCE: u64 = 1_000;
/// A hint may be lost (another process wrote, or a bus was down): then the table tells, this much later.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Who is followed, and who has something new.
#[derive(Default)]
pub(crate) struct Bus {
    hubs: Mutex<HashMap<TenantId, Weak<Hub>>>,
    /// Held while a hub is opened, so that a tenant has one.
    opening: tokio::sync::Mutex<()>,
    hinted: Mutex<BTreeSet<TenantId>>,
    wake: Notify,
    reading: AtomicBool,
    stop: CancellationToken,
}

/// What is in memory of one followed tenant.
struct Hub {
    tenant: TenantId,
    head: watch::Sender<i64>,
    recent: Mutex<VecDeque<Event>>,
    /// Of each actor whose access changed while somebody followed, the place of the last change.
    access: watch::Sender<Arc<BTreeMap<Uuid, i64>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bus {
    /// Something of this tenant was committed.
    pub(crate) fn hint(&self, tenant: TenantId) {
        locked(&self.hinted).insert(tenant);
        self.wake.notify_one();
    }

    /// Something of anybody may have been committed.
    pub(crate) fn hint_all(&self) {
        let followed = self.followed();
        locked(&self.hinted).extend(followed);
        self.wake.notify_one();
    }

    /// Ends the reader, and with it every tail.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    fn hub(&self, tenant: TenantId) -> Option<Arc<Hub>> {
        locked(&self.hubs).get(&tenant).and_then(Weak::upgrade)
    }

    /// Tenants that somebody follows; the others are forgotten.
    fn followed(&self) -> Vec<TenantId> {
        let mut hubs = locked(&self.hubs);
        hubs.retain(|_, hub| hub.strong_count() > 0);
        hubs.keys().copied().collect()
    }
}

impl Hub {
    /// Access changes are known before the head moves past them: whoever sees an event sees every change of access
    /// that was committed before it.
    fn push(&self, events: &[Event]) {
        let Some(last) = events.last() else { return };
        let changed = events.iter().filter(|event| event.news.kind == Kind::AccessChanged);
        let changed: Vec<(Uuid, i64)> = changed.map(|event| (event.news.subject, event.sequence)).collect();
        if !changed.is_empty() {
            self.access.send_modify(|access| Arc::make_mut(access).extend(changed));
        }
        let mut recent = locked(&self.recent);
        recent.extend(events);
        let excess = recent.len().saturating_sub(RECENT);
        recent.drain(..excess);
        drop(recent);
        self.head.send_replace(last.sequence);
    }

    /// The events after a place, unless some of them are no longer in memory.
    fn recent_after(&self, place: i64) -> Option<Vec<Event>> {
        let recent = locked(&self.recent);
        let first = recent.front()?.sequence;
        let skipped = usize::try_from(place + 1 - first).ok()?;
        Some(recent.iter().skip(skipped).copied().collect())
    }
}

impl Domain {
    /// Follows a tenant from its newest event on. Whoever may do so is asked of the caller before.
    pub async fn follow(&self, tenant: TenantId) -> Result<Tail> {
        let _opening = self.bus().opening.lock().await;
        let hub = match self.bus().hub(tenant) {
            Some(hub) => hub,
            None => {
                let head = store::head(&self.db().read(tenant, None).await?).await?.0;
                let hub = Arc::new(Hub {
                    tenant,
                    head: watch::Sender::new(head),
                    recent: Mutex::default(),
                    access: watch::Sender::default(),
                });
                locked(&self.bus().hubs).insert(tenant, Arc::downgrade(&hub));
                // What was committed since the head was read had nobody to be told to.
                self.bus().hint(tenant);
                hub
            }
        };
        if !self.bus().reading.swap(true, Ordering::SeqCst) {
            let domain = self.clone();
            self.background(|stop| read(domain, stop));
        }
        let (head, access) = (hub.head.subscribe(), hub.access.subscribe());
        let position = *head.borrow();
        Ok(Tail { domain: self.clone(), hub, head, access, position })
    }
}

/// The one reader of this process.
async fn read(domain: Domain, stop: CancellationToken) {
    let mut poll = tokio::time::interval(POLL_EVERY);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let tenants = tokio::select! {
            () = stop.cancelled() => return,
            () = domain.bus().wake.notified() => std::mem::take(&mut *locked(&domain.bus().hinted)),
            _ = poll.tick() => domain.bus().followed().into_iter().collect(),
        };
        for tenant in tenants {
            let Some(hub) = domain.bus().hub(tenant) else { continue };
            if let Err(error) = catch_up(&domain, &hub).await {
                // The next poll tries again.
                tracing::error!(%tenant, %error, "the events could not be read");
            }
        }
    }
}

async fn catch_up(domain: &Domain, hub: &Hub) -> Result<()> {
    loop {
        let place = *hub.head.borrow();
        let events = read_after(domain, hub.tenant, place).await?;
        hub.push(&events);
        if (events.len() as u64) < READ_AT_ONCE {
            return Ok(());
        }
    }
}

async fn read_after(domain: &Domain, tenant: TenantId, place: i64) -> Result<Vec<Event>> {
    let rows = store::after(&domain.db().read(tenant, None).await?, place, READ_AT_ONCE).await?;
    let events: Vec<Event> = rows.into_iter().map(Event::try_from).collect::<Result<_, Fault>>()?;
    match events.first() {
        Some(first) if first.sequence != place + 1 => {
            Err(Fault::Corrupt(format!("the events of {tenant} go from {place} to {}", first.sequence)).into())
        }
        _ => Ok(events),
    }
}

/// One follower of a tenant's events. A clone goes on from the same place.
#[derive(Clone)]
pub struct Tail {
    domain: Domain,
    hub: Arc<Hub>,
    head: watch::Receiver<i64>,
    access: watch::Receiver<Arc<BTreeMap<Uuid, i64>>>,
    position: i64,
}

impl Tail {
    pub fn tenant(&self) -> TenantId {
        self.hub.tenant
    }

    /// The place up to which [`Tail::next`] has come.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Waits for events after the last ones. Dropping the future loses none.
    pub async fn next(&mut self) -> Result<Vec<Event>> {
        loop {
            let head = *self.head.borrow_and_update();
            if head > self.position {
                let events = match self.hub.recent_after(self.position) {
                    Some(events) => events,
                    None => read_after(&self.domain, self.hub.tenant, self.position).await?,
                };
                if let Some(last) = events.last() {
                    self.position = last.sequence;
                    return Ok(events);
                }
            }
            // The tail itself keeps the hub, and so the sender.
            self.head.changed().await.map_err(|error| Fault::Internal(error.to_string()))?;
        }
    }

    /// Of each settlement of `interest` that changed after `from` and up to `until`, the newest event; in their order,
    /// at most `most`.
    pub async fn latest(&self, from: i64, until: i64, interest: &Interest, most: u64) -> Result<Vec<Event>> {
        let tx = self.domain.db().read(self.hub.tenant, None).await?;
        let rows = store::latest(&tx, from, until, interest, most).await?;
        let event = |row: store::Latest| {
            let news = News { kind: interest.kind, subject: row.subject_id, partner: row.partner_id };
            Event { sequence: row.sequence, news, at: row.occurred_at }
        };
        Ok(rows.into_iter().map(event).collect())
    }

    /// The place of the last change of an actor's access; 0 where none was told since somebody follows.
    pub fn access_changed(&self, actor: Uuid) -> i64 {
        self.access.borrow().get(&actor).copied().unwrap_or_default()
    }

    /// Waits until anybody's access changes.
    pub async fn any_access_change(&mut self) {
        if self.access.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
