//! The words of a contract's terms.

use async_graphql::Enum;
use domain::contracts::contract;
use domain::money;

/// The part that a partner plays. One transaction feeds one contract per partner and role.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::PartnerRole")]
pub enum PartnerRole {
    Provider,
    Aggregator,
    Affiliate,
    Agent,
    Platform,
}

/// The time by which a transaction belongs to a period.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::Attribution")]
pub enum Attribution {
    Occurred,
    Settled,
    /// When the round closes; an open round waits.
    RoundClosed,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::Every")]
pub enum Every {
    Day,
    Week,
    /// From the 1st and from the 16th.
    HalfMonth,
    Month,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::Weekday")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::BonusTreatment")]
pub enum BonusTreatment {
    /// Bonus stakes and bonus wins count like cash.
    Include,
    /// A free stake counts, its non-withdrawable win does not.
    StakeOnly,
    Exclude,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::JackpotBasis")]
pub enum JackpotBasis {
    /// Contributions reduce GGR as they are made; a jackpot win does not count again.
    Accrual,
    /// Contributions do not count; a jackpot win reduces GGR by what it paid.
    Payout,
}

/// What becomes of a negative base.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::NegativeMode")]
pub enum NegativeMode {
    /// It is forgotten.
    Reset,
    /// It reduces the bases of the next periods.
    Carry,
    /// The partner pays its share.
    PayableByPartner,
}

/// Whether rate classes net against each other or each stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "NegativeLevel", remote = "contract::Level")]
pub enum Level {
    Total,
    PerClass,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "RateTableMatch", remote = "contract::Match")]
pub enum Match {
    /// The first row whose condition holds.
    First,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::TierMode")]
pub enum TierMode {
    /// Each slice of the base at the percentage of its own step.
    Marginal,
    /// The whole base at the percentage of the step it reaches.
    Volume,
}

/// What tiers do when a version takes over inside a period.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::TiersOnChange")]
pub enum TiersOnChange {
    Continue,
    Restart,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "money::Rounding")]
pub enum Rounding {
    HalfEven,
    /// Half away from zero.
    HalfUp,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}
