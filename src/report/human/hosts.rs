//! The hosts of a report for a person: odd ones by themselves, many healthy ones in one line.

use super::super::fold::fold;
use super::super::page::{BOLD, DIM, PLAIN, Page, of_severity};
use super::super::terminal::escape;
use super::super::words;
use crate::diagnose::{self, Counts, Diagnosis, Status, TargetReport};
use crate::playbook::Severity;

/// More healthy hosts than this become one line.
const HOSTS_BY_THEMSELVES: usize = 8;

/// Columns of the bar of a host's tasks by state.
const BAR: usize = 10;

/// Narrower reports have no bars.
const ROOM_FOR_BARS: usize = 90;

pub(in crate::report) fn hosts(page: &mut Page, diagnosis: &Diagnosis) {
    page.blank();
    page.paragraph(0, BOLD, "Hosts");
    let quiet = |target: &&TargetReport| {
        let is_odd = |context| diagnose::surroundings(context).iter().any(|figure| figure.is_odd);
        matches!(&target.status, Status::Observed { partial: false, findings, .. } if findings.is_empty())
            && !target.context.as_ref().is_some_and(is_odd)
    };
    let fold_quiet = !page.options.verbose && diagnosis.targets.iter().filter(quiet).count() > HOSTS_BY_THEMSELVES;
    let (folded, single): (Vec<_>, Vec<_>) = diagnosis.targets.iter().partition(|target| fold_quiet && quiet(target));
    let width = single.iter().map(|target| target.id.to_string().chars().count()).max().unwrap_or(0).clamp(8, 32) + 2;
    for target in &single {
        host(page, target, width);
    }
    let observed = |target: &&TargetReport| matches!(target.status, Status::Observed { .. });
    if page.options.width >= ROOM_FOR_BARS && single.iter().any(observed) {
        key(page);
    }
    if !folded.is_empty() {
        let ids: Vec<_> = folded.iter().map(|target| target.id.to_string()).collect();
        let text = format!("{} ({}): nothing found", escape(&fold(ids.iter().map(String::as_str))), ids.len());
        page.item(&text);
    }
}

fn host(page: &mut Page, target: &TargetReport, width: usize) {
    observed(page, target, width);
    surroundings(page, target, width);
}

/// What surrounds the program, odd figures first; everything, and what could not be seen, with `-v`.
fn surroundings(page: &mut Page, target: &TargetReport, width: usize) {
    let Some(context) = &target.context else { return };
    let verbose = page.options.verbose;
    let figures: Vec<_> =
        diagnose::surroundings(context).into_iter().filter(|figure| verbose || figure.is_short).collect();
    let style = if figures.iter().any(|figure| figure.is_odd) { of_severity(Severity::Warning) } else { DIM };
    let dot = page.glyph(" · ", " | ");
    let mut texts: Vec<_> = figures.iter().map(|figure| escape(&figure.text)).collect();
    let unseen: Vec<_> = context.unseen.iter().map(|unseen| escape(&unseen.what)).collect();
    if !verbose && !unseen.is_empty() {
        texts.push(format!("not seen: {}", unseen.join(", ")));
    }
    if !texts.is_empty() {
        page.labelled(2, "", width, style, &texts.join(dot));
    }
    if verbose {
        for unseen in &context.unseen {
            page.labelled(2, "", width, DIM, &format!("not seen: {}: {}", escape(&unseen.what), escape(&unseen.why)));
        }
        for line in context.log.iter().flat_map(|log| &log.last_errors) {
            page.labelled(2, "", width, DIM, &format!("log: {}", escape(line)));
        }
    }
}

fn observed(page: &mut Page, target: &TargetReport, width: usize) {
    let name = escape(&target.id.to_string());
    match &target.status {
        Status::Failed { failure, hint } => {
            let detail = if failure.detail.is_empty() { String::new() } else { format!(" ({})", failure.detail) };
            let text = format!("failed at {}: {}{detail}", failure.stage, failure.reason.summary());
            page.labelled(2, &name, width, of_severity(Severity::Critical), &escape(&text));
            page.labelled(2, "", width, PLAIN, &format!("{} {}", page.glyph("→", "->"), escape(hint)));
        }
        Status::Observed { partial, counts, findings, .. } => {
            let state = if *partial { "in part, " } else { "" };
            let found: Vec<_> =
                findings.iter().rev().map(|(severity, count)| format!("{count} {}", severity.as_str())).collect();
            let found = if found.is_empty() { "nothing found".to_owned() } else { found.join(", ") };
            let style = findings.keys().next_back().map_or(PLAIN, |severity| of_severity(*severity));
            let dash = page.glyph(" — ", " - ");
            let bar =
                if page.options.width < ROOM_FOR_BARS { String::new() } else { format!("{}  ", bar(page, counts)) };
            page.labelled(2, &name, width, style, &format!("{bar}{state}{}{dash}{found}", words::tasks(counts)));
        }
    }
}

/// A host's tasks by state, as shares of a bar. A state that occurs has at least one column.
fn bar(page: &Page, counts: &Counts) -> String {
    let states = [
        (counts.running, page.glyph("█", "#")),
        (counts.scheduled, page.glyph("▓", "+")),
        (counts.idle, page.glyph("░", ".")),
        (counts.never_polled, page.glyph("▫", "o")),
    ];
    let all = states.iter().map(|(count, _)| count).sum::<u64>();
    let mut widths = states.map(|(count, _)| match count {
        0 => 0,
        count => usize::try_from(count.saturating_mul(BAR as u64) / all).unwrap_or(BAR).max(1),
    });
    // Rounding is the largest part's.
    let drawn: usize = widths.iter().sum();
    if let Some(largest) = widths.iter_mut().max() {
        *largest = (*largest + BAR).saturating_sub(drawn);
    }
    if all == 0 {
        return " ".repeat(BAR);
    }
    states.iter().zip(widths).map(|((_, glyph), width)| glyph.repeat(width)).collect()
}

/// What the bars are made of.
fn key(page: &mut Page) {
    let text = ["█ running  ▓ scheduled  ░ idle  ▫ never polled", "# running  + scheduled  . idle  o never polled"];
    let text = page.glyph(text[0], text[1]);
    page.paragraph(2, DIM, text);
}
