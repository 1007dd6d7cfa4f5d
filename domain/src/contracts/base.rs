//! What rates apply to: the base of a contract, and what is deducted on the way from GGR to NGR.

use serde::{Deserialize, Serialize};

use crate::money::Rate;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Base {
    Ggr(GgrBase),
    Ngr(NgrBase),
    Turnover(TurnoverBase),
    Sales(SalesBase),
    Units(UnitsBase),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GgrBase {
    pub bonus_treatment: BonusTreatment,
    #[serde(default)]
    pub jackpots: JackpotBasis,
}

/// GGR less deductions, each taken after the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NgrBase {
    pub bonus_treatment: BonusTreatment,
    #[serde(default)]
    pub jackpots: JackpotBasis,
    pub deductions: Vec<Deduction>,
}

impl NgrBase {
    /// The GGR that it begins with.
    pub const fn gross(&self) -> GgrBase {
        GgrBase { bonus_treatment: self.bonus_treatment, jackpots: self.jackpots }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnoverBase {
    pub bonus_treatment: BonusTreatment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SalesBase {}

/// Stakes and sales, counted and not summed; a refund takes one back. Rates are prices for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnitsBase {
    /// Per cent of a unit that a promotional one (a bonus stake) counts: "0" is free, "100" like any other.
    pub promotional: Rate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BonusTreatment {
    /// Bonus stakes and bonus wins count like cash.
    Include,
    /// A free stake counts, its non-withdrawable win does not.
    StakeOnly,
    Exclude,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JackpotBasis {
    /// Contributions reduce GGR as they are made; a jackpot win does not count again.
    #[default]
    Accrual,
    /// Contributions do not count; a jackpot win reduces GGR by what it paid.
    Payout,
    /// Neither counts in GGR: a deduction takes them, or nobody does.
    None,
}

/// A step from GGR to NGR. It is never negative: what would be is nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deduction {
    /// What lines call it.
    pub code: String,
    pub take: Take,
    /// At most this much of what its base is, and nothing of a negative one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<PercentOf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Take {
    PercentOf(PercentOf),
    Costs(Costs),
    /// Major units a period; of part of a period, its days' part.
    Amount(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PercentOf {
    pub percent: Rate,
    pub of: DeductionBase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeductionBase {
    Ggr,
    /// What the deductions before it leave.
    Running,
    /// Stakes, with bonus stakes unless they are excluded.
    Turnover,
}

/// What transactions say that something cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Costs {
    pub of: Vec<Cost>,
    /// The partner's share of them.
    #[serde(default = "whole")]
    pub percent: Rate,
}

const fn whole() -> Rate {
    Rate::HUNDRED
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cost {
    /// The face value of bonus stakes.
    BonusStakes,
    /// What bonus stakes won.
    BonusWins,
    Fees,
    JackpotContributions,
    JackpotWins,
}

impl Cost {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BonusStakes => "BONUS_STAKES",
            Self::BonusWins => "BONUS_WINS",
            Self::Fees => "FEES",
            Self::JackpotContributions => "JACKPOT_CONTRIBUTIONS",
            Self::JackpotWins => "JACKPOT_WINS",
        }
    }
}
