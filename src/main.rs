//! The `fleetdiag` program.

fn main() {}
