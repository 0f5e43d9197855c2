//! The report as JSON lines: what is live comes first, the judgement last.
//!
//! | event | when |
//! | --- | --- |
//! | `ended` | while hosts are observed, as each ends |
//! | `run`, `target`, `hotspot` | after the judgement, in the shapes of the JSON document |
//! | `summary` | last |

use serde::Serialize;

use super::terminal::escape_json;
use super::{json, words};
use crate::diagnose::Diagnosis;
use crate::model::{Reason, TargetId};

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event<'a> {
    Ended {
        schema_version: u32,
        id: String,
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<&'static str>,
    },
    Run {
        schema_version: u32,
        #[serde(flatten)]
        run: json::Run<'a>,
    },
    Target(json::Target<'a>),
    Hotspot(json::Place<'a>),
    Summary {
        verdict: &'static str,
        verdict_reasons: &'a [String],
        exit_code: u8,
        coverage: json::Coverage,
    },
}

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let run = Event::Run { schema_version: json::SCHEMA_VERSION, run: json::run(&diagnosis.run) };
    let summary = Event::Summary {
        verdict: words::verdict(diagnosis.verdict),
        verdict_reasons: &diagnosis.verdict_reasons,
        exit_code: diagnosis.exit_code,
        coverage: json::coverage(&diagnosis.coverage),
    };
    let targets = diagnosis.targets.iter().map(json::target).map(Event::Target);
    let hotspots = diagnosis.hotspots.iter().map(|hotspot| json::place(diagnosis, hotspot)).map(Event::Hotspot);
    [run].into_iter().chain(targets).chain(hotspots).chain([summary]).map(|event| line(&event)).collect()
}

/// The line for a target that has just ended, before anything is judged.
#[must_use]
pub fn ended(id: &TargetId, failed: Option<Reason>) -> String {
    line(&Event::Ended {
        schema_version: json::SCHEMA_VERSION,
        id: id.to_string(),
        status: if failed.is_some() { "failed" } else { "observed" },
        reason: failed.map(Reason::as_str),
        summary: failed.map(Reason::summary),
    })
}

fn line(event: &Event) -> String {
    // Strings and numbers under string keys always serialize.
    let mut text = escape_json(&serde_json::to_string(event).unwrap_or_default());
    text.push('\n');
    text
}
