//! `fleetdiag snapshot`.

use std::process::ExitCode;

use super::CommandError;
use super::accepted::{accept, suppressions};
use super::judge::judge;
use super::live::Live;
use super::observe::observe;
use super::planning::plan;
use super::playbook::Judging;
use super::source::Checkout;
use crate::cli::{Cli, SnapshotArgs};

pub(super) fn run(args: &SnapshotArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let accepted = suppressions(&args.accept, cli).map_err(CommandError::usage)?;
    let checkout = Checkout::of(&args.report).map_err(CommandError::usage)?;
    let plan = judging.window(plan(&args.select, &args.collect)?, &args.collect);
    let live = Live::open(&args.report)?;
    let mut collected = observe(&plan, &args.select.patterns, &args.collect, cli.quiet, &live)?;
    let mut diagnosis = judge(&mut collected.capture, &judging)?;
    accept(&accepted, &mut diagnosis, &judging.gate);
    Checkout::show(checkout.as_ref(), &mut diagnosis);
    live.emit(&diagnosis, &args.report, cli)?;
    Ok(ExitCode::from(diagnosis.exit_code))
}
