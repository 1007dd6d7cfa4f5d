//! The settlement core. It knows no HTTP and no GraphQL; ARCHITECTURE.md is its map.

pub mod anomalies;
pub mod calendars;
pub mod caller;
pub mod catalogue;
pub mod clock;
pub mod contracts;
pub mod db;
pub mod error;
pub mod events;
mod expression;
pub mod idempotency;
pub mod ids;
pub mod imports;
pub mod jobs;
pub mod ledger;
pub mod money;
pub mod moves;
pub mod notifications;
pub mod page;
pub mod partners;
pub mod redis;
pub mod replay;
pub mod secrets;
pub mod settlements;
pub mod sources;
pub mod tenants;
pub mod time;
pub mod transactions;

mod domain;
mod worker;

pub use caller::{Actor, Caller, Permission, Role, Scoped};
pub use domain::Domain;
pub use error::{Code, Error, Fault, Problem, Result};
