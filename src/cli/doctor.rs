//! The arguments of `doctor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::{CollectArgs, OutputSpec, SelectArgs, duration};
use crate::report::checkup;

/// `doctor`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct DoctorArgs {
    /// Which hosts.
    #[command(flatten)]
    pub select: SelectArgs,
    /// How long each console is watched; 0s takes its first message alone
    #[arg(short, long, value_name = "TIME", value_parser = duration, help_heading = "Collecting")]
    pub window: Option<Duration>,
    /// Hosts in flight at once
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Collecting")]
    pub forks: Option<u32>,
    /// Longest wait for a TCP connection and the SSH banner
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Collecting")]
    pub connect_timeout: Option<Duration>,
    /// Longest time for one host
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Collecting")]
    pub host_timeout: Option<Duration>,
    /// Longest time for the whole run; what has come by then is reported
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Collecting")]
    pub deadline: Option<Duration>,
    /// Use this ssh configuration instead of your own (`ssh -F`)
    #[arg(long, value_name = "PATH", help_heading = "Collecting")]
    pub ssh_config: Option<PathBuf>,
    /// Add an ssh option (`ssh -o`); repeatable
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Collecting")]
    pub ssh_option: Vec<String>,
    /// Keep the evidence here; without it, none is kept
    #[arg(long, value_name = "PATH", help_heading = "Collecting")]
    pub save: Option<PathBuf>,
    /// A format (human, json), and a file for it instead of stdout; repeatable
    #[arg(short, long, alias = "format", value_name = "FORMAT[=PATH]", help_heading = "Report")]
    pub output: Vec<OutputSpec<checkup::Format>>,
    /// Columns of the human report, instead of the terminal's
    #[arg(long, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..=500), help_heading = "Report")]
    pub width: Option<u16>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    every console gave its data, and there is nothing to do
  1    every console gave its data, and something should be done
  2    usage or inventory error
  4    a console gave no data
  70   internal error
  130  interrupted; what had been seen is still told";

impl DoctorArgs {
    /// The same as for other commands that observe.
    #[must_use]
    pub fn collect(&self) -> CollectArgs {
        CollectArgs {
            window: self.window,
            forks: self.forks,
            connect_timeout: self.connect_timeout,
            host_timeout: self.host_timeout,
            deadline: self.deadline,
            ssh_config: self.ssh_config.clone(),
            ssh_option: self.ssh_option.clone(),
            save: self.save.clone(),
            no_save: self.save.is_none(),
            ..CollectArgs::default()
        }
    }
}
