//! Variables with their places, and which of them counts for a host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::naming::Naming;
use super::{Inventory, Vars};
use crate::model::HostName;
use crate::source::{Complaints, Node};

/// A text that variables came from.
#[derive(Debug)]
pub(super) struct Origin {
    /// A file, or the program that printed it.
    pub path: PathBuf,
    /// Empty where a program printed it.
    pub text: String,
}

/// A variable's value and where it was set.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name, with its place.
    pub(super) key: Node,
    /// Its value.
    pub value: Node,
    pub(super) origin: Arc<Origin>,
}

impl Variable {
    /// Where it was set, as `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        match self.key.place.line {
            0 => self.origin.path.display().to_string(),
            line => format!("{}:{line}", self.origin.path.display()),
        }
    }

    /// The value as JSON, typed as Ansible types it.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        super::typed::json(&self.value)
    }
}

/// Variables of one host, group or file.
pub(super) type VarMap = BTreeMap<Arc<str>, Arc<Variable>>;

/// What is left when variables are laid over each other, each with the layer that it came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Merged(pub BTreeMap<Arc<str>, (usize, Arc<Variable>)>);

impl Merged {
    fn lay(&mut self, layer: &mut usize, over: &VarMap) {
        *layer += 1;
        for (name, variable) in over {
            self.0.insert(Arc::clone(name), (*layer, Arc::clone(variable)));
        }
    }
}

/// More layers than all groups of a host can give.
const HOST_LAYERS: usize = usize::MAX / 2;

/// What is set for one host.
#[derive(Debug)]
pub struct Resolved {
    merged: Merged,
    pub(super) naming: Naming,
}

impl Resolved {
    /// Every variable that counts, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.merged.0.iter().map(|(name, (_, variable))| (name.as_ref(), variable.as_ref()))
    }

    /// The variable of this name, and how near to the host it was set.
    pub(super) fn get(&self, name: &str) -> Option<(usize, &Variable)> {
        self.merged.0.get(name).map(|(layer, variable)| (*layer, variable.as_ref()))
    }

    /// The variable that holds a setting, under the name that it has in this inventory; a long name may be empty.
    pub(super) fn setting(&self, name: &str) -> Option<(usize, &Variable)> {
        let variable = self.naming.variable(name);
        self.get(&variable).filter(|(_, found)| variable == name || !super::vars::is_unset(&found.value))
    }

    /// The settings and attributes in them.
    ///
    /// # Errors
    /// What cannot be used because Ansible would have to compute or decrypt it.
    pub fn vars(&self) -> Result<Vars, Vec<Complaints>> {
        Vars::of(self)
    }
}

impl Inventory {
    /// What is set for `host`, laid over each other as Ansible does: by the inventories for `all`, then for its other
    /// groups, parents before children; by `group_vars/all`, by the other `group_vars`; for itself, and by `host_vars`.
    #[must_use]
    pub fn resolve(&self, host: &HostName) -> Resolved {
        let naming = self.naming;
        let Some(&at) = self.by_name.get(host) else { return Resolved { merged: Merged::default(), naming } };
        let mut merged = self.index.set(at).map(|set| set.merged.clone()).unwrap_or_default();
        let mut layer = HOST_LAYERS;
        if let Some(host) = self.hosts.get(at) {
            merged.lay(&mut layer, &host.vars);
        }
        for file in &self.files {
            if let Some(vars) = file.hosts.get(host) {
                merged.lay(&mut layer, vars);
            }
        }
        Resolved { merged, naming }
    }

    /// The settings of `host`.
    ///
    /// # Errors
    /// As for [`Resolved::vars`].
    pub fn vars(&self, host: &HostName) -> Result<Vars, Vec<Complaints>> {
        self.resolve(host).vars()
    }

    /// Computes what the groups set together, once for all hosts that share theirs.
    pub(super) fn merge_groups(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        for set in index.sets_mut() {
            let mut layer = 0;
            if let Some(all) = self.groups.get("all") {
                set.merged.lay(&mut layer, &all.vars);
            }
            for group in set.groups.iter().filter_map(|name| self.groups.get(name.as_str())) {
                set.merged.lay(&mut layer, &group.vars);
            }
            for file in &self.files {
                file.all.iter().for_each(|vars| set.merged.lay(&mut layer, vars));
            }
            for file in &self.files {
                for vars in set.groups.iter().filter_map(|name| file.groups.get(name)) {
                    set.merged.lay(&mut layer, vars);
                }
            }
        }
        self.index = index;
    }
}
