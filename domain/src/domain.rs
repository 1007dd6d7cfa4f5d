//! The core as a whole: what every capability shares. It has no business methods; [`Domain::for_caller`] gives the
//! type that has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::anomalies::Detectors;
use crate::caller::{Caller, Scoped};
use crate::clock::Clock;
use crate::db::{Db, Probe};
use crate::error::{Fault, Result};
use crate::events::Bus;
use crate::notifications::Post;
use crate::redis::{self, Redis, RedisUrlError};
use crate::replay::Replays;
use crate::secrets::MasterKey;
use crate::settlements::{self, Statements};
use crate::tenants::Access;
use crate::transactions::Lanes;

/// How long a change may take before it is rolled back.
const WRITE_DEADLINE: Duration = Duration::from_secs(120);

/// How long the database may take to say whether it is there.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct Domain(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    master_key: MasterKey,
    lanes: Lanes,
    detectors: Detectors,
    access: Access,
    bus: Bus,
    post: Post,
    statements: Statements,
    replays: Replays,
    redis: OnceLock<Redis>,
    /// Whether background work is done in this process.
    works: AtomicBool,
    tracker: TaskTracker,
}

impl Domain {
    pub fn new(db: Db, clock: Clock, master_key: MasterKey) -> Self {
        let (lanes, access, bus) = (Lanes::default(), Access::default(), Bus::default());
        let (detectors, post, tracker) = (Detectors::default(), Post::default(), TaskTracker::new());
        let (redis, works) = (OnceLock::new(), AtomicBool::new(true));
        let (statements, replays) = (settlements::statements(), Replays::new(&db.beside("replay")));
        Self(Arc::new(Inner {
            db,
            clock,
            master_key,
            lanes,
            detectors,
            access,
            bus,
            post,
            statements,
            replays,
            redis,
            works,
            tracker,
        }))
    }

    /// The same core, faster beside other processes.
    pub fn with_redis(self, url: &str) -> Result<Self, RedisUrlError> {
        let redis = Redis::new(url, &redis::installation(&self.0.master_key))?;
        if self.0.redis.set(redis).is_ok() {
            self.exchange_hints();
        }
        Ok(self)
    }

    pub fn redis(&self) -> Option<&Redis> {
        self.0.redis.get()
    }

    /// Other processes do the background work: these are told of it, until `stop`.
    pub async fn leave_work_to_others(&self, stop: impl Future<Output = ()>) {
        self.0.works.store(false, Ordering::Relaxed);
        stop.await;
    }

    pub(crate) fn works(&self) -> bool {
        self.0.works.load(Ordering::Relaxed)
    }

    pub fn for_caller(&self, caller: Caller) -> Scoped {
        Scoped::new(self.clone(), caller)
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How many statements the database has run so far: shows that the cost of a list does not grow with its rows.
    pub fn statements(&self) -> u64 {
        self.0.db.statements()
    }

    /// Follows the database from server to server, where it has several.
    pub fn watch(&self) {
        let domain = self.clone();
        self.background(async move |stop| domain.db().watch(stop).await);
    }

    /// What the database says of itself. The error is fit to be shown.
    pub async fn probe(&self) -> Result<Probe, String> {
        match tokio::time::timeout(PROBE_PATIENCE, self.0.db.probe()).await {
            Ok(Ok(probe)) => Ok(probe),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database does not answer");
                Err("does not answer".to_owned())
            }
            Err(_) => Err(format!("no answer within {} s, or no connection was free", PROBE_PATIENCE.as_secs())),
        }
    }

    /// Waits for every change that has begun, then lets go of the database.
    pub async fn shut_down(&self) {
        self.0.bus.stop();
        self.0.tracker.close();
        self.0.tracker.wait().await;
        self.0.replays.clear();
        self.0.db.close().await;
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn master_key(&self) -> &MasterKey {
        &self.0.master_key
    }

    /// Runs a change in a task of its own, so that a caller who hangs up cannot stop it half way (dropping a future
    /// inside `begin()` leaves a pooled session in an open transaction, and the next borrower's write is acknowledged
    /// and lost). Shutdown waits for it.
    pub(crate) async fn run_durably<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.run_to_end(tokio::time::timeout(WRITE_DEADLINE, work)).await? {
            Ok(done) => done,
            Err(_) => Err(Fault::Deadline(WRITE_DEADLINE.as_secs()).into()),
        }
    }

    /// Runs work of several steps in a task of its own, so that whoever waits for it and goes away cannot stop it
    /// between two of them. Shutdown waits for it. The only error is a fault: the work panicked.
    pub async fn run_to_end<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let task = self.0.tracker.spawn(work.instrument(tracing::Span::current()));
        task.await.map_err(|panicked| Fault::Internal(format!("a task failed: {panicked}")).into())
    }

    /// Work that goes on beside requests. It ends itself when the token is cancelled, between two reads: one that is
    /// dropped half way keeps its connection past the closing of the database, which waits for all of this.
    pub fn background<F>(&self, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.tracker.spawn(work(self.0.bus.stopping()).instrument(tracing::Span::current()));
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    pub(crate) fn detectors(&self) -> &Detectors {
        &self.0.detectors
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(crate) fn post(&self) -> &Post {
        &self.0.post
    }

    pub(crate) fn statements_kept(&self) -> &Statements {
        &self.0.statements
    }

    pub(crate) fn replays(&self) -> &Replays {
        &self.0.replays
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.0.tracker
    }
}
