//! Rules and playbooks as pages to read, on a terminal.

use super::Options;
use super::page::{BOLD, DIM, PLAIN, Page, of_severity};
use super::terminal::escape;
use crate::playbook::{METRICS, MetricType, Of, Outcome, Playbook, Rule, Test};

/// Columns of the labels of an entry.
const LABEL: usize = 13;

/// Everything about one rule.
#[must_use]
pub fn rule(rule: &Rule, playbooks: &[String], options: &Options) -> String {
    let mut page = Page::new(options);
    page.paragraph(0, BOLD, &escape(&format!("{} {}", rule.id, rule.name)));
    page.blank();
    tested(&mut page, rule);
    page.blank();
    for outcome in &rule.outcomes {
        self::outcome(&mut page, outcome);
    }
    page.blank();
    let mut field = |label: &str, text: &str| page.labelled(2, label, LABEL, DIM, &escape(text));
    field("why", &rule.why);
    field("do", &rule.remedy);
    for check in &rule.next_checks {
        field("next", check);
    }
    for text in rule.do_not_conclude.iter() {
        field("but", text);
    }
    for text in &rule.false_positives {
        field("false alarm", text);
    }
    if rule.dry_run {
        field("dry run", "it is reported and does not count for the verdict");
    }
    if !playbooks.is_empty() {
        field("used by", &playbooks.join(", "));
    }
    for text in rule.reference.iter() {
        field("read", text);
    }
    page.finish()
}

fn tested(page: &mut Page, rule: &Rule) {
    match &rule.test {
        Test::Condition(condition) => {
            page.labelled(2, "when", LABEL, DIM, &escape(condition.text()));
            page.labelled(2, "looks at", LABEL, DIM, &looks_at(rule));
        }
        Test::Detector(detector) => {
            let entry = detector.entry();
            page.labelled(2, "detects", LABEL, DIM, entry.definition);
            page.labelled(2, "looks at", LABEL, DIM, &looks_at(rule));
            for ((name, value), known) in detector.thresholds().into_iter().zip(entry.thresholds) {
                let default =
                    if value == known.default { String::new() } else { format!(", {} by default", known.default) };
                page.labelled(2, "threshold", LABEL, DIM, &format!("{name}: {value} ({}{default})", known.definition));
            }
            page.labelled(2, "source", LABEL, DIM, entry.source);
        }
    }
}

/// What a rule is judged over.
pub(super) fn looks_at(rule: &Rule) -> String {
    match &rule.test {
        Test::Detector(detector) => detector.entry().scope.to_string(),
        Test::Condition(condition) => match condition.of() {
            Of::Site => "each spawn location on each host".to_owned(),
            Of::Host => "each host".to_owned(),
            Of::Context => "the surroundings of the program on each host".to_owned(),
            Of::Fleet | Of::Finding => "all hosts together".to_owned(),
        },
    }
}

fn outcome(page: &mut Page, outcome: &Outcome) {
    let when = outcome.when.as_ref().map(|when| format!(" (when {})", when.text())).unwrap_or_default();
    let text = format!("{}{when}", outcome.message.text());
    page.labelled(2, outcome.severity.as_str(), LABEL, of_severity(outcome.severity), &escape(&text));
}

/// The rules in one line each.
#[must_use]
pub fn rules(list: &[Rule], options: &Options) -> String {
    let mut page = Page::new(options);
    let width = list.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0) + 2;
    for rule in list {
        line(&mut page, rule, width);
    }
    page.finish()
}

fn line(page: &mut Page, rule: &Rule, width: usize) {
    let about = match &rule.test {
        Test::Detector(detector) => detector.entry().definition.to_owned(),
        Test::Condition(condition) => condition.text().to_owned(),
    };
    let label = format!("{} {:width$}{:<9}", rule.id, rule.name, rule.worst().as_str());
    page.labelled(2, &escape(&label), 6 + width + 11, of_severity(rule.worst()), &escape(&about));
}

/// The playbooks in one line each.
#[must_use]
pub fn playbooks(list: &[Playbook], options: &Options) -> String {
    let mut page = Page::new(options);
    let width = list.iter().map(|playbook| playbook.name.chars().count()).max().unwrap_or(0) + 3;
    for playbook in list {
        let rules = playbook.rules.len();
        let text = format!("{} ({rules} {})", playbook.summary, if rules == 1 { "rule" } else { "rules" });
        page.labelled(0, &escape(&playbook.name), width, BOLD, &escape(&text));
    }
    page.finish()
}

/// What a playbook is for, and what it looks for.
#[must_use]
pub fn playbook(playbook: &Playbook, options: &Options) -> String {
    let mut page = Page::new(options);
    page.paragraph(0, BOLD, &escape(&playbook.name));
    page.paragraph(0, PLAIN, &escape(&playbook.summary));
    for paragraph in playbook.about.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        page.blank();
        page.paragraph(0, PLAIN, &escape(&paragraph.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    page.blank();
    for setting in settings(playbook) {
        page.labelled(0, "-", 2, DIM, &setting);
    }
    let width = playbook.rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0) + 2;
    for rule in &playbook.rules {
        page.blank();
        line(&mut page, rule, width);
        if let Some(because) = playbook.because.get(&rule.id) {
            page.paragraph(4, PLAIN, &escape(because));
        }
        if rule.dry_run {
            page.paragraph(4, PLAIN, "a dry run: it is reported and does not count for the verdict");
        }
        let thresholds: Vec<_> = rule.detector().into_iter().flat_map(|detector| detector.thresholds()).collect();
        if !thresholds.is_empty() {
            let text: Vec<_> = thresholds.iter().map(|(name, value)| format!("{name} {value}")).collect();
            page.paragraph(4, DIM, &text.join(", "));
        }
    }
    page.finish()
}

fn settings(playbook: &Playbook) -> Vec<String> {
    let mut settings = Vec::new();
    if let Some(window) = playbook.window {
        settings.push(format!("each host is observed for {window:?}, unless `--window` says otherwise"));
    }
    match playbook.gate.fail_on {
        Some(Some(severity)) => settings.push(format!("fails on findings of severity {} or worse", severity.as_str())),
        Some(None) => settings.push("never fails because of a finding".to_owned()),
        None => {}
    }
    if playbook.gate.max_unreachable.is_some_and(|hosts| hosts.raw == 0) {
        settings.push("every target must be reachable".to_owned());
    } else if let Some(hosts) = playbook.gate.max_unreachable {
        settings.push(format!("at most {hosts} targets may be unreachable"));
    }
    settings
}

/// The metrics of conditions and messages.
#[must_use]
pub fn metrics(options: &Options) -> String {
    let mut page = Page::new(options);
    let width = METRICS.iter().map(|metric| metric.name.len()).max().unwrap_or(0) + 2;
    for of in [Of::Site, Of::Host, Of::Context, Of::Fleet, Of::Finding] {
        page.paragraph(0, BOLD, heading(of));
        for metric in METRICS.iter().filter(|metric| metric.of == of) {
            let kind = kind(metric.kind);
            page.labelled(2, metric.name, width, PLAIN, &format!("{kind}: {}", metric.definition));
        }
        page.blank();
    }
    page.finish()
}

pub(super) fn heading(of: Of) -> &'static str {
    match of {
        Of::Site => "Of the tasks of a spawn location on one host",
        Of::Host => "Of one host",
        Of::Context => "Of what surrounds the program on one host",
        Of::Fleet => "Of all hosts together",
        Of::Finding => "Of a finding, in outcomes and messages only",
    }
}

pub(super) fn kind(kind: MetricType) -> &'static str {
    use crate::playbook::Kind;
    match kind {
        MetricType::Text => "text",
        MetricType::Quantity(Kind::Duration) => "time",
        MetricType::Quantity(Kind::Percent) => "percent",
        MetricType::Quantity(Kind::Count) => "count",
        MetricType::Quantity(Kind::Bytes) => "bytes",
        MetricType::Quantity(Kind::Rate) => "per second",
    }
}
