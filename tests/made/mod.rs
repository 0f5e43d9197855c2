//! Diagnoses made by hand, with every section filled.

#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use fleetdiag::diagnose::{
    Counts, Coverage, Diagnosis, Distribution, Finding, FleetSite, Gate, Hotspot, Outlier, RuleFacts, RunFacts,
    SiteFigures, SiteReport, Status, Subject, TargetReport, Verdict, Wait,
};
use fleetdiag::model::{
    Anomaly, ContainerState, Failure, Health, HostContext, LogTail, MachineState, ObservationWindow, Origin,
    ProcessState, Reason, Service, Site, SpawnLocation, TargetId, TaskKind, TcpStates, Unseen,
};
use fleetdiag::playbook::{Confidence, RuleId, Severity};

/// Would move a cursor, end a line, a cell, a tag, a script, an attribute, a command, a label, and turn reading around.
pub const HOSTILE: &str = "owned\u{1b}]0;x\u{7}\u{9b}31m\r\n::error::pwned\n\u{202e}\u{200b}|`*_<b>&\"'</script><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}[l](http://evil.example)@ops www.evil.example\\";

fn target(host: usize) -> TargetId {
    TargetId { host: format!("relay-{host:03}").parse().unwrap(), console: None }
}

fn site(index: usize, text: &str) -> FleetSite {
    let location = SpawnLocation {
        origin: Origin::App,
        file: format!("src/part_{:02}/{text}.rs", index % 20),
        line: 10 + index as u32,
        column: 5,
    };
    let site = Site { location: Some(location), kind: TaskKind::Task, fn_name: None, name: Some(format!("{text}-#")) };
    FleetSite { service: Service("relay".into()), site }
}

fn figures(host: usize, site: usize) -> SiteFigures {
    let heat = ((host * 7919 + site * 104_729) % 97) as u64;
    SiteFigures {
        alive: 1 + heat % 13,
        running: heat % 3,
        woken: heat % 2,
        polls: heat * 100,
        wakes: heat * 90,
        self_wakes: heat,
        busy: Duration::from_micros(heat * heat * 40),
        scheduled: Duration::from_micros(heat * 300),
        longest_poll: Duration::from_millis(heat),
        ..SiteFigures::default()
    }
}

fn distribution(scale: u64) -> Distribution {
    let bars = (0..14).map(|power| (Duration::from_micros(scale << power), 1 + (power * 37 + scale) % 50)).collect();
    Distribution {
        tasks: 12,
        count: 400,
        p50: Duration::from_micros(scale * 40),
        p90: Duration::from_micros(scale * 900),
        p99: Duration::from_micros(scale * 7000),
        max: Duration::from_millis(scale * 20),
        outliers: 1,
        bars,
    }
}

fn finding(rule: usize, severity: Severity, text: &str, on: &[TargetId], hosts: usize) -> Finding {
    Finding {
        rule: RuleId(format!("FD{rule:03}")),
        name: format!("rule-{rule}"),
        severity,
        confidence: Confidence::High,
        caps: vec![format!("one sample only {text}")],
        message: format!("9 of 12 tasks are stuck {text}"),
        evidence: format!("worst: {text}"),
        affected: 9,
        of: 12,
        targets: on.iter().map(|id| (id.clone(), 3)).collect(),
        targets_in_service: hosts,
        explained_here: None,
        remedy: format!("do `this` {text}"),
        next_checks: vec![format!("is it {text}?")],
        reference: Some("https://docs.rs/tokio-console".into()),
    }
}

/// `hosts` × `sites`, every name of which contains `text`; the first host failed, the second was seen in part.
pub fn fleet(hosts: usize, sites: usize, text: &str) -> Diagnosis {
    let all: Vec<_> = (0..hosts).map(target).collect();
    let observed = all.get(1..).unwrap_or_default();
    let severities = [Severity::Critical, Severity::Warning, Severity::Info];
    let hotspots = (0..sites.min(40))
        .map(|at| Hotspot {
            subject: Subject::Site(site(at, text)),
            severity: severities[at * 3 / sites.clamp(1, 40)],
            confidence: Confidence::High,
            rank_reason: format!("because {text}"),
            explained_by: None,
            related: Vec::new(),
            findings: vec![finding(
                at % 4 + 1,
                severities[at * 3 / sites.clamp(1, 40)],
                text,
                &observed[..observed.len().min(3 + at)],
                hosts,
            )],
        })
        .collect();
    Diagnosis {
        set_aside: Vec::new(),
        trends: fleetdiag::diagnose::Trends::default(),
        code: fleetdiag::model::Code::default(),
        run: RunFacts {
            started: "2026-11-24T15:03:14Z".into(),
            window: Duration::from_secs(3),
            judged_by: "0.1.0".into(),
            ..RunFacts::default()
        },
        verdict: Verdict::Fail,
        verdict_reasons: vec!["13 findings are critical".into()],
        exit_code: 1,
        coverage: Coverage {
            planned: hosts,
            complete: hosts - 2,
            partial: 1,
            failed: 1,
            tasks: 12_345,
            hosts: hosts - 2,
        },
        hotspots,
        unjudged: Vec::new(),
        targets: all.iter().enumerate().map(|(at, id)| report(at, id, text)).collect(),
        sites: (0..sites).map(|at| site_report(at, observed, text)).collect(),
        waits: (0..3).map(|at| wait(at, observed, text)).collect(),
        outliers: vec![outlier(observed, text)],
        rules: (1..=4).map(|at| rule(at, severities[at % 3], text)).collect(),
        gate: Gate::default(),
    }
}

fn report(at: usize, id: &TargetId, text: &str) -> TargetReport {
    let status = if at == 0 {
        Status::Failed { failure: Failure::new(Reason::NotGrpc, text), hint: format!("try {text}") }
    } else {
        let anomaly = Anomaly::EndedEarly { why: text.into() };
        Status::Observed {
            partial: at == 1,
            counts: Counts {
                alive: 20 + at as u64,
                running: 2,
                scheduled: at as u64 % 3,
                idle: 17,
                never_polled: 1,
                ..Counts::default()
            },
            window: ObservationWindow { updates: 4, ..ObservationWindow::default() },
            vintage: None,
            tokio_version: Some(format!("1.54.1 {text}")),
            anomalies: if at == 1 { vec![anomaly] } else { vec![] },
            findings: if at < 5 { BTreeMap::from([(Severity::Critical, 2)]) } else { BTreeMap::new() },
        }
    };
    let context = (at < 5).then(|| context(text));
    TargetReport { id: id.clone(), service: Service(format!("relay {text}")), status, context }
}

/// What surrounds a program, with every part filled.
fn context(text: &str) -> HostContext {
    let owned = || text.to_owned();
    HostContext {
        container: Some(ContainerState {
            name: owned(),
            status: owned(),
            health: Some(owned()),
            restarts: Some(2),
            started: Some(owned()),
            ..ContainerState::default()
        }),
        process: Some(ProcessState {
            pid: 7,
            name: owned(),
            fds: Some(950),
            fd_limit: Some(1024),
            ..ProcessState::default()
        }),
        tcp: Some(TcpStates { close_wait: 60, ..TcpStates::default() }),
        machine: Some(MachineState { psi_cpu_percent: Some(12.5), ..MachineState::default() }),
        health: Some(Health { url: owned(), error: Some(owned()), ..Health::default() }),
        log: Some(LogTail { source: owned(), lines: 9, errors: 1, last_errors: vec![owned()], ..LogTail::default() }),
        unseen: vec![Unseen { what: owned(), why: owned() }],
    }
}

fn site_report(at: usize, observed: &[TargetId], text: &str) -> SiteReport {
    let by_target: BTreeMap<_, _> =
        observed.iter().enumerate().map(|(host, id)| (id.clone(), figures(host, at))).collect();
    let mut sum = SiteFigures::default();
    for figures in by_target.values() {
        sum.alive += figures.alive;
        sum.polls += figures.polls;
        sum.wakes += figures.wakes;
        sum.busy += figures.busy;
        sum.scheduled += figures.scheduled;
        sum.longest_poll = sum.longest_poll.max(figures.longest_poll);
    }
    let scale = 1 + at as u64 % 5;
    SiteReport {
        site: site(at, text),
        figures: sum,
        by_target,
        polls: Some(distribution(scale)),
        scheduled: at.is_multiple_of(2).then(|| distribution(scale + 3)),
    }
}

fn wait(at: usize, observed: &[TargetId], text: &str) -> Wait {
    Wait {
        service: Service("relay".into()),
        concrete_type: format!("Mutex {text}"),
        location: site(at + 5, text).site.location,
        waiters: (0..3).map(|other| (site(at + other, text).site, 4 + other as u64)).collect(),
        longest: Duration::from_millis(8_300),
        probable_holder: (at != 1).then(|| site(at + 9, text).site),
        targets: observed.iter().take(2).map(|id| (id.clone(), 4)).collect(),
    }
}

fn outlier(observed: &[TargetId], text: &str) -> Outlier {
    Outlier {
        site: site(3, text),
        metric: format!("busy_share {text}"),
        targets: observed.iter().take(1).map(|id| (id.clone(), format!("93% {text}"))).collect(),
        usual: format!("4% {text}"),
        method: format!("median and MAD {text}"),
        explained_by: vec![format!("version {text}")],
    }
}

fn rule(at: usize, severity: Severity, text: &str) -> RuleFacts {
    RuleFacts {
        id: RuleId(format!("FD{at:03}")),
        name: format!("rule-{at}"),
        severity,
        of_surroundings: false,
        why: format!("because {text}"),
        remedy: format!("do this {text}"),
        reference: None,
    }
}
