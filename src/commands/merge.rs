//! `fleetdiag merge`.

use std::process::ExitCode;

use super::CommandError;
use super::judge::{open_all, open_merged};
use crate::capture;
use crate::cli::MergeArgs;

pub(super) fn run(args: &MergeArgs) -> Result<ExitCode, CommandError> {
    if args.redact {
        let mut capture = open_merged(&args.captures).map_err(CommandError::usage)?;
        capture::redact(&mut capture, &args.to).map_err(CommandError::usage)?;
    } else {
        let captures = open_all(&args.captures).map_err(CommandError::usage)?;
        capture::merge(captures, &args.to).map_err(CommandError::usage)?;
    }
    Ok(ExitCode::SUCCESS)
}
