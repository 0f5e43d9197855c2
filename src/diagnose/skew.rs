//! The same spawn site at other lines, in other builds: recognised, so that it is shown once.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnosis::FleetSite;
use super::outliers::Peers;
use super::profile::SiteProfile;
use crate::model::{Origin, SpawnLocation, TargetId};

/// Lines move by this much at most without an attribute that tells the builds apart.
const NEARBY: u32 = 100;

/// Each site that is another one in another build, and which.
pub(super) type SameAs = BTreeMap<FleetSite, FleetSite>;

/// A site without what changes from build to build.
fn without_line(site: &FleetSite) -> Option<FleetSite> {
    let mut site = site.clone();
    let location = site.site.location.as_mut()?;
    (location.line, location.column) = (0, 0);
    match &mut location.origin {
        Origin::Dependency { version, .. } | Origin::Runtime { version } => version.clear(),
        Origin::App | Origin::Std => {}
    }
    Some(site)
}

/// Sites that differ in nothing but their line are the same where each host has as many of them in the same order, and
/// no host has lines of two builds. The one on the most hosts stands for all.
pub(super) fn same_as(sites: &BTreeMap<FleetSite, SiteProfile>, peers: &Peers) -> SameAs {
    let mut families: BTreeMap<FleetSite, Vec<(&FleetSite, &SiteProfile)>> = BTreeMap::new();
    for (site, profile) in sites {
        if let Some(family) = without_line(site) {
            families.entry(family).or_default().push((site, profile));
        }
    }
    let mut same = SameAs::new();
    for family in families.into_values().filter(|family| family.len() > 1) {
        for group in groups(&family) {
            let first = group.iter().max_by_key(|(site, profile)| (profile.by_target.len(), std::cmp::Reverse(*site)));
            let Some((first, of_first)) = first else { continue };
            for (site, profile) in group.iter().filter(|(site, _)| site != first) {
                if are_builds(site, profile, first, of_first, peers) {
                    same.insert((*site).clone(), (*first).clone());
                }
            }
        }
    }
    same
}

/// Members at the same place in the order of lines; nothing when hosts have different numbers of them, or mix builds.
fn groups<'s>(family: &[(&'s FleetSite, &'s SiteProfile)]) -> Vec<Vec<(&'s FleetSite, &'s SiteProfile)>> {
    let mut layouts: BTreeMap<&TargetId, Vec<usize>> = BTreeMap::new();
    // Sites of a family are ordered by line, so each host's layout is too.
    for (index, (_, profile)) in family.iter().enumerate() {
        profile.by_target.keys().for_each(|target| layouts.entry(target).or_default().push(index));
    }
    let layouts: BTreeSet<_> = layouts.into_values().collect();
    let Some(length) = layouts.first().map(Vec::len) else { return Vec::new() };
    let is_disjoint = layouts.iter().flatten().collect::<BTreeSet<_>>().len() == layouts.len() * length;
    if layouts.len() < 2 || !is_disjoint || layouts.iter().any(|layout| layout.len() != length) {
        return Vec::new();
    }
    (0..length).map(|place| layouts.iter().map(|layout| family[layout[place]]).collect()).collect()
}

/// An attribute tells the builds apart, or the lines are so near that an edit above them explains the difference.
fn are_builds(one: &FleetSite, of_one: &SiteProfile, other: &FleetSite, of_other: &SiteProfile, peers: &Peers) -> bool {
    let (Some(here), Some(there)) = (&one.site.location, &other.site.location) else { return false };
    let is_near = |here: &SpawnLocation, there: &SpawnLocation| {
        here.column == there.column && here.line.abs_diff(there.line) <= NEARBY
    };
    is_near(here, there) || is_told_by_version(of_one, of_other, peers)
}

fn is_told_by_version(one: &SiteProfile, other: &SiteProfile, peers: &Peers) -> bool {
    const NAMES: &[&str] = &["version", "app_version", "release", "build", "image", "tag", "commit", "revision"];
    let values = |profile: &SiteProfile, name: &str| -> Option<BTreeSet<String>> {
        profile.by_target.keys().map(|target| peers.get(target)?.attributes.get(name).cloned()).collect()
    };
    NAMES.iter().any(|name| match (values(one, name), values(other, name)) {
        (Some(one), Some(other)) => one.is_disjoint(&other),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::diagnosis::SiteFigures;
    use crate::model::{Service, Site, TaskKind};

    fn seen(line: u32, column: u32, hosts: &[&str]) -> (FleetSite, SiteProfile) {
        let location = SpawnLocation { origin: Origin::App, file: "src/relay.rs".into(), line, column };
        let site = Site { location: Some(location), kind: TaskKind::Task, fn_name: None, name: None };
        let target = |host: &&str| TargetId { host: host.parse().unwrap(), console: None };
        let by_target = hosts.iter().map(|host| (target(host), SiteFigures::default())).collect();
        (FleetSite { service: Service("relay".into()), site }, SiteProfile { by_target, ..SiteProfile::default() })
    }

    fn moved(sites: &[(FleetSite, SiteProfile)]) -> Vec<(u32, u32)> {
        let line = |site: &FleetSite| site.site.location.as_ref().unwrap().line;
        let sites = sites.iter().cloned().collect();
        same_as(&sites, &Peers::new()).iter().map(|(site, first)| (line(site), line(first))).collect()
    }

    #[test]
    fn moved_lines_of_another_build_are_the_same_places_in_order() {
        assert_eq!(moved(&[seen(10, 5, &["a", "b"]), seen(14, 5, &["c"])]), [(14, 10)]);
        let two = [seen(10, 5, &["a", "b"]), seen(14, 5, &["c"]), seen(30, 5, &["a", "b"]), seen(34, 5, &["c"])];
        assert_eq!(moved(&two), [(14, 10), (34, 30)]);
    }

    #[test]
    fn places_of_one_build_stay_apart() {
        assert!(moved(&[seen(10, 5, &["a", "b"]), seen(14, 5, &["a", "b"])]).is_empty(), "both on one host");
        assert!(moved(&[seen(10, 5, &["a"]), seen(14, 5, &["a", "b"])]).is_empty(), "one host has both");
        assert!(moved(&[seen(10, 5, &["a"]), seen(14, 9, &["b"])]).is_empty(), "another column");
        assert!(
            moved(&[seen(10, 5, &["a"]), seen(500, 5, &["b"])]).is_empty(),
            "far away, and nothing tells of builds"
        );
    }
}
