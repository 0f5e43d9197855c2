//! Where captures are kept.

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
