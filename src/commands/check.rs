//! `fleetdiag check`: the gate of a pipeline.

use std::process::ExitCode;

use anyhow::bail;

use super::CommandError;
use super::accepted::{aside, suppressions};
use super::emit::{emit, note};
use super::judge::{judge, open_all};
use super::live::Live;
use super::observe::observe;
use super::planning;
use super::playbook::Judging;
use super::source::Checkout;
use crate::cli::{CheckArgs, Cli};
use crate::diagnose::{Diagnosis, Gate, compare, confirm, set_aside_known};

pub(super) fn run(args: &CheckArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    // Whatever is wrong with the files is said before any server is asked.
    let judging = Judging::of(&args.judge).map_err(CommandError::usage)?;
    let accepted = suppressions(&args.accept, cli).map_err(CommandError::usage)?;
    let checkout = Checkout::of(&args.report).map_err(CommandError::usage)?;
    let baseline = match &args.baseline {
        None => None,
        Some(path) => Some(judged(std::slice::from_ref(path), &judging).map_err(CommandError::usage)?.remove(0)),
    };
    let lines = if args.capture.is_empty() { Some(Live::open(&args.report)?) } else { None };
    let mut observations = if let Some(lines) = &lines {
        live(args, &judging, cli, lines)?
    } else {
        judged(&args.capture, &judging).map_err(CommandError::usage)?
    };
    let of = args.confirm as usize;
    // A run that a person stopped has fewer: what there is is reported, and nothing in it is confirmed.
    if observations.len() < of && !args.capture.is_empty() {
        let given = observations.len();
        return Err(CommandError::usage(anyhow::anyhow!(
            "`--confirm {}` needs as many observations, {given} given: repeat `--capture`",
            args.confirm
        )));
    }
    let Some(mut diagnosis) = observations.pop() else { return Err(anyhow::anyhow!("nothing was observed").into()) };
    let gate = Gate { require_hosts: args.require_hosts, ..judging.gate };
    let mut remarks = accepted.apply(&mut diagnosis);
    if let Some(baseline) = &baseline {
        let cautions = compare(baseline, &diagnosis).cautions;
        remarks.extend(cautions.into_iter().map(|caution| format!("compared with the baseline: {}", caution.text)));
        set_aside_known(baseline, &mut diagnosis);
    }
    let surplus = observations.len().saturating_sub(of.saturating_sub(1));
    confirm(&observations[surplus..], of, &mut diagnosis, &gate);
    diagnosis.verdict_reasons.extend(aside(&diagnosis));
    diagnosis.verdict_reasons.extend(remarks);
    Checkout::show(checkout.as_ref(), &mut diagnosis);
    match lines {
        Some(lines) => lines.emit(&diagnosis, &args.report, cli)?,
        None => emit(&diagnosis, &args.report, cli)?,
    }
    Ok(ExitCode::from(diagnosis.exit_code))
}

/// Observes as often as findings must be confirmed. Each run has its own capture.
fn live(args: &CheckArgs, judging: &Judging, cli: &Cli, lines: &Live) -> Result<Vec<Diagnosis>, CommandError> {
    if args.confirm > 1 && args.collect.save.is_some() {
        return Err(CommandError::usage(anyhow::anyhow!(
            "`--save` keeps one observation and `--confirm {}` makes several; leave `--save` out and find them in the store",
            args.confirm
        )));
    }
    let plan = judging.window(planning::plan(&args.select, &args.collect)?, &args.collect);
    let mut diagnoses: Vec<Diagnosis> = Vec::new();
    for number in 1..=args.confirm {
        if args.confirm > 1 && !cli.quiet {
            note(&format!("observation {number} of {}", args.confirm));
        }
        // Each host has one event, in the observation that is reported.
        let silent = Live::default();
        let lines = if number == args.confirm { lines } else { &silent };
        let mut collected = observe(&plan, &args.select.patterns, &args.collect, cli.quiet, lines)?;
        diagnoses.push(judge(&mut collected.capture, judging)?);
        if diagnoses.last().is_some_and(|diagnosis| diagnosis.run.interrupted) {
            break;
        }
    }
    Ok(diagnoses)
}

fn judged(names: &[std::path::PathBuf], judging: &Judging) -> anyhow::Result<Vec<Diagnosis>> {
    let mut diagnoses = Vec::new();
    for mut capture in open_all(names)? {
        diagnoses.push(judge(&mut capture, judging)?);
    }
    if diagnoses.is_empty() {
        bail!("no capture was named");
    }
    Ok(diagnoses)
}
