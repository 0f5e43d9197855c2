//! Two diagnoses become a comparison: what is new, gone, worse, better, or only moved. Nothing is left out here;
//! whoever prints it may cut it short.

mod caution;
mod effect;
mod matching;
mod trend;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diagnosis::{Because, Coverage, Diagnosis, Finding, RunFacts, SiteFigures, SiteReport, Status, Subject};
use super::suppress::set_aside;
use super::verdict::Gate;
use crate::model::{Code, CodeLine, Service, TargetId};
use crate::playbook::{RuleId, Severity};

pub use caution::Caution;
pub use effect::Effect;
pub use trend::{Growth, Least, Point, Trends, growths};

use effect::ByTarget;

/// Two runs, side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The earlier one.
    pub before: Side,
    /// The later one.
    pub after: Side,
    /// What makes the two hard to compare.
    pub cautions: Vec<Caution>,
    /// Every place that changed, worst first.
    pub changes: Vec<Change>,
    /// Places on both sides of which nothing changed.
    pub unchanged: usize,
    /// What fails it; nothing does at first.
    pub fail_on: Vec<Regression>,
    /// Lines of a local checkout at the places of the later run; empty where nobody named one.
    pub code: Code,
}

/// A sort of change that fails a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regression {
    /// A place that is worse, or a new one with a warning or worse.
    Worse,
    /// A place or a finding that was not there before.
    New,
}

impl Comparison {
    /// How many places this happened to.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// The line of code at a place of the later run, where a checkout was named.
    #[must_use]
    pub fn code_at(&self, subject: &Subject) -> Option<&CodeLine> {
        self.code.at(subject.service(), subject.location())
    }

    /// Whether the change fails the comparison.
    #[must_use]
    pub fn fails(&self, change: &Change) -> bool {
        let grave = || change.findings.iter().any(|finding| finding.severity >= Severity::Warning);
        self.fail_on.iter().any(|on| match on {
            Regression::Worse => change.kind == Kind::Worse || change.kind == Kind::New && grave(),
            Regression::New => change.kind == Kind::New || change.findings.iter().any(|found| found.kind == Kind::New),
        })
    }

    /// The changes that fail the comparison, worst first.
    pub fn failing(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| self.fails(change))
    }

    /// What the program exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(self.failing().next().is_some())
    }
}

/// One of the two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// When and how it was taken.
    pub run: RunFacts,
    /// How much of it was seen.
    pub coverage: Coverage,
}

/// One place that is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What happened to it.
    pub kind: Kind,
    /// Where: in the later run, or in the earlier one when it is gone.
    pub subject: Subject,
    /// Where it was before, when its line has moved.
    pub moved_from: Option<Subject>,
    /// Findings that came, went, or changed.
    pub findings: Vec<FindingChange>,
    /// Figures that changed.
    pub effects: Vec<Effect>,
    /// Its figures host by host, before and after; absent where the host was not seen.
    pub by_target: BTreeMap<TargetId, (Option<SiteFigures>, Option<SiteFigures>)>,
}

/// What happened to a place, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// More findings, graver ones, or figures that grew.
    Worse,
    /// It was not there before.
    New,
    /// Fewer findings, or figures that shrank.
    Better,
    /// It is not there any more.
    Gone,
    /// Another line, and nothing else.
    Moved,
}

impl Kind {
    /// Its name in files and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worse => "worse",
            Self::New => "new",
            Self::Better => "better",
            Self::Gone => "gone",
            Self::Moved => "moved",
        }
    }
}

/// A finding on either side.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingChange {
    /// What happened to it; never moved.
    pub kind: Kind,
    /// The rule.
    pub rule: RuleId,
    /// Its short name.
    pub name: String,
    /// The severity, of the later side where there is one.
    pub severity: Severity,
    /// What it said before.
    pub before: Option<Told>,
    /// What it says after.
    pub after: Option<Told>,
}

/// The numbers of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The sentence.
    pub message: String,
    /// Tasks concerned.
    pub affected: u64,
    /// Targets on which it was found.
    pub targets: BTreeSet<TargetId>,
    /// Targets that were seen and run the service.
    pub targets_in_service: usize,
}

/// Compares two runs, each judged whole.
#[must_use]
pub fn compare(before: &Diagnosis, after: &Diagnosis) -> Comparison {
    let (was, is) = (View::new(before), View::new(after));
    let matched = matching::matched(&was.subjects, &is.subjects);
    let mut changes = Vec::new();
    let mut unchanged = 0;
    for (before, after) in matched.both {
        match changed(&was, before, &is, after) {
            Some(change) => changes.push(change),
            None => unchanged += 1,
        }
    }
    // A service that was not seen at all on one side says nothing about its places.
    let seen = |view: &View<'_>, subject: &Subject| view.services.contains_key(subject.service());
    changes.extend(
        matched
            .before
            .into_iter()
            .filter(|subject| seen(&is, subject))
            .map(|subject| one_sided(Kind::Gone, subject, &was, &is)),
    );
    changes.extend(
        matched
            .after
            .into_iter()
            .filter(|subject| seen(&was, subject))
            .map(|subject| one_sided(Kind::New, subject, &is, &was)),
    );
    changes.sort_by_cached_key(|change| {
        let severity = change.findings.iter().map(|finding| finding.severity).max();
        (change.kind, Reverse(severity), Reverse(change.effects.len()), change.subject.clone())
    });
    Comparison {
        cautions: caution::cautions(before, after),
        before: was.side(),
        after: is.side(),
        changes,
        unchanged,
        fail_on: Vec::new(),
        code: after.code.clone(),
    }
}

/// Sets aside every finding of `after` that `before` has too and that is no worse now.
pub fn set_aside_known(before: &Diagnosis, after: &mut Diagnosis) {
    let mut known = BTreeSet::new();
    {
        let (was, is) = (View::new(before), View::new(after));
        for (before, after) in matching::matched(&was.subjects, &is.subjects).both {
            for (rule, finding) in is.findings(after) {
                let same = was.findings(before).get(rule).copied();
                if same.is_some_and(|same| direction(same, finding) != Some(Kind::Worse)) {
                    known.insert((after.clone(), (*rule).clone()));
                }
            }
        }
    }
    set_aside(after, |subject, finding, _| {
        known.contains(&(subject.clone(), finding.rule.clone())).then_some(Because::InBaseline)
    });
}

/// Sets aside what did not hold in all `of` observations, the `earlier` ones and the last, target by target, and judges
/// again: each observation must have seen enough.
pub fn confirm(earlier: &[Diagnosis], of: usize, last: &mut Diagnosis, gate: &Gate) {
    let has = |diagnosis: &Diagnosis, subject: &Subject, finding: &Finding, target: &TargetId| {
        let same = diagnosis.hotspots.iter().find(|hotspot| hotspot.subject == *subject);
        same.is_some_and(|same| {
            same.findings.iter().any(|found| found.rule == finding.rule && found.targets.contains_key(target))
        })
    };
    set_aside(last, |subject, finding, target| {
        let held = earlier.iter().filter(|diagnosis| has(diagnosis, subject, finding, target)).count() + 1;
        (held < of).then_some(Because::Unconfirmed { held, of })
    });
    gate.judge_again(last);
    for (number, diagnosis) in earlier.iter().enumerate() {
        gate.require_coverage(last, number + 1, &diagnosis.coverage, diagnosis.run.interrupted);
    }
}

/// One diagnosis, by place.
struct View<'a> {
    diagnosis: &'a Diagnosis,
    /// Every place of which something is known, in order.
    subjects: BTreeSet<Subject>,
    sites: BTreeMap<Subject, &'a SiteReport>,
    findings: BTreeMap<&'a Subject, BTreeMap<&'a RuleId, &'a Finding>>,
    /// The observed targets by service, with the time that each was watched.
    services: BTreeMap<&'a Service, BTreeMap<&'a TargetId, Duration>>,
}

impl<'a> View<'a> {
    fn new(diagnosis: &'a Diagnosis) -> Self {
        let sites: BTreeMap<_, _> =
            diagnosis.sites.iter().map(|site| (Subject::Site(site.site.clone()), site)).collect();
        let findings: BTreeMap<_, _> = diagnosis
            .hotspots
            .iter()
            .map(|hotspot| (&hotspot.subject, hotspot.findings.iter().map(|found| (&found.rule, found)).collect()))
            .collect();
        let mut services: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for target in &diagnosis.targets {
            if let Status::Observed { window, .. } = &target.status {
                services.entry(&target.service).or_default().insert(&target.id, window.length());
            }
        }
        let subjects = sites.keys().chain(findings.keys().copied()).cloned().collect();
        Self { diagnosis, subjects, sites, findings, services }
    }

    fn side(&self) -> Side {
        Side { run: self.diagnosis.run.clone(), coverage: self.diagnosis.coverage }
    }

    fn findings(&self, subject: &Subject) -> BTreeMap<&'a RuleId, &'a Finding> {
        self.findings.get(subject).cloned().unwrap_or_default()
    }

    /// The site's figures on every observed target of its service, zero where it has no task there.
    fn by_target(&self, subject: &Subject) -> ByTarget {
        let Subject::Site(_) = subject else { return ByTarget::new() };
        let figures = |target| {
            let site = self.sites.get(subject);
            site.and_then(|site| site.by_target.get(target)).copied().unwrap_or_default()
        };
        let targets = self.services.get(subject.service()).into_iter().flatten();
        targets.map(|(target, window)| ((*target).clone(), (figures(target), *window))).collect()
    }
}

fn changed(was: &View<'_>, before: &Subject, is: &View<'_>, after: &Subject) -> Option<Change> {
    let (figures_before, figures_after) = (was.by_target(before), is.by_target(after));
    let findings = finding_changes(&was.findings(before), &is.findings(after));
    let effects = effect::effects(&figures_before, &figures_after);
    let moved_from = (before != after).then(|| before.clone());
    let worse = findings.iter().any(|finding| matches!(finding.kind, Kind::New | Kind::Worse));
    let kind = match (findings.is_empty(), effects.is_empty()) {
        _ if worse || effects.iter().any(Effect::grew) => Kind::Worse,
        (true, true) if moved_from.is_some() => Kind::Moved,
        (true, true) => return None,
        _ => Kind::Better,
    };
    let by_target = side_by_side(&figures_before, &figures_after);
    Some(Change { kind, subject: after.clone(), moved_from, findings, effects, by_target })
}

/// A place that only `has` knows.
fn one_sided(kind: Kind, subject: &Subject, has: &View<'_>, lacks: &View<'_>) -> Change {
    let (there, not_there) = (has.by_target(subject), lacks.by_target(subject));
    let (found, nothing) = (has.findings(subject), BTreeMap::new());
    let (findings, by_target) = match kind {
        Kind::Gone => (finding_changes(&found, &nothing), side_by_side(&there, &not_there)),
        _ => (finding_changes(&nothing, &found), side_by_side(&not_there, &there)),
    };
    Change { kind, subject: subject.clone(), moved_from: None, findings, effects: Vec::new(), by_target }
}

fn side_by_side(before: &ByTarget, after: &ByTarget) -> BTreeMap<TargetId, (Option<SiteFigures>, Option<SiteFigures>)> {
    let targets: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let of = |side: &ByTarget, target| side.get(target).map(|(figures, _)| *figures);
    targets.into_iter().map(|target| (target.clone(), (of(before, target), of(after, target)))).collect()
}

fn finding_changes(before: &BTreeMap<&RuleId, &Finding>, after: &BTreeMap<&RuleId, &Finding>) -> Vec<FindingChange> {
    let rules: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    let change = |rule| {
        let (was, is) = (before.get(rule).copied(), after.get(rule).copied());
        let (kind, shown) = match (was, is) {
            (Some(was), Some(is)) => (direction(was, is)?, is),
            (Some(was), None) => (Kind::Gone, was),
            (None, is) => (Kind::New, is?),
        };
        Some(FindingChange {
            kind,
            rule: shown.rule.clone(),
            name: shown.name.clone(),
            severity: shown.severity,
            before: was.map(told),
            after: is.map(told),
        })
    };
    rules.into_iter().filter_map(change).collect()
}

fn told(finding: &Finding) -> Told {
    Told {
        message: finding.message.clone(),
        affected: finding.affected,
        targets: finding.targets.keys().cloned().collect(),
        targets_in_service: finding.targets_in_service,
    }
}

/// Whether a finding is worse or better than it was, if it is: by its severity, by half as many hosts or tasks again, each
/// relative to the hosts that were seen, and never by less than one host or three tasks.
fn direction(before: &Finding, after: &Finding) -> Option<Kind> {
    let worse = |was: &Finding, is: &Finding| {
        let exceeds = |was_count: u64, is_count: u64, least: u64| {
            let (was_of, is_of) = (was.targets_in_service.max(1) as u64, is.targets_in_service.max(1) as u64);
            // is/is_of ≥ 1.5 · was/was_of, without division.
            let share = 2 * u128::from(is_count) * u128::from(was_of) >= 3 * u128::from(was_count) * u128::from(is_of);
            share && is_count >= was_count.saturating_add(least)
        };
        is.severity > was.severity
            || is.severity == was.severity
                && (exceeds(was.targets.len() as u64, is.targets.len() as u64, 1)
                    || exceeds(was.affected, is.affected, 3))
    };
    match (worse(before, after), worse(after, before)) {
        (true, _) => Some(Kind::Worse),
        (false, true) => Some(Kind::Better),
        _ => None,
    }
}
