//! The report as one HTML file: no network, no build, readable years later.
//!
//! The template engine escapes every text; shapes are numbers made here, and the template draws them. So no markup is
//! ever put together by hand.

mod chart;
mod heat;
mod waits;

use std::time::Duration;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, escape_formatter};
use serde::Serialize;

use super::fold::fold;
use super::set_aside::{self, SetAsideJson};
use super::{code, terminal, words};
use crate::diagnose::{self, Diagnosis, Distribution, Finding, Hotspot, SiteReport, Status, TargetReport};
use crate::playbook::Severity;

const PAGE: &str = include_str!("page.html");
pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    render_template("page.html", PAGE, Value::from(Serde(page(diagnosis))))
}

/// A template, whose name says that it is HTML, filled with `view`.
pub(super) fn render_template(name: &'static str, template: &'static str, view: Value) -> String {
    let mut environment = Environment::new();
    // Control characters and what turns reading around are shown as escapes, in HTML as anywhere else.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => escape_formatter(out, state, &Value::from(terminal::escape(text))),
        _ => escape_formatter(out, state, value),
    });
    environment.add_filter("truncate_middle", truncate_middle);
    let rendered = environment.template_from_named_str(name, template).and_then(|template| template.render(view));
    // The templates are ours and are rendered in tests; a file that says what is wrong beats a panic.
    rendered
        .unwrap_or_else(|error| format!("<!doctype html><title>fleetdiag</title><p>defect of the template: {error}\n"))
}

/// At most `room` characters; what is left out is in the middle, for ends of paths say the most.
#[allow(clippy::needless_pass_by_value)] // As the engine calls it.
fn truncate_middle(text: String, room: usize) -> String {
    let text = terminal::escape(&text);
    let length = text.chars().count();
    if length <= room {
        return text;
    }
    let (head, tail) = (room / 3, room - room / 3 - 1);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[derive(Serialize)]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    verdict: &'static str,
    why: String,
    started: &'a str,
    window: String,
    version: &'a str,
    playbooks: String,
    planned: String,
    complete: String,
    partial: usize,
    failed: usize,
    tasks: String,
    severities: Vec<Count>,
    hotspots: Vec<Place<'a>>,
    heat: Option<heat::Map>,
    charts: Vec<Chart>,
    sites: Vec<SiteView>,
    waits: Option<waits::Graph>,
    outliers: Vec<OutlierView<'a>>,
    hosts: Vec<HostView<'a>>,
    limits: Vec<(String, String)>,
    /// Rules that could not be judged, with why.
    unjudged: Vec<(String, String)>,
    set_aside: Vec<SetAsideJson<'a>>,
}

fn page(diagnosis: &Diagnosis) -> Page<'_> {
    let coverage = &diagnosis.coverage;
    Page {
        style: STYLE,
        script: SCRIPT,
        verdict: words::verdict(diagnosis.verdict),
        why: words::why(diagnosis),
        started: &diagnosis.run.started,
        window: format!("{:?}", diagnosis.run.window),
        version: &diagnosis.run.judged_by,
        playbooks: diagnosis.run.playbooks.join(", "),
        planned: words::grouped(coverage.planned as u64),
        complete: words::grouped(coverage.complete as u64),
        partial: coverage.partial,
        failed: coverage.failed,
        tasks: words::grouped(coverage.tasks),
        severities: severities(diagnosis),
        hotspots: diagnosis
            .hotspots
            .iter()
            .enumerate()
            .map(|(at, hotspot)| place(diagnosis, at + 1, hotspot))
            .collect(),
        heat: heat::map(diagnosis),
        charts: charts(diagnosis),
        sites: diagnosis.sites.iter().map(site).collect(),
        waits: waits::graph(&diagnosis.waits),
        outliers: diagnosis.outliers.iter().map(outlier).collect(),
        hosts: diagnosis.targets.iter().map(|target| host(diagnosis, target)).collect(),
        limits: limits(diagnosis),
        unjudged: diagnosis
            .unjudged
            .iter()
            .map(|rule| (format!("{} {}", rule.rule.0, rule.name), words::unjudged(rule)))
            .collect(),
        set_aside: diagnosis.set_aside.iter().map(set_aside::json).collect(),
    }
}

#[derive(Serialize)]
struct Count {
    name: &'static str,
    count: usize,
}

fn severities(diagnosis: &Diagnosis) -> Vec<Count> {
    [Severity::Critical, Severity::Warning, Severity::Info]
        .map(|severity| Count {
            name: severity.as_str(),
            count: diagnosis.hotspots.iter().filter(|hotspot| hotspot.severity == severity).count(),
        })
        .into()
}

#[derive(Serialize)]
struct Place<'a> {
    number: usize,
    severity: &'static str,
    /// For sorting: worse is more.
    weight: u8,
    place: String,
    beside: String,
    names: String,
    hosts: usize,
    affected: u64,
    rank_reason: String,
    related: Vec<String>,
    code: Option<code::CodeJson<'a>>,
    findings: Vec<FindingView>,
}

#[derive(Serialize)]
struct FindingView {
    severity: &'static str,
    confidence: &'static str,
    rule: String,
    name: String,
    message: String,
    evidence: String,
    on: String,
    share: String,
    caps: Vec<String>,
    remedy: String,
    next_checks: Vec<String>,
    reference: Option<String>,
}

fn place<'a>(diagnosis: &'a Diagnosis, number: usize, hotspot: &Hotspot) -> Place<'a> {
    let names: Vec<_> = hotspot.findings.iter().map(|finding| finding.name.as_str()).collect();
    Place {
        number,
        severity: hotspot.severity.as_str(),
        weight: hotspot.severity as u8,
        place: words::place(&hotspot.subject),
        beside: words::beside(&hotspot.subject).join(" · "),
        names: names.join(", "),
        hosts: hotspot.findings.iter().map(|finding| finding.targets.len()).max().unwrap_or(0),
        affected: hotspot.findings.iter().map(|finding| finding.affected).max().unwrap_or(0),
        rank_reason: hotspot.rank_reason.clone(),
        related: hotspot.related.clone(),
        code: diagnosis.code_at(&hotspot.subject).map(code::json),
        findings: hotspot.findings.iter().map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> FindingView {
    let targets: Vec<_> = finding.targets.keys().map(ToString::to_string).collect();
    // A playbook may say anything; only these are links.
    let link = |url: &&String| url.starts_with("https://") || url.starts_with("http://");
    FindingView {
        severity: finding.severity.as_str(),
        confidence: finding.confidence.as_str(),
        rule: finding.rule.0.clone(),
        name: finding.name.clone(),
        message: finding.message.clone(),
        evidence: finding.evidence.clone(),
        on: fold(targets.iter().map(String::as_str)),
        share: format!("{} of {}", targets.len(), finding.targets_in_service),
        caps: finding.caps.clone(),
        remedy: finding.remedy.clone(),
        next_checks: finding.next_checks.clone(),
        reference: finding.reference.as_ref().filter(link).cloned(),
    }
}

#[derive(Serialize)]
struct Chart {
    title: &'static str,
    bars: chart::Bars,
}

fn charts(diagnosis: &Diagnosis) -> Vec<Chart> {
    type Of = fn(&SiteReport) -> Option<&Distribution>;
    let kinds: [(&str, Of); 2] = [
        ("Time inside a poll", |site| site.polls.as_ref()),
        ("Time between wake and poll", |site| site.scheduled.as_ref()),
    ];
    let chart = |(title, of): (&'static str, Of)| {
        chart::merged(diagnosis.sites.iter().filter_map(of)).map(|bars| Chart { title, bars })
    };
    kinds.into_iter().filter_map(chart).collect()
}

#[derive(Serialize)]
struct SiteView {
    place: String,
    beside: String,
    hosts: usize,
    alive: u64,
    polls: u64,
    wakes: u64,
    busy: Time,
    scheduled: Time,
    p99: Option<Time>,
    tiny: Option<chart::Bars>,
}

/// A time as it is shown, and for sorting.
#[derive(Serialize)]
struct Time {
    text: String,
    seconds: f64,
}

fn time(duration: Duration) -> Time {
    let text = if duration.is_zero() { "0".to_owned() } else { format!("{duration:.1?}") };
    Time { text, seconds: duration.as_secs_f64() }
}

fn site(report: &SiteReport) -> SiteView {
    let subject = crate::diagnose::Subject::Site(report.site.clone());
    SiteView {
        place: words::place(&subject),
        beside: words::beside(&subject).join(" · "),
        hosts: report.by_target.len(),
        alive: report.figures.alive,
        polls: report.figures.polls,
        wakes: report.figures.wakes,
        busy: time(report.figures.busy),
        scheduled: time(report.figures.scheduled),
        p99: report.polls.as_ref().map(|polls| time(polls.p99)),
        tiny: chart::merged(report.polls.iter()),
    }
}

#[derive(Serialize)]
struct OutlierView<'a> {
    place: String,
    metric: &'a str,
    targets: Vec<(String, &'a str)>,
    usual: &'a str,
    method: &'a str,
    explained_by: &'a [String],
}

fn outlier(outlier: &crate::diagnose::Outlier) -> OutlierView<'_> {
    OutlierView {
        place: words::place(&crate::diagnose::Subject::Site(outlier.site.clone())),
        metric: &outlier.metric,
        targets: outlier.targets.iter().map(|(id, value)| (id.to_string(), value.as_str())).collect(),
        usual: &outlier.usual,
        method: &outlier.method,
        explained_by: &outlier.explained_by,
    }
}

#[derive(Serialize)]
struct HostView<'a> {
    id: String,
    service: &'a str,
    status: &'static str,
    summary: String,
    hint: &'a str,
    states: Vec<State>,
    tokio: &'a str,
    console: String,
    anomalies: Vec<String>,
    findings: Vec<HostFinding<'a>>,
    surroundings: Vec<Figure>,
    unseen: Vec<(&'a str, &'a str)>,
    log_errors: &'a [String],
}

/// A figure of what surrounds the program.
#[derive(Serialize)]
struct Figure {
    text: String,
    odd: bool,
}

/// One part of the bar that shows a host's tasks by state.
#[derive(Serialize)]
struct State {
    name: &'static str,
    count: u64,
    x: f64,
    width: f64,
}

/// Something found on a host: the number of the place, and what.
#[derive(Serialize)]
struct HostFinding<'a> {
    number: usize,
    severity: &'static str,
    name: &'a str,
    place: String,
    affected: u64,
}

fn host<'a>(diagnosis: &'a Diagnosis, target: &'a TargetReport) -> HostView<'a> {
    let mut view = HostView {
        id: target.id.to_string(),
        service: &target.service.0,
        status: "complete",
        summary: String::new(),
        hint: "",
        states: Vec::new(),
        tokio: "",
        console: String::new(),
        anomalies: Vec::new(),
        findings: on_host(diagnosis, target),
        surroundings: Vec::new(),
        unseen: Vec::new(),
        log_errors: &[],
    };
    if let Some(context) = &target.context {
        let figures = diagnose::surroundings(context);
        view.surroundings =
            figures.into_iter().map(|figure| Figure { text: figure.text, odd: figure.is_odd }).collect();
        view.unseen = context.unseen.iter().map(|unseen| (unseen.what.as_str(), unseen.why.as_str())).collect();
        view.log_errors = context.log.as_ref().map_or(&[], |log| &log.last_errors);
    }
    match &target.status {
        Status::Failed { failure, hint } => {
            let detail = if failure.detail.is_empty() { String::new() } else { format!(": {}", failure.detail) };
            view.status = "failed";
            view.summary = format!("failed at {}: {}{detail}", failure.stage, failure.reason.summary());
            view.hint = hint;
        }
        Status::Observed { partial, counts, vintage, tokio_version, anomalies, .. } => {
            view.status = if *partial { "partial" } else { "complete" };
            view.summary = words::tasks(counts);
            view.states = states(counts);
            view.tokio = tokio_version.as_deref().unwrap_or("");
            view.console = vintage.map(|vintage| vintage.to_string()).unwrap_or_default();
            view.anomalies = anomalies.iter().map(words::anomaly).collect();
        }
    }
    view
}

#[allow(clippy::cast_precision_loss)] // Shapes on a screen.
fn states(counts: &crate::diagnose::Counts) -> Vec<State> {
    let all = [
        ("running", counts.running),
        ("scheduled", counts.scheduled),
        ("idle", counts.idle),
        ("never polled", counts.never_polled),
    ];
    let sum = all.iter().map(|(_, count)| count).sum::<u64>().max(1) as f64;
    let mut x = 0.0;
    let mut state = |(name, count): (&'static str, u64)| {
        let width = count as f64 / sum * 100.0;
        x += width;
        State { name, count, x: x - width, width }
    };
    all.into_iter().filter(|(_, count)| *count > 0).map(&mut state).collect()
}

fn on_host<'a>(diagnosis: &'a Diagnosis, target: &TargetReport) -> Vec<HostFinding<'a>> {
    let mut found = Vec::new();
    for (at, hotspot) in diagnosis.hotspots.iter().enumerate() {
        for finding in &hotspot.findings {
            let Some(&affected) = finding.targets.get(&target.id) else { continue };
            let (severity, place) = (finding.severity.as_str(), words::place(&hotspot.subject));
            found.push(HostFinding { number: at + 1, severity, name: &finding.name, place, affected });
        }
    }
    found
}

fn limits(diagnosis: &Diagnosis) -> Vec<(String, String)> {
    let limit = |(text, targets): (String, Vec<String>)| (fold(targets.iter().map(String::as_str)), text);
    words::anomalies(diagnosis).into_iter().map(limit).collect()
}
