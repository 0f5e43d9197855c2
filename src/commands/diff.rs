//! `fleetdiag diff`.

use std::process::ExitCode;

use anyhow::anyhow;

use super::CommandError;
use super::emit::{deliver, layout_for};
use super::judge::{judge, open_all};
use super::playbook::Judging;
use crate::cli::{Cli, DiffArgs, FailOnChange, JudgeArgs, OutputSpec};
use crate::diagnose::{Change, Comparison, Kind, compare};
use crate::playbook::Severity;
use crate::report::comparison;

pub(super) fn run(args: &DiffArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let comparison = compared(args).map_err(CommandError::usage)?;
    let human = [OutputSpec { format: comparison::Format::Human, path: None }];
    let outputs = if args.output.is_empty() { &human } else { args.output.as_slice() };
    for output in outputs {
        let options = layout_for(output.path.as_deref(), args.width, args.top, cli);
        deliver(output.path.as_deref(), &comparison::render(output.format, &comparison, &options))?;
    }
    let fails = comparison.changes.iter().any(|change| args.fail_on.iter().any(|on| fails(change, *on)));
    Ok(ExitCode::from(u8::from(fails)))
}

fn compared(args: &DiffArgs) -> anyhow::Result<Comparison> {
    let mut captures = open_all(&[args.before.clone(), args.after.clone()])?;
    // Both are judged now, by the same rules, whatever the runs themselves went by.
    let judging = Judging::of(&JudgeArgs::default())?;
    let before = judge(&mut captures[0], &judging)?;
    let after = judge(&mut captures[1], &judging)?;
    let comparison = compare(&before, &after);
    match comparison.cautions.iter().find(|caution| caution.forbids) {
        Some(caution) if !args.force => {
            Err(anyhow!("the two runs cannot be compared: {}; `--force` compares them all the same", caution.text))
        }
        _ => Ok(comparison),
    }
}

fn fails(change: &Change, on: FailOnChange) -> bool {
    let grave = || change.findings.iter().any(|finding| finding.severity >= Severity::Warning);
    match on {
        FailOnChange::Worse => change.kind == Kind::Worse || change.kind == Kind::New && grave(),
        FailOnChange::New => change.kind == Kind::New || change.findings.iter().any(|found| found.kind == Kind::New),
    }
}
