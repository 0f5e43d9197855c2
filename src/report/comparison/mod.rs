//! A comparison of two runs becomes text.

mod github;
mod html;
mod human;
mod json;
mod junit;
mod markdown;
mod nagios;
mod ndjson;
mod openmetrics;
mod sarif;

use super::fold::fold;
use super::page::{BOLD, Page};
use super::{Format, Options, terminal, words};
use crate::diagnose::{Change, Comparison, Effect, FindingChange, Kind, Side, SiteFigures, Told};

/// Renders `comparison` in `format`.
#[must_use]
pub fn render(format: Format, comparison: &Comparison, options: &Options) -> String {
    match format {
        Format::Human => human::render(comparison, options),
        Format::Json => json::render(comparison),
        Format::Ndjson => ndjson::render(comparison),
        Format::Html => html::render(comparison),
        Format::Markdown => markdown::render(comparison, options),
        Format::Junit => junit::render(comparison),
        Format::Sarif => sarif::render(comparison),
        Format::Github => github::render(comparison),
        Format::Openmetrics => openmetrics::render(comparison),
        Format::Nagios => nagios::render(comparison),
    }
}

/// What is not as it was in the last run: a line that says how much, then each change.
pub(super) fn changes_since(page: &mut Page, comparison: &Comparison) {
    let since = format!("Since {}: {}", terminal::escape(&comparison.before.run.started), summary(comparison));
    page.paragraph(0, BOLD, &since);
    human::changes(page, comparison);
}

const KINDS: [Kind; 5] = [Kind::Worse, Kind::New, Kind::Better, Kind::Gone, Kind::Moved];

/// `2 worse, 1 moved, 7 unchanged`.
fn summary(comparison: &Comparison) -> String {
    let mut parts: Vec<_> = KINDS
        .iter()
        .map(|kind| (comparison.count(*kind), kind.as_str()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", words::grouped(count as u64)))
        .collect();
    parts.push(format!("{} unchanged", words::grouped(comparison.unchanged as u64)));
    parts.join(", ")
}

fn side(side: &Side) -> String {
    format!("{}, {}, {:?} window", side.run.started, words::coverage(&side.coverage), side.run.window)
}

/// Where a place was before it moved.
fn moved(change: &Change) -> Option<String> {
    change.moved_from.as_ref().map(|before| format!("was {}", words::place(before)))
}

/// What happened to a finding, with its numbers on both sides.
fn finding(finding: &FindingChange) -> String {
    match (&finding.before, &finding.after) {
        (Some(before), Some(after)) => {
            format!("{}: {}; before: {}", finding.kind.as_str(), told(after), told(before))
        }
        (None, Some(after)) => format!("new: {}", told(after)),
        (Some(before), None) => format!("gone; before: {}", told(before)),
        (None, None) => finding.kind.as_str().to_owned(),
    }
}

fn told(told: &Told) -> String {
    let targets: Vec<_> = told.targets.iter().map(ToString::to_string).collect();
    let on = fold(targets.iter().map(String::as_str));
    format!("{} on {on} ({} of {})", told.message, targets.len(), told.targets_in_service)
}

/// A figure on both sides, how much it changed, and how many hosts agree.
fn effect(effect: &Effect, arrow: &str) -> String {
    let Effect { before, after, agree, of, paired, .. } = *effect;
    let factor = if before > 0.0 && after > 0.0 {
        let (factor, sign) = if after >= before { (after / before, "x") } else { (before / after, "1/") };
        if sign == "x" { format!(", x{factor:.1}") } else { format!(", 1/{factor:.1}") }
    } else {
        String::new()
    };
    let agreement = if paired { "hosts" } else { "pairs of hosts" };
    format!("{} {arrow} {} a host{factor}, on {agree} of {of} {agreement}", number(before), number(after))
}

/// A place that came or went without anything found there.
fn says_nothing(change: &Change) -> bool {
    change.effects.is_empty() && change.findings.is_empty() && change.kind != Kind::Moved
}

/// All that changed at a place, a sentence each; never empty.
fn sentences(change: &Change) -> Vec<String> {
    let findings =
        change.findings.iter().map(|found| format!("{} {}: {}", found.severity.as_str(), found.name, finding(found)));
    let figures = change.effects.iter().map(|effect| format!("{}: {}", effect.figure, self::effect(effect, "→")));
    let sentences: Vec<_> = findings.chain(figures).chain(moved(change)).collect();
    if sentences.is_empty() { vec![seen(change, "→")] } else { sentences }
}

/// Its tasks on all hosts together.
fn seen(change: &Change, arrow: &str) -> String {
    let tasks = |figures: &SiteFigures| figures.alive + figures.completed;
    let before: u64 = change.by_target.values().filter_map(|(before, _)| before.as_ref()).map(tasks).sum();
    let after: u64 = change.by_target.values().filter_map(|(_, after)| after.as_ref()).map(tasks).sum();
    format!("{} {arrow} {} tasks seen", words::grouped(before), words::grouped(after))
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.1}"),
        // Past any count that a host can have; the cast saturates.
        _ => words::grouped(value.round() as u64),
    }
}
