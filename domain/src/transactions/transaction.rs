//! What a transaction is, and when it is one: pure checks on the way in, the hash that tells a replay from a conflict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::SourceId;
use crate::money::Units;
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    Stake,
    Win,
    BonusStake,
    BonusWin,
    JackpotContribution,
    JackpotWin,
    Sale,
    Refund,
    Fee,
    Adjustment,
    Rollback,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Stake,
        Self::Win,
        Self::BonusStake,
        Self::BonusWin,
        Self::JackpotContribution,
        Self::JackpotWin,
        Self::Sale,
        Self::Refund,
        Self::Fee,
        Self::Adjustment,
        Self::Rollback,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stake => "STAKE",
            Self::Win => "WIN",
            Self::BonusStake => "BONUS_STAKE",
            Self::BonusWin => "BONUS_WIN",
            Self::JackpotContribution => "JACKPOT_CONTRIBUTION",
            Self::JackpotWin => "JACKPOT_WIN",
            Self::Sale => "SALE",
            Self::Refund => "REFUND",
            Self::Fee => "FEE",
            Self::Adjustment => "ADJUSTMENT",
            Self::Rollback => "ROLLBACK",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The base that an adjustment moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Affects {
    Ggr,
    Turnover,
    Sales,
}

impl Affects {
    pub const ALL: [Self; 3] = [Self::Ggr, Self::Turnover, Self::Sales];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ggr => "GGR",
            Self::Turnover => "TURNOVER",
            Self::Sales => "SALES",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|base| base.as_str() == text)
    }
}

/// A player's pseudonym: the first 16 bytes of a hash keyed by the tenant.
pub type Player = [u8; 16];

/// What a source says happened, as texts: out of a mapping, or from a caller. [`check`] makes a [`Fact`] of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Draft {
    pub external_id: String,
    pub kind: String,
    /// A decimal number in major units: `-12.50`.
    pub amount: String,
    pub currency: String,
    /// RFC 3339, or (from a mapping, which knows the zone) already an instant.
    pub occurred_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    pub reported_at: Option<Timestamp>,
    pub product: Option<String>,
    pub player: Option<String>,
    pub round: Option<String>,
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    pub reverses: Option<String>,
    pub affects: Option<String>,
    pub note: Option<String>,
    pub test: bool,
    /// Round digits beyond the accounting unit instead of refusing them.
    #[serde(skip)]
    pub round_excess: bool,
    pub attributes: BTreeMap<String, String>,
}

/// A transaction as it is kept: checked, in accounting units, the player a pseudonym.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub source: SourceId,
    pub external_id: String,
    pub kind: Kind,
    pub affects: Option<Affects>,
    pub amount: Units,
    pub currency: String,
    pub occurred_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub reported_at: Option<Timestamp>,
    pub product: Option<String>,
    pub player: Option<Player>,
    pub round: Option<String>,
    pub round_closed: bool,
    pub channel: Option<String>,
    pub region: Option<String>,
    pub reverses: Option<String>,
    pub note: Option<String>,
    pub test: bool,
    pub attributes: BTreeMap<String, String>,
}
