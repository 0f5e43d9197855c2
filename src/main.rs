//! The `fleetdiag` program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    fleetdiag::commands::run(&fleetdiag::cli::Cli::parse())
}
