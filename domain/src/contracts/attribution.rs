//! When a version counts a transaction: by which of its times, and whether that is known yet.

use super::book::Version;
use super::contract::Attribution;
use super::feed::UnpricedReason;
use super::pricing::names;
use crate::time::Timestamp;
use crate::transactions::Seen;

/// When a version counts a transaction.
pub(super) enum Attributed {
    At(Timestamp),
    /// Not before its round closes.
    Later,
    /// Never: it lacks what the version counts by.
    Never(UnpricedReason, &'static str),
}

pub(super) fn attributed(version: &Version, fact: &Seen<'_>, closed_at: Option<Timestamp>) -> Attributed {
    match version.active.terms.attribution {
        Attribution::Occurred => Attributed::At(fact.occurred_at),
        Attribution::Settled => fact.settled_at.map_or(
            Attributed::Never(
                UnpricedReason::NoSettledTime,
                "the contract counts by settlement time, and the transaction has none",
            ),
            Attributed::At,
        ),
        Attribution::RoundClosed if !fact.has_round => Attributed::Never(
            UnpricedReason::NoRound,
            "the contract counts by the closing of rounds, and the transaction has no round",
        ),
        Attribution::RoundClosed => closed_at.map_or(Attributed::Later, Attributed::At),
    }
}

/// Whether a version may cover a transaction, by all that does not change with time.
pub(super) fn could_cover(version: &Version, fact: &Seen<'_>) -> bool {
    let terms = &version.active.terms;
    let scope = &terms.scope;
    version.currency(fact.currency).is_some()
        && (scope.sources.is_empty() || scope.sources.contains(&fact.source))
        && names(&scope.products, fact.product)
        && names(&scope.regions, fact.region)
        && names(&scope.channels, fact.channel)
}
