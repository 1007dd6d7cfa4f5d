//! The place of the anomaly detector: features of transactions in, a score with its reasons out.
//!
//! # What belongs here
//!
//! Pure computation on numbers: turning facts into features, training a detector, scoring with it, explaining a score.
//! The same input gives the same output on every machine; a seed is an argument, never drawn. Floating point is at
//! home here and nowhere else in Saldo, because a score is a statistic and not money.
//!
//! # What may never be here
//!
//! - I/O of any kind: no database, file, network or log. Models come in and go out as bytes; `domain` keeps them.
//! - A clock. Times are features like any other and come in as numbers.
//! - A tenant. Whose model it is and which rows it may see is decided by `domain`, whose types carry the tenant.
//! - `async` and threads of its own. The caller decides where to compute and how long to wait.
//! - Money. Nothing computed here enters an amount; a score may at most put a case before a person.
//!
//! This crate therefore depends on no other crate of the workspace, and its `Cargo.toml` names no library that could
//! do any of this. The tidy test (`e2e/tests/tidy/`) reads that file.
//!
//! The detector itself has not been built yet, and there is nothing here until it is: a stub would only have to be
//! kept from being called.
