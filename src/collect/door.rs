//! The ways to one console, opened one after the other until one leads there.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::classify;
use super::container::Way;
use super::docker::Shell;
use super::pipe;
use crate::model::{Endpoint, Engine, Failure, Reason};

/// Where a console is, as far as it concerns opening a stream to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// An address or a socket of the host.
    Endpoint(Endpoint),
    /// A process of the host that connects to this port for us.
    Process { argv: Vec<String>, port: u16 },
}

impl Door {
    /// The door at the end of a way to `port` in a container of `engine`.
    pub(super) fn of(way: Way, engine: Engine, port: u16) -> Self {
        match way {
            Way::Address(host, port) => Self::Endpoint(Endpoint::Tcp { host, port }),
            Way::NetworkOf(process) => Self::Process { argv: pipe::in_network_of(process, port), port },
            Way::Inside(id) => Self::Process { argv: pipe::inside(engine.command(), &id, port), port },
        }
    }
}

/// Whether another door to the same console may open where one failed like this.
pub(super) fn may_open_elsewhere(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ClosedAtOnce
            | Reason::NothingListening
            | Reason::EndpointUnreachable
            | Reason::NetworkUnreachable
            | Reason::ConnectTimeout
            | Reason::ForwardingProhibited
            | Reason::ContainerUnreachable
            | Reason::CommandRefused
    )
}

/// A failure with what the host's own sockets tell: nobody listens, somebody does at another address, or a silent
/// endpoint is one that was never reached.
pub(super) async fn explain(shell: Shell<'_>, endpoint: &Endpoint, failure: Failure) -> Failure {
    let Endpoint::Tcp { host, port } = endpoint else { return failure };
    let tells = match failure.reason {
        Reason::NothingListening => is_loopback(host),
        Reason::SilentEndpoint => !is_loopback(host),
        _ => false,
    };
    if !tells {
        return failure;
    }
    let Some(listening) = shell.listening().await else { return failure };
    if failure.reason == Reason::SilentEndpoint {
        // `ssh` takes our connection before the server's own is there.
        return if listening.waits_for(host, *port) {
            Failure::new(Reason::EndpointUnreachable, format!("{endpoint} does not answer connections"))
        } else {
            failure
        };
    }
    let bound: Vec<_> = listening.on(*port).iter().map(ToString::to_string).collect();
    if bound.is_empty() {
        let detail = format!("{}; listening there: {}", failure.detail, listening.describe());
        return Failure { detail, ..failure };
    }
    if listening.answers(host, *port) {
        // It has come up since.
        return failure;
    }
    Failure::new(Reason::BoundElsewhere, format!("port {port} is bound to {}, not to {host}", bound.join(", ")))
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A stream from this machine.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Connects from this machine.
///
/// # Errors
/// When nobody answers there.
pub(super) async fn direct(endpoint: &Endpoint) -> Result<Box<dyn Stream>, Failure> {
    let failed = |error: std::io::Error| {
        use std::io::ErrorKind;
        let reason = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Reason::NothingListening,
            ErrorKind::TimedOut => Reason::ConnectTimeout,
            _ => Reason::NetworkUnreachable,
        };
        Failure::new(reason, format!("{endpoint}: {}", error.kind()))
    };
    match endpoint {
        Endpoint::Tcp { host, port } => {
            let not_found =
                |error: std::io::Error| Failure::new(Reason::HostNotFound, classify::detail(&error.to_string()));
            let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(not_found)?.collect();
            let stream = TcpStream::connect(addresses.as_slice()).await.map_err(failed)?;
            // Our requests are small, and nobody should wait for more of them.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
        // Found first, and then connected to like any address.
        Endpoint::Container { .. } => Err(Failure::new(Reason::ContainerUnreachable, "")),
    }
}
