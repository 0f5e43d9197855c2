//! A comparison as JUnit XML: a suite per service, a case per place that changed.
//!
//! A case fails when `--fail-on` says so. What makes the runs hard to compare is a case of its own, skipped.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::super::terminal::escape;
use super::super::words;
use crate::diagnose::{Change, Comparison};

pub(super) fn render(comparison: &Comparison) -> String {
    let mut suites: BTreeMap<&str, Vec<TestCase>> = BTreeMap::new();
    for change in &comparison.changes {
        suites.entry(&change.subject.service().0).or_default().push(case(comparison, change));
    }
    let mut report = Report::new("fleetdiag diff");
    report.add_test_suite(comparable(comparison));
    for (service, cases) in suites {
        let mut suite = TestSuite::new(escape(service));
        suite.add_test_cases(cases);
        report.add_test_suite(suite);
    }
    // Serializing into memory fails only for lack of it.
    report.to_string().unwrap_or_default()
}

/// The runs themselves: whether one may be held against the other.
fn comparable(comparison: &Comparison) -> TestSuite {
    let mut suite = TestSuite::new("comparison");
    let facts = [("before", super::side(&comparison.before)), ("after", super::side(&comparison.after))];
    let facts = facts.map(|(name, side)| Property::new(name, escape(&side)));
    suite.add_properties(facts.into_iter().chain([Property::new("unchanged", comparison.unchanged.to_string())]));
    let cautions: Vec<_> = comparison.cautions.iter().map(|caution| escape(&caution.text)).collect();
    let status = if cautions.is_empty() {
        TestCaseStatus::success()
    } else {
        let mut status = TestCaseStatus::skipped();
        status.set_message(cautions.join("; "));
        status
    };
    let mut case = TestCase::new("the runs are comparable", status);
    case.set_classname("comparison");
    suite.add_test_case(case);
    suite
}

fn case(comparison: &Comparison, change: &Change) -> TestCase {
    let text: Vec<_> = super::sentences(change).iter().map(|sentence| escape(sentence)).collect();
    let name = [vec![words::place(&change.subject)], words::beside(&change.subject)].concat().join(", ");
    let status = if comparison.fails(change) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_type(change.kind.as_str())
            .set_message(format!("{}: {}", change.kind.as_str(), text.first().map_or("", String::as_str)))
            .set_description(text.join("\n"));
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(escape(&name), status);
    case.set_classname(escape(&change.subject.service().0));
    case.set_system_out(format!("{}: {}", change.kind.as_str(), text.join("\n")));
    case
}
