//! What a run counts. Every record of the file is in exactly one of `emitted`, `ignored` and `quarantined`.

use crate::transactions::{RecordOutcome, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Running,
    Completed,
    /// The file cannot be read, or its sender gave up. What was recorded before stays.
    Failed,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Running, Self::Completed, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: i64,
    pub emitted: i64,
    pub ignored: i64,
    pub quarantined: i64,
    pub recorded: i64,
    pub replayed: i64,
    pub conflicting: i64,
}

impl Counts {
    pub fn of(outcomes: &[RecordOutcome]) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            counts.records += 1;
            match outcome {
                RecordOutcome::Ignored => counts.ignored += 1,
                RecordOutcome::Quarantined { .. } => counts.quarantined += 1,
                RecordOutcome::Taken(transactions) => {
                    counts.emitted += 1;
                    for transaction in transactions {
                        match transaction.what {
                            What::Recorded => counts.recorded += 1,
                            What::Replayed => counts.replayed += 1,
                            What::Conflict => counts.conflicting += 1,
                        }
                    }
                }
            }
        }
        counts
    }
}
