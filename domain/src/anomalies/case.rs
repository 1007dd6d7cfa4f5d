//! What a case is, which findings belong to one, and what a verdict makes of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reason::Reason;
use crate::ids::{SourceId, TransactionId};
use crate::time::{MICROS_PER_DAY, Timestamp};
use crate::transactions::transaction::{Fact, Player};

/// What is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseKind {
    /// Transactions that are unlike those before.
    Transactions,
    /// A source that sends otherwise than it did before.
    Source,
    /// A product that returns another part of its stakes than it used to.
    Returns,
}

impl CaseKind {
    pub const ALL: [Self; 3] = [Self::Transactions, Self::Source, Self::Returns];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transactions => "TRANSACTIONS",
            Self::Source => "SOURCE",
            Self::Returns => "RETURNS",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaseState {
    Open,
    Confirmed,
    FalseAlarm,
    Unsure,
}

impl CaseState {
    pub const ALL: [Self; 4] = [Self::Open, Self::Confirmed, Self::FalseAlarm, Self::Unsure];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Confirmed => "CONFIRMED",
            Self::FalseAlarm => "FALSE_ALARM",
            Self::Unsure => "UNSURE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What a reviewer finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Confirmed,
    FalseAlarm,
    Unsure,
}

impl Verdict {
    pub const fn state(self) -> CaseState {
        match self {
            Self::Confirmed => CaseState::Confirmed,
            Self::FalseAlarm => CaseState::FalseAlarm,
            Self::Unsure => CaseState::Unsure,
        }
    }
}

/// What makes findings one case: the same player or product, at the same source, on the same day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseKey {
    pub kind: CaseKind,
    pub source: SourceId,
    pub product: Option<String>,
    pub player: Option<Player>,
    /// When the day (UTC) began on which it happened.
    pub day: Timestamp,
}

impl CaseKey {
    pub fn of(kind: CaseKind, fact: &Fact) -> Self {
        let day = Timestamp(fact.occurred_at.0.div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY);
        let (product, player) = match kind {
            CaseKind::Transactions => (fact.product.clone(), fact.player),
            CaseKind::Returns => (fact.product.clone(), None),
            CaseKind::Source => (None, None),
        };
        Self { kind, source: fact.source, product, player, day }
    }

    pub fn ends(&self) -> Timestamp {
        self.day.plus(MICROS_PER_DAY)
    }
}

/// A transaction that is odd, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub key: CaseKey,
    pub transaction: TransactionId,
    /// Thousandths of a natural logarithm.
    pub score: i64,
    pub reasons: Vec<Reason>,
}

/// The findings of each case, and the oddest of them.
pub fn gather(findings: &[Finding]) -> BTreeMap<&CaseKey, (Vec<&Finding>, &Finding)> {
    let mut cases: BTreeMap<&CaseKey, (Vec<&Finding>, &Finding)> = BTreeMap::new();
    for finding in findings {
        let (all, oddest) = cases.entry(&finding.key).or_insert_with(|| (Vec::new(), finding));
        all.push(finding);
        if finding.score > oddest.score {
            *oddest = finding;
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(number: u128, player: u8, day: i64, score: i64) -> Finding {
        let key = CaseKey {
            kind: CaseKind::Transactions,
            source: SourceId::NONE,
            product: None,
            player: Some([player; 16]),
            day: Timestamp(day * MICROS_PER_DAY),
        };
        let transaction = TransactionId(uuid::Uuid::from_u128(number));
        Finding { key, transaction, score, reasons: Vec::new() }
    }

    #[test]
    fn a_players_findings_of_a_day_are_one_case() {
        let findings = [finding(1, 1, 5, 10), finding(2, 1, 5, 30), finding(3, 2, 5, 20), finding(4, 1, 6, 40)];
        let cases = gather(&findings);
        let found: Vec<(usize, i64)> = cases.values().map(|(all, oddest)| (all.len(), oddest.score)).collect();
        // By player, then by day.
        assert_eq!(found, [(2, 30), (1, 40), (1, 20)]);
    }

    #[test]
    fn names_read_back() {
        assert!(CaseKind::ALL.iter().all(|kind| CaseKind::parse(kind.as_str()) == Some(*kind)));
        assert!(CaseState::ALL.iter().all(|state| CaseState::parse(state.as_str()) == Some(*state)));
    }
}
