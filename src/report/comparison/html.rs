//! A comparison as one HTML file, in the dress of the report.

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::super::code::{self, CodeJson};
use super::super::html::{self, SCRIPT, STYLE};
use super::super::words;
use crate::diagnose::{Change, Comparison, Effect, FindingChange, Kind, SiteFigures};
use crate::model::TargetId;

const PAGE: &str = include_str!("page.html");

pub(super) fn render(comparison: &Comparison) -> String {
    html::render_template("comparison.html", PAGE, Value::from(Serde(page(comparison))))
}

#[derive(Serialize)]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    verdict: &'static str,
    summary: String,
    before: String,
    after: String,
    started: &'a str,
    version: &'a str,
    kinds: Vec<Count>,
    unchanged: String,
    cautions: Vec<&'a str>,
    changes: Vec<ChangeView<'a>>,
}

#[derive(Serialize)]
struct Count {
    name: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct ChangeView<'a> {
    number: usize,
    kind: &'static str,
    fails: bool,
    place: String,
    beside: String,
    moved: Option<String>,
    code: Option<CodeJson<'a>>,
    names: String,
    hosts: usize,
    findings: Vec<FindingView>,
    figures: Vec<FigureView>,
    seen: Option<String>,
    targets: Vec<TargetView>,
}

#[derive(Serialize)]
struct FindingView {
    severity: &'static str,
    name: String,
    text: String,
}

#[derive(Serialize)]
struct FigureView {
    name: &'static str,
    text: String,
}

#[derive(Serialize)]
struct TargetView {
    id: String,
    before: Option<Figures>,
    after: Option<Figures>,
}

#[derive(Serialize)]
struct Figures {
    alive: String,
    polls: String,
    busy: String,
}

fn page(comparison: &Comparison) -> Page<'_> {
    let verdict = match comparison.exit_code() {
        0 if comparison.fail_on.is_empty() => "compared",
        0 => "pass",
        _ => "fail",
    };
    Page {
        style: STYLE,
        script: SCRIPT,
        verdict,
        summary: super::summary(comparison),
        before: super::side(&comparison.before),
        after: super::side(&comparison.after),
        started: &comparison.after.run.started,
        version: &comparison.after.run.judged_by,
        kinds: super::KINDS.map(|kind| Count { name: kind.as_str(), count: comparison.count(kind) }).into(),
        unchanged: words::grouped(comparison.unchanged as u64),
        cautions: comparison.cautions.iter().map(|caution| caution.text.as_str()).collect(),
        changes: comparison.changes.iter().enumerate().map(|(at, change)| view(comparison, at + 1, change)).collect(),
    }
}

fn view<'a>(comparison: &'a Comparison, number: usize, change: &Change) -> ChangeView<'a> {
    let names: Vec<_> = change.findings.iter().map(|finding| finding.name.as_str()).collect();
    let figures: Vec<_> = change.effects.iter().map(|effect| effect.figure).collect();
    let differs = |(before, after): &&(Option<SiteFigures>, Option<SiteFigures>)| before != after;
    ChangeView {
        number,
        kind: change.kind.as_str(),
        fails: comparison.fails(change),
        place: words::place(&change.subject),
        beside: words::beside(&change.subject).join(" · "),
        moved: super::moved(change),
        code: comparison.code_at(&change.subject).map(code::json),
        names: [names, figures].concat().join(", "),
        hosts: change.by_target.values().filter(differs).count(),
        findings: change.findings.iter().map(finding).collect(),
        figures: change.effects.iter().map(figure).collect(),
        seen: super::says_nothing(change).then(|| super::seen(change, "→")),
        targets: if change.kind == Kind::Moved { Vec::new() } else { targets(&change.by_target) },
    }
}

fn finding(finding: &FindingChange) -> FindingView {
    FindingView { severity: finding.severity.as_str(), name: finding.name.clone(), text: super::finding(finding) }
}

fn figure(effect: &Effect) -> FigureView {
    FigureView { name: effect.figure, text: super::effect(effect, "→") }
}

fn targets(by_target: &BTreeMap<TargetId, (Option<SiteFigures>, Option<SiteFigures>)>) -> Vec<TargetView> {
    let figures = |figures: &SiteFigures| Figures {
        alive: words::grouped(figures.alive),
        polls: words::grouped(figures.polls),
        busy: format!("{:.1?}", figures.busy),
    };
    let target = |(id, (before, after)): (&TargetId, &(Option<SiteFigures>, Option<SiteFigures>))| TargetView {
        id: id.to_string(),
        before: before.as_ref().map(figures),
        after: after.as_ref().map(figures),
    };
    by_target.iter().map(target).collect()
}
