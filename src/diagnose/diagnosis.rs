//! The contract between judging and rendering: everything a report shows, filtered, judged and ordered.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Anomaly, Failure, ObservationWindow, Service, Site, SpawnLocation, TargetId, Vintage};
use crate::playbook::{Confidence, RuleId, Severity};

/// The judged result of a run. Renderers neither filter nor sort it.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// What was done, when and with which rules.
    pub run: RunFacts,
    /// The judgement.
    pub verdict: Verdict,
    /// Why that and not another, a sentence each.
    pub verdict_reasons: Vec<String>,
    /// What the program exits with.
    pub exit_code: u8,
    /// How much of the plan was seen.
    pub coverage: Coverage,
    /// Ranked, worst first.
    pub hotspots: Vec<Hotspot>,
    /// Every planned target, odd ones first: failed, partial, then complete; by id within each.
    pub targets: Vec<TargetReport>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// The version of fleetdiag that collected the evidence.
    pub collected_by: String,
    /// The version of fleetdiag that judged it.
    pub judged_by: String,
    /// The window that was asked for.
    pub window: Duration,
    /// Names of the playbooks, in the order in which they were applied.
    pub playbooks: Vec<String>,
    /// The run was interrupted; what had come is judged.
    pub interrupted: bool,
}

/// The judgement of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough was seen, and nothing at or above the gate was found.
    Pass,
    /// Something at or above the gate was found.
    Fail,
    /// Too little was seen to say.
    Inconclusive,
}

/// How much of the plan was seen. `planned == complete + partial + failed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Targets planned.
    pub planned: usize,
    /// Observed whole.
    pub complete: usize,
    /// Observed in part; their counts are lower bounds.
    pub partial: usize,
    /// Not observed.
    pub failed: usize,
    /// Tasks seen on all targets together, completed ones included.
    pub tasks: u64,
}

impl Coverage {
    /// Targets of which anything was seen.
    #[must_use]
    pub fn observed(&self) -> usize {
        self.complete + self.partial
    }
}

/// One place and everything found there.
#[derive(Clone, Debug, PartialEq)]
pub struct Hotspot {
    /// Where.
    pub subject: Subject,
    /// The worst severity of its findings.
    pub severity: Severity,
    /// The confidence of the finding that decides the rank.
    pub confidence: Confidence,
    /// Why it stands where it stands, in words.
    pub rank_reason: String,
    /// Worst first; never empty.
    pub findings: Vec<Finding>,
}

/// What a hotspot is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The tasks of a spawn site.
    Site(FleetSite),
    /// A lock, channel or semaphore, by where it was created.
    Resource {
        /// The service it is in.
        service: Service,
        /// `Mutex`, `Semaphore` …
        concrete_type: String,
        /// Where it was created, where known.
        location: Option<SpawnLocation>,
    },
    /// The process or its console as a whole.
    Target {
        /// The service it runs.
        service: Service,
    },
}

/// A spawn site of one service, across hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetSite {
    /// The service.
    pub service: Service,
    /// Location, kind, `fn` and folded name.
    pub site: Site,
}

/// One rule's finding at one place, merged over hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The rule's short name, for tokio-console's lints theirs (`lost-waker`).
    pub name: String,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Why not surer, a sentence each; empty when nothing caps it.
    pub caps: Vec<String>,
    /// What is wrong, one sentence with numbers, without place and hosts.
    pub message: String,
    /// The measured figures behind it, one line.
    pub evidence: String,
    /// Tasks (or waiters) concerned.
    pub affected: u64,
    /// Of how many at this place; zero where a share means nothing.
    pub of: u64,
    /// The targets it was found on, with the number concerned on each.
    pub targets: BTreeMap<TargetId, u64>,
    /// Observed targets that run the same service.
    pub targets_in_service: usize,
    /// What to do.
    pub remedy: String,
    /// What to look at next.
    pub next_checks: Vec<String>,
    /// Where to read more.
    pub reference: Option<String>,
}

/// One target in the report.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetReport {
    /// Which.
    pub id: TargetId,
    /// The program it runs.
    pub service: Service,
    /// How observing it went.
    pub status: Status,
}

/// How observing a target went.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Something was seen.
    Observed {
        /// Whether part of it was not seen.
        partial: bool,
        /// Its figures.
        counts: Counts,
        /// The span seen, on its clock.
        window: ObservationWindow,
        /// The generation of its console-subscriber.
        vintage: Option<Vintage>,
        /// Its tokio version.
        tokio_version: Option<String>,
        /// What limits the evidence.
        anomalies: Vec<Anomaly>,
        /// Findings on it, by severity.
        findings: BTreeMap<Severity, usize>,
    },
    /// Nothing was seen.
    Failed {
        /// Why.
        failure: Failure,
        /// What to do.
        hint: String,
    },
}

/// A target's figures at the end of its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks alive.
    pub alive: u64,
    /// Inside a poll.
    pub running: u64,
    /// Woken and waiting.
    pub scheduled: u64,
    /// Waiting to be woken.
    pub idle: u64,
    /// Never polled yet.
    pub never_polled: u64,
    /// Completed and still retained by the target.
    pub completed: u64,
    /// Born inside the window.
    pub born: u64,
    /// Completed inside the window.
    pub died: u64,
    /// Resources alive.
    pub resources: u64,
}
