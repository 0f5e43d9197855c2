//! `fleetdiag console`.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{anyhow, bail};

use super::emit::{note, print};
use super::{CommandError, planning};
use crate::cli::{CollectArgs, ConsoleArgs, SelectArgs};
use crate::collect::{TunnelError, Visit, Visitor, tunnel};
use crate::inventory::DirectTarget;
use crate::model::Target;
use crate::plan::Plan;

/// What the exit code says of a console that is not reached.
const UNREACHABLE: u8 = 4;

/// What a shell says of a program that a signal has ended.
const SIGNALLED: u8 = 128;

pub(super) fn run(args: &ConsoleArgs) -> Result<ExitCode, CommandError> {
    let (plan, target) = choose(args).map_err(CommandError::usage)?;
    let visitor = Visitor { program: OsString::from("tokio-console"), arguments: args.arguments.clone() };
    let announce = |address: &str| {
        if print(&format!("{address}\n")).is_err() {
            note(address);
        }
        note(&format!("the way is open until Ctrl-C: `tokio-console {address}`"));
    };
    let visitor = (!args.address).then_some(&visitor);
    match tunnel(&target, &plan.budget, &plan.ssh, visitor, &announce) {
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

/// The one target that is meant: a host with one console, `HOST/CONSOLE`, or a console of this machine.
fn choose(args: &ConsoleArgs) -> anyhow::Result<(Plan, Target)> {
    let is_direct = DirectTarget::parse(&args.target)?.is_some();
    let (host, console) = match args.target.split_once('/') {
        Some((host, console)) if !is_direct => (host, Some(console)),
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
    let is_meant = |target: &&Target| console.is_none() || target.id.console.as_deref() == console;
    let meant: Vec<_> = plan.targets.iter().filter(is_meant).cloned().collect();
    let names = |targets: &[Target]| {
        let names: Vec<_> = targets.iter().take(10).map(|target| format!("`{}`", target.id)).collect();
        names.join(", ")
    };
    match meant.as_slice() {
        [one] => Ok((plan, one.clone())),
        [] => bail!("no such console; there are {}", names(&plan.targets)),
        several => bail!("`{}` means {} consoles; name one of {}", args.target, several.len(), names(several)),
    }
}
