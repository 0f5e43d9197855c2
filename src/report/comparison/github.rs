//! A comparison as annotations of a GitHub workflow: errors for what fails it, warnings for what is worse or new, notices for
//! the rest.

use super::super::github::{annotations, command, location};
use super::super::words;
use crate::diagnose::{Change, Comparison, Kind};

pub(super) fn render(comparison: &Comparison) -> String {
    let cautions = comparison
        .cautions
        .iter()
        .map(|caution| ("warning", command("warning", &[], "hard to compare", &caution.text)));
    let changes = comparison.changes.iter().map(|change| annotation(comparison, change));
    let mut text = annotations(cautions.chain(changes));
    text.push_str(&format!("fleetdiag diff: {}\n", super::summary(comparison)));
    text
}

fn annotation(comparison: &Comparison, change: &Change) -> (&'static str, String) {
    let kind = match change.kind {
        _ if comparison.fails(change) => "error",
        Kind::Worse | Kind::New => "warning",
        Kind::Better | Kind::Gone | Kind::Moved => "notice",
    };
    let place = [vec![words::place(&change.subject)], words::beside(&change.subject)].concat().join(", ");
    let code = comparison.code_at(&change.subject);
    let line = super::super::code::sentence(code).into_iter().collect();
    let lines = [vec![place], super::sentences(change), line].concat().join("\n");
    // What is gone has no line in the code that is checked out.
    let at = if change.kind == Kind::Gone { Vec::new() } else { location(&change.subject, code) };
    (kind, command(kind, &at, &title(change), &lines))
}

fn title(change: &Change) -> String {
    let names: Vec<_> = change.findings.iter().map(|finding| finding.name.as_str()).collect();
    [vec![change.kind.as_str()], names].concat().join(" ")
}
