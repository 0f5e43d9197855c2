//! Who is in which group, computed once: resolving ten thousand hosts asks for it ten thousand times.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Inventory;
use super::variables::Merged;
use crate::model::GroupName;

/// Hosts by group and groups by host.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Places of the hosts of each group and its children, in order.
    members: HashMap<String, Vec<usize>>,
    /// For each host the place of its set in `sets`.
    set_of: Vec<usize>,
    /// Each distinct set of groups that some host is in.
    sets: Vec<GroupSet>,
    /// Groups that are below no other, and hosts of no group: what `all` has beside its own.
    top: Vec<GroupName>,
    ungrouped: Vec<usize>,
}

/// The groups of one or more hosts, in the order in which their variables are laid over each other, without `all`.
#[derive(Debug, Default)]
pub(super) struct GroupSet {
    pub groups: Vec<String>,
    /// What these groups set, together. Hosts that share their groups share this.
    pub merged: Merged,
}

impl Index {
    /// For groups without cycles.
    pub(super) fn of(inventory: &Inventory) -> Self {
        let mut members: HashMap<_, _> =
            inventory.groups.keys().map(|name| (name.to_string(), below(inventory, name))).collect();
        members.insert("all".to_owned(), (0..inventory.hosts.len()).collect());
        let ordered = ordered(inventory);
        let mut groups_of = vec![Vec::new(); inventory.hosts.len()];
        for (position, name) in ordered.iter().enumerate() {
            for &host in members.get(name.as_str()).into_iter().flatten() {
                groups_of[host].push(position);
            }
        }
        let ungrouped: Vec<_> = (0..inventory.hosts.len())
            .filter(|&host| groups_of[host].iter().all(|&at| ordered[at].as_str() == UNGROUPED))
            .collect();
        let (set_of, sets) = sets(groups_of, &ungrouped, &ordered);
        members.insert(UNGROUPED.to_owned(), ungrouped.clone());
        let children: BTreeSet<_> = inventory
            .groups
            .iter()
            .filter(|(name, _)| name.as_str() != "all")
            .flat_map(|(_, group)| &group.children)
            .collect();
        let is_top = |name: &&GroupName| !children.contains(*name) && name.as_str() != "all";
        let top = inventory.groups.keys().filter(is_top).cloned().collect();
        Self { members, set_of, sets, top, ungrouped }
    }

    pub(super) fn sets_mut(&mut self) -> &mut [GroupSet] {
        &mut self.sets
    }

    pub(super) fn set(&self, host: usize) -> Option<&GroupSet> {
        self.sets.get(*self.set_of.get(host)?)
    }

    pub(super) fn members(&self, group: &str) -> Option<&[usize]> {
        self.members.get(group).map(Vec::as_slice)
    }

    pub(super) fn children<'a>(&'a self, inventory: &'a Inventory, group: &str) -> Vec<&'a str> {
        let own = inventory.groups.get(group).map(|group| &group.children);
        let mut children: BTreeSet<_> = own.into_iter().flatten().map(GroupName::as_str).collect();
        if group == "all" {
            children.extend(self.top.iter().map(GroupName::as_str));
            children.insert(UNGROUPED);
        }
        children.into_iter().collect()
    }

    pub(super) fn own_hosts(&self, inventory: &Inventory, group: &str) -> Vec<usize> {
        match group {
            "all" => return Vec::new(),
            UNGROUPED => return self.ungrouped.clone(),
            _ => {}
        }
        let mut hosts = inventory.groups.get(group).map(|group| group.hosts.clone()).unwrap_or_default();
        hosts.sort_unstable();
        hosts
    }
}

/// The group of the hosts that are in no other.
pub(super) const UNGROUPED: &str = "ungrouped";

/// The hosts of a group and its children.
fn below(inventory: &Inventory, name: &GroupName) -> Vec<usize> {
    let mut hosts = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![name];
    while let Some(name) = waiting.pop() {
        if let Some(group) = inventory.groups.get(name).filter(|_| seen.insert(name)) {
            hosts.extend(&group.hosts);
            waiting.extend(&group.children);
        }
    }
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// Groups without `all`, as Ansible lays them: by depth, priority and name.
fn ordered(inventory: &Inventory) -> Vec<&GroupName> {
    let mut parents: BTreeMap<&GroupName, Vec<&GroupName>> = BTreeMap::new();
    for (parent, group) in &inventory.groups {
        for child in &group.children {
            parents.entry(child).or_default().push(parent);
        }
    }
    let mut depths = HashMap::new();
    let mut groups: Vec<_> = inventory.groups.iter().filter(|(name, _)| name.as_str() != "all").collect();
    groups.sort_by_cached_key(|(name, group)| (depth(name, &parents, &mut depths), group.priority, *name));
    groups.into_iter().map(|(name, _)| name).collect()
}

/// How far a group is below `all`: the longest way down, as in Ansible.
fn depth<'a>(
    group: &'a GroupName,
    parents: &BTreeMap<&'a GroupName, Vec<&'a GroupName>>,
    known: &mut HashMap<&'a GroupName, usize>,
) -> usize {
    if group.as_str() == "all" {
        return 0;
    }
    if let Some(depth) = known.get(group) {
        return *depth;
    }
    let above = parents.get(group).into_iter().flatten().map(|parent| depth(parent, parents, known) + 1).max();
    let found = above.unwrap_or(1);
    known.insert(group, found);
    found
}

fn sets(groups_of: Vec<Vec<usize>>, ungrouped: &[usize], ordered: &[&GroupName]) -> (Vec<usize>, Vec<GroupSet>) {
    let lonely: BTreeSet<_> = ungrouped.iter().copied().collect();
    let mut known: HashMap<(Vec<usize>, bool), usize> = HashMap::new();
    let mut sets = Vec::new();
    let mut set_of = Vec::with_capacity(groups_of.len());
    for (host, positions) in groups_of.into_iter().enumerate() {
        let alone = lonely.contains(&host);
        let next = sets.len();
        let at = *known.entry((positions.clone(), alone)).or_insert(next);
        if at == next {
            let mut groups: Vec<_> = positions.iter().map(|&at| ordered[at].to_string()).collect();
            if alone {
                groups = vec![UNGROUPED.to_owned()];
            } else {
                groups.retain(|group| group != UNGROUPED);
            }
            sets.push(GroupSet { groups, merged: Merged::default() });
        }
        set_of.push(at);
    }
    (set_of, sets)
}
