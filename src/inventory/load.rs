//! From the arguments of `-i` to files, programs and lists, in Ansible's order.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::expand::expand;
use super::index::Index;
use super::variables::{Origin, Variable};
use super::{Group, Inventory, InventoryError, InventoryErrors, dynamic, files, ini, yaml};
use crate::model::{GroupName, HostName};
use crate::source::{Complaint, Complaints, Node, Place, Source, Value, shown};

/// Largest inventory, in bytes.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// Deepest directory of inventories.
const MAX_DEPTH: usize = 16;

/// Endings that Ansible passes over in a directory of inventories.
const PASSED_OVER: &[&str] =
    &[".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

/// What all readers write into.
#[derive(Default)]
pub(super) struct Reader {
    pub inventory: Inventory,
    /// Where each group was named as the child of another.
    edges: Vec<Edge>,
    errors: Vec<InventoryError>,
    members: HashMap<GroupName, HashSet<usize>>,
    /// Groups of the inventories before this one.
    before: BTreeSet<GroupName>,
}

struct Edge {
    parent: GroupName,
    child: GroupName,
    origin: Arc<Origin>,
    place: Place,
}

/// A host, by its place, and the port that was written behind its name.
pub(super) type Named = (usize, Option<Arc<Variable>>);

/// A text that can be nothing else.
pub(super) fn scalar(text: &str, place: Place) -> Node {
    Node { value: Value::Scalar { text: text.to_owned(), quoted: true }, place }
}

pub(super) fn load(arguments: &[String]) -> Result<Inventory, InventoryErrors> {
    let mut reader = Reader::default();
    for argument in arguments {
        reader.before = reader.inventory.groups.keys().cloned().collect();
        match argument.contains(',') && !Path::new(argument).exists() {
            true => reader.list(argument),
            false => reader.path(Path::new(argument), 0),
        }
    }
    reader.refuse_cycles();
    let mut inventory = std::mem::take(&mut reader.inventory);
    inventory.index = Index::of(&inventory);
    for directory in directories(arguments) {
        let read = files::read(&directory, &inventory, &mut reader);
        inventory.files.push(read);
    }
    inventory.merge_groups();
    reader.errors.extend(inventory.settle_names());
    inventory.notes.append(&mut reader.inventory.notes);
    if reader.errors.is_empty() { Ok(inventory) } else { Err(InventoryErrors(reader.errors)) }
}

/// Where each inventory lies.
fn directories(arguments: &[String]) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for path in arguments.iter().map(Path::new).filter(|path| path.exists()) {
        let own = if path.is_dir() { Some(path) } else { path.parent() };
        let directory = own.unwrap_or(Path::new(""));
        if !directories.iter().any(|known| known == directory) {
            directories.push(directory.to_owned());
        }
    }
    directories
}

/// A file's text, within bounds.
pub(super) fn read_text(path: &Path) -> Result<String, InventoryError> {
    let unreadable = |source| InventoryError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        let why = format!("it is larger than {} MiB", MAX_BYTES >> 20);
        return Err(unreadable(std::io::Error::other(why)));
    }
    Ok(text)
}

impl Reader {
    pub(super) fn fail(&mut self, error: InventoryError) {
        self.errors.push(error);
    }

    pub(super) fn note(&mut self, note: String) {
        self.inventory.notes.push(note);
    }

    fn list(&mut self, list: &str) {
        let origin = Arc::new(Origin { path: "-i".into(), text: String::new() });
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match self.add_hosts(&scalar(name, Place::default()), &origin) {
                Ok(hosts) => hosts.into_iter().for_each(|(host, port)| self.set_port(host, port)),
                Err(why) => self.fail(InventoryError::BadList { list: shown(list), why }),
            }
        }
    }

    fn path(&mut self, path: &Path, depth: usize) {
        let unreadable = |source| InventoryError::Unreadable { path: path.to_owned(), source };
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(source) => return self.fail(unreadable(source)),
        };
        if metadata.is_dir() {
            return self.directory(path, depth);
        }
        if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 && is_program(path) {
            return dynamic::run(self, path);
        }
        match read_text(path) {
            Ok(text) => self.text(path, text),
            Err(error) => self.fail(error),
        }
    }

    fn directory(&mut self, directory: &Path, depth: usize) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) if depth < MAX_DEPTH => entries,
            Ok(_) => return self.note(format!("`{}` lies too deep and was passed over", directory.display())),
            Err(source) => return self.fail(InventoryError::Unreadable { path: directory.to_owned(), source }),
        };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let own = |name: &&String| {
            !name.starts_with('.')
                && !["group_vars", "host_vars", "vars_plugins"].contains(&name.as_str())
                && !PASSED_OVER.iter().any(|ending| name.ends_with(ending))
        };
        for name in names.iter().filter(own) {
            self.path(&directory.join(name), depth + 1);
        }
    }

    fn text(&mut self, path: &Path, text: String) {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending {
            "toml" => self.fail(InventoryError::Unsupported { path: path.to_owned(), what: "a TOML inventory" }),
            "yaml" | "yml" | "json" => yaml::read(self, path, text),
            _ if looks_like_yaml(&text) => yaml::read(self, path, text),
            _ => ini::read(self, path, text),
        }
    }

    /// Reads the YAML `text` with `read`, and keeps what is complained about.
    pub(super) fn document<T: Default>(
        &mut self,
        path: &Path,
        text: String,
        read: impl FnOnce(&mut Source<'_>, &Node, &Arc<Origin>) -> T,
    ) -> T {
        let origin = Arc::new(Origin { path: path.to_owned(), text });
        let mut source = Source::new(&origin.path, &origin.text);
        let parsed = source.parse();
        let value = parsed.map(|node| read(&mut source, &node, &origin)).unwrap_or_default();
        // With what was understood, the rest is checked further.
        self.failed(source);
        value
    }

    /// The hosts that a name or range stands for, each with the port that is written behind it.
    pub(super) fn hosts(&mut self, source: &mut Source<'_>, key: &Node, origin: &Arc<Origin>) -> Vec<Named> {
        self.add_hosts(key, origin).unwrap_or_else(|why| {
            source.complain(key.place, why);
            Vec::new()
        })
    }

    /// A host as a program prints it: without ranges and ports.
    pub(super) fn plain_host(&mut self, source: &mut Source<'_>, key: &Node) -> Option<usize> {
        match key.text().unwrap_or_default().parse() {
            Ok(name) => Some(self.inventory.host(name)),
            Err(why) => {
                source.complain(key.place, format!("{why}"));
                None
            }
        }
    }

    fn add_hosts(&mut self, key: &Node, origin: &Arc<Origin>) -> Result<Vec<Named>, String> {
        let (name, port) = split_port(key.text().unwrap_or_default());
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err("the port behind the name is no number from 1 to 65535".to_owned());
        }
        let port = port.map(|port| {
            let mut value = scalar(port, key.place);
            value.value = Value::Scalar { text: port.to_owned(), quoted: false };
            Arc::new(Variable { key: key.clone(), value, origin: Arc::clone(origin) })
        });
        let names: Result<Vec<HostName>, _> = expand(name)?.into_iter().map(|name| name.parse()).collect();
        let names = names.map_err(|why| why.to_string())?;
        Ok(names.into_iter().map(|name| (self.inventory.host(name), port.clone())).collect())
    }

    pub(super) fn set_port(&mut self, host: usize, port: Option<Arc<Variable>>) {
        if let (Some(host), Some(port)) = (self.inventory.hosts.get_mut(host), port) {
            host.vars.insert("ansible_port".into(), port);
        }
    }

    pub(super) fn group(&mut self, name: &GroupName) -> &mut Group {
        self.inventory.groups.entry(name.clone()).or_default()
    }

    pub(super) fn child(&mut self, parent: &GroupName, child: &GroupName, origin: &Arc<Origin>, place: Place) {
        self.group(child);
        let group = self.group(parent);
        if !group.children.contains(child) {
            group.children.push(child.clone());
        }
        let origin = Arc::clone(origin);
        self.edges.push(Edge { parent: parent.clone(), child: child.clone(), origin, place });
    }

    pub(super) fn member(&mut self, group: &GroupName, host: usize) {
        let known = self.members.entry(group.clone()).or_default();
        if known.insert(host) {
            self.group(group).hosts.push(host);
        }
    }

    /// Whether an earlier inventory has the group, with more than its name.
    pub(super) fn was_there(&self, group: &GroupName) -> bool {
        self.before.contains(group)
    }

    /// Sets a group's variable; one of them orders the groups themselves.
    pub(super) fn variable(
        &mut self,
        source: &mut Source<'_>,
        group: &GroupName,
        key: Node,
        value: Node,
        origin: &Arc<Origin>,
    ) {
        if key.text() == Some("ansible_group_priority") {
            match value.text().and_then(|text| text.parse().ok()) {
                Some(priority) => self.group(group).priority = priority,
                None => source.complain_with(value.place, "a group's priority must be a number", "a higher one counts"),
            }
        } else if let Some((name, variable)) = super::check::variable(source, key, value, origin) {
            self.group(group).vars.insert(name, variable);
        }
    }

    /// Keeps what was complained about.
    pub(super) fn failed(&mut self, source: Source<'_>) {
        if let Err(complaints) = source.finish(()) {
            self.fail(complaints.into());
        }
    }

    /// A group that contains itself would have no place in the order of variables.
    fn refuse_cycles(&mut self) {
        for edge in std::mem::take(&mut self.edges) {
            let (parent, child) = (&edge.parent, &edge.child);
            if child.as_str() != "all" && !self.reaches(child, parent) {
                continue;
            }
            let complaint = Complaint {
                place: (edge.place.line > 0).then_some(edge.place),
                what: format!("the group `{parent}` contains itself, through `{child}`"),
                instead: Some(format!("remove `{child}` from the children of `{parent}`, or the other way round")),
            };
            self.fail(Complaints::of(&edge.origin.path, &edge.origin.text, vec![complaint]).into());
            self.group(parent).children.retain(|known| known != child);
        }
    }

    fn reaches(&self, from: &GroupName, to: &GroupName) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(group) = waiting.pop() {
            if group == to {
                return true;
            }
            if seen.insert(group) {
                waiting.extend(self.inventory.groups.get(group).into_iter().flat_map(|group| &group.children));
            }
        }
        false
    }
}

/// Whether a file with the permission to be run is meant to be: Ansible tries, and reads those that cannot be run.
fn is_program(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(path).and_then(|file| file.take(4).read(&mut magic));
    read.is_ok() && (magic.starts_with(b"#!") || magic == *b"\x7fELF")
}

/// A file without a telling ending that begins as only YAML or JSON does.
fn looks_like_yaml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.trim_start().starts_with('#'));
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    first.starts_with("---") || first.starts_with('{') || (first.ends_with(':') && !first.contains(' '))
}

/// Takes `:22` off the end of a name, as Ansible does: an IPv6 address with a port is in brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    static BRACKETED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^\[([0-9A-Fa-f:.]+)\](?::([0-9]+))?$").ok());
    static PLAIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^((?:[^:\[\]]|\[[^\]]*\])+):([0-9]+)$").ok());
    let is_address = |inner: &str| inner.matches(':').count() > 1;
    if let Some(found) = BRACKETED.as_ref().and_then(|regex| regex.captures(text))
        && let Some(inner) = found.get(1).filter(|inner| is_address(inner.as_str()))
    {
        return (inner.as_str(), found.get(2).map(|port| port.as_str()));
    }
    let found = PLAIN.as_ref().and_then(|regex| regex.captures(text));
    match found.and_then(|found| Some((found.get(1)?, found.get(2)?))) {
        Some((name, port)) => (name.as_str(), Some(port.as_str())),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{looks_like_yaml, split_port};

    #[test]
    fn a_port_behind_a_name_is_taken_off() {
        assert_eq!(split_port("web1:2222"), ("web1", Some("2222")));
        assert_eq!(split_port("web[1:3]:2222"), ("web[1:3]", Some("2222")));
        assert_eq!(split_port("web[1:3]"), ("web[1:3]", None));
        assert_eq!(split_port("[2001:db8::1]:22"), ("2001:db8::1", Some("22")));
        assert_eq!(split_port("2001:db8::1"), ("2001:db8::1", None));
        assert_eq!(split_port("[1:3]"), ("[1:3]", None));
    }

    #[test]
    fn a_file_without_an_ending_is_ini_unless_it_cannot_be() {
        assert!(
            looks_like_yaml("# hosts\n---\nweb:\n") && looks_like_yaml("all:\n  hosts:\n") && looks_like_yaml("{}")
        );
        assert!(!looks_like_yaml("[web]\na\n") && !looks_like_yaml("web1 x=y:\n") && !looks_like_yaml(""));
    }
}
