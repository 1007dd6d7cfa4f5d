//! The outside, without a network: requests go straight into the routes. The last module starts the binary itself.

mod abuse;
mod access;
mod browsers;
mod budgets;
mod command_line;
mod costs;
mod dropped;
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
mod statements;
mod support;
mod transport;
mod uploads;
