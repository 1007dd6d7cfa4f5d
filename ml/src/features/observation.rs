//! A transaction as the features see it.

use crate::hash;

/// What happened, as far as the features tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A stake, a sale, a contribution: what comes in.
    Stake,
    /// A win: what goes out again.
    Win,
    /// What neither stakes nor wins: fees, adjustments, refunds, rollbacks.
    Other,
}

/// One transaction. Names may be of any length; they are hashed.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    pub kind: Kind,
    /// In the currency's own unit. It is a statistic here, not money.
    pub amount: f64,
    pub currency: &'a str,
    /// When it happened, in microseconds since 1970.
    pub at: i64,
    pub source: &'a [u8],
    pub product: Option<&'a str>,
    pub player: Option<&'a [u8]>,
    pub round: Option<&'a str>,
}

/// The hashes of an observation's parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub stream: u64,
    pub product: u64,
    pub player: Option<u64>,
    pub pair: Option<u64>,
    pub round: Option<u64>,
    /// Player, round, kind and amount.
    pub fact: u64,
    /// Player, kind and amount.
    pub step: u64,
}

impl Observation<'_> {
    pub(super) fn keys(&self) -> Keys {
        let currency = self.currency.as_bytes();
        let product = self.product.unwrap_or_default().as_bytes();
        let kind = [self.kind as u8];
        let amount = self.amount.to_bits().to_le_bytes();
        let player = self.player.unwrap_or_default();
        let round = self.round.unwrap_or_default().as_bytes();
        Keys {
            stream: hash(&[self.source, currency]),
            product: hash(&[product, currency]),
            player: self.player.map(|player| hash(&[player, currency])),
            pair: self.player.map(|player| hash(&[player, product, currency])),
            round: self.round.map(|round| hash(&[self.source, round.as_bytes(), player])),
            fact: hash(&[self.source, player, product, round, &kind, &amount, &self.at.to_le_bytes()]),
            step: hash(&[player, product, &kind, &amount]),
        }
    }
}
