//! One rule.

use super::Loader;
use super::keys::{OUTCOME, RULE};
use crate::playbook::condition::{Condition, Problem};
use crate::playbook::detector::{DETECTORS, Detector, DetectorEntry, Scope, ThresholdEntry};
use crate::playbook::metric::{METRICS, Of, metric};
use crate::playbook::rule::{Outcome, Rule, RuleId, Test};
use crate::playbook::template::Template;
use crate::playbook::threshold::Threshold;
use crate::source::{Node, Place, nearest, shown};

impl Loader<'_> {
    pub(super) fn rule(&mut self, node: &Node) -> Option<Rule> {
        let entries = self.mapping(node, "a rule")?;
        self.source.expect_keys(entries, RULE);
        let id = self.id(node);
        let name = self.text(node, "name");
        if let (Some(id), Some(name)) = (&id, &name) {
            let at = |key| node.get(key).map_or(node.place, |node| node.place);
            self.unique(&RuleId(id.clone()), name, at("id"), at("name"));
        }
        let test = self.test(node);
        let [why, remedy] = ["why", "remedy"].map(|key| self.text(node, key));
        let next_checks = self.texts(node, "next_checks");
        let [do_not_conclude, reference] = ["do_not_conclude", "reference"].map(|key| self.optional_text(node, key));
        let false_positives = self.texts(node, "false_positives");
        let dry_run = self.switch(node, "dry_run").unwrap_or(false);
        if node.get("outcomes").is_none() {
            let instead = "add `outcomes:`, a list of {severity, when, message}, the last one without `when`";
            self.source.complain_with(node.place, "`outcomes` is missing", instead);
        }
        let outcomes = self.outcomes(node, test.as_ref());
        Some(Rule {
            id: RuleId(id?),
            name: name?,
            test: test?,
            outcomes: outcomes?,
            why: why?,
            remedy: remedy?,
            next_checks,
            do_not_conclude,
            false_positives,
            reference,
            dry_run,
        })
    }

    fn id(&mut self, node: &Node) -> Option<String> {
        let id = self.text(node, "id")?;
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !id.chars().all(fine) {
            let at = node.get("id").map_or(node.place, |id| id.place);
            self.source.complain_with(at, "an id is letters and digits", "such as `TEAM001`");
            return None;
        }
        Some(id)
    }

    fn test(&mut self, node: &Node) -> Option<Test> {
        match (node.get("detect"), node.get("when")) {
            (Some(_), None) => self.detector(node).map(Test::Detector),
            (None, Some(when)) => {
                if let Some(thresholds) = node.get("thresholds") {
                    self.source.complain(thresholds.place, "a condition has its limits in itself, not in `thresholds`");
                }
                self.condition(when, &[Of::Site, Of::Host, Of::Context, Of::Fleet]).map(Test::Condition)
            }
            (Some(_), Some(when)) => {
                self.source.complain(when.place, "a rule has `detect` or `when`, not both");
                None
            }
            (None, None) => {
                self.source.complain(node.place, "a rule needs `detect` (a detector) or `when` (a condition)");
                None
            }
        }
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
        let entries = self.mapping(thresholds, "thresholds")?;
        let known: Vec<_> = entry.thresholds.iter().map(|threshold| threshold.name).collect();
        if known.is_empty() && !entries.is_empty() {
            self.source.complain(thresholds.place, format!("the detector `{}` has no thresholds", entry.name));
            return None;
        }
        self.source.expect_keys(entries, &known);
        let given: Vec<_> =
            entry.thresholds.iter().filter_map(|known| Some((known, thresholds.get(known.name)?))).collect();
        let set: Vec<_> =
            given.into_iter().map(|(known, node)| Some((known.name, self.threshold(known, node)?))).collect();
        set.into_iter().collect()
    }

    fn threshold(&mut self, known: &ThresholdEntry, node: &Node) -> Option<Threshold> {
        match known.read(node.text().unwrap_or_default()) {
            Ok(threshold) => Some(threshold),
            Err((what, instead)) => {
                self.source.complain_with(node.place, what, instead);
                None
            }
        }
    }

    fn outcomes(&mut self, node: &Node, test: Option<&Test>) -> Option<Vec<Outcome>> {
        let list = node.get("outcomes")?;
        let items = self.items(node, "outcomes");
        if items.is_empty() && list.sequence().is_some() {
            self.source.complain(list.place, "`outcomes` must have at least one entry");
        }
        let outcomes: Vec<_> = items.iter().map(|item| self.outcome(item, test)).collect();
        for (index, item) in items.iter().enumerate() {
            let is_last = index + 1 == items.len();
            match item.get("when") {
                Some(when) if is_last => {
                    let what = "the last outcome has no `when`: it applies when no other does";
                    self.source.complain_with(when.place, what, "add one without `when` after it");
                }
                None if !is_last && item.mapping().is_some() => {
                    self.source.complain(item.place, "only the last outcome has no `when`: those after it never apply");
                }
                _ => {}
            }
        }
        let outcomes: Option<Vec<_>> = outcomes.into_iter().collect();
        outcomes.filter(|outcomes| !outcomes.is_empty())
    }

    fn outcome(&mut self, item: &Node, test: Option<&Test>) -> Option<Outcome> {
        let entries = self.mapping(item, "an outcome")?;
        self.source.expect_keys(entries, OUTCOME);
        // Of a rule whose test is wrong, everything else is checked as far as it goes.
        let allowed = test.map_or(&[Of::Finding, Of::Fleet, Of::Context, Of::Host, Of::Site][..], allowed);
        let severity = match item.get("severity") {
            Some(node) => self.severity(node, "one of: info, warning, critical"),
            None => {
                self.source.complain(item.place, "`severity` is missing");
                None
            }
        };
        let when = item.get("when").map(|when| self.condition(when, allowed));
        let text = self.text(item, "message");
        let message = text.and_then(|text| self.template(item.get("message")?, &text, test, allowed));
        Some(Outcome { severity: severity?, when: when.map_or(Some(None), |when| when.map(Some))?, message: message? })
    }

    fn template(&mut self, node: &Node, text: &str, test: Option<&Test>, allowed: &[Of]) -> Option<Template> {
        let thresholds = match test {
            Some(Test::Detector(detector)) => detector.thresholds(),
            Some(Test::Condition(_)) | None => Vec::new(),
        };
        let known = |name: &str| {
            (test.is_none() && !name.contains('.'))
                || thresholds.iter().any(|(known, _)| *known == name)
                || metric(name).is_some_and(|metric| allowed.contains(&metric.of))
        };
        let unknown = match Template::parse(text, known) {
            Ok(template) => return Some(template),
            Err(unknown) => unknown,
        };
        for (name, before) in unknown {
            let names = thresholds.iter().map(|(known, _)| *known);
            let metrics = METRICS.iter().filter(|metric| allowed.contains(&metric.of)).map(|metric| metric.name);
            let instead = nearest(&name, names.chain(metrics)).map_or_else(
                || "a threshold of the rule, or a metric (`fleetdiag playbook metrics`)".to_owned(),
                |near| format!("did you mean `{{{near}}}`?"),
            );
            let at = within(node, text, before, name.chars().count() + 2);
            self.source.complain_with(at, format!("nothing fills `{{{}}}`", shown(&name)), instead);
        }
        None
    }

    fn condition(&mut self, node: &Node, allowed: &[Of]) -> Option<Condition> {
        let Some(text) = node.text() else {
            self.source.complain(node.place, format!("`when` must be a condition, this is {}", node.kind()));
            return None;
        };
        match Condition::compile(text, allowed) {
            Ok(condition) => Some(condition),
            Err(problems) => {
                for Problem { at, what, instead } in problems {
                    let place = at.map_or(node.place, |(before, width)| within(node, text, before, width));
                    match instead {
                        Some(instead) => self.source.complain_with(place, what, instead),
                        None => self.source.complain(place, what),
                    }
                }
                None
            }
        }
    }

    /// What an entry of `use` changes of a rule.
    pub(super) fn adjust(&mut self, item: &Node, rule: &mut Rule) {
        if let Some(thresholds) = item.get("thresholds") {
            match rule.detector() {
                None => self.source.complain(thresholds.place, "this rule is a condition and has no thresholds"),
                Some(detector) => {
                    let before = detector.thresholds();
                    let set = self.thresholds(item, detector.entry()).unwrap_or_default();
                    let value = |name: &str| {
                        set.iter().chain(&before).find(|(known, _)| *known == name).map(|(_, value)| *value)
                    };
                    if let Some(changed) = Detector::build(detector.name(), value) {
                        rule.test = Test::Detector(changed);
                    }
                }
            }
        }
        if item.get("outcomes").is_some()
            && let Some(outcomes) = self.outcomes(item, Some(&rule.test))
        {
            rule.outcomes = outcomes;
        }
        if let Some(dry_run) = self.switch(item, "dry_run") {
            rule.dry_run = dry_run;
        }
    }
}

/// The metrics that outcomes and messages of such a rule may use.
fn allowed(test: &Test) -> &'static [Of] {
    let of = match test {
        Test::Condition(condition) => condition.of(),
        Test::Detector(detector) => match detector.entry().scope {
            Scope::Tasks | Scope::Sites => Of::Site,
            Scope::Resources | Scope::Targets => Of::Fleet,
        },
    };
    match of {
        Of::Site => &[Of::Finding, Of::Fleet, Of::Site],
        Of::Context => &[Of::Finding, Of::Fleet, Of::Context],
        Of::Host | Of::Fleet | Of::Finding => &[Of::Finding, Of::Fleet],
    }
}

/// The place of a part of a scalar; of all of it when it is not written as it reads (folded, or with escapes).
fn within(node: &Node, text: &str, before: usize, width: usize) -> Place {
    let quotes = usize::from(matches!(&node.value, crate::source::Value::Scalar { quoted: true, .. }));
    if node.place.width != text.chars().count() + 2 * quotes {
        return node.place;
    }
    Place { line: node.place.line, column: node.place.column + before + quotes, width: width.max(1) }
}
