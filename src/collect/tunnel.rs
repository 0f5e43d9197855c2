//! The way to one console, held open for another program: the same session and forward, without observing.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::CollectError;
use super::child::die_with_parent;
use super::private::Directory;
use super::ssh::{Ear, Master};
use super::stop::Stop;
use crate::model::{Endpoint, Failure, Reason, Route, Stage, Target};
use crate::plan::{Budget, SshSettings};

/// How long a program may take to leave when it is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// The program that a tunnel is for: its name or path, and what follows the address.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Its name or path.
    pub program: OsString,
    /// Its arguments after the address.
    pub arguments: Vec<OsString>,
}

/// How holding a tunnel open ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// The program has ended.
    Ended(ExitStatus),
    /// A signal has ended the wait, or the program.
    Interrupted,
}

/// Why there is no tunnel, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// Nothing could be set up.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The console was not reached, or the session broke.
    #[error("{}", .0.reason.summary())]
    Failed(Box<Failure>),
    /// The program could not be started.
    #[error("cannot start `{}`: {source}", program.display())]
    Program {
        /// The program.
        program: OsString,
        /// What the system says.
        source: std::io::Error,
    },
}

impl From<Failure> for TunnelError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// An address as tokio-console takes it.
struct Address(Endpoint);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Endpoint::Unix(path) => write!(f, "file://localhost{}", path.display()),
            other => write!(f, "http://{other}"),
        }
    }
}

/// Opens the way to the console of `target` and runs `visitor` with its address, or tells `announce` the address and
/// waits for a signal where there is no visitor or it is not installed. Nothing is left behind.
///
/// # Errors
/// When the console is not reached, the session breaks while nobody is there to notice, or the program does not start.
pub fn tunnel(
    target: &Target,
    budget: &Budget,
    ssh: &SshSettings,
    visitor: Option<&Visitor>,
    announce: &dyn Fn(&str),
) -> Result<Visit, TunnelError> {
    let setup = |what| move |source| CollectError::Setup { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(setup("the runtime"))?;
    let visit = runtime.block_on(async {
        let stop = Stop::listen(None).map_err(setup("the signal handlers"))?;
        match &target.route {
            Route::Direct => hold(None, &Address(target.endpoint.clone()), visitor, announce, &stop).await,
            Route::Ssh(destination) => {
                let directory = Directory::create().map_err(setup("a private directory"))?;
                let mut ear = Ear::default();
                let opening = Master::open(destination, ssh, budget, directory.next_socket(), &mut ear);
                let master = stop.unless(Stage::Connect, opening).await?;
                let local = directory.next_socket();
                let visit = async {
                    master.forward(&local, &target.endpoint).await?;
                    stop.unless(Stage::Forward, knock(&master, &local, budget)).await?;
                    let address = Address(Endpoint::Unix(local.clone()));
                    hold(Some(&master), &address, visitor, announce, &stop).await
                };
                let visit = visit.await;
                master.close().await;
                visit
            }
        }
    });
    drop(runtime);
    visit
}

/// Whether anybody is behind the forward: a console greets at once, and a channel that cannot be opened closes.
async fn knock(master: &Master, local: &std::path::Path, budget: &Budget) -> Result<(), Failure> {
    let mark = master.mark();
    let connected = UnixStream::connect(local).await;
    let mut stream = connected.map_err(|error| Failure::new(Reason::SessionLost, error.to_string()))?;
    let read = timeout(budget.first_byte, stream.read(&mut [0; 16])).await;
    match read {
        Ok(Ok(1..)) => Ok(()),
        Ok(_) => {
            let why = master.refusal_since(mark).await.or_else(|| master.lost());
            Err(why.unwrap_or_else(|| Failure::new(Reason::ClosedAtOnce, "")))
        }
        Err(_) => Err(Failure::new(Reason::SilentEndpoint, "not a byte came")),
    }
}

async fn hold(
    master: Option<&Master>,
    address: &Address,
    visitor: Option<&Visitor>,
    announce: &dyn Fn(&str),
    stop: &Stop,
) -> Result<Visit, TunnelError> {
    let lost = async {
        match master {
            Some(master) => master.ended().await,
            None => std::future::pending().await,
        }
    };
    if let Some(visitor) = visitor {
        let mut command = Command::new(&visitor.program);
        command.arg(address.to_string()).args(&visitor.arguments).kill_on_drop(true);
        die_with_parent(&mut command);
        match command.spawn() {
            Ok(child) => return visited(child, visitor, stop).await,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(TunnelError::Program { program: visitor.program.clone(), source }),
        }
    }
    announce(&address.to_string());
    tokio::select! {
        () = stop.stopped() => Ok(Visit::Interrupted),
        () = lost => {
            let failure = master.and_then(Master::lost);
            Err(failure.unwrap_or_else(|| Failure::new(Reason::SessionLost, "")).into())
        }
    }
}

/// The program shares our terminal. It shows by itself that a session broke; a signal to us ends it too.
async fn visited(mut child: tokio::process::Child, visitor: &Visitor, stop: &Stop) -> Result<Visit, TunnelError> {
    let failed = |source| TunnelError::Program { program: visitor.program.clone(), source };
    tokio::select! {
        ended = child.wait() => return ended.map(Visit::Ended).map_err(failed),
        () = stop.stopped() => {}
    }
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        // Gone already is what we want.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
    if timeout(GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    Ok(Visit::Interrupted)
}
