//! A playbook file becomes rules, or a list of everything that is wrong with it.

use std::collections::HashMap;
use std::path::Path;

use super::detector::{DETECTORS, Detector, DetectorEntry, ThresholdEntry};
use super::rule::{Rule, RuleId, Severity};
use super::threshold::Threshold;
use super::{API_VERSION, KIND, Playbook};
use crate::source::{Complaints, Node, Place, Source, nearest, shown};

const TOP: &[&str] = &["apiVersion", "kind", "name", "rules"];
const RULE: &[&str] =
    &["id", "name", "detect", "thresholds", "severity", "title", "why", "remedy", "next_checks", "reference"];

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
        let Some(entry) = DETECTORS.iter().find(|entry| entry.name == name) else {
            let names = || DETECTORS.iter().map(|entry| entry.name);
            let instead = nearest(&name, names()).map_or_else(
                || format!("one of: {}", names().collect::<Vec<_>>().join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let at = node.get("detect").map_or(node.place, |detect| detect.place);
            self.source.complain_with(at, format!("no detector `{}`", shown(&name)), instead);
            return None;
        };
        let set = self.thresholds(node, entry)?;
        Detector::build(entry.name, |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    /// The thresholds that the rule sets; nothing when one of them is wrong.
    fn thresholds(&mut self, node: &Node, entry: &DetectorEntry) -> Option<Vec<(&'static str, Threshold)>> {
        let Some(thresholds) = node.get("thresholds") else { return Some(Vec::new()) };
        let Some(entries) = thresholds.mapping() else {
            let what = format!("`thresholds` must be a mapping, this is {}", thresholds.kind());
            self.source.complain(thresholds.place, what);
            return None;
        };
        let known: Vec<_> = entry.thresholds.iter().map(|threshold| threshold.name).collect();
        if known.is_empty() && !entries.is_empty() {
            self.source.complain(thresholds.place, format!("the detector `{}` has no thresholds", entry.name));
            return None;
        }
        self.source.expect_keys(entries, &known);
        let values: Vec<_> =
            entry.thresholds.iter().filter_map(|known| Some((known, thresholds.get(known.name)?))).collect();
        let set: Vec<_> =
            values.into_iter().map(|(known, node)| Some((known.name, self.threshold(known, node)?))).collect();
        set.into_iter().collect()
    }

    fn threshold(&mut self, known: &ThresholdEntry, node: &Node) -> Option<Threshold> {
        let Some(value) = node.text().and_then(|text| known.kind.parse(text)) else {
            self.source.complain_with(
                node.place,
                format!("`{}` is of another kind", known.name),
                known.kind.examples(),
            );
            return None;
        };
        if !(known.least.raw..=known.most.raw).contains(&value.raw) {
            let instead = if known.most.raw == u64::MAX {
                format!("at least {}", known.least)
            } else {
                format!("from {} to {}", known.least, known.most)
            };
            self.source.complain_with(node.place, format!("{value} is impossible for `{}`", known.name), instead);
            return None;
        }
        Some(value)
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
        assert_eq!(detectors[..5], expected);
        assert_eq!(playbook.rules.len(), crate::playbook::DETECTORS.len(), "each detector has its rule");
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
        assert!(complaints(&with("detect: never-yielded\n    thresholds: {busy: soon}")).contains("another kind"));
        assert!(complaints("kind: Playbook\nname: x\nrules: []\n").contains("`apiVersion` is missing"));
        assert!(complaints("").contains("no playbook"));
        let twice = format!(
            "apiVersion: fleetdiag/v1\nkind: Playbook\nname: x\nrules:\n  - {RULE}    detect: lost-waker\n  - {RULE}    detect: lost-waker\n"
        );
        assert!(complaints(&twice).contains("the id `A1` is taken, in line 5"));
    }
}
