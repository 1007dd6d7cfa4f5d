//! The outside of Saldo: HTTP, GraphQL and the command line. It translates, and decides nothing.

pub mod app;
pub mod cli;
pub mod config;
pub mod connections;
mod demo;
pub mod graphql;
pub mod http;
mod import;
pub mod live;
mod members;
mod progress;
pub mod rates;
mod send;
mod serve;
mod uploads;
