//! A transaction as the features see it.

use crate::{combine, hash};

/// What happened, as far as the features tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A stake, a sale, a contribution: what comes in.
    Stake,
    /// A win: what goes out again.
    Win,
    /// What undoes one of them: refunds, rollbacks.
    Back,
    /// What neither stakes nor wins: fees, contributions, adjustments.
    Other,
}

/// How many there are.
pub(super) const KINDS: usize = 4;

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
        // Names may be long, so each is hashed once.
        let (source, currency) = (hash(&[self.source]), hash(&[self.currency.as_bytes()]));
        let name = |name: Option<&[u8]>| name.map_or(0, |name| hash(&[name]));
        let (player, product) = (name(self.player), name(self.product.map(str::as_bytes)));
        let round = name(self.round.map(str::as_bytes));
        let (kind, amount) = (self.kind as u64, self.amount.to_bits());
        let step = combine(&[player, product, kind, amount]);
        Keys {
            stream: combine(&[source, currency]),
            product: combine(&[product, currency]),
            player: self.player.map(|_| combine(&[player, currency])),
            pair: self.player.map(|_| combine(&[player, product, currency])),
            round: self.round.map(|_| combine(&[source, round, player])),
            fact: combine(&[source, step, round, self.at as u64]),
            step,
        }
    }
}
