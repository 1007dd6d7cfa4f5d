//! The real binary, started, killed and driven over the network as its users do.

mod clients;
mod crash;
mod demo;
mod docs;
mod follower;
mod kill;
mod live;
mod mails;
mod saldo;
