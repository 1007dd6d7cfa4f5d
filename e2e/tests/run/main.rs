//! The real binary, started, killed and driven over the network as its users do.

mod crash;
mod kill;
mod saldo;
