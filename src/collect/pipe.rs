//! A stream through a process that connects to a port for us: in a container's network, or inside the container.
//!
//! It is how a console is reached that is bound to the container's own loopback. Nothing is installed or copied: of the
//! programs that are there, the first that ends when we hang up is used.

use std::any::Any;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::Command;

use super::child::Group;
use super::classify;
use super::docker::Shell;
use super::stderr::Stderr;
use crate::model::{Failure, Reason};

/// Connects stdin and stdout to port `$1` of the loopback, and ends when stdin ends. The same text always; the port is
/// an argument of its own.
const CONNECT: &str = r#"port=$1
has() { command -v "$1" >/dev/null 2>&1; }
if has bash && bash -c 'exec 3<>/dev/tcp/127.0.0.1/"$0"' "$port" 2>/dev/null; then
    exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/"$0" || exit; cat <&3 & cat >&3; kill $!' "$port"
fi
has socat && exec socat STDIO "TCP4:127.0.0.1:$port"
if has nc; then
    help=$(nc -h 2>&1)
    case $help in
        *BusyBox*) exec nc 127.0.0.1 "$port" ;;
        *-N*) exec nc -N 127.0.0.1 "$port" ;;
        *-q*) exec nc -q 0 127.0.0.1 "$port" ;;
    esac
fi
has ncat && exec ncat 127.0.0.1 "$port"
has busybox && exec busybox nc 127.0.0.1 "$port"
echo 'no program to connect with: none of bash, socat, nc, ncat, busybox' >&2
exit 127"#;

/// The argv that connects in the network of `process`, with the host's own programs.
pub(super) fn in_network_of(process: u32, port: u16) -> Vec<String> {
    let target = process.to_string();
    ["nsenter", "--target", &target, "--net", "--", "sh", "-c", CONNECT, "sh", &port.to_string()]
        .map(str::to_owned)
        .to_vec()
}

/// The argv that connects inside the container `id`, with its own programs.
pub(super) fn inside(program: &str, id: &str, port: u16) -> Vec<String> {
    [program, "exec", "--interactive", id, "sh", "-c", CONNECT, "sh", &port.to_string()].map(str::to_owned).to_vec()
}

/// The stdin and stdout of a process as one stream. The process ends when it is dropped, or soon after.
pub(super) struct Pipe {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    /// Held for its end: the connection to `ssh`, or the process group.
    _process: Box<dyn Any + Send>,
}

/// What the process of a [`Pipe`] says about its end.
pub(super) struct Complaints(Stderr);

impl Pipe {
    /// Starts `argv`.
    ///
    /// # Errors
    /// When it cannot be started. That it cannot connect shows as the end of the stream, and in the complaints.
    pub(super) async fn open(shell: Shell<'_>, argv: &[String]) -> Result<(Self, Complaints), Failure> {
        let (Some(program), arguments) = (argv.first(), argv.get(1..).unwrap_or_default()) else {
            return Err(Failure::new(Reason::ContainerUnreachable, ""));
        };
        match shell {
            Shell::On(master) => {
                let mut child = master.spawn(program, arguments).await?;
                let stderr = Stderr::drain(child.stderr().take());
                let (Some(reader), Some(writer)) = (child.stdout().take(), child.stdin().take()) else {
                    return Err(Failure::new(Reason::SessionLost, ""));
                };
                let (reader, writer) = (Box::pin(reader), Box::pin(writer));
                Ok((Self { reader, writer, _process: Box::new(child) }, Complaints(stderr)))
            }
            Shell::Here => {
                let mut command = Command::new(program);
                command.args(arguments).env("LC_ALL", "C");
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                let mut group =
                    Group::spawn(command).map_err(|error| Failure::new(Reason::LocalLimit, error.to_string()))?;
                let child = group.child();
                let stderr = Stderr::drain(child.stderr.take());
                let (Some(reader), Some(writer)) = (child.stdout.take(), child.stdin.take()) else {
                    return Err(Failure::new(Reason::LocalLimit, ""));
                };
                let (reader, writer) = (Box::pin(reader), Box::pin(writer));
                Ok((Self { reader, writer, _process: Box::new(group) }, Complaints(stderr)))
            }
        }
    }
}

impl Complaints {
    /// Why the process could not connect.
    pub(super) async fn failure(self, port: u16) -> Failure {
        let text = self.0.whole().await;
        let refused = text.contains("Connection refused");
        let reason = if refused { Reason::NothingListening } else { Reason::ContainerUnreachable };
        let line = if refused {
            format!("nothing listens on port {port} of the container's loopback")
        } else {
            classify::last_line(&text)
        };
        Failure::new(reason, line)
    }
}

/// The failure that `first_bytes` tell of: an engine prints on stdout that it could not run what it was asked to.
pub(super) fn told_instead(first_bytes: &[u8]) -> Option<Failure> {
    let no_shell = first_bytes.starts_with(b"OCI runtime exec failed") || first_bytes.starts_with(b"Error: crun: ");
    no_shell.then(|| Failure::new(Reason::ContainerUnreachable, "its image has no shell to connect with"))
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.reader.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.writer.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}
