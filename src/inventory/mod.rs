//! Files become hosts, groups and what is set for them. Ansible's shape and words; our settings are variables beside theirs.

mod console;
mod expand;
mod pattern;
mod vars;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::model::{GroupName, HostName, InvalidName};
use crate::source::Complaints;

pub(crate) use console::DEFAULT_PORT;
pub use console::{ConsoleSetting, DirectTarget, DirectTargetError, NamedConsole};
pub use pattern::{Pattern, PatternError};
pub use vars::{Transport, Vars};

/// Hosts and groups of all inventories together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    hosts: BTreeMap<HostName, Vars>,
    groups: BTreeMap<GroupName, Group>,
    /// Hosts in the order in which the files name them.
    order: Vec<HostName>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    hosts: BTreeSet<HostName>,
    children: BTreeSet<GroupName>,
    vars: Vars,
}

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The file cannot be read.
    #[error("cannot read the inventory `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Something that this version does not read.
    #[error("`{}` is {what}; this version reads YAML files (`*.yaml`, `*.yml`) and lists such as `web-1,web-2,`", path.display())]
    Unsupported {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Mistakes in the file.
    #[error("{0}")]
    Mistakes(#[from] Complaints),
    /// A host list with a name that is none.
    #[error("in the host list `{list}`: {why}")]
    BadList {
        /// The list.
        list: String,
        /// What is wrong.
        why: InvalidName,
    },
}

impl Inventory {
    /// Adds the inventory `argument`: a YAML file, or a list of hosts with a comma in it, as for Ansible's `-i`.
    ///
    /// # Errors
    /// When it cannot be read, with every mistake that is in it.
    pub fn add(&mut self, argument: &str) -> Result<(), InventoryError> {
        if argument.contains(',') {
            return self.add_list(argument);
        }
        let path = Path::new(argument);
        let unreadable = |source| InventoryError::Unreadable { path: path.to_owned(), source };
        let unsupported = |what| Err(InventoryError::Unsupported { path: path.to_owned(), what });
        if path.metadata().map_err(unreadable)?.is_dir() {
            return unsupported("a directory");
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !is_yaml && text.starts_with("#!") {
            return unsupported("a program");
        }
        if !is_yaml && text.trim_start().starts_with('[') {
            return unsupported("an INI inventory");
        }
        Ok(yaml::read(self, path, &text)?)
    }

    fn add_list(&mut self, list: &str) -> Result<(), InventoryError> {
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let host = name.parse().map_err(|why| InventoryError::BadList { list: list.to_owned(), why })?;
            self.add_host(host);
        }
        Ok(())
    }

    /// Adds a host with nothing set.
    pub fn add_host(&mut self, host: HostName) {
        self.host(host);
    }

    /// The variables of `host`, which is added when it is new.
    fn host(&mut self, host: HostName) -> &mut Vars {
        self.hosts.entry(host).or_insert_with_key(|host| {
            self.order.push(host.clone());
            Vars::default()
        })
    }

    /// Every host, in the order of the files.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.order.iter()
    }

    /// Names of all groups.
    pub fn groups(&self) -> impl Iterator<Item = &GroupName> {
        self.groups.keys()
    }

    /// The hosts of a group and of its children, or nothing when there is no such group.
    #[must_use]
    pub fn members(&self, group: &str) -> Option<BTreeSet<&HostName>> {
        let name: GroupName = group.parse().ok()?;
        if name.as_str() == "all" {
            return Some(self.hosts.keys().collect());
        }
        self.groups.get(&name)?;
        let mut members = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![&name];
        while let Some(name) = waiting.pop() {
            if let Some(group) = self.groups.get(name).filter(|_| seen.insert(name.clone())) {
                members.extend(&group.hosts);
                waiting.extend(&group.children);
            }
        }
        Some(members)
    }

    /// What is set for `host`: by `all`, then by its groups, parents before children and by name, then by itself.
    #[must_use]
    pub fn vars(&self, host: &HostName) -> Vars {
        let mut vars = Vars::default();
        let mut groups: Vec<_> = self.groups.iter().filter(|(name, _)| self.contains(name, host)).collect();
        groups.sort_by_key(|(name, _)| (name.as_str() != "all", self.depth(name), *name));
        for (_, group) in groups {
            vars.overlay(&group.vars);
        }
        if let Some(own) = self.hosts.get(host) {
            vars.overlay(own);
        }
        vars
    }

    fn contains(&self, group: &GroupName, host: &HostName) -> bool {
        self.members(group.as_str()).is_some_and(|members| members.contains(host))
    }

    /// How far a group is below `all`: the longest way down, as in Ansible. Cycles were refused when they were read.
    fn depth(&self, group: &GroupName) -> usize {
        let parents = self.groups.iter().filter(|(_, parent)| parent.children.contains(group));
        parents.map(|(name, _)| self.depth(name) + 1).max().unwrap_or(1)
    }
}
