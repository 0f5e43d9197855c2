//! The command line. Names and letters are Ansible's where Ansible has the same thing.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::check::{AcceptArgs, CheckArgs};
use super::doctor::DoctorArgs;
use super::history::{CapturesCommand, DiffArgs, SweepArgs};
use super::playbook::{ExplainArgs, PlaybookArgs};
use crate::diagnose::Allowance;
use crate::report::{Format, LinkFormat};

/// Snapshot tokio-console on a whole fleet over SSH, and rank the spawn locations behind the trouble.
#[derive(Debug, Parser)]
#[command(name = "fleetdiag", version, about, long_about = None, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// When to use colour
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", help_heading = "Display")]
    pub color: ColorChoice,
    /// When places are links; they are with `--hyperlink-format` only
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", help_heading = "Display")]
    pub hyperlink: ColorChoice,
    /// Where places link to: a URL with `{path}`, `{line}` and `{column}`, of an editor or of the repository's pages
    #[arg(long, value_name = "URL", global = true, help_heading = "Display")]
    pub hyperlink_format: Option<LinkFormat>,
    /// Nothing on stderr but errors
    #[arg(short, long, global = true, help_heading = "Display")]
    pub quiet: bool,
    /// More detail in the report
    #[arg(short, long, global = true, help_heading = "Display")]
    pub verbose: bool,
    /// Take settings from this file instead of the nearest `fleetdiag.yaml` above the working directory
    #[arg(long, value_name = "PATH", global = true, help_heading = "Settings")]
    pub settings: Option<PathBuf>,
    /// Take no settings from a file
    #[arg(long, global = true, conflicts_with = "settings", help_heading = "Settings")]
    pub no_settings: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    healthy: enough was seen and nothing at or above --fail-on was found
  1    findings at or above --fail-on
  2    usage, inventory or playbook error
  3    inconclusive: too little was seen to say
  4    more targets unreachable than --max-unreachable allows
  70   internal error
  130  interrupted; the report of what had come is still written";

/// When to use colour, or links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that can: colour unless `NO_COLOR` is set, links unless it is a dumb one.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Observe hosts once and report what is wrong, ranked by spawn location
    Snapshot(SnapshotArgs),
    /// Pass or fail, for pipelines: findings that are accepted, known or unconfirmed do not count
    Check(Box<CheckArgs>),
    /// Judge captures again, without touching the network
    Analyze(AnalyzeArgs),
    /// Compare two runs: what is new, gone, worse, better or only moved
    Diff(DiffArgs),
    /// Observe the whole inventory, once or on a schedule, and say what changed and what keeps growing
    Sweep(Box<SweepArgs>),
    /// Look at the captures that were kept, tag and prune them
    #[command(subcommand)]
    Captures(CapturesCommand),
    /// Make one capture of several, or one that can be shared
    Merge(MergeArgs),
    /// Write captures as rows for a database, one per run, host and spawn site, or as a profile
    Export(super::ExportArgs),
    /// Why is there no data? Walk the way to each console, tell what is there, and what to do
    Doctor(Box<DoctorArgs>),
    /// Open the way to one console for the ordinary tokio-console
    Console(ConsoleArgs),
    /// Show what an inventory says: hosts, groups, targets, and where each setting comes from
    Inventory(InventoryArgs),
    /// Try it now: a small fleet of faulty programs on this machine, no server needed
    Demo(DemoArgs),
    /// Playbooks: list, show, explain, lint, test
    Playbook(PlaybookArgs),
    /// Everything about a rule: what it detects, why it matters, what to do, what not to conclude
    Explain(ExplainArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, in roff
    Man,
    /// One program of the demo's fleet, ended by closing its standard input
    #[command(hide = true)]
    DemoProgram {
        /// Which.
        name: String,
        /// Where its console listens; by default on a port of the loopback that the system picks.
        #[arg(default_value = "127.0.0.1:0")]
        console: std::net::SocketAddr,
    },
}

/// `snapshot`.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// Which hosts.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How they are observed.
    #[command(flatten)]
    pub collect: CollectArgs,
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

/// `analyze`.
#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Capture files; `@last` is the newest of the store, `@prev` the one before it
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
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

/// `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Capture files, `@last` and `@prev` included
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Where the result goes
    #[arg(short = 'o', long = "to", value_name = "PATH")]
    pub to: PathBuf,
    /// Replace names of hosts, users and paths by consistent stand-ins, to share the result outside
    #[arg(long)]
    pub redact: bool,
}

/// `console`.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// A host with one console, `HOST/CONSOLE`, `HOST/CONTAINER`, or a console of this machine: `http://localhost:6669`,
    /// `docker:NAME`
    #[arg(value_name = "HOST")]
    pub target: String,
    /// Inventory, as for `snapshot`. Without one, the host is an ssh alias
    #[arg(short, long, value_name = "PATH")]
    pub inventory: Vec<String>,
    /// Print the address and wait until Ctrl-C, even where tokio-console is installed
    #[arg(long)]
    pub address: bool,
    /// Use this ssh configuration instead of your own (`ssh -F`)
    #[arg(long, value_name = "PATH")]
    pub ssh_config: Option<PathBuf>,
    /// Add an ssh option (`ssh -o`); repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub ssh_option: Vec<String>,
    /// Further arguments of tokio-console
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<std::ffi::OsString>,
}

/// `inventory`.
#[derive(Debug, Args)]
pub struct InventoryArgs {
    /// Which hosts; all when none are named.
    #[command(flatten)]
    pub select: SelectArgs,
    /// Show groups as a tree
    #[arg(long, conflicts_with = "json", help_heading = "Output")]
    pub graph: bool,
    /// Print JSON in the shape of `ansible-inventory --list`, with the resolved targets under `_meta`
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print an inventory of every alias of your ssh configuration
    #[arg(long, conflicts_with_all = ["json", "graph", "patterns"], help_heading = "Output")]
    pub from_ssh_config: bool,
    /// Use this ssh configuration instead of your own (`ssh -F`)
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub ssh_config: Option<PathBuf>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave the fleet running until Ctrl-C, and print an inventory of it, or write it to PATH
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub keep: Option<Option<PathBuf>>,
    /// How the fleet is observed.
    #[command(flatten)]
    pub collect: CollectArgs,
    /// How it is judged.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// What is printed.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Which hosts.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Hosts")]
pub struct SelectArgs {
    /// Hosts, groups and patterns as in Ansible: `web`, `a:b`, `a:&b`, `a:!b`, `web[01:20]`, `~regex`, `all`; or a
    /// console of this machine: `http://localhost:6669`, `unix:/run/app.sock`, `docker:NAME`
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// Inventory as for Ansible: a YAML, INI or JSON file, a program, a directory, or a list such as `a,b,`; repeatable.
    /// Without one, names are ssh aliases
    #[arg(short, long, value_name = "PATH")]
    pub inventory: Vec<String>,
    /// Only those of the selected hosts that match as well; `@FILE` reads patterns from a file
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Vec<String>,
    /// Not these
    #[arg(short = 'x', long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Only N of the selected hosts, spread evenly over them
    #[arg(long, value_name = "N")]
    pub pick: Option<usize>,
    /// Only the I-th of N shards, by a stable hash of the host name, counted from 1; `auto` or `auto/N` takes I (and N)
    /// from the job-index variables of Kubernetes, GitLab, Buildkite, CircleCI, Slurm or AWS Batch
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Only the targets that failed in the newest capture of the store, or in CAPTURE
    #[arg(long, value_name = "failed[=CAPTURE]")]
    pub rerun: Option<String>,
}

/// How hosts are observed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Collecting")]
pub struct CollectArgs {
    /// How long each console is watched; 0s takes its first message alone, and no host context
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub window: Option<Duration>,
    /// Hosts in flight at once
    #[arg(short, long, alias = "fanout", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub forks: Option<u32>,
    /// Longest wait for a TCP connection and the SSH banner
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub connect_timeout: Option<Duration>,
    /// Longest time for one host
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub host_timeout: Option<Duration>,
    /// Longest time for the whole run; what has come by then is reported
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Largest message accepted from a console
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_message: Option<usize>,
    /// Most bytes taken from one console; what came before is used
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_bytes: Option<usize>,
    /// Most tasks, resources and async ops taken from one console; what came before is used
    #[arg(long, value_name = "N")]
    pub max_entities: Option<usize>,
    /// Tasks of each console whose poll and scheduling histograms are fetched; 0 fetches none
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=256))]
    pub max_details: Option<u32>,
    /// Do not nudge a console that lags behind its own events
    #[arg(long)]
    pub no_catch_up: bool,
    /// Run no command on servers to read what surrounds the program: process, container, sockets, memory, health URL, log
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub no_context: Option<bool>,
    /// Use this ssh configuration instead of your own (`ssh -F`)
    #[arg(long, value_name = "PATH")]
    pub ssh_config: Option<PathBuf>,
    /// Add an ssh option (`ssh -o`); repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub ssh_option: Vec<String>,
    /// Save the evidence here instead of the store
    #[arg(long, value_name = "PATH", conflicts_with = "no_save")]
    pub save: Option<PathBuf>,
    /// Do not save the evidence
    #[arg(long)]
    pub no_save: bool,
}

/// How evidence is judged.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Judging")]
pub struct JudgeArgs {
    /// Judge with this playbook: a name of `playbook list`, or a file; repeatable, later ones override earlier ones
    #[arg(short = 'p', long, value_name = "NAME|PATH")]
    pub playbook: Vec<String>,
    /// Change a threshold, whatever playbooks and inventory say; repeatable, for example `--set long-poll.typical=50ms`
    #[arg(long, visible_alias = "threshold", value_name = "RULE.THRESHOLD=VALUE")]
    pub set: Vec<String>,
    /// Exit with 1 on findings of this severity or worse: info, warning, critical, or never
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    pub fail_on: Option<FailOn>,
    /// How many targets may be unreachable before the exit code says so, as a number or a share (`10%`)
    #[arg(long, value_name = "N|P%")]
    pub max_unreachable: Option<Allowance>,
}

/// From which severity on a run fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOn(pub Option<crate::playbook::Severity>);

/// What is printed, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub struct ReportArgs {
    /// human, html, json, ndjson, markdown, junit, sarif, github, openmetrics or nagios, and a file for it instead of
    /// stdout; repeatable
    #[arg(short, long, value_name = "FORMAT[=PATH]")]
    pub output: Vec<OutputSpec>,
    /// Show the line of code at each place, from this checkout of the application
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// Show who wrote these lines and when, by `git blame`
    #[arg(long, requires = "source")]
    pub blame: bool,
    /// Show only the N worst places
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Columns of the human report, instead of the terminal's
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=500))]
    pub width: Option<u16>,
    /// Do not wrap lines, for a pager that scrolls sideways or for grep
    #[arg(long, conflicts_with = "width")]
    pub wide: bool,
}

/// One `--output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec<F = Format> {
    /// The format.
    pub format: F,
    /// A file; stdout when absent or `-`.
    pub path: Option<PathBuf>,
}

impl<F: FromStr<Err = String>> FromStr for OutputSpec<F> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = match text.split_once('=') {
            Some((_, "")) => return Err("a path must follow the `=`".to_owned()),
            Some((format, path)) => (format, Some(path)),
            None => (text, None),
        };
        let path = path.filter(|path| *path != "-").map(PathBuf::from);
        Ok(Self { format: format.parse()?, path })
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let hint = || "give a time such as `500ms`, `5s` or `2m`".to_owned();
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| hint())?;
    Duration::try_from(parsed).map_err(|_| hint())
}

fn size(text: &str) -> Result<usize, String> {
    let bytes = parse_size::parse_size(text).map_err(|_| "give a size such as `64MiB`".to_owned())?;
    usize::try_from(bytes).map_err(|_| "that is more than this machine can address".to_owned())
}

fn severity(text: &str) -> Result<FailOn, String> {
    use crate::playbook::Severity;
    let found = [Severity::Info, Severity::Warning, Severity::Critical].into_iter().find(|s| s.as_str() == text);
    match found {
        None if text != "never" => Err("one of info, warning, critical, never".to_owned()),
        found => Ok(FailOn(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command, OutputSpec, duration, size};
    use clap::{CommandFactory, Parser};
    use std::time::Duration;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_line_of_the_mission_parses() {
        let cli = Cli::try_parse_from(["fleetdiag", "snapshot", "communities", "relay-2", "-w", "1500ms", "-f", "8"])
            .unwrap();
        let Command::Snapshot(args) = cli.command else { panic!("another command") };
        assert_eq!(args.select.patterns, ["communities", "relay-2"]);
        assert_eq!(args.collect.window, Some(Duration::from_millis(1500)));
        assert_eq!(args.collect.forks, Some(8));
    }

    #[test]
    fn times_sizes_and_outputs_are_refused_with_an_example() {
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("-2s").unwrap_err().contains("5s"));
        assert!(duration("3").unwrap_err().contains("5s"));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert!(size("many").unwrap_err().contains("64MiB"));
        assert!("json=".parse::<OutputSpec>().is_err());
        assert!("jsn".parse::<OutputSpec>().is_err());
    }
}
