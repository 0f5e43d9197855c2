//! The aliases of an ssh configuration, as an inventory.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::InventoryError;
use super::load::read_text;
use crate::model::HostName;

/// As `ssh` itself: deeper includes are refused there.
const MAX_DEPTH: usize = 16;

/// An inventory, as YAML, of every alias that the ssh configuration names outright: through `Include`, without patterns
/// and `Match`. Aliases that lead to the same server become one host, and the others a comment.
///
/// # Errors
/// When the configuration cannot be read.
pub fn aliases_of_ssh_config(config: Option<&Path>) -> Result<String, InventoryError> {
    let home = std::env::home_dir().unwrap_or_default();
    let path = config.map_or_else(|| home.join(".ssh/config"), Path::to_owned);
    let mut reader = Aliases { home: &home, seen: BTreeSet::new(), names: Vec::new() };
    reader.file(&path, 0)?;
    let mut out = format!("# Aliases of {}\nall:\n  hosts:\n", path.display());
    let mut places: Vec<(String, HostName)> = Vec::new();
    if reader.names.is_empty() {
        out.push_str("    {}\n");
    }
    for name in reader.names {
        let place = server(&name, config);
        let known = place.as_ref().and_then(|place| places.iter().find(|(known, _)| known == place));
        // Writing into a String cannot fail.
        let _ = match (known, &place) {
            (Some((place, first)), _) => writeln!(out, "    # {name} is {first} as well ({place})"),
            (None, Some(place)) => writeln!(out, "    {name}: # {place}"),
            (None, None) => writeln!(out, "    {name}:"),
        };
        if known.is_none() {
            places.extend(place.map(|place| (place, name)));
        }
    }
    Ok(out)
}

struct Aliases<'a> {
    home: &'a Path,
    seen: BTreeSet<HostName>,
    names: Vec<HostName>,
}

impl Aliases<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), InventoryError> {
        for line in read_text(path)?.lines() {
            let (keyword, rest) = keyword(line);
            match keyword.as_str() {
                "host" => self.hosts(rest),
                "include" if depth < MAX_DEPTH => {
                    for pattern in words(rest) {
                        for file in self.included(&pattern) {
                            // As for `ssh`, an included file that cannot be read is none.
                            let _ = self.file(&file, depth + 1);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn hosts(&mut self, rest: &str) {
        for word in words(rest).into_iter().filter(|word| !word.contains(['*', '?', '!'])) {
            if let Ok(name) = word.parse::<HostName>()
                && self.seen.insert(name.clone())
            {
                self.names.push(name);
            }
        }
    }

    /// The files of an `Include`: relative to `~/.ssh`, with `~` and wildcards.
    fn included(&self, pattern: &str) -> Vec<PathBuf> {
        let path = match pattern.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => self.home.join(".ssh").join(pattern),
        };
        let mut found = vec![PathBuf::new()];
        for part in path.components() {
            let part = part.as_os_str().to_string_lossy().into_owned();
            found = found.into_iter().flat_map(|base| matching(&base, &part)).collect();
        }
        found.into_iter().filter(|path| path.is_file()).collect()
    }
}

/// What of `base` matches one part of a path.
fn matching(base: &Path, part: &str) -> Vec<PathBuf> {
    if !part.contains(['*', '?', '[']) {
        return vec![base.join(part)];
    }
    let Ok(regex) = regex::Regex::new(&super::pattern::glob(part)) else { return Vec::new() };
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<_> = names.filter(|name| !name.starts_with('.') && regex.is_match(name)).collect();
    found.sort();
    found.into_iter().map(|name| base.join(name)).collect()
}

/// `Keyword value` or `Keyword=value`; the keyword in lower case.
fn keyword(line: &str) -> (String, &str) {
    let line = line.trim();
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    (keyword.to_ascii_lowercase(), rest.trim_start_matches(|c: char| c.is_whitespace() || c == '='))
}

/// Words, perhaps quoted; a comment ends them.
fn words(text: &str) -> Vec<String> {
    shlex::split(text).unwrap_or_default()
}

/// Where `ssh` would connect to, as `user@host:port`; nothing when it does not say.
fn server(alias: &HostName, config: Option<&Path>) -> Option<String> {
    let mut command = Command::new("ssh");
    command.arg("-G");
    if let Some(config) = config {
        command.arg("-F").arg(config);
    }
    let output = command.arg("--").arg(alias.as_str()).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
        line.parse::<HostName>().ok()
    };
    Some(format!("{}@{}:{}", value("user")?, value("hostname")?, value("port")?))
}

#[cfg(test)]
mod tests {
    use super::aliases_of_ssh_config;
    use std::fs;

    #[test]
    fn every_concrete_alias_is_a_host_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("d")).unwrap();
        let includes =
            format!("Include {}/d/*.conf {}/missing\n", directory.path().display(), directory.path().display());
        fs::write(
            path("config"),
            format!(
                "{includes}# Host commented\nHost relay relay.example.com\n  HostName 10.0.0.1\n  User deploy\nhost=db-?? db-1 !db-2\n  \
                 HostName 10.0.0.2\nMatch host x\nHost *\n  Port 2222\nHost \"quoted\" relay\nHost -oBad 'a;b'\n"
            ),
        )
        .unwrap();
        fs::write(path("d/b.conf"), "Host jump\n  HostName 10.0.0.9\n").unwrap();
        fs::write(path("d/a.txt"), "Host never\n").unwrap();
        let inventory = aliases_of_ssh_config(Some(&path("config"))).unwrap();
        let lines: Vec<_> =
            inventory.lines().skip(3).map(|line| line.split(['#', '@']).next().unwrap().trim()).collect();
        assert_eq!(lines, ["jump:", "relay:", "", "db-1:", "quoted:"], "{inventory}");
        assert!(inventory.contains("# relay.example.com is relay as well (deploy@10.0.0.1:2222)"), "{inventory}");
        let file = path("hosts.yaml");
        fs::write(&file, inventory).unwrap();
        let read = crate::inventory::Inventory::load(&[file.display().to_string()]).unwrap();
        assert_eq!(read.hosts().count(), 4);
    }

    #[test]
    fn an_empty_configuration_is_an_empty_inventory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let inventory = aliases_of_ssh_config(Some(file.path())).unwrap();
        assert!(inventory.ends_with("hosts:\n    {}\n"));
        assert!(aliases_of_ssh_config(Some(std::path::Path::new("/nowhere"))).is_err());
    }
}
