//! Snapshots and a playbook become a judgement. Pure: no clock, no environment, no randomness,
//! and the order in which targets are added never shows.

mod detect;
mod diagnosis;
mod fleet;
mod profile;
mod rank;
mod verdict;

pub use diagnosis::{
    Counts, Coverage, Diagnosis, Distribution, Finding, FleetSite, Hotspot, Outlier, RuleFacts, RunFacts, SiteFigures,
    SiteReport, Status, Subject, TargetReport, Verdict, Wait,
};
pub use fleet::Fleet;
pub use verdict::Gate;
