//! One command asks every tokio-console endpoint of a fleet what it sees, and merges the answers
//! into one report that ranks the spawn locations behind the trouble.
//!
//! The modules are the pipeline, in order; `ARCHITECTURE.md` draws it.

pub mod capture;
pub mod cli;
pub mod collect;
pub mod commands;
pub mod decode;
pub mod demo;
pub mod diagnose;
pub mod inventory;
pub mod model;
pub mod plan;
pub mod playbook;
pub mod report;
pub mod source;
pub mod ssh_config;
