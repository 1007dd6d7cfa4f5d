//! Contracts.

mod condition;
pub mod contract;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod period;
pub mod terms;
