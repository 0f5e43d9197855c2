//! The aliases of an ssh configuration, as an inventory.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::InventoryError;
use crate::model::HostName;
use crate::ssh_config::{Statement, read, words};

/// An inventory, as YAML, of every alias that the ssh configuration names outright: through `Include`, without patterns
/// and `Match`. Aliases that lead to the same server become one host, and the others a comment.
///
/// # Errors
/// When the configuration cannot be read.
pub fn aliases_of_ssh_config(config: Option<&Path>) -> Result<String, InventoryError> {
    let path = match config {
        Some(path) => path.to_owned(),
        None => std::env::home_dir().unwrap_or_default().join(".ssh/config"),
    };
    let statements = read(&path).map_err(|source| InventoryError::Unreadable { path: path.clone(), source })?;
    let mut found = Vec::new();
    names(&statements, &mut found);
    let mut out = format!("# Aliases of {}\nall:\n  hosts:\n", path.display());
    let mut places: Vec<(String, HostName)> = Vec::new();
    if found.is_empty() {
        out.push_str("    {}\n");
    }
    for name in found {
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

/// Adds the hosts that the statements name outright.
fn names(statements: &[Statement], found: &mut Vec<HostName>) {
    for statement in statements {
        match statement {
            Statement::Line(keyword, rest) if keyword == "host" => {
                let concrete = words(rest).into_iter().filter(|word| !word.contains(['*', '?', '!']));
                for name in concrete.filter_map(|word| word.parse::<HostName>().ok()) {
                    if !found.contains(&name) {
                        found.push(name);
                    }
                }
            }
            Statement::Include(files) => files.iter().for_each(|file| names(file, found)),
            Statement::Line(..) | Statement::Obscure => {}
        }
    }
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
