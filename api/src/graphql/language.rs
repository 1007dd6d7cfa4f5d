//! Languages that texts for people come in.

use async_graphql::Enum;
use domain::anomalies::reason;

/// A language that Saldo speaks.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "reason::Words")]
pub enum Language {
    /// English.
    #[graphql(name = "EN")]
    English,
    /// Korean.
    #[graphql(name = "KO")]
    Korean,
}
