//! The queue before the database: requests that arrive while one batch commits become the next batch.
//!
//! There is no timer: an idle system commits at once, a busy one commits as much as has gathered. Files have a queue
//! of their own that takes turns with the other, so that a request waits for at most one batch of a file. Writers drain
//! both: as many as the database can have, which is one on an embedded one, and a tenant has one at a time. A caller
//! that goes away stops none of them.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::oneshot;

use crate::caller::Scoped;
use crate::error::{Fault, Result};
use crate::idempotency::Slot;
use crate::ids::{SourceId, TenantId, TransactionId};

use super::context::Context;
use super::record;
use super::submission::{RecordOutcome, Submission};

/// Records in one database transaction, unless a single submission has more.
const BATCH_RECORDS: usize = 8_192;
const BATCH_BYTES: usize = 8 << 20;
/// Contexts that are kept in memory, as long as somebody needs them.
const CONTEXTS: u64 = 1_000;
const KNOWN: u64 = 100_000;
const IDLE: Duration = Duration::from_secs(3_600);

pub struct Lanes {
    queues: Mutex<Queues>,
    /// By tenant and epoch.
    pub(super) contexts: Cache<(TenantId, i64), Arc<Context>>,
    /// Sources that are there, which they stay for good.
    pub(super) sources: Cache<(TenantId, SourceId), ()>,
    /// A transaction that each tenant has; there may be newer ones.
    pub(super) newest: Cache<TenantId, TransactionId>,
    /// Tenants whose running totals grew since somebody asked.
    touched: Mutex<BTreeSet<TenantId>>,
}

impl Default for Lanes {
    fn default() -> Self {
        let contexts = Cache::builder().max_capacity(CONTEXTS).time_to_idle(IDLE).build();
        let sources = Cache::builder().max_capacity(KNOWN).time_to_idle(IDLE).build();
        let newest = Cache::builder().max_capacity(KNOWN).time_to_idle(IDLE).build();
        Self { queues: Mutex::default(), contexts, sources, newest, touched: Mutex::default() }
    }
}

#[derive(Default)]
struct Queues {
    writers: usize,
    /// Tenants that have a batch under way.
    at_work: HashSet<TenantId>,
    bulk_next: bool,
    interactive: Queue,
    bulk: Queue,
}

/// Jobs by tenant, and the tenants that have some, each in its turn.
#[derive(Default)]
struct Queue {
    turns: VecDeque<TenantId>,
    jobs: HashMap<TenantId, VecDeque<Job>>,
}

pub(super) struct Job {
    pub scoped: Scoped,
    pub submission: Submission,
    reply: oneshot::Sender<Result<Vec<RecordOutcome>>>,
}

impl Job {
    pub fn answer(self, outcome: Result<Vec<RecordOutcome>>) {
        // Nobody listens when the caller hung up; the work is done all the same.
        let _ = self.reply.send(outcome);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn push(&mut self, job: Job) {
        let tenant = job.scoped.tenant();
        let jobs = self.jobs.entry(tenant).or_default();
        if jobs.is_empty() {
            self.turns.push_back(tenant);
        }
        jobs.push_back(job);
    }

    /// The first tenant that has jobs waiting and no batch under way.
    fn turn(&self, at_work: &HashSet<TenantId>) -> Option<TenantId> {
        self.turns.iter().find(|tenant| !at_work.contains(tenant)).copied()
    }

    /// A batch of this tenant, up to the limits; what is left waits for another turn. Of requests with one idempotency
    /// key the first is taken; the next batch finds what became of it.
    fn take(&mut self, tenant: TenantId) -> Vec<Job> {
        self.turns.retain(|waiting| *waiting != tenant);
        let (mut records, mut bytes) = (0, 0);
        let mut slots: HashSet<Slot> = HashSet::new();
        let (mut batch, mut others) = (Vec::new(), VecDeque::new());
        for job in self.jobs.remove(&tenant).unwrap_or_default() {
            let (more, longer) = (records + job.submission.records.len(), bytes + job.submission.raw.len());
            let fits = batch.is_empty() || (more <= BATCH_RECORDS && longer <= BATCH_BYTES);
            if fits && job.submission.slot().is_none_or(|slot| slots.insert(slot.clone())) {
                (records, bytes) = (more, longer);
                batch.push(job);
            } else {
                others.push_back(job);
            }
        }
        if !others.is_empty() {
            self.turns.push_back(tenant);
            self.jobs.insert(tenant, others);
        }
        batch
    }
}

impl Lanes {
    /// Queues a submission and waits until it is durable. The caller's right to it has been checked.
    pub(super) async fn submit(&self, scoped: &Scoped, submission: Submission) -> Result<Vec<RecordOutcome>> {
        let (reply, answer) = oneshot::channel();
        let bulk = submission.piece.is_some();
        let job = Job { scoped: scoped.clone(), submission, reply };
        let tenant = scoped.tenant();
        let start = {
            let mut queues = locked(&self.queues);
            let queues = &mut *queues;
            if bulk {
                queues.bulk.push(job)
            } else {
                queues.interactive.push(job)
            }
            // Whoever writes for the tenant now, or ends first of all, sees to it.
            let start = !queues.at_work.contains(&tenant) && queues.writers < scoped.db().writers();
            queues.writers += usize::from(start);
            start
        };
        if start {
            let domain = (**scoped).clone();
            scoped.tracker().spawn(async move {
                let mut done = None;
                loop {
                    domain.lanes().gather().await;
                    let Some((tenant, jobs)) = domain.lanes().next(done) else { return };
                    record::batch(jobs).await;
                    done = Some(tenant);
                }
            });
        }
        answer.await.map_err(|_| Fault::Internal("the batch was given up".into()))?
    }

    /// Callers that were answered just now, or are about to ask, get a word in, as long as more of them come: their
    /// requests make one batch instead of one and another.
    async fn gather(&self) {
        let waiting = || locked(&self.queues).interactive.jobs.values().map(VecDeque::len).sum::<usize>();
        let mut before = waiting();
        loop {
            tokio::task::yield_now().await;
            let now = waiting();
            if now <= before || now >= BATCH_RECORDS {
                return;
            }
            before = now;
        }
    }

    /// The next batch for a writer that is `done` with one: whatever waits for the tenant whose turn it is. A writer for
    /// which there is none ends.
    fn next(&self, done: Option<TenantId>) -> Option<(TenantId, Vec<Job>)> {
        let mut queues = locked(&self.queues);
        let Queues { writers, at_work, bulk_next, interactive, bulk } = &mut *queues;
        if let Some(done) = done {
            at_work.remove(&done);
        }
        let (of_bulk, of_interactive) = (bulk.turn(at_work), interactive.turn(at_work));
        let is_bulk = if *bulk_next { of_bulk.is_some() } else { of_interactive.is_none() };
        let Some(tenant) = (if is_bulk { of_bulk } else { of_interactive }) else {
            *writers -= 1;
            return None;
        };
        *bulk_next = !is_bulk;
        at_work.insert(tenant);
        Some((tenant, if is_bulk { bulk.take(tenant) } else { interactive.take(tenant) }))
    }

    pub(crate) fn touch(&self, tenant: TenantId) {
        locked(&self.touched).insert(tenant);
    }

    /// Tenants that recorded something since the last call.
    pub(crate) fn take_touched(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut locked(&self.touched))
    }
}
