//! What is looked at beside a console: `health_url` and `log`.

use super::vars::text;
use crate::model::LogSource;
use crate::source::{Node, Source, shown};

/// Longest URL, unit or path, in bytes.
const LONGEST: usize = 2048;

/// Reads the variable `health_url`: a URL as the host itself sees it. `{container}` in it stands for the container's address.
pub(super) fn health_url(source: &mut Source<'_>, value: &Node) -> Option<String> {
    let url = text(source, value)?;
    let authority = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next());
    let is_plain =
        url.len() <= LONGEST && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"'`<>".contains(&byte));
    match authority {
        Some(authority) if is_plain && authority.contains('@') => {
            // It would stand in the arguments of a process, which everybody on the server may read, and in captures.
            let instead = "let the program answer on its loopback without a password";
            source.complain_with(value.place, "a health URL has no user and no password", instead);
            None
        }
        Some(authority) if is_plain && !authority.is_empty() => Some(url),
        _ => {
            let instead = "a URL as seen from the host, such as `http://localhost:8080/health`";
            source.complain_with(value.place, format!("`{}` is no health URL", shown(&url)), instead);
            None
        }
    }
}

/// Reads the variable `log`: `docker`, `podman` or `container`, `journal:UNIT` (also as `journalctl -u UNIT`), a path, or `none`.
pub(super) fn log(source: &mut Source<'_>, value: &Node) -> Option<LogSource> {
    let text = text(source, value)?;
    let is_plain = text.len() <= LONGEST && !text.contains(char::is_control);
    let unit = ["journal:", "journalctl -u ", "journalctl -u"].iter().find_map(|before| text.strip_prefix(before));
    let is_unit = |unit: &str| {
        unit.starts_with(|c: char| c.is_ascii_alphanumeric())
            && unit.chars().all(|c| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c))
    };
    match (text.as_str(), unit) {
        ("none", _) => Some(LogSource::Nowhere),
        ("docker" | "podman" | "container", _) => Some(LogSource::Container),
        (_, Some(unit)) if is_plain && is_unit(unit) => Some(LogSource::Journal(unit.to_owned())),
        (path, None) if is_plain && path.starts_with('/') => Some(LogSource::File(path.into())),
        _ => {
            let instead =
                "`docker` (what its container printed), `journal:UNIT`, a path such as `/var/log/app.log`, or `none`";
            source.complain_with(value.place, format!("`{}` is no log", shown(&text)), instead);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{health_url, log};
    use crate::model::LogSource;
    use crate::source::{Node, Source};
    use std::path::Path;

    fn read<T>(text: &str, reader: fn(&mut Source<'_>, &Node) -> Option<T>) -> Result<T, String> {
        let mut source = Source::new(Path::new("hosts.yaml"), text);
        let node = source.parse().unwrap();
        let read = reader(&mut source, &node);
        source.finish(()).map_err(|complaints| complaints.to_string())?;
        Ok(read.unwrap())
    }

    #[test]
    fn urls_are_whole_and_hold_no_password() {
        for url in ["http://localhost:8080/health", "https://[::1]/", "http://{container}:80/a?b=c"] {
            assert_eq!(read(url, health_url).unwrap(), url);
        }
        for (url, why) in [
            ("localhost:8080", "no health URL"),
            ("http:///x", "no health URL"),
            ("\"http://a/ b\"", "no health URL"),
            ("\"http://a/$(id)`id`\"", "no health URL"),
            ("file:///etc/passwd", "no health URL"),
            ("http://user:secret@a/", "no password"),
        ] {
            let complaint = read(url, health_url).unwrap_err();
            assert!(complaint.contains(why), "{url}: {complaint}");
        }
    }

    #[test]
    fn logs_are_named_in_four_ways() {
        for (text, expected) in [
            ("docker", LogSource::Container),
            ("none", LogSource::Nowhere),
            ("journal:relay.service", LogSource::Journal("relay.service".into())),
            ("journalctl -u relay@1", LogSource::Journal("relay@1".into())),
            ("/var/log/relay.log", LogSource::File("/var/log/relay.log".into())),
        ] {
            assert_eq!(read(text, log).unwrap(), expected);
        }
        for text in ["relay.log", "\"journal:\"", "\"journal:-x\"", "\"journal:a b\"", "\"/a\\nb\""] {
            assert!(read(text, log).unwrap_err().contains("is no log"), "{text}");
        }
    }
}
