//! The report as JUnit XML: a suite per host, a case per rule.
//!
//! A case fails when the gate of the run fails because of it; a lesser finding is told in the case's output. A host that
//! was not seen is an error, and a rule that found nothing on a host that was seen in part is skipped: it proves nothing.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{terminal, words};
use crate::diagnose::{Diagnosis, Finding, Hotspot, RuleFacts, Status, TargetReport};

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let mut report = Report::new("fleetdiag");
    report.add_test_suites(diagnosis.targets.iter().map(|target| suite(diagnosis, target)));
    // Serializing into memory fails only for lack of it.
    report.to_string().unwrap_or_default()
}

fn suite(diagnosis: &Diagnosis, target: &TargetReport) -> TestSuite {
    let name = terminal::escape(&target.id.to_string());
    let mut suite = TestSuite::new(name.as_str());
    suite.add_property(("service", terminal::escape(&target.service.0).as_str()));
    match &target.status {
        Status::Failed { failure, hint } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            let detail = if failure.detail.is_empty() { String::new() } else { format!(": {}", failure.detail) };
            status
                .set_type(failure.reason.as_str())
                .set_message(terminal::escape(&format!("{}{detail}", failure.reason.summary())))
                .set_description(terminal::escape(hint));
            suite.add_test_case(case(&name, "observed", status));
            // What surrounds its program may have been seen all the same.
            suite.add_test_cases(diagnosis.rules.iter().filter(|rule| !found(diagnosis, target, rule).is_empty()).map(
                |rule| judged(diagnosis, target, true, rule, &format!("{name}.{}", terminal::escape(&rule.id.0))),
            ));
        }
        Status::Observed { partial, .. } => {
            suite.add_test_cases(diagnosis.rules.iter().map(|rule| {
                let name = format!("{name}.{}", terminal::escape(&rule.id.0));
                judged(diagnosis, target, *partial, rule, &name)
            }));
        }
    }
    suite
}

fn found<'a>(diagnosis: &'a Diagnosis, target: &TargetReport, rule: &RuleFacts) -> Vec<(&'a Hotspot, &'a Finding)> {
    let findings =
        diagnosis.hotspots.iter().flat_map(|hotspot| hotspot.findings.iter().map(move |found| (hotspot, found)));
    findings.filter(|(_, finding)| finding.rule == rule.id && finding.targets.contains_key(&target.id)).collect()
}

fn judged(diagnosis: &Diagnosis, target: &TargetReport, partial: bool, rule: &RuleFacts, class: &str) -> TestCase {
    let found = found(diagnosis, target, rule);
    let text: Vec<_> = found.iter().map(|(hotspot, finding)| sentence(hotspot, finding)).collect();
    let name = terminal::escape(&rule.name);
    if let Some((_, finding)) = found.iter().find(|(_, finding)| diagnosis.gate.fails(finding)) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_type(finding.severity.as_str())
            .set_message(text.first().map_or("", String::as_str))
            .set_description(format!("{}\n\n{}", text.join("\n"), terminal::escape(&finding.remedy)));
        return case(class, &name, status);
    }
    let unjudged = diagnosis.unjudged.iter().any(|left| left.rule == rule.id && left.targets.contains(&target.id));
    let unread = rule.of_surroundings && target.context.is_none();
    if found.is_empty() && (partial || unjudged || unread) {
        let mut status = TestCaseStatus::skipped();
        let why = match (unjudged, unread) {
            (true, _) => "the evidence does not tell what the rule needs",
            (_, true) => "what surrounds the program was not read",
            _ => "the host was seen in part",
        };
        status.set_message(format!("inconclusive: {why}"));
        return case(class, &name, status);
    }
    let mut case = case(class, &name, TestCaseStatus::success());
    if !text.is_empty() {
        case.set_system_out(text.join("\n"));
    }
    case
}

fn case(class: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn sentence(hotspot: &Hotspot, finding: &Finding) -> String {
    let place = words::place(&hotspot.subject);
    terminal::escape(&format!("{} at {place}: {} ({})", finding.severity.as_str(), finding.message, finding.evidence))
}
