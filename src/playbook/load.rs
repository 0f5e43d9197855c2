//! A playbook file becomes rules, or a list of everything that is wrong with it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::rule::{Detector, Rule, RuleId, Severity};
use super::{API_VERSION, KIND, Playbook};
use crate::source::{Complaints, Node, Place, Source, nearest, shown};

const TOP: &[&str] = &["apiVersion", "kind", "name", "rules"];
const RULE: &[&str] =
    &["id", "name", "detect", "thresholds", "severity", "title", "why", "remedy", "next_checks", "reference"];
const DETECTORS: &[&str] = &["self-wakes", "lost-waker", "never-yielded", "auto-boxed-future", "large-future"];

/// Reads the playbook `text` of the file `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, text: &str) -> Result<Playbook, Complaints> {
    let mut loader = Loader { source: Source::new(path, text), ids: HashMap::new() };
    let playbook = loader.source.parse().and_then(|root| loader.playbook(&root));
    let empty = || Playbook { name: String::new(), rules: Vec::new() };
    if playbook.is_none() {
        loader.source.complain(Place { line: 1, column: 1, width: 1 }, "this is no playbook");
    }
    loader.source.finish(playbook.unwrap_or_else(empty))
}

struct Loader<'a> {
    source: Source<'a>,
    ids: HashMap<String, usize>,
}

impl Loader<'_> {
    fn playbook(&mut self, root: &Node) -> Option<Playbook> {
        let entries = root.mapping()?;
        self.source.expect_keys(entries, TOP);
        self.constant(root, "apiVersion", API_VERSION);
        self.constant(root, "kind", KIND);
        let name = self.text(root, "name")?;
        let rules = root.get("rules")?;
        let Some(items) = rules.sequence() else {
            self.source.complain(rules.place, format!("`rules` must be a list, this is {}", rules.kind()));
            return Some(Playbook { name, rules: Vec::new() });
        };
        let rules = items.iter().filter_map(|item| self.rule(item)).collect();
        Some(Playbook { name, rules })
    }

    fn constant(&mut self, root: &Node, key: &str, value: &str) {
        match root.get(key) {
            Some(node) if node.text() == Some(value) => {}
            Some(node) => self.source.complain_with(
                node.place,
                format!("`{key}` is not known"),
                format!("this version reads `{value}`"),
            ),
            None => {
                self.source.complain_with(root.place, format!("`{key}` is missing"), format!("add `{key}: {value}`"))
            }
        }
    }

    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let Some(entries) = node.mapping() else {
            self.source.complain(node.place, format!("a rule must be a mapping, this is {}", node.kind()));
            return None;
        };
        self.source.expect_keys(entries, RULE);
        let id = self.text(node, "id");
        if let (Some(id), Some(at)) = (&id, node.get("id"))
            && let Some(line) = self.ids.insert(id.clone(), at.place.line)
        {
            self.source.complain(at.place, format!("the id `{}` is taken, in line {line}", shown(id)));
        }
        let name = self.text(node, "name");
        let detector = self.detector(node);
        let severity = self.severity(node);
        let [title, why, remedy] = ["title", "why", "remedy"].map(|key| self.text(node, key));
        let next_checks = self.texts(node, "next_checks");
        let reference = node.get("reference").and_then(Node::text).map(str::to_owned);
        let detector = detector?;
        let title = detector.fill(&title?);
        Some(Rule {
            id: RuleId(id?),
            name: name?,
            detector,
            severity: severity?,
            title,
            why: why?,
            remedy: remedy?,
            next_checks,
            reference,
        })
    }

    fn text(&mut self, node: &Node, key: &str) -> Option<String> {
        let Some(value) = node.get(key) else {
            self.source.complain(node.place, format!("`{key}` is missing"));
            return None;
        };
        match value.text() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => {
                self.source.complain(value.place, format!("`{key}` must be text, this is {}", value.kind()));
                None
            }
        }
    }

    fn texts(&mut self, node: &Node, key: &str) -> Vec<String> {
        let Some(list) = node.get(key) else { return Vec::new() };
        let Some(items) = list.sequence() else {
            self.source.complain(list.place, format!("`{key}` must be a list, this is {}", list.kind()));
            return Vec::new();
        };
        items.iter().filter_map(Node::text).map(str::to_owned).collect()
    }

    fn severity(&mut self, node: &Node) -> Option<Severity> {
        const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];
        let text = self.text(node, "severity")?;
        let found = ALL.into_iter().find(|severity| severity.as_str() == text);
        if let (None, Some(at)) = (found, node.get("severity")) {
            self.source.complain_with(
                at.place,
                format!("no severity `{}`", shown(&text)),
                "one of: info, warning, critical",
            );
        }
        found
    }

    fn detector(&mut self, node: &Node) -> Option<Detector> {
        let name = self.text(node, "detect")?;
        let thresholds = node.get("thresholds");
        let known: &[&str] = match name.as_str() {
            "self-wakes" => &["self_wake_percent"],
            "never-yielded" => &["busy"],
            "large-future" => &["size_bytes"],
            _ => &[],
        };
        if let Some(entries) = thresholds.and_then(Node::mapping) {
            self.source.expect_keys(entries, known);
        }
        let threshold = |key: &str| thresholds.and_then(|thresholds| thresholds.get(key));
        match name.as_str() {
            "self-wakes" => {
                let self_wake_percent = self.number(threshold("self_wake_percent"), 50, 0..=99)?;
                Some(Detector::SelfWakes { self_wake_percent })
            }
            "lost-waker" => Some(Detector::LostWaker),
            "never-yielded" => {
                Some(Detector::NeverYielded { busy: self.duration(threshold("busy"), Duration::from_secs(1))? })
            }
            "auto-boxed-future" => Some(Detector::AutoBoxedFuture),
            "large-future" => {
                Some(Detector::LargeFuture { size_bytes: self.number(threshold("size_bytes"), 1024, 1..=u64::MAX)? })
            }
            other => {
                let instead = nearest(other, DETECTORS.iter().copied()).map_or_else(
                    || format!("one of: {}", DETECTORS.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let at = node.get("detect").map_or(node.place, |detect| detect.place);
                self.source.complain_with(at, format!("no detector `{}`", shown(other)), instead);
                None
            }
        }
    }

    fn number(&mut self, node: Option<&Node>, default: u64, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let Some(node) = node else { return Some(default) };
        let number = node.text().and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
        if number.is_none() {
            let instead = format!("a whole number from {} to {}", range.start(), range.end());
            self.source.complain_with(node.place, "this threshold is impossible", instead);
        }
        number
    }

    fn duration(&mut self, node: Option<&Node>, default: Duration) -> Option<Duration> {
        let Some(node) = node else { return Some(default) };
        let parsed = node.text().and_then(|text| text.parse::<jiff::SignedDuration>().ok());
        let duration = parsed.and_then(|parsed| Duration::try_from(parsed).ok());
        if duration.is_none() {
            self.source.complain_with(node.place, "this is no time", "a time such as `500ms` or `5s`");
        }
        duration
    }
}

impl Detector {
    /// A title with its thresholds filled in.
    fn fill(self, title: &str) -> String {
        match self {
            Self::SelfWakes { self_wake_percent } => {
                title.replace("{self_wake_percent}", &self_wake_percent.to_string())
            }
            Self::NeverYielded { busy } => title.replace("{busy}", &format!("{busy:?}")),
            Self::LargeFuture { size_bytes } => title.replace("{size_bytes}", &size_bytes.to_string()),
            Self::LostWaker | Self::AutoBoxedFuture => title.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::load;
    use crate::playbook::{Detector, built_in};
    use std::path::Path;
    use std::time::Duration;

    const RULE: &str = "id: A1\n    name: n\n    severity: info\n    title: t\n    why: w\n    remedy: r\n";

    fn with(detect: &str) -> String {
        format!("apiVersion: fleetdiag/v1\nkind: Playbook\nname: x\nrules:\n  - {RULE}    {detect}\n")
    }

    #[test]
    fn the_built_in_lints_are_tokio_consoles() {
        let playbook = built_in();
        let detectors: Vec<_> = playbook.rules.iter().map(|rule| (rule.name.as_str(), rule.detector)).collect();
        let expected = [
            ("self-wakes", Detector::SelfWakes { self_wake_percent: 50 }),
            ("lost-waker", Detector::LostWaker),
            ("never-yielded", Detector::NeverYielded { busy: Duration::from_secs(1) }),
            ("auto-boxed-future", Detector::AutoBoxedFuture),
            ("large-future", Detector::LargeFuture { size_bytes: 1024 }),
        ];
        assert_eq!(detectors, expected);
        assert!(playbook.rules.iter().all(|rule| !rule.title.contains('{')), "thresholds are filled in");
    }

    #[test]
    fn thresholds_can_be_changed() {
        let playbook =
            load(Path::new("x.yaml"), &with("detect: never-yielded\n    thresholds: {busy: 250ms}")).unwrap();
        assert_eq!(playbook.rules[0].detector, Detector::NeverYielded { busy: Duration::from_millis(250) });
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let complaints = |text: &str| load(Path::new("x.yaml"), text).unwrap_err().to_string();
        let two = complaints(&with("detect: lost-wakr\n    thresholds: {busy: soon}\n    colour: red"));
        assert!(
            two.contains("x.yaml:11:13: no detector `lost-wakr`") && two.contains("did you mean `lost-waker`?"),
            "{two}"
        );
        assert!(two.contains("unknown key `colour`"), "{two}");
        assert!(
            complaints(&with("detect: self-wakes\n    thresholds: {self_wake_percent: 100}")).contains("impossible")
        );
        assert!(complaints(&with("detect: never-yielded\n    thresholds: {busy: soon}")).contains("no time"));
        assert!(complaints("kind: Playbook\nname: x\nrules: []\n").contains("`apiVersion` is missing"));
        assert!(complaints("").contains("no playbook"));
        let twice = format!(
            "apiVersion: fleetdiag/v1\nkind: Playbook\nname: x\nrules:\n  - {RULE}    detect: lost-waker\n  - {RULE}    detect: lost-waker\n"
        );
        assert!(complaints(&twice).contains("the id `A1` is taken, in line 5"));
    }
}
