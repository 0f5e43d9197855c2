//! Ansible's YAML inventory: groups with `hosts`, `vars` and `children`. JSON is YAML too, and may have the shape of
//! what inventory programs print.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::InventoryError;
use super::check::variables;
use super::dynamic;
use super::load::Reader;
use super::variables::Origin;
use crate::model::GroupName;
use crate::source::{Node, Place, Source, Value, shown};

const GROUP_KEYS: &[&str] = &["hosts", "vars", "children"];

/// Adds what the file says.
pub(super) fn read(reader: &mut Reader, path: &Path, text: String) {
    let origin = Arc::new(Origin { path: path.to_owned(), text });
    let mut source = Source::new(&origin.path, &origin.text);
    let Some(root) = source.parse() else {
        reader.failed(source);
        return;
    };
    if root.get("plugin").and_then(Node::text).is_some() {
        let what = "the configuration of an inventory plugin";
        reader.fail(InventoryError::Unsupported { path: path.to_owned(), what });
        return;
    }
    let mut yaml = Yaml { reader, source: &mut source, origin: &origin };
    match root.get("_meta") {
        Some(_) => dynamic::groups(yaml.reader, yaml.source, &root, &origin),
        None => yaml.groups(&root, None),
    }
    reader.failed(source);
}

struct Yaml<'a, 'b> {
    reader: &'a mut Reader,
    source: &'a mut Source<'b>,
    origin: &'a Arc<Origin>,
}

impl Yaml<'_, '_> {
    fn groups(&mut self, node: &Node, parent: Option<&GroupName>) {
        if node.is_null() {
            return;
        }
        let Some(entries) = entries(node) else {
            let what = format!("here must be groups, and is {}", node.kind());
            self.source.complain_with(node.place, what, "`all:` with `hosts:` below it");
            return;
        };
        for (key, value) in &entries {
            match key.text().unwrap_or_default().parse::<GroupName>() {
                Ok(name) => self.group(&name, key.place, value, parent),
                Err(why) => self.source.complain(key.place, format!("{why}")),
            }
        }
    }

    fn group(&mut self, name: &GroupName, at: Place, node: &Node, parent: Option<&GroupName>) {
        if let Some(parent) = parent {
            self.reader.child(parent, name, self.origin, at);
        }
        self.reader.group(name);
        if node.is_null() {
            return;
        }
        let Some(entries) = node.mapping() else {
            self.source.complain(node.place, format!("a group must be a mapping, and is {}", node.kind()));
            return;
        };
        self.source.expect_keys(entries, GROUP_KEYS);
        if let Some(hosts) = node.get("hosts") {
            self.hosts(name, hosts);
        }
        match node.get("vars").map(|vars| (vars, vars.mapping())) {
            Some((_, Some(vars))) => {
                for (key, value) in vars {
                    self.reader.variable(self.source, name, key.clone(), value.clone(), self.origin);
                }
            }
            Some((vars, None)) if !vars.is_null() => {
                let what = format!("variables must be a mapping, and are {}", vars.kind());
                self.source.complain(vars.place, what);
            }
            _ => {}
        }
        if let Some(children) = node.get("children") {
            self.groups(children, Some(name));
        }
    }

    fn hosts(&mut self, group: &GroupName, node: &Node) {
        if node.is_null() {
            return;
        }
        let Some(entries) = entries(node) else {
            let what = format!("`hosts` must be a mapping, and is {}", node.kind());
            self.source.complain_with(node.place, what, "each host a key with a colon: `web-1:`");
            return;
        };
        let mut lines = HashMap::new();
        for (key, value) in &entries {
            let vars = variables(self.source, value, self.origin);
            for (host, port) in self.reader.hosts(self.source, key, self.origin) {
                if let Some(line) = lines.insert(host, key.place.line) {
                    let name = self.reader.inventory.hosts.get(host).map(|host| host.name.to_string());
                    let what = format!("`{}` is in this group already, since line {line}", name.unwrap_or_default());
                    self.source.complain_with(key.place, what, "merge the two, or remove one");
                }
                self.reader.member(group, host);
                self.reader.set_port(host, port);
                if let Some(host) = self.reader.inventory.hosts.get_mut(host) {
                    host.vars.extend(vars.clone());
                }
            }
        }
    }
}

/// The entries of a mapping; a single name is a mapping to nothing, as for Ansible.
fn entries(node: &Node) -> Option<Vec<(Node, Node)>> {
    match &node.value {
        Value::Mapping(entries) => Some(entries.clone()),
        Value::Scalar { text, .. } if !text.contains(char::is_whitespace) && !shown(text).is_empty() => {
            let nothing = Node { value: Value::Scalar { text: String::new(), quoted: false }, place: node.place };
            Some(vec![(node.clone(), nothing)])
        }
        _ => None,
    }
}
