//! What one target sent, verbatim, or why it sent nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Failure, Received, SpanId};

/// Which of the console's streams a message came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// `WatchUpdates`: messages are `rs.tokio.console.instrument.Update`.
    Updates,
    /// `WatchState`: messages are `rs.tokio.console.instrument.State`.
    State,
    /// `WatchTaskDetails` of this task: messages are `rs.tokio.console.tasks.TaskDetails`.
    Details(SpanId),
}

/// One message of the console, exactly as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stream it came on.
    pub stream: Stream,
    /// When it arrived.
    pub received: Received,
    /// The protobuf message, without gRPC framing.
    pub bytes: bytes::Bytes,
}

/// How watching a target ended, and what was learnt beside its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Why watching ended.
    pub ended: Ended,
    /// Whether the console serves `WatchState` (0.5 and newer); absent when it was not asked.
    #[serde(default)]
    pub serves_state: Option<bool>,
    /// Time from the start of the connection to the first update.
    pub first_update_after: Duration,
    /// Bytes of messages received on all streams.
    pub bytes: u64,
    /// Neutral calls sent so that the console would take in what had queued up.
    #[serde(default)]
    pub catch_up_calls: u32,
}

/// Why watching a target ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The window was over: the ordinary end.
    WindowOver,
    /// A bound was hit and watching was cut off there.
    BoundHit {
        /// Which bound, in words.
        bound: String,
    },
    /// Something failed after the first update had come; what came is used.
    Broken(Failure),
}

/// Every planned target has exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// At least one update came.
    Observed(Observation),
    /// None came.
    Failed(Failure),
}
