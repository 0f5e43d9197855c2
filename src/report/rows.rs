//! Sites as rows for a database: one per run, host and spawn site.

use std::collections::BTreeMap;

use serde::Serialize;

use super::terminal::escape_json;
use super::words;
use crate::diagnose::{Diagnosis, FleetSite, SiteFigures, Status, Subject};
use crate::model::{Origin, TargetId};

/// Every column is always there, so that a reader finds the same schema in every file.
#[derive(Serialize)]
struct Row<'a> {
    run: &'a str,
    host: &'a str,
    target: String,
    service: &'a str,
    partial: bool,
    window_seconds: f64,
    site: String,
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    origin: Option<&'static str>,
    kind: &'a str,
    fn_name: Option<&'a str>,
    task_name: Option<&'a str>,
    alive: u64,
    completed: u64,
    born: u64,
    died: u64,
    running: u64,
    woken: u64,
    never_polled: u64,
    polls: u64,
    wakes: u64,
    self_wakes: u64,
    busy_seconds: f64,
    scheduled_seconds: f64,
    longest_poll_seconds: f64,
    rules: Vec<&'a str>,
}

/// The rows of a run, each a line of JSON.
#[must_use]
pub fn rows(diagnosis: &Diagnosis) -> String {
    let seen: BTreeMap<&TargetId, (bool, f64)> = diagnosis
        .targets
        .iter()
        .filter_map(|target| match &target.status {
            Status::Observed { partial, window, .. } => Some((&target.id, (*partial, window.length().as_secs_f64()))),
            Status::Failed { .. } => None,
        })
        .collect();
    let rules = rules(diagnosis);
    let mut text = String::new();
    for site in &diagnosis.sites {
        for (id, figures) in &site.by_target {
            let (partial, window) = seen.get(id).copied().unwrap_or_default();
            let rules = rules.get(&(&site.site, id)).cloned().unwrap_or_default();
            let row = row(diagnosis, &site.site, id, figures);
            let row = Row { partial, window_seconds: window, rules, ..row };
            // Strings and numbers under string keys always serialize.
            text.push_str(&escape_json(&serde_json::to_string(&row).unwrap_or_default()));
            text.push('\n');
        }
    }
    text
}

/// The names of the rules that found something, by site and target.
fn rules(diagnosis: &Diagnosis) -> BTreeMap<(&FleetSite, &TargetId), Vec<&str>> {
    let mut rules: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for hotspot in &diagnosis.hotspots {
        let Subject::Site(site) = &hotspot.subject else { continue };
        for finding in &hotspot.findings {
            for id in finding.targets.keys() {
                rules.entry((site, id)).or_default().push(&finding.name);
            }
        }
    }
    rules
}

fn row<'a>(diagnosis: &'a Diagnosis, site: &'a FleetSite, id: &'a TargetId, figures: &SiteFigures) -> Row<'a> {
    let location = site.site.location.as_ref();
    let known = |number: u32| (number > 0).then_some(number);
    let origin = |origin: &Origin| match origin {
        Origin::App => "app",
        Origin::Dependency { .. } => "dependency",
        Origin::Runtime { .. } => "runtime",
        Origin::Std => "std",
    };
    Row {
        run: &diagnosis.run.started,
        host: id.host.as_str(),
        target: id.to_string(),
        service: &site.service.0,
        partial: false,
        window_seconds: 0.0,
        site: words::place(&Subject::Site(site.clone())),
        file: location.map(|at| at.file.as_str()),
        line: location.and_then(|at| known(at.line)),
        column: location.and_then(|at| known(at.column)),
        origin: location.map(|at| origin(&at.origin)),
        kind: site.site.kind.as_str(),
        fn_name: site.site.fn_name.as_deref(),
        task_name: site.site.name.as_deref(),
        alive: figures.alive,
        completed: figures.completed,
        born: figures.born,
        died: figures.died,
        running: figures.running,
        woken: figures.woken,
        never_polled: figures.never_polled,
        polls: figures.polls,
        wakes: figures.wakes,
        self_wakes: figures.self_wakes,
        busy_seconds: figures.busy.as_secs_f64(),
        scheduled_seconds: figures.scheduled.as_secs_f64(),
        longest_poll_seconds: figures.longest_poll.as_secs_f64(),
        rules: Vec::new(),
    }
}
