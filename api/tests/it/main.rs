//! The outside, without a network: requests go straight into the routes. The last module starts the binary itself.

mod access;
mod command_line;
mod costs;
mod import;
mod isolation;
mod requests;
mod roles;
mod schema;
mod settling;
mod shape;
mod statements;
mod support;
mod uploads;
