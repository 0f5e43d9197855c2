//! The findings that somebody has accepted, from the file that lists them.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::AcceptArgs;
use crate::diagnose::{self, Suppressions};

const NAME: &str = "fleetdiag-suppressions.yaml";

/// The list that was named, or the nearest one from the working directory upwards; an empty one when there is none.
pub(super) fn suppressions(args: &AcceptArgs) -> anyhow::Result<Suppressions> {
    let found = match &args.suppressions {
        _ if args.no_suppressions => None,
        Some(path) => Some(path.clone()),
        None => nearest(&std::env::current_dir().context("cannot tell the working directory")?),
    };
    let Some(path) = found else { return Ok(Suppressions::default()) };
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(diagnose::suppressions(&path, &text)?)
}

fn nearest(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file())
}
