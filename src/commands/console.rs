//! `fleetdiag console`.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{anyhow, bail};

use super::emit::{note, print};
use super::{CommandError, planning};
use crate::cli::{CollectArgs, ConsoleArgs, SelectArgs};
use crate::collect::{TunnelError, Visit, Visitor, tunnel};
use crate::inventory::DirectTarget;
use crate::model::{Endpoint, Target};
use crate::plan::Plan;

/// What the exit code says of a console that is not reached.
const UNREACHABLE: u8 = 4;

/// What a shell says of a program that a signal has ended.
const SIGNALLED: u8 = 128;

pub(super) fn run(args: &ConsoleArgs) -> Result<ExitCode, CommandError> {
    let Chosen { plan, target, container } = choose(args).map_err(CommandError::usage)?;
    let visitor = Visitor { program: OsString::from("tokio-console"), arguments: args.arguments.clone() };
    let announce = |address: &str| {
        if print(&format!("{address}\n")).is_err() {
            note(address);
        }
        note(&format!("the way is open until Ctrl-C: `tokio-console {address}`"));
    };
    let visitor = (!args.address).then_some(&visitor);
    match tunnel(&plan, &target, container.as_deref(), visitor, &announce) {
        Ok(Visit::Interrupted) => Ok(ExitCode::SUCCESS),
        Ok(Visit::Ended(status)) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Ok(ExitCode::from(code.unwrap_or(SIGNALLED)))
        }
        Err(TunnelError::Failed(failure)) => {
            let detail = if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) };
            let error = anyhow!("{}: {}{detail}\n  {}", target.id, failure.reason.summary(), failure.hint(&target));
            Err(CommandError { code: UNREACHABLE, error })
        }
        Err(error @ TunnelError::Program { .. }) => Err(CommandError::usage(error)),
        Err(error) => Err(error.into()),
    }
}

/// The one console that is meant.
struct Chosen {
    plan: Plan,
    target: Target,
    /// Which of the containers that the target stands for.
    container: Option<String>,
}

/// A host with one console, `HOST/CONSOLE`, either with `/CONTAINER` where that is one of several, or a console of this
/// machine.
fn choose(args: &ConsoleArgs) -> anyhow::Result<Chosen> {
    let is_direct = DirectTarget::parse(&args.target)?.is_some();
    let (host, rest) = match args.target.split_once('/') {
        Some((host, rest)) if !is_direct => (host, Some(rest)),
        _ => (args.target.as_str(), None),
    };
    let select =
        SelectArgs { patterns: vec![host.to_owned()], inventory: args.inventory.clone(), ..SelectArgs::default() };
    let collect = CollectArgs {
        ssh_config: args.ssh_config.clone(),
        ssh_option: args.ssh_option.clone(),
        ..CollectArgs::default()
    };
    let plan = planning::resolve(&select, &collect)?;
    let named = |name: Option<&str>| -> Vec<Target> {
        plan.targets.iter().filter(|target| target.id.console.as_deref() == name).cloned().collect()
    };
    let (meant, container) = match rest {
        None => (plan.targets.clone(), None),
        Some(rest) => match (named(Some(rest)), rest.rsplit_once('/')) {
            (found, _) if !found.is_empty() => (found, None),
            (_, Some((console, container))) => (named(Some(console)), Some(container.to_owned())),
            (_, None) => (containers(named(None)), Some(rest.to_owned())),
        },
    };
    let names = |targets: &[Target]| {
        let names: Vec<_> = targets.iter().take(10).map(|target| format!("`{}`", target.id)).collect();
        names.join(", ")
    };
    match meant.as_slice() {
        [one] => Ok(Chosen { target: one.clone(), container, plan }),
        [] => bail!("no such console; there are {}", names(&plan.targets)),
        several => bail!("`{}` means {} consoles; name one of {}", args.target, several.len(), names(several)),
    }
}

/// Those that stand for containers.
fn containers(mut targets: Vec<Target>) -> Vec<Target> {
    targets.retain(|target| matches!(target.endpoint, Endpoint::Container { .. }));
    targets
}
