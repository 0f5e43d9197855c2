//! One file per subcommand: composes the stages, and does the file and terminal I/O.

mod accepted;
mod analyze;
mod captures;
mod check;
mod completions;
mod console;
mod demo;
mod diff;
mod doctor;
mod emit;
mod explain;
mod export;
mod inventory;
mod judge;
mod live;
mod merge;
mod observe;
mod planning;
mod playbook;
mod playbook_test;
mod rerun;
mod settings;
mod shard;
mod snapshot;
mod source;
mod store;
mod sweep;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// A command that did not come to a result.
#[derive(Debug)]
pub struct CommandError {
    code: u8,
    error: anyhow::Error,
}

const USAGE: u8 = 2;
const INTERNAL: u8 = 70;

impl CommandError {
    /// What the user asked for or gave us is wrong.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: USAGE, error: error.into() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self { code: INTERNAL, error: error.into() }
    }
}

/// Runs what the command line asks for, settings of the project included, and tells what the program exits with.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let result = settings::parse(arguments).map_err(CommandError::usage).and_then(|cli| command(&cli));
    result.unwrap_or_else(|CommandError { code, error }| {
        emit::complain(&error);
        ExitCode::from(code)
    })
}

fn command(cli: &Cli) -> Result<ExitCode, CommandError> {
    match &cli.command {
        Command::Snapshot(args) => snapshot::run(args, cli),
        Command::Check(args) => check::run(args, cli),
        Command::Analyze(args) => analyze::run(args, cli),
        Command::Diff(args) => diff::run(args, cli),
        Command::Sweep(args) => sweep::run(args, cli),
        Command::Captures(command) => captures::run(command),
        Command::Merge(args) => merge::run(args),
        Command::Export(args) => export::run(args),
        Command::Doctor(args) => doctor::run(args, cli),
        Command::Console(args) => console::run(args),
        Command::Inventory(args) => inventory::run(args, cli),
        Command::Demo(args) => demo::run(args, cli),
        Command::DemoProgram { name, console } => demo::program(name, *console),
        Command::Playbook(args) => playbook::run(args, cli),
        Command::Explain(args) => explain::run(args, cli),
        Command::Completions(args) => completions::shell(args),
        Command::Man => completions::manual(),
    }
}
