//! The contract between judging and rendering: everything a report shows, filtered, judged and ordered.

use std::collections::BTreeMap;
use std::time::Duration;

use super::compare::Trends;
use super::verdict::Gate;
use crate::model::{
    Anomaly, Code, CodeLine, Failure, HostContext, ObservationWindow, Service, Site, SpawnLocation, TargetId, Vintage,
};
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
    /// Rules that the evidence does not suffice to judge, in the order of the playbook.
    pub unjudged: Vec<Unjudged>,
    /// Every planned target, odd ones first: failed, partial, then complete; by id within each.
    pub targets: Vec<TargetReport>,
    /// Every spawn site seen, with findings or without, ordered by site.
    pub sites: Vec<SiteReport>,
    /// Who waits on what, the longest wait first.
    pub waits: Vec<Wait>,
    /// Hosts that differ from their peers at one site, ordered by site, then metric.
    pub outliers: Vec<Outlier>,
    /// Findings that do not count, in the order in which they would have been ranked.
    pub set_aside: Vec<SetAside>,
    /// Every rule that was applied, whether it found something or not, in the order of the playbooks.
    pub rules: Vec<RuleFacts>,
    /// What the verdict was made with.
    pub gate: Gate,
    /// What earlier runs show together with this one, of every site; empty where nobody gave them.
    pub trends: Trends,
    /// Lines of a local checkout at the places above; empty where nobody named one. Nothing is judged by them.
    pub code: Code,
}

impl Diagnosis {
    /// The line of code at a place, where a checkout was named.
    #[must_use]
    pub fn code_at(&self, subject: &Subject) -> Option<&CodeLine> {
        self.code.at(subject.service(), subject.location())
    }
}

/// A finding that was made and does not count for the verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct SetAside {
    /// Where.
    pub subject: Subject,
    /// What was found, with the targets that do not count.
    pub finding: Finding,
    /// Why it does not count.
    pub because: Because,
}

/// Why a finding does not count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// Somebody has accepted it for a time.
    Suppressed {
        /// Why that is right.
        reason: String,
        /// Who answers for it.
        owner: String,
        /// The last day on which it holds, `2026-12-31`.
        expires: String,
    },
    /// Its rule is on trial.
    DryRun,
    /// The baseline has it too, and it is no worse now.
    InBaseline,
    /// It did not hold in every observation.
    Unconfirmed {
        /// Observations in which it held.
        held: usize,
        /// Observations made.
        of: usize,
    },
}

/// What a report says of a rule that found nothing, and what its finding does not repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFacts {
    /// Its stable id.
    pub id: RuleId,
    /// Its short name.
    pub name: String,
    /// How bad its findings may be.
    pub severity: Severity,
    /// It is about what surrounds programs, and is judged only where that was read.
    pub of_surroundings: bool,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// Where to read more.
    pub reference: Option<String>,
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
    /// Hosts of which at least one target was seen whole.
    pub hosts: usize,
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
    /// What explains it on all of its hosts: it ranks after the others of its severity then.
    pub explained_by: Option<Explanation>,
    /// What else belongs to it, a sentence each: its cause at another place, what tells its hosts from the others, the
    /// same place in other builds.
    pub related: Vec<String>,
    /// Worst first; never empty.
    pub findings: Vec<Finding>,
}

/// Where the cause of a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The nearest place that nothing explains.
    pub cause: Subject,
    /// Places from there to here: 1 where that place explains it itself.
    pub steps: usize,
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

impl Subject {
    /// The place in code that it is about, where there is one and it is known.
    #[must_use]
    pub fn location(&self) -> Option<&SpawnLocation> {
        match self {
            Self::Site(FleetSite { site, .. }) => site.location.as_ref(),
            Self::Resource { location, .. } => location.as_ref(),
            Self::Target { .. } => None,
        }
    }

    /// The service it belongs to.
    #[must_use]
    pub fn service(&self) -> &Service {
        match self {
            Self::Site(FleetSite { service, .. }) | Self::Resource { service, .. } | Self::Target { service } => {
                service
            }
        }
    }
}

/// A spawn site of one service, across hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetSite {
    /// The service.
    pub service: Service,
    /// Location, kind, `fn` and folded name.
    pub site: Site,
}

/// One spawn site over the fleet: what tables, heat maps and exports are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteReport {
    /// Which.
    pub site: FleetSite,
    /// Over all targets.
    pub figures: SiteFigures,
    /// On each target where it was seen.
    pub by_target: BTreeMap<TargetId, SiteFigures>,
    /// Time inside finished polls, of the tasks that were looked at closely on all targets together.
    pub polls: Option<Distribution>,
    /// Time between wake and poll, of the same tasks.
    pub scheduled: Option<Distribution>,
}

/// Sums over the tasks of one site. Counts of states are at the end of the window, everything else is of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteFigures {
    /// Tasks alive.
    pub alive: u64,
    /// Tasks completed and still retained by the target.
    pub completed: u64,
    /// Spawned inside the window.
    pub born: u64,
    /// Completed inside the window.
    pub died: u64,
    /// Inside a poll.
    pub running: u64,
    /// Woken and not yet polled.
    pub woken: u64,
    /// Never polled yet.
    pub never_polled: u64,
    /// Polls.
    pub polls: u64,
    /// Wakes.
    pub wakes: u64,
    /// Wakes by the tasks themselves.
    pub self_wakes: u64,
    /// Time inside polls.
    pub busy: Duration,
    /// Time woken and not yet polled.
    pub scheduled: Duration,
    /// Time waiting to be woken.
    pub idle: Duration,
    /// Age of the oldest poll that is still running.
    pub longest_poll: Duration,
}

/// Times, as percentiles and as bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Tasks whose histograms were added up.
    pub tasks: u64,
    /// Values recorded.
    pub count: u64,
    /// Half of the values are at most this.
    pub p50: Duration,
    /// 90 of 100 values are at most this.
    pub p90: Duration,
    /// 99 of 100 values are at most this.
    pub p99: Duration,
    /// The largest value, outliers included.
    pub max: Duration,
    /// Values beyond the target's histogram limit (1 s by default).
    pub outliers: u64,
    /// Upper bound and number of values of each non-empty bar, ascending; bounds are powers of two of a microsecond.
    pub bars: Vec<(Duration, u64)>,
}

/// Tasks that wait for one kind of resource, added up over targets by where it was created.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// The service it is in.
    pub service: Service,
    /// `Mutex`, `Semaphore`, `mpsc` …
    pub concrete_type: String,
    /// Where it was created, where known.
    pub location: Option<SpawnLocation>,
    /// Waiting tasks by their spawn site.
    pub waiters: BTreeMap<Site, u64>,
    /// The longest of them has waited this long.
    pub longest: Duration,
    /// The spawn site of whoever probably holds it. The wire does not name holders: this is a guess.
    pub probable_holder: Option<Site>,
    /// Waiting tasks by target.
    pub targets: BTreeMap<TargetId, u64>,
}

/// Hosts that differ from their peers in one figure of one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// The site.
    pub site: FleetSite,
    /// The figure, as playbooks name it.
    pub metric: String,
    /// The targets that differ, each with its value in words with unit.
    pub targets: BTreeMap<TargetId, String>,
    /// What is usual for the others, in words with unit.
    pub usual: String,
    /// How that was decided: the rule and its numbers.
    pub method: String,
    /// The attributes that tell these hosts from the rest (`version 1.4.2`), a sentence each; empty when none does.
    pub explained_by: Vec<String>,
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
    /// The rule of a finding at the same place that explains it: it stands behind the others of its severity then.
    pub explained_here: Option<RuleId>,
    /// What to do.
    pub remedy: String,
    /// What to look at next.
    pub next_checks: Vec<String>,
    /// Where to read more.
    pub reference: Option<String>,
}

/// A rule of which nobody can say whether it found something: neither a finding nor a clean bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unjudged {
    /// The rule.
    pub rule: RuleId,
    /// Its short name.
    pub name: String,
    /// The worst that it may find.
    pub worst: Severity,
    /// It does not count for the verdict.
    pub dry_run: bool,
    /// It is about surroundings that could not be read: told, and never counted.
    pub of_surroundings: bool,
    /// The metrics without a value, by their names in playbooks.
    pub missing: Vec<String>,
    /// The targets on which it could not be judged.
    pub targets: Vec<TargetId>,
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
    /// What its server told about the program beside its console, where it was asked.
    pub context: Option<HostContext>,
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
