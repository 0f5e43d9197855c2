//! A comparison as SARIF 2.1.0. SARIF has a word for each thing that can happen to a finding: its `baselineState`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::sarif::{Identities, SCHEMA, level, location};
use super::super::terminal::{escape, escape_json};
use crate::diagnose::{Change, Comparison, FindingChange, Kind, Subject};
use crate::model::CodeLine;
use crate::playbook::Severity;

/// The rule of places whose figures changed and where no rule finds anything.
const FIGURES: &str = "fleetdiag/figures";

pub(super) fn render(comparison: &Comparison) -> String {
    let mut identities = Identities::default();
    let results: Vec<_> =
        comparison.changes.iter().flat_map(|change| of_change(comparison, change, &mut identities)).collect();
    let notifications = comparison
        .cautions
        .iter()
        .map(|caution| json!({"level": "warning", "message": {"text": escape(&caution.text)}}));
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "fleetdiag",
                "semanticVersion": comparison.after.run.judged_by,
                "rules": rules(comparison),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
            "invocations": [{
                "executionSuccessful": !comparison.cautions.iter().any(|caution| caution.forbids),
                "exitCode": comparison.exit_code(),
                "startTimeUtc": comparison.after.run.started,
                "toolExecutionNotifications": notifications.collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    });
    // Values always serialize.
    let mut text = escape_json(&serde_json::to_string_pretty(&log).unwrap_or_default());
    text.push('\n');
    text
}

fn rules(comparison: &Comparison) -> Vec<Value> {
    let findings = comparison.changes.iter().flat_map(|change| &change.findings);
    let found: BTreeMap<_, _> = findings.map(|finding| (finding.rule.0.as_str(), finding)).collect();
    let rule = |(id, finding): (&str, &FindingChange)| json!({"id": id, "name": finding.name, "shortDescription": {"text": finding.name}});
    let figures = json!({
        "id": FIGURES,
        "name": "figures",
        "shortDescription": {"text": "The place came, went, or its figures changed, and no rule finds anything there."},
    });
    found.into_iter().map(rule).chain([figures]).collect()
}

/// A result for each finding that changed, or one for the place. A place that only moved is none.
fn of_change(comparison: &Comparison, change: &Change, identities: &mut Identities) -> Vec<Value> {
    let fails = comparison.fails(change);
    let at = (&change.subject, comparison.code_at(&change.subject));
    let mut results: Vec<_> = change
        .findings
        .iter()
        .map(|finding| {
            let text = super::finding(finding);
            result(at, &finding.rule.0, finding.kind, finding.severity, &text, identities)
        })
        .collect();
    if results.is_empty() && change.kind != Kind::Moved {
        let severity = if fails { Severity::Warning } else { Severity::Info };
        let text = super::sentences(change).join("; ");
        results.push(result(at, FIGURES, change.kind, severity, &text, identities));
    }
    results
}

fn result(
    (subject, code): (&Subject, Option<&CodeLine>),
    rule: &str,
    kind: Kind,
    severity: Severity,
    text: &str,
    identities: &mut Identities,
) -> Value {
    let state = match kind {
        Kind::New => "new",
        Kind::Gone => "absent",
        Kind::Worse | Kind::Better => "updated",
        Kind::Moved => "unchanged",
    };
    // What is better or gone is no alarm, however grave it was.
    let level = if matches!(kind, Kind::New | Kind::Worse) { level(severity) } else { "note" };
    json!({
        "ruleId": rule,
        "level": level,
        "baselineState": state,
        "message": {"text": escape(&format!("{}: {text}", kind.as_str()))},
        "locations": [location(subject, code)],
        "partialFingerprints": identities.fingerprints(subject, rule),
    })
}
