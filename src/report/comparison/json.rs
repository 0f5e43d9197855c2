//! A comparison as one JSON document.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::code::{self, CodeJson};
use super::super::json::{Coverage, Run, SubjectJson, coverage, run, subject};
use super::super::terminal::escape_json;
use crate::diagnose::{Change, Comparison, Effect, FindingChange, Side, SiteFigures, Told};

pub(super) const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Document<'a> {
    /// Grows when something that exists changes its meaning or goes; additions do not change it.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    schema_version: u32,
    #[cfg_attr(test, schemars(extend("const" = "comparison")))]
    kind: &'static str,
    before: SideJson<'a>,
    after: SideJson<'a>,
    /// What makes the two runs hard to compare.
    cautions: Vec<Caution<'a>>,
    /// Worst first.
    changes: Vec<ChangeJson<'a>>,
    /// Places on both sides of which nothing changed.
    unchanged: usize,
    exit_code: u8,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SideJson<'a> {
    run: Run<'a>,
    coverage: Coverage,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Caution<'a> {
    text: &'a str,
    forbids: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ChangeJson<'a> {
    #[cfg_attr(test, schemars(extend("enum" = ["worse", "new", "better", "gone", "moved"])))]
    kind: &'static str,
    /// `--fail-on` says that this fails the comparison.
    fails: bool,
    subject: SubjectJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_from: Option<SubjectJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<CodeJson<'a>>,
    findings: Vec<Finding<'a>>,
    figures: Vec<Figure>,
    targets: BTreeMap<String, Sides>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Finding<'a> {
    #[cfg_attr(test, schemars(extend("enum" = ["worse", "new", "better", "gone"])))]
    kind: &'static str,
    rule: &'a str,
    name: &'a str,
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "critical"])))]
    severity: &'static str,
    before: Option<ToldJson<'a>>,
    after: Option<ToldJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ToldJson<'a> {
    message: &'a str,
    affected: u64,
    targets: Vec<String>,
    targets_in_service: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Figure {
    /// What was measured; the numbers are per host.
    figure: &'static str,
    before: f64,
    after: f64,
    /// Hosts, or pairs of hosts, on which it changed in the same direction.
    agree: usize,
    of: usize,
    /// The same hosts on both sides; otherwise each host of one side is held against each of the other.
    paired: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Sides {
    before: Option<Figures>,
    after: Option<Figures>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        cautions: cautions(comparison),
        changes: comparison.changes.iter().map(|change| self::change(comparison, change)).collect(),
        unchanged: comparison.unchanged,
        exit_code: comparison.exit_code(),
    };
    // Strings and finite numbers under string keys always serialize.
    let mut text = escape_json(&serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}

pub(super) fn cautions(comparison: &Comparison) -> Vec<Caution<'_>> {
    comparison.cautions.iter().map(|caution| Caution { text: &caution.text, forbids: caution.forbids }).collect()
}

pub(super) fn side(side: &Side) -> SideJson<'_> {
    SideJson { run: run(&side.run), coverage: coverage(&side.coverage) }
}

pub(super) fn change<'a>(comparison: &'a Comparison, change: &'a Change) -> ChangeJson<'a> {
    let sides = |(before, after): &(Option<SiteFigures>, Option<SiteFigures>)| Sides {
        before: before.as_ref().map(figures),
        after: after.as_ref().map(figures),
    };
    ChangeJson {
        kind: change.kind.as_str(),
        fails: comparison.fails(change),
        subject: subject(&change.subject),
        moved_from: change.moved_from.as_ref().map(subject),
        code: comparison.code_at(&change.subject).map(code::json),
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

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn the_shipped_schema_is_that_of_the_document() {
        let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
        let mut schema = settings.into_generator().into_root_schema_for::<Document>();
        schema.insert("title".to_owned(), "A comparison of fleetdiag".into());
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/comparison.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap_or_default();
        assert!(shipped == text, "run this test once with UPDATE_SCHEMA=1, and look at what changed");
    }
}
