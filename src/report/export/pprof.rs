//! Sites as a pprof profile: where the tasks of a fleet spend their time.
//!
//! A spawn site is a location, each host a sample of it. The messages are those of pprof's `proto/profile.proto`, by their
//! field numbers; every string is an index into the table, whose first entry is empty.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use indexmap::{IndexMap, IndexSet};
use prost::Message;

use super::super::{terminal, words};
use super::rows::{Row, rows, signed};
use crate::diagnose::{Diagnosis, FleetSite, Status};

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    label: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Label {
    #[prost(int64, tag = "1")]
    key: i64,
    #[prost(int64, tag = "2")]
    str: i64,
}

/// A service stands for a binary: with names, files and lines, so that no reader looks for symbols.
#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
    #[prost(int64, tag = "3")]
    column: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
    #[prost(int64, tag = "5")]
    start_line: i64,
}

/// What each sample counts, with its unit.
const VALUES: [(&str, &str); 4] =
    [("busy", "nanoseconds"), ("scheduled", "nanoseconds"), ("idle", "nanoseconds"), ("tasks", "count")];

/// A profile in the making.
#[derive(Default)]
pub struct Pprof {
    strings: IndexSet<String>,
    services: IndexSet<String>,
    sites: IndexMap<FleetSite, Location>,
    profile: Profile,
}

impl Pprof {
    /// A profile without samples.
    #[must_use]
    pub fn new() -> Self {
        let mut new = Self::default();
        new.string("");
        let value = |(name, unit)| ValueType { r#type: new.string(name), unit: new.string(unit) };
        new.profile.sample_type = VALUES.map(value).to_vec();
        new.profile.default_sample_type = new.string(VALUES[0].0);
        new
    }

    /// Adds the samples of a run.
    pub fn add(&mut self, diagnosis: &Diagnosis) {
        let started: Option<jiff::Timestamp> = diagnosis.run.started.parse().ok();
        let started = started.map_or(0, |started| signed(started.as_nanosecond()));
        let first = self.profile.comment.is_empty();
        self.profile.time_nanos = if first { started } else { self.profile.time_nanos.min(started) };
        let windows = diagnosis.targets.iter().filter_map(|target| match &target.status {
            Status::Observed { window, .. } => Some(window.length()),
            Status::Failed { .. } => None,
        });
        let window = signed(windows.max().unwrap_or(Duration::ZERO).as_nanos());
        self.profile.duration_nanos = self.profile.duration_nanos.saturating_add(window);
        // A reader of the profile must be able to know how much of the fleet is in it.
        let comment = format!("run of {}: {}", diagnosis.run.started, words::coverage(&diagnosis.coverage));
        let comment = self.string(&comment);
        self.profile.comment.push(comment);
        // A worker's one poll is made of the polls of other tasks, which must not be counted twice.
        for row in rows(diagnosis).into_iter().filter(|row| !row.site.site.is_worker()) {
            let sample = self.sample(&row);
            self.profile.sample.push(sample);
        }
    }

    /// The bytes of the file, compressed.
    ///
    /// # Errors
    /// None in practice: it writes into memory.
    pub fn finish(mut self) -> std::io::Result<Vec<u8>> {
        for service in self.services.clone() {
            let (id, filename) = (self.profile.mapping.len() as u64 + 1, self.string(&service));
            let (has_functions, has_filenames, has_line_numbers) = (true, true, true);
            self.profile.mapping.push(Mapping { id, filename, has_functions, has_filenames, has_line_numbers });
        }
        self.profile.location = self.sites.into_values().collect();
        self.profile.string_table = self.strings.into_iter().collect();
        let mut file = GzEncoder::new(Vec::new(), Compression::default());
        file.write_all(&self.profile.encode_to_vec())?;
        file.finish()
    }

    fn sample(&mut self, row: &Row<'_>) -> Sample {
        let location = self.location(row);
        let figures = row.figures;
        let times = [figures.busy, figures.scheduled, figures.idle].map(|time| signed(time.as_nanos()));
        let labels = [
            ("host", row.id.host.as_str()),
            ("target", &row.target),
            ("service", &row.site.service.0),
            ("kind", row.site.site.kind.as_str()),
            ("task", row.site.site.name.as_deref().unwrap_or_default()),
            ("run", &row.diagnosis.run.started),
        ];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        Sample {
            location_id: vec![location],
            value: times.into_iter().chain([signed(figures.alive)]).collect(),
            label: labels.map(|(key, value)| Label { key: self.string(key), str: self.string(value) }).collect(),
        }
    }

    /// The location of a row's site, made when it is first met, and its function beside it.
    fn location(&mut self, row: &Row<'_>) -> u64 {
        if let Some(known) = self.sites.get(row.site) {
            return known.id;
        }
        let site = &row.site.site;
        let id = self.sites.len() as u64 + 1;
        let mapping_id = self.services.insert_full(row.site.service.0.clone()).0 as u64 + 1;
        let (file, line, column) =
            site.location.as_ref().map_or(("", 0, 0), |at| (at.file.as_str(), at.line.into(), at.column.into()));
        // The place is the name, since readers fold what has the same name.
        let beside = site.fn_name.as_ref().or(site.name.as_ref());
        let name = beside.map_or_else(|| row.place.clone(), |beside| format!("{} {beside}", row.place));
        let function = Function {
            id,
            name: self.string(&name),
            system_name: self.string(&row.place),
            filename: self.string(file),
            start_line: line,
        };
        self.profile.function.push(function);
        let line = vec![Line { function_id: id, line, column }];
        self.sites.insert(row.site.clone(), Location { id, mapping_id, line });
        id
    }

    /// Readers print strings as they are.
    fn string(&mut self, text: &str) -> i64 {
        signed(self.strings.insert_full(terminal::escape(text)).0)
    }
}
