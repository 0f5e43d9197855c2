//! Under which names our own settings stand: short ones, or long ones that nobody else has.
//!
//! Inventories exist before we do, and `service` or `console` may be a variable of somebody's roles. As soon as a long name
//! stands anywhere in an inventory, its short name is a variable like any other, everywhere.

use std::collections::BTreeSet;

use super::check::unknown;
use super::console::CONTAINER_KEYS;
use super::variables::{VarMap, Variable};
use super::vars::is_unset;
use super::{Inventory, InventoryError, Vars};
use crate::source::{Node, Source, Value, nearest};

/// Begins every long name.
const PREFIX: &str = "fleetdiag_";

/// Our own settings by their short names, in families: the members of one say the same in several shapes.
const FAMILIES: &[&[&str]] = &[&["console", "consoles"], &["service"], &["transport"], &["health_url"], &["log"]];

/// What has a long name alone.
const LONG: &str = "fleetdiag_thresholds";

/// The families that have their long names, by their places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Naming([bool; FAMILIES.len()]);

impl Naming {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut naming = Self::default();
        for short in names.filter_map(short_of) {
            for (family, is_long) in FAMILIES.iter().zip(&mut naming.0) {
                *is_long |= family.contains(&short);
            }
        }
        naming
    }

    fn is_long(self, short: &str) -> bool {
        FAMILIES.iter().zip(self.0).any(|(family, is_long)| is_long && family.contains(&short))
    }

    /// The name of the variable that holds a setting.
    pub(super) fn variable(self, setting: &str) -> String {
        if self.is_long(setting) { format!("{PREFIX}{setting}") } else { setting.to_owned() }
    }

    /// Whether a variable is one of our own.
    pub(super) fn is_ours(self, variable: &str) -> bool {
        variable.starts_with(PREFIX) || is_short(variable) && !self.is_long(variable)
    }
}

fn is_short(name: &str) -> bool {
    FAMILIES.iter().any(|family| family.contains(&name))
}

/// The setting that a long name stands for.
fn short_of(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX).filter(|short| is_short(short))
}

/// Checks a variable where it stands. That of a short name waits until it is known whether it is ours.
pub(super) fn check(source: &mut Source<'_>, key: &Node, value: &Node) {
    let name = key.text().unwrap_or_default();
    if is_short(name) {
        return;
    }
    match (name.starts_with(PREFIX), short_of(name)) {
        (true, Some(_)) if is_unset(value) => {}
        (true, Some(setting)) => Vars::default().set(source, setting, value),
        (true, None) if name == LONG => Vars::default().set(source, name, value),
        (true, None) => {
            let known: Vec<_> = FAMILIES.concat().iter().map(|short| format!("{PREFIX}{short}")).collect();
            let known = known.iter().map(String::as_str).chain([LONG]);
            let instead = nearest(name, known.clone()).map_or_else(
                || format!("ours are {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            source.complain_with(key.place, format!("no setting `{}`", crate::source::shown(name)), instead);
        }
        (false, _) => Vars::default().set(source, name, value),
    }
}

impl Inventory {
    /// Finds out which names our settings have here, and checks what has waited for that.
    pub(super) fn settle_names(&mut self) -> Vec<InventoryError> {
        self.naming = Naming::of(self.maps().flat_map(|vars| vars.keys()).map(AsRef::as_ref));
        let ours = self.maps().flatten().filter(|(name, _)| is_short(name) && self.naming.is_ours(name));
        let mut waiting: Vec<&Variable> = ours.map(|(_, variable)| variable.as_ref()).collect();
        let place = |variable: &Variable| (variable.origin.path.clone(), variable.key.place);
        waiting.sort_by_key(|variable| place(variable));
        // What stands once in a file may be set for many hosts.
        let mut seen = BTreeSet::new();
        waiting.retain(|variable| variable.key.place.line == 0 || seen.insert(place(variable)));
        let mut errors = Vec::new();
        for of_one_text in waiting.chunk_by(|a, b| a.origin.path == b.origin.path) {
            let Some(first) = of_one_text.first() else { continue };
            let mut source = Source::new(&first.origin.path, &first.origin.text);
            of_one_text.iter().for_each(|variable| check_short(&mut source, variable));
            errors.extend(source.finish(()).err().map(InventoryError::from));
        }
        errors
    }

    fn maps(&self) -> impl Iterator<Item = &VarMap> {
        let groups = self.groups.values().map(|group| &group.vars);
        let hosts = self.hosts.iter().map(|host| &host.vars);
        let files =
            self.files.iter().flat_map(|file| file.all.iter().chain(file.groups.values()).chain(file.hosts.values()));
        groups.chain(hosts).chain(files)
    }
}

fn check_short(source: &mut Source<'_>, variable: &Variable) {
    let (name, value) = (variable.key.text().unwrap_or_default(), &variable.value);
    if unknown(value).is_some() {
        return;
    }
    if is_of_another(name, value) {
        let ours = match name {
            "service" => "a name",
            "transport" => "`ssh` or `direct`",
            "health_url" => "a URL as the host sees it",
            "log" => "`docker`, `journal:UNIT`, a path or `none`",
            "consoles" => "a mapping of names to consoles",
            _ => "a port, an address, a socket or a container",
        };
        let what = format!("`{name}` has another meaning here than ours, which is {ours}");
        let instead = format!(
            "if it is another program's, write ours as `{PREFIX}{name}`, empty perhaps; then `{name}` is a variable like any \
             other"
        );
        return source.complain_with(value.place, what, instead);
    }
    Vars::default().set(source, name, value);
}

/// Whether the value has a shape that our setting of this name never has, also when it is misspelt.
fn is_of_another(name: &str, value: &Node) -> bool {
    let is_switch =
        |text: &str| matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off");
    match (&value.value, name) {
        (Value::Scalar { quoted: true, .. }, "console" | "consoles" | "service") => false,
        (Value::Scalar { text, .. }, "transport") => nearest(text, ["ssh", "direct"]).is_none() && !text.is_empty(),
        (Value::Scalar { text, .. }, "log") => {
            let ours = ["docker", "podman", "container", "none", "journal"];
            nearest(text, ours).is_none() && !text.contains(['/', ':', '-']) && !text.is_empty()
        }
        (Value::Scalar { text, .. }, _) => is_switch(text),
        (Value::Sequence(_), _) => true,
        (Value::Mapping(entries), "console") => {
            let is_near =
                |key: &Node| nearest(key.text().unwrap_or_default(), CONTAINER_KEYS.iter().copied()).is_some();
            !entries.iter().any(|(key, _)| is_near(key))
        }
        (Value::Mapping(_), name) => name != "consoles",
    }
}
