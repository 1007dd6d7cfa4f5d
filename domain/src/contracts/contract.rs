//! What a contract says: the typed terms of one version. `terms.rs` checks them, `period.rs` cuts time into periods,
//! `pricing.rs` decides what a transaction adds where, `settlements/settlement.rs` makes lines of the sums.
//!
//! Terms are kept as JSON in exactly the shape of the GraphQL input (`docs/contracts.md`).

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ids::{ContractId, PartnerId, SourceId};
use crate::money::{Rate, Rounding};
use crate::time::Timestamp;

/// The part that a partner plays. One transaction may feed one contract per partner and role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PartnerRole {
    Provider,
    Aggregator,
    Affiliate,
    Agent,
    Platform,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The version counts from the start of the period day that begins on this local date.
    pub valid_from: NaiveDate,
    pub role: PartnerRole,
    #[serde(default)]
    pub scope: Scope,
    pub currency: String,
    pub attribution: Attribution,
    pub cycle: Cycle,
    pub base: Base,
    pub negative: Negative,
    pub rate_table: RateTable,
    #[serde(default)]
    pub rounding: Rounding,
    /// Major units of `currency`: a smaller total is carried over instead of being paid.
    pub minimum_payout: String,
    /// What tiers do when this version takes over inside a period.
    #[serde(default)]
    pub tiers_on_change: TiersOnChange,
}

/// Which transactions the contract counts. An empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Scope {
    pub sources: Vec<SourceId>,
    /// Product codes.
    pub products: Vec<String>,
    pub categories: Vec<String>,
    pub segments: Vec<String>,
    pub tags: Vec<String>,
    pub regions: Vec<String>,
    pub channels: Vec<String>,
}

/// The time by which a transaction belongs to a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Attribution {
    Occurred,
    Settled,
    RoundClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Every {
    Day,
    Week,
    /// From the 1st and from the 16th.
    HalfMonth,
    Month,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cycle {
    pub every: Every,
    pub time_zone: Tz,
    /// The local hour at which a day of this contract begins, 0 to 23.
    #[serde(default)]
    pub cut_off_hour: u8,
    /// For weeks; Monday where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_on: Option<Weekday>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Base {
    Ggr(GgrBase),
    Turnover(TurnoverBase),
    Sales(SalesBase),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GgrBase {
    pub bonus_treatment: BonusTreatment,
    #[serde(default)]
    pub jackpots: JackpotBasis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TurnoverBase {
    pub bonus_treatment: BonusTreatment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SalesBase {}

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Negative {
    pub mode: NegativeMode,
    #[serde(default)]
    pub level: Level,
}

/// What becomes of a negative base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NegativeMode {
    Reset,
    Carry,
    PayableByPartner,
}

/// Whether rate classes net against each other or each stands alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    #[default]
    Total,
    PerClass,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateTable {
    #[serde(rename = "match", default)]
    pub matching: Match,
    pub rows: Vec<RateRow>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Match {
    /// The first row whose condition holds.
    #[default]
    First,
}

/// One rate class. Exactly one of `percent` and `tiers` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateRow {
    pub code: String,
    /// A zen-expression; the last row has none and takes what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Tiers>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tiers {
    pub mode: TierMode,
    pub steps: Vec<TierStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TierMode {
    /// Each slice of the base at the percentage of its own step.
    Marginal,
    /// The whole base at the percentage of the step it reaches.
    Volume,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierStep {
    /// Major units of the contract's currency, this amount included; the last step has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<String>,
    pub percent: Rate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TiersOnChange {
    #[default]
    Continue,
    Restart,
}

/// An active version, as pricing and settling read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveVersion {
    pub contract: ContractId,
    pub partner: PartnerId,
    pub version: i64,
    /// The instant that `terms.valid_from` stands for in the contract's zone.
    pub valid_from: Timestamp,
    pub terms: Terms,
}
