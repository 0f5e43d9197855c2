//! Checkups as one JSON document.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::terminal::escape_json;
use super::{advice, seen, todo};
use crate::diagnose::{Checkup, Checkups, Fact, Step};
use crate::model::Route;

const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    kind: &'static str,
    exit_code: u8,
    interrupted: bool,
    targets: Vec<TargetJson<'a>>,
}

#[derive(Serialize)]
struct TargetJson<'a> {
    id: String,
    service: &'a str,
    route: &'static str,
    endpoint: String,
    /// The worst mark of its steps.
    mark: &'static str,
    /// How far the way went, and why no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    steps: Vec<StepJson>,
    todo: Vec<String>,
}

#[derive(Serialize)]
struct StepJson {
    stage: &'static str,
    mark: &'static str,
    kind: &'static str,
    text: String,
    /// The fact itself, by names of its own.
    #[serde(skip_serializing_if = "Value::is_null")]
    seen: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

pub(super) fn render(checkups: &Checkups) -> String {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        kind: "checkup",
        exit_code: checkups.exit_code(),
        interrupted: checkups.interrupted,
        targets: checkups.checkups.iter().map(target).collect(),
    };
    // Every value is a text, a number or a list of such.
    escape_json(&serde_json::to_string_pretty(&document).unwrap_or_default()) + "\n"
}

fn target(checkup: &Checkup) -> TargetJson<'_> {
    let target = &checkup.target;
    let failure = checkup.steps.iter().find_map(|step| match &step.fact {
        Fact::Failed(failure) => Some(failure),
        _ => None,
    });
    TargetJson {
        id: target.id.to_string(),
        service: &target.service.0,
        route: if matches!(target.route, Route::Direct) { "direct" } else { "ssh" },
        endpoint: target.endpoint.to_string(),
        mark: checkup.mark().as_str(),
        stage: failure.map(|failure| failure.stage.as_str()),
        reason: failure.map(|failure| failure.reason.as_str()),
        steps: checkup.steps.iter().map(|step| self::step(step, checkup)).collect(),
        todo: todo(checkup),
    }
}

fn step(step: &Step, checkup: &Checkup) -> StepJson {
    StepJson {
        stage: step.stage.as_str(),
        mark: step.mark.as_str(),
        kind: step.fact.kind(),
        text: seen(step),
        seen: fact(&step.fact),
        advice: advice(step, &checkup.target),
    }
}

fn fact(fact: &Fact) -> Value {
    match fact {
        Fact::Config(config) => json!(config),
        Fact::Client(version) | Fact::Tokio(version) => json!({"version": version}),
        Fact::Server(software) => json!({"software": software}),
        Fact::Container(container) => json!(container),
        Fact::HostKey { key, known_in } => json!({"key": key, "known_in": known_in}),
        Fact::LetIn { method, key } => json!({"method": method, "key": key}),
        Fact::Way(way) => json!(way),
        Fact::Bound(at) => json!({"addresses": at}),
        Fact::Exposed { at, .. } => json!({"addresses": at}),
        Fact::Vintage(vintage) => json!({"vintage": vintage}),
        Fact::Tasks { alive, tasks, resources, async_ops } => {
            json!({"alive": alive, "tasks": tasks, "resources": resources, "async_ops": async_ops})
        }
        Fact::Updates { updates, first_after, bytes } => {
            json!({"updates": updates, "first_after_ms": first_after.as_secs_f64() * 1e3, "bytes": bytes})
        }
        Fact::Anomaly(anomaly) => json!(anomaly),
        Fact::Failed(failure) => json!({"detail": failure.detail}),
        Fact::NoSsh | Fact::BoundUnseen | Fact::Absent(_) | Fact::Beyond => Value::Null,
    }
}
