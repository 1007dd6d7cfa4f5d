//! Settlements.

pub mod blockers;
pub mod chain;
mod netting;
mod rates;
pub mod settlement;
