//! What a job is, and when one that failed is tried again.

use crate::time::MICROS_PER_SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Fits the tenant's detector anew.
    TrainDetector,
}

impl JobKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrainDetector => "TRAIN_DETECTOR",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::TrainDetector].into_iter().find(|kind| kind.as_str() == text)
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
        assert_eq!(JobKind::parse("TRAIN_DETECTOR"), Some(JobKind::TrainDetector));
    }
}
