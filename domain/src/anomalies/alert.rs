//! When risk staff are told of new cases: at once as long as there are few, together when there are many.

use crate::time::{MICROS_PER_SECOND, Timestamp};

/// So many cases are told in a mail each.
const FEW: usize = 3;
/// After a mail, how long new cases gather before the next one…
const PAUSE_MICROS: i64 = 60 * MICROS_PER_SECOND;
/// …and how long they do when there are many of them.
const LONG_PAUSE_MICROS: i64 = 900 * MICROS_PER_SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing now.
    Wait,
    /// A mail for each case.
    Each,
    /// One mail for all of them.
    Digest,
}

/// What to do about cases that nobody was told of yet; `last` is when somebody was last told of any.
pub fn plan(untold: usize, last: Option<Timestamp>, now: Timestamp) -> Plan {
    let since = |pause: i64| last.is_none_or(|last| now.0 - last.0 >= pause);
    match untold {
        0 => Plan::Wait,
        1..=FEW if since(PAUSE_MICROS) => Plan::Each,
        1..=FEW => Plan::Wait,
        _ if since(LONG_PAUSE_MICROS) => Plan::Digest,
        _ => Plan::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_at_once_and_many_together() {
        let now = Timestamp(10_000 * MICROS_PER_SECOND);
        let ago = |seconds: i64| Some(now.plus(-seconds * MICROS_PER_SECOND));
        assert_eq!(plan(0, None, now), Plan::Wait);
        assert_eq!(
            (plan(1, None, now), plan(3, None, now), plan(4, None, now)),
            (Plan::Each, Plan::Each, Plan::Digest)
        );
        assert_eq!((plan(1, ago(59), now), plan(1, ago(60), now)), (Plan::Wait, Plan::Each));
        assert_eq!((plan(9, ago(899), now), plan(9, ago(900), now)), (Plan::Wait, Plan::Digest));
    }
}
