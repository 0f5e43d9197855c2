//! The way to one console, held open for another program: the same session and forward, without observing.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::CollectError;
use super::child::die_with_parent;
use super::docker::{self, Found, Shell, Wanted};
use super::door::{Door, direct, explain, may_open_elsewhere};
use super::observe::Nothing;
use super::pipe::{self, Pipe};
use super::private::Directory;
use super::ssh::{Ear, Master};
use super::stop::Stop;
use crate::model::{Endpoint, Failure, Reason, Route, Stage, Target};
use crate::plan::{Budget, Plan};

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
/// A selector that stands for several containers needs the `container`'s name.
///
/// # Errors
/// When the console is not reached, the session breaks while nobody is there to notice, or the program does not start.
pub fn tunnel(
    plan: &Plan,
    target: &Target,
    container: Option<&str>,
    visitor: Option<&Visitor>,
    announce: &dyn Fn(&str),
) -> Result<Visit, TunnelError> {
    let setup = |what| move |source| CollectError::Setup { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(setup("the runtime"))?;
    let visit = runtime.block_on(async {
        let stop = Stop::listen(None).map_err(setup("the signal handlers"))?;
        let directory = Directory::create().map_err(setup("a private directory"))?;
        let master = match &target.route {
            Route::Direct => None,
            Route::Ssh(destination) => {
                let mut ear = Ear::default();
                let opening = Master::open(destination, &plan.ssh, &plan.budget, directory.next_socket(), &mut ear);
                Some(Arc::new(stop.unless(Stage::Connect, opening).await?))
            }
        };
        let tunnel = Tunnel { master: master.clone(), directory: &directory, budget: &plan.budget, stop: &stop };
        let mut serving = JoinSet::new();
        let visit = match tunnel.open(&target.endpoint, container, &mut serving).await {
            Ok(address) => hold(master.as_deref(), &address, visitor, announce, &stop).await,
            Err(failure) => Err(failure.into()),
        };
        serving.shutdown().await;
        drop(tunnel);
        if let Some(master) = master.and_then(Arc::into_inner) {
            master.close().await;
        }
        visit
    });
    drop(runtime);
    visit
}

/// What every way goes through.
struct Tunnel<'a> {
    master: Option<Arc<Master>>,
    directory: &'a Directory,
    budget: &'a Budget,
    stop: &'a Stop,
}

impl Tunnel<'_> {
    fn shell(&self) -> Shell<'_> {
        self.master.as_deref().map_or(Shell::Here, Shell::On)
    }

    /// The address of the first door behind which a console greets. What `serving` holds keeps it open.
    async fn open(
        &self,
        endpoint: &Endpoint,
        container: Option<&str>,
        serving: &mut JoinSet<()>,
    ) -> Result<Address, Failure> {
        let Endpoint::Container { engine, selector, port, network } = endpoint else {
            return self.endpoint(endpoint).await;
        };
        let wanted = Wanted { engine: *engine, selector, port: *port, network: network.as_deref() };
        let finding = docker::find(self.shell(), wanted);
        let (engine, found) = self.stop.unless(Stage::Resolve, finding).await?;
        let found = one(found, container)?;
        let mut failure = Failure::new(Reason::ContainerUnreachable, "");
        for way in found.ways? {
            let opened = match Door::of(way, engine, *port) {
                Door::Endpoint(endpoint) => self.endpoint(&endpoint).await,
                Door::Process { argv, port } => self.process(argv, port, serving).await,
            };
            failure = match opened {
                Ok(address) => return Ok(address),
                Err(failure) if may_open_elsewhere(failure.reason) => failure,
                Err(failure) => return Err(failure),
            };
        }
        Err(failure)
    }

    async fn endpoint(&self, endpoint: &Endpoint) -> Result<Address, Failure> {
        let opened = match &self.master {
            Some(master) => self.forwarded(master, endpoint).await,
            None => {
                let connecting = timeout(self.budget.connect, direct(endpoint));
                let stream = self.stop.unless(Stage::Connect, async {
                    let late = |_| Err(Failure::new(Reason::ConnectTimeout, endpoint.to_string()));
                    connecting.await.unwrap_or_else(late)
                });
                match stream.await {
                    Ok(stream) => self.knock(stream).await.map_err(|nothing| nothing.or(|| None)),
                    Err(failure) => Err(failure),
                }
                .map(|()| Address(endpoint.clone()))
            }
        };
        match opened {
            Err(failure) => {
                let explained = async { Ok(explain(self.shell(), endpoint, failure).await) };
                Err(self.stop.unless(Stage::Forward, explained).await.unwrap_or_else(|stopped| stopped))
            }
            opened => opened,
        }
    }

    async fn forwarded(&self, master: &Master, endpoint: &Endpoint) -> Result<Address, Failure> {
        let local = self.directory.next_socket();
        self.stop.unless(Stage::Forward, master.forward(&local, endpoint)).await?;
        let mark = master.mark();
        let connected = UnixStream::connect(&local).await;
        let stream = connected.map_err(|error| Failure::new(Reason::SessionLost, error.to_string()))?;
        match self.knock(stream).await {
            Ok(()) => Ok(Address(Endpoint::Unix(local))),
            Err(nothing) => {
                let why = master.refusal_since(mark).await.or_else(|| master.lost());
                Err(nothing.or(|| why))
            }
        }
    }

    /// A socket of ours, behind which a process of the host or of the container connects for each visitor.
    async fn process(&self, argv: Vec<String>, port: u16, serving: &mut JoinSet<()>) -> Result<Address, Failure> {
        let opening = Pipe::open(self.shell(), &argv);
        let (pipe, complaints) = self.stop.unless(Stage::Forward, opening).await?;
        if let Err(nothing) = self.knock(pipe).await {
            return Err(match nothing {
                Nothing::ClosedAtOnce => complaints.failure(port).await,
                Nothing::Failed(failure) => failure,
            });
        }
        let path = self.directory.next_socket();
        let listener =
            UnixListener::bind(&path).map_err(|error| Failure::new(Reason::LocalLimit, error.to_string()))?;
        serving.spawn(serve(listener, self.master.clone(), argv));
        Ok(Address(Endpoint::Unix(path)))
    }

    /// Whether a console is behind a stream: it greets at once, and where there is none the stream ends.
    async fn knock(&self, mut stream: impl AsyncRead + Unpin) -> Result<(), Nothing> {
        let mut greeting = [0; 64];
        let reading = async { Ok(timeout(self.budget.first_byte, stream.read(&mut greeting)).await) };
        match self.stop.unless(Stage::Console, reading).await? {
            Ok(Ok(read @ 1..)) => {
                pipe::told_instead(greeting.get(..read).unwrap_or_default()).map_or(Ok(()), |told| Err(told.into()))
            }
            Ok(_) => Err(Nothing::ClosedAtOnce),
            Err(_) => Err(Failure::new(Reason::SilentEndpoint, "not a byte came").into()),
        }
    }
}

/// The container that is meant.
fn one(mut found: Vec<Found>, container: Option<&str>) -> Result<Found, Failure> {
    if let Some(name) = container {
        found.retain(|found| found.container.name == name);
    }
    let names = || found.iter().map(|found| found.container.name.as_str()).collect::<Vec<_>>().join(", ");
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::new(Reason::ContainerNotFound, format!("`{}`", container.unwrap_or_default()))),
        _ => Err(Failure::new(Reason::ContainerAmbiguous, names())),
    }
}

/// Gives every visitor a process of its own, until it is dropped.
async fn serve(listener: UnixListener, master: Option<Arc<Master>>, argv: Vec<String>) {
    let mut visits = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((mut visitor, _)) = accepted else { return };
                let (master, argv) = (master.clone(), argv.clone());
                visits.spawn(async move {
                    let shell = master.as_deref().map_or(Shell::Here, Shell::On);
                    // A visitor whose way does not open is hung up on.
                    if let Ok((mut pipe, _)) = Pipe::open(shell, &argv).await {
                        let _ = copy_bidirectional(&mut visitor, &mut pipe).await;
                    }
                });
            }
            Some(_) = visits.join_next(), if !visits.is_empty() => {}
        }
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
