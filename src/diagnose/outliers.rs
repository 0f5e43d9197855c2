//! Hosts that differ from their peers, and what tells them from the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diagnosis::{FleetSite, Outlier, SiteFigures};
use super::distribution::Tails;
use super::profile::SiteProfile;
use crate::model::{Service, TargetId};

/// What is known of an observed target beside its tasks.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub service: Service,
    /// Of the inventory, with `tokio` and `console-subscriber` as they were seen.
    pub attributes: BTreeMap<String, String>,
    pub window: Duration,
    /// Worker threads, where they can be seen.
    pub workers: Option<u32>,
    /// Age of the oldest task alive: the process has been up for at least so long.
    pub age: Option<Duration>,
}

pub(super) type Peers = BTreeMap<TargetId, Peer>;

/// A figure that is compared: its name in playbooks, the least difference that matters, and its value in thousandths (of a
/// microsecond, for times), so that nothing is rounded differently elsewhere.
struct Metric {
    name: &'static str,
    unit: Unit,
    least: u64,
    /// A metric that says the same of the same hosts: where that one told of them, this one does not repeat it.
    like: &'static str,
    value: fn(&On<'_>) -> Option<u64>,
}

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Unit {
    Is(&'static str),
    Time,
}

/// A site on one target.
struct On<'a> {
    figures: &'a SiteFigures,
    tails: Tails,
    window: Duration,
}

const fn metric(name: &'static str, unit: &'static str, least: u64, value: fn(&On<'_>) -> Option<u64>) -> Metric {
    Metric { name, unit: Unit::Is(unit), least, like: "", value }
}

const fn time(name: &'static str, least_micros: u64, value: fn(&On<'_>) -> Option<u64>) -> Metric {
    Metric { name, unit: Unit::Time, least: least_micros, like: "", value }
}

impl Metric {
    const fn like(self, like: &'static str) -> Self {
        Self { like, ..self }
    }

    fn shown(&self, value: u64) -> String {
        match self.unit {
            Unit::Is(unit) => format!("{}{unit}", thousandths(value)),
            Unit::Time => super::words::duration(value),
        }
    }
}

/// What is compared, the most telling first.
const METRICS: &[Metric] = &[
    metric("site.alive", "", 10, |on| count(on.figures.alive)),
    metric("site.idle", "", 10, |on| count(on.figures.idle())).like("site.alive"),
    metric("site.woken", "", 10, |on| count(on.figures.woken)),
    metric("site.running", "", 2, |on| count(on.figures.running)),
    metric("site.never_polled", "", 10, |on| count(on.figures.never_polled)),
    metric("site.busy_share", "%", 10, |on| share(on.figures.busy, on.window)),
    metric("site.poll_rate", "/s", 100, |on| rate(on.figures.polls, on.window)),
    metric("site.wake_rate", "/s", 100, |on| rate(on.figures.wakes, on.window)).like("site.poll_rate"),
    metric("site.self_wake_share", "%", 30, |on| {
        // Of a handful of wakes no share is worth a word.
        let part = u128::from(on.figures.self_wakes.min(on.figures.wakes)) * 100_000;
        let share = part.checked_div(u128::from(on.figures.wakes)).filter(|_| on.figures.wakes >= 100)?;
        u64::try_from(share).ok()
    }),
    metric("site.spawn_rate", "/s", 5, |on| rate(on.figures.born, on.window)),
    time("site.longest_poll", 500_000, |on| Some(nanos(on.figures.longest_poll))),
    time("site.mean_poll", 10_000, |on| {
        let polls = u32::try_from(on.figures.polls).ok().filter(|polls| *polls >= 10)?;
        Some(nanos(on.figures.busy.checked_div(polls)?))
    }),
    time("site.poll_p99", 20_000, |on| Some(nanos(on.tails.polls?.p99))).like("site.mean_poll"),
    time("site.scheduled_p99", 50_000, |on| Some(nanos(on.tails.scheduled?.p99))),
];

#[allow(clippy::unnecessary_wraps)] // As the table wants it.
fn count(count: u64) -> Option<u64> {
    Some(count.saturating_mul(1000))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn rate(count: u64, window: Duration) -> Option<u64> {
    let rate = (u128::from(count) * 1_000_000_000_000).checked_div(window.as_nanos())?;
    Some(u64::try_from(rate).unwrap_or(u64::MAX))
}

fn share(part: Duration, window: Duration) -> Option<u64> {
    Some(u64::try_from((part.as_nanos() * 100_000).checked_div(window.as_nanos())?).unwrap_or(u64::MAX))
}

/// With fewer hosts a median says nothing.
const LEAST_FOR_A_MEDIAN: usize = 4;

/// Every host that differs from its peers in a figure of a site, ordered by site, then metric.
pub(super) fn outliers(sites: &BTreeMap<FleetSite, SiteProfile>, peers: &Peers) -> Vec<Outlier> {
    let mut outliers = Vec::new();
    for (site, profile) in sites {
        // One host has nobody to differ from.
        if profile.by_target.len() < 2 {
            continue;
        }
        let mut told: BTreeMap<&str, BTreeSet<TargetId>> = BTreeMap::new();
        for metric in METRICS {
            let value = |(target, figures): (&TargetId, &SiteFigures)| {
                let tails = profile.tails.get(target).copied().unwrap_or_default();
                let on = On { figures, tails, window: peers.get(target)?.window };
                Some((target.clone(), (metric.value)(&on)?))
            };
            let values: BTreeMap<_, _> = profile.by_target.iter().filter_map(value).collect();
            let Some(odd) = odd(&values, metric.least.saturating_mul(1000)) else { continue };
            let hosts: BTreeSet<_> = odd.targets.iter().map(|target| (*target).clone()).collect();
            if told.get(metric.like) == Some(&hosts) {
                continue;
            }
            told.insert(metric.name, hosts);
            let shown = |value: u64| metric.shown(value);
            let targets: BTreeMap<_, _> =
                odd.targets.iter().map(|target| ((*target).clone(), shown(values[*target]))).collect();
            outliers.push(Outlier {
                site: site.clone(),
                metric: metric.name.to_owned(),
                usual: shown(odd.usual),
                method: odd.method(values.len(), shown),
                explained_by: told_apart(&targets.keys().collect(), peers),
                targets,
            });
        }
    }
    outliers
}

fn thousandths(value: u64) -> String {
    match value {
        0..10_000 if !value.is_multiple_of(1000) => format!("{}.{}", value / 1000, value % 1000 / 100),
        _ => (value / 1000).to_string(),
    }
}

struct Odd<'v> {
    targets: BTreeSet<&'v TargetId>,
    usual: u64,
    /// The median absolute deviation, where there is one.
    deviation: Option<u64>,
}

impl Odd<'_> {
    fn method(&self, hosts: usize, shown: impl Fn(u64) -> String) -> String {
        match self.deviation {
            Some(deviation) => format!(
                "more than 5 deviations from the median of {hosts} hosts (median {}, deviation {}), and twice or half of it",
                shown(self.usual),
                shown(deviation)
            ),
            None => format!("unlike the largest group of like hosts ({} of {hosts})", hosts - self.targets.len()),
        }
    }
}

/// Half as much or twice as much, by a difference that matters.
fn differs(value: u64, usual: u64, least: u64) -> bool {
    let (small, large) = (value.min(usual), value.max(usual));
    large - small >= least && large / 2 >= small
}

fn odd(values: &BTreeMap<TargetId, u64>, least: u64) -> Option<Odd<'_>> {
    let mut sorted: Vec<_> = values.values().copied().collect();
    sorted.sort_unstable();
    let (usual, deviation) = if sorted.len() >= LEAST_FOR_A_MEDIAN {
        let usual = sorted[sorted.len() / 2];
        let mut distances: Vec<_> = sorted.iter().map(|value| value.abs_diff(usual)).collect();
        distances.sort_unstable();
        // 1.4826 makes it comparable to a standard deviation.
        let deviation = u128::from(distances[distances.len() / 2]) * 14_826 / 10_000;
        (usual, Some(u64::try_from(deviation).unwrap_or(u64::MAX)))
    } else {
        let alike = |usual: &u64| sorted.iter().filter(|value| !differs(**value, *usual, least)).count();
        let usual = sorted.iter().copied().max_by_key(|usual| (alike(usual), std::cmp::Reverse(*usual)))?;
        // Of two hosts nobody can say which is the odd one.
        if alike(&usual) * 2 <= sorted.len() {
            return None;
        }
        (usual, None)
    };
    let is_odd = |value: u64| {
        let is_far = deviation.is_none_or(|deviation| value.abs_diff(usual) > deviation.saturating_mul(5));
        is_far && differs(value, usual, least)
    };
    let targets: BTreeSet<_> = values.iter().filter(|(_, value)| is_odd(**value)).map(|(target, _)| target).collect();
    (!targets.is_empty()).then_some(Odd { targets, usual, deviation })
}

/// The attributes that all of `odd` share and none of their peers has, a sentence each.
pub(super) fn told_apart(odd: &BTreeSet<&TargetId>, peers: &Peers) -> Vec<String> {
    let Some(service) = odd.first().and_then(|target| peers.get(target)).map(|peer| &peer.service) else {
        return Vec::new();
    };
    let (odd, rest): (Vec<_>, Vec<_>) =
        peers.iter().filter(|(_, peer)| peer.service == *service).partition(|(target, _)| odd.contains(target));
    if rest.is_empty() {
        return Vec::new();
    }
    let Some((_, first)) = odd.first() else { return Vec::new() };
    let mut told = Vec::new();
    for (name, value) in &first.attributes {
        let has = |peer: &Peer| peer.attributes.get(name) == Some(value);
        let others: BTreeSet<_> = rest.iter().filter_map(|(_, peer)| peer.attributes.get(name)).collect();
        // What is different on every host (an address, a serial number) tells nothing.
        let is_everybodys_own = odd.len() == 1 && rest.len() > 1 && others.len() == rest.len();
        if others.is_empty() || is_everybodys_own || !odd.iter().all(|(_, peer)| has(peer)) || others.contains(value) {
            continue;
        }
        let others: Vec<_> = others.into_iter().take(3).map(String::as_str).collect();
        let who = if let [(only, _)] = odd[..] {
            format!("{only} is the only host")
        } else {
            "they are the only hosts".to_owned()
        };
        told.push(format!("{who} with {name} {value} (the others have {})", others.join(", ")));
    }
    told.extend(younger_or_older(&odd, &rest));
    told
}

/// An age is never equal: it tells hosts apart when all of one side are at least twice as old as all of the other.
fn younger_or_older(odd: &[(&TargetId, &Peer)], rest: &[(&TargetId, &Peer)]) -> Option<String> {
    let ages = |hosts: &[(&TargetId, &Peer)]| {
        let ages: Option<Vec<_>> = hosts.iter().map(|(_, peer)| peer.age).collect();
        let ages = ages?;
        Some((*ages.iter().min()?, *ages.iter().max()?))
    };
    let ((odd_least, odd_most), (rest_least, rest_most)) = (ages(odd)?, ages(rest)?);
    // Seconds more or less are how a deployment goes.
    let apart =
        |young: Duration, old: Duration| old >= young.saturating_mul(2) && old.saturating_sub(young) >= LEAST_AGE;
    let who = match odd {
        [(only, _)] => format!("{only} has"),
        _ => "they have".to_owned(),
    };
    let shown = |age: Duration| super::words::duration(nanos(age));
    if apart(odd_most, rest_least) {
        let (up, others) = (shown(odd_most), shown(rest_least));
        return Some(format!(
            "{who} been up for {up} at most, the others for {others} or longer, by their oldest tasks"
        ));
    }
    apart(rest_most, odd_least).then(|| {
        let (up, others) = (shown(odd_least), shown(rest_most));
        format!("{who} been up for {up} or longer, the others for {others} at most, by their oldest tasks")
    })
}

/// Less of a difference in age says nothing.
const LEAST_AGE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> TargetId {
        TargetId { host: host.parse().unwrap(), console: None }
    }

    fn values(values: &[u64]) -> BTreeMap<TargetId, u64> {
        values.iter().enumerate().map(|(index, value)| (target(&format!("relay-{index}")), value * 1000)).collect()
    }

    fn odd_of(numbers: &[u64]) -> Vec<String> {
        let values = values(numbers);
        odd(&values, 10_000).map_or_else(Vec::new, |odd| odd.targets.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_host_far_from_the_median_is_odd_and_ordinary_spread_is_not() {
        assert_eq!(odd_of(&[20, 21, 19, 400]), ["relay-3"]);
        assert_eq!(odd_of(&[20, 20, 20, 20, 0]), ["relay-4"]);
        assert!(odd_of(&[20, 35, 12, 28, 44]).is_empty());
        assert!(odd_of(&[1, 1, 1, 4]).is_empty(), "no difference that matters");
    }

    #[test]
    fn few_hosts_are_compared_by_the_largest_group() {
        assert_eq!(odd_of(&[20, 22, 300]), ["relay-2"]);
        assert!(odd_of(&[20, 300]).is_empty(), "of two, nobody is odd");
        assert!(odd_of(&[1, 50, 3000]).is_empty(), "no group is larger");
    }

    #[test]
    fn the_attribute_that_tells_them_apart_is_named() {
        let peer = |version: &str, address: &str| Peer {
            service: Service("relay".into()),
            attributes: [("version".to_owned(), version.to_owned()), ("address".to_owned(), address.to_owned())].into(),
            window: Duration::from_secs(3),
            workers: None,
            age: None,
        };
        let peers: Peers = [
            (target("relay-1"), peer("1.4.1", "a")),
            (target("relay-2"), peer("1.4.1", "b")),
            (target("relay-3"), peer("1.4.2", "c")),
        ]
        .into();
        let told = told_apart(&[&target("relay-3")].into(), &peers);
        assert_eq!(told, ["relay-3 is the only host with version 1.4.2 (the others have 1.4.1)"]);
        assert!(told_apart(&[&target("relay-1")].into(), &peers).is_empty());
        let both = told_apart(&[&target("relay-1"), &target("relay-2")].into(), &peers);
        assert_eq!(both, ["they are the only hosts with version 1.4.1 (the others have 1.4.2)"]);
    }

    fn aged(host: &str, seconds: u64) -> (TargetId, Peer) {
        let peer = Peer {
            service: Service("relay".into()),
            attributes: BTreeMap::new(),
            window: Duration::from_secs(3),
            workers: None,
            age: Some(Duration::from_secs(seconds)),
        };
        (target(host), peer)
    }

    #[test]
    fn who_was_started_lately_is_told_apart_by_it() {
        let told = |ages: [u64; 3]| {
            let peers: Peers =
                [aged("relay-1", ages[0]), aged("relay-2", ages[1]), aged("relay-3", ages[2])].into_iter().collect();
            told_apart(&[&target("relay-3")].into(), &peers)
        };
        let young = "relay-3 has been up for 3m00s at most, the others for 5h00m or longer, by their oldest tasks";
        assert_eq!(told([20_000, 18_000, 180]), [young]);
        let old = "relay-3 has been up for 5h00m or longer, the others for 3m20s at most, by their oldest tasks";
        assert_eq!(told([180, 200, 18_000]), [old]);
        assert!(told([180, 20_000, 19_000]).is_empty(), "one of the others is as young");
        assert!(told([20, 22, 4]).is_empty(), "seconds apart");
    }

    fn site(by_target: &[(&str, SiteFigures)], tails: &[(&str, u64)]) -> BTreeMap<FleetSite, SiteProfile> {
        use super::super::distribution::Tail;
        use crate::model::{Site, TaskKind};
        let site = Site { location: None, kind: TaskKind::Task, fn_name: None, name: None };
        let tail = |p99: u64| Some(Tail { p99: Duration::from_millis(p99), ..Tail::default() });
        let profile = SiteProfile {
            by_target: by_target.iter().map(|(host, figures)| (target(host), *figures)).collect(),
            tails: tails
                .iter()
                .map(|(host, p99)| (target(host), Tails { tasks: 1, polls: tail(*p99), scheduled: None }))
                .collect(),
            ..SiteProfile::default()
        };
        [(FleetSite { service: Service("relay".into()), site }, profile)].into()
    }

    /// Every figure that has a row of its own, by name and value.
    fn compared(sites: &BTreeMap<FleetSite, SiteProfile>) -> Vec<(String, String)> {
        let peers: Peers = ["relay-1", "relay-2", "relay-3", "relay-4"].map(|host| aged(host, 60)).into();
        let row = |outlier: Outlier| (outlier.metric, outlier.targets[&target("relay-4")].clone());
        outliers(sites, &peers).into_iter().map(row).collect()
    }

    #[test]
    fn many_figures_are_compared_and_the_same_news_is_told_once() {
        let usual = SiteFigures { alive: 20, polls: 300, wakes: 300, ..SiteFigures::default() };
        let all = |odd: SiteFigures| [("relay-1", usual), ("relay-2", usual), ("relay-3", usual), ("relay-4", odd)];
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let idle = compared(&site(&all(SiteFigures { alive: 900, ..usual }), &[]));
        assert_eq!(idle, [row("site.alive", "900")], "they are idle as well, which is no news");
        let woken = compared(&site(&all(SiteFigures { alive: 900, woken: 880, ..usual }), &[]));
        assert_eq!(woken, [row("site.alive", "900"), row("site.woken", "880")]);
        let own = compared(&site(&all(SiteFigures { self_wakes: 290, ..usual }), &[]));
        assert_eq!(own, [row("site.self_wake_share", "96%")]);
        let tails = [("relay-1", 1), ("relay-2", 2), ("relay-3", 1), ("relay-4", 400)];
        assert_eq!(compared(&site(&all(usual), &tails)), [row("site.poll_p99", "400ms")]);
        assert_eq!(compared(&site(&all(usual), &tails[3..])), [], "nobody to compare it with");
    }
}
