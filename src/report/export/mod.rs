//! Captures for other programs to ask questions of: rows for a database, profiles for a profiler.

mod parquet;
mod pprof;
mod rows;

pub use parquet::ParquetRows;
pub use pprof::Pprof;
pub use rows::lines;
