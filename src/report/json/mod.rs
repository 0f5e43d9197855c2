//! The report as one JSON document. Types of its own, so that the inside can change while the document does not.
//!
//! `schema_version` grows when something that exists changes its meaning or goes; additions do not change it.

mod place;
mod sites;

use std::collections::BTreeMap;

use serde::Serialize;

use super::set_aside::{self, SetAsideJson};
use super::terminal::escape_json;
use super::words;
use crate::diagnose::{self, Counts, Diagnosis, RunFacts, Status, TargetReport, Unjudged};
use crate::model::{Anomaly, HostContext};

pub(super) use place::{Place, place};
pub(super) use place::{SubjectJson, subject};
use sites::{OutlierJson, SiteReportJson, TrendsJson, WaitJson, outlier, site_report, trends, wait};

pub(super) const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Document<'a> {
    /// Grows when something that exists changes its meaning or goes; additions do not change it.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    schema_version: u32,
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "fail", "inconclusive"])))]
    verdict: &'static str,
    verdict_reasons: &'a [String],
    exit_code: u8,
    run: Run<'a>,
    coverage: Coverage,
    /// Ranked, worst first.
    hotspots: Vec<Place<'a>>,
    /// Rules that the evidence does not suffice to judge: neither a finding nor a clean bill.
    unjudged: Vec<UnjudgedJson<'a>>,
    /// Findings that do not count: suppressed ones, those that a baseline knows, and those of dry runs.
    set_aside: Vec<SetAsideJson<'a>>,
    /// Every planned target, odd ones first.
    targets: Vec<Target<'a>>,
    /// Every spawn site seen, with findings or without.
    sites: Vec<SiteReportJson<'a>>,
    /// Who waits on what, the longest wait first.
    waits: Vec<WaitJson<'a>>,
    /// Targets that differ from their peers.
    outliers: Vec<OutlierJson<'a>>,
    /// What earlier sweeps show together with this one; only where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    trends: Option<TrendsJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Run<'a> {
    started: &'a str,
    window_seconds: f64,
    interrupted: bool,
    collected_by: &'a str,
    judged_by: &'a str,
    playbooks: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Coverage {
    planned: usize,
    complete: usize,
    partial: usize,
    failed: usize,
    tasks: u64,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Target<'a> {
    id: String,
    host: &'a str,
    service: &'a str,
    #[serde(flatten)]
    status: StatusJson<'a>,
    /// What its server told about the program beside its console; absent where it was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a HostContext>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "kebab-case")]
enum StatusJson<'a> {
    Failed { stage: &'static str, reason: &'static str, summary: &'static str, detail: &'a str, hint: &'a str },
    Complete(Observed<'a>),
    Partial(Observed<'a>),
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UnjudgedJson<'a> {
    rule: &'a str,
    name: &'a str,
    /// It is about surroundings that could not be read: it does not count for the verdict.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    of_surroundings: bool,
    /// The metrics without a value.
    missing: &'a [String],
    targets: Vec<String>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        hotspots: hotspots.iter().map(|hotspot| place(diagnosis, hotspot)).collect(),
        unjudged: diagnosis.unjudged.iter().map(unjudged).collect(),
        set_aside: diagnosis.set_aside.iter().map(set_aside::json).collect(),
        targets: targets.iter().map(target).collect(),
        sites: diagnosis.sites.iter().map(|report| site_report(diagnosis, report)).collect(),
        waits: diagnosis.waits.iter().map(wait).collect(),
        outliers: diagnosis.outliers.iter().map(outlier).collect(),
        trends: (diagnosis.trends.runs > 0).then(|| trends(diagnosis)),
    };
    // Strings and numbers under string keys always serialize.
    let mut text = escape_json(&serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}

fn unjudged(rule: &Unjudged) -> UnjudgedJson<'_> {
    UnjudgedJson {
        rule: &rule.rule.0,
        name: &rule.name,
        of_surroundings: rule.of_surroundings,
        missing: &rule.missing,
        targets: rule.targets.iter().map(ToString::to_string).collect(),
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
    Target {
        id: target.id.to_string(),
        host: target.id.host.as_str(),
        service: &target.service.0,
        status,
        context: target.context.as_ref(),
    }
}

fn tasks(counts: &Counts) -> Tasks {
    let Counts { alive, running, scheduled, idle, never_polled, completed, born, died, resources: _ } = *counts;
    Tasks { alive, running, scheduled, idle, never_polled, completed, born, died }
}

#[cfg(test)]
mod tests {
    use super::Document;

    /// The shipped schema is made of the types of the document, so it cannot drift from them.
    #[test]
    fn the_shipped_schema_is_that_of_the_document() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let mut schema = settings.into_generator().into_root_schema_for::<Document>();
        schema.insert("title".to_owned(), "A report of fleetdiag".into());
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        assert!(shipped == text, "run this test once with UPDATE_SCHEMA=1, and look at what changed");
    }
}
