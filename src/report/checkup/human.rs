//! Checkups for a person.

use std::collections::BTreeSet;

use anstyle::{AnsiColor, Style};

use super::super::page::{BOLD, DIM, Page};
use super::super::terminal::escape;
use super::{seen, summary, todo};
use crate::diagnose::{Checkup, Checkups, Fact, Mark, Step};
use crate::report::Options;

/// Columns of a mark, and of a mark with its stage.
const MARK: usize = 8;
const LABEL: usize = MARK + 14;

pub(super) fn render(checkups: &Checkups, options: &Options) -> String {
    let mut page = Page::new(options);
    let clients: BTreeSet<_> = checkups.checkups.iter().flat_map(|checkup| &checkup.steps).filter_map(client).collect();
    for client in clients {
        page.paragraph(0, DIM, &escape(client));
        page.blank();
    }
    for checkup in &checkups.checkups {
        way(&mut page, checkup);
        page.blank();
    }
    page.paragraph(0, BOLD, &summary(checkups));
    page.finish()
}

fn way(page: &mut Page, checkup: &Checkup) {
    let target = &checkup.target;
    let service = if target.service.0.is_empty() { String::new() } else { format!(", service {}", target.service.0) };
    page.labelled(0, &escape(&target.id.to_string()), 0, BOLD, &escape(&format!("{}{service}", target.endpoint)));
    let mut last = None;
    let shown = |step: &&Step| step.mark != Mark::Unseen && client(step).is_none();
    for step in checkup.steps.iter().filter(shown) {
        let stage = if last == Some(step.stage) { "" } else { step.stage.as_str() };
        last = Some(step.stage);
        let label = format!("{:MARK$}{stage}", step.mark.as_str().to_uppercase());
        page.labelled(2, label.trim_end(), LABEL, style(step.mark), &escape(&seen(step)));
    }
    let unseen: Vec<_> = checkup.steps.iter().filter(|step| step.mark == Mark::Unseen).collect();
    if !unseen.is_empty() {
        let stages: Vec<_> = unseen.iter().map(|step| step.stage.as_str()).collect();
        let label = Mark::Unseen.as_str().to_uppercase();
        page.labelled_in(2, &label, MARK, DIM, &format!("{}: not reached", stages.join(", ")), DIM);
    }
    for (number, advice) in todo(checkup).iter().enumerate() {
        let label = if number == 0 { "DO" } else { "" };
        page.labelled(2, label, MARK, BOLD, &escape(advice));
    }
}

/// This machine's own `ssh`, which is the same for all.
fn client(step: &Step) -> Option<&str> {
    match &step.fact {
        Fact::Client(version) => Some(version),
        _ => None,
    }
}

fn style(mark: Mark) -> Style {
    match mark {
        Mark::Ok => AnsiColor::Green.on_default(),
        Mark::Note => AnsiColor::Cyan.on_default(),
        Mark::Warn => AnsiColor::Yellow.on_default().bold(),
        Mark::Fail => AnsiColor::Red.on_default().bold(),
        Mark::Unseen => DIM,
    }
}
