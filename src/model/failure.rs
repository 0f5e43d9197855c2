//! Why a target gave no evidence: stage, reason, detail and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Endpoint, Engine, Route, Target};

/// How far the way to a console was open, in the order in which it is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Finding out what to connect to: names, ssh configuration, containers.
    Resolve,
    /// Reaching the server's sshd (or the address itself, without SSH).
    Connect,
    /// Proving who we are.
    Authenticate,
    /// Opening the forward to the console's endpoint.
    Forward,
    /// Making sure that a tokio console answers there.
    Console,
    /// Receiving its updates.
    Observe,
}

impl Stage {
    /// The stage's name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Authenticate => "authenticate",
            Self::Forward => "forward",
            Self::Console => "console",
            Self::Observe => "observe",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! reasons {
    ($( $(#[$doc:meta])* $variant:ident $stage:ident $slug:literal $summary:literal, )*) => {
        /// The closed set of reasons.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason {
            $( $(#[$doc])* #[serde(rename = $slug)] $variant, )*
        }

        impl Reason {
            /// All of them, in the order of their stages.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The stage at which it occurs.
            #[must_use]
            pub fn stage(self) -> Stage {
                match self { $( Self::$variant => Stage::$stage, )* }
            }

            /// Its stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $slug, )* }
            }

            /// What happened, in a few words.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self { $( Self::$variant => $summary, )* }
            }
        }
    };
}

reasons! {
    /// No address for the name.
    HostNotFound Resolve "host-not-found" "host name does not resolve",
    /// `ssh` rejects the user's configuration or our options.
    SshConfigInvalid Resolve "ssh-config-invalid" "ssh rejects its configuration",
    /// No `ssh` on this machine.
    SshMissing Resolve "ssh-missing" "no `ssh` program on this machine",
    /// File or process limits of this machine.
    LocalLimit Resolve "local-limit" "this machine ran out of processes or file descriptors",
    /// The server runs no commands for this user.
    CommandRefused Resolve "command-refused" "the server runs no command for this user",
    /// A command on the server did not end.
    CommandStalled Resolve "command-stalled" "a command did not end in time",
    /// No Docker or Podman there.
    EngineMissing Resolve "engine-missing" "no docker or podman on the server",
    /// The engine does not answer.
    EngineUnreachable Resolve "engine-unreachable" "the container engine does not answer",
    /// The user may not talk to the engine.
    EngineDenied Resolve "engine-denied" "no permission to use the container engine",
    /// No container matches.
    ContainerNotFound Resolve "container-not-found" "no container matches",
    /// The container is not running.
    ContainerNotRunning Resolve "container-not-running" "the container is not running",
    /// The container is paused.
    ContainerPaused Resolve "container-paused" "the container is paused",
    /// The selector must name one container and matches several.
    ContainerAmbiguous Resolve "container-ambiguous" "several containers match",
    /// The container has no address that can be reached from its host.
    ContainerUnreachable Resolve "container-unreachable" "the container cannot be reached from its host",

    /// TCP connection refused.
    ConnectionRefused Connect "connection-refused" "connection refused",
    /// TCP connection timed out.
    ConnectTimeout Connect "connect-timeout" "connection timed out",
    /// No route, network down, address not available.
    NetworkUnreachable Connect "network-unreachable" "network unreachable",
    /// TCP accepts and no SSH banner or key exchange follows.
    SilentServer Connect "silent-server" "the server accepts and then says nothing",
    /// Closed before authentication: `MaxStartups`, fail2ban, a proxy command that ended.
    ClosedBeforeAuth Connect "closed-before-auth" "connection closed before authentication",
    /// Not in known_hosts.
    HostKeyUnknown Connect "host-key-unknown" "host key is not known",
    /// Not the key in known_hosts.
    HostKeyChanged Connect "host-key-changed" "host key has changed",
    /// No common algorithm.
    NegotiationFailed Connect "negotiation-failed" "no common SSH algorithm",
    /// The jump host could not be used.
    JumpHostFailed Connect "jump-host-failed" "the jump host cannot be used",
    /// The jump host works and cannot reach the server.
    UnreachableFromJumpHost Connect "unreachable-from-jump-host" "the jump host cannot reach the server",

    /// No accepted key.
    PermissionDenied Authenticate "permission-denied" "permission denied",
    /// A private key that others can read.
    KeyFilePermissions Authenticate "key-file-permissions" "private key file is too open",
    /// Authentication began and did not end: an agent or token that waits.
    AuthenticationStalled Authenticate "authentication-stalled" "authentication did not finish",

    /// sshd forbids it.
    ForwardingProhibited Forward "forwarding-prohibited" "the server forbids this forward",
    /// Nothing listens at the endpoint.
    NothingListening Forward "nothing-listening" "nothing listens at the console's endpoint",
    /// The port is bound, and not at the endpoint's address.
    BoundElsewhere Forward "bound-elsewhere" "the port is bound to another address",
    /// The endpoint's address cannot be reached from the server.
    EndpointUnreachable Forward "endpoint-unreachable" "the endpoint cannot be reached from the server",
    /// The session ended while the forward was opened.
    SessionLost Forward "session-lost" "the SSH session ended",

    /// Bytes that are not HTTP/2.
    NotGrpc Console "not-grpc" "something else listens there",
    /// gRPC without a console.
    NotAConsole Console "not-a-console" "a gRPC server without a tokio console",
    /// Accepted and closed without a byte.
    ClosedAtOnce Console "closed-at-once" "accepted and closed at once",
    /// Accepted and silent.
    SilentEndpoint Console "silent-endpoint" "the endpoint accepts and says nothing",

    /// The console took the request and sent no update.
    NoFirstUpdate Observe "no-first-update" "no update came",
    /// Updates stopped coming.
    StreamStalled Observe "stream-stalled" "updates stopped coming",
    /// The stream broke.
    StreamBroken Observe "stream-broken" "the stream broke",
    /// An update that is not one.
    MalformedUpdate Observe "malformed-update" "an update could not be read",
    /// A message beyond the size limit.
    MessageTooLarge Observe "message-too-large" "a message is larger than the limit",
    /// The whole run's deadline.
    DeadlineExceeded Observe "deadline-exceeded" "the run's deadline came first",
    /// Ctrl-C or a signal.
    Interrupted Observe "interrupted" "interrupted",
    /// A capture that ends before this target's evidence.
    CaptureIncomplete Observe "capture-incomplete" "the capture ends before this target",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a target gave no evidence, or stopped giving it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How far it came. Mostly the reason's own stage; a deadline or Ctrl-C can end any stage.
    pub stage: Stage,
    /// Why it went no further.
    pub reason: Reason,
    /// The evidence for that: the line of `ssh`, the gRPC status, the bytes that came. Hostile text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Failure {
    /// A failure at its reason's own stage.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { stage: reason.stage(), reason, detail: detail.into() }
    }

    /// The same failure, met at another stage.
    #[must_use]
    pub fn at(self, stage: Stage) -> Self {
        Self { stage, ..self }
    }

    /// What to do about it, for this target: a command or a setting.
    #[must_use]
    pub fn hint(&self, target: &Target) -> String {
        hint(self.reason, &Place::of(target))
    }
}

/// The words a hint is filled with.
struct Place {
    ssh: String,
    /// What a command on the target's host begins with; nothing for this machine.
    on: String,
    endpoint: String,
    engine: Engine,
    port: String,
}

impl Place {
    fn of(target: &Target) -> Self {
        let (ssh, on) = match &target.route {
            Route::Ssh(destination) => (destination.host.to_string(), format!("ssh {} ", destination.host)),
            Route::Direct => (target.id.host.to_string(), String::new()),
        };
        let (engine, port) = match &target.endpoint {
            Endpoint::Tcp { port, .. } => (Engine::Docker, *port),
            Endpoint::Container { engine, port, .. } => (*engine, *port),
            Endpoint::Unix(_) => (Engine::Docker, 6669),
        };
        Self { ssh, on, endpoint: target.endpoint.to_string(), engine, port: port.to_string() }
    }
}

fn hint(reason: Reason, place: &Place) -> String {
    let Place { ssh, on, endpoint, engine, port } = place;
    match reason {
        Reason::HostNotFound => format!("add `Host {ssh}` with a `HostName` to ~/.ssh/config, or set `ansible_host` in the inventory"),
        Reason::SshConfigInvalid => format!("run `ssh -G {ssh}` and mend the line that it names"),
        Reason::SshMissing => "install the OpenSSH client (`apt install openssh-client`)".to_owned(),
        Reason::LocalLimit => "raise `ulimit -n` and `ulimit -u`, or lower `--forks`".to_owned(),
        Reason::CommandRefused => format!("compare with `{on}true`: a forced command, `MaxSessions` or the login shell forbids it; give the console's address instead"),
        Reason::CommandStalled => format!("try `{on}true`: is the server overloaded, does a login script wait?"),
        Reason::EngineMissing => format!("give the console's address instead (`console: 127.0.0.1:6669`), or install {engine} there"),
        Reason::EngineUnreachable => format!("check `{on}{engine} version`: is the engine up, is `DOCKER_HOST` right?"),
        Reason::EngineDenied => format!("add the user to the `docker` group on {ssh}, or give the published port instead"),
        Reason::ContainerNotFound if *engine == Engine::Podman => format!("compare with `{on}podman ps`, which shows the containers of one user only"),
        Reason::ContainerNotFound => format!("compare with `{on}docker ps`"),
        Reason::ContainerNotRunning => format!("see why with `{on}{engine} ps -a` and `{engine} logs`"),
        Reason::ContainerPaused => format!("somebody froze it on purpose; `{on}{engine} unpause` lets it go on"),
        Reason::ContainerAmbiguous => "name one container, or select by label or compose service to observe each of them".to_owned(),
        Reason::ContainerUnreachable => format!("publish the port (`-p 127.0.0.1:{port}:{port}`) and set `TOKIO_CONSOLE_BIND=0.0.0.0:{port}` in the container"),
        Reason::ConnectionRefused => format!("is sshd running, and is the port right? `ssh -v {ssh}` shows the address it tries"),
        Reason::ConnectTimeout => format!("check VPN, firewall and address: `ssh -v {ssh}`"),
        Reason::NetworkUnreachable => format!("check VPN and routes: `ssh -v {ssh}`"),
        Reason::SilentServer => format!("the server is overloaded or the port is not SSH: `ssh -v {ssh}`"),
        Reason::ClosedBeforeAuth => format!("the server sheds connections (`MaxStartups`, fail2ban) or its proxy command ended: lower `--forks`, then `ssh -v {ssh}`"),
        Reason::HostKeyUnknown => format!("connect once by hand and check the fingerprint: `ssh {ssh}`"),
        Reason::HostKeyChanged => format!("verify the new key out of band before you trust it; then `ssh-keygen -R {ssh}` and `ssh {ssh}`"),
        Reason::NegotiationFailed => format!("one side is too old for the other: `ssh -vv {ssh}` lists what each offers"),
        Reason::JumpHostFailed => format!("make the jump host work first: `ssh -v {ssh}` names it"),
        Reason::UnreachableFromJumpHost => format!("the server is down as seen from the jump host, or its address is wrong: `ssh -v {ssh}`"),
        Reason::PermissionDenied => format!("check user and key: `ssh -v {ssh}`; load the key with `ssh-add`"),
        Reason::KeyFilePermissions => "make the private key yours alone: `chmod 600 <key file>`".to_owned(),
        Reason::AuthenticationStalled => "an agent or security key waits for an answer: check `ssh-add -l` and SSH_AUTH_SOCK; if many hosts say so, this machine is too busy for that many logins at once: lower `--forks`".to_owned(),
        Reason::ForwardingProhibited => format!("allow it in the server's sshd_config: `AllowTcpForwarding local`, `PermitOpen {endpoint}`"),
        Reason::NothingListening => format!("is the service up, built with console-subscriber, and bound to {endpoint}? `{on}ss -ltn` shows what listens"),
        Reason::BoundElsewhere => format!("give the address that is bound, `console: ADDRESS:{port}`, or bind the console to 127.0.0.1 (`TOKIO_CONSOLE_BIND=127.0.0.1:{port}`)"),
        Reason::EndpointUnreachable => format!("the server cannot reach {endpoint}: check the address in the inventory's `console`, and firewalls between the two"),
        Reason::SessionLost => format!("the connection broke: try again, then `ssh -v {ssh}`"),
        Reason::NotGrpc => format!("another program owns {endpoint}: find the console's port (`TOKIO_CONSOLE_BIND`) and set `console` in the inventory"),
        Reason::NotAConsole => format!("{endpoint} is some other gRPC server: find the console's port (`TOKIO_CONSOLE_BIND`) and set `console` in the inventory"),
        Reason::ClosedAtOnce => format!("typical for a published port whose console listens on the container's own loopback: set `TOKIO_CONSOLE_BIND=0.0.0.0:{port}` in the container"),
        Reason::SilentEndpoint => "the process is frozen or paused, or serves its console from a runtime that is blocked: that is a finding of its own".to_owned(),
        Reason::NoFirstUpdate => "the console is there and does not answer: the target is overloaded, or its state does not fit one message (lower `TOKIO_CONSOLE_RETENTION`)".to_owned(),
        Reason::StreamStalled => "the target froze while it was watched: look at its CPU, memory and container state".to_owned(),
        Reason::StreamBroken => "the target or its sshd went away while it was watched: was it restarted?".to_owned(),
        Reason::MalformedUpdate => "keep the capture and report it: this console speaks a dialect that is not known".to_owned(),
        Reason::MessageTooLarge => "raise `--max-message`, or lower `TOKIO_CONSOLE_RETENTION` on the target".to_owned(),
        Reason::DeadlineExceeded => "raise `--deadline`, or observe fewer hosts at a time".to_owned(),
        Reason::Interrupted => "run it again for this host".to_owned(),
        Reason::CaptureIncomplete => "the run that wrote this capture was killed; its other hosts are complete".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Stage};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_stages_in_order() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.windows(2).all(|w| w[0].stage() <= w[1].stage()));
        assert_eq!(Reason::ALL[0].stage(), Stage::Resolve);
    }

    #[test]
    fn the_wire_name_is_the_printed_name() {
        for &reason in Reason::ALL {
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.as_str()));
        }
    }
}
