//! `fleetdiag diff`.

use std::process::ExitCode;

use anyhow::anyhow;

use super::CommandError;
use super::emit::{deliver, layout_for, step_summary};
use super::judge::{judge, open_all};
use super::playbook::Judging;
use super::source::Checkout;
use crate::cli::{Cli, DiffArgs, FailOnChange, JudgeArgs, OutputSpec};
use crate::diagnose::{Comparison, Regression, compare};
use crate::report::{Format, comparison};

pub(super) fn run(args: &DiffArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let comparison = compared(args).map_err(CommandError::usage)?;
    let human = [OutputSpec { format: Format::Human, path: None }];
    let outputs = if args.output.is_empty() { &human } else { args.output.as_slice() };
    for output in outputs {
        let options = layout_for(output.path.as_deref(), args.width, args.top, cli);
        deliver(output.path.as_deref(), &comparison::render(output.format, &comparison, &options))?;
        if output.format == Format::Github {
            step_summary(&comparison::render(Format::Markdown, &comparison, &options))?;
        }
    }
    Ok(ExitCode::from(comparison.exit_code()))
}

fn compared(args: &DiffArgs) -> anyhow::Result<Comparison> {
    let checkout = Checkout::named(args.source.as_deref(), args.blame)?;
    let mut captures = open_all(&[args.before.clone(), args.after.clone()])?;
    // Both are judged now, by the same rules, whatever the runs themselves went by.
    let (playbook, set) = (args.playbook.clone(), args.set.clone());
    let judging = Judging::of(&JudgeArgs { playbook, set, ..JudgeArgs::default() })?;
    let before = judge(&mut captures[0], &judging)?;
    let mut after = judge(&mut captures[1], &judging)?;
    Checkout::show(checkout.as_ref(), &mut after);
    let mut comparison = compare(&before, &after);
    comparison.fail_on = args
        .fail_on
        .iter()
        .map(|on| match on {
            FailOnChange::Worse => Regression::Worse,
            FailOnChange::New => Regression::New,
        })
        .collect();
    match comparison.cautions.iter().find(|caution| caution.forbids) {
        Some(caution) if !args.force => {
            Err(anyhow!("the two runs cannot be compared: {}; `--force` compares them all the same", caution.text))
        }
        _ => Ok(comparison),
    }
}
