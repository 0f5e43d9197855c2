//! The report as OpenMetrics text, for the textfile collector of a node exporter.
//!
//! Few series on purpose: per host, per service and per rule, never per task or place.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::terminal;
use crate::diagnose::{Counts, Diagnosis, Status, Verdict};
use crate::model::{HostContext, Service};

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let mut text = Exposition::default();
    run(&mut text, diagnosis);
    targets(&mut text, diagnosis);
    tasks(&mut text, diagnosis);
    surroundings(&mut text, diagnosis);
    findings(&mut text, diagnosis);
    trends(&mut text, diagnosis);
    text.finish()
}

fn run(text: &mut Exposition, diagnosis: &Diagnosis) {
    text.family("fleetdiag_run", "info", "The run that these figures are from.");
    let run = &diagnosis.run;
    text.sample("fleetdiag_run_info", &[("started", &run.started), ("version", &run.judged_by)], 1);
    text.family("fleetdiag_verdict", "stateset", "The verdict of the run.");
    for (name, verdict) in [("pass", Verdict::Pass), ("fail", Verdict::Fail), ("inconclusive", Verdict::Inconclusive)] {
        text.sample("fleetdiag_verdict", &[("fleetdiag_verdict", name)], u8::from(diagnosis.verdict == verdict));
    }
    text.family("fleetdiag_exit_code", "gauge", "What the run exited with.");
    text.sample("fleetdiag_exit_code", &[], diagnosis.exit_code);
    if let Ok(started) = run.started.parse::<jiff::Timestamp>() {
        text.family("fleetdiag_run_started_timestamp_seconds", "gauge", "When the run began.");
        text.sample("fleetdiag_run_started_timestamp_seconds", &[], started.as_second());
    }
}

fn targets(text: &mut Exposition, diagnosis: &Diagnosis) {
    let coverage = &diagnosis.coverage;
    text.family("fleetdiag_hosts", "gauge", "Planned hosts by how much was seen of them.");
    for (seen, count) in [("complete", coverage.complete), ("partial", coverage.partial), ("failed", coverage.failed)] {
        text.sample("fleetdiag_hosts", &[("seen", seen)], count);
    }
    text.family("fleetdiag_host_up", "gauge", "Whether anything was seen of the host.");
    for target in &diagnosis.targets {
        let up = matches!(target.status, Status::Observed { .. });
        let labels = [("host", target.id.to_string()), ("service", target.service.0.clone())];
        text.sample("fleetdiag_host_up", &labels.each_ref().map(|(name, value)| (*name, value.as_str())), u8::from(up));
    }
}

fn tasks(text: &mut Exposition, diagnosis: &Diagnosis) {
    let mut by_service: BTreeMap<&Service, Counts> = BTreeMap::new();
    for target in &diagnosis.targets {
        if let Status::Observed { counts, .. } = &target.status {
            let sum = by_service.entry(&target.service).or_default();
            sum.running += counts.running;
            sum.scheduled += counts.scheduled;
            sum.idle += counts.idle;
            sum.never_polled += counts.never_polled;
        }
    }
    text.family("fleetdiag_tasks", "gauge", "Tasks alive at the end of the window.");
    for (service, counts) in by_service {
        let states = [
            ("running", counts.running),
            ("scheduled", counts.scheduled),
            ("idle", counts.idle),
            ("never-polled", counts.never_polled),
        ];
        for (state, count) in states {
            text.sample("fleetdiag_tasks", &[("service", &service.0), ("state", state)], count);
        }
    }
}

/// A gauge's name, its help, and where its value is.
type Gauge = (&'static str, &'static str, fn(&HostContext) -> Option<u64>);

/// What is asked of servers beside consoles: a series per host and figure.
const SURROUNDINGS: &[Gauge] = &[
    ("fds", "Open file descriptors of the process.", |context| context.process.as_ref()?.fds),
    ("fd_limit", "Most file descriptors that the process may open.", |context| context.process.as_ref()?.fd_limit),
    ("threads", "Threads of the process.", |context| context.process.as_ref()?.threads),
    ("memory_bytes", "Resident memory of the process.", |context| context.process.as_ref()?.memory_bytes),
    ("close_wait", "Connections that only the other side has closed.", |context| {
        Some(context.tcp.as_ref()?.close_wait)
    }),
    ("container_restarts", "Restarts of the container by its engine.", |context| context.container.as_ref()?.restarts),
    ("health_well", "Whether the health URL answered well.", |context| {
        Some(u64::from(context.health.as_ref()?.is_well()))
    }),
    ("log_errors", "Errors in the last lines of the log.", |context| Some(context.log.as_ref()?.errors)),
];

fn surroundings(text: &mut Exposition, diagnosis: &Diagnosis) {
    for (name, help, value) in SURROUNDINGS {
        let values: Vec<_> =
            diagnosis.targets.iter().filter_map(|target| Some((target, value(target.context.as_ref()?)?))).collect();
        if values.is_empty() {
            continue;
        }
        let name = format!("fleetdiag_host_{name}");
        text.family(&name, "gauge", help);
        for (target, value) in values {
            let id = target.id.to_string();
            text.sample(&name, &[("host", &id), ("service", &target.service.0)], value);
        }
    }
}

/// Every rule has its series, so that a finding that is gone reads as zero and not as missing.
fn findings(text: &mut Exposition, diagnosis: &Diagnosis) {
    let found = |rule: &crate::diagnose::RuleFacts| {
        diagnosis
            .hotspots
            .iter()
            .flat_map(|hotspot| &hotspot.findings)
            .filter(move |f| f.rule == rule.id)
            .fold((0_u64, 0_u64), |(places, tasks), finding| (places + 1, tasks + finding.affected))
    };
    let rules: Vec<_> = diagnosis.rules.iter().map(|rule| (rule, found(rule))).collect();
    text.family("fleetdiag_findings", "gauge", "Places where the rule found something.");
    for (rule, (places, _)) in &rules {
        let labels = [("rule", rule.id.0.as_str()), ("name", &rule.name), ("severity", rule.severity.as_str())];
        text.sample("fleetdiag_findings", &labels, places);
    }
    text.family("fleetdiag_affected_tasks", "gauge", "Tasks that the rule's findings concern.");
    for (rule, (_, tasks)) in &rules {
        text.sample("fleetdiag_affected_tasks", &[("rule", rule.id.0.as_str()), ("name", &rule.name)], tasks);
    }
}

/// Places that grow from sweep to sweep. Without a history there is nothing to say, not even zero.
fn trends(text: &mut Exposition, diagnosis: &Diagnosis) {
    if diagnosis.trends.runs == 0 {
        return;
    }
    text.family("fleetdiag_trend_sweeps", "gauge", "Sweeps that the trend looked at, this one included.");
    text.sample("fleetdiag_trend_sweeps", &[], diagnosis.trends.runs);
    let mut by_service: BTreeMap<&Service, (u64, u64)> = BTreeMap::new();
    for target in &diagnosis.targets {
        by_service.entry(&target.service).or_default();
    }
    for growth in &diagnosis.trends.growths {
        let (places, tasks) = by_service.entry(&growth.site.service).or_default();
        *places += 1;
        *tasks = tasks.saturating_add(growth.gained());
    }
    text.family("fleetdiag_growing_places", "gauge", "Places with more tasks in each of the last sweeps.");
    for (service, (places, _)) in &by_service {
        text.sample("fleetdiag_growing_places", &[("service", &service.0)], places);
    }
    text.family("fleetdiag_growing_tasks", "gauge", "Tasks that these places have more than when growing began.");
    for (service, (_, tasks)) in &by_service {
        text.sample("fleetdiag_growing_tasks", &[("service", &service.0)], tasks);
    }
}

/// A text in the making: a family, then its samples.
#[derive(Default)]
pub(super) struct Exposition(String);

impl Exposition {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

/// Text as the value of a label.
fn escape(text: &str) -> String {
    terminal::escape(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
