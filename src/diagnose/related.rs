//! Findings that belong together: what one place does to others on the same hosts, and what tells the hosts apart.
//!
//! | cause | what it explains |
//! | --- | --- |
//! | a place that takes workers away (stuck and long polls, spinning) | tasks that wait for a worker, on the same hosts |
//! | a place that takes workers away, whose task probably holds a lock | the tasks that wait for that lock |
//! | a deadlock, or a queue | a queue whose probable holder waits in it |
//! | a deadlock, or a queue | a place whose tasks pile up because they wait in it |
//! | a place whose tasks pile up | the memory that the console takes for them |
//!
//! A full channel has no holder that could be told: what takes workers on the same hosts is named as perhaps its receiver.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::diagnosis::{Explanation, Finding, FleetSite, Hotspot, Subject, Wait};
use super::outliers::{Peers, told_apart};
use super::words::place;
use crate::model::{Site, TargetId};
use crate::playbook::{Confidence, Detector, Playbook, RuleId, Severity};

/// Causes and effects that one line names.
const NAMED: usize = 3;

/// Writes into each hotspot what it belongs to.
pub(super) fn relate(hotspots: &mut [Hotspot], playbook: &Playbook, peers: &Peers, waits: &[Wait]) {
    let rules: BTreeMap<_, _> = playbook.rules.iter().filter_map(|rule| Some((&rule.id, rule.detector()?))).collect();
    let told = Told { hotspots, rules, waits }.told();
    for (hotspot, (related, explained_by)) in hotspots.iter_mut().zip(told) {
        hotspot.explained_by = explained_by;
        hotspot.related.extend(related);
        let found_on: BTreeSet<_> =
            hotspot.findings.iter().take(1).flat_map(|finding| finding.targets.keys()).collect();
        hotspot.related.extend(told_apart(&found_on, peers));
    }
}

/// Marks what tasks of one place suffer from what others of the same place do, on all of its hosts.
pub(super) fn explain_here(findings: &mut [Finding], detector: impl Fn(&Finding) -> Option<Detector>) {
    let takes_workers =
        |finding: &&Finding| finding.confidence > Confidence::Low && detector(finding).is_some_and(takes_workers);
    let causes: Vec<_> =
        findings.iter().filter(takes_workers).map(|cause| (cause.rule.clone(), cause.targets.clone())).collect();
    for finding in findings.iter_mut().filter(|finding| detector(finding).is_some_and(waits_for_workers)) {
        let explains = |targets: &BTreeMap<TargetId, u64>| finding.targets.keys().all(|on| targets.contains_key(on));
        let cause = causes.iter().find(|(_, targets)| explains(targets));
        finding.explained_here = cause.map(|(rule, _)| rule.clone());
    }
}

/// How one place explains a finding of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Link {
    /// It takes the workers for which the others wait.
    Workers,
    /// Its task holds what the others wait for.
    Holder,
    /// The probable holder waits there.
    HolderWaits,
    /// The tasks of the other place wait there.
    TasksWait,
    /// Its tasks are what the memory is for.
    Memory,
    /// It may be the receiver of a full channel: a guess, which explains nothing away.
    Perhaps,
}

/// A cause of one hotspot: the index of the other, how, and by which of its findings.
struct Edge<'a> {
    cause: usize,
    link: Link,
    by: &'a Finding,
}

struct Told<'a> {
    hotspots: &'a [Hotspot],
    rules: BTreeMap<&'a RuleId, Detector>,
    waits: &'a [Wait],
}

impl<'a> Told<'a> {
    /// What each hotspot says of others, and what explains all of it in the end.
    fn told(&self) -> Vec<(Vec<String>, Option<Explanation>)> {
        let edges: Vec<_> = (0..self.hotspots.len()).map(|effect| self.causes(effect)).collect();
        let explained: Vec<_> = (0..edges.len()).map(|effect| self.is_explained(effect, &edges[effect])).collect();
        let mut told: Vec<_> = edges
            .iter()
            .enumerate()
            .map(|(effect, causes)| {
                let root = root(effect, &edges, &explained).filter(|_| explained[effect]);
                let explanation =
                    root.map(|(root, steps)| Explanation { cause: self.hotspots[root].subject.clone(), steps });
                (self.sentences(effect, causes), explanation)
            })
            .collect();
        let mut effects: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (effect, edges) in edges.iter().enumerate() {
            let causes: BTreeSet<_> =
                edges.iter().filter(|edge| edge.link != Link::Perhaps).map(|edge| edge.cause).collect();
            causes.into_iter().for_each(|cause| effects.entry(cause).or_default().push(effect));
        }
        for (cause, effects) in effects {
            let named = effects.iter().filter_map(|effect| {
                let hotspot = &self.hotspots[*effect];
                Some(format!("{} at {}", hotspot.findings.first()?.name, place_of(&hotspot.subject)))
            });
            let named: Vec<_> = named.collect();
            told[cause].0.push(format!("explains {}", some(&named)));
        }
        told
    }

    fn detector(&self, finding: &Finding) -> Option<Detector> {
        self.rules.get(&finding.rule).copied()
    }

    /// Everything that may explain findings of one hotspot.
    fn causes(&self, effect: usize) -> Vec<Edge<'a>> {
        let here = &self.hotspots[effect];
        let mut edges = Vec::new();
        for (cause, there) in self.hotspots.iter().enumerate() {
            if cause == effect || there.subject.service() != here.subject.service() {
                continue;
            }
            for by in there.findings.iter().filter(|finding| finding.confidence > Confidence::Low) {
                let link = here
                    .findings
                    .iter()
                    .filter(|finding| share_a_host(by, finding))
                    .find_map(|finding| self.link((&there.subject, by), (&here.subject, finding)));
                if let Some(link) = link {
                    edges.push(Edge { cause, link, by });
                    break;
                }
            }
        }
        // What is sure first, then the place as it is ranked.
        edges.sort_by_key(|edge| (edge.link, edge.cause));
        edges
    }

    fn link(&self, (there, by): (&Subject, &Finding), (here, finding): (&Subject, &Finding)) -> Option<Link> {
        let (cause, effect) = (self.detector(by)?, self.detector(finding));
        let is_queue_here = effect.is_some_and(is_queue);
        if takes_workers(cause) {
            return match effect {
                Some(effect) if waits_for_workers(effect) => Some(Link::Workers),
                Some(Detector::ChannelBacklog { .. }) => Some(Link::Perhaps),
                Some(_) if is_queue_here && self.holder(here).is_some_and(|site| is_site(there, site)) => {
                    Some(Link::Holder)
                }
                _ => None,
            };
        }
        if is_queue(cause) {
            let waits_there = |site: &Site| self.waiters(there).is_some_and(|waiters| waiters.contains_key(site));
            if is_queue_here && self.holder(here).is_some_and(waits_there) {
                return Some(Link::HolderWaits);
            }
            let Subject::Site(FleetSite { site, .. }) = here else { return None };
            return (self.piles_up(finding) && waits_there(site)).then_some(Link::TasksWait);
        }
        let is_memory = matches!(effect, Some(Detector::ConsoleMemory { .. }));
        (is_memory && self.piles_up(by)).then_some(Link::Memory)
    }

    /// Tasks that become more and more.
    fn piles_up(&self, finding: &Finding) -> bool {
        matches!(self.detector(finding), Some(Detector::TaskLeak { .. } | Detector::TaskGrowth { .. }))
    }

    fn wait(&self, subject: &Subject) -> Option<&'a Wait> {
        let Subject::Resource { service, concrete_type, location } = subject else { return None };
        self.waits
            .iter()
            .find(|wait| wait.service == *service && wait.concrete_type == *concrete_type && wait.location == *location)
    }

    fn holder(&self, subject: &Subject) -> Option<&'a Site> {
        self.wait(subject)?.probable_holder.as_ref()
    }

    fn waiters(&self, subject: &Subject) -> Option<&'a BTreeMap<Site, u64>> {
        Some(&self.wait(subject)?.waiters)
    }

    /// Whether every finding that matters has a cause on all of its hosts.
    fn is_explained(&self, effect: usize, edges: &[Edge<'_>]) -> bool {
        let here = &self.hotspots[effect];
        let mut matters = here.findings.iter().filter(|finding| finding.severity > Severity::Info).peekable();
        matters.peek().is_some()
            && matters.all(|finding| {
                finding.targets.keys().all(|target| {
                    edges.iter().any(|edge| {
                        let there = &self.hotspots[edge.cause].subject;
                        edge.link != Link::Perhaps
                            && edge.by.targets.contains_key(target)
                            && self.link((there, edge.by), (&here.subject, finding)).is_some()
                    })
                })
            })
    }

    fn sentences(&self, effect: usize, edges: &[Edge<'_>]) -> Vec<String> {
        let named = |link: Link| -> Vec<_> {
            let of = edges.iter().filter(|edge| edge.link == link);
            of.map(|edge| format!("{} at {}", edge.by.name, place_of(&self.hotspots[edge.cause].subject))).collect()
        };
        let holder = self.holder(&self.hotspots[effect].subject).map(place).unwrap_or_default();
        let sentence = |link: Link| {
            let causes = named(link);
            let some = some(&causes);
            (!causes.is_empty()).then(|| match link {
                Link::Workers => format!("explained by {some} on the same hosts"),
                Link::Holder => format!("explained by {some}: its task is the probable holder"),
                Link::HolderWaits => {
                    format!("explained by {some}: the probable holder, a task of {holder}, waits there")
                }
                Link::TasksWait => format!("explained by {some}: its tasks wait there"),
                Link::Memory => format!("explained by {some}: the console keeps those tasks"),
                Link::Perhaps => format!("perhaps its receiver is busy: {some} on the same hosts"),
            })
        };
        let links = [Link::Workers, Link::Holder, Link::HolderWaits, Link::TasksWait, Link::Memory, Link::Perhaps];
        links.into_iter().filter_map(sentence).collect()
    }
}

/// The nearest cause that nothing explains, and how many steps away it is; none for places that explain each other in a
/// circle, which are all causes.
fn root(from: usize, edges: &[Vec<Edge<'_>>], explained: &[bool]) -> Option<(usize, usize)> {
    let mut seen = BTreeSet::from([from]);
    let mut left = VecDeque::from([(from, 1)]);
    while let Some((at, steps)) = left.pop_front() {
        for edge in edges[at].iter().filter(|edge| edge.link != Link::Perhaps) {
            if !explained[edge.cause] {
                return Some((edge.cause, steps));
            }
            if seen.insert(edge.cause) {
                left.push_back((edge.cause, steps + 1));
            }
        }
    }
    None
}

fn waits_for_workers(detector: Detector) -> bool {
    matches!(detector, Detector::Starved { .. } | Detector::SlowFirstPoll { .. })
}

fn takes_workers(detector: Detector) -> bool {
    matches!(
        detector,
        Detector::StuckPoll { .. }
            | Detector::NeverYielded { .. }
            | Detector::LongPoll { .. }
            | Detector::Spinning { .. }
    )
}

fn is_queue(detector: Detector) -> bool {
    matches!(
        detector,
        Detector::Deadlock
            | Detector::LockContention { .. }
            | Detector::PermitsExhausted { .. }
            | Detector::ChannelBacklog { .. }
    )
}

fn is_site(subject: &Subject, site: &Site) -> bool {
    matches!(subject, Subject::Site(of) if of.site == *site)
}

fn share_a_host(one: &Finding, other: &Finding) -> bool {
    one.targets.keys().any(|target: &TargetId| other.targets.contains_key(target))
}

fn place_of(subject: &Subject) -> String {
    match subject {
        Subject::Site(site) => place(&site.site),
        Subject::Resource { concrete_type, location: Some(location), .. } => {
            format!("the {concrete_type} of {location}")
        }
        Subject::Resource { concrete_type, .. } => format!("a {concrete_type}"),
        Subject::Target { .. } => "the process".to_owned(),
    }
}

/// The first of them, and how many more there are.
fn some(names: &[String]) -> String {
    let mut text = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Origin, Service, SpawnLocation, TaskKind};
    use crate::playbook::built_in;

    fn location(file: &str) -> SpawnLocation {
        SpawnLocation { origin: Origin::App, file: file.to_owned(), line: 1, column: 1 }
    }

    fn site(file: &str) -> Site {
        Site { location: Some(location(file)), kind: TaskKind::Task, fn_name: None, name: None }
    }

    fn tasks(file: &str) -> Subject {
        Subject::Site(FleetSite { service: Service::default(), site: site(file) })
    }

    fn lock(file: &str) -> Subject {
        let location = Some(location(file));
        Subject::Resource { service: Service::default(), concrete_type: "Mutex".to_owned(), location }
    }

    const PROCESS: Subject = Subject::Target { service: Service(String::new()) };

    fn target(host: &str) -> TargetId {
        TargetId { host: host.parse().unwrap(), console: None }
    }

    /// A place with findings of these rules on these hosts.
    fn found(subject: Subject, names: &[&str], hosts: &[&str]) -> Hotspot {
        let playbook = built_in();
        let finding = |name: &&str| {
            let rule = playbook.rule(name).unwrap();
            Finding {
                rule: rule.id.clone(),
                name: rule.name.clone(),
                severity: Severity::Warning,
                confidence: Confidence::High,
                caps: Vec::new(),
                message: String::new(),
                evidence: String::new(),
                affected: 1,
                of: 1,
                targets: hosts.iter().map(|host| (target(host), 1)).collect(),
                targets_in_service: 3,
                explained_here: None,
                remedy: String::new(),
                next_checks: Vec::new(),
                reference: None,
            }
        };
        Hotspot {
            subject,
            severity: Severity::Warning,
            confidence: Confidence::High,
            rank_reason: String::new(),
            explained_by: None,
            related: Vec::new(),
            findings: names.iter().map(finding).collect(),
        }
    }

    fn wait(file: &str, waiters: &[&str], holder: Option<&str>) -> Wait {
        Wait {
            service: Service::default(),
            concrete_type: "Mutex".to_owned(),
            location: Some(location(file)),
            waiters: waiters.iter().map(|file| (site(file), 1)).collect(),
            longest: Duration::from_secs(9),
            probable_holder: holder.map(site),
            targets: [(target("a"), 1)].into(),
        }
    }

    #[test]
    fn who_takes_workers_stands_before_who_waits_for_them_at_one_place() {
        let playbook = built_in();
        let detector = |finding: &Finding| playbook.rule(&finding.name).unwrap().detector();
        let cause = |rule: &str| Some(playbook.rule(rule).unwrap().id.clone());
        let marked = |mut findings: Vec<Finding>| {
            explain_here(&mut findings, detector);
            findings.into_iter().map(|finding| finding.explained_here).collect::<Vec<_>>()
        };
        let found = |names: &[&str], hosts: &[&str]| found(tasks("a.rs"), names, hosts).findings;
        assert_eq!(marked(found(&["starved", "long-poll", "busy"], &["a"])), [cause("long-poll"), None, None]);
        assert_eq!(marked(found(&["slow-first-poll", "starved", "task-leak"], &["a"])), [None, None, None]);
        let elsewhere = [found(&["starved"], &["a", "b"]), found(&["long-poll"], &["a"])].concat();
        assert_eq!(marked(elsewhere), [None, None], "on b something else is behind it");
        let mut unsure = found(&["starved", "long-poll"], &["a"]);
        unsure[1].confidence = Confidence::Low;
        assert_eq!(marked(unsure), [None, None]);
    }

    /// How far away the cause of each hotspot is, 0 for none, and what it says.
    fn related(mut hotspots: Vec<Hotspot>, waits: &[Wait]) -> Vec<(usize, String)> {
        relate(&mut hotspots, &built_in(), &Peers::new(), waits);
        let row = |hotspot: Hotspot| {
            (hotspot.explained_by.map_or(0, |explanation| explanation.steps), hotspot.related.join("; "))
        };
        hotspots.into_iter().map(row).collect()
    }

    fn row(steps: usize, words: &str) -> (usize, String) {
        (steps, words.to_owned())
    }

    #[test]
    fn who_takes_workers_explains_who_waits_for_one() {
        let stuck = || found(tasks("stuck.rs"), &["stuck-poll"], &["a"]);
        let all = related(
            vec![
                found(PROCESS, &["starved"], &["a"]),
                stuck(),
                found(tasks("late.rs"), &["slow-first-poll"], &["a", "b"]),
                found(tasks("other.rs"), &["starved"], &["b"]),
            ],
            &[],
        );
        let why = "explained by stuck-poll at stuck.rs:1:1 on the same hosts";
        let effects = "explains starved at the process, slow-first-poll at late.rs:1:1";
        assert_eq!(all, [row(1, why), row(0, effects), row(0, why), row(0, "")]);
        let more = related(vec![stuck(), found(tasks("late.rs"), &["starved", "task-leak"], &["a"])], &[]);
        assert_eq!(more[1].0, 0, "the leak is a thing of its own");
    }

    #[test]
    fn a_deadlock_explains_the_queues_behind_it() {
        let all = related(
            vec![
                found(lock("accounts.rs"), &["deadlock"], &["a"]),
                found(lock("cache.rs"), &["lock-contention"], &["a"]),
                found(tasks("request.rs"), &["task-leak"], &["a"]),
                found(PROCESS, &["console-memory"], &["a"]),
            ],
            &[
                wait("accounts.rs", &["transfer.rs"], Some("audit.rs")),
                wait("cache.rs", &["request.rs"], Some("transfer.rs")),
            ],
        );
        let cache = "explained by deadlock at the Mutex of accounts.rs:1:1: the probable holder, a task of transfer.rs:1:1, waits there";
        let leak = "explained by lock-contention at the Mutex of cache.rs:1:1: its tasks wait there";
        let memory = "explained by task-leak at request.rs:1:1: the console keeps those tasks";
        assert_eq!(
            all,
            [
                row(0, "explains lock-contention at the Mutex of cache.rs:1:1"),
                row(1, &format!("{cache}; explains task-leak at request.rs:1:1")),
                row(2, &format!("{leak}; explains console-memory at the process")),
                row(3, memory),
            ]
        );
    }

    #[test]
    fn who_holds_a_lock_through_a_long_poll_explains_its_queue() {
        let all = related(
            vec![
                found(lock("cache.rs"), &["lock-contention"], &["a"]),
                found(tasks("refresh.rs"), &["long-poll"], &["a"]),
                found(tasks("elsewhere.rs"), &["long-poll"], &["a"]),
            ],
            &[wait("cache.rs", &["request.rs"], Some("refresh.rs"))],
        );
        let why = "explained by long-poll at refresh.rs:1:1: its task is the probable holder";
        let effect = "explains lock-contention at the Mutex of cache.rs:1:1";
        assert_eq!(all, [row(1, why), row(0, effect), row(0, "")]);
    }

    #[test]
    fn the_receiver_of_a_full_channel_is_a_guess_and_explains_nothing_away() {
        let all = related(
            vec![
                found(tasks("send.rs"), &["channel-backlog"], &["a"]),
                found(tasks("consume.rs"), &["long-poll"], &["a"]),
                found(tasks("consume-b.rs"), &["long-poll"], &["b"]),
            ],
            &[],
        );
        let perhaps = "perhaps its receiver is busy: long-poll at consume.rs:1:1 on the same hosts";
        assert_eq!(all, [row(0, perhaps), row(0, ""), row(0, "")]);
    }

    #[test]
    fn places_that_explain_each_other_are_both_causes() {
        let all = related(
            vec![
                found(lock("one.rs"), &["lock-contention"], &["a"]),
                found(lock("two.rs"), &["lock-contention"], &["a"]),
            ],
            &[wait("one.rs", &["x.rs"], Some("y.rs")), wait("two.rs", &["y.rs"], Some("x.rs"))],
        );
        assert!(all.iter().all(|(steps, words)| *steps == 0 && words.contains("explained by")), "{all:?}");
    }
}
