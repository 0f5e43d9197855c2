//! The report as GitHub workflow commands, which become annotations.
//!
//! GitHub keeps ten annotations of each type from a step and drops the rest without a word; the rest belongs into the step
//! summary, which the Markdown report is made for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fold::fold;
use super::{terminal, words};
use crate::diagnose::{Diagnosis, Finding, Hotspot, Status, Subject};
use crate::model::{CodeLine, SpawnLocation};
use crate::playbook::Severity;

/// Annotations of one type that a step may have.
const PER_TYPE: usize = 10;

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let findings = diagnosis.hotspots.iter().flat_map(|hotspot| hotspot.findings.iter().map(move |f| (hotspot, f)));
    let mut text =
        annotations(findings.map(|(hotspot, found)| finding(diagnosis, hotspot, found)).chain(unseen(diagnosis)));
    let why = terminal::escape(&words::why(diagnosis));
    // Writing into a String cannot fail.
    let _ = writeln!(text, "fleetdiag: {}, {why}", words::verdict(diagnosis.verdict));
    text
}

/// As many annotations of each kind as GitHub shows, and how many more there are.
pub(super) fn annotations(annotations: impl Iterator<Item = (&'static str, String)>) -> String {
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut text, mut left_out) = (String::new(), 0);
    for (kind, command) in annotations {
        let used = used.entry(kind).or_default();
        *used += 1;
        if *used > PER_TYPE {
            left_out += 1;
            continue;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{command}");
    }
    if left_out > 0 {
        let _ = writeln!(text, "{} than GitHub shows; see the step summary", words::count(left_out, "more annotation"));
    }
    text
}

fn finding(diagnosis: &Diagnosis, hotspot: &Hotspot, finding: &Finding) -> (&'static str, String) {
    let kind = match finding.severity {
        Severity::Critical => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let targets: Vec<_> = finding.targets.keys().map(ToString::to_string).collect();
    let on = fold(targets.iter().map(String::as_str));
    let title = format!("{} {} on {on}", finding.rule, finding.name);
    let place = words::place(&hotspot.subject);
    let code = diagnosis.code_at(&hotspot.subject);
    let line = super::code::sentence(code).map(|sentence| format!("\n{sentence}")).unwrap_or_default();
    let message = format!("{place}: {}\n{}{line}\ndo: {}", finding.message, finding.evidence, finding.remedy);
    (kind, command(kind, &location(&hotspot.subject, code), &title, &message))
}

/// Hosts of which nothing was seen, in one annotation.
fn unseen(diagnosis: &Diagnosis) -> Option<(&'static str, String)> {
    let failed = diagnosis.targets.iter().filter_map(|target| match &target.status {
        Status::Failed { failure, .. } => Some(format!("{}: {}", target.id, failure.reason.summary())),
        Status::Observed { .. } => None,
    });
    let lines: Vec<_> = failed.collect();
    let title = format!("{} not seen", words::count(lines.len(), "host"));
    (!lines.is_empty()).then(|| ("warning", command("warning", &[], &title, &lines.join("\n"))))
}

/// A place in the repository, where there is one.
pub(super) fn location(subject: &Subject, code: Option<&CodeLine>) -> Vec<(&'static str, String)> {
    let (Some(SpawnLocation { file, line, column, .. }), true) = (subject.location(), words::is_ours(subject)) else {
        return Vec::new();
    };
    // A file that the checkout does not have cannot be annotated.
    let Some(path) = code.map_or(Some(file.as_str()), |code| code.path.as_deref()) else { return Vec::new() };
    let numbers = [("line", *line), ("col", *column)].into_iter().filter(|(_, number)| *number > 0);
    let numbers = numbers.map(|(name, number)| (name, number.to_string()));
    [("file", path.to_owned())].into_iter().chain(numbers).collect()
}

pub(super) fn command(kind: &str, place: &[(&str, String)], title: &str, message: &str) -> String {
    let properties = place.iter().map(|(name, value)| format!("{name}={}", property(value)));
    let properties: Vec<_> = properties.chain([format!("title={}", property(title))]).collect();
    format!("::{kind} {}::{}", properties.join(","), data(message))
}

/// Text as the data of a workflow command. Lines stay lines; other control characters are shown as escapes.
fn data(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(terminal::escape).collect();
    lines.join("\n").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn no_text_ends_its_command_or_begins_another() {
        let command = command("error", &[("file", "a,b::c".to_owned())], "100%\n::", "x\n::error::y");
        assert_eq!(command, "::error file=a%2Cb%3A%3Ac,title=100%25%0A%3A%3A::x%0A::error::y");
    }
}
