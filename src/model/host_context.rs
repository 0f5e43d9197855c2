//! What a server tells about a program beside its console: the process, its container, its sockets, the machine, a health
//! URL and the last lines of its log. Every fact is there or named as unseen, with the reason.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that was read on the server of one target while its console was watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))] // For the schema of the JSON report.
pub struct HostContext {
    /// The container it runs in, as its engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerState>,
    /// The process that listens for the console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessState>,
    /// Its TCP sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpStates>,
    /// The machine as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineState>,
    /// The answer of the health URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// The end of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogTail>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unseen {
    /// What, in a word or two.
    pub what: String,
    /// Why, and what would help.
    pub why: String,
}

/// A container as `inspect` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContainerState {
    /// Its name.
    pub name: String,
    /// `running`, `exited`, `restarting` …
    pub status: String,
    /// How often the engine has restarted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Whether it was killed because its memory was used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_killed: Option<bool>,
    /// What its last run ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// `healthy`, `unhealthy` or `starting`, where it has a health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// When it was started, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// Most memory it may use, in bytes; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Most CPUs it may use; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<f64>,
}

/// A process as `/proc` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProcessState {
    /// Its number, as the host counts.
    pub pid: u32,
    /// The first 15 bytes of its program's name. Hostile text.
    pub name: String,
    /// How long it has run, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_seconds: Option<u64>,
    /// Its threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Open file descriptors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fds: Option<u64>,
    /// Most it may have open: the soft `RLIMIT_NOFILE`; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd_limit: Option<u64>,
    /// Resident memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The limit of its control group, in bytes; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Kills for want of memory in its control group, since that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<u64>,
    /// CPU used over about a second, in percent of one CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
}

/// Whose sockets were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SocketsOf {
    /// The process, with connections that it has not accepted yet.
    Process,
    /// Everybody in its network: the process's own could not be told apart.
    #[default]
    Network,
}

/// TCP sockets by state, as `/proc/net/tcp` and `tcp6` show them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TcpStates {
    /// Whose.
    pub of: SocketsOf,
    /// Connections that are up.
    pub established: u64,
    /// Connections that the other side has closed and the program has not.
    pub close_wait: u64,
    /// Connections that wait to be accepted, on the listening socket where most do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// How many may wait there, where the server can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_limit: Option<u64>,
    /// The port of that socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_port: Option<u16>,
    /// Connections turned away by full backlogs while we looked, for about a second, in its whole network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflows: Option<u64>,
}

/// A machine as `/proc` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MachineState {
    /// CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u64>,
    /// Load average of the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// CPU time used over about a second, in percent of all CPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Memory, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory that new programs could have, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Share of the last 10 s in which some task waited for a CPU, in percent (PSI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psi_cpu_percent: Option<f64>,
    /// Share of the last 10 s in which every task that was not idle waited for memory, in percent (PSI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psi_memory_percent: Option<f64>,
    /// Share of the last 10 s in which every task that was not idle waited for a disk, in percent (PSI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psi_io_percent: Option<f64>,
}

/// What a health URL answered, asked on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Health {
    /// The URL.
    pub url: String,
    /// The HTTP status; absent when there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the whole answer took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The end of a log. Hostile text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogTail {
    /// Where it is from, in words.
    pub source: String,
    /// Lines looked at.
    pub lines: u64,
    /// Those of them that are errors or panics, by the level that they name.
    pub errors: u64,
    /// Those of them that are warnings.
    pub warnings: u64,
    /// The last errors, oldest first, each cut after a few hundred characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_errors: Vec<String>,
    /// There was more than was taken.
    #[serde(default)]
    pub cut_off: bool,
}

/// Where a program's log is read, on its server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// Nowhere.
    Nowhere,
    /// What its container printed.
    Container,
    /// The journal of this systemd unit.
    Journal(String),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("none"),
            Self::Container => f.write_str("container"),
            Self::Journal(unit) => write!(f, "journal:{unit}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl HostContext {
    /// Names something that could not be read.
    pub fn cannot_see(&mut self, what: &str, why: impl Into<String>) {
        self.unseen.push(Unseen { what: what.to_owned(), why: why.into() });
    }

    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ProcessState {
    /// Open file descriptors in percent of their limit.
    #[must_use]
    pub fn fd_share(&self) -> Option<f64> {
        percent(self.fds?, self.fd_limit?)
    }

    /// Resident memory in percent of the control group's limit.
    #[must_use]
    pub fn memory_share(&self) -> Option<f64> {
        percent(self.memory_bytes?, self.memory_limit_bytes?)
    }
}

impl Health {
    /// Whether it answered, with a status that says that all is well.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.status.is_some_and(|status| (200..400).contains(&status))
    }
}

#[allow(clippy::cast_precision_loss)] // For people and thresholds.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}
