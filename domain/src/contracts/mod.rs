//! Contracts.

pub mod contract;
