//! The detectors of the tenants that this process works for: loaded when a tenant first records something, and asked
//! about every batch. Money never waits for one that fails: what it did not score is scored later.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ml::Model;
use ml::features::{Memory, Room};
use tokio::sync::OwnedMutexGuard;

use super::judge::{Judge, Judged};
use super::{Settings, store};
use crate::caller::Scoped;
use crate::db::TenantTx;
use crate::error::{Fault, Result};
use crate::ids::{ModelId, TenantId, TransactionId};
use crate::time::{MICROS_PER_SECOND, Timestamp};
use crate::transactions::transaction::Fact;
use crate::transactions::{self, Context};

/// How long a detector that failed is left alone.
const PAUSE_MICROS: i64 = 60 * MICROS_PER_SECOND;
/// Of a history without a memory, so much is read again.
const RECALLED: u64 = 100_000;
/// A memory that is longer than this when unpacked is none.
const LONGEST_MEMORY: usize = 256 << 20;
/// What is remembered is saved after so many transactions, or when this long ago.
const SAVE_AFTER: usize = 100_000;
const SAVE_EVERY_MICROS: i64 = 600 * MICROS_PER_SECOND;

#[derive(Default)]
pub struct Detectors {
    /// Tenants for which something waits to be done.
    hinted: Mutex<BTreeSet<TenantId>>,
    tenants: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<Seat>>>>,
}

/// A tenant's place; whoever has it is the only one. It is taken before a transaction begins, never within one.
pub(crate) type Lease = OwnedMutexGuard<Seat>;

#[derive(Default)]
pub(crate) struct Seat {
    judge: Option<Judge>,
    /// The tenant's epoch when the judge was last set.
    epoch: i64,
    failed_at: Option<Timestamp>,
    unsaved: usize,
    saved_at: Option<Timestamp>,
    /// Tests break it here.
    broken: bool,
    /// A benchmark measures what recording costs without.
    off: bool,
}

impl Detectors {
    pub(crate) async fn lease(&self, tenant: TenantId) -> Lease {
        let seat = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant).or_default().clone();
        seat.lock_owned().await
    }

    pub(crate) fn hint(&self, tenant: TenantId) {
        self.hinted.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant);
    }

    pub(crate) fn take_hinted(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut self.hinted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tenants whose memory should be saved by now; all that changed where `all` is set.
    pub(crate) fn unsaved(&self, now: Timestamp, all: bool) -> Vec<TenantId> {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |seat: &Arc<tokio::sync::Mutex<Seat>>| {
            // One that is at work is asked the next time.
            let Ok(seat) = seat.try_lock() else { return all };
            let old = seat.saved_at.is_none_or(|saved| now.0 - saved.0 >= SAVE_EVERY_MICROS);
            seat.unsaved > 0 && (all || old || seat.unsaved >= SAVE_AFTER)
        };
        tenants.iter().filter(|(_, seat)| due(seat)).map(|(tenant, _)| *tenant).collect()
    }
}

impl Seat {
    /// Scores what a batch is about to record. Nothing where the detector failed, now or a short time ago.
    pub(crate) fn judge(&mut self, facts: &[(TransactionId, &Fact)], context: &Context, now: Timestamp) -> Judged {
        if self.off {
            return Judged::default();
        }
        let unscored = || Judged { scores: vec![None; facts.len()], ..Judged::default() };
        let Some(judge) = &mut self.judge else { return unscored() };
        let broken = self.broken;
        let judged = catch_unwind(AssertUnwindSafe(|| {
            assert!(!broken, "broken on purpose");
            judge.judge(facts.iter().copied(), context)
        }));
        match judged {
            Ok(judged) => {
                self.unsaved += facts.len();
                judged
            }
            Err(_) => {
                tracing::error!("the detector panicked; what it should have scored is scored later");
                self.fail(now);
                unscored()
            }
        }
    }

    fn fail(&mut self, now: Timestamp) {
        self.judge = None;
        self.failed_at = Some(now);
    }

    /// What was judged since the last time is recorded.
    pub(crate) fn keep(&mut self) {
        if let Some(judge) = &mut self.judge {
            judge.keep();
        }
    }

    pub(super) fn turn_off(&mut self) {
        self.off = true;
    }

    pub(super) fn break_on_purpose(&mut self, broken: bool) {
        self.broken = broken;
        self.failed_at = None;
    }

    pub(super) fn remembered(&self) -> Option<(Vec<u8>, TransactionId)> {
        self.judge.as_ref().map(Judge::remembered)
    }

    pub(super) fn saved(&mut self, now: Timestamp) {
        (self.unsaved, self.saved_at) = (0, Some(now));
    }

    pub(super) fn works(&self) -> bool {
        self.judge.is_some()
    }
}

/// Makes a tenant's detector ready for a batch: loads it where it is not there, forgets what a batch that failed left
/// behind, sets it anew where the tenant's epoch is another, and catches up with what other processes recorded up to
/// `newest`. A detector that cannot be had is no error.
pub(crate) async fn prepare_in(scoped: &Scoped, tx: &TenantTx, seat: &mut Seat, epoch: i64, newest: TransactionId) {
    if seat.off {
        return;
    }
    let now = scoped.clock().now();
    let judge = match seat.judge.take() {
        Some(mut judge) => {
            judge.take_back();
            if seat.epoch == epoch && judge.last() >= newest {
                seat.judge = Some(judge);
                return;
            }
            up_to_date_in(scoped, tx, judge).await
        }
        None if seat.failed_at.is_some_and(|failed| now.0 - failed.0 < PAUSE_MICROS) => return,
        None => load_in(scoped, tx).await,
    };
    match judge {
        Ok(judge) => (seat.judge, seat.failed_at, seat.epoch) = (Some(judge), None, epoch),
        Err(error) => {
            tracing::error!(tenant = %scoped.tenant(), %error, "the detector could not be loaded");
            seat.fail(now);
        }
    }
}

async fn load_in(scoped: &Scoped, tx: &TenantTx) -> Result<Judge> {
    let settings = Settings::read_in(tx).await?;
    let (model, id) = model_in(scoped, tx, settings.model).await?;
    let mut judge = Judge::new(model, id, settings.wanted());
    let after = match memory_in(tx).await? {
        Some((memory, last)) => {
            judge.remember(memory, last);
            last
        }
        None => transactions::before_latest_in(tx, RECALLED).await?,
    };
    recalled_in(tx, judge, after).await
}

/// The same detector as it is set now, with what was recorded since.
async fn up_to_date_in(scoped: &Scoped, tx: &TenantTx, mut judge: Judge) -> Result<Judge> {
    let settings = Settings::read_in(tx).await?;
    if settings.model != judge.model_id() {
        let (model, id) = model_in(scoped, tx, settings.model).await?;
        judge.exchange(model, id);
    }
    judge.want(settings.wanted());
    let after = judge.last();
    recalled_in(tx, judge, after).await
}

/// Remembers what was recorded after a transaction.
async fn recalled_in(tx: &TenantTx, mut judge: Judge, mut after: TransactionId) -> Result<Judge> {
    loop {
        let facts = transactions::facts_after_in(tx, after).await?;
        let Some((last, _)) = facts.last() else { return Ok(judge) };
        after = *last;
        judge = transactions::computed(move || {
            judge.recall(facts.iter().map(|(id, fact)| (*id, fact)));
            judge
        })
        .await?;
    }
}

/// The tenant's own model; where it has none, or one that cannot be used, what everybody starts with.
async fn model_in(scoped: &Scoped, tx: &TenantTx, id: ModelId) -> Result<(Arc<Model>, ModelId)> {
    if id != ModelId::NONE
        && let Some(row) = store::model(tx, id).await?
    {
        match transactions::computed(move || Model::read(&row.body)).await? {
            Ok(model) => return Ok((Arc::new(model), id)),
            Err(error) => tracing::error!(tenant = %scoped.tenant(), model = %id, %error, "this model is not used"),
        }
    }
    Ok((prior().await?, ModelId::NONE))
}

/// What everybody starts with: fitted once per process.
pub(super) async fn prior() -> Result<Arc<Model>> {
    static PRIOR: OnceLock<Option<Arc<Model>>> = OnceLock::new();
    let fit = || PRIOR.get_or_init(|| Model::prior().ok().map(Arc::new)).clone();
    let prior = transactions::computed(fit).await?;
    prior.ok_or_else(|| Fault::Internal("the first model cannot be fitted".to_owned()).into())
}

/// What was remembered when it was saved; nothing where that is of another version or damaged, since all of it can be
/// read again.
async fn memory_in(tx: &TenantTx) -> Result<Option<(Memory, TransactionId)>> {
    let Some(row) = store::memory(tx).await? else { return Ok(None) };
    let last = row.remembers_until;
    let read = move || {
        let bytes = zstd::bulk::decompress(&row.body, LONGEST_MEMORY).ok()?;
        Memory::read(&bytes, Room::default())
    };
    Ok(transactions::computed(read).await?.map(|memory| (memory, last)))
}
