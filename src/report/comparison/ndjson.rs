//! A comparison as JSON lines: what is compared, each change, then how many there are.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::terminal::escape_json;
use super::json::{self, Caution, ChangeJson, SideJson};
use crate::diagnose::Comparison;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant)] // one lives at a time
enum Event<'a> {
    Comparison { schema_version: u32, before: SideJson<'a>, after: SideJson<'a>, cautions: Vec<Caution<'a>> },
    Change(ChangeJson<'a>),
    Summary { changes: BTreeMap<&'static str, usize>, unchanged: usize, failing: usize, exit_code: u8 },
}

pub(super) fn render(comparison: &Comparison) -> String {
    let head = Event::Comparison {
        schema_version: json::SCHEMA_VERSION,
        before: json::side(&comparison.before),
        after: json::side(&comparison.after),
        cautions: json::cautions(comparison),
    };
    let changes = comparison.changes.iter().map(|change| Event::Change(json::change(comparison, change)));
    let summary = Event::Summary {
        changes: super::KINDS.iter().map(|kind| (kind.as_str(), comparison.count(*kind))).collect(),
        unchanged: comparison.unchanged,
        failing: comparison.failing().count(),
        exit_code: comparison.exit_code(),
    };
    let mut text = String::new();
    for event in [head].into_iter().chain(changes).chain([summary]) {
        // Strings and finite numbers under string keys always serialize.
        text.push_str(&escape_json(&serde_json::to_string(&event).unwrap_or_default()));
        text.push('\n');
    }
    text
}
