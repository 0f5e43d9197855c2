//! Hosts that differ from their peers, and what tells them from the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diagnosis::{FleetSite, Outlier, SiteFigures};
use super::profile::SiteProfile;
use crate::model::{Service, TargetId};

/// What is known of an observed target beside its tasks.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub service: Service,
    /// Of the inventory, with `tokio` and `console-subscriber` as they were seen.
    pub attributes: BTreeMap<String, String>,
    pub window: Duration,
}

pub(super) type Peers = BTreeMap<TargetId, Peer>;

/// A figure that is compared: its name in playbooks, its unit, the least difference that matters, and its value in
/// thousandths, so that nothing is rounded differently elsewhere.
struct Metric {
    name: &'static str,
    unit: &'static str,
    least: u64,
    value: fn(&SiteFigures, Duration) -> Option<u64>,
}

const METRICS: &[Metric] = &[
    Metric { name: "site.alive", unit: "", least: 10, value: |figures, _| Some(figures.alive.saturating_mul(1000)) },
    Metric { name: "site.busy_share", unit: "%", least: 10, value: |figures, window| share(figures.busy, window) },
    Metric { name: "site.poll_rate", unit: "/s", least: 100, value: |figures, window| rate(figures.polls, window) },
    Metric { name: "site.spawn_rate", unit: "/s", least: 5, value: |figures, window| rate(figures.born, window) },
];

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
        for metric in METRICS {
            let value = |(target, figures): (&TargetId, &SiteFigures)| {
                Some((target.clone(), (metric.value)(figures, peers.get(target)?.window)?))
            };
            let values: BTreeMap<_, _> = profile.by_target.iter().filter_map(value).collect();
            let Some(odd) = odd(&values, metric.least.saturating_mul(1000)) else { continue };
            let shown = |value: u64| format!("{}{}", thousandths(value), metric.unit);
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
    told
}

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
}
