//! Rules as data: which detectors run, with which thresholds, and what their findings mean.

mod detector;
mod load;
mod rule;
mod threshold;

use std::path::Path;

pub use detector::{DETECTORS, Detector, DetectorEntry, Scope, ThresholdEntry};
pub use load::load;
pub use rule::{Confidence, Rule, RuleId, Severity};
pub use threshold::{Kind, Threshold};

/// The format's version.
const API_VERSION: &str = "fleetdiag/v1";

/// What a playbook file says it is.
const KIND: &str = "Playbook";

/// The playbooks that come with the program: where they stand in the repository, and their text.
const BUILT_IN: &[(&str, &str)] = &[
    ("playbooks/tokio-console.yaml", include_str!("../../playbooks/tokio-console.yaml")),
    ("playbooks/rules/polls.yaml", include_str!("../../playbooks/rules/polls.yaml")),
    ("playbooks/rules/tasks.yaml", include_str!("../../playbooks/rules/tasks.yaml")),
    ("playbooks/rules/locks.yaml", include_str!("../../playbooks/rules/locks.yaml")),
    ("playbooks/rules/process.yaml", include_str!("../../playbooks/rules/process.yaml")),
];

/// Rules under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playbook {
    /// Its name.
    pub name: String,
    /// Its rules, in the order of the file.
    pub rules: Vec<Rule>,
}

/// All rules that come with the program.
///
/// # Panics
/// When a built-in playbook does not load, which a test rules out.
#[must_use]
#[allow(clippy::panic)]
pub fn built_in() -> Playbook {
    let load = |(path, text): &(&str, &str)| {
        load(Path::new(path), text).unwrap_or_else(|complaints| panic!("a built-in playbook is wrong: {complaints}"))
    };
    let playbooks: Vec<_> = BUILT_IN.iter().map(load).collect();
    Playbook {
        name: playbooks.iter().map(|playbook| playbook.name.as_str()).collect::<Vec<_>>().join(" "),
        rules: playbooks.into_iter().flat_map(|playbook| playbook.rules).collect(),
    }
}
