//! Rows as a Parquet file: a row group per run.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::rows::{COLUMNS, Column, Row, rows, signed};
use crate::diagnose::Diagnosis;

/// A Parquet file in the making.
pub struct ParquetRows(SerializedFileWriter<Vec<u8>>);

impl ParquetRows {
    /// A file with the schema and no rows.
    ///
    /// # Errors
    /// What the writer says; nothing that runs or captures hold makes it fail.
    pub fn new() -> Result<Self> {
        let schema = Arc::new(parse_message_type(&schema())?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("fleetdiag version ", env!("CARGO_PKG_VERSION")).to_owned());
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).map(Self)
    }

    /// Adds the rows of a run.
    ///
    /// # Errors
    /// As for [`ParquetRows::new`].
    pub fn add(&mut self, diagnosis: &Diagnosis) -> Result<()> {
        let rows = rows(diagnosis);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.0.next_row_group()?;
        for (_, column) in COLUMNS {
            write(&mut group, column, &rows)?;
        }
        group.close().map(drop)
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// As for [`ParquetRows::new`].
    pub fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner()
    }
}

/// Only types that every reader has: instants are microseconds in UTC, durations and counts are signed 64 bits.
fn schema() -> String {
    let fields = COLUMNS.iter().map(|(name, column)| match column {
        Column::Time(_) => format!("OPTIONAL INT64 {name} (TIMESTAMP(MICROS,true));"),
        Column::Text(_) => format!("REQUIRED BYTE_ARRAY {name} (STRING);"),
        Column::Known(_) => format!("OPTIONAL BYTE_ARRAY {name} (STRING);"),
        Column::Texts(_) => {
            format!(
                "REQUIRED GROUP {name} (LIST) {{ REPEATED GROUP list {{ REQUIRED BYTE_ARRAY element (STRING); }} }}"
            )
        }
        Column::Count(_) | Column::Nanoseconds(_) => format!("REQUIRED INT64 {name};"),
        Column::Number(_) => format!("OPTIONAL INT64 {name};"),
        Column::Flag(_) => format!("REQUIRED BOOLEAN {name};"),
    });
    format!("message sites {{ {} }}", fields.collect::<Vec<_>>().join(" "))
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn write(group: &mut Group<'_>, column: &Column, rows: &[Row<'_>]) -> Result<()> {
    let bytes = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    match column {
        Column::Time(of) => optional::<Int64Type>(group, rows.iter().map(|row| microseconds(&of(row)))),
        Column::Text(of) => all::<ByteArrayType>(group, rows.iter().map(|row| bytes(of(row)))),
        Column::Known(of) => optional::<ByteArrayType>(group, rows.iter().map(|row| of(row).map(bytes))),
        Column::Texts(of) => lists(group, rows.iter().map(|row| of(row).into_iter().map(bytes).collect())),
        Column::Count(of) => all::<Int64Type>(group, rows.iter().map(|row| signed(of(row)))),
        Column::Nanoseconds(of) => all::<Int64Type>(group, rows.iter().map(|row| signed(of(row)))),
        Column::Number(of) => optional::<Int64Type>(group, rows.iter().map(|row| of(row).map(i64::from))),
        Column::Flag(of) => all::<BoolType>(group, rows.iter().map(|row| of(row))),
    }
}

fn microseconds(instant: &str) -> Option<i64> {
    instant.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

fn all<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = T::T>) -> Result<()> {
    batch::<T>(group, &values.collect::<Vec<_>>(), None, None)
}

fn optional<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = Option<T::T>>) -> Result<()> {
    let values: Vec<_> = values.collect();
    let defined: Vec<_> = values.iter().map(|value| i16::from(value.is_some())).collect();
    batch::<T>(group, &values.into_iter().flatten().collect::<Vec<_>>(), Some(&defined), None)
}

/// An element is defined at level 1; it repeats at level 1 what its list began at level 0. An empty list is one level
/// without an element.
fn lists(group: &mut Group<'_>, lists: impl Iterator<Item = Vec<ByteArray>>) -> Result<()> {
    let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for list in lists {
        defined.extend(std::iter::repeat_n(i16::from(!list.is_empty()), list.len().max(1)));
        repeated.extend((0..list.len().max(1)).map(|at| i16::from(at > 0)));
        values.extend(list);
    }
    batch::<ByteArrayType>(group, &values, Some(&defined), Some(&repeated))
}

fn batch<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> Result<()> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(values, defined, repeated)?;
    column.close()
}
