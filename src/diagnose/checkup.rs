//! The way to each console, step by step: what was seen at each, what is wrong with it, and what could not be seen.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::model::{
    Anomaly, ContainerSighting, Endpoint, Failure, Observation, Outcome, Route, ServerSighting, Sightings, Snapshot,
    SshConfig, Stage, Target, TargetSighting, TaskState, Vintage, WaySighting,
};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Worth knowing, nothing to do.
    Note,
    /// It works, and something should be done.
    Warn,
    /// Here the way ends.
    Fail,
    /// Beyond the end of the way.
    Unseen,
}

impl Mark {
    /// Its stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unseen => "unseen",
        }
    }
}

/// What a step shows. Texts are hostile.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// No ssh leads to it.
    NoSsh,
    /// What the ssh configuration makes of the host.
    Config(SshConfig),
    /// This machine's `ssh`.
    Client(String),
    /// A container that matches.
    Container(ContainerSighting),
    /// What the server calls its sshd.
    Server(String),
    /// The server's host key, and where it is known.
    HostKey {
        /// Type and fingerprint.
        key: String,
        /// File and line.
        known_in: Option<String>,
    },
    /// How we were let in.
    LetIn {
        /// By which method.
        method: String,
        /// With which key.
        key: Option<String>,
    },
    /// The way that led to the endpoint.
    Way(WaySighting),
    /// Where the console's port is bound.
    Bound(Vec<SocketAddr>),
    /// What listens on the server could not be seen.
    BoundUnseen,
    /// The console is reached by everybody who reaches these.
    Exposed {
        /// `address:port` of the host.
        at: Vec<String>,
        /// How to bind it elsewhere.
        cause: Exposure,
    },
    /// The generation of the console.
    Vintage(Vintage),
    /// The target's tokio.
    Tokio(String),
    /// What the console shows.
    Tasks {
        /// Tasks that are not completed.
        alive: usize,
        /// All tasks.
        tasks: usize,
        /// Resources.
        resources: usize,
        /// Async ops.
        async_ops: usize,
    },
    /// How the console sent it.
    Updates {
        /// Updates in the window.
        updates: u32,
        /// From the connection to the first.
        first_after: Duration,
        /// Bytes of all.
        bytes: u64,
    },
    /// Kinds of anomalies that people look for, and that are not there.
    Absent(Vec<Trouble>),
    /// What makes the evidence less than complete.
    Anomaly(Anomaly),
    /// Why the way ends here.
    Failed(Failure),
    /// What lies beyond the end of the way.
    Beyond,
}

/// Who exposes a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// The program binds it.
    Bind,
    /// The container's port is published on every address.
    Publish,
    /// It is reached without ssh.
    Direct,
}

/// Troubles of a console that can be ruled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It lags behind its own events.
    Lag,
    /// Attaching shrinks its retention, or its state is sent in part.
    Retention,
    /// Somebody paused it.
    Paused,
    /// It lost events.
    Dropped,
}

impl Fact {
    /// Its stable name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSsh => "no-ssh",
            Self::Config(_) => "ssh-config",
            Self::Client(_) => "ssh-client",
            Self::Container(_) => "container",
            Self::Server(_) => "ssh-server",
            Self::HostKey { .. } => "host-key",
            Self::LetIn { .. } => "authentication",
            Self::Way(_) => "way",
            Self::Bound(_) => "bound",
            Self::BoundUnseen => "bound-unseen",
            Self::Exposed { .. } => "exposed",
            Self::Vintage(_) => "vintage",
            Self::Tokio(_) => "tokio",
            Self::Tasks { .. } => "tasks",
            Self::Updates { .. } => "updates",
            Self::Absent(_) => "ruled-out",
            Self::Anomaly(anomaly) => anomaly.kind(),
            Self::Failed(failure) => failure.reason.as_str(),
            Self::Beyond => "beyond",
        }
    }
}

/// One thing that was seen on a way.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Where.
    pub stage: Stage,
    /// How it went.
    pub mark: Mark,
    /// What it was.
    pub fact: Fact,
}

/// The way to one console.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkup {
    /// Which.
    pub target: Target,
    /// The steps, in the order of their stages.
    pub steps: Vec<Step>,
}

/// Every way that was walked.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkups {
    /// Ordered as planned.
    pub checkups: Vec<Checkup>,
    /// A signal ended it early.
    pub interrupted: bool,
}

impl Checkups {
    /// 0 when every console gave its data and nothing is to be done; 130 when it was interrupted; 4 when a console gave
    /// none; 1 when something should be done.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let marks: BTreeSet<_> = self.checkups.iter().map(Checkup::mark).collect();
        match () {
            () if self.interrupted => 130,
            () if marks.contains(&Mark::Fail) => 4,
            () if marks.contains(&Mark::Warn) => 1,
            () => 0,
        }
    }
}

impl Checkup {
    /// The worst of its steps: [`Mark::Ok`], [`Mark::Warn`] or [`Mark::Fail`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        let marks = self.steps.iter().map(|step| step.mark);
        marks.filter(|mark| matches!(mark, Mark::Warn | Mark::Fail)).max().unwrap_or(Mark::Ok)
    }
}

/// What was seen on the way to `target`, in steps; `snapshot` is what its console said.
#[must_use]
pub fn checkup(target: &Target, outcome: &Outcome, snapshot: Option<&Snapshot>, sightings: &Sightings) -> Checkup {
    let mut way = Way { target, steps: Vec::new() };
    let around = sightings.targets.get(&target.id).cloned().unwrap_or_default();
    let reached = match outcome {
        Outcome::Observed(_) => Stage::Observe,
        Outcome::Failed(failure) => failure.stage,
    };
    match &target.route {
        Route::Direct => way.ok(Stage::Resolve, Fact::NoSsh),
        Route::Ssh(destination) => {
            way.server(&sightings.servers.get(destination).cloned().unwrap_or_default());
        }
    }
    way.surroundings(&around, outcome, reached);
    if let (Outcome::Observed(observation), Some(snapshot)) = (outcome, snapshot) {
        way.console(snapshot, observation);
    }
    if let Outcome::Failed(failure) = outcome {
        way.put(failure.stage, Mark::Fail, Fact::Failed(failure.clone()));
    }
    for stage in way.stages().into_iter().filter(|stage| *stage > reached) {
        way.put(stage, Mark::Unseen, Fact::Beyond);
    }
    // What was seen of a stage stays in its order.
    way.steps.sort_by_key(|step| step.stage);
    Checkup { target: target.clone(), steps: way.steps }
}

struct Way<'a> {
    target: &'a Target,
    steps: Vec<Step>,
}

impl Way<'_> {
    fn put(&mut self, stage: Stage, mark: Mark, fact: Fact) {
        self.steps.push(Step { stage, mark, fact });
    }

    fn ok(&mut self, stage: Stage, fact: Fact) {
        self.put(stage, Mark::Ok, fact);
    }

    /// The stages that a way of this kind has.
    fn stages(&self) -> Vec<Stage> {
        let all = [Stage::Resolve, Stage::Connect, Stage::Authenticate, Stage::Forward, Stage::Console, Stage::Observe];
        let direct = matches!(self.target.route, Route::Direct);
        all.into_iter().filter(|stage| !(direct && matches!(stage, Stage::Authenticate | Stage::Forward))).collect()
    }

    fn server(&mut self, server: &ServerSighting) {
        let ServerSighting { client, config, software, host_key, known_in, method, key } = server.clone();
        if let Some(config) = config {
            self.ok(Stage::Resolve, Fact::Config(config));
        }
        if let Some(client) = client {
            self.ok(Stage::Resolve, Fact::Client(client));
        }
        if let Some(software) = software {
            self.ok(Stage::Connect, Fact::Server(software));
        }
        if let Some(key) = host_key {
            let mark = if known_in.is_some() { Mark::Ok } else { Mark::Note };
            self.put(Stage::Connect, mark, Fact::HostKey { key, known_in });
        }
        if let Some(method) = method {
            self.ok(Stage::Authenticate, Fact::LetIn { method, key });
        }
    }

    fn surroundings(&mut self, around: &TargetSighting, outcome: &Outcome, reached: Stage) {
        if let Some(container) = &around.container {
            let mark = if container.state == "running" { Mark::Ok } else { Mark::Note };
            self.put(Stage::Resolve, mark, Fact::Container(container.clone()));
        }
        let direct = matches!(self.target.route, Route::Direct);
        let opened = matches!(outcome, Outcome::Observed(_)) || reached >= Stage::Console;
        if let Some(way) = around.way.as_ref().filter(|_| opened) {
            let stage = if matches!(way, WaySighting::Direct { .. }) { Stage::Connect } else { Stage::Forward };
            self.ok(stage, Fact::Way(way.clone()));
        }
        let stage = if direct { Stage::Connect } else { Stage::Forward };
        let port = match &self.target.endpoint {
            Endpoint::Tcp { port, .. } | Endpoint::Container { port, .. } => *port,
            Endpoint::Unix(_) => return,
        };
        match &around.bound {
            Some(bound) if !bound.is_empty() => {
                self.ok(stage, Fact::Bound(bound.iter().map(|ip| SocketAddr::new(*ip, port)).collect()));
            }
            None if reached >= Stage::Forward && !direct && around.container.is_none() => {
                self.put(stage, Mark::Note, Fact::BoundUnseen);
            }
            _ => {}
        }
        // What listens there is a console, or nobody knows what it is.
        if reached >= Stage::Observe
            && let Some((at, cause)) = self.exposed(around, port)
        {
            self.put(stage, Mark::Warn, Fact::Exposed { at, cause });
        }
    }

    /// Where others than its own host reach the console.
    fn exposed(&self, around: &TargetSighting, port: u16) -> Option<(Vec<String>, Exposure)> {
        let open = |address: &IpAddr| !address.is_loopback();
        let bound = around.bound.iter().flatten().filter(|address| open(address));
        let at: Vec<_> = bound.map(|address| SocketAddr::new(*address, port).to_string()).collect();
        if !at.is_empty() {
            return Some((at, Exposure::Bind));
        }
        if let Some(container) = &around.container {
            let leads_nowhere = container.bound.as_ref().is_some_and(|bound| !bound.iter().any(open));
            let published = container.published.iter();
            let at: Vec<_> =
                published.filter(|at| at.parse::<SocketAddr>().is_ok_and(|at| open(&at.ip()))).cloned().collect();
            return (!at.is_empty() && !leads_nowhere).then_some((at, Exposure::Publish));
        }
        match (&self.target.route, &self.target.endpoint) {
            (Route::Direct, Endpoint::Tcp { host, .. }) if around.bound.is_none() => {
                let local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
                (!local).then(|| (vec![self.target.endpoint.to_string()], Exposure::Direct))
            }
            _ => None,
        }
    }

    fn console(&mut self, snapshot: &Snapshot, observation: &Observation) {
        if let Some(vintage) = snapshot.vintage {
            self.ok(Stage::Console, Fact::Vintage(vintage));
        }
        if let Some(tokio) = &snapshot.tokio_version {
            self.ok(Stage::Console, Fact::Tokio(tokio.clone()));
        }
        let alive = snapshot.tasks.iter().filter(|task| task.last.state() != TaskState::Done).count();
        let none = snapshot.anomalies.contains(&Anomaly::NoTasks);
        let (tasks, resources, async_ops) = (snapshot.tasks.len(), snapshot.resources.len(), snapshot.async_ops.len());
        let mark = if none { Mark::Note } else { Mark::Ok };
        self.put(Stage::Observe, mark, Fact::Tasks { alive, tasks, resources, async_ops });
        let (updates, first_after) = (snapshot.window.updates, observation.first_update_after);
        self.ok(Stage::Observe, Fact::Updates { updates, first_after, bytes: observation.bytes });
        let absent = absent(&snapshot.anomalies, observation);
        if !absent.is_empty() {
            self.ok(Stage::Observe, Fact::Absent(absent));
        }
        for anomaly in &snapshot.anomalies {
            self.put(Stage::Observe, mark_of(anomaly), Fact::Anomaly(anomaly.clone()));
        }
    }
}

/// The troubles that the evidence rules out. Whether a console is paused, only those say that serve their state.
fn absent(anomalies: &[Anomaly], observation: &Observation) -> Vec<Trouble> {
    let has = |wanted: fn(&Anomaly) -> bool| anomalies.iter().any(wanted);
    let two_samples = !has(|anomaly| matches!(anomaly, Anomaly::SingleSample));
    let retention =
        |anomaly: &Anomaly| matches!(anomaly, Anomaly::RetentionShrunk { .. } | Anomaly::PartialInitialState { .. });
    let ruled_out = [
        (Trouble::Lag, two_samples && !has(|anomaly| matches!(anomaly, Anomaly::IngestLag { .. }))),
        (Trouble::Retention, !has(retention)),
        (Trouble::Paused, observation.serves_state == Some(true) && !has(|anomaly| matches!(anomaly, Anomaly::Paused))),
        (Trouble::Dropped, !has(|anomaly| matches!(anomaly, Anomaly::DroppedEvents { .. }))),
    ];
    ruled_out.into_iter().filter(|(_, is_so)| *is_so).map(|(trouble, _)| trouble).collect()
}

/// Whether something should be done about it.
fn mark_of(anomaly: &Anomaly) -> Mark {
    match anomaly {
        Anomaly::PartialInitialState { .. }
        | Anomaly::EndedEarly { .. }
        | Anomaly::BoundHit { .. }
        | Anomaly::NoTasks
        | Anomaly::RetentionShrunk { .. }
        | Anomaly::DroppedEvents { .. }
        | Anomaly::IngestLag { .. }
        | Anomaly::LateTicks { .. }
        | Anomaly::Paused
        | Anomaly::Restarted
        | Anomaly::OldVintage
        | Anomaly::Malformed { .. } => Mark::Warn,
        Anomaly::SingleSample
        | Anomaly::ClockOffset { .. }
        | Anomaly::Orphans { .. }
        | Anomaly::IdReused { .. }
        | Anomaly::NegativeInterval { .. }
        | Anomaly::TornCounters { .. }
        | Anomaly::UnknownKind { .. } => Mark::Note,
    }
}
