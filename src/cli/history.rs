//! The arguments of the commands that look at several runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::args::{CollectArgs, JudgeArgs, OutputSpec, ReportArgs, SelectArgs, duration};
use super::check::AcceptArgs;

/// `captures`.
#[derive(Debug, Subcommand)]
pub enum CapturesCommand {
    /// List the captures of the store, the newest first
    List {
        /// As a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say what a capture holds
    Show {
        /// A file, `@last`, `@prev`, `@2026-11-24` or `@tag:NAME`
        #[arg(default_value = "@last", value_name = "CAPTURE")]
        capture: PathBuf,
    },
    /// Give a capture a name, which keeps it from being pruned; a tag that exists moves
    Tag {
        /// The name, used as `@tag:NAME`
        #[arg(value_name = "NAME")]
        tag: String,
        /// Which capture
        #[arg(default_value = "@last", value_name = "CAPTURE")]
        capture: PathBuf,
    },
    /// Take a name away
    Untag {
        /// The name
        #[arg(value_name = "NAME")]
        tag: String,
    },
    /// Remove all but the newest captures; what is tagged stays
    Prune {
        /// How many stay, of sweeps and of other runs each
        #[arg(long, value_name = "N", default_value_t = 50)]
        keep: usize,
    },
}

/// `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The earlier run: a file, `@prev`, `@2026-11-24` or `@tag:NAME`
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The later run
    #[arg(value_name = "AFTER", default_value = "@last")]
    pub after: PathBuf,
    /// Exit with 1 on such a change; `worse` includes new places with warnings, repeatable
    #[arg(long, value_name = "CHANGE", value_delimiter = ',')]
    pub fail_on: Vec<FailOnChange>,
    /// Compare even what cannot be compared
    #[arg(long)]
    pub force: bool,
    /// Judge both with this playbook: a name of `playbook list`, or a file; repeatable, later ones override earlier ones
    #[arg(short = 'p', long, value_name = "NAME|PATH", help_heading = "Judging")]
    pub playbook: Vec<String>,
    /// Change a threshold; repeatable, for example `--set long-poll.typical=50ms`
    #[arg(long, value_name = "RULE.THRESHOLD=VALUE", help_heading = "Judging")]
    pub set: Vec<String>,
    /// human, html, json, ndjson, markdown, junit, sarif, github, openmetrics or nagios, and a file for it instead of
    /// stdout; repeatable
    #[arg(short, long, value_name = "FORMAT[=PATH]", help_heading = "Report")]
    pub output: Vec<OutputSpec>,
    /// Show the line of code at each place of the later run, from this checkout of the application
    #[arg(long, value_name = "DIR", help_heading = "Report")]
    pub source: Option<PathBuf>,
    /// Show who wrote these lines and when, by `git blame`
    #[arg(long, requires = "source", help_heading = "Report")]
    pub blame: bool,
    /// Show only the N worst changes
    #[arg(long, value_name = "N", help_heading = "Report")]
    pub top: Option<usize>,
    /// Columns of the human report, instead of the terminal's
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=500), help_heading = "Report")]
    pub width: Option<u16>,
}

/// Which changes fail a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOnChange {
    /// A place that is worse, or a new one with a warning or worse.
    Worse,
    /// A place or a finding that was not there before.
    New,
}

/// `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Which hosts; all of the inventory when none are named.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How they are observed.
    #[command(flatten)]
    pub collect: CollectArgs,
    /// Sweep again and again, so long after the beginning of the last one
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Schedule")]
    pub every: Option<Duration>,
    /// End after N sweeps; without it, one, or with `--every` as many as there is time for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "every", help_heading = "Schedule")]
    pub rounds: Option<u32>,
    /// Earlier sweeps that the trend looks at
    #[arg(long, value_name = "N", default_value_t = 12, help_heading = "Schedule")]
    pub history: usize,
    /// Keep this file up to date, for the textfile collector of a node exporter
    #[arg(long, value_name = "PATH", help_heading = "Report")]
    pub openmetrics: Option<PathBuf>,
    /// How they are judged.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// What is accepted.
    #[command(flatten)]
    pub accept: AcceptArgs,
    /// What is printed.
    #[command(flatten)]
    pub report: ReportArgs,
}
