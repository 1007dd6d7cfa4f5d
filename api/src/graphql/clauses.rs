//! The words of a contract's terms.

use async_graphql::Enum;
use domain::contracts::contract;
use domain::money;

/// The part that a partner plays. One transaction feeds one contract per partner and role.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::PartnerRole")]
pub enum PartnerRole {
    /// Makes or delivers what is played.
    Provider,
    /// Brings providers' games together.
    Aggregator,
    /// Brings players.
    Affiliate,
    /// Sells on the ground.
    Agent,
    /// Runs the technology.
    Platform,
}

/// The time by which a transaction belongs to a period.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::Attribution")]
pub enum Attribution {
    /// When it happened.
    Occurred,
    /// When it was settled; without such a time it is not counted.
    Settled,
    /// When the round closes; an open round waits.
    RoundClosed,
}

/// How long a period is.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::Every")]
pub enum Every {
    /// Every day.
    Day,
    /// Every week, from `startsOn` on.
    Week,
    /// From the 1st and from the 16th.
    HalfMonth,
    /// Every calendar month.
    Month,
    /// By the lengths of `custom`.
    Custom,
}

/// A day of the week.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::Weekday")]
pub enum Weekday {
    /// Monday.
    Monday,
    /// Tuesday.
    Tuesday,
    /// Wednesday.
    Wednesday,
    /// Thursday.
    Thursday,
    /// Friday.
    Friday,
    /// Saturday.
    Saturday,
    /// Sunday.
    Sunday,
}

/// How bonus money counts.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::BonusTreatment")]
pub enum BonusTreatment {
    /// Bonus stakes and bonus wins count like cash.
    Include,
    /// A free stake counts, its non-withdrawable win does not.
    StakeOnly,
    /// Bonus stakes and bonus wins do not count.
    Exclude,
}

/// When jackpots reduce a base.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::JackpotBasis")]
pub enum JackpotBasis {
    /// Contributions reduce GGR as they are made; a jackpot win does not count again.
    Accrual,
    /// Contributions do not count; a jackpot win reduces GGR by what it paid.
    Payout,
    /// Neither counts in GGR: a deduction takes them, or nobody does.
    None,
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
    /// They net against each other.
    Total,
    /// Each stands alone.
    PerClass,
}

/// Which row of a rate table takes a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "RateTableMatch", remote = "contract::Match")]
pub enum Match {
    /// The first row whose conditions hold.
    First,
    /// Every row whose conditions hold: one transaction may be in several rate classes.
    Collect,
}

/// What a step of tiers rates.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::TierMode")]
pub enum TierMode {
    /// Each slice of the base at the rate of its own step.
    Marginal,
    /// The whole base at the rate of the step it reaches.
    Volume,
}

/// What fills the steps of tiers.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::TierPeriod")]
pub enum TierPeriod {
    /// The base of one settlement.
    Settlement,
    /// The bases of a calendar year in the contract's zone; a period counts to the year it begins in.
    Year,
}

/// What a step of tiers is read from.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::TierReads")]
pub enum TierReads {
    /// What netting and the carried base leave.
    AfterCarry,
    /// The base before netting: a loss takes up the lowest steps.
    BeforeCarry,
}

/// What tiers do when a version takes over inside a period.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contract::TiersOnChange")]
pub enum TiersOnChange {
    /// They go on from what the period has counted so far.
    Continue,
    /// They begin anew with the new version.
    Restart,
}

/// How an amount is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "money::Rounding")]
pub enum Rounding {
    /// To the nearest, half to the even neighbour.
    HalfEven,
    /// Half away from zero.
    HalfUp,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}
