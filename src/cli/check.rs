//! The arguments of `check`.

use std::path::PathBuf;

use clap::Args;

use super::args::{CollectArgs, JudgeArgs, ReportArgs, SelectArgs};

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which hosts.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How they are observed.
    #[command(flatten)]
    pub collect: CollectArgs,
    /// Judge this saved run instead of observing; repeatable for `--confirm`, the latest last
    #[arg(long, value_name = "CAPTURE", conflicts_with_all = ["patterns", "inventory", "save", "no_save"], help_heading = "Hosts")]
    pub capture: Vec<PathBuf>,
    /// How they are judged.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// Inconclusive unless so many hosts were seen whole
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Judging")]
    pub require_hosts: usize,
    /// Observe N times; only what is found every time counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Judging")]
    pub confirm: u32,
    /// Judge only what is new or worse than in this earlier run
    #[arg(long, value_name = "CAPTURE", help_heading = "Judging")]
    pub baseline: Option<PathBuf>,
    /// What is accepted.
    #[command(flatten)]
    pub accept: AcceptArgs,
    /// What is printed.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Which findings are accepted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judging")]
pub struct AcceptArgs {
    /// Findings that are accepted for a time, instead of those in `fleetdiag-suppressions.yaml`
    #[arg(long, value_name = "FILE")]
    pub suppressions: Option<PathBuf>,
    /// Accept nothing, whatever file there is
    #[arg(long, conflicts_with = "suppressions")]
    pub no_suppressions: bool,
}
