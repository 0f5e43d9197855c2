//! `fleetdiag demo`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use super::CommandError;
use super::emit::{note, print};
use super::judge::judge;
use super::live::Live;
use super::observe::observe;
use super::planning::budget;
use super::playbook::Judging;
use super::source::Checkout;
use crate::cli::{Cli, DemoArgs};
use crate::demo::{self, Fleet};
use crate::inventory::{Inventory, Pattern};
use crate::plan::{Selection, SshSettings, plan};

pub(super) fn run(args: &DemoArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let checkout = Checkout::of(&args.report).map_err(CommandError::usage)?;
    if !cli.quiet {
        note("starting a small fleet of tokio programs on this machine");
    }
    let fleet = Fleet::start().map_err(CommandError::usage)?;
    if let Some(path) = &args.keep {
        return keep(&fleet, path.as_deref());
    }
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().context("cannot write the inventory")?;
    file.write_all(fleet.inventory().as_bytes())?;
    let inventory = Inventory::load(&[file.path().to_string_lossy().into_owned()])?;
    let all = Selection { patterns: vec![Pattern::parse("all")?], ..Selection::default() };
    let plan = plan(Some(&inventory), &all, budget(&args.collect), SshSettings::default())?;
    let plan = judging.window(plan, &args.collect);
    let live = Live::open(&args.report)?;
    let mut collected = observe(&plan, &["demo".to_owned()], &args.collect, cli.quiet, &live)?;
    drop(fleet);
    let mut diagnosis = judge(&mut collected.capture, &judging)?;
    Checkout::show(checkout.as_ref(), &mut diagnosis);
    live.emit(&diagnosis, &args.report, cli)?;
    if !cli.quiet {
        let code = diagnosis.exit_code;
        note(&format!(
            "a snapshot of your own hosts with these findings would exit with {code}; a demo that ran exits with 0"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Leaves the fleet running until somebody ends us; it ends with us, however that happens.
fn keep(fleet: &Fleet, path: Option<&std::path::Path>) -> Result<ExitCode, CommandError> {
    let inventory = fleet.inventory();
    match path {
        None => print(&inventory)?,
        Some(path) => {
            std::fs::write(path, inventory).with_context(|| format!("cannot write `{}`", path.display()))?;
            note(&format!("wrote `{0}`; try `fleetdiag snapshot -i {0} all`", path.display()));
        }
    }
    note("the fleet runs until Ctrl-C");
    loop {
        std::thread::park();
    }
}

pub(super) fn program(name: &str, console: std::net::SocketAddr) -> Result<ExitCode, CommandError> {
    demo::run_program(name, console).map_err(CommandError::usage)?;
    Ok(ExitCode::SUCCESS)
}
