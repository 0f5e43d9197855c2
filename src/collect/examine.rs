//! What is worth knowing of the way to a console when somebody asks why there is no data: from what `ssh` says of its
//! steps, from the kernel's tables, and from the container's engine. Nothing is tried that a snapshot would not do.

use super::classify;
use super::command::{Limits, run_here};
use super::container::Container;
use super::docker::{Found, Shell};
use super::door::{Door, is_loopback};
use super::ssh;
use crate::model::{
    ContainerSighting, Endpoint, Engine, ServerSighting, Sightings, SshConfig, SshDestination, TargetId,
    TargetSighting, WaySighting,
};
use crate::plan::SshSettings;

/// One thing that was seen.
pub(super) enum Seen {
    Server(SshDestination, ServerSighting),
    Target(TargetId, TargetSighting),
    /// The way that is tried now.
    Way(TargetId, WaySighting),
}

/// Adds one thing that was seen to the others.
pub(super) fn note(sightings: &mut Sightings, seen: Seen) {
    match seen {
        Seen::Server(destination, server) => drop(sightings.servers.insert(destination, server)),
        Seen::Target(id, target) => drop(sightings.targets.insert(id, target)),
        Seen::Way(id, way) => sightings.targets.entry(id).or_default().way = Some(way),
    }
}

/// What this machine's `ssh` is, and what it makes of the destination; without connecting.
pub(super) async fn client(destination: &SshDestination, settings: &SshSettings) -> ServerSighting {
    let version = async { run_here(&["ssh", "-V"], Limits::default()).await.ok() };
    let argv = ssh::describe_arguments(destination, settings);
    let description = async { run_here(&argv, Limits::default()).await.ok() };
    let (version, description) = tokio::join!(version, description);
    ServerSighting {
        client: version.filter(|output| output.succeeded()).map(|output| classify::last_line(&output.complaint())),
        config: description.and_then(|output| config(&output.text())),
        ..ServerSighting::default()
    }
}

/// Reads what `ssh -G` printed.
fn config(description: &str) -> Option<SshConfig> {
    let value = |key: &str| {
        let line = description.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.map(classify::detail).filter(|value| !value.is_empty() && value != "none")
    };
    Some(SshConfig {
        hostname: value("hostname")?,
        user: value("user").unwrap_or_default(),
        port: value("port").unwrap_or_default(),
        jump: value("proxyjump"),
        proxy_command: value("proxycommand"),
    })
}

/// Adds what `ssh` said of its steps at `LogLevel DEBUG1`.
pub(super) fn hear(server: &mut ServerSighting, said: &str) {
    let after = |prefix: &str| said.lines().rev().find_map(|line| line.strip_prefix(prefix)).map(classify::detail);
    let version = after("debug1: Remote protocol version ");
    server.software = version.and_then(|text| Some(text.split_once("remote software version ")?.1.to_owned()));
    server.host_key = after("debug1: Server host key: ");
    let is_known =
        said.lines().any(|line| line.starts_with("debug1: Host '") && line.contains("' is known and matches"));
    server.known_in = is_known.then(|| after("debug1: Found key in ").unwrap_or_else(|| "known_hosts".to_owned()));
    let authenticated = after("Authenticated to ");
    server.method = authenticated.and_then(|text| {
        let method = text.rsplit_once(" using \"")?.1.trim_end_matches(['.', '"']);
        Some(method.to_owned())
    });
    server.key = after("debug1: Server accepts key: ");
}

/// Where the console's port is bound on its own host, as far as we are there.
pub(super) async fn surroundings(shell: Shell<'_>, endpoint: &Endpoint) -> TargetSighting {
    let Endpoint::Tcp { host, port } = endpoint else { return TargetSighting::default() };
    // From another machine nobody's tables can be read.
    if matches!(shell, Shell::Here) && !is_loopback(host) {
        return TargetSighting::default();
    }
    let listening = shell.listening().await;
    TargetSighting { bound: listening.map(|listening| listening.on(*port)), ..TargetSighting::default() }
}

/// What the engine says of a container.
pub(super) fn of_container(found: &Found, engine: Engine, port: u16) -> TargetSighting {
    let Container { name, image, .. } = &found.container;
    let bound = found.listening.as_ref().map(|listening| listening.on(port));
    let container = ContainerSighting {
        engine,
        name: name.clone(),
        image: image.clone(),
        state: found.container.state(),
        published: found.container.published_for(port),
        bound: bound.clone(),
    };
    let bound = bound.filter(|_| found.container.is_on_host_network());
    TargetSighting { bound, container: Some(container), way: None }
}

/// A door as it is told.
pub(super) fn way(door: &Door, is_direct: bool) -> WaySighting {
    match door {
        Door::Endpoint(endpoint) if is_direct => WaySighting::Direct { endpoint: endpoint.clone() },
        Door::Endpoint(endpoint) => WaySighting::Forward { endpoint: endpoint.clone() },
        Door::Process { argv, .. } if argv.first().is_some_and(|program| program == "nsenter") => WaySighting::Network,
        Door::Process { .. } => WaySighting::Inside,
    }
}

#[cfg(test)]
mod tests {
    use super::{config, hear};
    use crate::model::ServerSighting;

    #[test]
    fn what_ssh_says_of_its_steps_becomes_facts() {
        let said = "\
debug1: Remote protocol version 2.0, remote software version OpenSSH_9.2p1 Debian-2+deb12u10\r
debug1: Server host key: ssh-ed25519 SHA256:Cc/MS4\r
debug1: Host 'lab' is known and matches the ED25519 host key.\r
debug1: Found key in /home/x/.ssh/known_hosts:3\r
debug1: Server accepts key: /home/x/.ssh/id ED25519 SHA256:BJv agent\r
Authenticated to lab ([127.0.0.1]:22) using \"publickey\".\r
";
        let mut server = ServerSighting::default();
        hear(&mut server, said);
        assert_eq!(server.software.as_deref(), Some("OpenSSH_9.2p1 Debian-2+deb12u10"));
        assert_eq!(server.host_key.as_deref(), Some("ssh-ed25519 SHA256:Cc/MS4"));
        assert_eq!(server.known_in.as_deref(), Some("/home/x/.ssh/known_hosts:3"));
        assert_eq!(server.method.as_deref(), Some("publickey"));
        assert_eq!(server.key.as_deref(), Some("/home/x/.ssh/id ED25519 SHA256:BJv agent"));
        let mut unknown = ServerSighting::default();
        hear(
            &mut unknown,
            "debug1: hostkeys_find_by_key_cb: found matching key in /x:1\nHost key verification failed.",
        );
        assert_eq!(unknown, ServerSighting::default());
    }

    #[test]
    fn what_ssh_makes_of_a_destination_is_read() {
        let told =
            config("host a\nuser deploy\nhostname 10.0.0.5\nport 2222\nproxyjump gate\nproxycommand none\n").unwrap();
        assert_eq!((told.hostname.as_str(), told.user.as_str(), told.port.as_str()), ("10.0.0.5", "deploy", "2222"));
        assert_eq!((told.jump.as_deref(), told.proxy_command), (Some("gate"), None));
        assert_eq!(config("cc: line 2: Bad configuration option: x"), None);
    }
}
