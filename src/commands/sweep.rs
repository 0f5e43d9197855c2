//! `fleetdiag sweep`: the batch health check.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, anyhow};

use super::CommandError;
use super::accepted::{accept, suppressions};
use super::emit::{complain, deliver, layout_for, note};
use super::judge::judge_after;
use super::live::Live;
use super::observe::observe;
use super::planning;
use super::playbook::Judging;
use super::source::Checkout;
use super::store::store;
use crate::capture::{Capture, KEEP, Limits, SWEEP};
use crate::cli::{Cli, CollectArgs, SelectArgs, SweepArgs};
use crate::collect::pause;
use crate::diagnose::{Diagnosis, Point, compare};
use crate::plan::Plan;
use crate::report::{self, Format, Sweep};

const INTERRUPTED: u8 = 130;

pub(super) fn run(args: &SweepArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    if args.collect.save.is_some() || args.collect.no_save {
        return Err(CommandError::usage(anyhow!(
            "a sweep keeps its history in the store: leave `--save` and `--no-save` out"
        )));
    }
    let mut round = 0;
    loop {
        let started = Instant::now();
        round += 1;
        let outcome = once(args, cli);
        let last = args.every.is_none() || args.rounds.is_some_and(|rounds| round >= rounds);
        let code = match outcome {
            Ok(code) if last || code == INTERRUPTED => return Ok(ExitCode::from(code)),
            Ok(code) => code,
            // What was wrong from the start stays wrong; what goes wrong later may heal, and the history is whole.
            Err(error) if last || round == 1 => return Err(error),
            Err(CommandError { code, error }) => {
                complain(&error);
                code
            }
        };
        let rest = args.every.unwrap_or_default().saturating_sub(started.elapsed());
        if !rest.is_zero() {
            if !cli.quiet {
                note(&format!("exit code {code}; the next sweep is in {:.0?}", rest));
            }
            if pause(rest).context("cannot wait for the next sweep")? {
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
    }
}

fn once(args: &SweepArgs, cli: &Cli) -> Result<u8, CommandError> {
    // Read anew each time: hosts come and go, suppressions too.
    let accepted = suppressions(&args.accept, cli).map_err(CommandError::usage)?;
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let checkout = Checkout::of(&args.report).map_err(CommandError::usage)?;
    let (plan, patterns) = plan(args)?;
    let plan = judging.window(plan, &args.collect);
    let label = format!("{SWEEP}{}", patterns.join("-"));
    let store = store()?;
    let now = jiff::Timestamp::now();
    let (history, ahead) = history(&label, now)?;
    if ahead > 0 {
        note(&format!("{ahead} earlier sweeps are later than this one by the clock, which was set back: left out"));
    }
    let recent = &history[history.len().saturating_sub(args.history)..];
    let mut points = Vec::new();
    let mut previous = None;
    for path in recent {
        // One damaged file must not end a schedule.
        match judged(path, &judging, &points) {
            Ok(diagnosis) => {
                points.push(Point::of(&diagnosis));
                previous = Some(diagnosis);
            }
            Err(error) => note(&format!("an earlier sweep is left out: {error:#}")),
        }
    }
    let collect = CollectArgs { save: Some(store.new_path(&label, now)?), ..args.collect.clone() };
    let live = Live::open(&args.report)?;
    let mut collected = observe(&plan, &patterns, &collect, true, &live)?;
    if let Err(error) = store.prune(KEEP) {
        note(&format!("old captures were not removed: {error}"));
    }
    let mut diagnosis = judge_after(&mut collected.capture, &judging, points)?;
    Checkout::show(checkout.as_ref(), &mut diagnosis);
    let since = previous.as_ref().map(|previous| compare(previous, &diagnosis));
    accept(&accepted, &mut diagnosis, &judging.gate);
    let sweep = Sweep { diagnosis: &diagnosis, since: since.as_ref() };
    print(&sweep, args, cli, &live)?;
    Ok(diagnosis.exit_code)
}

/// The patterns that were given, or the whole inventory.
fn plan(args: &SweepArgs) -> Result<(Plan, Vec<String>), CommandError> {
    let select = &args.select;
    let patterns = if select.patterns.is_empty() { vec!["all".to_owned()] } else { select.patterns.clone() };
    let select = SelectArgs { patterns: patterns.clone(), ..select.clone() };
    Ok((planning::plan(&select, &args.collect)?, patterns))
}

/// The earlier sweeps, oldest first, and how many there are from the future.
fn history(label: &str, now: jiff::Timestamp) -> anyhow::Result<(Vec<std::path::PathBuf>, usize)> {
    let now = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (past, future): (Vec<_>, Vec<_>) = store()?.history(label)?.into_iter().partition(|entry| entry.time <= now);
    Ok((past.into_iter().map(|entry| entry.path).collect(), future.len()))
}

/// An earlier sweep, judged after those before it, so that what they show is not news in the next one.
fn judged(path: &Path, judging: &Judging, before: &[Point]) -> anyhow::Result<Diagnosis> {
    judge_after(&mut Capture::open(path, Limits::default())?, judging, before.to_vec())
}

/// The sweep itself on stdout, unless another format was asked for there.
fn print(sweep: &Sweep<'_>, args: &SweepArgs, cli: &Cli, live: &Live) -> anyhow::Result<()> {
    if !args.report.output.iter().any(|output| output.path.is_none()) {
        let options = layout_for(None, args.report.width, args.report.top, cli);
        deliver(None, &report::sweep(sweep, &options))?;
    }
    if !args.report.output.is_empty() {
        live.emit(sweep.diagnosis, &args.report, cli)?;
    }
    if let Some(path) = &args.openmetrics {
        let options = layout_for(Some(path), None, None, cli);
        deliver(Some(path), &report::render(Format::Openmetrics, sweep.diagnosis, &options))?;
    }
    Ok(())
}
