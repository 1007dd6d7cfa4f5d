//! What can go wrong, in one type for the whole core, because every capability fails in the same few ways: the caller
//! may not, the thing is not there, the input or the moment is wrong (told as [`Problem`]s that name the field), or
//! something below broke ([`Fault`], whose details never leave the process).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::db;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    #[error("you may not do this: it takes {0}")]
    Denied(&'static str),
    /// Also the answer for another tenant's or another partner's things: both look the same from outside.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("{}", problems(.0))]
    Invalid(Vec<Problem>),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// One thing that is wrong with what a caller sent or asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{}{message}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct Problem {
    pub code: Code,
    /// The field at fault, as in the input: `terms.rateTable.rows.0.when`. Empty when it is the whole.
    pub path: String,
    pub message: String,
}

impl Problem {
    pub fn new(code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), message: message.into() }
    }

    /// The same problem, seen from one level further out.
    pub fn under(mut self, prefix: &str) -> Self {
        self.path = if self.path.is_empty() { prefix.to_owned() } else { format!("{prefix}.{}", self.path) };
        self
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }
}

fn problems(all: &[Problem]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Everything below the rules that can break: database, disk, a stored value that does not read back.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("database: {0}")]
    Database(#[from] sea_orm::DbErr),
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    #[error("no answer within {0} seconds")]
    Deadline(u64),
    /// The connection was lost before the database said whether a change stands.
    #[error("the database did not say whether it is done")]
    Unanswered,
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// Whether a transaction that came to this may be tried again as a whole; `twice` where it does no harm though it
    /// may be done already.
    pub(crate) fn may_be_tried_again(&self, twice: bool) -> bool {
        match self {
            Self::Fault(Fault::Database(error)) => db::is_passing(error),
            Self::Fault(Fault::Unanswered) => twice,
            _ => false,
        }
    }
}

impl Fault {
    /// Whether the same may do later, or elsewhere; and what to say of it.
    pub fn passes(&self) -> Option<&'static str> {
        match self {
            Self::Database(error) if db::is_unavailable(error) => {
                Some("the database is not there or busy; nothing was done, so try again")
            }
            Self::Unanswered | Self::Deadline(_) => {
                Some("it is not known whether this was done; send it again with the same idempotency key, or look")
            }
            _ => None,
        }
    }
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Fault(error.into())
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal;)*) => {
        /// The error codes that clients may rely on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)* }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    /// A value is missing, malformed, too long or out of range.
    BadInput = "BAD_INPUT";
    /// There is no such thing, or it is not yours to see.
    NotFound = "NOT_FOUND";
    /// The name, code or reference is taken.
    AlreadyExists = "ALREADY_EXISTS";
    /// E-mail, password or token is wrong, used up or expired.
    BadCredentials = "BAD_CREDENTIALS";
    /// A password is too short or too common.
    WeakPassword = "WEAK_PASSWORD";
    /// The last administrator of a tenant can be neither disabled nor demoted.
    LastAdministrator = "LAST_ADMINISTRATOR";
    /// Not a decimal number, or one that is too large.
    BadAmount = "BAD_AMOUNT";
    /// More decimals than the currency is kept with.
    TooManyDecimals = "TOO_MANY_DECIMALS";
    /// An amount is negative that only an adjustment may be.
    NegativeAmount = "NEGATIVE_AMOUNT";
    /// Neither an ISO 4217 currency nor an asset of this tenant.
    UnknownCurrency = "UNKNOWN_CURRENCY";
    /// No product has this code.
    UnknownProduct = "UNKNOWN_PRODUCT";
    /// No such kind of transaction.
    UnknownKind = "UNKNOWN_KIND";
    /// Not a time, a time without a zone, or a year outside 1970 to 2199.
    BadTime = "BAD_TIME";
    /// Bytes that the declared encoding does not have.
    BadEncoding = "BAD_ENCODING";
    /// A record that is no record of its format: wrong number of fields, broken JSON, an open quote.
    MalformedRecord = "MALFORMED_RECORD";
    /// A record longer than a mebibyte.
    RecordTooLong = "RECORD_TOO_LONG";
    /// A file that cannot be read at all: empty, missing or doubled columns.
    BadFile = "BAD_FILE";
    /// An expression does not compile, or reads what is not there.
    BadExpression = "BAD_EXPRESSION";
    /// An expression failed on this record.
    ExpressionFailed = "EXPRESSION_FAILED";
    /// The rollback names a fact that another rollback already undid, or a rollback.
    BadRollback = "BAD_ROLLBACK";
    /// The sum of a rate class exceeds what an amount can hold.
    Overflow = "OVERFLOW";
    /// Two contracts of one partner and role claim the same transactions.
    ScopeOverlap = "SCOPE_OVERLAP";
    /// The contract version is active and cannot change any more.
    VersionActive = "VERSION_ACTIVE";
    /// Somebody saved the draft since it was read.
    Stale = "STALE";
    /// A stored test case gives something else than it expects.
    TestCaseFailed = "TEST_CASE_FAILED";
    /// The tenant's policy asks for an approval by a second person first.
    ApprovalNeeded = "APPROVAL_NEEDED";
    /// Whoever wrote a version does not approve it where a second person is to.
    OwnWork = "OWN_WORK";
    /// The settlement cannot close yet; `Settlement.blockers` says why.
    Blocked = "BLOCKED";
    /// What was asked for is already done, or no longer possible.
    WrongState = "WRONG_STATE";
    /// The upload is elsewhere in the file than the request says.
    WrongOffset = "WRONG_OFFSET";
    /// The record or request was tried while something it needs was missing; it will be taken when repeated.
    Unavailable = "UNAVAILABLE";
    /// The external id is known with another content.
    Conflict = "CONFLICT";
    /// What happened after the cursor is no longer kept.
    CursorExpired = "CURSOR_EXPIRED";
    /// Too many tries, or more work than the budget has; later it will do.
    RateLimited = "RATE_LIMITED";
    /// The idempotency key was used for another request.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT";
}

impl Error {
    /// The same failure for everybody who waited for one thing.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Denied(takes) => Self::Denied(takes),
            Self::NotFound(what) => Self::NotFound(what),
            Self::Invalid(problems) => Self::Invalid(problems.clone()),
            Self::Fault(Fault::Database(error)) => error.clone().into(),
            Self::Fault(Fault::Unanswered) => Fault::Unanswered.into(),
            Self::Fault(fault) => Fault::Internal(fault.to_string()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_is_described() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(code.description().trim().ends_with('.'), "{code:?}");
        }
    }
}
