//! What pricing says of a transaction: which contract it feeds, in which period, rate class and sum.

use std::sync::Arc;

use super::period::Period;
use crate::ids::{ContractId, PartnerId};
use crate::money::Units;
use crate::transactions::transaction::{Affects, Kind, Player};

/// The sums that a settlement keeps: one for each kind of transaction, and for adjustments one for each base that
/// they move. Rollbacks have none; they undo what the named transaction did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccrualKind {
    Stake,
    Win,
    BonusStake,
    BonusWin,
    JackpotContribution,
    JackpotWin,
    Sale,
    Refund,
    Fee,
    Adjustment(Affects),
}

impl AccrualKind {
    pub const ALL: [Self; 12] = [
        Self::Stake,
        Self::Win,
        Self::BonusStake,
        Self::BonusWin,
        Self::JackpotContribution,
        Self::JackpotWin,
        Self::Sale,
        Self::Refund,
        Self::Fee,
        Self::Adjustment(Affects::Ggr),
        Self::Adjustment(Affects::Turnover),
        Self::Adjustment(Affects::Sales),
    ];

    /// `None` for a rollback, and for an adjustment that does not say what it moves.
    pub const fn of(kind: Kind, affects: Option<Affects>) -> Option<Self> {
        Some(match kind {
            Kind::Stake => Self::Stake,
            Kind::Win => Self::Win,
            Kind::BonusStake => Self::BonusStake,
            Kind::BonusWin => Self::BonusWin,
            Kind::JackpotContribution => Self::JackpotContribution,
            Kind::JackpotWin => Self::JackpotWin,
            Kind::Sale => Self::Sale,
            Kind::Refund => Self::Refund,
            Kind::Fee => Self::Fee,
            Kind::Adjustment => match affects {
                Some(affects) => Self::Adjustment(affects),
                None => return None,
            },
            Kind::Rollback => return None,
        })
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stake => Kind::Stake.as_str(),
            Self::Win => Kind::Win.as_str(),
            Self::BonusStake => Kind::BonusStake.as_str(),
            Self::BonusWin => Kind::BonusWin.as_str(),
            Self::JackpotContribution => Kind::JackpotContribution.as_str(),
            Self::JackpotWin => Kind::JackpotWin.as_str(),
            Self::Sale => Kind::Sale.as_str(),
            Self::Refund => Kind::Refund.as_str(),
            Self::Fee => Kind::Fee.as_str(),
            Self::Adjustment(Affects::Ggr) => "ADJUSTMENT_GGR",
            Self::Adjustment(Affects::Turnover) => "ADJUSTMENT_TURNOVER",
            Self::Adjustment(Affects::Sales) => "ADJUSTMENT_SALES",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What one transaction counts: a stake or sale is a unit, a bonus stake a promotional one (its own sum tells it
    /// from the others), and a refund takes one back.
    pub const fn units(self) -> i64 {
        match self {
            Self::Stake | Self::BonusStake | Self::Sale => 1,
            Self::Refund => -1,
            _ => 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Feeds(Feed),
    /// The contract counts by the closing of rounds and this one is open: price the transaction again when it
    /// closes. Only then is it certain that the contract covers it, so that may give no verdict for this contract.
    AwaitsRound {
        contract: ContractId,
    },
    /// The contract covers the transaction and cannot count it.
    Failed {
        contract: ContractId,
        reason: UnpricedReason,
        message: String,
    },
}

/// Why a transaction is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpricedReason {
    /// No contract in force covers it.
    NoContract,
    /// The contract counts by settlement time, and it has none.
    NoSettledTime,
    /// The contract counts by the closing of rounds, and it has no round.
    NoRound,
    /// No row of the rate table takes it, or a condition failed on it.
    ConditionFailed,
    /// An adjustment that does not say which base it moves.
    NoBase,
}

impl UnpricedReason {
    pub const ALL: [Self; 5] =
        [Self::NoContract, Self::NoSettledTime, Self::NoRound, Self::ConditionFailed, Self::NoBase];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoContract => "NO_CONTRACT",
            Self::NoSettledTime => "NO_SETTLED_TIME",
            Self::NoRound => "NO_ROUND",
            Self::ConditionFailed => "CONDITION_FAILED",
            Self::NoBase => "NO_BASE",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What one transaction adds to one contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub contract: ContractId,
    pub partner: PartnerId,
    pub version: i64,
    pub period: Period,
    /// The code of the rate table's row.
    pub class: Arc<str>,
    pub kind: AccrualKind,
    pub amount: Units,
    pub units: i64,
    /// Whose it is, where the version keeps what it counts by player.
    pub player: Option<Player>,
    /// Whether the transaction feeds an earlier class of the same contract too, and so is counted as one there.
    pub again: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_but_a_rollback_has_a_sum_that_reads_back() {
        for kind in AccrualKind::ALL {
            assert_eq!(AccrualKind::parse(kind.as_str()), Some(kind));
        }
        for kind in Kind::ALL {
            let accrual = AccrualKind::of(kind, Some(Affects::Sales));
            assert_eq!(accrual.is_none(), kind == Kind::Rollback, "{kind:?}");
            assert_eq!(
                accrual.is_some_and(|accrual| accrual.as_str().starts_with(kind.as_str())),
                kind != Kind::Rollback
            );
        }
        assert_eq!(AccrualKind::of(Kind::Adjustment, None), None);
    }

    #[test]
    fn units_are_stakes_and_sales_less_refunds_and_promotional_ones_have_their_own_sum() {
        let units: Vec<i64> = AccrualKind::ALL.iter().map(|kind| kind.units()).collect();
        assert_eq!(units, [1, 0, 1, 0, 0, 0, 1, -1, 0, 0, 0, 0]);
    }
}
