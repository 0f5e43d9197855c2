//! A sweep for a person: what it came to, what changed, what keeps growing, and a line for each host.

use super::fold::fold;
use super::page::{BOLD, DIM, PLAIN, Page, of_severity, of_verdict};
use super::terminal::escape;
use super::{Options, comparison, words};
use crate::diagnose::{Comparison, Diagnosis, FleetSite, Subject, Trends};
use crate::playbook::Severity;

/// A sweep beside what was known before.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// What was seen now.
    pub diagnosis: &'a Diagnosis,
    /// Against the last sweep, where there is one.
    pub since: Option<&'a Comparison>,
}

/// Renders a sweep for a person.
#[must_use]
pub fn sweep(sweep: &Sweep<'_>, options: &Options) -> String {
    let mut page = Page::new(options);
    let Sweep { diagnosis, since } = *sweep;
    let verdict = words::verdict(diagnosis.verdict).to_uppercase();
    page.labelled(0, &verdict, 0, of_verdict(diagnosis.verdict), &escape(&words::why(diagnosis)));
    let facts = [words::coverage(&diagnosis.coverage), diagnosis.run.started.clone()];
    let dot = page.glyph(" · ", " | ");
    page.paragraph(0, DIM, &escape(&facts.join(dot)));
    page.blank();
    match since {
        None => page.paragraph(0, PLAIN, "The first sweep: there is nothing to compare it with."),
        Some(since) => comparison::changes_since(&mut page, since),
    }
    growing(&mut page, diagnosis);
    super::human::hosts(&mut page, diagnosis);
    page.finish()
}

fn growing(page: &mut Page, diagnosis: &Diagnosis) {
    let Trends { growths, runs } = &diagnosis.trends;
    if growths.is_empty() {
        return;
    }
    page.blank();
    page.paragraph(0, BOLD, &format!("Growing over the last {runs} sweeps"));
    let arrow = page.glyph(" → ", " -> ");
    for growth in growths.iter().take(page.options.shown(growths.len())) {
        let subject = Subject::Site(FleetSite::clone(&growth.site));
        page.labelled_in(2, "LEAK?", 7, of_severity(Severity::Warning), &escape(&words::place(&subject)), BOLD);
        super::code::human(page, diagnosis.code_at(&subject), 9, 6);
        let targets: Vec<_> = growth.targets.keys().map(ToString::to_string).collect();
        let on = fold(targets.iter().map(String::as_str));
        let text = format!("{} tasks more, in every sweep more than before, on {on}", words::grouped(growth.gained()));
        page.paragraph(9, PLAIN, &escape(&text));
        for (target, counts) in &growth.targets {
            let counts: Vec<_> = counts.iter().map(|count| words::grouped(*count)).collect();
            page.labelled(9, &escape(&target.to_string()), 2, DIM, &counts.join(arrow));
        }
    }
}
