//! Global ids: the prefixed texts of the core's ids.

use async_graphql::ID;
use uuid::Uuid;

/// The id behind its text: `id(&input.member_id, MemberId::parse)`.
///
/// A text that is no id of this type becomes one that nothing has, so that a malformed id, an absent one and another
/// tenant's run the same path and get the same answer.
pub fn id<T: From<Uuid>>(text: &ID, parse: fn(&str) -> Option<T>) -> T {
    parse(text).unwrap_or_else(|| Uuid::max().into())
}

#[cfg(test)]
mod tests {
    use domain::ids::{MemberId, PartnerId};

    use super::*;

    #[test]
    fn a_malformed_id_is_one_that_nothing_has() {
        let member = MemberId(Uuid::from_u128(7));
        assert_eq!(id(&ID(member.to_string()), MemberId::parse), member);
        for malformed in ["", "7", &PartnerId(Uuid::from_u128(7)).to_string()] {
            assert_eq!(id(&ID(malformed.to_owned()), MemberId::parse), MemberId(Uuid::max()));
        }
    }
}
