//! `fleetdiag analyze`.

use std::process::ExitCode;

use super::CommandError;
use super::emit::emit;
use super::judge::{judge, open_merged};
use super::playbook::Judging;
use crate::cli::{AnalyzeArgs, Cli};

pub(super) fn run(args: &AnalyzeArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let mut capture = open_merged(&args.captures).map_err(CommandError::usage)?;
    let diagnosis = judge(&mut capture, &judging).map_err(CommandError::usage)?;
    emit(&diagnosis, &args.report, cli)?;
    Ok(ExitCode::from(diagnosis.exit_code))
}
