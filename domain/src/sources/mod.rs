//! Sources: the connections to providers through which records arrive, and how these become transactions.

mod chunk;
mod drafting;
mod expression;
pub mod framing;
pub mod mapping;
mod record;
mod scanner;
mod times;

mod pending;
pub use pending::*;
