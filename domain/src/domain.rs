//! The core as a whole: what every capability shares. It has no business methods; [`Domain::for_caller`] gives the
//! type that has.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::caller::{Caller, Scoped};
use crate::clock::Clock;
use crate::db::Db;
use crate::secrets::MasterKey;
use crate::transactions::Lanes;

#[derive(Clone)]
pub struct Domain(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    master_key: MasterKey,
    lanes: Lanes,
    tracker: TaskTracker,
}

impl Domain {
    pub fn new(db: Db, clock: Clock, master_key: MasterKey) -> Self {
        Self(Arc::new(Inner { db, clock, master_key, lanes: Lanes::default(), tracker: TaskTracker::new() }))
    }

    pub fn for_caller(&self, caller: Caller) -> Scoped {
        Scoped::new(self.clone(), caller)
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> bool {
        self.0.db.ready().await.is_ok()
    }

    /// Waits for every change that has begun, then lets go of the database.
    pub async fn shut_down(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
        self.0.db.close().await;
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn master_key(&self) -> &MasterKey {
        &self.0.master_key
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.0.tracker
    }
}
