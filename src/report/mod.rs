//! A diagnosis becomes text. Renderers neither filter, sort nor judge, and do not ask the clock.

pub mod checkup;
mod code;
pub mod comparison;
pub mod entry;
pub mod export;
mod fold;
mod github;
mod html;
mod human;
mod json;
mod junit;
mod link;
mod markdown;
mod nagios;
mod ndjson;
mod openmetrics;
mod page;
pub mod reference;
mod sarif;
mod set_aside;
mod sweep;
mod terminal;
mod words;

use std::str::FromStr;

use crate::diagnose::Diagnosis;

pub use link::LinkFormat;
pub use ndjson::ended;
pub use sweep::{Sweep, sweep};

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, on a terminal or in a file.
    Human,
    /// One versioned JSON document.
    Json,
    /// JSON, a line per event: hosts as they end, then the judgement.
    Ndjson,
    /// One HTML file for a browser, without network.
    Html,
    /// Markdown for a step summary, a chat or a ticket.
    Markdown,
    /// JUnit XML: a suite per host, a case per rule.
    Junit,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Annotations of a GitHub workflow.
    Github,
    /// OpenMetrics text, for a node exporter's textfile collector.
    Openmetrics,
    /// One line of a monitoring plugin.
    Nagios,
}

impl Format {
    const ALL: [(&'static str, Self); 10] = [
        ("human", Self::Human),
        ("json", Self::Json),
        ("ndjson", Self::Ndjson),
        ("html", Self::Html),
        ("markdown", Self::Markdown),
        ("junit", Self::Junit),
        ("sarif", Self::Sarif),
        ("github", Self::Github),
        ("openmetrics", Self::Openmetrics),
        ("nagios", Self::Nagios),
    ];

    /// Every name that parses.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(name, _)| *name)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            format!("no format `{}`; one of: {}", name.escape_debug(), names.join(", "))
        })
    }
}

/// How a report for people looks. Nothing here changes what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns.
    pub width: usize,
    /// Colours and weights.
    pub color: bool,
    /// Characters beyond ASCII in our own text.
    pub unicode: bool,
    /// Places shown; all when absent.
    pub top: Option<usize>,
    /// Every host by itself, every next check, every finding in full.
    pub verbose: bool,
    /// Where places are links to, on a terminal that follows them.
    pub links: Option<LinkFormat>,
}

impl Options {
    /// How many of `count` places are shown.
    fn shown(&self, count: usize) -> usize {
        self.top.unwrap_or(usize::MAX).min(count)
    }
}

/// Renders `diagnosis` in `format`.
#[must_use]
pub fn render(format: Format, diagnosis: &Diagnosis, options: &Options) -> String {
    match format {
        Format::Human => human::render(diagnosis, options),
        Format::Json => json::render(diagnosis),
        Format::Ndjson => ndjson::render(diagnosis),
        Format::Html => html::render(diagnosis),
        Format::Markdown => markdown::render(diagnosis, options),
        Format::Junit => junit::render(diagnosis),
        Format::Sarif => sarif::render(diagnosis),
        Format::Github => github::render(diagnosis),
        Format::Openmetrics => openmetrics::render(diagnosis),
        Format::Nagios => nagios::render(diagnosis),
    }
}
