//! The report as one JSON document. Types of its own, so that the inside can change while the document does not.
//!
//! `schema_version` grows when something that exists changes its meaning or goes; additions do not change it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::set_aside::{self, SetAsideJson};
use super::terminal::escape_json;
use super::words;
use crate::diagnose::{self, Counts, Diagnosis, Finding, Hotspot, RunFacts, Status, Subject, TargetReport};
use crate::model::{Anomaly, Origin, SpawnLocation};

pub(super) const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    verdict: &'static str,
    verdict_reasons: &'a [String],
    exit_code: u8,
    run: Run<'a>,
    coverage: Coverage,
    hotspots: Vec<Place<'a>>,
    set_aside: Vec<SetAsideJson<'a>>,
    targets: Vec<Target<'a>>,
}

#[derive(Serialize)]
pub(super) struct Run<'a> {
    started: &'a str,
    window_seconds: f64,
    interrupted: bool,
    collected_by: &'a str,
    judged_by: &'a str,
    playbooks: &'a [String],
}

#[derive(Serialize)]
pub(super) struct Coverage {
    planned: usize,
    complete: usize,
    partial: usize,
    failed: usize,
    tasks: u64,
}

#[derive(Serialize)]
pub(super) struct Place<'a> {
    severity: &'static str,
    confidence: &'static str,
    rank_reason: &'a str,
    subject: SubjectJson<'a>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum SubjectJson<'a> {
    SpawnSite {
        service: &'a str,
        location: Option<Location<'a>>,
        kind: &'a str,
        fn_name: Option<&'a str>,
        name: Option<&'a str>,
    },
    Resource {
        service: &'a str,
        location: Option<Location<'a>>,
        concrete_type: &'a str,
    },
    Process {
        service: &'a str,
    },
}

#[derive(Serialize)]
struct Location<'a> {
    display: String,
    file: &'a str,
    line: u32,
    column: u32,
    origin: &'static str,
    #[serde(rename = "crate", skip_serializing_if = "Option::is_none")]
    krate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    rule: &'a str,
    name: &'a str,
    severity: &'static str,
    confidence: &'static str,
    confidence_limits: &'a [String],
    message: &'a str,
    evidence: &'a str,
    affected: u64,
    of: u64,
    targets: BTreeMap<String, u64>,
    targets_in_service: usize,
    remedy: &'a str,
    next_checks: &'a [String],
    reference: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Target<'a> {
    id: String,
    host: &'a str,
    service: &'a str,
    #[serde(flatten)]
    status: StatusJson<'a>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
enum StatusJson<'a> {
    Failed { stage: &'static str, reason: &'static str, summary: &'static str, detail: &'a str, hint: &'a str },
    Complete(Observed<'a>),
    Partial(Observed<'a>),
}

#[derive(Serialize)]
struct Observed<'a> {
    window_seconds: f64,
    updates: u32,
    console: Option<String>,
    tokio: Option<&'a str>,
    tasks: Tasks,
    resources: u64,
    findings: BTreeMap<&'static str, usize>,
    anomalies: Vec<AnomalyJson<'a>>,
}

#[derive(Serialize)]
struct Tasks {
    alive: u64,
    running: u64,
    scheduled: u64,
    idle: u64,
    never_polled: u64,
    completed: u64,
    born: u64,
    died: u64,
}

#[derive(Serialize)]
struct AnomalyJson<'a> {
    #[serde(flatten)]
    anomaly: &'a Anomaly,
    text: String,
}

pub(super) fn run(run: &RunFacts) -> Run<'_> {
    Run {
        started: &run.started,
        window_seconds: run.window.as_secs_f64(),
        interrupted: run.interrupted,
        collected_by: &run.collected_by,
        judged_by: &run.judged_by,
        playbooks: &run.playbooks,
    }
}

pub(super) fn coverage(coverage: &diagnose::Coverage) -> Coverage {
    let diagnose::Coverage { planned, complete, partial, failed, tasks, hosts: _ } = *coverage;
    Coverage { planned, complete, partial, failed, tasks }
}

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let Diagnosis { run, verdict, verdict_reasons, exit_code, coverage, hotspots, targets, .. } = diagnosis;
    let document = Document {
        schema_version: SCHEMA_VERSION,
        verdict: words::verdict(*verdict),
        verdict_reasons,
        exit_code: *exit_code,
        run: self::run(run),
        coverage: self::coverage(coverage),
        hotspots: hotspots.iter().map(place).collect(),
        set_aside: diagnosis.set_aside.iter().map(set_aside::json).collect(),
        targets: targets.iter().map(target).collect(),
    };
    // Strings and numbers under string keys always serialize.
    let mut text = escape_json(&serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}

pub(super) fn place(hotspot: &Hotspot) -> Place<'_> {
    Place {
        severity: hotspot.severity.as_str(),
        confidence: hotspot.confidence.as_str(),
        rank_reason: &hotspot.rank_reason,
        subject: subject(&hotspot.subject),
        findings: hotspot.findings.iter().map(finding).collect(),
    }
}

fn subject(subject: &Subject) -> SubjectJson<'_> {
    match subject {
        Subject::Site(site) => SubjectJson::SpawnSite {
            service: &site.service.0,
            location: site.site.location.as_ref().map(location),
            kind: site.site.kind.as_str(),
            fn_name: site.site.fn_name.as_deref(),
            name: site.site.name.as_deref(),
        },
        Subject::Resource { service, concrete_type, location: at } => {
            SubjectJson::Resource { service: &service.0, location: at.as_ref().map(location), concrete_type }
        }
        Subject::Target { service } => SubjectJson::Process { service: &service.0 },
    }
}

fn location(location: &SpawnLocation) -> Location<'_> {
    let (origin, krate, version) = match &location.origin {
        Origin::App => ("app", None, None),
        Origin::Dependency { krate, version } => ("dependency", Some(krate.as_str()), Some(version.as_str())),
        Origin::Runtime { version } => ("runtime", Some("tokio"), Some(version.as_str())),
        Origin::Std => ("std", None, None),
    };
    Location {
        display: location.to_string(),
        file: &location.file,
        line: location.line,
        column: location.column,
        origin,
        krate,
        version,
    }
}

fn finding(finding: &Finding) -> FindingJson<'_> {
    FindingJson {
        rule: &finding.rule.0,
        name: &finding.name,
        severity: finding.severity.as_str(),
        confidence: finding.confidence.as_str(),
        confidence_limits: &finding.caps,
        message: &finding.message,
        evidence: &finding.evidence,
        affected: finding.affected,
        of: finding.of,
        targets: finding.targets.iter().map(|(id, count)| (id.to_string(), *count)).collect(),
        targets_in_service: finding.targets_in_service,
        remedy: &finding.remedy,
        next_checks: &finding.next_checks,
        reference: finding.reference.as_deref(),
    }
}

pub(super) fn target(target: &TargetReport) -> Target<'_> {
    let status = match &target.status {
        Status::Failed { failure, hint } => StatusJson::Failed {
            stage: failure.stage.as_str(),
            reason: failure.reason.as_str(),
            summary: failure.reason.summary(),
            detail: &failure.detail,
            hint,
        },
        Status::Observed { partial, counts, window, vintage, tokio_version, anomalies, findings } => {
            let observed = Observed {
                window_seconds: window.length().as_secs_f64(),
                updates: window.updates,
                console: vintage.map(|vintage| vintage.to_string()),
                tokio: tokio_version.as_deref(),
                tasks: tasks(counts),
                resources: counts.resources,
                findings: findings.iter().map(|(severity, count)| (severity.as_str(), *count)).collect(),
                anomalies: anomalies
                    .iter()
                    .map(|anomaly| AnomalyJson { anomaly, text: words::anomaly(anomaly) })
                    .collect(),
            };
            if *partial { StatusJson::Partial(observed) } else { StatusJson::Complete(observed) }
        }
    };
    Target { id: target.id.to_string(), host: target.id.host.as_str(), service: &target.service.0, status }
}

fn tasks(counts: &Counts) -> Tasks {
    let Counts { alive, running, scheduled, idle, never_polled, completed, born, died, resources: _ } = *counts;
    Tasks { alive, running, scheduled, idle, never_polled, completed, born, died }
}
