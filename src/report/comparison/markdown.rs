//! A comparison as GitHub-flavoured Markdown.

use std::fmt::Write as _;

use super::super::markdown::{cell, code, escape, mark};
use super::super::{Options, words};
use crate::diagnose::{Change, Comparison, Kind};

pub(super) fn render(comparison: &Comparison, options: &Options) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write(&mut text, comparison, options);
    text
}

fn write(text: &mut String, comparison: &Comparison, options: &Options) -> std::fmt::Result {
    writeln!(text, "## fleetdiag diff: {}\n", super::summary(comparison))?;
    writeln!(text, "- before: {}", escape(&super::side(&comparison.before)))?;
    writeln!(text, "- after: {}", escape(&super::side(&comparison.after)))?;
    for caution in &comparison.cautions {
        writeln!(text, "- ⚠️ {}", escape(&caution.text))?;
    }
    if comparison.changes.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n| | where | what |\n| --- | --- | --- |")?;
    let shown = options.shown(comparison.changes.len());
    for change in comparison.changes.iter().take(shown) {
        let cells = [kind(change.kind).to_owned(), place(comparison, change), what(change)];
        writeln!(text, "| {} |", cells.map(|markdown| cell(&markdown)).join(" | "))?;
    }
    let left_out = comparison.changes.len() - shown;
    if left_out > 0 {
        writeln!(text, "\n{} not shown, by `--top`.", words::count(left_out, "more change"))?;
    }
    Ok(())
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Worse => "🔴 worse",
        Kind::New => "🔴 new",
        Kind::Better => "🟢 better",
        Kind::Gone => "🟢 gone",
        Kind::Moved => "⚪ moved",
    }
}

fn place(comparison: &Comparison, change: &Change) -> String {
    let mut beside = words::beside(&change.subject);
    beside.extend(super::moved(change));
    let beside: String = beside.iter().map(|word| format!(", {}", escape(word))).collect();
    let at = comparison.code_at(&change.subject);
    let lines: String = super::super::code::markdown(at).iter().map(|line| format!(", {line}")).collect();
    format!("{}{beside}{lines}", code(&words::place(&change.subject)))
}

fn what(change: &Change) -> String {
    let findings = change.findings.iter().map(|finding| {
        format!("{} {} {}", mark(finding.severity), escape(&finding.name), escape(&super::finding(finding)))
    });
    let effects = change.effects.iter().map(|effect| format!("{}: {}", effect.figure, super::effect(effect, "→")));
    let seen = super::says_nothing(change).then(|| super::seen(change, "→"));
    findings.chain(effects).chain(seen).collect::<Vec<_>>().join("; ")
}
