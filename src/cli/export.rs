//! Arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::JudgeArgs;

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Capture files, `@last` and `@prev` included; each is a run of its own
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// As what
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub format: ExportFormat,
    /// Where the rows go instead of stdout
    #[arg(short = 'o', long = "to", value_name = "PATH")]
    pub to: Option<PathBuf>,
    /// How captures are judged; what was found is a column.
    #[command(flatten)]
    pub judge: JudgeArgs,
}

/// What rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A JSON object per line, as DuckDB and ClickHouse read it.
    Ndjson,
}
