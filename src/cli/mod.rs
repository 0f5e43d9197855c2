//! What a person types, and sees while waiting.

mod args;
mod check;
mod doctor;
mod export;
mod history;
mod playbook;
mod progress;

pub use args::{
    AnalyzeArgs, Cli, CollectArgs, ColorChoice, Command, CompletionsArgs, ConsoleArgs, DemoArgs, InventoryArgs,
    JudgeArgs, MergeArgs, OutputSpec, ReportArgs, SelectArgs, SnapshotArgs,
};
pub use check::{AcceptArgs, CheckArgs};
pub use doctor::DoctorArgs;
pub use export::{ExportArgs, ExportFormat};
pub use history::{CapturesCommand, DiffArgs, FailOnChange, SweepArgs};
pub use playbook::{ExplainArgs, PlaybookArgs, PlaybookCommand};
pub use progress::Display;
