//! Where in the code a task was spawned, comparable across hosts and builds.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in source code, normalized: forward slashes, no build machine's prefix.
///
/// The text of `file` comes from the target and is hostile until escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpawnLocation {
    /// Whose code it is. First, so that locations order application code before everything else.
    pub origin: Origin,
    /// Path within its crate (dependencies), the standard library, or the checkout (application).
    pub file: String,
    /// Line, counted from 1; 0 where the target did not say.
    pub line: u32,
    /// Column, counted from 1; 0 where the target did not say.
    pub column: u32,
}

/// Whose code a location is in, in the order in which reports show them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The application's own.
    App,
    /// A crate from a registry or a git checkout.
    Dependency {
        /// The crate's name (the repository's, for git checkouts).
        krate: String,
        /// Its version (the revision, for git checkouts); empty where unknown.
        version: String,
    },
    /// Tokio itself.
    Runtime {
        /// Its version; empty where unknown.
        version: String,
    },
    /// The standard library.
    Std,
}

impl fmt::Display for SpawnLocation {
    /// `path:line:col`, with `crate-version/` in front for code that is not the application's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::App => {}
            Origin::Dependency { krate, version } if version.is_empty() => write!(f, "{krate}/")?,
            Origin::Dependency { krate, version } => write!(f, "{krate}-{version}/")?,
            Origin::Runtime { version } if version.is_empty() => write!(f, "tokio/")?,
            Origin::Runtime { version } => write!(f, "tokio-{version}/")?,
            Origin::Std => write!(f, "std/")?,
        }
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}
