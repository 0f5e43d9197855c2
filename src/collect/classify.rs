//! What `ssh` printed becomes a reason. Pure; the messages are OpenSSH's own, at `LogLevel VERBOSE`.

use crate::model::{Failure, Reason};

/// Longest detail shown of one message.
const MAX_DETAIL: usize = 300;

/// What a proxied connection is called once its proxy is gone: the line says nothing about the cause.
const THROUGH_PROXY: &str = "UNKNOWN port 65535";

/// The other side accepts and does not say what it is.
const NO_BANNER: &str = "during banner exchange";

/// Messages that name a cause, the specific before the general.
const BEFORE_AUTHENTICATION: &[(&str, Reason)] = &[
    ("Bad configuration option", Reason::SshConfigInvalid),
    ("bad configuration options", Reason::SshConfigInvalid),
    ("Bad owner or permissions on", Reason::SshConfigInvalid),
    ("Can't open user config file", Reason::SshConfigInvalid),
    ("command-line: line 0:", Reason::SshConfigInvalid),
    ("unsupported option", Reason::SshConfigInvalid),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Reason::HostKeyChanged),
    ("host key is known for", Reason::HostKeyUnknown),
    ("Host key verification failed", Reason::HostKeyUnknown),
    ("Unable to negotiate", Reason::NegotiationFailed),
    ("UNPROTECTED PRIVATE KEY FILE", Reason::KeyFilePermissions),
    ("Permission denied (", Reason::PermissionDenied),
    ("Too many authentication failures", Reason::PermissionDenied),
    ("Could not resolve hostname", Reason::HostNotFound),
    (NO_BANNER, Reason::SilentServer),
    ("Connection timed out", Reason::ConnectTimeout),
    ("Operation timed out", Reason::ConnectTimeout),
    ("Connection refused", Reason::ConnectionRefused),
    ("No route to host", Reason::NetworkUnreachable),
    ("Network is unreachable", Reason::NetworkUnreachable),
    ("Network is down", Reason::NetworkUnreachable),
    ("Host is down", Reason::NetworkUnreachable),
    ("Cannot assign requested address", Reason::NetworkUnreachable),
    ("Too many open files", Reason::LocalLimit),
    ("Resource temporarily unavailable", Reason::LocalLimit),
    ("kex_exchange_identification", Reason::ClosedBeforeAuth),
    ("ssh_exchange_identification", Reason::ClosedBeforeAuth),
    ("banner exchange", Reason::ClosedBeforeAuth),
    ("Connection closed by", Reason::ClosedBeforeAuth),
    ("Connection reset by", Reason::ClosedBeforeAuth),
    ("closed by remote host", Reason::ClosedBeforeAuth),
];

/// Messages about one forwarded channel.
const CHANNEL: &[(&str, Reason)] = &[
    ("administratively prohibited", Reason::ForwardingProhibited),
    ("open failed: connect failed: Connection refused", Reason::NothingListening),
    // sshd's answer for a unix socket that it cannot open.
    ("open failed: connect failed: open failed", Reason::NothingListening),
    ("open failed: connect failed", Reason::EndpointUnreachable),
    ("open failed", Reason::ForwardingProhibited),
];

/// Messages of `docker` and `podman`, the specific before the general.
const ENGINE: &[(&str, Reason)] = &[
    ("permission denied while trying to connect", Reason::EngineDenied),
    ("Got permission denied", Reason::EngineDenied),
    ("dial unix /var/run/docker.sock: connect: permission denied", Reason::EngineDenied),
    ("No such container", Reason::ContainerNotFound),
    ("no such container", Reason::ContainerNotFound),
    ("No such object", Reason::ContainerNotFound),
    ("no such object", Reason::ContainerNotFound),
    ("multiple IDs found", Reason::ContainerAmbiguous),
    ("Multiple IDs found", Reason::ContainerAmbiguous),
    ("more than one result for container", Reason::ContainerAmbiguous),
    ("command not found", Reason::EngineMissing),
    ("Cannot connect to the Docker daemon", Reason::EngineUnreachable),
    ("Cannot connect to Podman", Reason::EngineUnreachable),
    ("unable to connect to Podman", Reason::EngineUnreachable),
    ("error during connect", Reason::EngineUnreachable),
];

/// Why an engine did not answer a question, from what its command printed.
pub(super) fn engine(stderr: &str) -> Failure {
    first_match(stderr, ENGINE).unwrap_or_else(|| Failure::new(Reason::EngineUnreachable, last_line(stderr)))
}

/// Why a session did not come up, from everything that `ssh` printed until it ended.
pub(super) fn session(stderr: &str) -> Failure {
    if stderr.contains(THROUGH_PROXY) {
        return through_jump_host(stderr);
    }
    first_match(stderr, BEFORE_AUTHENTICATION)
        .unwrap_or_else(|| Failure::new(Reason::ClosedBeforeAuth, last_line(stderr)))
}

/// With a jump host, the outer connection only says that it was closed; what the inner `ssh` said is the cause.
fn through_jump_host(stderr: &str) -> Failure {
    let of_the_jump = |line: &&str| !line.contains(THROUGH_PROXY) && !line.starts_with("kex_exchange_identification");
    let mut inner: Vec<_> = stderr.lines().filter(of_the_jump).collect();
    let gave_up = stderr.lines().any(|line| line.contains(THROUGH_PROXY) && line.ends_with("timed out"));
    // This line is then the outer connection's own: nobody has spoken through the proxy.
    let silence = inner.iter().rposition(|line| line.contains(NO_BANNER)).filter(|_| gave_up);
    let silence = silence.map(|at| Failure::new(Reason::SilentServer, detail(inner.remove(at))));
    let inner = inner.join("\n");
    if let Some(failure) = first_match(&inner, CHANNEL) {
        let reason = match failure.reason {
            Reason::ForwardingProhibited => Reason::JumpHostFailed,
            _ => Reason::UnreachableFromJumpHost,
        };
        return Failure::new(reason, failure.detail);
    }
    match first_match(&inner, BEFORE_AUTHENTICATION) {
        // The user's own configuration is wrong whichever `ssh` reads it.
        Some(failure) if failure.reason == Reason::SshConfigInvalid => failure,
        Some(failure) => Failure::new(Reason::JumpHostFailed, failure.detail),
        None => silence.unwrap_or_else(|| Failure::new(Reason::ClosedBeforeAuth, last_line(stderr))),
    }
}

/// Why a forwarded channel was not opened, if `stderr` says so.
pub(super) fn channel(stderr: &str) -> Option<Failure> {
    first_match(stderr, CHANNEL)
}

/// A detail from whatever a program printed: one line, without control characters, of bounded length.
pub(super) fn detail(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(printable).take(MAX_DETAIL).collect()
}

/// The last line that says something.
pub(super) fn last_line(stderr: &str) -> String {
    detail(lines(stderr).rev().find(|line| !line.trim().is_empty()).unwrap_or_default())
}

fn first_match(stderr: &str, messages: &[(&str, Reason)]) -> Option<Failure> {
    let said = |message: &str| lines(stderr).find(|line| line.contains(message));
    let (line, reason) = messages.iter().find_map(|(message, reason)| Some((said(message)?, reason)))?;
    Some(Failure::new(*reason, detail(line.trim_matches(|c| c == '@' || c == ' '))))
}

/// What `ssh` says to everybody: what it says when it is asked for more tells of steps, not of causes.
fn lines(stderr: &str) -> impl DoubleEndedIterator<Item = &str> {
    stderr.lines().filter(|line| !line.starts_with("debug1: "))
}

#[cfg(test)]
mod tests {
    use super::{channel, detail, engine, session};
    use crate::model::Reason;

    #[test]
    fn each_message_of_ssh_has_its_reason() {
        let table = [
            ("ssh: Could not resolve hostname nowhere: Name or service not known", Reason::HostNotFound),
            ("ssh: connect to host 127.0.0.1 port 1: Connection refused", Reason::ConnectionRefused),
            ("ssh: connect to host 10.1.2.3 port 22: Connection timed out", Reason::ConnectTimeout),
            (
                "Connection timed out during banner exchange\nConnection to 127.0.0.1 port 9 timed out",
                Reason::SilentServer,
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\nConnection closed by 127.0.0.1 port 22",
                Reason::ClosedBeforeAuth,
            ),
            (
                "No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed.",
                Reason::HostKeyUnknown,
            ),
            (
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
                Reason::HostKeyChanged,
            ),
            (
                "Unable to negotiate with 127.0.0.1 port 22: no matching key exchange method found.",
                Reason::NegotiationFailed,
            ),
            (
                "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\nroot@x: Permission denied (publickey).",
                Reason::KeyFilePermissions,
            ),
            ("root@x: Permission denied (publickey).", Reason::PermissionDenied),
            ("/etc/ssh/x: line 3: Bad configuration option: nonsense", Reason::SshConfigInvalid),
            ("ssh: connect to host x port 22: No route to host", Reason::NetworkUnreachable),
            (
                "debug1: connect to address ::1 port 22: Connection refused\nssh: connect to host x port 22: No route to host",
                Reason::NetworkUnreachable,
            ),
            ("", Reason::ClosedBeforeAuth),
        ];
        for (stderr, reason) in table {
            assert_eq!(session(stderr).reason, reason, "{stderr}");
        }
        assert_eq!(session(table[6].0).detail, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!");
    }

    #[test]
    fn behind_a_jump_host_the_inner_message_counts() {
        let outer =
            "kex_exchange_identification: Connection closed by remote host\nConnection closed by UNKNOWN port 65535\n";
        let table = [
            ("ssh: connect to host jump port 22: Connection refused\n", Reason::JumpHostFailed),
            (
                "channel 0: open failed: connect failed: No route to host\nstdio forwarding failed\n",
                Reason::UnreachableFromJumpHost,
            ),
            (
                "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n",
                Reason::UnreachableFromJumpHost,
            ),
            ("channel 0: open failed: administratively prohibited: open failed\n", Reason::JumpHostFailed),
            ("", Reason::ClosedBeforeAuth),
        ];
        for (inner, reason) in table {
            assert_eq!(session(&format!("{inner}{outer}")).reason, reason, "{inner}");
        }
    }

    #[test]
    fn silence_through_a_proxy_is_the_servers_unless_the_inner_ssh_has_met_it() {
        let outer = "Connection timed out during banner exchange\nConnection to UNKNOWN port 65535 timed out";
        assert_eq!(session(outer).reason, Reason::SilentServer);
        let inner = "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out\n";
        assert_eq!(session(&format!("{inner}{outer}")).reason, Reason::JumpHostFailed);
        let refused = "ssh: connect to host jump port 22: Connection refused\n";
        assert_eq!(session(&format!("{refused}{outer}")).reason, Reason::JumpHostFailed);
    }

    #[test]
    fn channels_that_do_not_open_say_why() {
        let reason = |text| channel(text).map(|failure| failure.reason);
        assert_eq!(
            reason("channel 2: open failed: connect failed: Connection refused"),
            Some(Reason::NothingListening)
        );
        assert_eq!(
            reason("channel 2: open failed: administratively prohibited: open failed"),
            Some(Reason::ForwardingProhibited)
        );
        assert_eq!(
            reason("channel 2: open failed: connect failed: No route to host"),
            Some(Reason::EndpointUnreachable)
        );
        assert_eq!(reason("Authenticated to x ([127.0.0.1]:22) using \"publickey\"."), None);
    }

    #[test]
    fn engines_say_what_they_lack() {
        let table = [
            (
                "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get \
                 \"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/containers/json\": dial unix /var/run/docker.sock: connect: permission denied",
                Reason::EngineDenied,
            ),
            ("Got permission denied while trying to connect to the Docker daemon socket", Reason::EngineDenied),
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                Reason::EngineUnreachable,
            ),
            ("Error response from daemon: No such container: nonesuch", Reason::ContainerNotFound),
            ("Error: no such object: \"nonesuch\"", Reason::ContainerNotFound),
            ("Error: inspecting object: no such container nonesuch", Reason::ContainerNotFound),
            ("Error response from daemon: multiple IDs found with provided prefix: 12", Reason::ContainerAmbiguous),
            ("Error: more than one result for container 1: container already exists", Reason::ContainerAmbiguous),
            ("bash: line 1: docker: command not found", Reason::EngineMissing),
            ("Cannot connect to Podman. Please verify your connection to the Linux system", Reason::EngineUnreachable),
            ("something new", Reason::EngineUnreachable),
        ];
        for (stderr, reason) in table {
            assert_eq!(engine(stderr).reason, reason, "{stderr}");
        }
    }

    #[test]
    fn details_are_one_printable_line() {
        assert_eq!(detail(" a\u{1b}[31mb\r\nc "), "a [31mb  c");
        assert_eq!(detail(&"x".repeat(1000)).len(), 300);
    }
}
