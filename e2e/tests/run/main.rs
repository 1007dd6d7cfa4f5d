//! The real binary, started, killed and driven over the network as its users do.

mod abuse;
mod clients;
mod cluster;
mod crash;
mod demo;
mod docs;
mod failover;
mod follower;
#[path = "../../../api/tests/it/hostile.rs"]
mod hostile;
mod kill;
mod live;
mod mails;
mod meter;
mod replica;
mod saldo;
