//! Lines of a local checkout, beside the places that consoles name.

use std::collections::BTreeMap;
use std::fmt;

use super::{Service, SpawnLocation};

/// What a checkout says of places in the application's code. Its texts are shown, never judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(BTreeMap<(Service, SpawnLocation), CodeLine>);

/// One place in the checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeLine {
    /// The file, from the root of its repository on; absent where none was found.
    pub path: Option<String>,
    /// The line, without indentation, cut where it is long.
    pub text: Option<String>,
    /// Why there is no line, or why it may be another one than what runs.
    pub trouble: Option<Trouble>,
    /// Who wrote it, where that was asked for.
    pub blame: Option<Blame>,
}

/// What is wrong with a place in a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No file has this path.
    NoFile,
    /// Several files end in this path.
    Several(usize),
    /// The path leads out of the checkout; nothing was read.
    Outside,
    /// The file cannot be read, or is no text of a usual size.
    Unreadable(String),
    /// The file has fewer lines.
    PastEnd {
        /// So many.
        lines: usize,
    },
    /// Nothing can be called at this line and column.
    NotACall,
}

/// The commit that a line is from, as `git blame` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Its abbreviated id; zeros when the line is not committed.
    pub commit: String,
    /// The day on which it was written, in UTC, `2026-11-24`.
    pub date: String,
    /// Its author's name.
    pub author: String,
}

impl Code {
    /// What the checkout says of a place; nothing where nobody asked, or the place is not the application's.
    #[must_use]
    pub fn at(&self, service: &Service, location: Option<&SpawnLocation>) -> Option<&CodeLine> {
        // Without a checkout nothing is compared.
        (!self.0.is_empty()).then_some(())?;
        self.0.get(&(service.clone(), location?.clone()))
    }

    /// Adds a place.
    pub fn insert(&mut self, service: Service, location: SpawnLocation, line: CodeLine) {
        self.0.insert((service, location), line);
    }
}

impl Trouble {
    /// Its stable name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoFile => "no-file",
            Self::Several(_) => "several-files",
            Self::Outside => "outside",
            Self::Unreadable(_) => "unreadable",
            Self::PastEnd { .. } => "past-end",
            Self::NotACall => "not-a-call",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("there is no such file in the checkout"),
            Self::Several(count) => {
                write!(f, "{count} files of the checkout end in this path; name the directory of one with `--source`")
            }
            Self::Outside => f.write_str("the path leads out of the checkout and was not read"),
            Self::Unreadable(why) => write!(f, "the file cannot be read: {why}"),
            Self::PastEnd { lines } => {
                write!(f, "the file ends after {lines} lines: the checkout is of another version than what runs")
            }
            Self::NotACall => {
                f.write_str("nothing can be called there: the checkout is of another version than what runs")
            }
        }
    }
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.commit, self.date, self.author)
    }
}
