//! The report as GitHub-flavoured Markdown: for a step summary, a chat or a ticket.

use std::fmt::Write as _;

use super::fold::fold;
use super::set_aside::because;
use super::{Options, terminal, words};
use crate::diagnose::{self, Diagnosis, Finding, Hotspot, Status, TargetReport};
use crate::playbook::Severity;

pub(super) fn render(diagnosis: &Diagnosis, options: &Options) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = headline(&mut text, diagnosis)
        .and_then(|()| overview(&mut text, diagnosis, options))
        .and_then(|()| details(&mut text, diagnosis, options))
        .and_then(|()| aside(&mut text, diagnosis))
        .and_then(|()| failed(&mut text, diagnosis))
        .and_then(|()| unjudged(&mut text, diagnosis))
        .and_then(|()| surroundings(&mut text, diagnosis, options))
        .and_then(|()| quality(&mut text, diagnosis));
    text
}

fn headline(text: &mut String, diagnosis: &Diagnosis) -> std::fmt::Result {
    writeln!(text, "## fleetdiag: {}\n", words::verdict(diagnosis.verdict))?;
    writeln!(text, "{}\n", escape(&words::why(diagnosis)))?;
    let facts = [
        words::coverage(&diagnosis.coverage),
        words::count(usize::try_from(diagnosis.coverage.tasks).unwrap_or(usize::MAX), "task"),
        format!("{:?} window", diagnosis.run.window),
        diagnosis.run.started.clone(),
    ];
    writeln!(text, "{}", escape(&facts.join(" · ")))
}

/// One row per hotspot.
fn overview(text: &mut String, diagnosis: &Diagnosis, options: &Options) -> std::fmt::Result {
    if diagnosis.hotspots.is_empty() {
        return Ok(());
    }
    let shown = options.shown(diagnosis.hotspots.len());
    writeln!(text, "\n| # | severity | where | what | on |\n| ---: | --- | --- | --- | --- |")?;
    for (index, hotspot) in diagnosis.hotspots.iter().take(shown).enumerate() {
        let names: Vec<_> = hotspot.findings.iter().map(|finding| escape(&finding.name)).collect();
        let cells = [
            (index + 1).to_string(),
            mark(hotspot.severity).to_owned(),
            code(&words::place(&hotspot.subject)),
            names.join(", "),
            hotspot.findings.first().map(on).unwrap_or_default(),
        ];
        writeln!(text, "| {} |", cells.map(|markdown| cell(&markdown)).join(" | "))?;
    }
    let left_out = diagnosis.hotspots.len() - shown;
    if left_out > 0 {
        writeln!(text, "\n{} not shown, by `--top`.", words::count(left_out, "more place"))?;
    }
    Ok(())
}

fn details(text: &mut String, diagnosis: &Diagnosis, options: &Options) -> std::fmt::Result {
    for (index, hotspot) in diagnosis.hotspots.iter().take(options.shown(diagnosis.hotspots.len())).enumerate() {
        // What is only worth knowing has its row above.
        if hotspot.severity == Severity::Info && !options.verbose {
            continue;
        }
        place(text, index + 1, hotspot, diagnosis)?;
    }
    Ok(())
}

fn place(text: &mut String, number: usize, hotspot: &Hotspot, diagnosis: &Diagnosis) -> std::fmt::Result {
    let beside: Vec<_> = words::beside(&hotspot.subject).iter().map(|word| code(word)).collect();
    let dash = if beside.is_empty() { "" } else { " — " };
    writeln!(text, "\n### {number}. {}{dash}{}\n", code(&words::place(&hotspot.subject)), beside.join(", "))?;
    let lines = super::code::markdown(diagnosis.code_at(&hotspot.subject));
    if !lines.is_empty() {
        writeln!(text, "{}\n", lines.join("  \n"))?;
    }
    // What belongs together stands here; in a terminal it stands below the place as well.
    for related in &hotspot.related {
        writeln!(text, "{}\n", escape(related))?;
    }
    for finding in &hotspot.findings {
        let (severity, name) = (mark(finding.severity), escape(&finding.name));
        writeln!(text, "- **{severity} {name}**: {}", escape(&finding.message))?;
        writeln!(text, "  - on {}", on(finding))?;
        writeln!(text, "  - seen: {}", escape(&finding.evidence))?;
        for cap in &finding.caps {
            writeln!(text, "  - but: {} confidence, {}", finding.confidence.as_str(), escape(cap))?;
        }
        writeln!(text, "  - do: {}", escape(&finding.remedy))?;
        for check in &finding.next_checks {
            writeln!(text, "  - next: {}", escape(check))?;
        }
    }
    Ok(())
}

fn failed(text: &mut String, diagnosis: &Diagnosis) -> std::fmt::Result {
    let failed: Vec<_> = diagnosis.targets.iter().filter_map(failure_row).collect();
    if failed.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n### Not seen\n\n| host | stage | why | what to do |\n| --- | --- | --- | --- |")?;
    for cells in failed {
        writeln!(text, "| {} |", cells.map(|markdown| cell(&markdown)).join(" | "))?;
    }
    Ok(())
}

fn failure_row(target: &TargetReport) -> Option<[String; 4]> {
    let Status::Failed { failure, hint } = &target.status else { return None };
    let detail = if failure.detail.is_empty() { String::new() } else { format!(" ({})", code(&failure.detail)) };
    Some([
        code(&target.id.to_string()),
        failure.stage.to_string(),
        format!("{}{detail}", escape(failure.reason.summary())),
        escape(hint),
    ])
}

/// What was found and does not count.
fn aside(text: &mut String, diagnosis: &Diagnosis) -> std::fmt::Result {
    if diagnosis.set_aside.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n### Set aside\n")?;
    for part in &diagnosis.set_aside {
        let (name, place) = (escape(&part.finding.name), code(&words::place(&part.subject)));
        writeln!(text, "- {name} at {place}, on {}: {}", on(&part.finding), escape(&because(&part.because)))?;
    }
    Ok(())
}

/// Rules that are neither a finding nor a clean bill.
fn unjudged(text: &mut String, diagnosis: &Diagnosis) -> std::fmt::Result {
    if diagnosis.unjudged.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n### Rules that could not be judged\n")?;
    for rule in &diagnosis.unjudged {
        writeln!(text, "- {} {}: {}", escape(&rule.rule.0), escape(&rule.name), escape(&words::unjudged(rule)))?;
    }
    Ok(())
}

/// A row for each host whose surroundings are odd; for all with `-v`.
fn surroundings(text: &mut String, diagnosis: &Diagnosis, options: &Options) -> std::fmt::Result {
    let row = |target: &TargetReport| {
        let context = target.context.as_ref()?;
        let figures = diagnose::surroundings(context);
        let is_odd = figures.iter().any(|figure| figure.is_odd);
        let shown = figures.iter().filter(|figure| options.verbose || figure.is_short);
        let mark = |figure: &diagnose::Surrounding| match figure.is_odd {
            true => format!("**{}**", escape(&figure.text)),
            false => escape(&figure.text),
        };
        let figures: Vec<_> = shown.map(mark).collect();
        let unseen: Vec<_> =
            context.unseen.iter().map(|unseen| escape(&format!("{}: {}", unseen.what, unseen.why))).collect();
        (is_odd || options.verbose).then(|| [code(&target.id.to_string()), figures.join(" · "), unseen.join("; ")])
    };
    let rows: Vec<_> = diagnosis.targets.iter().filter_map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n### Around the program\n\n| host | figures | not seen |\n| --- | --- | --- |")?;
    for cells in rows {
        writeln!(text, "| {} |", cells.map(|markdown| cell(&markdown)).join(" | "))?;
    }
    Ok(())
}

fn quality(text: &mut String, diagnosis: &Diagnosis) -> std::fmt::Result {
    let by_text = words::anomalies(diagnosis);
    if by_text.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n### Limits of what was seen\n")?;
    for (anomaly, targets) in by_text {
        writeln!(text, "- {}: {}", code(&fold(targets.iter().map(String::as_str))), escape(&anomaly))?;
    }
    Ok(())
}

fn on(finding: &Finding) -> String {
    let targets: Vec<_> = finding.targets.keys().map(ToString::to_string).collect();
    let folded = code(&fold(targets.iter().map(String::as_str)));
    format!("{folded} ({} of {})", targets.len(), finding.targets_in_service)
}

pub(super) fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "🔴 critical",
        Severity::Warning => "🟡 warning",
        Severity::Info => "🔵 info",
    }
}

/// Text that Markdown shows as it stands: no markup, no link, no mention of a person. What stands between backticks is code.
pub(super) fn escape(text: &str) -> String {
    let parts: Vec<_> = text.split('`').collect();
    if parts.len() % 2 == 0 || parts.iter().skip(1).step_by(2).any(|code| code.is_empty()) {
        return escape_prose(text);
    }
    let part = |(at, part): (usize, &&str)| if at % 2 == 0 { escape_prose(part) } else { code(part) };
    parts.iter().enumerate().map(part).collect()
}

fn escape_prose(text: &str) -> String {
    let text = terminal::escape(text);
    let mut safe = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '!' | '&' | '$' => safe.extend(['\\', c]),
            // A mention or an address is not one inside code.
            '@' => safe.push_str("`@`"),
            // Autolinks begin like this.
            ':' if text[at..].starts_with("://") => safe.push_str("\\:"),
            '.' if text[..at].ends_with("www") => safe.push_str("\\."),
            c => safe.push(c),
        }
    }
    safe
}

/// Text as a code span: nothing in it means anything to Markdown.
pub(super) fn code(text: &str) -> String {
    let text = terminal::escape(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Markdown inside a cell of a table, where a bar ends the cell even inside code.
pub(super) fn cell(markdown: &str) -> String {
    markdown.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{cell, code, escape};

    #[test]
    fn markup_is_text() {
        assert_eq!(escape("*a* [b](c) <d>"), r"\*a\* \[b\](c) \<d\>");
        assert_eq!(escape("@ops www.x https://x"), r"`@`ops www\.x https\://x");
        assert_eq!(escape("`poll_x` of *a*"), r"`poll_x` of \*a\*");
        assert_eq!(escape("a ` b*"), r"a \` b\*");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(cell(&code("a|b")), r"`a\|b`");
    }
}
