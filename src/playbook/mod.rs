//! Rules as data: which detectors run with which thresholds, which conditions are judged, and what their findings mean.

mod change;
mod check;
mod condition;
mod detector;
mod load;
mod metric;
mod rule;
mod schema;
mod shipped;
mod template;
mod threshold;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use change::{Wrong, changed, of_catalogue};
pub use condition::{Condition, Judgement};
pub use detector::{DETECTORS, Detector, DetectorEntry, Scope, ThresholdEntry};
pub use load::load;
pub use metric::{Fact, Facts, METRICS, Metric, MetricType, Of, metric};
pub use rule::{Chosen, Confidence, Limits, Outcome, Rule, RuleId, Severity, Test};
pub use schema::schema;
pub use shipped::{built_in, catalogue, shipped, shipped_text};
pub use template::Template;
pub use threshold::{Kind, Quantity, Threshold, short};

/// The format's version.
const API_VERSION: &str = "fleetdiag/v1";

/// What a playbook file says it is.
const KIND: &str = "Playbook";

/// Rules under a name, with the settings that go with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Playbook {
    /// Its name; several joined by spaces after [`Playbook::followed_by`].
    pub name: String,
    /// What it is for, one line.
    pub summary: String,
    /// When to use it and how to read what it finds.
    pub about: String,
    /// How long to observe, where the command line does not say.
    pub window: Option<Duration>,
    /// What a run must satisfy, where the command line does not say.
    pub gate: GateSettings,
    /// Its rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// Why a rule of the catalogue is in it.
    pub because: BTreeMap<RuleId, String>,
    /// Thresholds that the command line has set, by rule: nothing changes them any more.
    pub pinned: BTreeSet<(RuleId, String)>,
}

/// What a playbook says about the verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateSettings {
    /// Findings of this severity or worse fail the run; `Some(None)` says that none does.
    pub fail_on: Option<Option<Severity>>,
    /// How many targets may stay unobserved: a count or a share.
    pub max_unreachable: Option<Threshold>,
}

impl Playbook {
    /// Both together: rules of `later` replace those with the same id, and what it sets holds.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        for rule in later.rules {
            match self.rules.iter_mut().find(|known| known.id == rule.id) {
                Some(known) => *known = rule,
                None => self.rules.push(rule),
            }
        }
        let names = [self.name, later.name];
        self.name = names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ");
        self.window = later.window.or(self.window);
        self.gate.fail_on = later.gate.fail_on.or(self.gate.fail_on);
        self.gate.max_unreachable = later.gate.max_unreachable.or(self.gate.max_unreachable);
        self.because.extend(later.because);
        self.pinned.extend(later.pinned);
        self
    }

    /// The rule with this id or name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.0.eq_ignore_ascii_case(name) || rule.name == name)
    }
}
