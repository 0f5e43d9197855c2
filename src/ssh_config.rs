//! What an ssh configuration says, as far as it is plain: `Host`, `Include`, and where a host is.
//!
//! `ssh -G` knows better, but starts a program for each host. What is not plain here is left to it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glob::Pattern;

/// As `ssh` itself: deeper includes are refused there.
const MAX_DEPTH: usize = 16;

/// Larger files are no configuration.
const MAX_BYTES: u64 = 8 << 20;

/// Where `ssh` looks when it is told of no file: the user's, and behind it that of the machine.
const MACHINES_OWN: &str = "/etc/ssh/ssh_config";

/// One line, or the files that it includes.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `Keyword value`: the keyword in lower case, the rest as it stands.
    Line(String, String),
    /// The files of one `Include`, in order.
    Include(Vec<Vec<Statement>>),
    /// An `Include` of which only `ssh` knows the files.
    Obscure,
}

/// The statements of the file at `path`, with those that it includes.
///
/// # Errors
/// When it cannot be read. As for `ssh`, an included file that cannot is none.
pub fn read(path: &Path) -> io::Result<Vec<Statement>> {
    read_at(path, &std::env::home_dir().unwrap_or_default().join(".ssh"), 0)
}

fn read_at(path: &Path, base: &Path, depth: usize) -> io::Result<Vec<Statement>> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines
        .map(|line| match split(line) {
            (keyword, rest) if keyword == "include" => include(rest, base, depth),
            (keyword, rest) => Statement::Line(keyword, rest.to_owned()),
        })
        .collect())
}

fn include(patterns: &str, base: &Path, depth: usize) -> Statement {
    if depth == MAX_DEPTH || patterns.contains(['$', '%']) {
        return Statement::Obscure;
    }
    let mut files = Vec::new();
    for pattern in words(patterns) {
        let whole = match pattern.strip_prefix("~/") {
            Some(rest) => base.parent().unwrap_or(base).join(rest),
            None => base.join(&pattern),
        };
        let visible = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let found = glob::glob_with(&whole.to_string_lossy(), visible).into_iter().flatten().flatten();
        files.extend(found.filter_map(|file| read_at(&file, base, depth + 1).ok()));
    }
    Statement::Include(files)
}

/// `Keyword value` or `Keyword=value`.
fn split(line: &str) -> (String, &str) {
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    (keyword.to_ascii_lowercase(), rest.trim_start_matches(|c: char| c.is_whitespace() || c == '='))
}

/// Words, perhaps quoted; a comment ends them.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    shlex::split(text).unwrap_or_default()
}

/// Where `ssh` connects to, and through what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What the destination's name stands for.
    pub host_name: String,
    /// The port, as it is written.
    pub port: Option<String>,
    /// `ProxyJump`.
    pub proxy_jump: Option<String>,
    /// `ProxyCommand`.
    pub proxy_command: Option<String>,
}

/// A configuration as `ssh` reads it: the first value that is true of a host holds.
#[derive(Clone, Debug)]
pub struct Configuration(Vec<Rule>);

/// A statement of which places depend.
#[derive(Clone, Debug)]
enum Rule {
    /// What follows is only true of hosts that match.
    Host {
        any: Vec<Pattern>,
        none: Vec<Pattern>,
    },
    Set(Key, String),
    Include(Vec<Vec<Rule>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    HostName,
    Port,
    ProxyJump,
    ProxyCommand,
}

impl Configuration {
    /// Reads what `ssh -F path` would, or the user's and the machine's own. Nothing where it depends on more than names.
    #[must_use]
    pub fn read(path: Option<&Path>) -> Option<Self> {
        let home = std::env::home_dir()?;
        let system = Path::new(MACHINES_OWN);
        let files: [(PathBuf, PathBuf); 2] = [
            (path.map_or_else(|| home.join(".ssh/config"), Path::to_owned), home.join(".ssh")),
            (system.to_owned(), system.parent()?.to_owned()),
        ];
        let mut included = Vec::new();
        for (file, base) in &files[..if path.is_some() { 1 } else { 2 }] {
            match read_at(file, base, 0) {
                Ok(statements) => included.push(rules(statements)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => return None,
            }
        }
        Some(Self(vec![Rule::Include(included)]))
    }

    /// Where `ssh` connects to for `host`; `options` are what its command line sets before, each `Keyword=value`.
    #[must_use]
    pub fn place<'a>(&self, host: &str, options: impl Iterator<Item = &'a str>) -> Option<Place> {
        if host.contains(['@', '/']) {
            return None;
        }
        let lines = options.map(|option| split(option.trim())).map(|(key, rest)| Statement::Line(key, rest.to_owned()));
        let mut found = Found::default();
        found.apply(&rules(lines.collect())?, host);
        found.apply(&self.0, host);
        let host_name = found.host_name.as_deref().unwrap_or("%h").replace("%h", host);
        if found.is_obscure || host_name.contains('%') {
            return None;
        }
        let (proxy_jump, proxy_command) = match found.proxy {
            Some((Key::ProxyJump, jump)) => (Some(jump), None),
            Some((_, command)) => (None, Some(command)),
            None => (None, None),
        };
        Some(Place { host_name, port: found.port, proxy_jump, proxy_command })
    }
}

#[derive(Default)]
struct Found {
    host_name: Option<String>,
    port: Option<String>,
    /// One of the two keys: whichever stands first rules the other out.
    proxy: Option<(Key, String)>,
    /// Versions of `ssh` differ in whether `ProxyJump none` rules a later `ProxyCommand` out.
    is_obscure: bool,
}

impl Found {
    fn apply(&mut self, rules: &[Rule], host: &str) {
        let mut applies = true;
        for rule in rules {
            match rule {
                Rule::Host { any, none } => {
                    let matches = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(host));
                    applies = matches(any) && !matches(none);
                }
                Rule::Set(..) | Rule::Include(_) if !applies => {}
                Rule::Set(key @ (Key::ProxyJump | Key::ProxyCommand), value) => {
                    let (first, proxy) = self.proxy.get_or_insert_with(|| (*key, value.clone()));
                    self.is_obscure |= *first == Key::ProxyJump && *key == Key::ProxyCommand && proxy == "none";
                }
                Rule::Set(Key::HostName, value) => drop(self.host_name.get_or_insert_with(|| value.clone())),
                Rule::Set(Key::Port, value) => drop(self.port.get_or_insert_with(|| value.clone())),
                Rule::Include(files) => files.iter().for_each(|file| self.apply(file, host)),
            }
        }
    }
}

/// What of the statements says where a host is; nothing when they are not plain.
fn rules(statements: Vec<Statement>) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    for statement in statements {
        let (keyword, rest) = match statement {
            Statement::Line(keyword, rest) => (keyword, rest),
            Statement::Include(files) => {
                rules.push(Rule::Include(files.into_iter().map(self::rules).collect::<Option<_>>()?));
                continue;
            }
            Statement::Obscure => return None,
        };
        let key = match keyword.as_str() {
            "host" => {
                let (none, any): (Vec<_>, Vec<_>) =
                    plain(&rest)?.split_whitespace().partition(|word| word.starts_with('!'));
                let any = any.into_iter().map(pattern).collect::<Option<_>>()?;
                let none = none.into_iter().map(|word| pattern(&word[1..])).collect::<Option<_>>()?;
                rules.push(Rule::Host { any, none });
                continue;
            }
            // Both ask for more than a name.
            "match" | "canonicalizehostname" => return None,
            "hostname" => Key::HostName,
            "port" => Key::Port,
            "proxyjump" => Key::ProxyJump,
            "proxycommand" => {
                rules.push(Rule::Set(Key::ProxyCommand, rest));
                continue;
            }
            _ => continue,
        };
        let value = plain(&rest)?.split_whitespace().next()?.to_owned();
        rules.push(Rule::Set(key, value));
    }
    Some(rules)
}

/// Text without what versions of `ssh` read differently.
fn plain(text: &str) -> Option<&str> {
    (!text.contains(['"', '\'', '\\', '#'])).then_some(text)
}

/// One pattern of a `Host` line: `*` and `?` are its only wildcards.
fn pattern(text: &str) -> Option<Pattern> {
    Pattern::new(&text.replace('[', "[[]")).ok()
}
