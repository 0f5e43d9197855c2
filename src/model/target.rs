//! What is observed, and the way there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{HostName, LogSource};

/// Names one console endpoint of the fleet: the host, and the console's name where a host has several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetId {
    /// The host it is on.
    pub host: HostName,
    /// The console's name under `consoles:`, or the container where replicas became several targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.console {
            Some(console) => write!(f, "{}/{console}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

/// The label that says which program a target runs. Spawn locations are compared only within a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Service(pub String);

/// One console endpoint on one host, fully resolved: nothing in it still asks for a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name in every report.
    pub id: TargetId,
    /// Which program it runs; empty where nobody said.
    #[serde(default)]
    pub service: Service,
    /// How its host is reached.
    pub route: Route,
    /// Where the console listens, as seen from that host.
    pub endpoint: Endpoint,
    /// Inventory variables that are not ours (region, version, env …), as text, for the diagnosis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Limits that the inventory sets for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: Thresholds,
    /// A URL that answers when the program is well, as seen from its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_url: Option<String>,
    /// Where its log is; what its container printed, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSource>,
}

/// Thresholds as they were written (`50ms`), by rule id, then by name.
pub type Thresholds = BTreeMap<String, BTreeMap<String, String>>;

/// How the host of a target is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Straight from this machine, without SSH.
    Direct,
    /// Through the system `ssh`.
    Ssh(SshDestination),
}

/// What `ssh` is told beyond the user's own configuration. Targets with equal destinations share a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SshDestination {
    /// The destination argument: `ansible_host` where given, else the host's own name.
    pub host: HostName,
    /// `ansible_user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<HostName>,
    /// `ansible_port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `ansible_ssh_private_key_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// `ansible_ssh_common_args` and `ansible_ssh_extra_args`, split into words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<String>,
}

/// Where a console listens, as seen from its host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A TCP port.
    Tcp {
        /// Address or name, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
    /// A console inside a container of the host's Docker or Podman engine; of this machine's on a direct route.
    Container {
        /// The command that speaks to the engine.
        #[serde(default)]
        engine: Engine,
        /// Which container.
        selector: ContainerSelector,
        /// The port inside the container.
        port: u16,
        /// The container's network whose address is used where the port is not published; any when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<String>,
    },
}

/// A container engine, by the command that speaks to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// `docker`.
    #[default]
    Docker,
    /// `podman`.
    Podman,
}

impl Engine {
    /// The command's name.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Container { engine, selector, port, .. } => write!(f, "{engine}:{selector}:{port}"),
        }
    }
}

/// How a container is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerSelector {
    /// By name or (a prefix of) its id.
    Name(String),
    /// By label, `key` or `key=value`.
    Label(String),
    /// By compose service, optionally within one project.
    Compose {
        /// The compose project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        /// The compose service.
        service: String,
    },
    /// By image, as given to `docker ps --filter ancestor=`.
    Image(String),
}

impl fmt::Display for ContainerSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Label(label) => write!(f, "label={label}"),
            Self::Compose { project: Some(project), service } => write!(f, "compose={project}/{service}"),
            Self::Compose { project: None, service } => write!(f, "compose={service}"),
            Self::Image(image) => write!(f, "image={image}"),
        }
    }
}
