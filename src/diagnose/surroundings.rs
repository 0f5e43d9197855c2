//! Rules about the surroundings of programs, and the figures that reports show of them. Unlike all others they are judged
//! for targets of which the console told nothing, too: a host that hangs is looked at most.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::condition::{Conditions, Evidence, Judged, judged, values};
use super::diagnosis::{Finding, Subject, Unjudged};
use super::facts::Found;
use crate::model::{HostContext, Service, SocketsOf, TargetId};
use crate::playbook::{Condition, Confidence, Fact, Judgement, Limits, Rule, short};

const WHOLE_NETWORK: &str =
    "the sockets of everybody in the network of the process were counted: its own could not be told apart";

/// From here on a figure is odd and is shown first; the shipped rules begin to warn there.
const ODD_FD_SHARE: f64 = 70.0;
const ODD_CLOSE_WAIT: u64 = 50;
const ODD_THREADS: u64 = 100;
const ODD_SHARE: f64 = 90.0;
const ODD_PRESSURE: f64 = 10.0;
const ODD_CPU_PRESSURE: f64 = 75.0;

#[allow(clippy::cast_precision_loss)] // Counts beyond 2^53 do not occur, and would be wrong in the last digit only.
fn number(number: impl Into<Option<u64>>) -> Option<Fact> {
    Some(Fact::Number(number.into()? as f64))
}

/// The metric `name` of a host context.
pub(super) fn fact(context: &HostContext, name: &str) -> Option<Fact> {
    let (of, _) = name.split_once('.')?;
    match of {
        "process" => process_fact(context, name),
        "tcp" => tcp_fact(context, name),
        "machine" => machine_fact(context, name),
        "container" => container_fact(context, name),
        "health" => {
            let health = context.health.as_ref()?;
            match name {
                "health.status" => number(health.status.map_or(0, u64::from)),
                "health.latency" => Some(Fact::Number(Duration::from_millis(health.latency_ms?).as_secs_f64())),
                _ => None,
            }
        }
        "log" => {
            let log = context.log.as_ref()?;
            match name {
                "log.lines" => number(log.lines),
                "log.errors" => number(log.errors),
                "log.warnings" => number(log.warnings),
                _ => None,
            }
        }
        _ => None,
    }
}

fn process_fact(context: &HostContext, name: &str) -> Option<Fact> {
    let process = context.process.as_ref()?;
    match name {
        "process.fds" => number(process.fds),
        "process.fd_limit" => number(process.fd_limit),
        "process.fd_share" => process.fd_share().map(Fact::Number),
        "process.threads" => number(process.threads),
        "process.memory" => number(process.memory_bytes),
        "process.memory_share" => process.memory_share().map(Fact::Number),
        "process.cpu" => process.cpu_percent.map(Fact::Number),
        "process.oom_kills" => number(process.oom_kills),
        "process.up" => Some(Fact::Number(Duration::from_secs(process.up_seconds?).as_secs_f64())),
        _ => None,
    }
}

fn tcp_fact(context: &HostContext, name: &str) -> Option<Fact> {
    let tcp = context.tcp.as_ref()?;
    match name {
        "tcp.established" => number(tcp.established),
        "tcp.close_wait" => number(tcp.close_wait),
        "tcp.backlog" => number(tcp.backlog),
        "tcp.backlog_limit" => number(tcp.backlog_limit),
        "tcp.overflows" => number(tcp.overflows),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss)]
fn machine_fact(context: &HostContext, name: &str) -> Option<Fact> {
    let machine = context.machine.as_ref()?;
    let real = |number: Option<f64>| number.map(Fact::Number);
    match name {
        "machine.cpus" => number(machine.cpus),
        "machine.cpu" => real(machine.cpu_percent),
        "machine.memory_available" => {
            let (free, all) = (machine.memory_available_bytes?, machine.memory_bytes.filter(|bytes| *bytes > 0)?);
            Some(Fact::Number((100.0 * free as f64 / all as f64).min(100.0)))
        }
        "machine.psi_cpu" => real(machine.psi_cpu_percent),
        "machine.psi_memory" => real(machine.psi_memory_percent),
        "machine.psi_io" => real(machine.psi_io_percent),
        _ => None,
    }
}

fn container_fact(context: &HostContext, name: &str) -> Option<Fact> {
    let container = context.container.as_ref()?;
    match name {
        "container.status" => Some(Fact::Text(container.status.clone())),
        "container.restarts" => number(container.restarts),
        "container.oom_killed" => number(container.oom_killed.map(u64::from)),
        // Without a health check there is none to fail.
        "container.health" => Some(Fact::Text(container.health.clone().unwrap_or_else(|| "none".to_owned()))),
        _ => None,
    }
}

/// Judges a rule about surroundings on every target of which they are known.
pub(super) fn judge(rule: &Rule, condition: &Condition, evidence: &Evidence<'_>, found: &mut Conditions) {
    let mut by_service: BTreeMap<&Service, (usize, Vec<&TargetId>)> = BTreeMap::new();
    let mut unknown: BTreeMap<&TargetId, Vec<&'static str>> = BTreeMap::new();
    for (target, (service, context)) in &evidence.surroundings {
        let facts = |name: &str| fact(context, name).or_else(|| evidence.fleet.fact(name));
        let (judged, held) = by_service.entry(service).or_default();
        match condition.judge(&facts) {
            Judgement::Holds => {
                *judged += 1;
                held.push(target);
            }
            Judgement::Fails => *judged += 1,
            // What a program does not have (a container, a health URL, a log) is no fact that is missing.
            Judgement::Unknown(missing) if missing.iter().any(|name| was_looked_for(context, name)) => {
                unknown.insert(target, missing);
            }
            Judgement::Unknown(_) => {}
        }
    }
    for (service, (judged, held)) in by_service {
        if let Some(finding) = finding(rule, condition, evidence, held, judged) {
            found.places.entry(Subject::Target { service: service.clone() }).or_default().push(finding);
        }
    }
    if !unknown.is_empty() {
        let missing: BTreeSet<_> = unknown.values().flatten().map(|name| (*name).to_owned()).collect();
        found.unjudged.push(Unjudged {
            rule: rule.id.clone(),
            name: rule.name.clone(),
            worst: rule.worst(),
            dry_run: rule.dry_run,
            of_surroundings: true,
            missing: missing.into_iter().collect(),
            targets: unknown.into_keys().cloned().collect(),
        });
    }
}

/// Whether a metric without a value was looked for and not found, by what the context says of itself.
fn was_looked_for(context: &HostContext, name: &str) -> bool {
    let unseen = |what: &str| context.unseen.iter().any(|unseen| unseen.what == what);
    match name.split_once('.').map_or("", |(of, _)| of) {
        "process" | "tcp" => ["host", "process", "file descriptors", "TCP states"].into_iter().any(unseen),
        "machine" => unseen("host"),
        "health" => unseen("health URL"),
        "log" => unseen("log"),
        _ => false,
    }
}

fn finding(
    rule: &Rule,
    condition: &Condition,
    evidence: &Evidence<'_>,
    held: Vec<&TargetId>,
    of: usize,
) -> Option<Finding> {
    let numbers = Found { affected: held.len() as u64, of: of as u64, hosts: held.len(), hosts_observed: of };
    let on = |target: &TargetId, name: &str| {
        let of_target = || fact(evidence.surroundings.get(target)?.1, name);
        numbers.fact(name).or_else(of_target).or_else(|| evidence.fleet.fact(name))
    };
    let severity = |target: &TargetId| rule.outcome(&|name| on(target, name)).map(|chosen| chosen.outcome.severity);
    // The first of those where it is worst.
    let worst = *held.iter().max_by_key(|target| (severity(target), std::cmp::Reverse(**target)))?;
    let facts = |name: &str| on(worst, name);
    let of_network = |target: &&TargetId| {
        let of = evidence.surroundings.get(*target).and_then(|(_, context)| context.tcp.as_ref()).map(|tcp| tcp.of);
        of == Some(SocketsOf::Network)
    };
    let about_sockets =
        condition.metrics().any(|name| matches!(name, "tcp.close_wait" | "tcp.established" | "tcp.backlog"));
    let (confidence, caps) = if about_sockets && held.iter().all(of_network) {
        (Confidence::Medium, vec![WHOLE_NETWORK.to_owned()])
    } else {
        (Confidence::High, Vec::new())
    };
    let Judged { severity, message, caps } = judged(rule, &facts, confidence, caps, &Limits::new())?;
    Some(Finding {
        rule: rule.id.clone(),
        name: rule.name.clone(),
        severity,
        confidence,
        caps,
        message,
        evidence: format!("worst on {worst}: {}", values(condition, &facts)),
        affected: numbers.affected,
        of: 0,
        targets: held.into_iter().map(|target| (target.clone(), 1)).collect(),
        targets_in_service: of,
        explained_here: None,
        remedy: rule.remedy.clone(),
        next_checks: rule.next_checks.clone(),
        reference: rule.reference.clone(),
    })
}

/// One figure of a host context, in words. Hostile text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surrounding {
    /// The figure.
    pub text: String,
    /// It is worth a look.
    pub is_odd: bool,
    /// It is one of the few that are always shown.
    pub is_short: bool,
}

/// The figures of a host context, odd ones first.
#[must_use]
pub fn surroundings(context: &HostContext) -> Vec<Surrounding> {
    let mut figures = Figures(Vec::new());
    figures.container(context);
    figures.health(context);
    figures.process(context);
    figures.tcp(context);
    figures.machine(context);
    if let Some(log) = &context.log {
        let more = if log.cut_off { ", cut off" } else { "" };
        let text = format!("log {} errors, {} warnings in {} lines{more}", log.errors, log.warnings, log.lines);
        figures.add(text, log.errors > 0, true);
    }
    figures.0.sort_by_key(|figure| !figure.is_odd);
    figures.0
}

struct Figures(Vec<Surrounding>);

impl Figures {
    fn add(&mut self, text: String, is_odd: bool, is_short: bool) {
        self.0.push(Surrounding { text, is_odd, is_short: is_short || is_odd });
    }

    fn container(&mut self, context: &HostContext) {
        let Some(container) = &context.container else { return };
        let code = container.exit_code.filter(|_| container.status != "running");
        let code = code.map(|code| format!(" with {code}")).unwrap_or_default();
        let health = container.health.as_ref().map(|health| format!(", {health}")).unwrap_or_default();
        let is_odd = container.status != "running" || container.health.as_deref() == Some("unhealthy");
        self.add(format!("container {}{code}{health}", container.status), is_odd, true);
        if let Some(restarts) = container.restarts {
            self.add(format!("{restarts} restarts"), restarts > 0, false);
        }
        if container.oom_killed == Some(true) {
            self.add("killed for want of memory".to_owned(), true, true);
        }
        let memory = container
            .memory_limit_bytes
            .map_or_else(|| "no memory limit".to_owned(), |limit| format!("memory limit {}", size(limit)));
        self.add(memory, false, false);
        if let Some(cpus) = container.cpu_limit {
            self.add(format!("limit of {cpus} CPUs"), false, false);
        }
    }

    fn health(&mut self, context: &HostContext) {
        let Some(health) = &context.health else { return };
        let answer = match (&health.error, health.status) {
            (Some(error), _) => format!("no answer ({error})"),
            (None, status) => status.map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
        };
        let latency =
            health.latency_ms.map(|ms| format!(" in {}", short(Duration::from_millis(ms)))).unwrap_or_default();
        self.add(format!("health {answer}{latency}"), !health.is_well(), true);
    }

    fn process(&mut self, context: &HostContext) {
        let Some(process) = &context.process else { return };
        if let Some(fds) = process.fds {
            let of = match (process.fd_limit, process.fd_share()) {
                (Some(limit), Some(share)) => format!("/{limit} ({share:.0} %)"),
                _ => String::new(),
            };
            self.add(format!("fds {fds}{of}"), process.fd_share().is_some_and(|share| share >= ODD_FD_SHARE), true);
        }
        if let Some(threads) = process.threads {
            let cpus = context.machine.as_ref().and_then(|machine| machine.cpus).unwrap_or(0);
            self.add(format!("threads {threads}"), threads >= ODD_THREADS.saturating_add(cpus), true);
        }
        if let Some(memory) = process.memory_bytes {
            let of = process.memory_limit_bytes.map(|limit| format!(" of {}", size(limit))).unwrap_or_default();
            let is_odd = process.memory_share().is_some_and(|share| share >= ODD_SHARE);
            self.add(format!("memory {}{of}", size(memory)), is_odd, true);
        }
        if let Some(kills) = process.oom_kills.filter(|kills| *kills > 0) {
            self.add(format!("{kills} killed for want of memory"), true, true);
        }
        if let Some(cpu) = process.cpu_percent {
            self.add(format!("cpu {cpu:.0} % of one"), false, false);
        }
        let up = process.up_seconds.map(|up| format!(", up {}", short(Duration::from_secs(up)))).unwrap_or_default();
        self.add(format!("process {} {}{up}", process.pid, process.name), false, false);
    }

    fn tcp(&mut self, context: &HostContext) {
        let Some(tcp) = &context.tcp else { return };
        let of = if tcp.of == SocketsOf::Network { " in its network" } else { "" };
        self.add(format!("CLOSE_WAIT {}{of}", tcp.close_wait), tcp.close_wait >= ODD_CLOSE_WAIT, true);
        if let Some(overflows) = tcp.overflows.filter(|overflows| *overflows > 0) {
            self.add(format!("{overflows} connections turned away"), true, true);
        }
        if let Some(backlog) = tcp.backlog {
            let of = tcp.backlog_limit.map(|limit| format!("/{limit}")).unwrap_or_default();
            let port = tcp.backlog_port.map(|port| format!(" on port {port}")).unwrap_or_default();
            let is_full = tcp.backlog_limit.is_some_and(|limit| limit > 0 && backlog >= limit);
            self.add(format!("backlog {backlog}{of}{port}"), is_full, false);
        }
        self.add(format!("connections {}", tcp.established), false, false);
    }

    fn machine(&mut self, context: &HostContext) {
        let Some(machine) = &context.machine else { return };
        let mut psi = |what: &str, share: Option<f64>, odd: f64, is_short: bool| {
            if let Some(share) = share {
                self.add(format!("psi {what} {share:.0} %"), share >= odd, is_short);
            }
        };
        psi("cpu", machine.psi_cpu_percent, ODD_CPU_PRESSURE, true);
        psi("memory", machine.psi_memory_percent, ODD_PRESSURE, false);
        psi("io", machine.psi_io_percent, ODD_SHARE, false);
        if let (Some(all), Some(free)) = (machine.memory_bytes, machine.memory_available_bytes) {
            self.add(format!("{} of {} memory available", size(free), size(all)), free < all / 20, false);
        }
        if let (Some(cpus), Some(load)) = (machine.cpus, machine.load) {
            self.add(format!("load {load:.2} on {cpus} CPUs"), false, false);
        }
    }
}

/// A size in binary units, with three digits that mean something.
#[allow(clippy::cast_precision_loss)]
fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1000.0 {
            return if unit == "B" || amount >= 100.0 {
                format!("{amount:.0} {unit}")
            } else {
                format!("{amount:.1} {unit}")
            };
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::surroundings;
    use crate::diagnose::{Fleet, Gate, RunFacts, Verdict};
    use crate::model::{
        ContainerState, Endpoint, Failure, Health, HostContext, LogTail, ProcessState, Reason, Route, Service, Target,
        TargetId, TcpStates, Unseen,
    };
    use crate::playbook::{Confidence, Severity, built_in};

    fn target(name: &str) -> Target {
        Target {
            id: TargetId { host: name.parse().unwrap(), console: None },
            service: Service("relay".to_owned()),
            route: Route::Direct,
            endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
            attributes: [].into(),
            thresholds: Default::default(),
            health_url: None,
            log: None,
        }
    }

    /// A fleet whose consoles are all silent, with these surroundings.
    fn judged(contexts: &[HostContext]) -> crate::diagnose::Diagnosis {
        let playbook = built_in();
        let mut fleet = Fleet::new(&playbook);
        for (at, context) in contexts.iter().enumerate() {
            let target = target(&format!("relay-{at}"));
            fleet.failed(&target, &Failure::new(Reason::NotGrpc, ""));
            fleet.surrounded(&target, context.clone());
        }
        fleet.diagnose(RunFacts::default(), &Gate::default())
    }

    fn process(fds: Option<u64>) -> HostContext {
        let process = ProcessState { fds, fd_limit: Some(1000), threads: Some(9), ..ProcessState::default() };
        HostContext { process: Some(process), ..HostContext::default() }
    }

    #[test]
    fn hosts_that_no_console_tells_of_are_judged_each_by_its_own_figures() {
        let diagnosis = judged(&[process(Some(699)), process(Some(700)), process(Some(900))]);
        let [hotspot] = diagnosis.hotspots.as_slice() else { panic!("{:?}", diagnosis.hotspots) };
        let [finding] = hotspot.findings.as_slice() else { panic!("{:?}", hotspot.findings) };
        assert_eq!((finding.severity, finding.confidence), (Severity::Critical, Confidence::High));
        assert_eq!((finding.targets.len(), finding.targets_in_service), (2, 3));
        assert!(
            finding.evidence.starts_with("worst on relay-2") && finding.message.contains("900 of 1000"),
            "{finding:?}"
        );
        assert_eq!((diagnosis.verdict, diagnosis.exit_code), (Verdict::Fail, 1));
    }

    #[test]
    fn what_could_not_be_read_is_told_and_does_not_count() {
        let mut blind = process(None);
        blind.unseen.push(Unseen { what: "file descriptors".to_owned(), why: "x".to_owned() });
        let diagnosis = judged(&[blind]);
        assert!(diagnosis.hotspots.is_empty());
        let unjudged: Vec<_> =
            diagnosis.unjudged.iter().map(|left| (left.name.as_str(), left.of_surroundings)).collect();
        assert!(unjudged.contains(&("fd-usage", true)), "{unjudged:?}");
        assert_eq!((diagnosis.verdict, diagnosis.exit_code), (Verdict::Inconclusive, 3));
        assert!(!diagnosis.verdict_reasons.iter().any(|reason| reason.contains("fd-usage")), "{diagnosis:?}");
        // What a program simply does not have is missing nowhere.
        assert!(judged(&[process(Some(1))]).unjudged.is_empty());
    }

    #[test]
    fn sockets_of_the_whole_network_are_less_sure() {
        let tcp = TcpStates { close_wait: 60, ..TcpStates::default() };
        let diagnosis = judged(&[HostContext { tcp: Some(tcp), ..HostContext::default() }]);
        let finding = &diagnosis.hotspots[0].findings[0];
        assert_eq!((finding.severity, finding.confidence), (Severity::Warning, Confidence::Medium));
        assert!(finding.caps[0].contains("network"));
    }

    #[test]
    fn odd_figures_come_first() {
        let mut context = process(Some(950));
        context.container =
            Some(ContainerState { status: "exited".to_owned(), exit_code: Some(137), ..ContainerState::default() });
        context.health = Some(Health { status: Some(200), latency_ms: Some(12), ..Health::default() });
        context.log = Some(LogTail { lines: 200, errors: 3, ..LogTail::default() });
        let figures = surroundings(&context);
        let odd: Vec<_> = figures.iter().filter(|figure| figure.is_odd).map(|figure| figure.text.as_str()).collect();
        assert_eq!(odd, ["container exited with 137", "fds 950/1000 (95 %)", "log 3 errors, 0 warnings in 200 lines"]);
        assert!(figures.iter().take(odd.len()).all(|figure| figure.is_odd));
        assert!(figures.iter().any(|figure| figure.text == "health 200 in 12ms"));
    }
}
