//! A comparison for a person.

use anstyle::{AnsiColor, Style};

use super::super::page::{BOLD, DIM, PLAIN, Page, of_severity};
use super::super::terminal::escape;
use super::super::{Options, words};
use crate::diagnose::{Change, Comparison, Kind, SiteFigures};

pub(super) fn render(comparison: &Comparison, options: &Options) -> String {
    let mut page = Page::new(options);
    page.paragraph(0, BOLD, &super::summary(comparison));
    page.labelled(0, "before", 9, DIM, &escape(&super::side(&comparison.before)));
    page.labelled(0, "after", 9, DIM, &escape(&super::side(&comparison.after)));
    for caution in &comparison.cautions {
        page.labelled(0, "caution", 9, of_severity(crate::playbook::Severity::Warning), &escape(&caution.text));
    }
    changes(&mut page, comparison);
    page.finish()
}

/// Every change, or the first ones.
pub(super) fn changes(page: &mut Page, comparison: &Comparison) {
    let shown = page.options.shown(comparison.changes.len());
    comparison.changes.iter().take(shown).for_each(|change| self::change(page, comparison, change));
    let left_out = comparison.changes.len() - shown;
    if left_out > 0 {
        page.blank();
        page.paragraph(0, DIM, &format!("{} not shown, by --top", words::count(left_out, "more change")));
    }
}

fn style(kind: Kind) -> Style {
    match kind {
        Kind::Worse | Kind::New => AnsiColor::Red.on_default().bold(),
        Kind::Better | Kind::Gone => AnsiColor::Green.on_default().bold(),
        Kind::Moved => DIM,
    }
}

fn change(page: &mut Page, comparison: &Comparison, change: &Change) {
    page.blank();
    page.place(0, &change.kind.as_str().to_uppercase(), 8, style(change.kind), &change.subject);
    let mut beside = words::beside(&change.subject);
    beside.extend(super::moved(change));
    if !beside.is_empty() {
        let dot = page.glyph(" · ", " | ");
        page.paragraph(8, DIM, &escape(&beside.join(dot)));
    }
    let code = comparison.code_at(&change.subject);
    super::super::code::human(page, code, 8, 7);
    for finding in &change.findings {
        let label = format!("{} {}", finding.severity.as_str(), finding.name);
        page.labelled(8, &escape(&label), 2, of_severity(finding.severity), &escape(&super::finding(finding)));
    }
    let arrow = page.glyph("→", "->");
    for effect in &change.effects {
        page.labelled(8, effect.figure, 2, PLAIN, &super::effect(effect, arrow));
    }
    if super::says_nothing(change) {
        page.paragraph(8, PLAIN, &super::seen(change, arrow));
    }
    if page.options.verbose {
        for (target, (before, after)) in &change.by_target {
            let text = format!("{} {arrow} {}", host(before.as_ref()), host(after.as_ref()));
            page.labelled(10, &escape(&target.to_string()), 2, DIM, &text);
        }
    }
}

fn host(figures: Option<&SiteFigures>) -> String {
    let Some(figures) = figures else { return "not seen".to_owned() };
    format!("{} alive, {} polls", words::grouped(figures.alive), words::grouped(figures.polls))
}
