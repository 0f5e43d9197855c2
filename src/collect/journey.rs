//! One server's journey: the session, the forwards, and the console of each of its targets.

use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use std::sync::Arc;

use super::docker::{self, Shell, Wanted};
use super::door::{Door, Stream, direct, explain, may_open_elsewhere};
use super::examine::{self, Seen as Sight};
use super::host_context::Question;
use super::limits::Turns;
use super::observe::{Nothing, Observer};
use super::opening::{Cause, Opening};
use super::pipe::{self, Pipe};
use super::private::Directory;
use super::ssh::{Ear, Master};
use super::stop::Stop;
use super::tap::Tap;
use super::{Curiosity, Event, Message, Progress};
use crate::capture::{Spool, Spools};
use crate::model::{
    Endpoint, Failure, HostContext, Observation, Outcome, Reason, Route, SshDestination, Stage, Target, TargetId,
};
use crate::plan::{Budget, Plan, SshSettings};

/// Longest wait before the first retry; doubles with each.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);

/// How long closing a stream may take to reach the other side.
const FAREWELL: Duration = Duration::from_millis(200);

/// A planned target, with its place in the plan.
pub(super) struct Assignment {
    pub index: usize,
    pub target: Target,
    /// How many targets its server has, itself included.
    pub on_server: usize,
}

/// What all servers share.
pub(super) struct Collector {
    budget: Budget,
    ssh: SshSettings,
    curiosity: Curiosity,
    directory: Directory,
    spools: Spools,
    turns: Turns,
    stop: Stop,
    sender: mpsc::UnboundedSender<Message>,
}

impl Collector {
    pub(super) fn new(
        plan: &Plan,
        servers: usize,
        curiosity: Curiosity,
        directory: Directory,
        spools: Spools,
        stop: Stop,
        sender: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let turns = Turns::new(&plan.budget, servers);
        Self { budget: plan.budget.clone(), ssh: plan.ssh.clone(), curiosity, directory, spools, turns, stop, sender }
    }

    /// Observes the targets of one server, all at once.
    pub(super) async fn server(self: Arc<Self>, assignments: Vec<Assignment>) {
        let Some(first) = assignments.first() else { return };
        let destination = match &first.target.route {
            Route::Ssh(destination) => destination.clone(),
            Route::Direct => {
                let deadline = Instant::now() + self.budget.host_total;
                return self.all(None, assignments, deadline).await;
            }
        };
        let indices: Vec<_> = assignments.iter().map(|assignment| assignment.index).collect();
        match self.session(&destination, &indices).await {
            Ok((master, deadline)) => {
                let master = Arc::new(master);
                Arc::clone(&self).all(Some(Arc::clone(&master)), assignments, deadline).await;
                if let Some(master) = Arc::into_inner(master) {
                    master.close().await;
                }
            }
            Err(failure) => {
                for Assignment { index, target, .. } in assignments {
                    self.done(index, target.id, Looked::failed(failure.clone()), None);
                }
            }
        }
    }

    async fn all(self: Arc<Self>, master: Option<Arc<Master>>, assignments: Vec<Assignment>, deadline: Instant) {
        let mut tasks = JoinSet::new();
        for assignment in assignments {
            tasks.spawn(Arc::clone(&self).planned(master.clone(), assignment, deadline));
        }
        tasks.join_all().await;
    }

    /// Observes one planned target, which may turn out to be several containers.
    async fn planned(self: Arc<Self>, master: Option<Arc<Master>>, assignment: Assignment, deadline: Instant) {
        let Assignment { index, target, on_server } = assignment;
        let Endpoint::Container { engine, selector, port, network } = &target.endpoint else {
            if self.curiosity == Curiosity::Ways {
                let around = examine::surroundings(shell(master.as_deref()), &target.endpoint);
                let around = self.unless_stopped(around).await;
                self.saw(Sight::Target(target.id.clone(), around));
            }
            let doors = vec![Door::Endpoint(target.endpoint.clone())];
            let question = Question::of(&target, None, on_server, &self.budget);
            return self.looked_at(master.as_deref(), index, target.id, question, Ok(doors), deadline).await;
        };
        self.stage(index, Stage::Resolve);
        let wanted = Wanted { engine: *engine, selector, port: *port, network: network.as_deref() };
        let finding = timeout_at(deadline, docker::find(shell(master.as_deref()), wanted));
        let found = self.stop.unless(Stage::Resolve, async {
            finding.await.unwrap_or_else(|_| Err(Failure::new(Reason::CommandStalled, "the host's time was over")))
        });
        let (engine, found) = match found.await {
            Ok(found) => found,
            Err(failure) => return self.done(index, target.id, Looked::failed(failure), None),
        };
        let targets: Vec<_> = found.iter().map(|found| found.target(&target)).collect();
        let _ = self.sender.send(Message::Found { index, targets: targets.clone() });
        let mut tasks = JoinSet::new();
        let on_server = on_server.max(targets.len());
        for (found, target) in found.into_iter().zip(targets) {
            self.saw(Sight::Target(target.id.clone(), examine::of_container(&found, engine, *port)));
            let question = Question::of(&target, Some((engine, found.container)), on_server, &self.budget);
            let (collector, master, port) = (Arc::clone(&self), master.clone(), *port);
            let doors = found.ways.map(|ways| ways.into_iter().map(|way| Door::of(way, engine, port)).collect());
            tasks.spawn(async move {
                collector.looked_at(master.as_deref(), index, target.id, question, doors, deadline).await;
            });
        }
        tasks.join_all().await;
    }

    /// Observes a console while its server is asked about the program, and tells how that went.
    async fn looked_at(
        &self,
        master: Option<&Master>,
        index: usize,
        id: TargetId,
        question: Option<Question>,
        doors: Result<Vec<Door>, Failure>,
        deadline: Instant,
    ) {
        let observed = async {
            match doors {
                Ok(doors) => self.observed(master, index, &id, doors, deadline).await,
                Err(failure) => Looked::failed(failure),
            }
        };
        let context = async {
            let question = question?;
            let asked = async { Ok(question.ask(shell(master), deadline).await) };
            self.stop.unless(Stage::Observe, asked).await.ok().flatten().map(Box::new)
        };
        let (looked, context) = tokio::join!(observed, context);
        self.done(index, id, looked, context);
    }

    /// Observes the console behind the first of `doors` that leads to it.
    async fn observed(
        &self,
        master: Option<&Master>,
        index: usize,
        id: &TargetId,
        doors: Vec<Door>,
        deadline: Instant,
    ) -> Looked {
        let mut spool = match self.spools.create() {
            Ok(spool) => Box::new(spool),
            Err(error) => return Looked::failed(Failure::new(Reason::LocalLimit, error.to_string())),
        };
        let mut failure = Failure::new(Reason::ContainerUnreachable, "");
        let mut doors = doors.into_iter().peekable();
        while let Some(door) = doors.next() {
            self.saw(Sight::Way(id.clone(), examine::way(&door, master.is_none())));
            failure = match self.through(master, &door, index, &mut spool, deadline).await {
                Ok(observation) => return Looked { spool: Some(spool), outcome: Outcome::Observed(observation) },
                Err(failure) => failure,
            };
            if doors.peek().is_none() || !may_open_elsewhere(failure.reason) {
                break;
            }
        }
        Looked::failed(failure)
    }

    /// An ssh session, with retries where trying again can help.
    async fn session(&self, destination: &SshDestination, targets: &[usize]) -> Result<(Master, Instant), Failure> {
        if self.curiosity == Curiosity::Data {
            return self.opened(destination, targets, &mut Ear::default()).await;
        }
        let mut ear = Ear::curious();
        let (mut server, opened) = tokio::join!(
            self.unless_stopped(examine::client(destination, &self.ssh)),
            self.opened(destination, targets, &mut ear)
        );
        examine::hear(&mut server, &ear.heard());
        self.saw(Sight::Server(destination.clone(), server));
        opened
    }

    async fn opened(
        &self,
        destination: &SshDestination,
        targets: &[usize],
        ear: &mut Ear,
    ) -> Result<(Master, Instant), Failure> {
        targets.iter().for_each(|&target| self.stage(target, Stage::Connect));
        let turns = self.stop.unless(Stage::Connect, self.turns.of(destination, &self.ssh)).await?;
        let mut attempt = 1;
        let mut deadline = None;
        loop {
            // Given back while we wait for the next attempt.
            let turn = self.stop.unless(Stage::Connect, turns.take()).await?;
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.budget.host_total);
            let control = self.directory.next_socket();
            let opened = self.stop.unless(Stage::Connect, async {
                let opening = Master::open(destination, &self.ssh, &self.budget, control, ear);
                timeout_at(deadline, opening).await.unwrap_or_else(|_| {
                    Err(Failure::new(Reason::AuthenticationStalled, "the host's time was over").at(Stage::Connect))
                })
            });
            let failure = match opened.await {
                Ok(master) => return Ok((master, deadline)),
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
            drop(turn);
            let paused = async {
                sleep(pause).await;
                Ok(())
            };
            self.stop.unless(failure.stage, paused).await?;
            attempt += 1;
        }
    }

    /// Opens one door and observes the console behind it.
    async fn through(
        &self,
        master: Option<&Master>,
        door: &Door,
        index: usize,
        spool: &mut Spool,
        deadline: Instant,
    ) -> Result<Observation, Failure> {
        let observed = match (door, master) {
            (Door::Process { argv, port }, _) => {
                self.stage(index, Stage::Forward);
                let opening = Pipe::open(shell(master), argv);
                let (pipe, complaints) = self.stop.unless(Stage::Forward, opening).await?;
                let cause = Cause::Process(complaints, *port);
                return self.console(index, pipe, spool, deadline, cause).await;
            }
            (Door::Endpoint(endpoint), None) => {
                self.stage(index, Stage::Connect);
                let connecting = timeout(self.budget.connect, direct(endpoint));
                let stream = self.stop.unless(Stage::Connect, async {
                    let late = |_| Err(Failure::new(Reason::ConnectTimeout, endpoint.to_string()));
                    connecting.await.unwrap_or_else(late)
                });
                match stream.await {
                    Ok(stream) => self.console(index, stream, spool, deadline, Cause::Unknown).await,
                    Err(failure) => Err(failure),
                }
            }
            (Door::Endpoint(endpoint), Some(master)) => {
                self.stage(index, Stage::Forward);
                self.forwarded(master, endpoint, index, spool, deadline).await
            }
        };
        let Door::Endpoint(endpoint) = door else { return observed };
        match observed {
            Err(failure) => Err(explain(shell(master), endpoint, failure).await),
            observed => observed,
        }
    }

    /// Observes the console at `endpoint`, as seen from the server, through a forward.
    async fn forwarded(
        &self,
        master: &Master,
        endpoint: &Endpoint,
        index: usize,
        spool: &mut Spool,
        deadline: Instant,
    ) -> Result<Observation, Failure> {
        let local = self.directory.next_socket();
        let opened = self.stop.unless(Stage::Forward, async {
            timeout(self.budget.first_byte, master.forward(&local, endpoint))
                .await
                .unwrap_or_else(|_| Err(Failure::new(Reason::SessionLost, "ssh does not answer")))
        });
        opened.await?;
        let _socket = RemoveOnDrop(local.clone());
        let opening = Opening::through(master).await;
        let stream =
            UnixStream::connect(&local).await.map_err(|error| Failure::new(Reason::SessionLost, error.to_string()))?;
        self.console(index, stream, spool, deadline, Cause::Channel(opening)).await
    }

    async fn console<S>(
        &self,
        index: usize,
        stream: S,
        spool: &mut Spool,
        deadline: Instant,
        cause: Cause<'_>,
    ) -> Result<Observation, Failure>
    where
        S: Stream,
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
        let observed = match cause {
            Cause::Unknown => observing.await.map_err(|nothing| nothing.or(|| None)),
            Cause::Channel(opening) => opening.around(observing, &seen).await,
            Cause::Process(complaints, port) => match observing.await {
                Err(Nothing::ClosedAtOnce) => Err(complaints.failure(port).await),
                Err(Nothing::Failed(failure)) => Err(pipe::told_instead(&seen.first_bytes()).unwrap_or(failure)),
                observed => observed.map_err(|nothing| nothing.or(|| None)),
            },
        };
        // The stream's end must have left us before its session does.
        let _ = timeout(FAREWELL, seen.dropped()).await;
        observed
    }

    /// What only helps to understand is nothing to wait for once the run stops.
    async fn unless_stopped<T: Default>(&self, asked: impl Future<Output = T>) -> T {
        let asked = async { Ok(asked.await) };
        self.stop.unless(Stage::Resolve, asked).await.unwrap_or_default()
    }

    fn saw(&self, sight: Sight) {
        if self.curiosity == Curiosity::Ways {
            let _ = self.sender.send(Message::Seen(Box::new(sight)));
        }
    }

    fn stage(&self, target: usize, stage: Stage) {
        self.event(target, Progress::Stage(stage));
    }

    fn event(&self, target: usize, progress: Progress) {
        // The receiver only goes away when the run has ended.
        let _ = self.sender.send(Message::Event(Event { target, progress }));
    }

    fn done(&self, index: usize, id: TargetId, looked: Looked, context: Option<Box<HostContext>>) {
        let Looked { spool, outcome } = looked;
        let _ = self.sender.send(Message::Done { index, id, spool, outcome, context });
    }
}

/// What came of looking at one console.
struct Looked {
    spool: Option<Box<Spool>>,
    outcome: Outcome,
}

impl Looked {
    fn failed(failure: Failure) -> Self {
        Self { spool: None, outcome: Outcome::Failed(failure) }
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

/// Where commands of a route run.
fn shell(master: Option<&Master>) -> Shell<'_> {
    master.map_or(Shell::Here, Shell::On)
}

/// `ssh` leaves the sockets of its forwards behind when it is killed.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
