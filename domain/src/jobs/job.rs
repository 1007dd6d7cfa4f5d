//! What a job is, and when one that failed is tried again.

use crate::time::MICROS_PER_SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Fits the tenant's detector anew.
    TrainDetector,
    /// Removes what is kept for a time only, when that time is over.
    Forget,
}

impl JobKind {
    pub const ALL: [Self; 2] = [Self::TrainDetector, Self::Forget];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrainDetector => "TRAIN_DETECTOR",
            Self::Forget => "FORGET",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// How long after it was done it is to be done again: such a job is a schedule, there is one of each tenant, and it
    /// is never given up.
    pub const fn every(self) -> Option<i64> {
        match self {
            Self::TrainDetector => None,
            Self::Forget => Some(3_600 * MICROS_PER_SECOND),
        }
    }
}

/// Tries before a job is given up.
const TRIES: i64 = 5;

/// How long to wait after a try failed: ten seconds, and twice as long each time. `None`: it is given up.
pub fn pause(attempts: i64) -> Option<i64> {
    let doubled = u32::try_from(attempts.clamp(1, TRIES) - 1).unwrap_or_default();
    (attempts < TRIES).then_some((10 * MICROS_PER_SECOND) << doubled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<_> = (1..=6).map(|attempts| pause(attempts).map(|micros| micros / MICROS_PER_SECOND)).collect();
        assert_eq!(pauses, [Some(10), Some(20), Some(40), Some(80), None, None]);
        assert!(JobKind::ALL.iter().all(|kind| JobKind::parse(kind.as_str()) == Some(*kind)));
    }
}
