//! The report as SARIF 2.1.0, for code scanning.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fold::fold;
use super::terminal::{escape, escape_json};
use super::words;
use crate::diagnose::{Diagnosis, Finding, Hotspot, RuleFacts, Status, Subject, Verdict};
use crate::model::CodeLine;
use crate::playbook::Severity;

pub(super) const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "fleetdiag",
                "semanticVersion": diagnosis.run.judged_by,
                "rules": diagnosis.rules.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
            "invocations": [invocation(diagnosis)],
            "results": results(diagnosis),
        }],
    });
    // Values always serialize.
    let mut text = escape_json(&serde_json::to_string_pretty(&log).unwrap_or_default());
    text.push('\n');
    text
}

fn rule(rule: &RuleFacts) -> Value {
    let mut descriptor = json!({
        "id": rule.id.0,
        "name": rule.name,
        "shortDescription": {"text": rule.name},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"tags": ["tokio", "async"]},
    });
    if let (Some(reference), Some(descriptor)) = (&rule.reference, descriptor.as_object_mut()) {
        descriptor.insert("helpUri".to_owned(), reference.as_str().into());
    }
    descriptor
}

/// How the run went: hosts that were not seen and what limits the evidence are notifications, not results.
fn invocation(diagnosis: &Diagnosis) -> Value {
    let unseen = diagnosis.targets.iter().filter_map(|target| match &target.status {
        Status::Failed { failure, hint } => {
            let text = format!("{}: {} at {}. {hint}", target.id, failure.reason.summary(), failure.stage);
            Some(json!({"level": "error", "descriptor": {"id": failure.reason.as_str()}, "message": {"text": escape(&text)}}))
        }
        Status::Observed { .. } => None,
    });
    let limits = words::anomalies(diagnosis).into_iter().map(|(text, targets)| {
        let text = format!("{}: {text}", fold(targets.iter().map(String::as_str)));
        json!({"level": "warning", "message": {"text": escape(&text)}})
    });
    json!({
        "executionSuccessful": diagnosis.verdict != Verdict::Inconclusive,
        "exitCode": diagnosis.exit_code,
        "startTimeUtc": diagnosis.run.started,
        "toolExecutionNotifications": unseen.chain(limits).collect::<Vec<_>>(),
    })
}

fn results(diagnosis: &Diagnosis) -> Vec<Value> {
    let mut identities = Identities::default();
    let findings = diagnosis.hotspots.iter().flat_map(|hotspot| hotspot.findings.iter().map(move |f| (hotspot, f)));
    findings.map(|(hotspot, finding)| result(diagnosis, hotspot, finding, &mut identities)).collect()
}

fn result(diagnosis: &Diagnosis, hotspot: &Hotspot, finding: &Finding, identities: &mut Identities) -> Value {
    let targets: Vec<_> = finding.targets.keys().map(ToString::to_string).collect();
    let on = fold(targets.iter().map(String::as_str));
    let code = diagnosis.code_at(&hotspot.subject);
    let mut text = format!("{} (on {on}; {}). {}", finding.message, finding.evidence, finding.remedy);
    if let Some(sentence) = super::code::sentence(code) {
        text.push_str(&format!(". {sentence}"));
    }
    json!({
        "ruleId": finding.rule.0,
        "level": level(finding.severity),
        "message": {"text": escape(&text)},
        "locations": [location(&hotspot.subject, code)],
        "partialFingerprints": identities.fingerprints(&hotspot.subject, &finding.rule.0),
        "properties": {
            "confidence": finding.confidence.as_str(),
            "affected": finding.affected,
            "of": finding.of,
            "targets": targets,
        },
    })
}

/// A file of the repository where the place is in the application's own code, else only a name.
pub(super) fn location(subject: &Subject, code: Option<&CodeLine>) -> Value {
    let name = escape(&[vec![words::place(subject)], words::beside(subject)].concat().join(" "));
    let mut location = json!({"logicalLocations": [{"fullyQualifiedName": name}]});
    let (Some(at), true, Some(object)) = (subject.location(), words::is_ours(subject), location.as_object_mut()) else {
        return location;
    };
    // A file that the checkout does not have cannot be pointed at.
    let Some(path) = code.map_or(Some(at.file.as_str()), |code| code.path.as_deref()) else { return location };
    let mut physical = json!({"artifactLocation": {"uri": uri(path), "uriBaseId": "SRCROOT"}});
    let numbers = [("startLine", at.line), ("startColumn", at.column)];
    let numbers = numbers.into_iter().take_while(|(_, number)| *number > 0).map(|(name, number)| (name, json!(number)));
    let mut region: BTreeMap<_, _> = numbers.collect();
    if let Some(text) = code.and_then(|code| code.text.as_ref()).filter(|_| !region.is_empty()) {
        region.insert("snippet", json!({"text": escape(text)}));
    }
    if let (false, Some(physical)) = (region.is_empty(), physical.as_object_mut()) {
        physical.insert("region".to_owned(), json!(region));
    }
    object.insert("physicalLocation".to_owned(), physical);
    location
}

/// What has been given a fingerprint, and how often.
#[derive(Default)]
pub(super) struct Identities(BTreeMap<String, u32>);

impl Identities {
    /// What stays the same when lines move: rule, service, file, kind, function and name. Two places of one file that
    /// nothing but the line tells apart are told apart by their order.
    pub(super) fn fingerprints(&mut self, subject: &Subject, rule: &str) -> Value {
        let file = subject.location().map_or("", |location| location.file.as_str());
        let identity = [vec![rule.to_owned(), file.to_owned()], words::beside(subject)].concat().join("\u{1f}");
        let number = self.0.entry(identity.clone()).or_default();
        *number += 1;
        json!({
            "primaryLocationLineHash": format!("{:016x}:{number}", fnv1a(&identity)),
            "fleetdiag/v1": format!("{identity}:{number}"),
        })
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A relative path as a relative URI reference.
pub(super) fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

pub(super) fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

#[cfg(test)]
mod tests {
    use super::{fnv1a, uri};

    #[test]
    fn paths_are_uris_and_hashes_are_fixed() {
        assert_eq!(uri("src/a b/ü.rs"), "src/a%20b/%C3%BC.rs");
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    }
}
