//! End-to-end tests: `tests/run` drives the real binary over the network, `tests/tidy` keeps ARCHITECTURE.md true.
