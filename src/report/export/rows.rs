//! Sites as rows: one per run, host and spawn site. One table says what the columns are, in every format.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::super::terminal::escape_json;
use super::super::words;
use crate::diagnose::{Diagnosis, FleetSite, SiteFigures, SiteReport, Status, Subject};
use crate::model::{Origin, TargetId};
use crate::playbook::Severity;

/// One site on one target in one run.
pub(super) struct Row<'a> {
    pub diagnosis: &'a Diagnosis,
    pub target: String,
    pub id: &'a TargetId,
    pub site: &'a FleetSite,
    pub place: String,
    pub figures: &'a SiteFigures,
    partial: bool,
    window: u128,
    severity: Option<Severity>,
    rules: Vec<&'a str>,
}

/// How a column's value is taken from a row. Durations are whole nanoseconds.
pub(super) enum Column {
    /// An instant in UTC.
    Time(fn(&Row<'_>) -> String),
    Text(for<'r> fn(&'r Row<'_>) -> &'r str),
    /// Text that is not always known.
    Known(for<'r> fn(&'r Row<'_>) -> Option<&'r str>),
    Texts(for<'r> fn(&'r Row<'_>) -> Vec<&'r str>),
    Count(fn(&Row<'_>) -> u64),
    /// A number that is not always known.
    Number(fn(&Row<'_>) -> Option<u32>),
    Nanoseconds(fn(&Row<'_>) -> u128),
    Flag(fn(&Row<'_>) -> bool),
}

/// Every column is always there, so that a reader finds the same schema in every file.
pub(super) const COLUMNS: &[(&str, Column)] = &[
    ("run", Column::Time(|row| row.diagnosis.run.started.clone())),
    ("host", Column::Text(|row| row.id.host.as_str())),
    ("target", Column::Text(|row| &row.target)),
    ("service", Column::Text(|row| &row.site.service.0)),
    ("partial", Column::Flag(|row| row.partial)),
    ("window_ns", Column::Nanoseconds(|row| row.window)),
    ("site", Column::Text(|row| &row.place)),
    ("file", Column::Known(|row| row.site.site.location.as_ref().map(|at| at.file.as_str()))),
    ("line", Column::Number(|row| row.site.site.location.as_ref().map(|at| at.line).filter(is_known))),
    ("column", Column::Number(|row| row.site.site.location.as_ref().map(|at| at.column).filter(is_known))),
    ("origin", Column::Known(|row| row.site.site.location.as_ref().map(|at| origin(&at.origin)))),
    ("kind", Column::Text(|row| row.site.site.kind.as_str())),
    ("fn_name", Column::Known(|row| row.site.site.fn_name.as_deref())),
    ("task_name", Column::Known(|row| row.site.site.name.as_deref())),
    ("alive", Column::Count(|row| row.figures.alive)),
    ("completed", Column::Count(|row| row.figures.completed)),
    ("born", Column::Count(|row| row.figures.born)),
    ("died", Column::Count(|row| row.figures.died)),
    ("running", Column::Count(|row| row.figures.running)),
    ("woken", Column::Count(|row| row.figures.woken)),
    ("never_polled", Column::Count(|row| row.figures.never_polled)),
    ("polls", Column::Count(|row| row.figures.polls)),
    ("wakes", Column::Count(|row| row.figures.wakes)),
    ("self_wakes", Column::Count(|row| row.figures.self_wakes)),
    ("busy_ns", Column::Nanoseconds(|row| row.figures.busy.as_nanos())),
    ("scheduled_ns", Column::Nanoseconds(|row| row.figures.scheduled.as_nanos())),
    ("idle_ns", Column::Nanoseconds(|row| row.figures.idle.as_nanos())),
    ("longest_poll_ns", Column::Nanoseconds(|row| row.figures.longest_poll.as_nanos())),
    ("severity", Column::Known(|row| row.severity.map(Severity::as_str))),
    ("rules", Column::Texts(|row| row.rules.clone())),
];

/// Lines and columns count from 1; 0 where the target did not say.
fn is_known(number: &u32) -> bool {
    *number > 0
}

fn origin(origin: &Origin) -> &'static str {
    match origin {
        Origin::App => "app",
        Origin::Dependency { .. } => "dependency",
        Origin::Runtime { .. } => "runtime",
        Origin::Std => "std",
    }
}

/// A count as databases hold them, signed: none is so large in earnest.
pub(super) fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// The rows of a run, ordered by site, then target.
pub(super) fn rows(diagnosis: &Diagnosis) -> Vec<Row<'_>> {
    let seen: BTreeMap<&TargetId, (bool, u128)> = diagnosis
        .targets
        .iter()
        .filter_map(|target| match &target.status {
            Status::Observed { partial, window, .. } => Some((&target.id, (*partial, window.length().as_nanos()))),
            Status::Failed { .. } => None,
        })
        .collect();
    let found = found(diagnosis);
    let mut rows = Vec::new();
    for SiteReport { site, by_target, .. } in &diagnosis.sites {
        let place = words::place(&Subject::Site(site.clone()));
        for (id, figures) in by_target {
            let (partial, window) = seen.get(id).copied().unwrap_or_default();
            let (severity, rules) = found.get(&(site, id)).cloned().unwrap_or_default();
            let (target, place) = (id.to_string(), place.clone());
            rows.push(Row { diagnosis, target, id, site, place, figures, partial, window, severity, rules });
        }
    }
    rows
}

/// The worst severity and the names of the rules that found something, by site and target.
type Found<'a> = BTreeMap<(&'a FleetSite, &'a TargetId), (Option<Severity>, Vec<&'a str>)>;

fn found(diagnosis: &Diagnosis) -> Found<'_> {
    let mut found = Found::new();
    for hotspot in &diagnosis.hotspots {
        let Subject::Site(site) = &hotspot.subject else { continue };
        for finding in &hotspot.findings {
            for id in finding.targets.keys() {
                let (worst, rules) = found.entry((site, id)).or_default();
                *worst = (*worst).max(Some(finding.severity));
                rules.push(&finding.name);
            }
        }
    }
    found
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(Some(COLUMNS.len()))?;
        for (name, column) in COLUMNS {
            match column {
                Column::Time(value) => line.serialize_entry(name, &value(self)),
                Column::Text(value) => line.serialize_entry(name, value(self)),
                Column::Known(value) => line.serialize_entry(name, &value(self)),
                Column::Texts(value) => line.serialize_entry(name, &value(self)),
                Column::Count(value) => line.serialize_entry(name, &signed(value(self))),
                Column::Number(value) => line.serialize_entry(name, &value(self)),
                Column::Nanoseconds(value) => line.serialize_entry(name, &signed(value(self))),
                Column::Flag(value) => line.serialize_entry(name, &value(self)),
            }?;
        }
        line.end()
    }
}

/// The rows of a run, each a line of JSON.
#[must_use]
pub fn lines(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for row in rows(diagnosis) {
        // Strings and numbers under string keys always serialize.
        text.push_str(&escape_json(&serde_json::to_string(&row).unwrap_or_default()));
        text.push('\n');
    }
    text
}
