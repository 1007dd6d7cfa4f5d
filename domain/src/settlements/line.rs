//! Lines: the steps of a settlement, each with what it made of the one before it.

use serde::{Deserialize, Serialize};

use crate::ids::SettlementId;
use crate::money::{Minor, MoneyError, Rate, Units};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LineCode {
    /// The GGR of a rate class before its deductions; no amount.
    Gross,
    /// What a deduction takes from a rate class, a negative base; no amount.
    Deduction,
    /// The base of a rate class before netting, where netting changed it; no amount.
    Base,
    /// What players lost again that they had won before and that stood against them alone, a negative base; no amount.
    RingFenceOffset,
    /// What players won that is taken out of a negative total, and stands against them alone; no amount.
    RingFenced,
    /// The base carried in; no amount.
    CarriedBase,
    /// Like `Base`, where units are counted.
    Units,
    /// Like `CarriedBase`, where units are counted.
    CarriedUnits,
    /// The share of a rate class's netted base.
    RevenueShare,
    /// What the units of a rate class cost.
    PerUnit,
    Fee,
    /// What is above the cap, negative.
    Cap,
    /// What is missing to the guarantee.
    Guarantee,
    /// What late facts change in a closed settlement.
    Correction,
    /// Paid with prepaid credit: its base is what was drawn.
    Drawn,
    /// Earned before, and below the minimum payout then.
    CarriedIn,
    /// Kept back for advances.
    Recouped,
    /// Below the minimum payout, taken over to the next period.
    CarriedOut,
}

impl LineCode {
    pub const ALL: [Self; 18] = [
        Self::Gross,
        Self::Deduction,
        Self::Base,
        Self::RingFenceOffset,
        Self::RingFenced,
        Self::CarriedBase,
        Self::Units,
        Self::CarriedUnits,
        Self::RevenueShare,
        Self::PerUnit,
        Self::Fee,
        Self::Cap,
        Self::Guarantee,
        Self::Correction,
        Self::Drawn,
        Self::CarriedIn,
        Self::Recouped,
        Self::CarriedOut,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gross => "GROSS",
            Self::Deduction => "DEDUCTION",
            Self::Base => "BASE",
            Self::RingFenceOffset => "RING_FENCE_OFFSET",
            Self::RingFenced => "RING_FENCED",
            Self::CarriedBase => "CARRIED_BASE",
            Self::Units => "UNITS",
            Self::CarriedUnits => "CARRIED_UNITS",
            Self::RevenueShare => "REVENUE_SHARE",
            Self::PerUnit => "PER_UNIT",
            Self::Fee => "FEE",
            Self::Cap => "CAP",
            Self::Guarantee => "GUARANTEE",
            Self::Correction => "CORRECTION",
            Self::Drawn => "DRAWN",
            Self::CarriedIn => "CARRIED_IN",
            Self::Recouped => "RECOUPED",
            Self::CarriedOut => "CARRIED_OUT",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Whether its amount is part of what a settlement adds to what the partner has earned: all but what only moves
    /// money from one settlement to another, or was paid beforehand.
    pub const fn is_earned(self) -> bool {
        !matches!(self, Self::CarriedIn | Self::Recouped | Self::CarriedOut)
    }

    /// Whether it is computed from accruals and terms, has an amount, and so may be changed by late facts.
    pub const fn is_computed(self) -> bool {
        matches!(self, Self::RevenueShare | Self::PerUnit | Self::Fee | Self::Cap | Self::Guarantee)
    }

    /// Whether it says something on the way and has no amount.
    pub const fn is_memo(self) -> bool {
        matches!(
            self,
            Self::Gross
                | Self::Deduction
                | Self::Base
                | Self::RingFenceOffset
                | Self::RingFenced
                | Self::CarriedBase
                | Self::Units
                | Self::CarriedUnits
        )
    }

    /// Whether its base, where it has one, counts units instead of money.
    pub const fn counts_units(self) -> bool {
        matches!(self, Self::Units | Self::CarriedUnits | Self::PerUnit | Self::Fee)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub code: LineCode,
    /// The contract's version that the line follows.
    pub version: i64,
    pub rate_class: Option<String>,
    /// The code of the deduction or fee, or the clause that bounds the sum (`cap`, `minimumGuarantee`).
    pub clause: Option<String>,
    /// Accounting units; of lines that count units, units on the same scale: one is a major unit.
    pub base: Option<Units>,
    /// Absent where several rates made the amount. A percentage, or a price in major units where units are counted.
    pub rate: Option<Rate>,
    pub amount: Minor,
    /// The closed settlement that a correction repairs.
    pub corrects: Option<SettlementId>,
}

impl Line {
    pub(super) const fn plain(code: LineCode, version: i64, amount: Minor) -> Self {
        Self { code, version, rate_class: None, clause: None, base: None, rate: None, amount, corrects: None }
    }

    /// What tells it from the other computed lines with an amount of its settlement: version, rate class and clause.
    pub(super) fn slot(&self) -> (i64, &str, &str) {
        (self.version, self.rate_class.as_deref().unwrap_or_default(), self.clause.as_deref().unwrap_or_default())
    }
}

/// What lines add to what the partner has earned.
pub(super) fn earned<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Result<Minor, MoneyError> {
    Minor::sum(lines.into_iter().filter(|line| line.code.is_earned()).map(|line| line.amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for code in LineCode::ALL {
            assert_eq!(LineCode::parse(code.as_str()), Some(code));
        }
    }
}
