//! What is asked of every transaction: a fixed list of numbers, each against what was usual before.

mod memory;
mod observation;
mod returns;
mod running;
mod state;
mod store;

use crate::hash;

pub use memory::{Memory, Observed, Room};
pub use observation::{Kind, Observation};
pub use returns::ReturnAlarm;

/// The version of the list and of how its numbers are made. A model fits one version.
pub const VERSION: u32 = 2;
pub const COUNT: usize = Feature::ALL.len();

/// A row of features, in the order of [`Feature::ALL`]; what is not known is not a number.
pub type Row = [f64; COUNT];

/// Amounts are compared as logarithms, by side (what is staked or sold, what is won), within one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Standard deviations of the amount from what this player usually has.
    AmountOfPlayer,
    /// The same, from what this product usually has.
    AmountOfProduct,
    /// The same, from what this source usually has.
    AmountOfSource,
    /// ln of the amount over the one before it, of this player.
    AmountStep,
    /// Standard deviations of ln(won ÷ staked) in the round from what this product usually pays.
    PayoutOfProduct,
    /// The same, from what this player is usually paid.
    PayoutOfPlayer,
    /// ln(1 + count) of the player's transactions, fading over the hour.
    CountHour,
    /// The same, fading over the day.
    CountDay,
    /// ln of the hour's count over that of an average hour of the week.
    CountBurst,
    /// ln(1 + what the player staked ÷ the product's usual stake), fading over the hour.
    SumHour,
    /// The same, fading over the day.
    SumDay,
    /// Standard deviations of ln(seconds since the player's transaction before) from what is usual.
    Gap,
    /// ln(1 + how often this player had this product), up to a hundred times.
    PairCount,
    /// ln(1 + hours since the player was first seen), up to a day.
    PlayerAge,
    /// −ln of how often the player is active in this hour of the day (UTC).
    HourOfPlayer,
    /// The same of the source.
    HourOfSource,
    /// Standard deviations of how many rounds the player won from what the payouts make likely.
    Luck,
    /// ln(1 + count) of stakes about twice the one before, fading over the hour.
    Doubled,
    /// How far the source's latest amounts lie from what their players usually have, on average.
    SourceShift,
    /// The part of the latest sequences of three transactions that the source sent before.
    RepeatedSequence,
    /// Whether the same player, product, kind, amount and time came before.
    RepeatedFact,
    /// ln of the source's rate in the last ten minutes over that of its week.
    SourceRate,
    /// ln of what the player won over what was staked, fading over the day.
    ReturnDay,
    /// How many of the others are missing.
    Missing,
}

impl Feature {
    pub const ALL: [Self; 24] = [
        Self::AmountOfPlayer,
        Self::AmountOfProduct,
        Self::AmountOfSource,
        Self::AmountStep,
        Self::PayoutOfProduct,
        Self::PayoutOfPlayer,
        Self::CountHour,
        Self::CountDay,
        Self::CountBurst,
        Self::SumHour,
        Self::SumDay,
        Self::Gap,
        Self::PairCount,
        Self::PlayerAge,
        Self::HourOfPlayer,
        Self::HourOfSource,
        Self::Luck,
        Self::Doubled,
        Self::SourceShift,
        Self::RepeatedSequence,
        Self::RepeatedFact,
        Self::SourceRate,
        Self::ReturnDay,
        Self::Missing,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AmountOfPlayer => "AMOUNT_OF_PLAYER",
            Self::AmountOfProduct => "AMOUNT_OF_PRODUCT",
            Self::AmountOfSource => "AMOUNT_OF_SOURCE",
            Self::AmountStep => "AMOUNT_STEP",
            Self::PayoutOfProduct => "PAYOUT_OF_PRODUCT",
            Self::PayoutOfPlayer => "PAYOUT_OF_PLAYER",
            Self::CountHour => "COUNT_HOUR",
            Self::CountDay => "COUNT_DAY",
            Self::CountBurst => "COUNT_BURST",
            Self::SumHour => "SUM_HOUR",
            Self::SumDay => "SUM_DAY",
            Self::Gap => "GAP",
            Self::PairCount => "PAIR_COUNT",
            Self::PlayerAge => "PLAYER_AGE",
            Self::HourOfPlayer => "HOUR_OF_PLAYER",
            Self::HourOfSource => "HOUR_OF_SOURCE",
            Self::Luck => "LUCK",
            Self::Doubled => "DOUBLED",
            Self::SourceShift => "SOURCE_SHIFT",
            Self::RepeatedSequence => "REPEATED_SEQUENCE",
            Self::RepeatedFact => "REPEATED_FACT",
            Self::SourceRate => "SOURCE_RATE",
            Self::ReturnDay => "RETURN_DAY",
            Self::Missing => "MISSING",
        }
    }

    /// Whether an extreme value is enough by itself, however usual all others are.
    pub const fn is_enough(self) -> bool {
        matches!(
            self,
            Self::AmountOfPlayer
                | Self::AmountOfProduct
                | Self::AmountOfSource
                | Self::Luck
                | Self::Doubled
                | Self::SourceShift
                | Self::RepeatedSequence
        )
    }

    /// Whether only large values are odd: nobody is suspicious for playing less, at their usual hour, or for losing.
    pub const fn is_rising(self) -> bool {
        matches!(
            self,
            Self::CountHour
                | Self::CountDay
                | Self::CountBurst
                | Self::SumHour
                | Self::SumDay
                | Self::HourOfPlayer
                | Self::HourOfSource
                | Self::Luck
                | Self::Doubled
                | Self::RepeatedSequence
                | Self::RepeatedFact
                | Self::SourceRate
                | Self::ReturnDay
                | Self::Missing
        )
    }

    /// Whether only small values are odd: nobody is suspicious for having been here for long.
    pub const fn is_falling(self) -> bool {
        matches!(self, Self::PairCount | Self::PlayerAge)
    }

    /// Whether it is about what the source sends, and not about one transaction of it.
    pub const fn is_of_source(self) -> bool {
        matches!(
            self,
            Self::HourOfSource | Self::SourceShift | Self::RepeatedSequence | Self::RepeatedFact | Self::SourceRate
        )
    }

    /// Whether it is about the amount of one transaction.
    pub const fn is_of_amount(self) -> bool {
        matches!(self, Self::AmountOfPlayer | Self::AmountOfProduct | Self::AmountOfSource)
    }
}

/// Beside each feature that counts in standard deviations: the value itself and the one that it is compared with, which
/// say more to people.
#[derive(Clone, Copy, Debug)]
pub struct Compared([(f64, f64); COMPARED.len()]);

const COMPARED: [Feature; 6] = [
    Feature::AmountOfPlayer,
    Feature::AmountOfProduct,
    Feature::AmountOfSource,
    Feature::PayoutOfProduct,
    Feature::PayoutOfPlayer,
    Feature::Gap,
];

impl Default for Compared {
    fn default() -> Self {
        Self([(f64::NAN, f64::NAN); COMPARED.len()])
    }
}

impl Compared {
    /// Both as logarithms.
    fn put(&mut self, feature: Feature, observed: f64, usual: f64) {
        if let Some(place) = COMPARED.iter().position(|compared| *compared == feature) {
            self.0[place] = (observed, usual);
        }
    }

    /// What is observed and what is usual: an amount in the currency's own unit, what a round pays of 1 staked, seconds.
    pub fn natural(&self, feature: Feature) -> Option<(f64, f64)> {
        let place = COMPARED.iter().position(|compared| *compared == feature)?;
        let (observed, usual) = self.0[place];
        (observed.is_finite() && usual.is_finite()).then(|| (observed.exp(), usual.exp()))
    }
}

/// Places in a row of the features that are so, such as [`Feature::is_enough`].
pub fn places(are: fn(Feature) -> bool) -> Vec<usize> {
    (0..COUNT).filter(|place| are(Feature::ALL[*place])).collect()
}

/// Tells lists of features apart, so that a model never scores with another list than it was fitted to.
pub fn schema_hash() -> u64 {
    let told = |feature: &Feature| {
        let sides = [feature.is_enough(), feature.is_rising(), feature.is_falling()];
        format!("{} {sides:?}", feature.as_str())
    };
    let list: Vec<String> = Feature::ALL.iter().map(told).collect();
    hash(&[&VERSION.to_le_bytes(), list.join(",").as_bytes()])
}
