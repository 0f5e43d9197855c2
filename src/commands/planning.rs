//! From what was typed to a plan.

use anyhow::{Context, bail};

use super::CommandError;
use super::emit::note;
use super::{rerun, shard};
use crate::cli::{CollectArgs, SelectArgs};
use crate::inventory::{DirectTarget, Inventory, Pattern};
use crate::plan::{self, Budget, Plan, Selection, SshSettings};

pub(super) fn plan(select: &SelectArgs, collect: &CollectArgs) -> Result<Plan, CommandError> {
    resolve(select, collect).map_err(CommandError::usage)
}

pub(super) fn resolve(select: &SelectArgs, collect: &CollectArgs) -> anyhow::Result<Plan> {
    let inventory = inventory(select)?;
    let selection = selection(select, inventory.as_ref())?;
    Ok(plan::plan(inventory.as_ref(), &selection, budget(collect), ssh(collect)?)?)
}

/// The inventories that were named, with what is worth knowing about them on stderr.
pub(super) fn inventory(select: &SelectArgs) -> anyhow::Result<Option<Inventory>> {
    if select.inventory.is_empty() {
        return Ok(None);
    }
    let inventory = Inventory::load(&select.inventory)?;
    inventory.notes().iter().for_each(|text| note(text));
    Ok(Some(inventory))
}

pub(super) fn selection(select: &SelectArgs, inventory: Option<&Inventory>) -> anyhow::Result<Selection> {
    let (direct, mut named) = direct_targets(&select.patterns, inventory)?;
    let rerun = select.rerun.as_deref().map(rerun::failed).transpose()?;
    if named.is_empty() && direct.is_empty() && rerun.is_some() && inventory.is_some() {
        named.push("all".to_owned());
    }
    Ok(Selection {
        patterns: patterns(&named)?,
        direct,
        limit: patterns(&from_files(&select.limit)?)?,
        exclude: patterns(&from_files(&select.exclude)?)?,
        pick: select.pick,
        shard: select.shard.as_deref().map(|text| shard::parse(text, &|name| std::env::var(name).ok())).transpose()?,
        rerun,
    })
}

/// Takes apart what names a console itself (`http://…`, `unix:…`, `docker:…`) and what is a pattern.
///
/// A group that is called `docker` keeps its meaning in `docker:web`.
fn direct_targets(texts: &[String], inventory: Option<&Inventory>) -> anyhow::Result<(Vec<DirectTarget>, Vec<String>)> {
    let is_group = |text: &str| {
        let first = text.split(':').next().unwrap_or_default();
        inventory.is_some_and(|inventory| inventory.members(first).is_some())
    };
    let (mut direct, mut patterns) = (Vec::new(), Vec::new());
    for text in texts {
        match DirectTarget::parse(text) {
            Ok(None) => patterns.push(text.clone()),
            _ if is_group(text) => patterns.push(text.clone()),
            Ok(Some(target)) => direct.push(target),
            Err(refused) => return Err(refused.into()),
        }
    }
    Ok((direct, patterns))
}

fn patterns(texts: &[String]) -> anyhow::Result<Vec<Pattern>> {
    texts.iter().map(|text| Ok(Pattern::parse(text)?)).collect()
}

/// `@FILE` stands for the patterns in it, one a line.
fn from_files(limits: &[String]) -> anyhow::Result<Vec<String>> {
    let mut patterns = Vec::new();
    for limit in limits {
        match limit.strip_prefix('@') {
            None => patterns.push(limit.clone()),
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read the patterns in `{path}`"))?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                patterns.push(lines.collect::<Vec<_>>().join(","));
            }
        }
    }
    Ok(patterns)
}

pub(super) fn budget(args: &CollectArgs) -> Budget {
    let default = Budget::default();
    Budget {
        forks: args.forks.map_or(default.forks, |forks| forks as usize),
        connect: args.connect_timeout.unwrap_or(default.connect),
        // `ssh` judges the connection itself and says more about it than we could.
        authenticate: args
            .connect_timeout
            .map_or(default.authenticate, |connect| connect + default.authenticate - default.connect),
        host_total: args.host_timeout.unwrap_or(default.host_total),
        window: args.window.unwrap_or(default.window),
        deadline: args.deadline,
        max_message_bytes: args.max_message.unwrap_or(default.max_message_bytes),
        max_target_bytes: args.max_bytes.map_or(default.max_target_bytes, |bytes| bytes as u64),
        max_entities: args.max_entities.unwrap_or(default.max_entities),
        max_details: args.max_details.map_or(default.max_details, |most| most as usize),
        host_context: !args.no_context.unwrap_or(false),
        max_catch_up_calls: if args.no_catch_up { 0 } else { default.max_catch_up_calls },
        ..default
    }
}

fn ssh(args: &CollectArgs) -> anyhow::Result<SshSettings> {
    for option in &args.ssh_option {
        if !option.contains('=') || option.contains(char::is_control) {
            bail!("`--ssh-option {}` is none; for example `--ssh-option User=deploy`", option.escape_debug());
        }
    }
    Ok(SshSettings { config: args.ssh_config.clone(), options: args.ssh_option.clone() })
}
