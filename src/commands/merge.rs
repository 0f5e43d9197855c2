//! `fleetdiag merge`.

use super::judge::open_all;
use super::{CommandError, Done};
use crate::capture;
use crate::cli::MergeArgs;

pub(super) fn run(args: &MergeArgs) -> Result<Done, CommandError> {
    let captures = open_all(&args.captures)?;
    capture::merge(captures, &args.to)?;
    Ok(Done::Success)
}
