//! Contracts.

pub mod book;
mod condition;
pub mod contract;
pub mod feed;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod period;
pub mod pricing;
pub mod terms;

pub use book::{Book, PlayerVersion, ProductVersion};
pub use feed::{AccrualKind, Feed, Verdict};
pub use period::Period;
pub use pricing::Pricer;

use crate::db::TenantTx;
pub(crate) async fn active_versions_in(_tx: &TenantTx) -> crate::error::Result<Vec<contract::ActiveVersion>> {
    Ok(vec![])
}
