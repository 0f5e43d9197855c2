//! The report for a person: verdict, hotspots, contention, outliers, hosts, data quality.

mod hosts;
mod peers;

use std::collections::BTreeSet;

use super::fold::fold;
use super::page::{BOLD, DIM, Page, of_severity, of_verdict};
use super::terminal::escape;
use super::{Options, code, words};
use crate::diagnose::{Diagnosis, Finding, Hotspot, Subject};
use crate::playbook::Severity;
pub(super) use hosts::hosts;

/// Columns of the labels inside a hotspot.
const LABEL: usize = 7;

pub(super) fn render(diagnosis: &Diagnosis, options: &Options) -> String {
    let mut page = Page::new(options);
    headline(&mut page, diagnosis);
    hotspots(&mut page, diagnosis);
    super::set_aside::human(&mut page, diagnosis);
    peers::contention(&mut page, diagnosis);
    peers::outliers(&mut page, diagnosis);
    hosts(&mut page, diagnosis);
    unjudged(&mut page, diagnosis);
    quality(&mut page, diagnosis);
    page.finish()
}

fn headline(page: &mut Page, diagnosis: &Diagnosis) {
    let verdict = words::verdict(diagnosis.verdict).to_uppercase();
    let why = words::why(diagnosis);
    page.labelled(0, &verdict, 0, of_verdict(diagnosis.verdict), &why);
    let coverage = &diagnosis.coverage;
    let facts = [
        words::coverage(coverage),
        words::count(usize::try_from(coverage.tasks).unwrap_or(usize::MAX), "task"),
        format!("{:?} window", diagnosis.run.window),
        escape(&diagnosis.run.started),
    ];
    let dot = page.glyph(" · ", " | ");
    page.paragraph(0, DIM, &facts.join(dot));
}

fn hotspots(page: &mut Page, diagnosis: &Diagnosis) {
    let shown = &diagnosis.hotspots[..page.options.shown(diagnosis.hotspots.len())];
    // What another place explains stands beneath it, where that is shown and was ranked before.
    let beneath = |at: usize, hotspot: &Hotspot| {
        let explanation = hotspot.explained_by.as_ref().filter(|_| !page.options.verbose)?;
        shown[..at].iter().position(|other| other.subject == explanation.cause)
    };
    let causes: Vec<_> = shown.iter().enumerate().map(|(at, hotspot)| beneath(at, hotspot)).collect();
    for (index, hotspot) in shown.iter().enumerate().filter(|(index, _)| causes[*index].is_none()) {
        page.blank();
        place(page, 0, index + 1, hotspot);
        code::human(page, diagnosis.code_at(&hotspot.subject), 4, LABEL + 2);
        times(page, diagnosis, hotspot);
        for finding in &hotspot.findings {
            self::finding(page, 4, finding, hotspot.explained_by.is_some());
        }
        let effects = shown.iter().enumerate().filter(|(effect, _)| causes[*effect] == Some(index));
        for (effect, hotspot) in effects {
            place(page, 4, effect + 1, hotspot);
            hotspot.findings.iter().for_each(|finding| self::finding(page, 8, finding, true));
        }
    }
    let left_out = diagnosis.hotspots.len() - shown.len();
    if left_out > 0 {
        page.blank();
        page.paragraph(0, DIM, &format!("{} not shown, by --top", words::count(left_out, "more place")));
    }
}

fn place(page: &mut Page, indent: usize, number: usize, hotspot: &Hotspot) {
    let number = format!("{number}.");
    page.place(indent, &number, 4, DIM, &hotspot.subject);
    let mut beside = words::beside(&hotspot.subject);
    if page.options.verbose {
        beside.push(hotspot.rank_reason.clone());
    }
    if !beside.is_empty() {
        let dot = page.glyph(" · ", " | ");
        page.paragraph(indent + 4, DIM, &escape(&beside.join(dot)));
    }
    for related in &hotspot.related {
        page.labelled(indent + 4, page.glyph("↳", "->"), 2, DIM, &escape(related));
    }
}

/// How long the polls of the place take, and how long its tasks wait for theirs.
fn times(page: &mut Page, diagnosis: &Diagnosis, hotspot: &Hotspot) {
    let Subject::Site(site) = &hotspot.subject else { return };
    let Some(report) = diagnosis.sites.iter().find(|report| report.site == *site) else { return };
    for (label, times) in [("polls", &report.polls), ("waits", &report.scheduled)] {
        let Some(times) = times else { continue };
        let spark = page.spark(&times.bars);
        let text = format!("{spark} p50 {:.1?}, p99 {:.1?}, max {:.1?}", times.p50, times.p99, times.max);
        page.labelled(4, label, LABEL + 2, DIM, &text);
    }
}

fn finding(page: &mut Page, indent: usize, finding: &Finding, is_consequence: bool) {
    let label = format!("{} {}", finding.severity.as_str().to_uppercase(), finding.name);
    page.labelled(indent, &escape(&label), 2, of_severity(finding.severity), &escape(&finding.message));
    let targets: Vec<_> = finding.targets.keys().map(ToString::to_string).collect();
    let of = format!("({} of {})", targets.len(), finding.targets_in_service);
    let on = format!("{} {of}", escape(&fold(targets.iter().map(String::as_str))));
    page.labelled(indent + 2, "on", LABEL, DIM, &on);
    page.labelled(indent + 2, "seen", LABEL, DIM, &escape(&finding.evidence));
    for cap in &finding.caps {
        page.labelled(
            indent + 2,
            "but",
            LABEL,
            DIM,
            &escape(&format!("{} confidence: {cap}", finding.confidence.as_str())),
        );
    }
    // What is only worth knowing takes little room, and so does what its cause has said already.
    if (finding.severity == Severity::Info || is_consequence) && !page.options.verbose {
        return;
    }
    page.labelled(indent + 2, "do", LABEL, DIM, &escape(&finding.remedy));
    let checks = if page.options.verbose { usize::MAX } else { 1 };
    for check in finding.next_checks.iter().take(checks) {
        page.labelled(indent + 2, "next", LABEL, DIM, &escape(check));
    }
    if page.options.verbose {
        let reference = finding.reference.iter().map(|url| format!(", {url}")).collect::<String>();
        page.labelled(indent + 2, "rule", LABEL, DIM, &escape(&format!("{}{reference}", finding.rule)));
    }
}

fn unjudged(page: &mut Page, diagnosis: &Diagnosis) {
    if diagnosis.unjudged.is_empty() {
        return;
    }
    page.blank();
    page.paragraph(0, BOLD, "Rules that could not be judged");
    // Those about surroundings are missing together, and each host says why.
    let (surroundings, others): (Vec<_>, Vec<_>) = diagnosis.unjudged.iter().partition(|rule| rule.of_surroundings);
    for rule in others {
        let text = format!("{} {}: {}", rule.rule.0, rule.name, words::unjudged(rule));
        page.item(&escape(&text));
    }
    if !surroundings.is_empty() {
        let names: Vec<_> = surroundings.iter().map(|rule| escape(&rule.name)).collect();
        let targets: BTreeSet<_> =
            surroundings.iter().flat_map(|rule| &rule.targets).map(ToString::to_string).collect();
        let on = fold(targets.iter().map(String::as_str));
        let why = "what they look at could not be read there (`-v` says why); they do not count";
        page.item(&format!("{}: {why}, on {}", names.join(", "), escape(&on)));
    }
}

fn quality(page: &mut Page, diagnosis: &Diagnosis) {
    let by_text = words::anomalies(diagnosis);
    if by_text.is_empty() {
        return;
    }
    page.blank();
    page.paragraph(0, BOLD, "Limits of what was seen");
    for (text, targets) in by_text {
        let on = fold(targets.iter().map(String::as_str));
        page.item(&format!("{}: {}", escape(&on), escape(&text)));
    }
}
