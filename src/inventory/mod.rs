//! Files become hosts, groups and what is set for them. Ansible's shapes, words and precedence; our settings are
//! variables beside theirs.
//!
//! ```text
//! YAML, INI, programs (--list), directories, a,b,  ─▶ load ─▶ hosts and groups ─▶ index ─▶ patterns
//! group_vars/, host_vars/ beside them ─────────────────────────────────────────┴▶ variables ─▶ settings
//! ```

mod beside;
mod check;
mod console;
mod dynamic;
mod expand;
mod files;
mod index;
mod ini;
mod literal;
mod load;
mod naming;
mod pattern;
mod ssh_config;
mod thresholds;
mod typed;
mod variables;
mod vars;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use crate::model::{GroupName, HostName};
use crate::source::Complaints;

use files::FileVars;
use index::Index;
use naming::Naming;
use variables::VarMap;

pub(crate) use console::DEFAULT_PORT;
pub use console::{ConsoleSetting, DirectTarget, DirectTargetError, NamedConsole};
pub use pattern::{Pattern, PatternError};
pub use ssh_config::aliases_of_ssh_config;
pub use variables::{Resolved, Variable};
pub use vars::{Transport, Vars};

/// Hosts and groups of all inventories together.
#[derive(Debug, Default)]
pub struct Inventory {
    /// In the order in which the files name them.
    hosts: Vec<Host>,
    by_name: HashMap<HostName, usize>,
    groups: BTreeMap<GroupName, Group>,
    /// `group_vars/` and `host_vars/`, one per inventory that has a place, in their order.
    files: Vec<FileVars>,
    index: Index,
    notes: Vec<String>,
    naming: Naming,
}

#[derive(Debug)]
struct Host {
    name: HostName,
    vars: VarMap,
}

#[derive(Debug, Default)]
struct Group {
    /// Places in [`Inventory::hosts`], without duplicates.
    hosts: Vec<usize>,
    children: Vec<GroupName>,
    vars: VarMap,
    /// `ansible_group_priority`: among groups of one depth the higher counts.
    priority: i64,
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
    /// Something that only Ansible reads.
    #[error("`{}` is {what}; let Ansible read it: `ansible-inventory -i {} --list > hosts.json`, then `-i hosts.json`", path.display(), path.display())]
    Unsupported {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A program that did not give an inventory.
    #[error("the inventory program `{}` {why}", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// Mistakes in a file.
    #[error("{0}")]
    Mistakes(#[from] Complaints),
    /// A host list with a name that is none.
    #[error("in the host list `{list}`: {why}")]
    BadList {
        /// The list.
        list: String,
        /// What is wrong.
        why: String,
    },
}

/// Everything that is wrong with the inventories, at once.
#[derive(Debug)]
pub struct InventoryErrors(Vec<InventoryError>);

impl std::fmt::Display for InventoryErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InventoryErrors {}

impl Inventory {
    /// Reads inventories as Ansible's `-i` does: YAML, INI and `--list` JSON files, programs, directories of these, and
    /// lists of hosts with a comma in them. Later ones count more. Programs are run.
    ///
    /// # Errors
    /// Every mistake in all of them.
    pub fn load(arguments: &[String]) -> Result<Self, InventoryErrors> {
        load::load(arguments)
    }

    /// Hosts with nothing set, in no group.
    #[must_use]
    pub fn of_hosts(names: impl IntoIterator<Item = HostName>) -> Self {
        let mut inventory = Self::default();
        for name in names {
            inventory.host(name);
        }
        inventory.index = Index::of(&inventory);
        inventory
    }

    /// The place of a host, which is added when it is new.
    fn host(&mut self, name: HostName) -> usize {
        let next = self.hosts.len();
        let at = *self.by_name.entry(name.clone()).or_insert(next);
        if at == next {
            self.hosts.push(Host { name, vars: VarMap::new() });
        }
        at
    }

    fn place(&self, name: &HostName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Every host, in the order of the files.
    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.iter().map(|host| &host.name)
    }

    /// Names of all groups; `all` and `ungrouped` only where a file speaks of them.
    pub fn groups(&self) -> impl Iterator<Item = &GroupName> {
        self.groups.keys()
    }

    /// The groups directly below `group`, by name. Below `all` are those that are below no other.
    #[must_use]
    pub fn children(&self, group: &str) -> Vec<&str> {
        self.index.children(self, group)
    }

    /// The hosts that are in `group` itself, in the order of the files. All are in one: those of no other in `ungrouped`.
    #[must_use]
    pub fn own_hosts(&self, group: &str) -> Vec<&HostName> {
        let places = self.index.own_hosts(self, group);
        places.into_iter().filter_map(|at| self.hosts.get(at)).map(|host| &host.name).collect()
    }

    /// The hosts of a group and of its children in the order of the files, or nothing when there is no such group.
    #[must_use]
    pub fn members(&self, group: &str) -> Option<Vec<&HostName>> {
        let places = self.index.members(group)?;
        Some(places.iter().filter_map(|&at| self.hosts.get(at)).map(|host| &host.name).collect())
    }

    /// The host of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&HostName> {
        self.by_name.get(name).and_then(|&at| self.hosts.get(at)).map(|host| &host.name)
    }

    /// What a person should know about the inventories that is no mistake: what was skipped, what programs said.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
