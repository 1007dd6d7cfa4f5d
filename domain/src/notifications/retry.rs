//! When a mail that was not taken is tried again.

use crate::ids::MailId;
use crate::time::MICROS_PER_SECOND;

/// Tries of one mail, the first one included: over about a day, and then it is parked.
pub const MAX_ATTEMPTS: i64 = 8;
const FIRST_SECONDS: i64 = 5;
/// Each wait is as many times the one before: 5 s, 25 s, 2 min, 10 min, 52 min, 4 h, 22 h.
const FACTOR: i64 = 5;
/// By how many hundredths a wait is shortened at most.
const JITTER_PERCENT: u64 = 20;

/// How long to wait after so many attempts, in microseconds; `None` when they were enough.
///
/// Waits are shortened by a part that the mail's id decides, so that a thousand mails that failed together do not come
/// again together, and one of them always comes when it was said to.
pub fn wait(mail: MailId, attempts: i64) -> Option<i64> {
    if attempts >= MAX_ATTEMPTS {
        return None;
    }
    let exponent = u32::try_from(attempts - 1).unwrap_or_default();
    let whole = FIRST_SECONDS * MICROS_PER_SECOND * FACTOR.pow(exponent);
    let shorter = i64::try_from(mixed(mail, attempts) % (JITTER_PERCENT * 10 + 1)).unwrap_or_default();
    Some(whole - whole / 1_000 * shorter)
}

/// Bits of the id and the attempt, stirred (the last step of splitmix64): ids of one moment differ in few of them.
fn mixed(mail: MailId, attempts: i64) -> u64 {
    let (high, low) = mail.0.as_u64_pair();
    let mut bits = high ^ low.rotate_left(17) ^ attempts.unsigned_abs();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;
    use crate::time::MICROS_PER_HOUR;

    fn mail(number: u128) -> MailId {
        MailId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + number))
    }

    #[test]
    fn eight_tries_take_about_a_day_and_then_it_is_enough() {
        for number in 0..1_000 {
            let waits: Vec<i64> = (1..MAX_ATTEMPTS).map(|attempts| wait(mail(number), attempts).unwrap()).collect();
            let day: i64 = waits.iter().sum();
            assert!((21 * MICROS_PER_HOUR..28 * MICROS_PER_HOUR).contains(&day), "{waits:?}");
            assert!(waits.is_sorted_by(|one, next| *next >= 4 * one), "each is longer: {waits:?}");
            assert!((4 * MICROS_PER_SECOND..=5 * MICROS_PER_SECOND).contains(&waits[0]));
            assert_eq!(wait(mail(number), MAX_ATTEMPTS), None);
            assert_eq!(wait(mail(number), MAX_ATTEMPTS + 1), None);
        }
    }

    #[test]
    fn mails_that_failed_together_come_again_one_by_one_and_each_when_it_said() {
        let waits: Vec<i64> = (0..200).map(|number| wait(mail(number), 3).unwrap()).collect();
        assert_eq!(waits, (0..200).map(|number| wait(mail(number), 3).unwrap()).collect::<Vec<_>>());
        let different: BTreeSet<i64> = waits.into_iter().collect();
        assert!(different.len() > 100, "{} different waits of 200", different.len());
    }
}
