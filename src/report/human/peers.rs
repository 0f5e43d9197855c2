//! Who waits on whom, and which hosts differ from their peers.

use super::super::fold::fold;
use super::super::page::{BOLD, DIM, Page};
use super::super::terminal::escape;
use super::super::{code, words};
use super::LABEL;
use crate::diagnose::{Diagnosis, FleetSite, Outlier, Subject, Wait};
use crate::model::{Service, Site};

pub(super) fn contention(page: &mut Page, diagnosis: &Diagnosis) {
    if diagnosis.waits.is_empty() {
        return;
    }
    page.blank();
    page.paragraph(0, BOLD, "Contention");
    let shown = page.options.shown(diagnosis.waits.len());
    for wait in diagnosis.waits.iter().take(shown) {
        one_wait(page, wait);
        code::human(page, diagnosis.code.at(&wait.service, wait.location.as_ref()), 4, LABEL);
    }
    left_out(page, diagnosis.waits.len() - shown, "more resource");
}

fn one_wait(page: &mut Page, wait: &Wait) {
    let tasks: u64 = wait.waiters.values().sum();
    let place = wait.location.as_ref().map_or_else(|| "unknown location".to_owned(), ToString::to_string);
    let count = words::count(usize::try_from(tasks).unwrap_or(usize::MAX), "task");
    let text = format!("{} at {place}: {count} waiting, the longest for {:.1?}", wait.concrete_type, wait.longest);
    page.item(&escape(&text));
    let targets: Vec<_> = wait.targets.keys().map(ToString::to_string).collect();
    page.labelled(4, "on", LABEL, DIM, &escape(&fold(targets.iter().map(String::as_str))));
    let waiters: Vec<_> = wait.waiters.iter().map(|(site, tasks)| format!("{tasks} of {}", name(site))).collect();
    page.labelled(4, "who", LABEL, DIM, &escape(&waiters.join(", ")));
    if let Some(holder) = &wait.probable_holder {
        let text = format!("probably held by {} (a guess: consoles do not name holders)", name(holder));
        page.labelled(4, "by", LABEL, DIM, &escape(&text));
    }
}

fn name(site: &Site) -> String {
    let subject = Subject::Site(FleetSite { service: Service(String::new()), site: site.clone() });
    let beside = words::beside(&subject);
    let beside = if beside.is_empty() { String::new() } else { format!(" ({})", beside.join(", ")) };
    format!("{}{beside}", words::place(&subject))
}

pub(super) fn outliers(page: &mut Page, diagnosis: &Diagnosis) {
    if diagnosis.outliers.is_empty() {
        return;
    }
    page.blank();
    page.paragraph(0, BOLD, "Hosts that differ from their peers");
    let shown = page.options.shown(diagnosis.outliers.len());
    for outlier in diagnosis.outliers.iter().take(shown) {
        one_outlier(page, outlier);
    }
    left_out(page, diagnosis.outliers.len() - shown, "more difference");
}

fn one_outlier(page: &mut Page, outlier: &Outlier) {
    let place = words::place(&Subject::Site(outlier.site.clone()));
    let values: Vec<_> = outlier.targets.iter().map(|(id, value)| format!("{value} on {id}")).collect();
    let text = format!("{place}: {} is {}, usually {}", outlier.metric, values.join(", "), outlier.usual);
    page.item(&escape(&text));
    for reason in &outlier.explained_by {
        page.labelled(4, "why", LABEL, DIM, &escape(reason));
    }
    if page.options.verbose {
        page.labelled(4, "how", LABEL, DIM, &escape(&outlier.method));
    }
}

fn left_out(page: &mut Page, count: usize, what: &str) {
    if count > 0 {
        page.paragraph(2, DIM, &format!("{} not shown, by --top", words::count(count, what)));
    }
}
