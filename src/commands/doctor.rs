//! `fleetdiag doctor`.

use std::process::ExitCode;

use super::CommandError;
use super::emit::{deliver, layout_for};
use super::judge::snapshot;
use super::observe::examine;
use super::planning::plan;
use crate::cli::{Cli, DoctorArgs, OutputSpec};
use crate::diagnose::{Checkups, checkup};
use crate::model::Outcome;
use crate::report::checkup::{Format, render};

pub(super) fn run(args: &DoctorArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let collect = args.collect();
    let plan = plan(&args.select, &collect)?;
    let (mut collected, sightings) = examine(&plan, &args.select.patterns, &collect, cli.quiet)?;
    let capture = &mut collected.capture;
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.clone(), outcome.clone())).collect();
    let mut checkups = Checkups { checkups: Vec::new(), interrupted: capture.interrupted() };
    for (index, (target, outcome)) in targets.iter().enumerate() {
        let snapshot = match outcome {
            Outcome::Observed(observation) => Some(snapshot(capture, index, observation)?),
            Outcome::Failed(_) => None,
        };
        checkups.checkups.push(checkup(target, outcome, snapshot.as_ref(), &sightings));
    }
    // Containers that were found come after what was planned.
    checkups.checkups.sort_by(|a, b| a.target.id.cmp(&b.target.id));
    let human = [OutputSpec { format: Format::Human, path: None }];
    for output in if args.output.is_empty() { &human } else { args.output.as_slice() } {
        let options = layout_for(output.path.as_deref(), args.width, None, cli);
        deliver(output.path.as_deref(), &render(output.format, &checkups, &options))?;
    }
    Ok(ExitCode::from(checkups.exit_code()))
}
