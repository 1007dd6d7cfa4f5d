//! What goes wrong in the demo, on a script, so that the detector has something to find and a viewer something to
//! compare its cases with: the terminal says when each begins. The script follows the clock alone, so that a delivery
//! that is made again has the same faults in it.

use domain::time::{MICROS_PER_SECOND, Timestamp};

/// The script begins anew so often, from 1970 on.
const LOOP: i64 = 160 * MICROS_PER_SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A slot game pays half as much again as it takes (`slots.rs`).
    PaytableDrifts,
    /// Bets of a whole hour are sent again, one of each minute, under new ids (`crash.rs`).
    HourIsReplayed,
    /// A player of the crash game leaves every round just before it ends (`crash.rs`).
    PlayerKnows,
    /// A better's stakes double ten times in a row (`sales.rs`).
    StakesDouble,
}

/// One occurrence of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub fault: Fault,
    pub began: Timestamp,
    /// How often the script was begun before: names of what is new each time are made of it.
    pub number: i64,
}

impl Fault {
    pub const ALL: [Self; 4] = [Self::PaytableDrifts, Self::HourIsReplayed, Self::PlayerKnows, Self::StakesDouble];

    /// When in the script it begins, and how long it lasts, in seconds. One begins every 40 seconds.
    const fn place(self) -> (i64, i64) {
        match self {
            Self::PaytableDrifts => (0, 80),
            Self::HourIsReplayed => (40, 40),
            Self::PlayerKnows => (80, 80),
            Self::StakesDouble => (120, 33),
        }
    }

    /// The occurrence that is under way.
    pub fn at(self, at: Timestamp) -> Option<Occurrence> {
        let (begins, seconds) = self.place();
        let since = at.0 - begins * MICROS_PER_SECOND;
        let began = Timestamp(at.0 - since.rem_euclid(LOOP));
        let number = since.div_euclid(LOOP);
        (at.0 - began.0 < seconds * MICROS_PER_SECOND).then_some(Occurrence { fault: self, began, number })
    }

    pub fn seconds(self) -> i64 {
        self.place().1
    }
}

impl Occurrence {
    /// The first fault to begin after a time.
    pub fn after(time: Timestamp) -> Self {
        let next = |fault: Fault| {
            let (begins, _) = fault.place();
            let number = (time.0 - begins * MICROS_PER_SECOND).div_euclid(LOOP) + 1;
            Self { fault, number, began: Timestamp(number * LOOP + begins * MICROS_PER_SECOND) }
        };
        let [first, rest @ ..] = Fault::ALL.map(next);
        rest.into_iter().fold(first, |first, other| if other.began < first.began { other } else { first })
    }

    /// For the terminal, so that what is found can be compared with what was done.
    pub fn in_words(self) -> String {
        let seconds = self.fault.seconds();
        match self.fault {
            Fault::PaytableDrifts => format!(
                "lumen-slots: Han River pays 150 % of what is staked, instead of 95.5 %, and draws players ({seconds} s)"
            ),
            Fault::HourIsReplayed => {
                format!(
                    "komet-crash: a bet of each minute of the last hour is sent again, under a new id ({seconds} s)"
                )
            }
            Fault::PlayerKnows => format!(
                "komet-crash: the player {} leaves every round just before it ends ({seconds} s)",
                self.knowing_player()
            ),
            Fault::StakesDouble => format!(
                "empire-sales: {}'s stakes on tennis double ten times in a row ({seconds} s)",
                self.doubling_player()
            ),
        }
    }

    /// Another one each time, so that each time is a case of its own.
    pub fn knowing_player(self) -> String {
        format!("sibylle-{}", self.number % 1_000)
    }

    pub fn doubling_player(self) -> String {
        format!("martin-{}", self.number % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = MICROS_PER_SECOND;

    #[test]
    fn one_begins_within_forty_seconds_whenever_somebody_looks() {
        let mut seen = Vec::new();
        for second in 1_790_000_000..1_790_000_000 + 160 {
            let now = Timestamp(second * SECOND + 1);
            let next = Occurrence::after(now);
            assert!(next.began > now && next.began.0 - now.0 <= 40 * SECOND, "{second}: {next:?}");
            assert_eq!(next.fault.at(next.began), Some(next), "it is under way from then on");
            assert_eq!(next.fault.at(next.began.plus(-1)), None, "and not before");
            let last = next.began.plus(next.fault.seconds() * SECOND - 1);
            assert_eq!(next.fault.at(last), Some(next));
            assert_eq!(next.fault.at(last.plus(1)).filter(|later| later.number == next.number), None);
            if !seen.contains(&next.fault) {
                seen.push(next.fault);
            }
        }
        assert_eq!(seen.len(), Fault::ALL.len(), "each is in the script");
    }

    #[test]
    fn each_time_is_another_one() {
        let first = Occurrence::after(Timestamp(1_790_000_000 * SECOND));
        let again = Fault::at(first.fault, first.began.plus(LOOP)).unwrap();
        assert_eq!(again.number, first.number + 1);
        assert_ne!(again.knowing_player(), first.knowing_player());
    }
}
