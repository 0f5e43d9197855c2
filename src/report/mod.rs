//! A diagnosis becomes text. Renderers neither filter, sort nor judge, and do not ask the clock.

mod fold;
mod human;
mod json;
mod page;
mod terminal;
mod words;

use std::str::FromStr;

use crate::diagnose::Diagnosis;

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, on a terminal or in a file.
    Human,
    /// One versioned JSON document.
    Json,
}

impl Format {
    const ALL: [(&'static str, Self); 2] = [("human", Self::Human), ("json", Self::Json)];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("no format `{}`; one of: {}", name.escape_debug(), names.join(", "))
        })
    }
}

/// How a report for people looks. Nothing here changes what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// Renders `diagnosis` in `format`.
#[must_use]
pub fn render(format: Format, diagnosis: &Diagnosis, options: &Options) -> String {
    match format {
        Format::Human => human::render(diagnosis, options),
        Format::Json => json::render(diagnosis),
    }
}
