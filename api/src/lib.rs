//! The outside of Saldo: HTTP, GraphQL and the command line. It translates, and decides nothing.

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
mod uploads;
