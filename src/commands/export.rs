//! `fleetdiag export`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::CommandError;
use super::emit::{print, write_whole};
use super::judge::{judge, open_all};
use super::playbook::Judging;
use crate::cli::{ExportArgs, ExportFormat};
use crate::diagnose::Diagnosis;
use crate::report::export::{ParquetRows, Pprof, lines};

/// Exporting succeeds whatever the captures show: the exit code is no verdict.
pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, CommandError> {
    if args.format != ExportFormat::Ndjson && args.to.is_none() && io::stdout().is_terminal() {
        let why = anyhow!("this format is not for a terminal; name a file with `--to`, or pipe it");
        return Err(CommandError::usage(why));
    }
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let mut export = Export::new(args.format)?;
    for mut capture in open_all(&args.captures).map_err(CommandError::usage)? {
        export.add(&judge(&mut capture, &judging).map_err(CommandError::usage)?)?;
    }
    let content = export.finish()?;
    match &args.to {
        Some(path) => write_whole(path, &content)?,
        None => print(&content)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is being written, a run at a time.
enum Export {
    Ndjson(String),
    Parquet(Box<ParquetRows>),
    Pprof(Box<Pprof>),
}

impl Export {
    fn new(format: ExportFormat) -> anyhow::Result<Self> {
        Ok(match format {
            ExportFormat::Ndjson => Self::Ndjson(String::new()),
            ExportFormat::Parquet => Self::Parquet(Box::new(ParquetRows::new().context("cannot write Parquet")?)),
            ExportFormat::Pprof => Self::Pprof(Box::new(Pprof::new())),
        })
    }

    fn add(&mut self, diagnosis: &Diagnosis) -> anyhow::Result<()> {
        match self {
            Self::Ndjson(text) => text.push_str(&lines(diagnosis)),
            Self::Parquet(rows) => rows.add(diagnosis).context("cannot write Parquet")?,
            Self::Pprof(profile) => profile.add(diagnosis),
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Ndjson(text) => Ok(text.into_bytes()),
            Self::Parquet(rows) => rows.finish().context("cannot write Parquet"),
            Self::Pprof(profile) => profile.finish().context("cannot write a profile"),
        }
    }
}
