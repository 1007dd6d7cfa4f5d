//! What makes two requests the same one.

use uuid::Uuid;

use crate::error::{Code, Problem};
use crate::ids::TenantId;

const LONGEST_KEY: usize = 255;
const PATH: &str = "idempotencyKey";

/// A request that is done once, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    pub(super) slot: Slot,
    pub(super) operation: String,
    /// SHA-256 of what is asked.
    pub(super) request: [u8; 32],
}

/// The place of one key: every member and API key has places of its own, and nil stands for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    pub(super) key: String,
    pub(super) actor: Uuid,
}

impl Once {
    pub fn new(actor: Uuid, key: &str, operation: &str, request: [u8; 32]) -> Result<Self, Problem> {
        if !(1..=LONGEST_KEY).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("a key has 1 to {LONGEST_KEY} visible ASCII characters without spaces");
            return Err(Problem::new(Code::BadInput, PATH, message));
        }
        Ok(Self { slot: Slot { key: key.to_owned(), actor }, operation: operation.to_owned(), request })
    }

    /// Two requests with one slot are one request, or in conflict.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Whether what is kept in this slot is the outcome of this very request.
    pub(super) fn matches(&self, operation: &str, request: &[u8]) -> Result<(), Problem> {
        if self.operation == operation && self.request == request {
            return Ok(());
        }
        let message = format!("this key was used for another request ({operation}); give a new request a new key");
        Err(Problem::new(Code::IdempotencyConflict, PATH, message))
    }

    /// What an outcome is sealed for: moved to another row it does not open.
    pub(super) fn purpose(&self, tenant: TenantId) -> String {
        let Self { slot: Slot { key, actor }, operation, .. } = self;
        format!("the outcome of {operation} for {actor} of {tenant} under the key {key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(key: &str, operation: &str, request: u8) -> Result<Once, Problem> {
        Once::new(Uuid::nil(), key, operation, [request; 32])
    }

    #[test]
    fn a_key_is_a_short_word() {
        for good in ["1", "8e03978e-40d5-43dd-bc93-6894a57f9324", "~!#\"", &"k".repeat(255)] {
            assert!(once(good, "a", 1).is_ok(), "{good}");
        }
        for bad in ["", " ", "two words", "tab\t", "ключ", "\u{7f}", &"k".repeat(256)] {
            let problem = once(bad, "a", 1).expect_err(bad);
            assert_eq!((problem.code, problem.path.as_str()), (Code::BadInput, PATH));
        }
    }

    #[test]
    fn the_same_request_has_the_same_operation_and_hash() {
        let first = once("k", "a", 1).expect("a key");
        assert_eq!(first.matches("a", &[1; 32]), Ok(()));
        for (operation, request) in [("b", [1; 32]), ("a", [2; 32])] {
            let refused = first.matches(operation, &request).map_err(|problem| problem.code);
            assert_eq!(refused, Err(Code::IdempotencyConflict));
        }
    }

    #[test]
    fn every_caller_has_slots_of_its_own() {
        let other = Once::new(Uuid::from_u128(1), "k", "a", [1; 32]).expect("a key");
        let first = once("k", "a", 1).expect("a key");
        assert_ne!(first.slot(), other.slot());
        assert_eq!(first.slot(), once("k", "b", 2).expect("a key").slot());
        let (one, two) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        assert_ne!(first.purpose(one), first.purpose(two));
        assert_ne!(first.purpose(one), other.purpose(one));
    }
}
