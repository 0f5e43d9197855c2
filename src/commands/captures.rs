//! `fleetdiag captures`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::CommandError;
use super::emit::{note, print};
use super::store::{resolve, store};
use crate::capture::{Capture, Entry, Limits};
use crate::cli::CapturesCommand;
use crate::model::Outcome;

pub(super) fn run(command: &CapturesCommand) -> Result<ExitCode, CommandError> {
    match command {
        CapturesCommand::List { json } => list(*json)?,
        CapturesCommand::Show { capture } => show(capture).map_err(CommandError::usage)?,
        CapturesCommand::Tag { tag, capture } => {
            let path = resolve(capture).map_err(CommandError::usage)?;
            store()?.tag(&path, tag).map_err(CommandError::usage)?;
        }
        CapturesCommand::Untag { tag } => store()?.untag(tag).map_err(CommandError::usage)?,
        CapturesCommand::Prune { keep } => {
            let removed = store()?.prune(*keep)?;
            note(&format!("{} captures removed", removed.len()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One capture of the list.
#[derive(Serialize)]
struct Row {
    name: String,
    started: String,
    tags: Vec<String>,
    bytes: u64,
    /// Absent when it cannot be read.
    hosts: Option<usize>,
    observed: Option<usize>,
    state: &'static str,
}

fn row(entry: &Entry) -> Row {
    let bytes = std::fs::metadata(&entry.path).map_or(0, |metadata| metadata.len());
    let capture = Capture::open(&entry.path, Limits::default()).ok();
    let observed =
        |capture: &Capture| capture.targets().filter(|(_, outcome)| matches!(outcome, Outcome::Observed(_))).count();
    let state = match &capture {
        None => "unreadable",
        Some(_) if entry.partial => "unfinished",
        Some(capture) if capture.interrupted() => "interrupted",
        Some(_) => "whole",
    };
    Row {
        name: entry.name().to_owned(),
        started: started(&entry.time),
        tags: entry.tags.iter().cloned().collect(),
        bytes,
        hosts: capture.as_ref().map(|capture| capture.targets().len()),
        observed: capture.as_ref().map(observed),
        state,
    }
}

/// `20261124T123000Z` as people and programs read it.
fn started(time: &str) -> String {
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time).map_or_else(|_| time.to_owned(), |time| format!("{time}Z"))
}

fn list(json: bool) -> anyhow::Result<()> {
    let store = store()?;
    let rows: Vec<_> = store.entries()?.iter().rev().map(row).collect();
    if json {
        return print(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    if rows.is_empty() {
        note(&format!("no captures in `{}`", store.directory().display()));
    }
    let mut text = String::new();
    for row in rows {
        let seen = match (row.observed, row.hosts) {
            (Some(observed), Some(hosts)) => format!("{observed} of {hosts} seen"),
            _ => String::new(),
        };
        let tags: String = row.tags.iter().map(|tag| format!(" @tag:{tag}")).collect();
        let kib = row.bytes.div_ceil(1024);
        let state = if row.state == "whole" { String::new() } else { format!(" {}", row.state) };
        writeln!(text, "{}  {seen:>16}  {kib:>8} KiB  {}{state}{tags}", row.started, row.name)?;
    }
    print(&text)
}

fn show(name: &Path) -> anyhow::Result<()> {
    let path = resolve(name)?;
    let capture = Capture::open(&path, Limits::default())?;
    let run = capture.run();
    let mut text = String::new();
    // File and host names were checked when they were read; patterns are as typed, on some machine.
    writeln!(text, "file      {}", path.display())?;
    writeln!(text, "started   {}", run.started)?;
    writeln!(text, "hosts     {}", run.patterns.join(" ").escape_debug())?;
    writeln!(text, "window    {:?}", run.window)?;
    writeln!(text, "collected by fleetdiag {}", run.collected_by.escape_debug())?;
    if capture.interrupted() {
        writeln!(text, "interrupted")?;
    }
    for (target, outcome) in capture.targets() {
        let outcome = match outcome {
            Outcome::Observed(observation) => format!("seen, {} bytes", observation.bytes),
            Outcome::Failed(failure) => format!("failed at {}: {}", failure.stage, failure.reason.summary()),
        };
        let id = target.id.to_string();
        writeln!(text, "  {}  {}", id.escape_debug(), outcome)?;
    }
    print(&text)
}
