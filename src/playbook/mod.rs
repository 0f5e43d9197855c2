//! Rules as data: which detectors run, with which thresholds, and what their findings mean.

mod rule;

pub use rule::{Confidence, RuleId, Severity};
