//! The metrics of playbooks, from what was measured: a metric that the evidence does not tell has no value.

use std::time::Duration;

use super::diagnosis::{Counts, Coverage, FleetSite, SiteFigures};
use super::distribution::{Tail, Tails};
use super::outliers::Peer;
use super::surroundings;
use crate::model::{Anomaly, HostContext, ObservationWindow, Origin, Service, TargetId};
use crate::playbook::Fact;

/// What a rule has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub affected: u64,
    /// Zero where a share means nothing.
    pub of: u64,
    pub hosts: usize,
    pub hosts_observed: usize,
}

/// A target that was observed.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostFacts<'a> {
    pub id: &'a TargetId,
    pub service: &'a Service,
    pub counts: &'a Counts,
    pub window: &'a ObservationWindow,
    pub tokio_version: Option<&'a str>,
    pub anomalies: &'a [Anomaly],
    pub peer: Option<&'a Peer>,
    /// What surrounds its program, where that was asked.
    pub context: Option<&'a HostContext>,
}

/// The tasks of a spawn site, on one target or on several together.
#[derive(Clone, Copy, Debug)]
pub(super) struct SiteFacts<'a> {
    pub site: &'a FleetSite,
    pub figures: &'a SiteFigures,
    /// How long they were watched: the mean of the targets', where there are several.
    pub window: Option<Duration>,
    pub tails: Tails,
}

/// All targets together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FleetFacts {
    pub coverage: Coverage,
    pub counts: Counts,
}

/// A window in which something could have changed.
pub(super) fn measured(window: Duration) -> Option<Duration> {
    (window > Duration::ZERO).then_some(window)
}

#[allow(clippy::cast_precision_loss)] // Counts beyond 2^53 do not occur, and would be wrong in the last digit only.
fn count(count: u64) -> Option<Fact> {
    Some(Fact::Number(count as f64))
}

fn time(time: Duration) -> Option<Fact> {
    Some(Fact::Number(time.as_secs_f64()))
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn share(part: u64, whole: u64) -> Option<Fact> {
    Some(Fact::Number(100.0 * ratio(part, whole)?))
}

#[allow(clippy::cast_precision_loss)]
fn rate(count: u64, window: Option<Duration>) -> Option<Fact> {
    Some(Fact::Number(count as f64 / window?.as_secs_f64()))
}

#[allow(clippy::cast_precision_loss)]
fn difference(more: u64, less: u64) -> Option<Fact> {
    Some(Fact::Number(more as f64 - less as f64))
}

impl Found {
    pub(super) fn fact(&self, name: &str) -> Option<Fact> {
        match name {
            "affected" => count(self.affected),
            "of" => count(self.of),
            "share" => share(self.affected, self.of),
            "hosts" => count(self.hosts as u64),
            "hosts_observed" => count(self.hosts_observed as u64),
            "hosts_share" => share(self.hosts as u64, self.hosts_observed as u64),
            _ => None,
        }
    }
}

impl SiteFacts<'_> {
    pub(super) fn fact(&self, name: &str) -> Option<Fact> {
        site_fact(name, self.site, self.figures, self.window).or_else(|| self.times(name))
    }

    /// What only a closer look at single tasks tells.
    fn times(&self, name: &str) -> Option<Fact> {
        let (polls, scheduled) = (self.tails.polls, self.tails.scheduled);
        let of = |tail: Option<Tail>, value: fn(Tail) -> Duration| time(value(tail?));
        match name {
            "site.detailed" => count(self.tails.tasks),
            "site.poll_p50" => of(polls, |tail| tail.p50),
            "site.poll_p90" => of(polls, |tail| tail.p90),
            "site.poll_p99" => of(polls, |tail| tail.p99),
            "site.poll_max" => of(polls, |tail| tail.max),
            "site.scheduled_p50" => of(scheduled, |tail| tail.p50),
            "site.scheduled_p90" => of(scheduled, |tail| tail.p90),
            "site.scheduled_p99" => of(scheduled, |tail| tail.p99),
            "site.scheduled_max" => of(scheduled, |tail| tail.max),
            _ => None,
        }
    }
}

fn site_fact(name: &str, site: &FleetSite, figures: &SiteFigures, window: Option<Duration>) -> Option<Fact> {
    let text = |text: &str| Some(Fact::Text(text.to_owned()));
    let location = site.site.location.as_ref();
    match name {
        "site.service" => text(&site.service.0),
        "site.kind" => text(site.site.kind.as_str()),
        "site.file" => text(location.map_or("", |location| &location.file)),
        "site.origin" => text(match location.map(|location| &location.origin) {
            Some(Origin::App) => "app",
            Some(Origin::Dependency { .. }) => "dependency",
            Some(Origin::Runtime { .. }) => "runtime",
            Some(Origin::Std) => "std",
            None => "",
        }),
        "site.name" => text(site.site.name.as_deref().unwrap_or_default()),
        "site.alive" => count(figures.alive),
        "site.completed" => count(figures.completed),
        "site.running" => count(figures.running),
        "site.idle" => count(figures.idle()),
        "site.woken" => count(figures.woken),
        "site.never_polled" => count(figures.never_polled),
        "site.longest_poll" => time(figures.longest_poll),
        _ => in_window(name, figures, window?),
    }
}

/// The figures that a single sample does not have.
fn in_window(name: &str, figures: &SiteFigures, window: Duration) -> Option<Fact> {
    match name {
        "site.born" => count(figures.born),
        "site.died" => count(figures.died),
        "site.growth" => difference(figures.born, figures.died),
        "site.spawn_rate" => rate(figures.born, Some(window)),
        "site.poll_rate" => rate(figures.polls, Some(window)),
        "site.wake_rate" => rate(figures.wakes, Some(window)),
        // Counters are read one after the other and can contradict each other for a moment.
        "site.self_wake_share" => share(figures.self_wakes.min(figures.wakes), figures.wakes.max(1)),
        "site.busy" => time(figures.busy),
        "site.busy_share" => Some(Fact::Number(100.0 * figures.busy.as_secs_f64() / window.as_secs_f64())),
        "site.mean_poll" => {
            let polls = u32::try_from(figures.polls).unwrap_or(u32::MAX);
            time(figures.busy.checked_div(polls).unwrap_or_default())
        }
        "site.scheduled" => time(figures.scheduled),
        _ => None,
    }
}

impl HostFacts<'_> {
    pub(super) fn fact(&self, name: &str) -> Option<Fact> {
        let counts = self.counts;
        let window = measured(self.window.length());
        match name {
            "host.name" => Some(Fact::Text(self.id.to_string())),
            "host.service" => Some(Fact::Text(self.service.0.clone())),
            "host.tokio" => Some(Fact::Text(self.tokio_version?.to_owned())),
            "host.alive" => count(counts.alive),
            "host.running" => count(counts.running),
            "host.woken" => count(counts.scheduled),
            "host.idle" => count(counts.idle),
            "host.never_polled" => count(counts.never_polled),
            "host.completed" => count(counts.completed),
            "host.resources" => count(counts.resources),
            "host.window" => time(window?),
            "host.born" => window.and_then(|_| count(counts.born)),
            "host.died" => window.and_then(|_| count(counts.died)),
            "host.growth" => window.and_then(|_| difference(counts.born, counts.died)),
            "host.spawn_rate" => rate(counts.born, window),
            "host.workers" => count(u64::from(self.peer?.workers?)),
            "host.age" => time(self.peer?.age?),
            "host.anomalies" => count(self.anomalies.len() as u64),
            "host.dropped" => count(self.dropped()),
            "host.lag" => time(self.lag()),
            _ => surroundings::fact(self.context?, name),
        }
    }

    fn dropped(&self) -> u64 {
        let of = |anomaly: &Anomaly| match anomaly {
            Anomaly::DroppedEvents { tasks, resources, async_ops } => {
                tasks.saturating_add(*resources).saturating_add(*async_ops)
            }
            _ => 0,
        };
        self.anomalies.iter().map(of).fold(0, u64::saturating_add)
    }

    fn lag(&self) -> Duration {
        let of = |anomaly: &Anomaly| match anomaly {
            Anomaly::IngestLag { lag } => Some(*lag),
            _ => None,
        };
        self.anomalies.iter().filter_map(of).max().unwrap_or_default()
    }
}

impl FleetFacts {
    pub(super) fn fact(&self, name: &str) -> Option<Fact> {
        let Coverage { planned, partial, failed, .. } = self.coverage;
        match name {
            "fleet.planned" => count(planned as u64),
            "fleet.observed" => count(self.coverage.observed() as u64),
            "fleet.partial" => count(partial as u64),
            "fleet.failed" => count(failed as u64),
            "fleet.failed_share" => share(failed as u64, planned as u64),
            "fleet.alive" => count(self.counts.alive),
            "fleet.running" => count(self.counts.running),
            "fleet.woken" => count(self.counts.scheduled),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerState, Health, LogTail, MachineState, ProcessState, TcpStates};
    use crate::model::{Site, SpawnLocation, TargetTime, TaskKind};
    use crate::playbook::{METRICS, MetricType, Of};

    fn surrounded() -> HostContext {
        let one = Some(1);
        let percent = Some(1.0);
        HostContext {
            container: Some(ContainerState { restarts: one, oom_killed: Some(true), ..ContainerState::default() }),
            process: Some(ProcessState {
                up_seconds: one,
                threads: one,
                fds: one,
                fd_limit: one,
                memory_bytes: one,
                memory_limit_bytes: one,
                oom_kills: one,
                cpu_percent: percent,
                ..ProcessState::default()
            }),
            tcp: Some(TcpStates { backlog: one, backlog_limit: one, overflows: one, ..TcpStates::default() }),
            machine: Some(MachineState {
                cpus: one,
                load: percent,
                cpu_percent: percent,
                memory_bytes: one,
                memory_available_bytes: one,
                psi_cpu_percent: percent,
                psi_memory_percent: percent,
                psi_io_percent: percent,
            }),
            health: Some(Health { latency_ms: one, ..Health::default() }),
            log: Some(LogTail::default()),
            unseen: Vec::new(),
        }
    }

    /// Every metric of the table, with everything known.
    #[test]
    fn every_metric_is_served_with_its_type() {
        let location = SpawnLocation { origin: Origin::App, file: "src/main.rs".into(), line: 1, column: 1 };
        let site = Site { location: Some(location), kind: TaskKind::Task, fn_name: None, name: None };
        let site = FleetSite { service: Service("web".into()), site };
        let figures = SiteFigures { alive: 2, polls: 4, wakes: 2, self_wakes: 1, ..SiteFigures::default() };
        let at = |seconds: i64| Some(TargetTime::from_nanos(seconds * 1_000_000_000));
        let window = ObservationWindow { first: at(1), last: at(3), updates: 2, publish_interval: None };
        let id = TargetId { host: "a".parse().unwrap(), console: None };
        let peer = Peer {
            service: site.service.clone(),
            attributes: [].into(),
            window: Duration::from_secs(2),
            workers: Some(4),
            age: Some(Duration::from_secs(60)),
        };
        let context = surrounded();
        let tail = Tail { p99: Duration::from_millis(7), ..Tail::default() };
        let tails = Tails { tasks: 1, polls: Some(tail), scheduled: Some(tail) };
        let site_facts = SiteFacts { site: &site, figures: &figures, window: Some(Duration::from_secs(2)), tails };
        let host = HostFacts {
            id: &id,
            service: &site.service,
            counts: &Counts::default(),
            window: &window,
            tokio_version: Some("1.54.1"),
            anomalies: &[Anomaly::IngestLag { lag: Duration::from_secs(2) }],
            peer: Some(&peer),
            context: Some(&context),
        };
        let coverage = Coverage { planned: 2, complete: 1, failed: 1, ..Coverage::default() };
        let fleet = FleetFacts { coverage, counts: Counts::default() };
        let found = Found { affected: 1, of: 2, hosts: 1, hosts_observed: 1 };
        for metric in METRICS {
            let fact = match metric.of {
                Of::Site => site_facts.fact(metric.name),
                Of::Host | Of::Context => host.fact(metric.name),
                Of::Fleet => fleet.fact(metric.name),
                Of::Finding => found.fact(metric.name),
            };
            match (fact, metric.kind) {
                (Some(Fact::Text(_)), MetricType::Text) | (Some(Fact::Number(_)), MetricType::Quantity(_)) => {}
                (fact, _) => panic!("{}: {fact:?}", metric.name),
            }
        }
        assert_eq!(site_fact("site.poll_rate", &site, &figures, Some(Duration::from_secs(2))), Some(Fact::Number(2.0)));
        assert_eq!(
            site_fact("site.self_wake_share", &site, &figures, Some(Duration::from_secs(2))),
            Some(Fact::Number(50.0))
        );
    }

    /// Without a closer look there are no percentiles, and a condition can ask whether there was one.
    #[test]
    fn percentiles_need_a_closer_look() {
        let site = Site { location: None, kind: TaskKind::Task, fn_name: None, name: None };
        let site = FleetSite { service: Service::default(), site };
        let figures = SiteFigures::default();
        let facts = SiteFacts { site: &site, figures: &figures, window: None, tails: Tails::default() };
        assert_eq!(facts.fact("site.detailed"), Some(Fact::Number(0.0)));
        assert_eq!(facts.fact("site.poll_p99"), None);
    }

    #[test]
    fn one_sample_has_no_figures_of_a_window() {
        let site = Site { location: None, kind: TaskKind::Task, fn_name: None, name: None };
        let site = FleetSite { service: Service::default(), site };
        for name in ["site.born", "site.growth", "site.poll_rate", "site.busy", "site.mean_poll"] {
            assert_eq!(site_fact(name, &site, &SiteFigures::default(), None), None, "{name}");
        }
        assert_eq!(site_fact("site.alive", &site, &SiteFigures::default(), None), Some(Fact::Number(0.0)));
    }
}
