//! The outside, without a network: requests go straight into the routes. The last module starts the binary itself.

mod abuse;
mod access;
mod anomalies;
mod browsers;
mod budgets;
mod canary;
mod command_line;
mod costs;
mod crawl;
#[path = "../../../domain/tests/it/databases.rs"]
mod databases;
mod dropped;
mod explaining;
mod followed;
mod habitat;
mod hostile;
mod idempotency;
mod import;
mod isolation;
mod limits;
mod live;
mod matrix;
mod requests;
mod roles;
mod schema;
mod settling;
mod shape;
mod sheets;
mod simulating;
mod statements;
mod support;
mod texts;
mod told;
mod transport;
mod uploads;
mod versions;
