//! Transactions.

pub mod transaction;

#[derive(Default)]
pub struct Lanes {}
