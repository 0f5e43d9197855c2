//! Sites, waits and outliers, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::code::{self, CodeJson};
use super::place::{Location, SiteJson, location, site};
use crate::diagnose::{Diagnosis, Distribution, FleetSite, Outlier, SiteFigures, SiteReport, Wait};

/// One spawn site over the fleet, with findings or without.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SiteReportJson<'a> {
    #[serde(flatten)]
    site: SiteJson<'a>,
    /// The line of code there, with `--source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<CodeJson<'a>>,
    /// Over all targets.
    figures: Figures,
    /// On each target where it was seen.
    targets: BTreeMap<String, Figures>,
    /// Time inside finished polls, of the tasks that were looked at closely.
    #[serde(skip_serializing_if = "Option::is_none")]
    polls: Option<DistributionJson>,
    /// Time between wake and poll, of the same tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled: Option<DistributionJson>,
}

/// Sums over tasks. States are at the end of the window, everything else is of the window. What is absent is zero.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Figures {
    #[serde(skip_serializing_if = "is_zero")]
    alive: u64,
    #[serde(skip_serializing_if = "is_zero")]
    completed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    born: u64,
    #[serde(skip_serializing_if = "is_zero")]
    died: u64,
    #[serde(skip_serializing_if = "is_zero")]
    running: u64,
    #[serde(skip_serializing_if = "is_zero")]
    woken: u64,
    #[serde(skip_serializing_if = "is_zero")]
    never_polled: u64,
    #[serde(skip_serializing_if = "is_zero")]
    polls: u64,
    #[serde(skip_serializing_if = "is_zero")]
    wakes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    self_wakes: u64,
    /// Time inside polls.
    #[serde(skip_serializing_if = "is_none")]
    busy_seconds: f64,
    /// Time woken and not yet polled.
    #[serde(skip_serializing_if = "is_none")]
    scheduled_seconds: f64,
    /// Age of the oldest poll that is still running.
    #[serde(skip_serializing_if = "is_none")]
    longest_poll_seconds: f64,
}

/// Times, as percentiles and as bars.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct DistributionJson {
    /// Tasks whose histograms were added up.
    tasks: u64,
    /// Values recorded.
    count: u64,
    p50_seconds: f64,
    p90_seconds: f64,
    p99_seconds: f64,
    /// The largest value, outliers included.
    max_seconds: f64,
    /// Values beyond the target's histogram limit.
    outliers: u64,
    /// The bars that are not empty, ascending.
    bars: Vec<Bar>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Bar {
    /// The bar's upper bound.
    up_to_seconds: f64,
    count: u64,
}

/// Tasks that wait for one kind of resource.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct WaitJson<'a> {
    service: &'a str,
    concrete_type: &'a str,
    /// Where it was created.
    location: Option<Location<'a>>,
    waiters: Vec<Waiters<'a>>,
    /// The longest of them has waited this long.
    longest_seconds: f64,
    /// The spawn site of whoever probably holds it: a guess, the console does not name holders.
    probable_holder: Option<SiteJson<'a>>,
    /// Waiting tasks by target.
    targets: BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Waiters<'a> {
    site: SiteJson<'a>,
    tasks: u64,
}

/// Targets that differ from their peers in one figure of one site.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct OutlierJson<'a> {
    site: SiteJson<'a>,
    /// The figure, as playbooks name it.
    metric: &'a str,
    /// The targets that differ, with their values in words.
    targets: BTreeMap<String, &'a str>,
    /// What is usual for the others, in words.
    usual: &'a str,
    /// How that was decided.
    method: &'a str,
    /// What tells these targets from the rest.
    explained_by: &'a [String],
}

/// What many sweeps in a row show.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct TrendsJson<'a> {
    /// Sweeps that were looked at, this one included.
    sweeps: usize,
    /// Sites whose tasks are more in each of the last sweeps, the steepest first.
    growing: Vec<GrowthJson<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GrowthJson<'a> {
    site: SiteJson<'a>,
    /// Tasks more than when growing began, on all its targets.
    gained: u64,
    /// Tasks alive in each sweep since growing began, oldest first, by target.
    targets: BTreeMap<String, &'a [u64]>,
}

pub(super) fn trends(diagnosis: &Diagnosis) -> TrendsJson<'_> {
    let growing = diagnosis.trends.growths.iter().map(|growth| GrowthJson {
        site: fleet_site(&growth.site),
        gained: growth.gained(),
        targets: growth.targets.iter().map(|(id, counts)| (id.to_string(), counts.as_slice())).collect(),
    });
    TrendsJson { sweeps: diagnosis.trends.runs, growing: growing.collect() }
}

pub(super) fn site_report<'a>(diagnosis: &'a Diagnosis, report: &'a SiteReport) -> SiteReportJson<'a> {
    SiteReportJson {
        site: fleet_site(&report.site),
        code: diagnosis.code.at(&report.site.service, report.site.site.location.as_ref()).map(code::json),
        figures: figures(&report.figures),
        targets: report.by_target.iter().map(|(id, of)| (id.to_string(), figures(of))).collect(),
        polls: report.polls.as_ref().map(distribution),
        scheduled: report.scheduled.as_ref().map(distribution),
    }
}

fn fleet_site(FleetSite { service, site: of }: &FleetSite) -> SiteJson<'_> {
    site(service, of)
}

fn figures(figures: &SiteFigures) -> Figures {
    let SiteFigures { alive, completed, born, died, running, woken, never_polled, polls, wakes, self_wakes, .. } =
        *figures;
    Figures {
        alive,
        completed,
        born,
        died,
        running,
        woken,
        never_polled,
        polls,
        wakes,
        self_wakes,
        busy_seconds: figures.busy.as_secs_f64(),
        scheduled_seconds: figures.scheduled.as_secs_f64(),
        longest_poll_seconds: figures.longest_poll.as_secs_f64(),
    }
}

fn distribution(distribution: &Distribution) -> DistributionJson {
    let Distribution { tasks, count, outliers, .. } = *distribution;
    let bar = |(bound, count): &(Duration, u64)| Bar { up_to_seconds: bound.as_secs_f64(), count: *count };
    DistributionJson {
        tasks,
        count,
        p50_seconds: distribution.p50.as_secs_f64(),
        p90_seconds: distribution.p90.as_secs_f64(),
        p99_seconds: distribution.p99.as_secs_f64(),
        max_seconds: distribution.max.as_secs_f64(),
        outliers,
        bars: distribution.bars.iter().map(bar).collect(),
    }
}

pub(super) fn wait(wait: &Wait) -> WaitJson<'_> {
    let of = |at| site(&wait.service, at);
    WaitJson {
        service: &wait.service.0,
        concrete_type: &wait.concrete_type,
        location: wait.location.as_ref().map(location),
        waiters: wait.waiters.iter().map(|(at, tasks)| Waiters { site: of(at), tasks: *tasks }).collect(),
        longest_seconds: wait.longest.as_secs_f64(),
        probable_holder: wait.probable_holder.as_ref().map(of),
        targets: wait.targets.iter().map(|(id, tasks)| (id.to_string(), *tasks)).collect(),
    }
}

pub(super) fn outlier(outlier: &Outlier) -> OutlierJson<'_> {
    OutlierJson {
        site: fleet_site(&outlier.site),
        metric: &outlier.metric,
        targets: outlier.targets.iter().map(|(id, value)| (id.to_string(), value.as_str())).collect(),
        usual: &outlier.usual,
        method: &outlier.method,
        explained_by: &outlier.explained_by,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(seconds: &f64) -> bool {
    seconds.abs() < f64::EPSILON
}
