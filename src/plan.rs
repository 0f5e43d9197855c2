//! Inventory, patterns and settings resolved into what will be done. After this nothing asks for a default.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Target;

/// What a run will do: which targets, how they are reached, and within which bounds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every target, ordered by id, without duplicates.
    pub targets: Vec<Target>,
    /// The bounds of the run.
    pub budget: Budget,
    /// How `ssh` is called.
    pub ssh: SshSettings,
}

/// What we add to the user's own ssh configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// `ssh -F`: used instead of the user's own configuration.
    pub config: Option<PathBuf>,
    /// `ssh -o`, each `Keyword=value`.
    pub options: Vec<String>,
}

/// Every bound of a run. A bound that is hit is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Hosts in flight at once.
    pub forks: usize,
    /// Handshakes at once through one jump host: sshd sheds more than ten unauthenticated ones.
    pub forks_per_jump_host: usize,
    /// Handshakes at once to one server.
    pub forks_per_server: usize,
    /// TCP connection and SSH banner.
    pub connect: Duration,
    /// From the start of `ssh` until it is authenticated.
    pub authenticate: Duration,
    /// From opening the forward to the first byte of the console.
    pub first_byte: Duration,
    /// From subscribing to the first update.
    pub first_update: Duration,
    /// How long updates are watched after the first; zero takes the first alone.
    pub window: Duration,
    /// Longest silence between updates.
    pub stall: Duration,
    /// Everything for one host.
    pub host_total: Duration,
    /// The whole run.
    pub deadline: Option<Duration>,
    /// Attempts for failures that can heal, the first included.
    pub attempts: u32,
    /// Largest message accepted, in bytes.
    pub max_message_bytes: usize,
    /// Most bytes taken from one target.
    pub max_target_bytes: u64,
    /// Most tasks, resources and async ops kept of one target.
    pub max_entities: usize,
    /// Tasks of one target whose histograms are fetched.
    pub max_details: usize,
    /// Neutral calls per target that make a lagging console catch up; zero turns that off.
    pub max_catch_up_calls: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            forks: 64,
            forks_per_jump_host: 8,
            forks_per_server: 4,
            connect: Duration::from_secs(10),
            authenticate: Duration::from_secs(15),
            first_byte: Duration::from_secs(5),
            first_update: Duration::from_secs(5),
            window: Duration::from_secs(3),
            stall: Duration::from_secs(10),
            host_total: Duration::from_secs(60),
            deadline: None,
            attempts: 3,
            max_message_bytes: 256 << 20,
            max_target_bytes: 1 << 30,
            max_entities: 2_000_000,
            max_details: 16,
            max_catch_up_calls: 500,
        }
    }
}
