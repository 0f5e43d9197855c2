//! One server's journey: the session, the forwards, and the console of each of its targets.

use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{MutexGuard, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use std::sync::Arc;

use super::classify;
use super::observe::{Nothing, Observer};
use super::private::Directory;
use super::ssh::Master;
use super::stop::Stop;
use super::tap::{Seen, Tap};
use super::{Event, Message, Progress};
use crate::capture::Spool;
use crate::model::{Endpoint, Failure, Observation, Outcome, Reason, Route, SshDestination, Stage, Target};
use crate::plan::{Budget, Plan, SshSettings};

/// Longest wait before the first retry; doubles with each.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// How long one target may keep the others of its server from opening theirs. An answer takes one round trip.
const OPENING: Duration = Duration::from_secs(1);

/// How long closing a stream may take to reach the other side.
const FAREWELL: Duration = Duration::from_millis(200);

/// A target with a place for its evidence.
pub(super) struct Assignment {
    pub index: usize,
    pub target: Target,
    pub spool: Box<Spool>,
}

/// What all servers share.
pub(super) struct Collector {
    budget: Budget,
    ssh: SshSettings,
    directory: Directory,
    stop: Stop,
    sender: mpsc::UnboundedSender<Message>,
}

impl Collector {
    pub(super) fn new(plan: &Plan, directory: Directory, stop: Stop, sender: mpsc::UnboundedSender<Message>) -> Self {
        Self { budget: plan.budget.clone(), ssh: plan.ssh.clone(), directory, stop, sender }
    }

    /// Observes the targets of one server, all at once.
    pub(super) async fn server(self: Arc<Self>, assignments: Vec<Assignment>) {
        let deadline = Instant::now() + self.budget.host_total;
        let Some(first) = assignments.first() else { return };
        let destination = match &first.target.route {
            Route::Ssh(destination) => destination.clone(),
            Route::Direct => return self.all(None, assignments, deadline).await,
        };
        let indices: Vec<_> = assignments.iter().map(|assignment| assignment.index).collect();
        match self.session(&destination, &indices, deadline).await {
            Ok(master) => {
                let master = Arc::new(master);
                Arc::clone(&self).all(Some(Arc::clone(&master)), assignments, deadline).await;
                if let Some(master) = Arc::into_inner(master) {
                    master.close().await;
                }
            }
            Err(failure) => {
                for Assignment { index, spool, .. } in assignments {
                    self.done(index, spool, Outcome::Failed(failure.clone()));
                }
            }
        }
    }

    async fn all(self: Arc<Self>, master: Option<Arc<Master>>, assignments: Vec<Assignment>, deadline: Instant) {
        let mut tasks = JoinSet::new();
        for mut assignment in assignments {
            let (collector, master) = (Arc::clone(&self), master.clone());
            tasks.spawn(async move {
                let outcome = match collector.target(master.as_deref(), &mut assignment, deadline).await {
                    Ok(observation) => Outcome::Observed(observation),
                    Err(failure) => Outcome::Failed(failure),
                };
                collector.done(assignment.index, assignment.spool, outcome);
            });
        }
        tasks.join_all().await;
    }

    /// An ssh session, with retries where trying again can help.
    async fn session(
        &self,
        destination: &SshDestination,
        targets: &[usize],
        deadline: Instant,
    ) -> Result<Master, Failure> {
        targets.iter().for_each(|&target| self.stage(target, Stage::Connect));
        let mut attempt = 1;
        loop {
            let control = self.directory.next_socket();
            let opened = self.stop.unless(Stage::Connect, async {
                let opening = Master::open(destination, &self.ssh, &self.budget, control);
                timeout_at(deadline, opening).await.unwrap_or_else(|_| {
                    Err(Failure::new(Reason::AuthenticationStalled, "the host's time was over").at(Stage::Connect))
                })
            });
            let failure = match opened.await {
                Ok(master) => return Ok(master),
                Err(failure) => failure,
            };
            if attempt >= attempts(failure.reason, self.budget.attempts) {
                return Err(failure);
            }
            let backoff = FIRST_BACKOFF.saturating_mul(1 << (attempt - 1).min(8));
            let pause = rand::rng().random_range(Duration::ZERO..backoff);
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            let paused = async {
                sleep(pause).await;
                Ok(())
            };
            self.stop.unless(failure.stage, paused).await?;
            attempt += 1;
        }
    }

    /// Opens the way to one console and observes it.
    async fn target(
        &self,
        master: Option<&Master>,
        assignment: &mut Assignment,
        deadline: Instant,
    ) -> Result<Observation, Failure> {
        let Assignment { index, target, spool } = assignment;
        let index = *index;
        let Some(master) = master else {
            self.stage(index, Stage::Connect);
            let connecting = timeout(self.budget.connect, direct(&target.endpoint));
            let stream = self.stop.unless(Stage::Connect, async {
                connecting
                    .await
                    .unwrap_or_else(|_| Err(Failure::new(Reason::ConnectTimeout, target.endpoint.to_string())))
            });
            return match stream.await? {
                Direct::Tcp(stream) => self.console(index, stream, spool, deadline, None).await,
                Direct::Unix(stream) => self.console(index, stream, spool, deadline, None).await,
            };
        };
        self.stage(index, Stage::Forward);
        let local = self.directory.next_socket();
        let opened = self.stop.unless(Stage::Forward, async {
            timeout(self.budget.first_byte, master.forward(&local, &target.endpoint))
                .await
                .unwrap_or_else(|_| Err(Failure::new(Reason::SessionLost, "ssh does not answer")))
        });
        opened.await?;
        let _socket = RemoveOnDrop(local.clone());
        let opening = Opening { master, guard: Some(master.opening.lock().await), mark: master.mark() };
        let stream =
            UnixStream::connect(&local).await.map_err(|error| Failure::new(Reason::SessionLost, error.to_string()))?;
        self.console(index, stream, spool, deadline, Some(opening)).await
    }

    async fn console<S>(
        &self,
        index: usize,
        stream: S,
        spool: &mut Spool,
        deadline: Instant,
        opening: Option<Opening<'_>>,
    ) -> Result<Observation, Failure>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (tap, seen) = Tap::new(stream);
        let observer = Observer {
            budget: &self.budget,
            stop: &self.stop,
            spool,
            deadline,
            on_stage: &|stage| self.stage(index, stage),
            on_first_update: &|| self.event(index, Progress::Watching),
        };
        let observing = observer.observe(tap, &seen);
        let observed = match opening {
            None => observing.await.map_err(|nothing| nothing.or(|| None)),
            Some(opening) => opening.around(observing, &seen).await,
        };
        // The stream's end must have left us before its session does.
        let _ = timeout(FAREWELL, seen.dropped()).await;
        observed
    }

    fn stage(&self, target: usize, stage: Stage) {
        self.event(target, Progress::Stage(stage));
    }

    fn event(&self, target: usize, progress: Progress) {
        // The receiver only goes away when the run has ended.
        let _ = self.sender.send(Message::Event(Event { target, progress }));
    }

    fn done(&self, index: usize, spool: Box<Spool>, outcome: Outcome) {
        let _ = self.sender.send(Message::Done { index, spool, outcome });
    }
}

/// How often a failure is worth trying. What the user or the server refuses stays refused.
fn attempts(reason: Reason, most: u32) -> u32 {
    match reason {
        Reason::ClosedBeforeAuth | Reason::SessionLost => most,
        Reason::ConnectTimeout | Reason::SilentServer => most.min(2),
        _ => 1,
    }
}

enum Direct {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn direct(endpoint: &Endpoint) -> Result<Direct, Failure> {
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
            TcpStream::connect(addresses.as_slice()).await.map(Direct::Tcp).map_err(failed)
        }
        Endpoint::Unix(path) => UnixStream::connect(path).await.map(Direct::Unix).map_err(failed),
        Endpoint::Container { .. } => Err(Failure::new(
            Reason::ContainerUnreachable,
            "containers are not looked up yet; publish the console's port and give that",
        )),
    }
}

/// A channel that is being opened through a session.
struct Opening<'a> {
    master: &'a Master,
    guard: Option<MutexGuard<'a, ()>>,
    mark: usize,
}

impl Opening<'_> {
    /// Runs `observing`, lets the next target open its channel once this one has answered, and finds out why when
    /// it never did.
    async fn around<F>(mut self, observing: F, seen: &Seen) -> Result<Observation, Failure>
    where
        F: Future<Output = Result<Observation, Nothing>>,
    {
        let mut observing = std::pin::pin!(observing);
        let mut settled = std::pin::pin!(timeout(OPENING, seen.settled()));
        let observed = loop {
            tokio::select! {
                biased;
                observed = &mut observing => break observed,
                _ = &mut settled, if self.guard.is_some() && !seen.has_ended() => {
                    if !seen.has_ended() {
                        self.guard = None;
                    }
                }
            }
        };
        let refusal = match &observed {
            Err(Nothing::ClosedAtOnce) => self.master.refusal_since(self.mark).await,
            _ => None,
        };
        drop(self.guard);
        observed.map_err(|nothing| nothing.or(|| refusal.or_else(|| self.master.lost())))
    }
}

impl Nothing {
    /// The failure, with the cause that only whoever opened the stream knows.
    fn or(self, cause: impl FnOnce() -> Option<Failure>) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::ClosedAtOnce => cause().unwrap_or_else(|| Failure::new(Reason::ClosedAtOnce, "")),
        }
    }
}

/// `ssh` leaves the sockets of its forwards behind when it is killed.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
