//! `fleetdiag export`.

use std::process::ExitCode;

use super::CommandError;
use super::emit::{print, write_whole};
use super::judge::{judge, open_all};
use super::playbook::Judging;
use crate::cli::{ExportArgs, ExportFormat};
use crate::report;

/// Exporting succeeds whatever the captures show: the exit code is no verdict.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, CommandError> {
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let mut text = String::new();
    for mut capture in open_all(&args.captures).map_err(CommandError::usage)? {
        let diagnosis = judge(&mut capture, &judging).map_err(CommandError::usage)?;
        match args.format {
            ExportFormat::Ndjson => text.push_str(&report::rows(&diagnosis)),
        }
    }
    match &args.to {
        Some(path) => write_whole(path, &text)?,
        None => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}
