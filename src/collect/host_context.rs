//! The surroundings of a program, read on its server while its console is watched: a few commands that only read.
//!
//! The commands are small scripts for any POSIX shell, BusyBox's included; nothing is installed. What they print is read by
//! `decode::host_context`.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::classify;
use super::command::{Limits, NO_SUCH_PROGRAM, Output};
use super::container::Container;
use super::docker::{Shell, publishes};
use crate::decode;
use crate::model::{Endpoint, Engine, Failure, HostContext, LogSource, ProcessState, Route, Target};
use crate::plan::Budget;

const PROCESS: &str = include_str!("scripts/process.sh");
const HEALTH: &str = include_str!("scripts/health.sh");

/// The least time that the commands get, which takes a second: what hangs is often on a server that hardly answers. With
/// a longer window they get that.
const LEAST: Duration = Duration::from_secs(10);

/// Windows that are shorter leave no room for two samples a second apart.
const ROOM_FOR_TWO_SAMPLES: Duration = Duration::from_secs(2);

/// Of more targets on one server, only one sample is taken.
const FEW: usize = 3;

/// Longest wait for a health URL, in whole seconds as the tools want it.
const HEALTH_SECONDS: &str = "2";

/// Lines of a log that are asked for, and most bytes taken of them.
const LOG_LINES: &str = "200";
const LOG_BYTES: usize = 1 << 20;

/// Most bytes that facts about a process take.
const FACTS_BYTES: usize = 256 << 10;

/// Runs a command with both of its streams as one, and nothing of it left to the shell.
const MERGED: &str = "exec \"$@\" 2>&1";

/// Reads the end of a file; of a pipe or a device it might never come.
const FILE_END: &str = "[ -e \"$1\" ] || { echo \"$1: no such file\" >&2; exit 66; }
[ -f \"$1\" ] || { echo \"$1: not a regular file\" >&2; exit 66; }
exec tail -c 262144 -- \"$1\"";

/// What is to be found out about one target.
pub(super) struct Question {
    endpoint: Endpoint,
    is_here: bool,
    container: Option<(Engine, Container)>,
    health_url: Option<String>,
    log: Option<LogSource>,
    time: Duration,
    two_samples: bool,
}

impl Question {
    /// What is to be asked about `target`; nothing where that is not wanted, or nobody on the way there could answer.
    pub(super) fn of(
        target: &Target,
        container: Option<(Engine, Container)>,
        on_server: usize,
        budget: &Budget,
    ) -> Option<Self> {
        if !budget.host_context || budget.window.is_zero() {
            return None;
        }
        let is_here = target.route == Route::Direct;
        if is_here && !is_this_machine(&target.endpoint) {
            return None;
        }
        Some(Self {
            endpoint: target.endpoint.clone(),
            is_here,
            container,
            health_url: target.health_url.clone(),
            log: target.log.clone(),
            time: budget.window.max(LEAST),
            // A server takes few commands at once; those that pause would keep the others waiting.
            two_samples: budget.window >= ROOM_FOR_TWO_SAMPLES && on_server <= FEW,
        })
    }

    /// Asks everything at once. Nothing when the machine is another one than it seems.
    pub(super) async fn ask(self, shell: Shell<'_>, deadline: Instant) -> Option<HostContext> {
        let deadline = deadline.min(Instant::now() + self.time);
        let late = |what: &str| {
            let mut context = HostContext::default();
            context.cannot_see(what, format!("no answer within {:?}", self.time));
            context
        };
        let (program, health, log) = tokio::join!(
            timeout_at(deadline, self.program(shell)),
            timeout_at(deadline, self.health(shell)),
            timeout_at(deadline, self.log(shell)),
        );
        let mut context = program.unwrap_or_else(|_| Some(late("host")))?;
        for part in [health.unwrap_or_else(|_| late("health URL")), log.unwrap_or_else(|_| late("log"))] {
            context.health = part.health.or(context.health);
            context.log = part.log.or(context.log);
            context.unseen.extend(part.unseen);
        }
        (!context.is_empty()).then_some(context)
    }

    /// The process that serves the console, wherever it runs.
    async fn program(&self, shell: Shell<'_>) -> Option<HostContext> {
        if let Some((_, container)) = &self.container {
            return Some(self.in_container(shell, container).await);
        }
        let (kind, value) = match &self.endpoint {
            Endpoint::Tcp { port, .. } => ("tcp", port.to_string()),
            Endpoint::Unix(path) => ("unix", path.to_string_lossy().into_owned()),
            Endpoint::Container { .. } => return None,
        };
        let mut context = self.process(shell, kind, &value).await;
        let forwarder = context.process.take_if(|process| decode::forwards(process));
        if context.process.is_some() {
            return Some(context);
        }
        if let Endpoint::Tcp { port, .. } = self.endpoint
            && let Some((engine, container)) = publishes(shell, port).await
        {
            let mut context = self.in_container(shell, &container).await;
            if matches!(self.log, None | Some(LogSource::Container)) {
                self.printed(shell, engine, &container, &mut context).await;
            }
            return Some(context);
        }
        if self.log == Some(LogSource::Container) {
            context.cannot_see("log", "no container was found for the console's port");
        }
        // A port that leads elsewhere, such as a forward somebody made by hand: this machine is not what is asked about.
        if self.is_here {
            return None;
        }
        if let Some(ProcessState { name, .. }) = forwarder {
            context.tcp = None;
            context.unseen.retain(|unseen| unseen.what != "file descriptors");
            context.cannot_see("process", format!("`{name}` holds the console's port for another program"));
        }
        Some(context)
    }

    async fn in_container(&self, shell: Shell<'_>, container: &Container) -> HostContext {
        let mut context = match container.process {
            Some(process) => self.process(shell, "pid", &process.to_string()).await,
            None => HostContext::default(),
        };
        // Its engine may run in a virtual machine, where process numbers are others.
        if context.process.is_some() && !self.is_of(shell, container).await {
            context = HostContext::default();
            context.cannot_see("process", "its engine does not share the process numbers of its host");
        }
        context.container = Some(container.life.clone());
        context
    }

    async fn is_of(&self, shell: Shell<'_>, container: &Container) -> bool {
        let Some(process) = container.process else { return false };
        let groups = shell.ask(&["cat", &format!("/proc/{process}/cgroup")]).await.unwrap_or_default();
        groups.contains(&container.id)
    }

    async fn process(&self, shell: Shell<'_>, kind: &str, value: &str) -> HostContext {
        let mut context = HostContext::default();
        let pause = if self.two_samples { "1" } else { "0" };
        let limits = Limits { time: self.time, bytes: FACTS_BYTES };
        match shell.run_within(&["sh", "-c", PROCESS, "fleetdiag", kind, value, pause], limits).await {
            Ok(output) => decode::process_facts(&mut context, &output.text()),
            Err(failure) => context.cannot_see("host", words(&failure)),
        }
        context
    }

    async fn health(&self, shell: Shell<'_>) -> HostContext {
        let mut context = HostContext::default();
        let Some(url) = &self.health_url else { return context };
        let address = self.container.as_ref().map(|(_, container)| container.host_address());
        let url = url.replace("{container}", address.as_deref().unwrap_or("127.0.0.1"));
        let limits = Limits { time: self.time, bytes: FACTS_BYTES };
        match shell.run_within(&["sh", "-c", HEALTH, "fleetdiag", &url, HEALTH_SECONDS], limits).await {
            Ok(output) => match decode::health(&url, &output.text(), &output.complaint()) {
                Ok(health) => context.health = Some(health),
                Err(why) => context.cannot_see("health URL", why),
            },
            Err(failure) => context.cannot_see("health URL", words(&failure)),
        }
        context
    }

    async fn log(&self, shell: Shell<'_>) -> HostContext {
        let mut context = HostContext::default();
        match (&self.log, &self.container) {
            // Of a container that is found by its port, the log is read where it is found.
            (Some(LogSource::Nowhere), _) | (None | Some(LogSource::Container), None) => {}
            (None | Some(LogSource::Container), Some((engine, container))) => {
                self.printed(shell, *engine, container, &mut context).await;
            }
            (Some(LogSource::Journal(unit)), _) => {
                let argv =
                    ["journalctl", "--quiet", "--no-pager", "--output=cat", "--lines", LOG_LINES, "--unit", unit];
                self.lines(shell, &format!("journal of {unit}"), &argv, &mut context).await;
            }
            (Some(LogSource::File(path)), _) => {
                let path = path.to_string_lossy();
                self.lines(shell, &path, &["sh", "-c", FILE_END, "fleetdiag", &path], &mut context).await;
            }
        }
        context
    }

    /// What a container has printed.
    async fn printed(&self, shell: Shell<'_>, engine: Engine, container: &Container, context: &mut HostContext) {
        let argv = ["sh", "-c", MERGED, "fleetdiag", engine.command(), "logs", "--tail", LOG_LINES, &container.id];
        self.lines(shell, &format!("container {}", container.name), &argv, context).await;
    }

    async fn lines(&self, shell: Shell<'_>, source: &str, argv: &[&str], context: &mut HostContext) {
        let limits = Limits { time: self.time, bytes: LOG_BYTES };
        match shell.run_within(argv, limits).await {
            Ok(output) if output.succeeded() || output.cut_off => {
                context.log = Some(decode::log_tail(source, &output.text(), output.cut_off));
            }
            Ok(output) => context.cannot_see("log", complaint(&output, argv[0])),
            Err(failure) => context.cannot_see("log", words(&failure)),
        }
    }
}

/// Whether an address can only be on the machine that we run on.
fn is_this_machine(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp { host, .. } => {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Endpoint::Unix(_) | Endpoint::Container { .. } => true,
    }
}

fn words(failure: &Failure) -> String {
    let detail = if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) };
    format!("{}{detail}", failure.reason.summary())
}

/// Why a command did not do what it should.
fn complaint(output: &Output, program: &str) -> String {
    if output.code == Some(NO_SUCH_PROGRAM) {
        return format!("`{program}` is not there");
    }
    let said = if output.stderr.is_empty() { output.text() } else { output.complaint() };
    classify::detail(said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given"))
}
