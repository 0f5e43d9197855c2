//! Thresholds that are changed from outside of a playbook: by a flag, or by the inventory for some hosts.

use std::borrow::Cow;

use super::{Detector, Playbook, Rule, Test};
use crate::model::Thresholds;
use crate::source::nearest;

/// Why a threshold cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong.
    pub what: String,
    /// What to do instead.
    pub instead: String,
    /// It is the value, not a name.
    pub is_value: bool,
}

impl Wrong {
    fn name(what: String, instead: String) -> Self {
        Self { what, instead, is_value: false }
    }
}

fn near(name: &str, known: &[&str]) -> String {
    nearest(name, known.iter().copied())
        .map_or_else(|| format!("known: {}", known.join(", ")), |near| format!("did you mean `{near}`?"))
}

/// The rule of this id or name.
///
/// # Errors
/// When there is none, with the nearest name.
pub fn of_catalogue<'r>(rules: &'r [Rule], name: &str) -> Result<&'r Rule, Wrong> {
    let found = rules.iter().find(|rule| rule.id.0.eq_ignore_ascii_case(name) || rule.name == name);
    found.ok_or_else(|| {
        let known: Vec<_> = rules.iter().flat_map(|rule| [rule.id.0.as_str(), rule.name.as_str()]).collect();
        Wrong::name(format!("no rule `{}`", name.escape_debug()), near(name, &known))
    })
}

/// The detector of `rule` with one threshold changed.
///
/// # Errors
/// When the rule has no such threshold, or the value is none for it.
pub fn changed(rule: &Rule, threshold: &str, value: &str) -> Result<Detector, Wrong> {
    let detector = rule.detector().filter(|detector| !detector.entry().thresholds.is_empty());
    let Some(detector) = detector else {
        return Err(Wrong::name(format!("`{}` has no thresholds", rule.name), "leave it out".to_owned()));
    };
    let entries = detector.entry().thresholds;
    let Some(entry) = entries.iter().find(|entry| entry.name == threshold) else {
        let known: Vec<_> = entries.iter().map(|entry| entry.name).collect();
        let what = format!("`{}` has no threshold `{}`", rule.name, threshold.escape_debug());
        return Err(Wrong::name(what, near(threshold, &known)));
    };
    let value = entry.read(value).map_err(|(what, instead)| Wrong { what, instead, is_value: true })?;
    let before = detector.thresholds();
    let values = |name: &str| {
        if name == entry.name {
            return Some(value);
        }
        before.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    };
    // Every threshold has a value, so there is a detector.
    Ok(Detector::build(detector.name(), values).unwrap_or(detector))
}

impl Playbook {
    /// Changes a threshold: `RULE.threshold=value`. What the inventory says of it does not count any more.
    ///
    /// # Errors
    /// What is wrong with `setting`, and what to write instead.
    pub fn set(&mut self, setting: &str) -> Result<(), String> {
        let parts = setting.split_once('=').and_then(|(name, value)| Some((name.trim().rsplit_once('.')?, value)));
        let Some(((rule, threshold), value)) = parts else {
            return Err(format!("`{}` is no setting; for example `never-yielded.busy=250ms`", setting.escape_debug()));
        };
        let told = |wrong: Wrong| format!("{}; {}", wrong.what, wrong.instead);
        let found = of_catalogue(&self.rules, rule).map_err(told)?;
        let (id, detector) = (found.id.clone(), changed(found, threshold, value).map_err(told)?);
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.id == id) {
            rule.test = Test::Detector(detector);
        }
        self.pinned.insert((id, threshold.to_owned()));
        Ok(())
    }

    /// The rules as they hold for a target whose inventory sets these thresholds. What the command line has set stays, and
    /// so does what is not of this playbook's rules: a capture may be judged with others than those it was made with.
    #[must_use]
    pub fn rules_for(&self, thresholds: &Thresholds) -> Cow<'_, [Rule]> {
        let mut rules = Cow::Borrowed(self.rules.as_slice());
        for (index, rule) in self.rules.iter().enumerate() {
            for (name, value) in thresholds.get(&rule.id.0).into_iter().flatten() {
                if self.pinned.contains(&(rule.id.clone(), name.clone())) {
                    continue;
                }
                let rules = rules.to_mut();
                if let Ok(detector) = changed(&rules[index], name, value) {
                    rules[index].test = Test::Detector(detector);
                }
            }
        }
        rules
    }
}
