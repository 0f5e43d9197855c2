//! The file in which suppressions stand.

use std::path::Path;

use jiff::civil::Date;
use regex::Regex;

use super::{Suppression, Suppressions};
use crate::source::{Complaints, Node, Source, shown};

const KEYS: [&str; 6] = ["rule", "site", "hosts", "reason", "owner", "expires"];

/// Reads a list of suppressions.
///
/// # Errors
/// Everything that is wrong in it, with the lines.
pub fn parse(path: &Path, text: &str) -> Result<Suppressions, Complaints> {
    let mut source = Source::new(path, text);
    let root = source.parse();
    let mut list = Vec::new();
    if let Some(root) = root {
        match root.mapping() {
            None => source.complain_with(root.place, "not a mapping", "begin with `suppressions:` and list them below"),
            Some(entries) => {
                source.expect_keys(entries, &["suppressions"]);
                let items = root.get("suppressions").filter(|node| !node.is_null());
                match items.map(|node| (node, node.sequence())) {
                    Some((node, None)) => {
                        source.complain(node.place, format!("a list belongs here, not {}", node.kind()))
                    }
                    Some((_, Some(items))) => list.extend(items.iter().filter_map(|item| entry(&mut source, item))),
                    None => {}
                }
            }
        }
    }
    source.finish(Suppressions { list })
}

fn entry(source: &mut Source<'_>, item: &Node) -> Option<Suppression> {
    let Some(keys) = item.mapping() else {
        source.complain_with(item.place, "not a suppression", format!("each has the keys {}", KEYS.join(", ")));
        return None;
    };
    source.expect_keys(keys, &KEYS);
    let rule = text(source, item, "rule", "the rule's name, such as `lost-waker`");
    let site = text(source, item, "site", "where, as `src/relay.rs` or `src/relay.rs:42`; `*` for everywhere");
    let reason = text(source, item, "reason", "why this is acceptable");
    let owner = text(source, item, "owner", "who answers for it");
    let expires = text(source, item, "expires", "the last day on which it holds, as `2026-12-31`");
    let hosts = hosts(source, item);
    let expires = expires.and_then(|node| {
        let date = node.text().and_then(|text| text.parse::<Date>().ok());
        if date.is_none() {
            let what = format!("`{}` is no date", shown(node.text().unwrap_or_default()));
            source.complain_with(node.place, what, "write it as `2026-12-31`");
        }
        date
    });
    let pattern = |node: &Node| glob(node.text().unwrap_or_default());
    Some(Suppression {
        rule: pattern(rule?)?,
        site: pattern(site?)?,
        hosts: hosts?,
        reason: reason?.text()?.to_owned(),
        owner: owner?.text()?.to_owned(),
        expires: expires?,
    })
}

/// The value of a key that must be there and say something.
fn text<'a>(source: &mut Source<'_>, item: &'a Node, key: &str, meaning: &str) -> Option<&'a Node> {
    let found = item.get(key);
    let fine = found.filter(|node| !node.is_null() && node.text().is_some_and(|text| !text.trim().is_empty()));
    match (fine, found) {
        (None, None) => source.complain_with(item.place, format!("`{key}` is missing"), meaning),
        (None, Some(node)) => source.complain_with(node.place, format!("`{key}` says nothing"), meaning),
        _ => {}
    }
    fine
}

/// One pattern or a list of them; every host when absent.
fn hosts(source: &mut Source<'_>, item: &Node) -> Option<Vec<Regex>> {
    let Some(node) = item.get("hosts") else { return Some(glob("*").into_iter().collect()) };
    let items = node.sequence().unwrap_or(std::slice::from_ref(node));
    let mut patterns = Vec::new();
    for item in items {
        match item.text().filter(|text| !text.trim().is_empty() && !item.is_null()) {
            Some(text) => patterns.extend(glob(text)),
            None => source.complain_with(item.place, "not a host", "name one, or several with `*`: `relay-*`"),
        }
    }
    (!patterns.is_empty()).then_some(patterns)
}

/// `*` stands for any text, `?` for one character; everything else for itself.
fn glob(pattern: &str) -> Option<Regex> {
    let escaped = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    // An escaped text always compiles, unless it is larger than any pattern has reason to be.
    Regex::new(&format!("^(?s:{escaped})$")).ok()
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::path::Path;

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let text = "
suppressions:
  - rule: lost-waker
    site: 'src/*'
    reason: ''
    owner: relay team
    expires: tomorrow
  - rule: self-wakes
    sites: src/a.rs
    owner: a
    reason: b
    expires: 2026-12-31
  - nothing
";
        let complaints = parse(Path::new("s.yaml"), text).unwrap_err().to_string();
        for expected in [
            "s.yaml:5:13: `reason` says nothing",
            "s.yaml:7:14: `tomorrow` is no date",
            "s.yaml:8:5: `site` is missing",
            "s.yaml:9:5: unknown key `sites`",
            "did you mean `site`?",
            "s.yaml:13:5: not a suppression",
        ] {
            assert!(complaints.contains(expected), "{expected} in {complaints}");
        }
        assert!(parse(Path::new("s.yaml"), "").unwrap().list.is_empty());
        assert!(parse(Path::new("s.yaml"), "suppressions: 3").is_err());
    }

    #[test]
    fn patterns_match_whole_texts() {
        let glob = |pattern: &str, text: &str| super::glob(pattern).unwrap().is_match(text);
        assert!(glob("src/*.rs", "src/relay/peer.rs") && !glob("src/*.rs", "src/relay.rs:42"));
        assert!(glob("relay-0?", "relay-07") && !glob("relay-0?", "relay-10"));
        assert!(glob("a.b", "a.b") && !glob("a.b", "axb"), "a dot is a dot");
    }
}
