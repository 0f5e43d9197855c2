//! The JSON Schema of playbook files, from the tables that the loader uses.

use serde_json::{Map, Value, json};

use super::detector::{DETECTORS, ThresholdEntry};
use super::load::keys::{OUTCOME, RULE, TOP, USE};
use super::threshold::Kind;
use super::{API_VERSION, KIND, catalogue};

/// The schema, as text that ends with a newline.
#[must_use]
pub fn schema() -> String {
    let names: Vec<_> = catalogue().iter().flat_map(|rule| [rule.id.0.clone(), rule.name.clone()]).collect();
    let thresholds: Map<_, _> = DETECTORS
        .iter()
        .flat_map(|entry| entry.thresholds)
        .map(|threshold| (threshold.name.to_owned(), self::threshold(threshold)))
        .collect();
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A playbook of fleetdiag",
        "type": "object",
        "additionalProperties": false,
        "required": ["apiVersion", "kind", "name"],
        "properties": described(TOP, &|key| match key {
            "apiVersion" => json!({"const": API_VERSION}),
            "kind" => json!({"const": KIND}),
            "observe" => json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {"window": kind(Kind::Duration)},
            }),
            "gate" => json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "fail_on": {"enum": ["info", "warning", "critical", "never"]},
                    "max_unreachable": {"type": ["integer", "string"], "pattern": "^[0-9]+%?$", "minimum": 0},
                },
            }),
            "use" => json!({"oneOf": [
                {"const": "all", "description": "every rule of the catalogue"},
                {"type": "array", "items": {"oneOf": [{"$ref": "#/$defs/known"}, {"$ref": "#/$defs/use"}]}},
            ]}),
            "rules" => json!({"type": "array", "items": {"$ref": "#/$defs/rule"}}),
            _ => text(),
        }),
        "anyOf": [{"required": ["use"]}, {"required": ["rules"]}],
        "$defs": {
            "known": {"enum": names},
            "use": {
                "type": "object",
                "additionalProperties": false,
                "required": ["rule"],
                "properties": described(USE, &|key| match key {
                    "rule" => json!({"$ref": "#/$defs/known"}),
                    other => field(other),
                }),
            },
            "rule": {
                "type": "object",
                "additionalProperties": false,
                "required": ["id", "name", "outcomes", "why", "remedy"],
                "oneOf": [{"required": ["detect"]}, {"required": ["when"]}],
                "properties": described(RULE, &field),
                "allOf": DETECTORS.iter().map(of_detector).collect::<Vec<_>>(),
            },
            "outcome": {
                "type": "object",
                "additionalProperties": false,
                "required": ["severity", "message"],
                "properties": described(OUTCOME, &|key| match key {
                    "severity" => json!({"enum": ["info", "warning", "critical"]}),
                    _ => text(),
                }),
            },
            "thresholds": {"type": "object", "additionalProperties": false, "properties": thresholds},
        },
    });
    // A value always serializes.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn field(key: &str) -> Value {
    match key {
        "detect" => json!({"oneOf": DETECTORS.iter().map(|entry| {
            json!({"const": entry.name, "description": entry.definition})
        }).collect::<Vec<_>>()}),
        "id" => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}),
        "thresholds" => json!({"$ref": "#/$defs/thresholds"}),
        "outcomes" => json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/outcome"}}),
        "next_checks" | "false_positives" => json!({"type": "array", "items": text()}),
        "dry_run" => json!({"type": "boolean"}),
        _ => text(),
    }
}

/// A rule with this detector has this detector's thresholds.
fn of_detector(entry: &super::DetectorEntry) -> Value {
    let names: Vec<_> = entry.thresholds.iter().map(|threshold| threshold.name).collect();
    json!({
        "if": {"required": ["detect"], "properties": {"detect": {"const": entry.name}}},
        "then": {"properties": {"thresholds": {"propertyNames": {"enum": names}}}},
    })
}

fn text() -> Value {
    json!({"type": "string", "minLength": 1})
}

fn threshold(entry: &ThresholdEntry) -> Value {
    let mut value = kind(entry.kind);
    if let Some(object) = value.as_object_mut() {
        object.insert("description".to_owned(), entry.definition.into());
        object.insert("default".to_owned(), entry.default.to_string().into());
    }
    value
}

/// What may be written: YAML reads `50` as a number and `50%` as text.
fn kind(kind: Kind) -> Value {
    match kind {
        Kind::Duration => json!({"type": "string", "examples": ["500ms", "5s", "2m"]}),
        Kind::Count => json!({"type": "integer", "minimum": 0}),
        Kind::Percent => json!({"type": ["integer", "string"], "pattern": "^[0-9]+ *%?$", "minimum": 0}),
        Kind::Bytes => json!({"type": ["integer", "string"], "minimum": 0, "examples": ["1KiB", 1024]}),
        Kind::Rate => json!({"type": ["integer", "string"], "pattern": "^[0-9]+ *(/s)?$", "minimum": 0}),
    }
}

fn described(keys: &[&str], of: &dyn Fn(&str) -> Value) -> Map<String, Value> {
    let property = |key: &&str| {
        let mut value = of(key);
        if let (Some(object), Some(words)) = (value.as_object_mut(), words(key)) {
            object.insert("description".to_owned(), words.into());
        }
        ((*key).to_owned(), value)
    };
    keys.iter().map(property).collect()
}

/// What an editor shows beside a key.
fn words(key: &str) -> Option<&'static str> {
    Some(match key {
        "summary" => "what the playbook is for, one line",
        "about" => "when to use it, and how to read what it finds",
        "observe" => "how hosts are observed, where the command line does not say",
        "gate" => "what a run must satisfy, where the command line does not say",
        "use" => "rules of the catalogue by id or name, with changes",
        "rules" => "rules of your own; one with the id of an earlier rule replaces it",
        "detect" => "what native code looks for",
        "when" => "a condition in CEL over metrics; `fleetdiag playbook metrics` lists them",
        "outcomes" => "the first that applies is taken; the last one has no `when`",
        "message" => "one sentence with {placeholders} for thresholds and metrics",
        "why" => "why it matters",
        "remedy" => "what to do",
        "next_checks" => "what to look at next",
        "do_not_conclude" => "what the finding does not prove",
        "false_positives" => "what looks the same and is harmless",
        "reference" => "where to read more",
        "dry_run" => "report it, but do not count it for the verdict",
        "because" => "why this rule is in this playbook",
        _ => return None,
    })
}
