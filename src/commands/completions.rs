//! `fleetdiag completions` and `fleetdiag man`, from the same definitions as the command line itself.

use std::process::ExitCode;

use clap::CommandFactory;

use super::CommandError;
use super::emit::print;
use crate::cli::{Cli, CompletionsArgs};

pub(super) fn shell(args: &CompletionsArgs) -> Result<ExitCode, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fleetdiag", &mut script);
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn manual() -> Result<ExitCode, CommandError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&page)?;
    Ok(ExitCode::SUCCESS)
}
