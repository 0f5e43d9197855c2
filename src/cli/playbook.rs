//! The arguments of `playbook` and `explain`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `playbook`.
#[derive(Debug, Args)]
pub struct PlaybookArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PlaybookCommand,
}

/// What to do with playbooks.
#[derive(Debug, Subcommand)]
pub enum PlaybookCommand {
    /// The playbooks that come with the program
    List,
    /// The file of a playbook, to read or to copy
    Show {
        /// A playbook that comes with the program
        name: String,
    },
    /// What a playbook is for, and each of its rules with why it is there
    Explain {
        /// A playbook that comes with the program, or a file
        name: String,
    },
    /// Check files, and tell everything that is wrong with them at once
    Lint {
        /// Playbook files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Run playbooks over captures, and compare with what they are expected to find
    Test {
        /// Files that name a playbook, a capture and the expected findings
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// The metrics that conditions and messages may name
    Metrics,
    /// The JSON Schema of playbooks, for an editor
    Schema,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A rule, by id or name: `FD104`, `lost-waker`; all of them in a line each without one
    #[arg(value_name = "RULE")]
    pub rule: Option<String>,
    /// As this playbook has it, with its changes; repeatable, later ones override earlier ones
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Vec<String>,
}
