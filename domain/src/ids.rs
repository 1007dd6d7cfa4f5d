//! Typed identifiers: UUIDv7 inside, a prefixed opaque text outside (`set_0199…`).

use std::fmt;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
            /// The id that stands for "none" where a key column must not be null.
            pub const NONE: Self = Self(Uuid::nil());

            /// The id behind its outside text; `None` for anything malformed, another type's id included.
            pub fn parse(text: &str) -> Option<Self> {
                let hex = text.strip_prefix($prefix)?.strip_prefix('_')?;
                if hex.len() != 32 || hex.bytes().any(|b| b.is_ascii_uppercase()) {
                    return None;
                }
                Uuid::try_parse(hex).ok().map(Self)
            }
        }

        /// Ids are never numbers that the database counts up; the trait asks for the conversion all the same.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

ids! {
    TenantId = "ten";
    MemberId = "mem";
    /// An invitation or a password reset.
    OneTimeTokenId = "ott";
    RefreshTokenId = "ref";
    /// One sign-in: all refresh tokens that were rotated out of it.
    FamilyId = "fam";
    ApiKeyId = "key";
    MailId = "mai";
    PartnerId = "par";
    ProductId = "pro";
    SourceId = "src";
    ContractId = "con";
    /// What was done to a version of a contract.
    StepId = "stp";
    ImportRunId = "run";
    BlockId = "blk";
    TransactionId = "txn";
    ConflictId = "cfl";
    QuarantineId = "qua";
    SettlementId = "set";
    AccountId = "acc";
    EntryId = "ent";
    /// What risk staff review.
    CaseId = "cas";
    VerdictId = "ver";
    /// A detector that was fitted once.
    ModelId = "mod";
    JobId = "job";
    /// Something paid beforehand under a contract.
    FundId = "fun";
}

impl TransactionId {
    /// The next one there can be.
    pub fn following(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_only_as_its_own_type() {
        let id = PartnerId(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(PartnerId::parse(&id.to_string()), Some(id));
        assert_eq!(SourceId::parse(&id.to_string()), None);
        for malformed in
            ["", "par", "par_", "par_1", "par_0199000000007000800000000000000G", "PAR_01990000000070008000000000000001"]
        {
            assert_eq!(PartnerId::parse(malformed), None, "{malformed}");
        }
    }
}
