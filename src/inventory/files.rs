//! `group_vars/` and `host_vars/` beside an inventory: files, or directories of files, named after a group or a host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::UNGROUPED;
use super::load::{Reader, read_text};
use super::variables::VarMap;
use super::{Inventory, InventoryError};
use crate::model::HostName;

/// Endings of such files, in the order in which Ansible looks for them; the first that is there is taken.
const ENDINGS: &[&str] = &["", ".yml", ".yaml", ".json"];

/// What Ansible's vault writes at the beginning of an encrypted file.
pub(super) const ENCRYPTED: &str = "$ANSIBLE_VAULT";

/// Deepest directory below `group_vars/NAME`.
const MAX_DEPTH: usize = 16;

/// What the files beside one inventory set.
#[derive(Debug, Default)]
pub(super) struct FileVars {
    pub all: Option<VarMap>,
    pub groups: BTreeMap<String, VarMap>,
    pub hosts: BTreeMap<HostName, VarMap>,
}

/// Reads what is beside the inventory in `directory` for the hosts and groups that there are.
pub(super) fn read(directory: &Path, inventory: &Inventory, reader: &mut Reader) -> FileVars {
    let mut vars = FileVars::default();
    let groups = Folder::list(directory.join("group_vars"));
    if let Some(folder) = &groups {
        vars.all = folder.vars("all", reader);
        let names: BTreeSet<_> = inventory.groups().map(|name| name.as_str()).chain([UNGROUPED]).collect();
        for name in names.into_iter().filter(|name| *name != "all") {
            vars.groups.extend(folder.vars(name, reader).map(|vars| (name.to_owned(), vars)));
        }
    }
    if let Some(folder) = Folder::list(directory.join("host_vars")) {
        for name in inventory.hosts() {
            vars.hosts.extend(folder.vars(name.as_str(), reader).map(|vars| (name.clone(), vars)));
        }
    }
    vars
}

/// Such a directory, listed once: thousands of hosts look into it.
struct Folder {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl Folder {
    fn list(path: PathBuf) -> Option<Self> {
        let entries = fs::read_dir(&path).ok()?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        Some(Self { path, names })
    }

    fn vars(&self, name: &str, reader: &mut Reader) -> Option<VarMap> {
        let found = ENDINGS.iter().map(|ending| format!("{name}{ending}")).find(|name| self.names.contains(name))?;
        let path = self.path.join(found);
        let mut files = Vec::new();
        if path.is_dir() {
            collect(&path, 0, &mut files, reader);
        } else {
            files.push(path);
        }
        let mut vars = VarMap::new();
        for file in files {
            vars.extend(variables(&file, reader));
        }
        Some(vars)
    }
}

/// The files of such a directory, by name, those of directories in it included.
fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>, reader: &mut Reader) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(source) => return reader.fail(InventoryError::Unreadable { path: directory.to_owned(), source }),
    };
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    for name in names.iter().filter(|name| !name.starts_with('.') && !name.ends_with('~')) {
        let path = directory.join(name);
        let ending = name.rfind('.').map_or("", |at| &name[at..]);
        if path.is_dir() {
            if ending.is_empty() && depth < MAX_DEPTH {
                collect(&path, depth + 1, files, reader);
            }
        } else if ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
}

fn variables(path: &Path, reader: &mut Reader) -> VarMap {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            reader.fail(error);
            return VarMap::new();
        }
    };
    if text.trim_start().starts_with(ENCRYPTED) {
        reader.note(format!("`{}` is encrypted: what it sets is not known here", path.display()));
        return VarMap::new();
    }
    reader.document(path, text, |source, node, origin| super::check::variables(source, node, &Arc::clone(origin)))
}
