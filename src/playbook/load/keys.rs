//! The keys of playbook files.

/// Of a playbook.
pub(in crate::playbook) const TOP: &[&str] =
    &["apiVersion", "kind", "name", "summary", "about", "observe", "gate", "use", "rules"];

/// Of an entry of `use`.
pub(in crate::playbook) const USE: &[&str] = &["rule", "thresholds", "outcomes", "dry_run", "because"];

/// Of a rule.
pub(in crate::playbook) const RULE: &[&str] = &[
    "id",
    "name",
    "detect",
    "when",
    "thresholds",
    "outcomes",
    "why",
    "remedy",
    "next_checks",
    "do_not_conclude",
    "false_positives",
    "reference",
    "dry_run",
];

/// Of an outcome.
pub(in crate::playbook) const OUTCOME: &[&str] = &["severity", "when", "message"];
