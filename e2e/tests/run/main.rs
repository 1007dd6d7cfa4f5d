//! The real binary, started, killed and driven over the network as its users do.

mod crash;
mod demo;
mod docs;
mod kill;
mod saldo;
