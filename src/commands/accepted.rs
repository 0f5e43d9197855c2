//! The findings that somebody has accepted, from the file that lists them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::emit::note;
use super::settings::is_ours;
use crate::cli::{AcceptArgs, Cli};
use crate::diagnose::{self, Because, Diagnosis, Gate, Suppressions};

const NAME: &str = "fleetdiag-suppressions.yaml";

/// The list that was named, the one beside the settings that were named, or the nearest one from the working directory
/// upwards; an empty one when there is none.
pub(super) fn suppressions(args: &AcceptArgs, cli: &Cli) -> anyhow::Result<Suppressions> {
    let beside = cli.settings.as_ref().map(|settings| settings.with_file_name(NAME)).filter(|path| path.is_file());
    let found = match &args.suppressions {
        _ if args.no_suppressions => None,
        Some(path) => Some(path.clone()),
        None if beside.is_some() => beside,
        None => nearest(&std::env::current_dir().context("cannot tell the working directory")?)?,
    };
    let Some(path) = found else { return Ok(Suppressions::default()) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(diagnose::suppressions(&path, &text)?)
}

fn nearest(directory: &Path) -> anyhow::Result<Option<PathBuf>> {
    let found = directory.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file());
    let Some(path) = found else { return Ok(None) };
    if is_ours(&path)? {
        return Ok(Some(path));
    }
    // It can hide what is found.
    note(&format!("ignoring `{0}`, which somebody else may write; `--suppressions {0}` uses it", path.display()));
    Ok(None)
}

/// Sets aside what is accepted, judges what is left, and says so in the reasons.
pub(super) fn accept(accepted: &Suppressions, diagnosis: &mut Diagnosis, gate: &Gate) {
    let remarks = accepted.apply(diagnosis);
    gate.judge_again(diagnosis);
    diagnosis.verdict_reasons.extend(aside(diagnosis));
    diagnosis.verdict_reasons.extend(remarks);
}

/// How many findings do not count, by reason.
pub(super) fn aside(diagnosis: &Diagnosis) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for part in &diagnosis.set_aside {
        let why = match &part.because {
            Because::Suppressed { .. } => "suppressed",
            Because::DryRun => "of dry runs",
            Because::InBaseline => "already in the baseline",
            Because::Unconfirmed { .. } => "not confirmed",
        };
        *counts.entry(why).or_default() += 1;
    }
    let parts: Vec<_> = counts.iter().map(|(why, count)| format!("{count} {why}")).collect();
    (!parts.is_empty()).then(|| format!("set aside: {}", parts.join(", ")))
}
