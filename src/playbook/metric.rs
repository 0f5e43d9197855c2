//! The figures that conditions and messages may name. The table is the reference: the checker, the schema's descriptions and
//! the documentation come from it, and `diagnose` is held to serve every line.

use super::threshold::{Kind, Quantity};

/// What a metric belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// All hosts together.
    Fleet,
    /// What surrounds the program of one target: its process, container, sockets, machine, health URL and log.
    Context,
    /// One target.
    Host,
    /// The tasks of one spawn location on one target.
    Site,
    /// What a rule has found, over all hosts: for its outcomes and messages only.
    Finding,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// A number with its unit.
    Quantity(Kind),
    /// Text, compared with `==`, `startsWith`, `endsWith` or `contains`.
    Text,
}

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in conditions and messages.
    pub name: &'static str,
    /// What it belongs to.
    pub of: Of,
    /// What it is.
    pub kind: MetricType,
    /// What it means.
    pub definition: &'static str,
}

/// A metric's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// In seconds, percent, or as a count.
    Number(f64),
    /// Text, hostile.
    Text(String),
}

/// Where metrics get their values: nothing where the evidence does not tell.
pub type Facts<'a> = &'a dyn Fn(&str) -> Option<Fact>;

impl Fact {
    /// Shown in a message, with its unit.
    #[must_use]
    pub fn shown(&self, kind: MetricType) -> String {
        match (self, kind) {
            (Self::Text(text), _) => text.clone(),
            (Self::Number(number), MetricType::Quantity(kind)) => Quantity { kind, number: *number }.to_string(),
            (Self::Number(number), MetricType::Text) => number.to_string(),
        }
    }
}

/// The metric `name`.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

const fn count(name: &'static str, of: Of, definition: &'static str) -> Metric {
    Metric { name, of, kind: MetricType::Quantity(Kind::Count), definition }
}

const fn time(name: &'static str, of: Of, definition: &'static str) -> Metric {
    Metric { name, of, kind: MetricType::Quantity(Kind::Duration), definition }
}

const fn percent(name: &'static str, of: Of, definition: &'static str) -> Metric {
    Metric { name, of, kind: MetricType::Quantity(Kind::Percent), definition }
}

const fn rate(name: &'static str, of: Of, definition: &'static str) -> Metric {
    Metric { name, of, kind: MetricType::Quantity(Kind::Rate), definition }
}

const fn bytes(name: &'static str, of: Of, definition: &'static str) -> Metric {
    Metric { name, of, kind: MetricType::Quantity(Kind::Bytes), definition }
}

const fn text(name: &'static str, of: Of, definition: &'static str) -> Metric {
    Metric { name, of, kind: MetricType::Text, definition }
}

/// Every metric. Counts of states are at the end of the window; figures of the window need two samples.
pub const METRICS: &[Metric] = &[
    text("site.service", Of::Site, "the service, as the inventory names it"),
    text("site.kind", Of::Site, "`task`, `local`, `blocking` or `block_on`"),
    text("site.file", Of::Site, "the file of the spawn location, as reports show it; empty where the target sent none"),
    text(
        "site.origin",
        Of::Site,
        "whose code it is: `app`, `dependency`, `runtime` or `std`; empty without a location",
    ),
    text("site.name", Of::Site, "the tasks' name with digits folded to `#`; empty without one"),
    count("site.alive", Of::Site, "tasks alive"),
    count("site.completed", Of::Site, "tasks completed and still retained by the target"),
    count("site.born", Of::Site, "tasks spawned inside the window"),
    count("site.died", Of::Site, "tasks completed inside the window"),
    count("site.growth", Of::Site, "`site.born - site.died`: how many more there are than at the window's start"),
    count("site.running", Of::Site, "tasks inside a poll"),
    count("site.idle", Of::Site, "tasks that wait to be woken"),
    count("site.woken", Of::Site, "tasks woken and not yet polled"),
    count("site.never_polled", Of::Site, "tasks never polled yet"),
    rate("site.spawn_rate", Of::Site, "tasks spawned per second of the window"),
    rate("site.poll_rate", Of::Site, "polls per second of the window, all tasks together; never a lifetime count"),
    rate("site.wake_rate", Of::Site, "wakes per second of the window, all tasks together"),
    percent("site.self_wake_share", Of::Site, "self-wakes in the wakes of the window; 0% without one"),
    time("site.busy", Of::Site, "time inside polls during the window, all tasks together"),
    percent("site.busy_share", Of::Site, "`site.busy` in the window: 100% is one CPU, or one blocked worker"),
    time("site.mean_poll", Of::Site, "`site.busy` over the polls of the window; 0s without one"),
    time("site.scheduled", Of::Site, "time woken and not yet polled during the window, all tasks together"),
    time("site.longest_poll", Of::Site, "age of the oldest poll that is still running; 0s when none is"),
    count("site.detailed", Of::Site, "tasks whose histograms were read (`--max-details`): without one, no percentiles"),
    time("site.poll_p50", Of::Site, "median poll in the life of those tasks; nothing unless `site.detailed > 0`"),
    time("site.poll_p90", Of::Site, "9 of 10 polls of those tasks end within this time"),
    time("site.poll_p99", Of::Site, "99 of 100 polls of those tasks end within this time"),
    time("site.poll_max", Of::Site, "their longest finished poll"),
    time("site.scheduled_p50", Of::Site, "median time from wake to poll in the life of those tasks"),
    time("site.scheduled_p90", Of::Site, "9 of 10 wakes of those tasks are followed by a poll within this time"),
    time("site.scheduled_p99", Of::Site, "99 of 100 wakes of those tasks are followed by a poll within this time"),
    time("site.scheduled_max", Of::Site, "their longest time from wake to poll"),
    text("host.name", Of::Host, "the target, as reports show it"),
    text("host.service", Of::Host, "its service, as the inventory names it"),
    text("host.tokio", Of::Host, "its tokio version; nothing where it cannot be seen"),
    count("host.alive", Of::Host, "tasks alive"),
    count("host.running", Of::Host, "tasks inside a poll, worker threads and blocking tasks included"),
    count("host.woken", Of::Host, "tasks woken and not yet polled: the run queue as far as the console sees it"),
    count("host.idle", Of::Host, "tasks that wait to be woken"),
    count("host.never_polled", Of::Host, "tasks never polled yet"),
    count("host.completed", Of::Host, "tasks completed and still retained"),
    count("host.born", Of::Host, "tasks spawned inside the window"),
    count("host.died", Of::Host, "tasks completed inside the window"),
    count("host.growth", Of::Host, "`host.born - host.died`"),
    rate("host.spawn_rate", Of::Host, "tasks spawned per second of the window"),
    count("host.resources", Of::Host, "locks, channels, semaphores and timers alive"),
    count("host.workers", Of::Host, "worker threads of its multi-thread runtime; nothing where they cannot be seen"),
    time("host.age", Of::Host, "age of the oldest task alive: the process has been up for at least so long"),
    count("host.anomalies", Of::Host, "data-quality facts about it: what makes the evidence less than complete"),
    count("host.dropped", Of::Host, "tasks, resources and operations that its console lost for want of room"),
    time("host.lag", Of::Host, "how far its console is behind with new tasks; 0s where it keeps up"),
    time("host.window", Of::Host, "how long it was observed, on its own clock"),
    count("process.fds", Of::Context, "open file descriptors of the process that serves the console"),
    count("process.fd_limit", Of::Context, "most that it may have open (`RLIMIT_NOFILE`)"),
    percent("process.fd_share", Of::Context, "`process.fds` in `process.fd_limit`"),
    count("process.threads", Of::Context, "its threads, those of tokio's workers and blocking pool included"),
    bytes("process.memory", Of::Context, "its resident memory"),
    percent(
        "process.memory_share",
        Of::Context,
        "`process.memory` in the limit of its control group; nothing without one",
    ),
    percent("process.cpu", Of::Context, "CPU used over about a second: 100% is one CPU"),
    count("process.oom_kills", Of::Context, "kills for want of memory in its control group, since that exists"),
    time("process.up", Of::Context, "how long it has run"),
    count("tcp.established", Of::Context, "its connections that are up"),
    count("tcp.close_wait", Of::Context, "connections that the other side has closed and the program has not"),
    count("tcp.backlog", Of::Context, "connections that wait to be accepted, where most do"),
    count(
        "tcp.backlog_limit",
        Of::Context,
        "how many may wait there; nothing where only `ss` could tell and is not there",
    ),
    count(
        "tcp.overflows",
        Of::Context,
        "connections turned away by full backlogs in about a second, in its whole network",
    ),
    count("machine.cpus", Of::Context, "CPUs of its machine"),
    percent("machine.cpu", Of::Context, "CPU time used over about a second, of all CPUs"),
    percent("machine.memory_available", Of::Context, "memory that programs could still have, of all memory"),
    percent("machine.psi_cpu", Of::Context, "time of the last 10 s in which something waited for a CPU (PSI `some`)"),
    percent("machine.psi_memory", Of::Context, "time in which everything waited for memory (PSI `full`)"),
    percent("machine.psi_io", Of::Context, "time in which everything waited for disks (PSI `full`)"),
    text("container.status", Of::Context, "`running`, `exited`, `restarting` … as its engine says"),
    count("container.restarts", Of::Context, "how often its engine has restarted it"),
    count("container.oom_killed", Of::Context, "1 when it was killed for want of memory, else 0"),
    text("container.health", Of::Context, "`healthy`, `unhealthy`, `starting`; `none` without a health check"),
    count("health.status", Of::Context, "HTTP status of the health URL; 0 without an answer"),
    time("health.latency", Of::Context, "how long its whole answer took, on the server"),
    count("log.lines", Of::Context, "lines of the log that were looked at, 200 at most"),
    count("log.errors", Of::Context, "errors and panics among them"),
    count("log.warnings", Of::Context, "warnings among them"),
    count("fleet.planned", Of::Fleet, "targets planned"),
    count("fleet.observed", Of::Fleet, "targets of which anything was seen"),
    count("fleet.partial", Of::Fleet, "targets seen in part"),
    count("fleet.failed", Of::Fleet, "targets of which nothing was seen"),
    percent("fleet.failed_share", Of::Fleet, "`fleet.failed` in `fleet.planned`"),
    count("fleet.alive", Of::Fleet, "tasks alive on all targets together"),
    count("fleet.running", Of::Fleet, "tasks inside a poll on all targets together"),
    count("fleet.woken", Of::Fleet, "tasks woken and not yet polled on all targets together"),
    count("affected", Of::Finding, "tasks (or waiters, or hosts) that the rule has found"),
    count("of", Of::Finding, "of how many at this place"),
    percent("share", Of::Finding, "`affected` in `of`; nothing where a share means nothing"),
    count("hosts", Of::Finding, "targets that it was found on"),
    count("hosts_observed", Of::Finding, "observed targets that run the same service"),
    percent("hosts_share", Of::Finding, "`hosts` in `hosts_observed`"),
];

#[cfg(test)]
mod tests {
    use super::{METRICS, Of};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_say_what_they_belong_to() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let prefix = metric.name.split_once('.').map(|(of, _)| of);
            let expected = match metric.of {
                Of::Context => {
                    let known = ["process", "tcp", "machine", "container", "health", "log"];
                    prefix.filter(|prefix| known.contains(prefix))
                }
                Of::Site => Some("site"),
                Of::Host => Some("host"),
                Of::Fleet => Some("fleet"),
                Of::Finding => None,
            };
            assert_eq!((prefix, prefix.is_some()), (expected, metric.of != Of::Finding), "{}", metric.name);
        }
    }
}
