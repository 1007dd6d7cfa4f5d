//! The real binary, started, killed and driven over the network as its users do.

mod abuse;
mod clients;
mod cluster;
mod crash;
mod demo;
mod disk;
mod docs;
mod failover;
mod follower;
#[path = "../../../api/tests/it/hostile.rs"]
mod hostile;
mod kill;
mod live;
mod load;
mod mails;
mod meter;
mod nodes;
mod postgres;
#[path = "../../../domain/tests/it/redis_server.rs"]
mod redis_server;
mod replica;
mod saldo;
