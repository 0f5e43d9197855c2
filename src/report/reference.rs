//! The pages of the guide that are made from the catalogue and the tables, in Markdown.

use super::entry::{heading, kind, looks_at};
use crate::playbook::{DETECTORS, METRICS, Of, Playbook, Rule, Threshold};

/// Every rule, whole.
#[must_use]
pub fn rules_page(catalogue: &[Rule], playbooks: &[Playbook]) -> String {
    let mut page = "# Rules\n\nMade from the catalogue; `fleetdiag explain RULE` prints the same. Ids never change their meaning.\n".to_owned();
    page += "\n| id | rule | worst | looks at |\n| --- | --- | --- | --- |\n";
    for rule in catalogue {
        let scope = looks_at(rule);
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
        if let Some(condition) = rule.condition() {
            page += &format!(
                "Looks at {}, and finds where this holds:\n\n```cel\n{}\n```\n\n",
                looks_at(rule),
                condition.text()
            );
        }
        if let Some(detector) = rule.detector() {
            page += &format!("{} Looks at {}.\n\n", detector.entry().definition, looks_at(rule));
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

fn most(most: Threshold) -> String {
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
    for of in [Of::Site, Of::Host, Of::Context, Of::Fleet, Of::Finding] {
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
