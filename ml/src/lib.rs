//! The place of the anomaly detector: features of transactions in, a score with its reasons out.
//!
//! # What is here
//!
//! - [`features`]: [`features::Memory`] turns transactions into rows, one after the other, and remembers what is usual.
//! - [`Model`]: the detector of transactions as it is kept. It is fitted to rows, scores them and says why; it is
//!   written as an artefact that proves on reading that it still scores as it did. [`Model::prior`] is for who has no
//!   history yet.
//! - [`Detector`]: the same for rows of any width, which is what `examples/evaluate.rs` and `examples/sales.rs` measure.
//!   [`forest`] and [`gaussian`] are its parts that stand for themselves.
//! - [`alerts`]: which scores are alerts, at the rate and under the cap that a tenant wants.
//!
//! `docs/detector.md` says how a score comes about and how well it finds what it should; the tables in it are what
//! `make compare` and the examples print.
//!
//! # What belongs here
//!
//! Pure computation on numbers: turning facts into features, training a detector, scoring with it, explaining a score.
//! The same input gives the same output, up to the last digits of logarithms on another machine; a seed is an argument,
//! never drawn. Floating point is at home here and nowhere else in Saldo, because a score is a statistic and not money.
//!
//! # What may never be here
//!
//! - I/O of any kind: no database, file, network or log. Models come in and go out as bytes; `domain` keeps them.
//! - A clock. Times are features like any other and come in as numbers: what happened when, never what time it is.
//! - A tenant. Whose model it is and which rows it may see is decided by `domain`, whose types carry the tenant.
//! - `async` and threads of its own. The caller decides where to compute and how long to wait.
//! - Money. Nothing computed here enters an amount; a score may at most put a case before a person.
//!
//! This crate therefore depends on no other crate of the workspace, and its `Cargo.toml` names no library that could
//! do any of this. The tidy test (`e2e/tests/tidy/`) reads that file.

// Statistics are no money: see above.
#![allow(clippy::float_arithmetic)]

pub mod alerts;
mod calibration;
mod detector;
pub mod features;
pub mod forest;
pub mod gaussian;
mod model;
mod order;
mod prior;
mod scale;
mod tails;

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

pub use detector::{Detecting, Detector, LEAST_ROWS, Reason, Score, Scratch};
pub use model::{Model, Training, Unusable};

/// Why nothing was fitted. The model before stays in place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    #[error("{0} rows say too little")]
    TooFew(usize),
    #[error("rows of {0} features, or of different numbers of them, cannot be fitted")]
    TooWide(usize),
    #[error("the features have no covariance that can be inverted")]
    Singular,
    #[error("{0}")]
    Library(String),
}

impl From<linfa::Error> for FitError {
    fn from(error: linfa::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// Of hashes, in this order: far cheaper than of what they were made from.
fn combine(hashes: &[u64]) -> u64 {
    hashes.iter().fold(0x9e37_79b9_7f4a_7c15, |so_far: u64, hash| {
        // As splitmix64 ends (Steele, Lea, Flood 2014): every bit of the outcome depends on every bit before.
        let mixed = so_far.rotate_left(23).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ hash;
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Of parts, each told apart from the next by its length. The same on every machine and in every version: what is
/// remembered is kept under it.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x5361_6c64_6f5f_6d6c, 1);
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish()
}
