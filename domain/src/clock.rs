//! The only place that reads the time or draws an identifier, so that tests can set both.
#![expect(clippy::disallowed_methods, reason = "somebody has to read the time, and nobody else does")]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::{ContextV7, Uuid};

use crate::time::{MICROS_PER_SECOND, Timestamp};

/// UUIDv7 with a counter: ids drawn in one process in one millisecond still sort in the order they were drawn.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

#[derive(Clone, Default)]
pub enum Clock {
    #[default]
    System,
    /// A clock that stands until it is moved, shared by its clones.
    Set(Arc<AtomicI64>),
}

impl Clock {
    pub fn set_to(time: Timestamp) -> Self {
        Self::Set(Arc::new(AtomicI64::new(time.0)))
    }

    /// Moves a set clock; the system's clock does not move.
    pub fn move_to(&self, time: Timestamp) {
        if let Self::Set(micros) = self {
            micros.store(time.0, Ordering::SeqCst);
        }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::from_utc(chrono::Utc::now()),
            Self::Set(micros) => Timestamp(micros.load(Ordering::SeqCst)),
        }
    }

    /// A new identifier of this moment.
    pub fn id<T: From<Uuid>>(&self) -> T {
        let now = self.now().0.max(0);
        let context = IDS.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now / MICROS_PER_SECOND).unwrap_or_default();
        let nanos = u32::try_from(now % MICROS_PER_SECOND * 1_000).unwrap_or_default();
        Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TransactionId;

    #[test]
    fn ids_sort_in_the_order_they_were_drawn() {
        let clock = Clock::set_to(Timestamp(1_700_000_000_000_000));
        let drawn: Vec<TransactionId> = (0..10_000).map(|_| clock.id()).collect();
        let mut sorted = drawn.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(drawn, sorted);
    }
}
