//! Snapshots and a playbook become a judgement. Pure: no clock, no environment, no randomness,
//! and the order in which targets are added never shows.

mod checkup;
mod compare;
mod condition;
mod detect;
mod diagnosis;
mod distribution;
mod facts;
mod fleet;
mod growth;
mod hits;
mod outliers;
mod profile;
mod rank;
mod related;
mod skew;
mod suppress;
mod surroundings;
mod verdict;
mod waits;
mod words;

pub use checkup::{Checkup, Checkups, Exposure, Fact, Mark, Step, Trouble, checkup};
pub use compare::{
    Caution, Change, Comparison, Effect, FindingChange, Growth, Kind, Point, Regression, Side, Told, Trends, compare,
    confirm, set_aside_known,
};
pub use diagnosis::{
    Because, Counts, Coverage, Diagnosis, Distribution, Explanation, Finding, FleetSite, Hotspot, Outlier, RuleFacts,
    RunFacts, SetAside, SiteFigures, SiteReport, Status, Subject, TargetReport, Unjudged, Verdict, Wait,
};
pub use fleet::{Fleet, Seen, look};
pub use suppress::{Suppressions, parse as suppressions};
pub use surroundings::{Surrounding, surroundings};
pub use verdict::{Allowance, Gate};
