//! The outside of Saldo: HTTP, GraphQL and the command line. It translates, and decides nothing.

// Changes are deep futures, and whether each may cross threads is asked all the way down.
#![recursion_limit = "256"]

pub mod app;
pub mod cli;
pub mod config;
pub mod connections;
mod demo;
pub mod graphql;
mod health;
pub mod http;
mod import;
pub mod live;
mod members;
mod moves;
mod partitions;
mod progress;
pub mod rates;
pub mod roles;
mod send;
mod serve;
mod sheets;
mod texts;
mod uploads;
