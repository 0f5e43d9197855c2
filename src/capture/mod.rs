//! Evidence on disk: an ordinary zip file that any later version can judge again.
//!
//! ```text
//! manifest.json                what was planned: run, targets, versions (written first)
//! targets/00000/evidence.pb    the console's messages as received, a protobuf `Evidence`
//! targets/00000/outcome.json   how observing the target went (written after its evidence)
//! end.json                     how the run ended (written last)
//! ```
//!
//! Targets appear in the order in which they finished; their number is their place in the manifest.
//! A target without `outcome.json` was not finished when the run was killed. `docs/capture-format.md`
//! is the description for people who write their own reader.

mod merge;
mod read;
mod record;
mod redact;
mod shared;
mod store;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{HostContext, Outcome, Target};

pub use merge::{MergeError, merge};
pub use read::{Capture, Frames, Limits};
pub use redact::redact;
pub use store::{Entry, KEEP, SWEEP, Store, StoreError};
pub use write::{Spool, Spools, Writer};

/// The version of the format that is written. Readers accept this and every older one.
pub const FORMAT_VERSION: u32 = 1;

/// What a capture's `format` field says.
const FORMAT_NAME: &str = "fleetdiag-capture";

const MANIFEST: &str = "manifest.json";
const END: &str = "end.json";

fn evidence_entry(index: usize) -> String {
    format!("targets/{index:05}/evidence.pb")
}

fn outcome_entry(index: usize) -> String {
    format!("targets/{index:05}/outcome.json")
}

/// What a run set out to do. Written before the first target is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub started: jiff::Timestamp,
    /// The version of fleetdiag that collected.
    pub collected_by: String,
    /// The patterns that selected the targets, as typed.
    pub patterns: Vec<String>,
    /// The window that was asked for.
    #[serde(rename = "window_ms", with = "millis")]
    pub window: Duration,
    /// Every target, ordered by id, without duplicates.
    pub targets: Vec<Target>,
}

#[derive(Serialize)]
struct Manifest {
    format: String,
    version: u32,
    #[serde(flatten)]
    run: Run,
}

/// The part of the manifest that tells whether the rest can be read.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// It was interrupted; unfinished targets say so in their outcomes.
    pub interrupted: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct OutcomeFile {
    /// The target's id, so that the file can be read on its own.
    target: String,
    /// When the outcome was reached, on the collecting machine's clock.
    finished: jiff::Timestamp,
    /// The target as it was found, where that is more than what was planned: a container that a selector stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<Target>,
    outcome: Outcome,
    /// What its server told about the program beside its console, where it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<HostContext>,
}

/// Why a capture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not a capture at all.
    #[error("`{}` is not a capture: {why}", path.display())]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        why: String,
    },
    /// Written by a later version in a format that this one does not know.
    #[error("`{}` has capture format {found}, this version reads up to {FORMAT_VERSION}: use a newer fleetdiag", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u32,
    },
    /// A capture with something wrong in it.
    #[error("`{}` is damaged: {entry}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The entry inside it.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// Larger than the reader accepts.
    #[error("`{}`: {entry} is larger than the limit of {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The entry inside it.
        entry: String,
        /// The limit.
        limit: u64,
    },
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
