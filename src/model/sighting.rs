//! What was seen on the way to a console, beside what the console itself says. All texts are hostile.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{Endpoint, Engine, SshDestination, TargetId};

/// Everything that a run has seen on its ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// By what `ssh` was told to connect to.
    pub servers: BTreeMap<SshDestination, ServerSighting>,
    /// By target: the planned one, or the containers that it stands for.
    pub targets: BTreeMap<TargetId, TargetSighting>,
}

/// A server, as `ssh` found it. What is absent was not told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServerSighting {
    /// The version of this machine's `ssh`, as `ssh -V` prints it.
    pub client: Option<String>,
    /// What `ssh` makes of the destination, as `ssh -G` prints it.
    pub config: Option<SshConfig>,
    /// The software that the server names in its banner.
    pub software: Option<String>,
    /// The server's host key, as type and fingerprint.
    pub host_key: Option<String>,
    /// The file and line of `known_hosts` that hold this host key.
    pub known_in: Option<String>,
    /// The method by which we were let in.
    pub method: Option<String>,
    /// The key that the server took.
    pub key: Option<String>,
}

/// What the ssh configuration says about one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SshConfig {
    /// `HostName`.
    pub hostname: String,
    /// `User`.
    pub user: String,
    /// `Port`.
    pub port: String,
    /// `ProxyJump`.
    pub jump: Option<String>,
    /// `ProxyCommand`.
    pub proxy_command: Option<String>,
}

/// The surroundings of one console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetSighting {
    /// The addresses on which the console's port is bound in the network of its host; absent when that was not seen.
    pub bound: Option<Vec<IpAddr>>,
    /// The container.
    pub container: Option<ContainerSighting>,
    /// The way that was tried last.
    pub way: Option<WaySighting>,
}

/// A container that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContainerSighting {
    /// Its engine.
    pub engine: Engine,
    /// Its name.
    pub name: String,
    /// The image as it was named.
    pub image: String,
    /// `running`, `paused`, or what the engine calls it.
    pub state: String,
    /// The addresses of the host at which the console's port is published, as `address:port`.
    pub published: Vec<String>,
    /// The addresses on which the port is bound inside; absent when that was not seen.
    pub bound: Option<Vec<IpAddr>>,
}

/// A way to a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WaySighting {
    /// Straight from this machine.
    Direct {
        /// To here.
        #[serde(serialize_with = "text")]
        endpoint: Endpoint,
    },
    /// A forward of ssh.
    Forward {
        /// To here, as seen from the server.
        #[serde(serialize_with = "text")]
        endpoint: Endpoint,
    },
    /// A process of the host in the container's network.
    Network,
    /// A process inside the container.
    Inside,
}

fn text<S: serde::Serializer>(endpoint: &Endpoint, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(endpoint)
}
