//! The `saldo` binary.

use std::process::ExitCode;

/// Faster than the system's where many threads allocate (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::run()
}
