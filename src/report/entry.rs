//! Rules and playbooks as pages to read, on a terminal.

use super::Options;
use super::page::{BOLD, DIM, PLAIN, Page, of_severity};
use super::terminal::escape;
use crate::playbook::{DETECTORS, METRICS, MetricType, Of, Outcome, Playbook, Rule, Test};

/// Columns of the labels of an entry.
const LABEL: usize = 13;

/// Everything about one rule.
#[must_use]
pub fn rule(rule: &Rule, playbooks: &[String], options: &Options) -> String {
    let mut page = Page::new(*options);
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
            let over = match condition.of() {
                Of::Site => "each spawn location on each host",
                Of::Host => "each host",
                Of::Fleet | Of::Finding => "all hosts together",
            };
            page.labelled(2, "when", LABEL, DIM, &escape(condition.text()));
            page.labelled(2, "looks at", LABEL, DIM, over);
        }
        Test::Detector(detector) => {
            let entry = detector.entry();
            page.labelled(2, "detects", LABEL, DIM, entry.definition);
            page.labelled(2, "looks at", LABEL, DIM, &entry.scope.to_string());
            for ((name, value), known) in detector.thresholds().into_iter().zip(entry.thresholds) {
                let default =
                    if value == known.default { String::new() } else { format!(", {} by default", known.default) };
                page.labelled(2, "threshold", LABEL, DIM, &format!("{name}: {value} ({}{default})", known.definition));
            }
            page.labelled(2, "source", LABEL, DIM, entry.source);
        }
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
    let mut page = Page::new(*options);
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
    let mut page = Page::new(*options);
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
    let mut page = Page::new(*options);
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
    let mut page = Page::new(*options);
    let width = METRICS.iter().map(|metric| metric.name.len()).max().unwrap_or(0) + 2;
    for of in [Of::Site, Of::Host, Of::Fleet, Of::Finding] {
        page.paragraph(0, BOLD, heading(of));
        for metric in METRICS.iter().filter(|metric| metric.of == of) {
            let kind = kind(metric.kind);
            page.labelled(2, metric.name, width, PLAIN, &format!("{kind}: {}", metric.definition));
        }
        page.blank();
    }
    page.finish()
}

fn heading(of: Of) -> &'static str {
    match of {
        Of::Site => "Of the tasks of a spawn location on one host",
        Of::Host => "Of one host",
        Of::Fleet => "Of all hosts together",
        Of::Finding => "Of a finding, in outcomes and messages only",
    }
}

fn kind(kind: MetricType) -> &'static str {
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

/// The reference of rules and metrics in Markdown: the pages of the guide that are made from the catalogue.
#[must_use]
pub fn rules_page(catalogue: &[Rule], playbooks: &[Playbook]) -> String {
    let mut page = "# Rules\n\nMade from the catalogue; `fleetdiag explain RULE` prints the same. Ids never change their meaning.\n".to_owned();
    page += "\n| id | rule | worst | looks at |\n| --- | --- | --- | --- |\n";
    for rule in catalogue {
        let scope = rule.detector().map_or_else(String::new, |detector| detector.entry().scope.to_string());
        page += &format!(
            "| {0} | [{1}](#{2}-{1}) | {3} | {scope} |\n",
            rule.id,
            rule.name,
            rule.id.0.to_lowercase(),
            rule.worst().as_str()
        );
    }
    for rule in catalogue {
        page += &format!("\n## {} {}\n\n", rule.id, rule.name);
        if let Some(detector) = rule.detector() {
            page += &format!("{} Looks at {}.\n\n", detector.entry().definition, detector.entry().scope);
            for ((name, value), known) in detector.thresholds().into_iter().zip(detector.entry().thresholds) {
                page += &format!(
                    "- `{name}` ({value}): {}, from {} to {}\n",
                    known.definition,
                    known.least,
                    most(known.most)
                );
            }
            page += &format!("- source: {}\n", detector.entry().source);
        }
        for outcome in &rule.outcomes {
            let when = outcome.when.as_ref().map(|when| format!(" when `{}`", when.text())).unwrap_or_default();
            page += &format!("- **{}**{when}: {}\n", outcome.severity.as_str(), outcome.message.text());
        }
        page += &format!("\n{}\n\n**Do:** {}.\n", rule.why, rule.remedy.trim_end_matches('.'));
        page += &bullets("Look next", &rule.next_checks);
        if let Some(text) = &rule.do_not_conclude {
            page += &format!("\n**Do not conclude:** {text}\n");
        }
        page += &bullets("Known false alarms", &rule.false_positives);
        let used: Vec<_> = playbooks
            .iter()
            .filter(|playbook| playbook.rule(&rule.id.0).is_some())
            .map(|playbook| format!("`{}`", playbook.name))
            .collect();
        page += &format!("\nUsed by {}.", used.join(", "));
        page += &rule.reference.as_ref().map(|url| format!(" More: <{url}>")).unwrap_or_default();
        page.push('\n');
    }
    page
}

fn most(most: crate::playbook::Threshold) -> String {
    if most.raw == u64::MAX { "any size".to_owned() } else { most.to_string() }
}

fn bullets(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    format!("\n{title}:\n\n{}", items.iter().map(|item| format!("- {item}\n")).collect::<String>())
}

/// The reference of metrics and detectors in Markdown.
#[must_use]
pub fn metrics_page() -> String {
    let mut page =
        "# Metrics and detectors\n\nMade from the tables that the loader checks playbooks with.\n".to_owned();
    for of in [Of::Site, Of::Host, Of::Fleet, Of::Finding] {
        page += &format!("\n## {}\n\n| metric | kind | meaning |\n| --- | --- | --- |\n", heading(of));
        for metric in METRICS.iter().filter(|metric| metric.of == of) {
            page += &format!("| `{}` | {} | {} |\n", metric.name, kind(metric.kind), metric.definition);
        }
    }
    page += "\n## Detectors\n\n| detector | thresholds and defaults | recognises |\n| --- | --- | --- |\n";
    for entry in DETECTORS {
        let thresholds: Vec<_> =
            entry.thresholds.iter().map(|threshold| format!("`{}: {}`", threshold.name, threshold.default)).collect();
        page += &format!("| `{}` | {} | {} |\n", entry.name, thresholds.join(", "), entry.definition);
    }
    page
}
