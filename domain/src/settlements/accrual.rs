//! What a batch adds to running totals: sums per contract, version, period, rate class and kind.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::contracts::{AccrualKind, Feed, Period};
use crate::ids::{ContractId, PartnerId};
use crate::time::Timestamp;
use crate::transactions::transaction::Player;

/// Within one currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeltaKey {
    pub contract: ContractId,
    pub period_start: Timestamp,
    pub version: i64,
    pub class: Arc<str>,
    pub kind: AccrualKind,
}

#[derive(Clone, Debug)]
pub struct Delta {
    pub partner: PartnerId,
    pub period: Period,
    pub currency: String,
    /// Accounting units, wide while adding: whether the total fits is the store's question.
    pub amount: i128,
    pub units: i64,
    pub transactions: i64,
}

/// What is kept by player, under versions that ask for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlayerKey {
    pub contract: ContractId,
    pub period_start: Timestamp,
    pub version: i64,
    pub player: Player,
    pub kind: AccrualKind,
}

#[derive(Clone, Debug)]
pub struct PlayerDelta {
    pub currency: String,
    /// Accounting units, wide while adding.
    pub amount: i128,
}

#[derive(Default)]
pub struct Deltas {
    /// By currency, of which there are few.
    sums: Vec<(String, FxHashMap<DeltaKey, Delta>)>,
    players: FxHashMap<PlayerKey, PlayerDelta>,
}

impl Deltas {
    /// Adds what a fact feeds, or takes it out again for a rollback, which is one more fact all the same. A fact that
    /// feeds several classes of a contract is counted in the first of them, so that counts add up to facts.
    pub fn add(&mut self, feed: Feed, undoes: bool, currency: &str) {
        let Feed { contract, partner, version, period, class, kind, amount, units, player, again } = feed;
        let sign = if undoes { -1 } else { 1 };
        // A table that collects keeps nothing by player: there is one feed of a transaction.
        if let Some(player) = player {
            let key = PlayerKey { contract, period_start: period.start, version, player, kind };
            let none = || PlayerDelta { currency: currency.to_owned(), amount: 0 };
            self.players.entry(key).or_insert_with(none).amount += i128::from(sign) * i128::from(amount.0);
        }
        let key = DeltaKey { contract, period_start: period.start, version, class, kind };
        let place = self.sums.iter().position(|(own, _)| own == currency).unwrap_or_else(|| {
            self.sums.push((currency.to_owned(), FxHashMap::default()));
            self.sums.len() - 1
        });
        let delta = self.sums[place].1.entry(key).or_insert_with(|| Delta {
            partner,
            period,
            currency: currency.to_owned(),
            amount: 0,
            units: 0,
            transactions: 0,
        });
        delta.amount += i128::from(sign) * i128::from(amount.0);
        delta.units += sign * units;
        delta.transactions += i64::from(!again);
    }

    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// In the order in which rows are locked everywhere.
    pub fn sorted(self) -> Vec<(DeltaKey, Delta)> {
        let mut all: Vec<_> = self.sums.into_iter().flat_map(|(_, deltas)| deltas).collect();
        all.sort_by(|a, b| (&a.0, &a.1.currency).cmp(&(&b.0, &b.1.currency)));
        all
    }

    /// What is kept by player, in the order in which rows are locked everywhere, and after those of [`Deltas::sorted`].
    pub fn take_players(&mut self) -> Vec<(PlayerKey, PlayerDelta)> {
        let mut all: Vec<_> = std::mem::take(&mut self.players).into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Units;

    #[test]
    fn a_rollback_takes_out_what_its_fact_put_in_and_is_a_fact_itself() {
        let feed = Feed {
            contract: ContractId::NONE,
            partner: PartnerId::NONE,
            version: 1,
            period: Period { start: Timestamp(0), end: Timestamp(1) },
            class: "rest".into(),
            kind: AccrualKind::Stake,
            amount: Units(5),
            units: 1,
            player: Some([7; 16]),
            again: false,
        };
        let mut deltas = Deltas::default();
        deltas.add(feed.clone(), false, "EUR");
        deltas.add(Feed { amount: Units(2), ..feed.clone() }, false, "EUR");
        deltas.add(feed.clone(), true, "EUR");
        deltas.add(Feed { class: "surcharge".into(), player: None, again: true, ..feed.clone() }, false, "EUR");
        // Another currency of the version is another sum.
        deltas.add(Feed { amount: Units(7), player: None, ..feed }, false, "USD");
        let players: Vec<_> = deltas.take_players().iter().map(|(key, sum)| (key.player, sum.amount)).collect();
        assert_eq!(players, [([7; 16], 2)]);
        let sums: Vec<_> = deltas.sorted().iter().map(|(_, sum)| (sum.amount, sum.units, sum.transactions)).collect();
        assert_eq!(sums, [(2, 1, 3), (7, 1, 1), (5, 1, 0)]);
    }
}
