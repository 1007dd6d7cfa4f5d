//! What a contract says: the typed terms of one version. `terms.rs` checks them, `period.rs` cuts time into periods,
//! `pricing.rs` decides what a transaction adds where, `settlements/settlement.rs` makes lines of the sums.
//!
//! Terms are kept as JSON in exactly the shape of the GraphQL input (`docs/contracts.md`).

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ids::{ContractId, PartnerId, SourceId};
use crate::money::{Price, Rate, Rounding};
use crate::time::Timestamp;

pub use super::also::{AlsoCycle, AlsoIn};
pub use super::base::{
    Base, BonusTreatment, Cost, Costs, Deduction, DeductionBase, GgrBase, JackpotBasis, NgrBase, PercentOf, SalesBase,
    Take, TurnoverBase, UnitsBase,
};
pub use super::clauses::{Advance, Charge, Fee, PerUnit, Prepaid, RingFence};
pub use super::custom::{Custom, CustomUnit};
pub use super::due::{DayCount, LateWindow, Payment, PaymentFrom, Roll};
pub use super::split::{Parties, Party, Split};

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
    /// The last local date on which it counts; none until another version takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<NaiveDate>,
    pub role: PartnerRole,
    #[serde(default)]
    pub scope: Scope,
    pub currency: String,
    /// The same for further currencies, each settled by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_in: Vec<AlsoIn>,
    pub attribution: Attribution,
    pub cycle: Cycle,
    /// How long late facts of a period are awaited before it can close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_window: Option<LateWindow>,
    pub base: Base,
    pub negative: Negative,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_fence: Option<RingFence>,
    pub rate_table: RateTable,
    /// Owed beside the shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fees: Vec<Fee>,
    /// Major units: shares and fees of a period come to no more; of part of a period, its days' part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<String>,
    /// Major units: shares and fees of a period come to no less, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_guarantee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance: Option<Advance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepaid: Option<Prepaid>,
    #[serde(default)]
    pub rounding: Rounding,
    /// Major units of `currency`: a smaller total is carried over instead of being paid.
    pub minimum_payout: String,
    /// Who gets which part of the total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// When what a settlement owes is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// What tiers do when this version takes over inside a period.
    #[serde(default)]
    pub tiers_on_change: TiersOnChange,
    /// Stretches of time with a code that the rate table can ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promotions: Vec<Promotion>,
}

/// A stretch of time, of all products or some, while which `promotion` is `code`. Of several the first one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promotion {
    pub code: String,
    /// An instant (`2021-12-24T00:00:00Z`) or a time on the clocks of the cycle's zone (`2021-12-24T00:00`).
    pub from: String,
    /// Written like `from`, and not in the promotion any more.
    pub until: String,
    /// Codes; none means all products, and what has no product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
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
    /// By the pattern of [`Cycle::custom`].
    Custom,
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
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
    /// What the cells of each row are compared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    pub rows: Vec<RateRow>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Match {
    /// The first row whose conditions hold.
    #[default]
    First,
    /// Every row whose conditions hold.
    Collect,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    /// What a `when` may read, by its name: `localHour`, `attributes.shop`, `number(attributes.level)`.
    pub reads: String,
}

/// One rate class. Exactly one of `percent`, `per_unit` and `tiers` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateRow {
    pub code: String,
    /// A zen-expression that has to hold beside the cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// One for each column, from the first on; columns beyond them are not asked (`docs/rate-tables.md`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Rate>,
    /// Of the base `units`: major units for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Price>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Tiers>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tiers {
    pub mode: TierMode,
    #[serde(default)]
    pub period: TierPeriod,
    #[serde(default)]
    pub reads: TierReads,
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

/// What fills the steps of tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TierPeriod {
    /// The base of one settlement.
    #[default]
    Settlement,
    /// The bases of a calendar year in the contract's zone; a period counts to the year it begins in.
    Year,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TierReads {
    /// What netting and the carried base leave.
    #[default]
    AfterCarry,
    /// The base before netting: a loss takes up the lowest steps.
    BeforeCarry,
}

/// Exactly one of `percent` and `per_unit` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierStep {
    /// Major units of the contract's currency, or units where those are counted, this one included; the last step has
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Rate>,
    /// Of the base `units`: major units for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_unit: Option<Price>,
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
    /// Since when another version has its place. It counts no more, but what closed under it still says so.
    #[serde(default)]
    pub replaced_at: Option<Timestamp>,
    pub terms: Terms,
}

impl ActiveVersion {
    /// Versions sort by it in the order in which they took over; of the same beginning, those that were replaced
    /// before the one that stands.
    pub fn order(&self) -> (Timestamp, Timestamp, i64) {
        (self.valid_from, self.replaced_at.unwrap_or(Timestamp(i64::MAX)), self.version)
    }
}
