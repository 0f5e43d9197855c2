//! `fleetdiag analyze`.

use std::process::ExitCode;

use super::CommandError;
use super::accepted::{accept, suppressions};
use super::emit::emit;
use super::judge::{judge, open_merged};
use super::playbook::Judging;
use super::source::Checkout;
use crate::cli::{AnalyzeArgs, Cli};

pub(super) fn run(args: &AnalyzeArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let checkout = Checkout::of(&args.report).map_err(CommandError::usage)?;
    let accepted = suppressions(&args.accept, cli).map_err(CommandError::usage)?;
    let mut capture = open_merged(&args.captures).map_err(CommandError::usage)?;
    let mut diagnosis = judge(&mut capture, &judging).map_err(CommandError::usage)?;
    accept(&accepted, &mut diagnosis, &judging.gate);
    Checkout::show(checkout.as_ref(), &mut diagnosis);
    emit(&diagnosis, &args.report, cli)?;
    Ok(ExitCode::from(diagnosis.exit_code))
}
