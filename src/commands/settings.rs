//! `fleetdiag.yaml`: what a project always wants, found upwards from the working directory. What is typed counts more.
//!
//! Its keys are flags: each is handed to the command line's own reader, so that it means there what it means here.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};

use super::emit::{be_quiet, note};
use crate::cli::Cli;
use crate::source::{Complaints, Node, Source};

const NAME: &str = "fleetdiag.yaml";

/// Largest settings file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What a key's text is, beside what its flag makes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Value,
    /// A path, relative to the directory of the file.
    Path,
    /// Such a path, or a name that is none.
    NameOrPath,
    /// A format, perhaps with such a path behind a `=`.
    Output,
}

/// The keys, each with its flag and whether a list may stand there.
const KEYS: &[(&str, &str, Kind, bool)] = &[
    ("inventory", "inventory", Kind::Path, true),
    ("playbooks", "playbook", Kind::NameOrPath, true),
    ("window", "window", Kind::Value, false),
    ("forks", "forks", Kind::Value, false),
    ("connect_timeout", "connect-timeout", Kind::Value, false),
    ("host_timeout", "host-timeout", Kind::Value, false),
    ("deadline", "deadline", Kind::Value, false),
    ("no_context", "no-context", Kind::Value, false),
    ("ssh_config", "ssh-config", Kind::Path, false),
    ("ssh_options", "ssh-option", Kind::Value, true),
    ("fail_on", "fail-on", Kind::Value, false),
    ("max_unreachable", "max-unreachable", Kind::Value, false),
    ("output", "output", Kind::Output, true),
    ("top", "top", Kind::Value, false),
    ("hyperlink_format", "hyperlink-format", Kind::Value, false),
    ("source", "source", Kind::Path, false),
];

/// Commands that are about no fleet of the user's.
const WITHOUT: &[&str] = &["demo", "completions", "man", "demo-program"];

/// The command line, with the settings that it leaves open taken from the file. Wrong usage ends the program, as in
/// [`clap::Parser::parse`].
///
/// # Errors
/// When the file cannot be used.
pub(super) fn parse(arguments: Vec<OsString>) -> anyhow::Result<Cli> {
    let typed = Cli::command().get_matches_from(&arguments);
    if typed.get_flag("quiet") {
        be_quiet();
    }
    let filled = match find(&typed)? {
        Some(path) => fill(&typed, arguments, &path)?,
        None => None,
    };
    let matches = filled.map_or(typed, |arguments| Cli::command().get_matches_from(arguments));
    Cli::from_arg_matches(&matches).map_err(|error| error.exit())
}

/// The file that counts: the one that is named, or the nearest above the working directory.
fn find(typed: &ArgMatches) -> anyhow::Result<Option<PathBuf>> {
    let is_without = typed.subcommand_name().is_none_or(|name| WITHOUT.contains(&name));
    if is_without || typed.get_flag("no_settings") {
        return Ok(None);
    }
    if let Some(path) = typed.get_one::<PathBuf>("settings") {
        return Ok(Some(path.clone()));
    }
    let Ok(here) = std::env::current_dir() else { return Ok(None) };
    let Some(path) = here.ancestors().map(|directory| directory.join(NAME)).find(|path| path.is_file()) else {
        return Ok(None);
    };
    if is_ours(&path)? {
        return Ok(Some(path));
    }
    // It can name programs to run: inventories, and the proxy commands of an ssh configuration.
    note(&format!("ignoring `{0}`, which somebody else may write; `--settings {0}` uses it", path.display()));
    Ok(None)
}

/// Whether nobody but us and root can have written the file.
pub(super) fn is_ours(path: &Path) -> anyhow::Result<bool> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let us = rustix::process::geteuid().as_raw();
    Ok([us, 0].contains(&metadata.uid()) && metadata.mode() & 0o002 == 0)
}

/// The arguments with what the file adds, or nothing when it adds nothing.
fn fill(typed: &ArgMatches, arguments: Vec<OsString>, path: &Path) -> anyhow::Result<Option<Vec<OsString>>> {
    let size = fs::metadata(path).map(|metadata| metadata.len());
    if size.with_context(|| format!("cannot read `{}`", path.display()))? > MAX_BYTES {
        bail!("`{}` is larger than {MAX_BYTES} bytes", path.display());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let Some((name, typed)) = typed.subcommand() else { return Ok(None) };
    let added = read(path, &text, name, typed)?;
    let Some(at) = arguments.iter().skip(1).position(|argument| argument == name) else { return Ok(None) };
    let mut filled = arguments;
    // Behind the command's name, and thus before any `--`.
    filled.splice(at + 2..at + 2, added);
    Ok(Some(filled))
}

/// The flags that the file adds to the subcommand `name`.
fn read(path: &Path, text: &str, name: &str, typed: &ArgMatches) -> Result<Vec<OsString>, Complaints> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut source = Source::new(path, text);
    let mut added = Vec::new();
    match source.parse() {
        Some(root) if root.mapping().is_some() => {
            let known: Vec<_> = KEYS.iter().map(|(key, ..)| *key).collect();
            source.expect_keys(root.mapping().unwrap_or_default(), &known);
            for (key, flag, kind, list) in KEYS {
                let Some(value) = root.get(key) else { continue };
                let words = words(&mut source, key, value, *kind, *list, directory);
                let flags: Vec<_> = words.iter().map(|(_, word)| OsString::from(format!("--{flag}={word}"))).collect();
                for ((place, _), flag) in words.iter().zip(&flags) {
                    if let Some(why) = refused(flag) {
                        source.complain_with(
                            place.place,
                            format!("`{key}`: {why}"),
                            format!("as for `--{}`", flag_name(flag)),
                        );
                    }
                }
                if is_open(name, typed, flag) {
                    added.extend(flags);
                }
            }
        }
        Some(root) if !root.is_null() => {
            let what = format!("here must be settings, and is {}", root.kind());
            source.complain_with(root.place, what, "for example `inventory: hosts.yaml`");
        }
        _ => {}
    }
    source.finish(added)
}

fn flag_name(flag: &OsString) -> String {
    let text = flag.to_string_lossy();
    text.trim_start_matches("--").split('=').next().unwrap_or_default().to_owned()
}

/// The texts of a key with their nodes, paths made whole.
fn words<'n>(
    source: &mut Source<'_>,
    key: &str,
    value: &'n Node,
    kind: Kind,
    list: bool,
    directory: &Path,
) -> Vec<(&'n Node, String)> {
    let nodes: Vec<_> = match value.sequence() {
        Some(items) if list => items.iter().collect(),
        _ => vec![value],
    };
    let mut words = Vec::new();
    for node in nodes {
        match node.text().filter(|text| !text.is_empty()) {
            Some(text) => words.push((node, whole(text, kind, directory))),
            None => source.complain(node.place, format!("`{key}` must be text, and is {}", node.kind())),
        }
    }
    words
}

fn whole(text: &str, kind: Kind, directory: &Path) -> String {
    let join = |path: &str| match path.strip_prefix("~/").zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest).display().to_string(),
        None => directory.join(path).display().to_string(),
    };
    match (kind, text.split_once('=')) {
        // A list of hosts is no path.
        (Kind::Path, _) if text.contains(',') => text.to_owned(),
        (Kind::Path, _) => join(text),
        (Kind::NameOrPath, _) if text.contains(['/', '.']) => join(text),
        (Kind::Output, Some((format, path))) if path != "-" => format!("{format}={}", join(path)),
        _ => text.to_owned(),
    }
}

/// The argument of a flag, in a subcommand that has it.
fn argument<'c>(command: &'c Command, name: &str, flag: &str) -> Option<&'c clap::Arg> {
    let own = command.find_subcommand(name)?.get_arguments();
    own.chain(command.get_arguments()).find(|argument| argument.get_long() == Some(flag))
}

/// Whether the subcommand has the flag, and nobody typed it.
fn is_open(name: &str, typed: &ArgMatches, flag: &str) -> bool {
    let command = Cli::command();
    let id = argument(&command, name, flag).map(|argument| argument.get_id().as_str());
    id.is_some_and(|id| typed.value_source(id) != Some(ValueSource::CommandLine))
}

/// What the command line's reader has against a flag with its value.
fn refused(flag: &OsString) -> Option<String> {
    let command = Cli::command();
    let name = flag_name(flag);
    let has = ["snapshot", "check"].into_iter().find(|sub| argument(&command, sub, &name).is_some())?;
    let error = command.try_get_matches_from([&OsString::from("fleetdiag"), &OsString::from(has), flag]).err()?;
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    Some(first.trim_start_matches("error: ").to_owned())
}
