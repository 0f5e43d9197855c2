//! The vocabulary every stage shares: plain data with its own invariants, and nothing else.
//!
//! Nothing here reads a file, a socket, the clock or the environment.

mod anomaly;
mod by_id;
mod code;
mod evidence;
mod failure;
mod host;
mod host_context;
mod location;
mod resource;
mod sighting;
mod snapshot;
mod target;
mod task;
mod time;
mod wait;

pub use anomaly::{Anomaly, AnomalyKind};
pub use code::{Blame, Code, CodeLine, Trouble};
pub use evidence::{Ended, Frame, Observation, Outcome, Stream};
pub use failure::{Failure, Reason, Stage};
pub use host::{GroupName, HostName, InvalidName};
pub use host_context::{
    ContainerState, Health, HostContext, LogSource, LogTail, MachineState, ProcessState, SocketsOf, TcpStates, Unseen,
};
pub use location::{Origin, SpawnLocation};
pub use resource::{AsyncOp, Attribute, AttributeValue, Resource};
pub use sighting::{ContainerSighting, ServerSighting, Sightings, SshConfig, TargetSighting, WaySighting};
pub use snapshot::{Histograms, ObservationWindow, Snapshot, TimeHistogram, Vintage};
pub use target::{ContainerSelector, Endpoint, Engine, Route, Service, SshDestination, Target, TargetId, Thresholds};
pub use task::{
    Activity, FutureSize, NameIndex, Sample, Site, SiteIndex, SpanId, Task, TaskKind, TaskState, TaskStats,
};
pub use time::{Nanos, Received, TargetTime};
pub use wait::{Wait, WaitKind};
