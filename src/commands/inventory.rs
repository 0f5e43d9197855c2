//! `fleetdiag inventory`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::CommandError;
use super::emit::print;
use super::planning::{inventory, selection};
use crate::cli::{Cli, InventoryArgs};
use crate::inventory::{Inventory, aliases_of_ssh_config};
use crate::model::{HostName, Route, Target, TargetId};
use crate::plan::{Budget, Plan, SshSettings, plan};

pub(super) fn run(args: &InventoryArgs, cli: &Cli) -> Result<ExitCode, CommandError> {
    let text = if args.from_ssh_config {
        aliases_of_ssh_config(args.ssh_config.as_deref()).map_err(CommandError::usage)?
    } else {
        show(args, cli).map_err(CommandError::usage)?
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn show(args: &InventoryArgs, cli: &Cli) -> anyhow::Result<String> {
    let inventory = inventory(&args.select)?;
    let mut selection = selection(&args.select, inventory.as_ref())?;
    let Some(inventory) = inventory else {
        bail!("which inventory? Give one with `-i`, or make one with `--from-ssh-config`");
    };
    if selection.patterns.is_empty() && selection.direct.is_empty() {
        selection.patterns.push(crate::inventory::Pattern::parse("all")?);
    }
    let plan = plan(Some(&inventory), &selection, Budget::default(), SshSettings::default())?;
    let shown: BTreeSet<_> = plan.targets.iter().map(|target| target.id.host.clone()).collect();
    let view = View { inventory: &inventory, plan: &plan, shown };
    Ok(match (args.graph, args.json) {
        (true, _) => view.graph(),
        (_, true) => format!("{:#}\n", view.json()),
        _ => view.list(cli.verbose),
    })
}

struct View<'a> {
    inventory: &'a Inventory,
    plan: &'a Plan,
    /// Hosts with a target in the plan.
    shown: BTreeSet<HostName>,
}

impl View<'_> {
    /// One line per target; with `verbose`, every variable of a host and where it was set.
    fn list(&self, verbose: bool) -> String {
        let rows: Vec<_> = self.plan.targets.iter().map(row).collect();
        let mut widths = [0; 3];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(unicode_width::UnicodeWidthStr::width(cell.as_str()));
            }
        }
        let mut out = String::new();
        let mut last = None;
        for (target, row) in self.plan.targets.iter().zip(&rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths.into_iter().chain([0])) {
                let pad = width.saturating_sub(unicode_width::UnicodeWidthStr::width(cell.as_str()));
                let gap = if width == 0 { 0 } else { 2 };
                line.extend([cell.as_str(), &" ".repeat(pad + gap)]);
            }
            out.push_str(line.trim_end());
            out.push('\n');
            if verbose && last != Some(&target.id.host) {
                self.variables(&target.id.host, &mut out);
            }
            last = Some(&target.id.host);
        }
        // Writing into a String cannot fail.
        let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
        let (targets, hosts) = (count(self.plan.targets.len(), "target"), count(self.shown.len(), "host"));
        let _ = writeln!(out, "{targets} on {hosts}");
        out
    }

    fn variables(&self, host: &HostName, out: &mut String) {
        let resolved = self.inventory.resolve(host);
        let mut rows = Vec::new();
        for (name, variable) in resolved.variables() {
            let value = variable.json();
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            rows.push((clean(&format!("{name} = {value}")), clean(&variable.place())));
        }
        let width = rows.iter().map(|(text, _)| text.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
        for (text, place) in rows {
            let _ = writeln!(out, "    {text:width$}  {place}");
        }
        if let Some(left_out) = resolved.vars().ok().map(|vars| vars.left_out).filter(|left_out| *left_out > 0) {
            let _ = writeln!(out, "    {left_out} variables are too many or too long to be attributes of the host");
        }
    }

    /// As `ansible-inventory --graph` draws it.
    fn graph(&self) -> String {
        let mut out = String::new();
        self.branch("all", 0, &mut out);
        out
    }

    fn branch(&self, group: &str, depth: usize, out: &mut String) {
        let lead =
            |depth: usize| if depth == 0 { String::new() } else { format!("{}|--", "  |".repeat(depth - 1) + "  ") };
        let _ = writeln!(out, "{}@{group}:", lead(depth));
        for child in self.inventory.children(group) {
            if self
                .inventory
                .members(child)
                .is_some_and(|members| members.iter().any(|host| self.shown.contains(*host)))
            {
                self.branch(child, depth + 1, out);
            }
        }
        for host in self.inventory.own_hosts(group).into_iter().filter(|host| self.shown.contains(*host)) {
            let _ = writeln!(out, "{}{host}", lead(depth + 1));
        }
    }

    fn json(&self) -> Value {
        let mut hostvars = Map::new();
        for host in self.inventory.hosts().filter(|host| self.shown.contains(*host)) {
            let resolved = self.inventory.resolve(host);
            let vars: Map<_, _> = resolved.variables().map(|(name, var)| (name.to_owned(), var.json())).collect();
            hostvars.insert(host.to_string(), Value::Object(vars));
        }
        let targets: Vec<_> = self.plan.targets.iter().map(target).collect();
        let mut groups = BTreeMap::new();
        let names = self.inventory.groups().map(|group| group.as_str()).chain(["all", "ungrouped"]);
        for name in names {
            let mut fields = Map::new();
            let hosts: Vec<_> =
                self.inventory.own_hosts(name).into_iter().filter(|host| self.shown.contains(*host)).collect();
            if !hosts.is_empty() {
                fields.insert("hosts".to_owned(), json!(hosts));
            }
            let children = self.inventory.children(name);
            if !children.is_empty() {
                fields.insert("children".to_owned(), json!(children));
            }
            groups.insert(name.to_owned(), Value::Object(fields));
        }
        groups.retain(|name, fields| name == "all" || fields.as_object().is_some_and(|fields| !fields.is_empty()));
        groups.insert("_meta".to_owned(), json!({"hostvars": hostvars, "fleetdiag": {"targets": targets}}));
        Value::Object(groups.into_iter().collect())
    }
}

/// A target as `--json` shows it, by its name as reports have it.
fn target(target: &Target) -> Value {
    let mut fields = json!(target);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("id".to_owned(), json!(target.id.to_string()));
        let TargetId { host, console } = &target.id;
        fields.insert("host".to_owned(), json!(host));
        fields.extend(console.as_ref().map(|console| ("console".to_owned(), json!(console))));
        fields.insert("address".to_owned(), json!(target.endpoint.to_string()));
    }
    fields
}

fn row(target: &Target) -> [String; 4] {
    let route = match &target.route {
        Route::Direct => "direct".to_owned(),
        Route::Ssh(ssh) => {
            let user = ssh.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
            let port = ssh.port.map(|port| format!(":{port}")).unwrap_or_default();
            let key = ssh.identity_file.as_ref().map(|file| format!(" -i {}", file.display())).unwrap_or_default();
            let extra = ssh.extra_args.iter().map(|word| format!(" {word}")).collect::<String>();
            format!("ssh {user}{}{port}{key}{extra}", ssh.host)
        }
    };
    [target.id.to_string(), target.service.0.clone(), target.endpoint.to_string(), route].map(|cell| clean(&cell))
}

/// A text from an inventory on one line of a terminal.
fn clean(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let show = |c: char| if harmless(c) { c.to_string() } else { c.escape_unicode().to_string() };
    text.chars().take(400).map(show).collect()
}
