//! What can be set for a host or a group, typed where it is ours or Ansible's connection settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::console::{ConsoleSetting, NamedConsole, console, consoles};
use crate::model::HostName;
use crate::source::{Node, Source, nearest, shown};

/// How a host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Through the system `ssh`.
    Ssh,
    /// Straight from this machine.
    Direct,
}

/// Variables of a host or group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vars {
    /// `console`.
    pub console: Option<ConsoleSetting>,
    /// `consoles`, by name.
    pub consoles: Option<BTreeMap<String, NamedConsole>>,
    /// `service`.
    pub service: Option<String>,
    /// `transport`.
    pub transport: Option<Transport>,
    /// `ansible_host`.
    pub ansible_host: Option<HostName>,
    /// `ansible_port`.
    pub ansible_port: Option<u16>,
    /// `ansible_user`.
    pub ansible_user: Option<HostName>,
    /// `ansible_ssh_private_key_file`.
    pub private_key_file: Option<PathBuf>,
    /// `ansible_ssh_common_args`, in words.
    pub common_args: Option<Vec<String>>,
    /// `ansible_ssh_extra_args`, in words.
    pub extra_args: Option<Vec<String>>,
    /// Everything else that is a single value, as text.
    pub attributes: BTreeMap<String, String>,
}

impl Vars {
    /// Lays `over` on top: what it sets counts.
    pub fn overlay(&mut self, over: &Self) {
        fn set<T: Clone>(mine: &mut Option<T>, theirs: &Option<T>) {
            if theirs.is_some() {
                mine.clone_from(theirs);
            }
        }
        // One console and several are the same setting in two shapes.
        if over.console.is_some() || over.consoles.is_some() {
            self.console.clone_from(&over.console);
            self.consoles.clone_from(&over.consoles);
        }
        set(&mut self.service, &over.service);
        set(&mut self.transport, &over.transport);
        set(&mut self.ansible_host, &over.ansible_host);
        set(&mut self.ansible_port, &over.ansible_port);
        set(&mut self.ansible_user, &over.ansible_user);
        set(&mut self.private_key_file, &over.private_key_file);
        set(&mut self.common_args, &over.common_args);
        set(&mut self.extra_args, &over.extra_args);
        self.attributes.extend(over.attributes.clone());
    }

    /// Reads one variable.
    pub(super) fn set(&mut self, source: &mut Source<'_>, key: &Node, value: &Node) {
        let Some(name) = key.text() else { return };
        match name {
            "console" => self.console = console(source, value),
            "consoles" => self.consoles = consoles(source, value),
            "service" => self.service = text(source, value),
            "transport" => self.transport = transport(source, value),
            "ansible_host" => self.ansible_host = named(source, value),
            "ansible_port" | "ansible_ssh_port" => self.ansible_port = port(source, value),
            "ansible_user" | "ansible_ssh_user" => self.ansible_user = named(source, value),
            "ansible_ssh_private_key_file" => self.private_key_file = text(source, value).map(PathBuf::from),
            "ansible_ssh_common_args" => self.common_args = words(source, value),
            "ansible_ssh_extra_args" => self.extra_args = words(source, value),
            "ansible_connection" if value.text() == Some("local") => self.transport = Some(Transport::Direct),
            other => {
                if let (Some(text), false) = (value.text(), other.starts_with("ansible_")) {
                    self.attributes.insert(other.to_owned(), text.to_owned());
                }
            }
        }
    }
}

pub(super) fn text(source: &mut Source<'_>, value: &Node) -> Option<String> {
    let text = value.text().filter(|text| !text.is_empty());
    match text {
        None => source.complain(value.place, format!("this must be text, and is {}", value.kind())),
        Some(text) if text.contains("{{") => {
            source.complain_with(value.place, "templates are not evaluated here", "write the value itself");
            return None;
        }
        Some(_) => {}
    }
    text.map(str::to_owned)
}

/// A name that goes to `ssh`.
fn named(source: &mut Source<'_>, value: &Node) -> Option<HostName> {
    let name = text(source, value)?;
    name.parse().map_err(|why| source.complain(value.place, format!("{why}"))).ok()
}

pub(super) fn port(source: &mut Source<'_>, value: &Node) -> Option<u16> {
    let port = text(source, value)?.parse().ok().filter(|port| *port > 0);
    if port.is_none() {
        source.complain_with(value.place, "this is no port", "a number from 1 to 65535");
    }
    port
}

fn transport(source: &mut Source<'_>, value: &Node) -> Option<Transport> {
    match text(source, value)?.as_str() {
        "ssh" => Some(Transport::Ssh),
        "direct" => Some(Transport::Direct),
        other => {
            let near = nearest(other, ["ssh", "direct"])
                .map_or("`ssh` or `direct`".to_owned(), |near| format!("did you mean `{near}`?"));
            source.complain_with(value.place, format!("no transport `{}`", shown(other)), near);
            None
        }
    }
}

/// Words of a command line, as a shell would split them; nothing in them is run by one.
fn words(source: &mut Source<'_>, value: &Node) -> Option<Vec<String>> {
    let text = text(source, value)?;
    let words = shlex::split(&text);
    if words.is_none() {
        source.complain(value.place, "a quote is not closed");
    }
    words
}
