//! The outside, without a network: requests go straight into the routes. The last module starts the binary itself.

mod access;
mod command_line;
mod isolation;
mod requests;
mod schema;
mod settling;
mod support;
mod uploads;
