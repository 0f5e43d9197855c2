//! The `fleetdiag` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetdiag::commands::run(std::env::args_os().collect())
}
