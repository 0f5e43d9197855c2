//! Findings that do not count, and why: shown after those that do.

use serde::Serialize;

use super::fold::fold;
use super::page::{BOLD, Page};
use super::terminal::escape;
use super::words;
use crate::diagnose::{Because, Diagnosis, SetAside};

/// One line for each.
pub(super) fn human(page: &mut Page, diagnosis: &Diagnosis) {
    if diagnosis.set_aside.is_empty() {
        return;
    }
    page.blank();
    page.paragraph(0, BOLD, &format!("Set aside ({})", words::count(diagnosis.set_aside.len(), "finding")));
    for part in &diagnosis.set_aside {
        let targets: Vec<_> = part.finding.targets.keys().map(ToString::to_string).collect();
        let on = fold(targets.iter().map(String::as_str));
        let place = words::place(&part.subject);
        let text = format!("{} at {place}, on {on}: {}", part.finding.name, because(&part.because));
        page.item(&escape(&text));
    }
}

pub(super) fn because(because: &Because) -> String {
    match because {
        Because::Suppressed { reason, owner, expires } => format!("{reason} ({owner}, until {expires})"),
        Because::DryRun => "its rule is a dry run".to_owned(),
        Because::InBaseline => "in the baseline too, and no worse now".to_owned(),
        Because::Unconfirmed { held, of } => format!("it held in {held} of {of} observations"),
    }
}

/// A finding that was made and does not count for the verdict.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SetAsideJson<'a> {
    rule: &'a str,
    name: &'a str,
    severity: &'static str,
    place: String,
    service: &'a str,
    targets: Vec<String>,
    affected: u64,
    #[cfg_attr(test, schemars(extend("enum" = ["suppressed", "dry-run", "in-baseline", "unconfirmed"])))]
    because: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
}

pub(super) fn json(part: &SetAside) -> SetAsideJson<'_> {
    let finding = &part.finding;
    let (kind, owner, expires) = match &part.because {
        Because::Suppressed { owner, expires, .. } => ("suppressed", Some(owner.as_str()), Some(expires.as_str())),
        Because::DryRun => ("dry-run", None, None),
        Because::InBaseline => ("in-baseline", None, None),
        Because::Unconfirmed { .. } => ("unconfirmed", None, None),
    };
    let reason = match &part.because {
        Because::Suppressed { reason, .. } => reason.clone(),
        other => because(other),
    };
    SetAsideJson {
        rule: &finding.rule.0,
        name: &finding.name,
        severity: finding.severity.as_str(),
        place: words::place(&part.subject),
        service: &part.subject.service().0,
        targets: finding.targets.keys().map(ToString::to_string).collect(),
        affected: finding.affected,
        because: kind,
        reason,
        owner,
        expires,
    }
}
