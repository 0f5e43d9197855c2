//! A comparison as one JSON document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::json::{Coverage, Run, SubjectJson, coverage, run, subject};
use super::super::terminal::escape_json;
use crate::diagnose::{Change, Comparison, Effect, FindingChange, Side, SiteFigures, Told};

const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    kind: &'static str,
    before: SideJson<'a>,
    after: SideJson<'a>,
    cautions: Vec<Caution<'a>>,
    changes: Vec<ChangeJson<'a>>,
    unchanged: usize,
}

#[derive(Serialize)]
struct SideJson<'a> {
    run: Run<'a>,
    coverage: Coverage,
}

#[derive(Serialize)]
struct Caution<'a> {
    text: &'a str,
    forbids: bool,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    kind: &'static str,
    subject: SubjectJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_from: Option<SubjectJson<'a>>,
    findings: Vec<Finding<'a>>,
    figures: Vec<Figure>,
    targets: BTreeMap<String, Sides>,
}

#[derive(Serialize)]
struct Finding<'a> {
    kind: &'static str,
    rule: &'a str,
    name: &'a str,
    severity: &'static str,
    before: Option<ToldJson<'a>>,
    after: Option<ToldJson<'a>>,
}

#[derive(Serialize)]
struct ToldJson<'a> {
    message: &'a str,
    affected: u64,
    targets: Vec<String>,
    targets_in_service: usize,
}

#[derive(Serialize)]
struct Figure {
    figure: &'static str,
    before: f64,
    after: f64,
    agree: usize,
    of: usize,
    paired: bool,
}

#[derive(Serialize)]
struct Sides {
    before: Option<Figures>,
    after: Option<Figures>,
}

#[derive(Serialize)]
struct Figures {
    alive: u64,
    completed: u64,
    born: u64,
    polls: u64,
    busy_seconds: f64,
    scheduled_seconds: f64,
}

pub(super) fn render(comparison: &Comparison) -> String {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        kind: "comparison",
        before: side(&comparison.before),
        after: side(&comparison.after),
        cautions: comparison
            .cautions
            .iter()
            .map(|caution| Caution { text: &caution.text, forbids: caution.forbids })
            .collect(),
        changes: comparison.changes.iter().map(change).collect(),
        unchanged: comparison.unchanged,
    };
    // Strings and finite numbers under string keys always serialize.
    let mut text = escape_json(&serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}

fn side(side: &Side) -> SideJson<'_> {
    SideJson { run: run(&side.run), coverage: coverage(&side.coverage) }
}

fn change(change: &Change) -> ChangeJson<'_> {
    let sides = |(before, after): &(Option<SiteFigures>, Option<SiteFigures>)| Sides {
        before: before.as_ref().map(figures),
        after: after.as_ref().map(figures),
    };
    ChangeJson {
        kind: change.kind.as_str(),
        subject: subject(&change.subject),
        moved_from: change.moved_from.as_ref().map(subject),
        findings: change.findings.iter().map(finding).collect(),
        figures: change.effects.iter().map(figure).collect(),
        targets: change.by_target.iter().map(|(target, both)| (target.to_string(), sides(both))).collect(),
    }
}

fn finding(finding: &FindingChange) -> Finding<'_> {
    Finding {
        kind: finding.kind.as_str(),
        rule: &finding.rule.0,
        name: &finding.name,
        severity: finding.severity.as_str(),
        before: finding.before.as_ref().map(told),
        after: finding.after.as_ref().map(told),
    }
}

fn told(told: &Told) -> ToldJson<'_> {
    ToldJson {
        message: &told.message,
        affected: told.affected,
        targets: told.targets.iter().map(ToString::to_string).collect(),
        targets_in_service: told.targets_in_service,
    }
}

fn figure(effect: &Effect) -> Figure {
    let Effect { figure, before, after, agree, of, paired } = *effect;
    Figure { figure, before, after, agree, of, paired }
}

fn figures(figures: &SiteFigures) -> Figures {
    Figures {
        alive: figures.alive,
        completed: figures.completed,
        born: figures.born,
        polls: figures.polls,
        busy_seconds: figures.busy.as_secs_f64(),
        scheduled_seconds: figures.scheduled.as_secs_f64(),
    }
}
