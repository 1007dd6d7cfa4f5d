//! The queue before the database: requests that arrive while one batch commits become the next batch.
//!
//! There is no timer: an idle system commits at once, a busy one commits as much as has gathered. Files have a queue
//! of their own that takes turns with the other, so that a request waits for at most one batch of a file. One writer
//! drains both, because an embedded database has one writing connection; a caller that goes away does not stop it.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::oneshot;

use crate::caller::Scoped;
use crate::error::{Fault, Result};
use crate::idempotency::Slot;
use crate::ids::TenantId;

use super::context::Context;
use super::record;
use super::submission::{RecordOutcome, Submission};

/// Records in one database transaction, unless a single submission has more.
const BATCH_RECORDS: usize = 8_192;
const BATCH_BYTES: usize = 8 << 20;
/// Contexts that are kept in memory, as long as somebody needs them.
const CONTEXTS: u64 = 1_000;
const IDLE: Duration = Duration::from_secs(3_600);

pub struct Lanes {
    queues: Mutex<Queues>,
    /// By tenant and epoch.
    pub(super) contexts: Cache<(TenantId, i64), Arc<Context>>,
    /// Tenants whose running totals grew since somebody asked.
    touched: Mutex<BTreeSet<TenantId>>,
}

impl Default for Lanes {
    fn default() -> Self {
        let contexts = Cache::builder().max_capacity(CONTEXTS).time_to_idle(IDLE).build();
        Self { queues: Mutex::default(), contexts, touched: Mutex::default() }
    }
}

#[derive(Default)]
struct Queues {
    draining: bool,
    bulk_next: bool,
    interactive: VecDeque<Job>,
    bulk: VecDeque<Job>,
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

impl Lanes {
    /// Queues a submission and waits until it is durable. The caller's right to it has been checked.
    pub(super) async fn submit(&self, scoped: &Scoped, submission: Submission) -> Result<Vec<RecordOutcome>> {
        let (reply, answer) = oneshot::channel();
        let bulk = submission.piece.is_some();
        let job = Job { scoped: scoped.clone(), submission, reply };
        let start = {
            let mut queues = locked(&self.queues);
            if bulk {
                queues.bulk.push_back(job)
            } else {
                queues.interactive.push_back(job)
            }
            !std::mem::replace(&mut queues.draining, true)
        };
        if start {
            let domain = (**scoped).clone();
            scoped.tracker().spawn(async move {
                while let Some(jobs) = domain.lanes().next() {
                    record::batch(jobs).await;
                }
            });
        }
        answer.await.map_err(|_| Fault::Internal("the batch was given up".into()))?
    }

    /// The next batch: whatever waits for the tenant whose turn it is, up to the limits. Of requests with one
    /// idempotency key the first; the next batch finds what became of it.
    fn next(&self) -> Option<Vec<Job>> {
        let mut queues = locked(&self.queues);
        let queues = &mut *queues;
        let bulk = queues.interactive.is_empty() || (queues.bulk_next && !queues.bulk.is_empty());
        queues.bulk_next = !bulk;
        let queue = if bulk { &mut queues.bulk } else { &mut queues.interactive };
        let Some(first) = queue.pop_front() else {
            queues.draining = false;
            return None;
        };
        let tenant = first.scoped.tenant();
        let (mut records, mut bytes) = (first.submission.records.len(), first.submission.raw.len());
        let mut slots: HashSet<Slot> = first.submission.slot().cloned().into_iter().collect();
        let mut batch = vec![first];
        let mut others = VecDeque::new();
        while let Some(job) = queue.pop_front() {
            let (more, longer) = (records + job.submission.records.len(), bytes + job.submission.raw.len());
            let fits = job.scoped.tenant() == tenant && more <= BATCH_RECORDS && longer <= BATCH_BYTES;
            if fits && job.submission.slot().is_none_or(|slot| slots.insert(slot.clone())) {
                (records, bytes) = (more, longer);
                batch.push(job);
            } else {
                others.push_back(job);
            }
        }
        *queue = others;
        Some(batch)
    }

    pub(crate) fn touch(&self, tenant: TenantId) {
        locked(&self.touched).insert(tenant);
    }

    /// Tenants that recorded something since the last call.
    pub(crate) fn take_touched(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut locked(&self.touched))
    }
}
