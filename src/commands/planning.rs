//! From what was typed to a plan.

use anyhow::{Context, bail};

use super::CommandError;
use crate::cli::{CollectArgs, JudgeArgs, SelectArgs};
use crate::diagnose::Gate;
use crate::inventory::{DirectTarget, Inventory, Pattern};
use crate::plan::{self, Budget, Plan, Selection, SshSettings};

pub(super) fn plan(select: &SelectArgs, collect: &CollectArgs) -> Result<Plan, CommandError> {
    resolve(select, collect).map_err(CommandError::usage)
}

fn resolve(select: &SelectArgs, collect: &CollectArgs) -> anyhow::Result<Plan> {
    let mut inventory = None;
    for argument in &select.inventory {
        inventory.get_or_insert_with(Inventory::default).add(argument)?;
    }
    let (direct, named) = direct_targets(&select.patterns, inventory.as_ref())?;
    let selection = Selection {
        patterns: patterns(&named)?,
        direct,
        limit: patterns(&from_files(&select.limit)?)?,
        exclude: patterns(&select.exclude)?,
        pick: select.pick,
        shard: select.shard.as_deref().map(shard).transpose()?,
    };
    Ok(plan::plan(inventory.as_ref(), &selection, budget(collect), ssh(collect)?)?)
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
                    std::fs::read_to_string(path).with_context(|| format!("cannot read `{path}` of `--limit`"))?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                patterns.push(lines.collect::<Vec<_>>().join(","));
            }
        }
    }
    Ok(patterns)
}

fn shard(text: &str) -> anyhow::Result<(u32, u32)> {
    let parts =
        text.split_once('/').and_then(|(index, of)| Some((index.parse::<u32>().ok()?, of.parse::<u32>().ok()?)));
    match parts {
        Some((index, of)) if (1..=of).contains(&index) => Ok((index - 1, of)),
        _ => bail!("`--shard {}` is none; the first of four is `1/4`", text.escape_debug()),
    }
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

pub(super) fn gate(args: &JudgeArgs) -> Gate {
    let default = Gate::default();
    Gate {
        fail_on: args.fail_on.map_or(default.fail_on, |fail_on| fail_on.0),
        max_unreachable: args.max_unreachable.unwrap_or(default.max_unreachable),
        ..default
    }
}
