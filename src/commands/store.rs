//! Where captures are kept.

use std::path::{Path, PathBuf};

use anyhow::Context;
use etcetera::BaseStrategy;

use crate::capture::Store;

/// The user's store: `$XDG_STATE_HOME/fleetdiag/captures`, by default below `~/.local/state`.
pub(super) fn store() -> anyhow::Result<Store> {
    let base = etcetera::choose_base_strategy()
        .context("cannot find your home directory; use `--save PATH` or `--no-save`")?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(Store::new(state.join("fleetdiag").join("captures")))
}

/// The path of a capture that was named: by its path, or by its name in the store.
pub(super) fn resolve(name: &Path) -> anyhow::Result<PathBuf> {
    match name.to_str() {
        Some(text) if text.starts_with('@') => Ok(store()?.resolve(text)?),
        _ => Ok(name.to_owned()),
    }
}
