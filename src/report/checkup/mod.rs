//! The ways to consoles, step by step, become text.

mod human;
mod json;

use std::str::FromStr;

use super::{Options, words};
use crate::diagnose::{Checkup, Checkups, Exposure, Fact, Mark, Step, Trouble};
use crate::model::{Anomaly, ContainerSighting, Endpoint, SshConfig, Target, WaySighting};

/// A format of checkups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, on a terminal or in a file.
    Human,
    /// One versioned JSON document.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(format!("no format `{}` of a checkup; one of: human, json", other.escape_debug())),
        }
    }
}

/// Renders `checkups` in `format`.
#[must_use]
pub fn render(format: Format, checkups: &Checkups, options: &Options) -> String {
    match format {
        Format::Human => human::render(checkups, options),
        Format::Json => json::render(checkups),
    }
}

/// What was seen at a step, unescaped.
fn seen(step: &Step) -> String {
    match &step.fact {
        Fact::NoSsh => "on this machine's own ways, without ssh".to_owned(),
        Fact::Config(config) => self::config(config),
        Fact::Client(version) => format!("this machine's ssh is {version}"),
        Fact::Container(container) => self::container(container),
        Fact::Server(software) => format!("the server answers as {software}"),
        Fact::HostKey { key, known_in: Some(place) } => format!("its host key is known in {place}: {key}"),
        Fact::HostKey { key, known_in: None } => format!("its host key is {key}"),
        Fact::LetIn { method, key: None } => format!("let in by {method}"),
        Fact::LetIn { method, key: Some(key) } => format!("let in by {method}: {key}"),
        Fact::Way(WaySighting::Direct { endpoint }) => format!("connected to {endpoint}"),
        Fact::Way(WaySighting::Forward { endpoint }) => format!("the server allows the forward to {endpoint}"),
        Fact::Way(WaySighting::Network) => {
            "the console listens on the container's own loopback: reached through its network (`nsenter`)".to_owned()
        }
        Fact::Way(WaySighting::Inside) => "reached by a process inside the container (`exec`)".to_owned(),
        Fact::Bound(at) => {
            let at: Vec<_> = at.iter().map(ToString::to_string).collect();
            format!("listening: {}", at.join(", "))
        }
        Fact::BoundUnseen => "what listens on the server could not be seen: it runs no `cat` for us".to_owned(),
        Fact::Exposed { at, cause } => exposed(at, *cause),
        Fact::Vintage(vintage) => format!("a tokio console answers: {vintage}"),
        Fact::Tokio(version) => format!("tokio {version}"),
        Fact::Tasks { alive, tasks, resources, async_ops } => format!(
            "{} alive of {} seen, {}, {}",
            words::grouped(*alive as u64),
            words::count(*tasks, "task"),
            words::count(*resources, "resource"),
            words::count(*async_ops, "async op"),
        ),
        Fact::Updates { updates, first_after, bytes } => format!(
            "{}, the first after {first_after:.1?}; {}",
            words::count(*updates as usize, "update"),
            words::count(usize::try_from(*bytes).unwrap_or(usize::MAX), "byte")
        ),
        Fact::Absent(troubles) => {
            let texts: Vec<_> = troubles.iter().map(|trouble| absent(*trouble)).collect();
            texts.join(", ")
        }
        Fact::Anomaly(anomaly) => words::anomaly(anomaly),
        Fact::Failed(failure) if failure.detail.is_empty() => failure.reason.summary().to_owned(),
        Fact::Failed(failure) => format!("{}: {}", failure.reason.summary(), failure.detail),
        Fact::Beyond => "not reached".to_owned(),
    }
}

fn config(config: &SshConfig) -> String {
    let SshConfig { hostname, user, port, jump, proxy_command } = config;
    let through = match (jump, proxy_command) {
        (Some(jump), _) => format!(", through {jump}"),
        (None, Some(command)) => format!(", by `{command}`"),
        (None, None) => String::new(),
    };
    format!("ssh goes to {user}@{hostname}, port {port}{through}")
}

fn container(container: &ContainerSighting) -> String {
    let ContainerSighting { engine, name, image, state, published, .. } = container;
    let image = if image.is_empty() { String::new() } else { format!(" of {image}") };
    let published = match (state.as_str(), published.as_slice()) {
        ("running", []) => ", its console's port is not published".to_owned(),
        (_, []) => String::new(),
        (_, at) => format!(", its console's port is published at {}", at.join(", ")),
    };
    format!("{engine} container {name}{image} is {state}{published}")
}

fn exposed(at: &[String], cause: Exposure) -> String {
    let at = at.join(", ");
    match cause {
        Exposure::Bind => format!("the console is bound to {at}, and lets in everybody who reaches that"),
        Exposure::Publish => format!("the console is published at {at}, and lets in everybody who reaches that"),
        Exposure::Direct => {
            format!("the console at {at} was reached without ssh, and lets in everybody who reaches it")
        }
    }
}

fn absent(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Lag => "no ingest lag",
        Trouble::Retention => "retention not at risk",
        Trouble::Paused => "not paused",
        Trouble::Dropped => "no events lost",
    }
}

/// What to do about a step, where something can be done.
fn advice(step: &Step, target: &Target) -> Option<String> {
    match &step.fact {
        Fact::Failed(failure) => Some(failure.hint(target)),
        Fact::Exposed { cause, .. } => Some(close(*cause, target)),
        Fact::Anomaly(anomaly) if step.mark == Mark::Warn => mend(anomaly).map(str::to_owned),
        _ => None,
    }
}

fn close(cause: Exposure, target: &Target) -> String {
    let port = match &target.endpoint {
        Endpoint::Tcp { port, .. } | Endpoint::Container { port, .. } => *port,
        Endpoint::Unix(_) => 6669,
    };
    match cause {
        Exposure::Bind => {
            format!(
                "bind the console to the loopback, where ssh still reaches it: `TOKIO_CONSOLE_BIND=127.0.0.1:{port}`"
            )
        }
        Exposure::Publish => format!("publish the port on the loopback alone: `-p 127.0.0.1:{port}:{port}`"),
        Exposure::Direct => format!(
            "bind the console to the loopback there (`TOKIO_CONSOLE_BIND=127.0.0.1:{port}`) and go through ssh: take \
             `transport: direct` away"
        ),
    }
}

fn mend(anomaly: &Anomaly) -> Option<&'static str> {
    match anomaly {
        Anomaly::PartialInitialState { .. } | Anomaly::RetentionShrunk { .. } => Some(
            "start the program with a lower `TOKIO_CONSOLE_RETENTION`, for example \
             `TOKIO_CONSOLE_RETENTION=60s`, so that its state fits one message",
        ),
        Anomaly::EndedEarly { .. } => {
            Some("look at the target's process: was it restarted, stopped, or out of memory?")
        }
        Anomaly::NoTasks => Some(
            "build it with `RUSTFLAGS=\"--cfg tokio_unstable\"` and tokio's `tracing` feature, start the console before \
             the first task, and let no filter drop `tokio=trace,runtime=trace`",
        ),
        Anomaly::DroppedEvents { .. } => {
            Some("start the program with a higher `TOKIO_CONSOLE_BUFFER_CAPACITY` (default 102400)")
        }
        Anomaly::IngestLag { .. } => {
            Some("keep catching up on (no `--no-catch-up`), and watch for longer: `--window 10s`")
        }
        Anomaly::Paused => Some("resume it where it was paused: in the tokio-console that is connected, by space"),
        Anomaly::OldVintage => Some("build it with console-subscriber 0.5 or newer"),
        Anomaly::BoundHit { .. } => {
            Some("raise the bound that was hit: `--max-bytes` or `--max-entities` of `snapshot`")
        }
        Anomaly::Restarted => Some("see why it restarts before its tasks are judged"),
        Anomaly::Malformed { .. } => {
            Some("keep the evidence (`--save`) and report it: this console speaks a dialect that is not known")
        }
        _ => None,
    }
}

/// Everything to do for one console, each thing once.
fn todo(checkup: &Checkup) -> Vec<String> {
    let mut todo = Vec::new();
    let failures_first = checkup.steps.iter().filter(|step| step.mark == Mark::Fail);
    for step in failures_first.chain(checkup.steps.iter().filter(|step| step.mark != Mark::Fail)) {
        if let Some(advice) = advice(step, &checkup.target)
            && !todo.contains(&advice)
        {
            todo.push(advice);
        }
    }
    todo
}

/// `2 of 3 consoles gave their data, 1 of these with warnings`.
fn summary(checkups: &Checkups) -> String {
    let count = |mark| checkups.checkups.iter().filter(|checkup| checkup.mark() == mark).count();
    let (all, failed, warned) = (checkups.checkups.len(), count(Mark::Fail), count(Mark::Warn));
    let mut text = format!("{} of {} gave data", all - failed, words::count(all, "console"));
    if warned > 0 {
        text += &format!(", {warned} of these with something to do");
    }
    if checkups.interrupted {
        text += "; interrupted";
    }
    text
}
