//! Records for tests.

use crate::time::Timestamp;
use crate::transactions::Record;
use crate::transactions::transaction::Fact;

/// What an extract keeps of a fact, or of one that is undone.
pub fn record(fact: &Fact, closed_at: Option<Timestamp>, undoes: bool) -> Record {
    let fact = fact.clone();
    Record {
        source: fact.source,
        kind: fact.kind,
        affects: fact.affects,
        amount: fact.amount,
        currency: fact.currency,
        occurred_at: fact.occurred_at,
        settled_at: fact.settled_at,
        closed_at,
        product: fact.product,
        player: fact.player,
        has_round: fact.round.is_some(),
        round_closed: fact.round_closed,
        channel: fact.channel,
        region: fact.region,
        test: fact.test,
        attributes: (!fact.attributes.is_empty()).then(|| serde_json::to_string(&fact.attributes).expect("JSON")),
        undoes,
    }
}
