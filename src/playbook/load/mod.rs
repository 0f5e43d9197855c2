//! A playbook file becomes rules and settings, or a list of everything that is wrong with it.

mod fields;
pub(super) mod keys;
mod rule;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use self::keys::{TOP, USE};
use super::rule::{Rule, RuleId, Severity};
use super::threshold::Kind;
use super::{API_VERSION, GateSettings, Playbook};
use crate::source::{Complaints, Node, Place, Source, nearest, shown};

/// Reads the playbook `text` of the file `path`, whose `use` may name rules of `catalogue`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, text: &str, catalogue: &[Rule]) -> Result<Playbook, Complaints> {
    let mut loader = Loader { source: Source::new(path, text), ids: HashMap::new(), names: HashMap::new(), catalogue };
    let playbook = loader.source.parse().and_then(|root| loader.playbook(&root));
    if playbook.is_none() && !loader.source.has_complaints() {
        loader.source.complain(Place { line: 1, column: 1, width: 1 }, "this is no playbook");
    }
    loader.source.finish(playbook.unwrap_or_default())
}

struct Loader<'a> {
    source: Source<'a>,
    /// The line of each id and of each name.
    ids: HashMap<String, usize>,
    names: HashMap<String, usize>,
    catalogue: &'a [Rule],
}

impl Loader<'_> {
    fn playbook(&mut self, root: &Node) -> Option<Playbook> {
        let entries = root.mapping()?;
        self.source.expect_keys(entries, TOP);
        self.constant(root, "apiVersion", API_VERSION);
        self.constant(root, "kind", super::KIND);
        let name = self.text(root, "name").unwrap_or_default();
        let mut playbook = Playbook {
            name,
            summary: self.optional_text(root, "summary").unwrap_or_default(),
            about: self.optional_text(root, "about").unwrap_or_default(),
            window: self.window(root),
            gate: self.gate(root),
            ..Playbook::default()
        };
        if root.get("use").and_then(Node::text) == Some("all") {
            playbook.rules.extend(self.catalogue.iter().cloned());
        }
        for item in self.used_items(root) {
            if let Some((rule, because)) = self.used(item) {
                if let Some(because) = because {
                    playbook.because.insert(rule.id.clone(), because);
                }
                playbook.rules.push(rule);
            }
        }
        for item in self.items(root, "rules") {
            playbook.rules.extend(self.rule(item));
        }
        if root.get("use").is_none() && root.get("rules").is_none() {
            let instead =
                "add `rules:` with your own, or `use:` with ids of the catalogue (`fleetdiag explain` lists it)";
            self.source.complain_with(root.place, "this playbook has no rules", instead);
        }
        Some(playbook)
    }

    fn constant(&mut self, root: &Node, key: &str, value: &str) {
        match root.get(key) {
            Some(node) if node.text() == Some(value) => {}
            Some(node) => self.source.complain_with(
                node.place,
                format!("`{key}` is not known"),
                format!("this version reads `{value}`"),
            ),
            None => {
                self.source.complain_with(root.place, format!("`{key}` is missing"), format!("add `{key}: {value}`"))
            }
        }
    }

    fn window(&mut self, root: &Node) -> Option<Duration> {
        let observe = root.get("observe")?;
        let entries = self.mapping(observe, "observe")?;
        self.source.expect_keys(entries, &["window"]);
        let window = observe.get("window")?;
        match window.text().and_then(|text| Kind::Duration.parse(text)) {
            Some(time) => Some(Duration::from_nanos(time.raw)),
            None => {
                self.source.complain_with(window.place, "this is no time", Kind::Duration.examples());
                None
            }
        }
    }

    fn gate(&mut self, root: &Node) -> GateSettings {
        let Some(gate) = root.get("gate") else { return GateSettings::default() };
        let Some(entries) = self.mapping(gate, "gate") else { return GateSettings::default() };
        self.source.expect_keys(entries, &["fail_on", "max_unreachable"]);
        let fail_on = gate.get("fail_on").and_then(|node| match node.text() {
            Some("never") => Some(None),
            _ => self.severity(node, "one of: info, warning, critical, never").map(Some),
        });
        let max_unreachable = gate.get("max_unreachable").and_then(|node| {
            let text = node.text().unwrap_or_default();
            let kind = if text.ends_with('%') { Kind::Percent } else { Kind::Count };
            let allowed = kind.parse(text).filter(|allowed| kind == Kind::Count || allowed.raw <= 100);
            if allowed.is_none() {
                self.source.complain_with(node.place, "this is no number of targets", "such as `2` or `10%`");
            }
            allowed
        });
        GateSettings { fail_on, max_unreachable }
    }

    fn used_items<'n>(&mut self, root: &'n Node) -> &'n [Node] {
        if root.get("use").and_then(Node::text) == Some("all") { &[] } else { self.items(root, "use") }
    }

    /// A rule of the catalogue, as `use` changes it.
    fn used(&mut self, item: &Node) -> Option<(Rule, Option<String>)> {
        let (name, at) = if let Some(entries) = item.mapping() {
            self.source.expect_keys(entries, USE);
            (self.text(item, "rule")?, item.get("rule")?.place)
        } else {
            let Some(text) = item.text() else {
                let instead = "`- FD101`, or `- {rule: FD101, thresholds: {poll: 50ms}}`";
                self.source.complain_with(
                    item.place,
                    format!("a used rule is an id, this is {}", item.kind()),
                    instead,
                );
                return None;
            };
            (text.to_owned(), item.place)
        };
        let Some(known) = self.catalogue.iter().find(|rule| rule.id.0 == name || rule.name == name) else {
            let names = self.catalogue.iter().flat_map(|rule| [rule.id.0.as_str(), rule.name.as_str()]);
            let instead = nearest(&name, names).map_or_else(
                || "`fleetdiag explain` lists the catalogue".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.source.complain_with(at, format!("no rule `{}` in the catalogue", shown(&name)), instead);
            return None;
        };
        let mut rule = known.clone();
        self.unique(&rule.id, &rule.name, at, at);
        self.adjust(item, &mut rule);
        Some((rule, self.optional_text(item, "because")))
    }

    /// Complains about an id or a name that this file has already.
    fn unique(&mut self, id: &RuleId, name: &str, id_at: Place, name_at: Place) {
        if let Some(line) = self.ids.insert(id.0.clone(), id_at.line) {
            self.source.complain(id_at, format!("the id `{}` is taken, in line {line}", shown(&id.0)));
        } else if let Some(line) = self.names.insert(name.to_owned(), name_at.line) {
            self.source.complain(name_at, format!("the name `{}` is taken, in line {line}", shown(name)));
        }
    }

    fn severity(&mut self, node: &Node, instead: &str) -> Option<Severity> {
        let text = node.text().unwrap_or_default();
        let found = Severity::ALL.into_iter().find(|severity| severity.as_str() == text);
        if found.is_none() {
            self.source.complain_with(node.place, format!("no severity `{}`", shown(text)), instead);
        }
        found
    }
}

#[cfg(test)]
mod tests;
