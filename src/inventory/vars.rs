//! What can be set for a host or a group, typed where it is ours or Ansible's connection settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Resolved;
use super::beside::{health_url, log};
use super::check::unknown;
use super::console::{ConsoleSetting, NamedConsole, console, consoles};
use super::naming::Naming;
use super::thresholds::thresholds;
use crate::model::{HostName, LogSource, Thresholds};
use crate::source::{Complaints, Node, Source, Value, nearest, shown};

/// Every variable with a meaning for us; of two with the same meaning the later counts, as in Ansible.
const SETTINGS: &[&str] = &[
    "console",
    "consoles",
    "service",
    "fleetdiag_thresholds",
    "health_url",
    "log",
    "ansible_connection",
    "transport",
    "ansible_host",
    "ansible_ssh_host",
    "ansible_port",
    "ansible_ssh_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_private_key_file",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
];

/// Most attributes of one host, and the longest of them in bytes: they go into every report.
const MAX_ATTRIBUTES: usize = 64;
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// Deepest nesting that becomes attributes of its own; what lies below is one, as JSON.
const MAX_ATTRIBUTE_DEPTH: usize = 3;

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
    /// `fleetdiag_thresholds`.
    pub thresholds: Thresholds,
    /// `health_url`.
    pub health_url: Option<String>,
    /// `log`.
    pub log: Option<LogSource>,
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
    /// Everything else, as text: what is nested has a name of its path with dots.
    pub attributes: BTreeMap<String, String>,
    /// How many of those were left out, because there are too many or they are too long.
    pub left_out: usize,
}

impl Vars {
    /// The settings and attributes among what is set for a host.
    pub(super) fn of(resolved: &Resolved) -> Result<Self, Vec<Complaints>> {
        let mut vars = Self::default();
        let mut complaints = Vec::new();
        for &name in SETTINGS {
            if let Some((_, variable)) = resolved.setting(name) {
                let mut source = Source::new(&variable.origin.path, &variable.origin.text);
                vars.set(&mut source, name, &variable.value);
                complaints.extend(source.finish(()).err());
            }
        }
        // One console and several are the same setting in two shapes: what was set nearer to the host counts.
        if let (Some((one, _)), Some((several, _))) = (resolved.setting("console"), resolved.setting("consoles")) {
            if one > several {
                vars.consoles = None;
            } else {
                vars.console = None;
            }
        }
        for (name, variable) in resolved.variables().filter(|(name, _)| is_attribute(resolved.naming, name)) {
            vars.attribute(name.to_owned(), &variable.value, 0);
        }
        if complaints.is_empty() { Ok(vars) } else { Err(complaints) }
    }

    /// Reads one variable; others than settings mean nothing here.
    pub(super) fn set(&mut self, source: &mut Source<'_>, name: &str, value: &Node) {
        match name {
            "console" => self.console = console(source, value),
            "consoles" => self.consoles = consoles(source, value),
            "fleetdiag_thresholds" => self.thresholds = thresholds(source, value),
            "service" => self.service = text(source, value),
            "health_url" => self.health_url = health_url(source, value),
            "log" => self.log = log(source, value),
            "transport" => self.transport = transport(source, value),
            _ if is_unset(value) => {}
            "ansible_connection" if value.text() == Some("local") => self.transport = Some(Transport::Direct),
            "ansible_host" | "ansible_ssh_host" => self.ansible_host = named(source, value),
            "ansible_port" | "ansible_ssh_port" => self.ansible_port = port(source, value),
            "ansible_user" | "ansible_ssh_user" => self.ansible_user = named(source, value),
            "ansible_private_key_file" | "ansible_ssh_private_key_file" => {
                self.private_key_file = text(source, value).map(PathBuf::from);
            }
            "ansible_ssh_common_args" => self.common_args = words(source, value),
            "ansible_ssh_extra_args" => self.extra_args = words(source, value),
            _ => {}
        }
    }

    fn attribute(&mut self, name: String, value: &Node, depth: usize) {
        let text = match &value.value {
            // A template is not its value, and nothing is no value.
            _ if value.is_null() || unknown(value).is_some() && value.mapping().is_none() => return,
            Value::Scalar { text, .. } => text.clone(),
            Value::Mapping(entries) if depth < MAX_ATTRIBUTE_DEPTH => {
                for (key, value) in entries {
                    let key = key.text().unwrap_or_default();
                    if !is_secret(key) {
                        self.attribute(format!("{name}.{key}"), value, depth + 1);
                    }
                }
                return;
            }
            _ if holds_secret(value) => return,
            _ => super::typed::json(value).to_string(),
        };
        if self.attributes.len() < MAX_ATTRIBUTES && name.len() + text.len() <= MAX_ATTRIBUTE_BYTES {
            self.attributes.insert(name, text);
        } else {
            self.left_out += 1;
        }
    }
}

/// Whether a variable is told about the host in captures and reports.
fn is_attribute(naming: Naming, name: &str) -> bool {
    !name.starts_with("ansible_") && !naming.is_ours(name) && !is_secret(name)
}

/// Captures are shared: what sounds like a secret stays out of them.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "cred", "vault", "private", "cert"].iter().any(|word| name.contains(word))
}

fn holds_secret(value: &Node) -> bool {
    match &value.value {
        Value::Scalar { .. } => false,
        Value::Sequence(items) => items.iter().any(holds_secret),
        Value::Mapping(entries) => {
            entries.iter().any(|(key, value)| key.text().is_some_and(is_secret) || holds_secret(value))
        }
    }
}

/// Ansible's own settings may be left empty.
pub(super) fn is_unset(value: &Node) -> bool {
    value.is_null() || value.text() == Some("")
}

pub(super) fn text(source: &mut Source<'_>, value: &Node) -> Option<String> {
    let text = value.text().filter(|text| !text.is_empty());
    match text {
        None => source.complain(value.place, format!("this must be text, and is {}", value.kind())),
        Some(_) => {
            if let Some(why) = unknown(value) {
                source.complain_with(value.place, why, "write the value itself, here or nearer to the host");
                return None;
            }
        }
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
