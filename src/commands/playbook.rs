//! `fleetdiag playbook`, and the playbooks that other commands judge with.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::CommandError;
use super::emit::{note, page_options, print};
use crate::cli::{Cli, CollectArgs, JudgeArgs, PlaybookArgs, PlaybookCommand};
use crate::diagnose::{Allowance, Gate};
use crate::plan::Plan;
use crate::playbook::{self, Kind, Playbook, Threshold, catalogue, shipped};
use crate::report::entry;
use crate::source::nearest;

/// Largest playbook file that is read.
const MAX_BYTES: u64 = 4 << 20;

/// What evidence is judged with.
pub(super) struct Judging {
    pub playbook: Playbook,
    pub gate: Gate,
}

impl Judging {
    /// The playbooks and settings of the command line. Whatever is wrong with them is said here.
    pub(super) fn of(args: &JudgeArgs) -> anyhow::Result<Self> {
        let mut playbook = named(&args.playbook)?;
        for setting in &args.set {
            playbook.set(setting).map_err(|error| anyhow!("`--set {}`: {error}", setting.escape_debug()))?;
        }
        let default = Gate::default();
        let gate = Gate {
            fail_on: args.fail_on.map(|fail_on| fail_on.0).or(playbook.gate.fail_on).unwrap_or(default.fail_on),
            max_unreachable: args
                .max_unreachable
                .or(playbook.gate.max_unreachable.and_then(allowance))
                .unwrap_or(default.max_unreachable),
            ..default
        };
        Ok(Self { playbook, gate })
    }

    /// `plan` with the playbook's window, where the command line does not say another.
    pub(super) fn window(&self, mut plan: Plan, args: &CollectArgs) -> Plan {
        if let (None, Some(window)) = (args.window, self.playbook.window) {
            plan.budget.window = window;
        }
        plan
    }
}

fn allowance(allowed: Threshold) -> Option<Allowance> {
    match allowed.kind {
        Kind::Percent => u8::try_from(allowed.raw).ok().map(Allowance::Percent),
        _ => usize::try_from(allowed.raw).ok().map(Allowance::Count),
    }
}

/// The playbooks of these names and paths, each overriding those before it; the default one when there are none.
pub(super) fn named(names: &[String]) -> anyhow::Result<Playbook> {
    if names.is_empty() {
        return Ok(playbook::built_in());
    }
    let mut all = Playbook::default();
    for name in names {
        all = all.followed_by(one(name)?);
    }
    Ok(all)
}

/// A path has a slash or an ending; everything else is a name.
fn one(name: &str) -> anyhow::Result<Playbook> {
    if let Some(playbook) = shipped().iter().find(|playbook| playbook.name == name) {
        return Ok(playbook.clone());
    }
    let path = Path::new(name);
    if name.contains('/') || path.extension().is_some() || path.is_file() {
        return file(path);
    }
    let names = || shipped().iter().map(|playbook| playbook.name.as_str());
    let instead = nearest(name, names()).map_or_else(
        || format!("known: {}; a file is named with its path", names().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(anyhow!("no playbook `{}`; {instead}", name.escape_debug()))
}

/// A playbook of one's own.
pub(super) fn file(path: &Path) -> anyhow::Result<Playbook> {
    Ok(playbook::load(path, &read(path)?, catalogue())?)
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let failed = || format!("cannot read `{}`", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(failed)?;
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text).with_context(failed)?;
    if read as u64 > MAX_BYTES {
        return Err(anyhow!("`{}` is larger than {MAX_BYTES} bytes: no playbook is", path.display()));
    }
    Ok(text)
}

pub(super) fn run(args: &PlaybookArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let options = page_options(cli);
    match &args.command {
        PlaybookCommand::List => print(&entry::playbooks(shipped(), &options))?,
        PlaybookCommand::Show { name } => {
            one(name).map_err(CommandError::usage)?;
            let text = match playbook::shipped_text(name) {
                Some(text) => text.to_owned(),
                None => read(Path::new(name)).map_err(CommandError::usage)?,
            };
            print(&text)?;
        }
        PlaybookCommand::Explain { name } => {
            let playbook = one(name).map_err(CommandError::usage)?;
            print(&entry::playbook(&playbook, &options))?;
        }
        PlaybookCommand::Lint { files } => return lint(files, cli),
        PlaybookCommand::Test { files } => return super::playbook_test::run(files, cli),
        PlaybookCommand::Metrics => print(&entry::metrics(&options))?,
        PlaybookCommand::Schema => print(&playbook::schema())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn lint(files: &[std::path::PathBuf], cli: &Cli) -> Result<ExitCode, CommandError> {
    let mut wrong = 0;
    for path in files {
        match file(path) {
            Ok(playbook) if !cli.quiet => {
                note(&format!("{}: fine, {} rules", path.display(), playbook.rules.len()));
            }
            Ok(_) => {}
            Err(error) => {
                wrong += 1;
                print(&format!("{}\n", format!("{error:#}").trim_end()))?;
            }
        }
    }
    if wrong > 0 {
        return Err(CommandError::usage(anyhow!("{wrong} of {} playbooks are wrong", files.len())));
    }
    Ok(ExitCode::SUCCESS)
}
