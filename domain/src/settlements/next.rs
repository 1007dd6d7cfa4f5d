//! The period that follows another one, and the version that decides at the end of one.

use crate::contracts::Period;
use crate::contracts::contract::ActiveVersion;
use crate::ids::ContractId;
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub period: Period,
    /// Whether a version is in force in some of it.
    pub counts: bool,
}

/// The period of one contract and currency that begins where another one ended. `versions` are the contract's, in
/// whatever currencies; what another one replaced cuts periods where nothing else does, and counts in none.
pub(super) fn next(versions: &[ActiveVersion], currency: &str, ended: Timestamp) -> Option<Next> {
    let own = || versions.iter().filter(|version| version.terms.currency == currency);
    let begun = own().filter(|version| version.valid_from <= ended).max_by_key(|version| version.order());
    let period = begun.or(own().min_by_key(|version| version.order()))?.terms.cycle.period(ended);
    let in_force = |version: &ActiveVersion| {
        let stands = version.replaced_at.is_none() && version.valid_from < period.end;
        stands && version.until(versions).is_none_or(|until| period.start < until)
    };
    Some(Next { period, counts: own().any(in_force) })
}

/// The version of a contract in one currency that decides about a period that ends then: the last that began before.
pub(super) fn at_end<'v>(
    versions: &'v [ActiveVersion],
    contract: ContractId,
    currency: &str,
    end: Timestamp,
) -> Option<&'v ActiveVersion> {
    let own = versions.iter().filter(|version| version.contract == contract && version.terms.currency == currency);
    own.filter(|version| version.valid_from < end).max_by_key(|version| version.valid_from)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contracts::fixtures::active;

    fn version(number: i64, change: Value) -> ActiveVersion {
        active(1, number, change)
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn after(versions: &[ActiveVersion], ended: &str) -> Option<(String, bool)> {
        next(versions, "BIT", at(ended)).map(|next| (next.period.end.to_rfc3339(), next.counts))
    }

    #[test]
    fn nothing_counts_behind_the_last_day() {
        let first = version(1, json!({ "validFrom": "2021-01-01", "validUntil": "2021-02-15" }));
        let one = std::slice::from_ref(&first);
        assert_eq!(after(one, "2021-02-01T00:00:00Z"), Some(("2021-03-01T00:00:00Z".to_owned(), true)));
        assert_eq!(after(one, "2021-03-01T00:00:00Z"), Some(("2021-04-01T00:00:00Z".to_owned(), false)));
        // Another version may begin after a gap; one in another currency is another chain.
        let later = version(2, json!({ "validFrom": "2021-04-30" }));
        let both = [first.clone(), later];
        assert_eq!(after(&both, "2021-03-01T00:00:00Z").map(|next| next.1), Some(false));
        assert_eq!(after(&both, "2021-04-01T00:00:00Z").map(|next| next.1), Some(true));
        let dollars = version(2, json!({ "validFrom": "2021-02-01", "currency": "USD" }));
        assert_eq!(after(&[first, dollars.clone()], "2021-02-01T00:00:00Z").map(|next| next.1), Some(false));
        assert_eq!(after(std::slice::from_ref(&dollars), "2021-02-01T00:00:00Z"), None);
        // All of it was replaced by dollars: what is late of it still has a period to be corrected in.
        let replaced = version(1, json!({ "validFrom": "2021-02-01" }));
        let replaced = ActiveVersion { replaced_at: Some(Timestamp(0)), ..replaced };
        let corrected = after(&[replaced, dollars], "2021-03-01T00:00:00Z");
        assert_eq!(corrected, Some(("2021-04-01T00:00:00Z".to_owned(), false)));
    }
}
