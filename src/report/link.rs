//! Places as links that a terminal opens (OSC 8), to an editor or a page of the repository.

use std::fmt::Write as _;
use std::str::FromStr;

use super::sarif::uri;
use super::words;
use crate::diagnose::Subject;

/// Where links of places lead: a URL with `{path}`, and perhaps `{line}` and `{column}`.
///
/// It is printable ASCII without spaces, and so is every path in it, percent-encoded: nothing can end the escape sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFormat(String);

impl FromStr for LinkFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "for example `https://git.example/app/blob/main/{path}#L{line}` or `vscode://file/src/app/{path}:{line}:{column}`";
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let rest = ["{path}", "{line}", "{column}"].iter().fold(text.to_owned(), |rest, part| rest.replace(part, ""));
        if !is_scheme {
            Err(format!("a URL with its scheme is needed, {example}"))
        } else if !text.contains("{path}") {
            Err(format!("`{{path}}` is missing, {example}"))
        } else if rest.contains(['{', '}']) {
            Err("in braces there may be `path`, `line` and `column` only".to_owned())
        } else if !text.chars().all(|c| c.is_ascii_graphic()) {
            Err("only printable ASCII without spaces may be in a URL; write the rest as `%20` and the like".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl LinkFormat {
    /// The link of a place, where it is a file of the application's own repository.
    pub(super) fn url(&self, subject: &Subject) -> Option<String> {
        let at = subject.location().filter(|_| words::is_ours(subject))?;
        let number = |number: u32| number.max(1).to_string();
        let url = self.0.replace("{line}", &number(at.line)).replace("{column}", &number(at.column));
        // Last, so that nothing in a path is taken for one of the others.
        Some(url.replace("{path}", &uri(&at.file)))
    }
}

/// `shown` as a link. Links of one URL are one link, though lines break it.
pub(super) fn link(url: &str, shown: &str) -> String {
    let id = url.bytes().fold(0_u32, |id, byte| id.wrapping_mul(31).wrapping_add(byte.into()));
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write!(text, "\u{1b}]8;id={id:x};{url}\u{1b}\\{shown}\u{1b}]8;;\u{1b}\\");
    text
}

#[cfg(test)]
mod tests {
    use super::{LinkFormat, link};
    use crate::diagnose::{FleetSite, Subject};
    use crate::model::{Origin, Service, Site, SpawnLocation, TaskKind};

    fn place(file: &str, origin: Origin) -> Subject {
        let location = Some(SpawnLocation { origin, file: file.to_owned(), line: 7, column: 0 });
        let site = Site { location, kind: TaskKind::Task, fn_name: None, name: None };
        Subject::Site(FleetSite { service: Service::default(), site })
    }

    #[test]
    fn only_urls_with_a_path_are_formats() {
        for wrong in
            ["{path}", "https://x/", "https://x/{path}{host}", "https://x/{path} y", "https://x/{path}\u{1b}\\"]
        {
            assert!(wrong.parse::<LinkFormat>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_of_the_application_are_links_and_no_path_breaks_out() {
        let format: LinkFormat = "vscode://file/src/app/{path}:{line}:{column}".parse().unwrap();
        assert_eq!(format.url(&place("src/a b.rs", Origin::App)).unwrap(), "vscode://file/src/app/src/a%20b.rs:7:1");
        let hostile = format.url(&place("a\u{1b}\\\u{7}{line}ü.rs", Origin::App)).unwrap();
        assert_eq!(hostile, "vscode://file/src/app/a%1B%5C%07%7Bline%7D%C3%BC.rs:7:1");
        assert_eq!(format.url(&place("../../etc/passwd", Origin::App)), None);
        assert_eq!(format.url(&place("src/lib.rs", Origin::Std)), None);
        assert_eq!(link("x:y", "shown"), "\u{1b}]8;id=1c9f7;x:y\u{1b}\\shown\u{1b}]8;;\u{1b}\\");
    }
}
