//! Findings that somebody has accepted for a time: they do not count, and they do not vanish.

mod file;

use std::collections::BTreeMap;

use jiff::civil::Date;
use regex::Regex;

use super::diagnosis::{Because, Diagnosis, Finding, SetAside, Status, Subject};
use super::rank::rank_again;
use crate::model::TargetId;
use crate::playbook::Severity;

pub use file::parse;

/// Everything that is accepted.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    list: Vec<Suppression>,
}

/// One accepted finding: which, where, why, by whom and until when.
#[derive(Clone, Debug)]
struct Suppression {
    /// Of the rule's id or short name.
    rule: Regex,
    /// Of `path`, `path:line` or `path:line:col`; `process` for what concerns a process as a whole.
    site: Regex,
    /// Of the host's name or the target's.
    hosts: Vec<Regex>,
    reason: String,
    owner: String,
    /// The last day on which it holds.
    expires: Date,
}

impl Suppressions {
    /// Sets aside what is accepted on the day on which the run began, in UTC. Returns what somebody should know of
    /// the list itself: entries that have expired and would have matched, and entries that match nothing.
    pub fn apply(&self, diagnosis: &mut Diagnosis) -> Vec<String> {
        let day = diagnosis.run.started.get(..10).and_then(|day| day.parse::<Date>().ok());
        // Without a day nothing can be known to hold still.
        let holds = |suppression: &Suppression| day.is_some_and(|day| day <= suppression.expires);
        let mut used = vec![0_usize; self.list.len()];
        set_aside(diagnosis, |subject, finding, target| {
            let mut found = None;
            for (suppression, used) in self.list.iter().zip(&mut used) {
                if suppression.matches(subject, finding, target) {
                    *used += 1;
                    if found.is_none() && holds(suppression) {
                        found = Some(suppression.because());
                    }
                }
            }
            found
        });
        let notes = self.list.iter().zip(used).filter_map(|(suppression, used)| match (holds(suppression), used) {
            (true, 0) => Some(format!("suppresses nothing: {}", suppression.words())),
            (false, 1..) => Some(format!("expired on {}: {}", suppression.expires, suppression.words())),
            _ => None,
        });
        notes.collect()
    }
}

impl Suppression {
    fn matches(&self, subject: &Subject, finding: &Finding, target: &TargetId) -> bool {
        let rule = self.rule.is_match(&finding.rule.0) || self.rule.is_match(&finding.name);
        let host = || {
            let (host, target) = (target.host.as_str(), target.to_string());
            self.hosts.iter().any(|pattern| pattern.is_match(host) || pattern.is_match(&target))
        };
        rule && places(subject).iter().any(|place| self.site.is_match(place)) && host()
    }

    fn because(&self) -> Because {
        Because::Suppressed {
            reason: self.reason.clone(),
            owner: self.owner.clone(),
            expires: self.expires.to_string(),
        }
    }

    fn words(&self) -> String {
        format!("\"{}\" ({})", self.reason, self.owner)
    }
}

/// The texts by which a place may be named: with and without line and column.
fn places(subject: &Subject) -> Vec<String> {
    let location = match subject {
        Subject::Site(site) => &site.site.location,
        Subject::Resource { location, .. } => location,
        Subject::Target { .. } => return vec!["process".to_owned()],
    };
    let Some(location) = location else { return vec![String::new()] };
    let mut place = location.to_string();
    let mut places = vec![place.clone()];
    for number in [location.column, location.line] {
        if let Some(shorter) = place.strip_suffix(&format!(":{number}")).map(str::to_owned) {
            places.push(shorter.clone());
            place = shorter;
        }
    }
    places
}

/// Takes away what `decide` has a reason for, target by target, and ranks what is left. The verdict is not touched.
pub(super) fn set_aside(
    diagnosis: &mut Diagnosis,
    mut decide: impl FnMut(&Subject, &Finding, &TargetId) -> Option<Because>,
) {
    let mut gone = Vec::new();
    for hotspot in &mut diagnosis.hotspots {
        for finding in &mut hotspot.findings {
            let mut apart: BTreeMap<Because, BTreeMap<TargetId, u64>> = BTreeMap::new();
            for (target, count) in &finding.targets {
                if let Some(because) = decide(&hotspot.subject, finding, target) {
                    apart.entry(because).or_default().insert(target.clone(), *count);
                }
            }
            for (because, targets) in apart {
                finding.targets.retain(|target, _| !targets.contains_key(target));
                let part = Finding { affected: targets.values().sum(), targets, ..finding.clone() };
                gone.push(SetAside { subject: hotspot.subject.clone(), finding: part, because });
            }
            let left: u64 = finding.targets.values().sum();
            if left < finding.affected && !finding.targets.is_empty() {
                finding.message += &format!("; {left} of them on hosts where this is not set aside");
                finding.affected = left;
            }
        }
        hotspot.findings.retain(|finding| !finding.targets.is_empty());
    }
    for part in &gone {
        for target in part.finding.targets.keys() {
            uncount(diagnosis, target, part.finding.severity);
        }
    }
    rank_again(&mut diagnosis.hotspots);
    diagnosis.set_aside.append(&mut gone);
}

/// One finding less in the target's summary: of this severity, or of the worst below it.
fn uncount(diagnosis: &mut Diagnosis, target: &TargetId, severity: Severity) {
    let report = diagnosis.targets.iter_mut().find(|report| report.id == *target);
    let Some(Status::Observed { findings, .. }) = report.map(|report| &mut report.status) else { return };
    let Some((&severity, count)) = findings.range_mut(..=severity).next_back() else { return };
    *count -= 1;
    if *count == 0 {
        findings.remove(&severity);
    }
}
