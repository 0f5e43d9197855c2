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
    /// Where it goes instead of stdout
    #[arg(short = 'o', long = "to", value_name = "PATH")]
    pub to: Option<PathBuf>,
    /// How captures are judged; what was found is a column.
    #[command(flatten)]
    pub judge: JudgeArgs,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Rows, a JSON object per line, as DuckDB and ClickHouse read it.
    Ndjson,
    /// The same rows as a Parquet file, typed and small.
    Parquet,
    /// Busy, scheduled and idle time of each site as a pprof profile, for Pyroscope, Parca and `go tool pprof`.
    Pprof,
}
