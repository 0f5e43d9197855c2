//! `--rerun failed`: the targets that an earlier run could not observe.

use std::path::PathBuf;

use anyhow::bail;

use super::store::store;
use crate::capture::{Capture, Limits};
use crate::model::{Outcome, Target};

/// The targets of the newest capture, or of the named one, that were not observed.
pub(super) fn failed(asked: &str) -> anyhow::Result<Vec<Target>> {
    let name = match asked.split_once('=') {
        None if asked == "failed" => "@last",
        Some(("failed", name)) if !name.is_empty() => name,
        _ => bail!("`--rerun {}` is none; write `failed` or `failed=CAPTURE`", asked.escape_debug()),
    };
    let path: PathBuf = if name.starts_with('@') { store()?.resolve(name)? } else { name.into() };
    let capture = Capture::open(&path, Limits::default())?;
    let missed = capture.targets().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    let failed: Vec<_> = missed.map(|(target, _)| target.clone()).collect();
    if failed.is_empty() {
        bail!("no target failed in `{}`: there is nothing to run again", path.display());
    }
    Ok(failed)
}
