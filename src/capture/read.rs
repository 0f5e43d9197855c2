//! Reading a capture, however damaged or hostile.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::read::{ZipFile, read_zipfile_from_stream};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::record::{self, RecordError};
use super::shared::Shared;
use super::{
    CaptureError, END, End, FORMAT_NAME, FORMAT_VERSION, Header, MANIFEST, OutcomeFile, Run, evidence_entry,
    outcome_entry,
};
use crate::model::{Failure, Frame, HostContext, Outcome, Reason, Target};

/// How much of a capture is taken into memory at once, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest JSON entry, in bytes.
    pub json_bytes: u64,
    /// Most bytes of all JSON entries together: what they say is in memory at once.
    pub all_json_bytes: u64,
    /// Largest single message, in bytes.
    pub message_bytes: u64,
    /// Most bytes of evidence read of one target; more means a decompression bomb.
    pub target_bytes: u64,
    /// Most targets.
    pub targets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_bytes: 64 << 20,
            all_json_bytes: 256 << 20,
            message_bytes: 512 << 20,
            target_bytes: 2 << 30,
            targets: 100_000,
        }
    }
}

/// An open capture: the run and every target's outcome, with the evidence to be read target by target. A copy reads the
/// same file, at a place of its own.
#[derive(Clone, Debug)]
pub struct Capture {
    path: PathBuf,
    archive: ZipArchive<Shared>,
    limits: Limits,
    /// With the targets that were found, in place of the planned ones.
    run: Arc<Run>,
    outcomes: Arc<[OutcomeFile]>,
    /// The number of each target's entries.
    numbers: Arc<[usize]>,
    end: Option<End>,
}

impl Capture {
    /// Opens a capture, or what a killed run left of one.
    ///
    /// # Errors
    /// When the file cannot be read, is no capture, is damaged, or exceeds the limits.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, CaptureError> {
        let file =
            File::open(path).map_err(|source| CaptureError::Io { action: "open", path: path.to_owned(), source })?;
        let mut archive = match ZipArchive::new(Shared::new(file)) {
            Ok(archive) => archive,
            Err(error) => salvage(path, &error, limits)?,
        };
        let mut entries = Entries {
            path,
            archive: &mut archive,
            limits,
            json_left: limits.all_json_bytes,
            collected_by: String::new(),
        };
        let planned = entries.manifest()?;
        entries.collected_by.clone_from(&planned.collected_by);
        let found = entries.targets(&planned)?;
        let end = entries.json::<End>(END)?;
        let mut run = Run { targets: Vec::new(), ..planned };
        let (mut outcomes, mut numbers) = (Vec::new(), Vec::new());
        for (number, target, outcome) in found {
            run.targets.push(target);
            outcomes.push(outcome);
            numbers.push(number);
        }
        let (run, outcomes, numbers) = (Arc::new(run), outcomes.into(), numbers.into());
        Ok(Self { path: path.to_owned(), archive, limits, run, outcomes, numbers, end })
    }

    /// What the run set out to do.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the run was interrupted, by a signal or by being killed.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.end.is_none_or(|end| end.interrupted)
    }

    /// Every planned target with its outcome, in the order of the plan.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = (&Target, &Outcome)> {
        self.run.targets.iter().zip(self.outcomes.iter().map(|file| &file.outcome))
    }

    /// What the server of a target told beside its console, where it was asked.
    #[must_use]
    pub fn context(&self, index: usize) -> Option<&HostContext> {
        self.outcomes.get(index)?.context.as_ref()
    }

    /// The outcomes with the times at which they were reached, in the order of the plan.
    pub(super) fn outcome_files(&self) -> &[OutcomeFile] {
        &self.outcomes
    }

    /// The messages of a target, in the order in which they came.
    ///
    /// # Errors
    /// When the entry is missing or damaged.
    pub fn frames(&mut self, index: usize) -> Result<Frames<'_>, CaptureError> {
        let entry = evidence_entry(self.numbers.get(index).copied().unwrap_or(index));
        let file = self.archive.by_name(&entry).map_err(|error| CaptureError::Damaged {
            path: self.path.clone(),
            entry: entry.clone(),
            why: error.to_string(),
        })?;
        let left = self.limits.target_bytes;
        Ok(Frames { path: &self.path, entry, file: BufReader::new(file), limits: self.limits, left, done: false })
    }
}

/// Iterates over the messages of one target. After an error it ends.
pub struct Frames<'a> {
    path: &'a Path,
    entry: String,
    file: BufReader<ZipFile<'a, Shared>>,
    limits: Limits,
    left: u64,
    done: bool,
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let read = record::read(&mut self.file, self.limits.message_bytes.min(self.left));
        self.done = !matches!(read, Ok(Some(_)));
        match read {
            Ok(None) => None,
            Ok(Some(frame)) => {
                self.left = self.left.saturating_sub(frame.bytes.len() as u64);
                Some(Ok(frame))
            }
            Err(RecordError::TooLarge) => {
                let limit = self.limits.message_bytes.min(self.left);
                Some(Err(CaptureError::TooLarge { path: self.path.to_owned(), entry: self.entry.clone(), limit }))
            }
            Err(RecordError::Io(error)) => Some(Err(self.damaged(error.to_string()))),
            Err(RecordError::Malformed(why)) => Some(Err(self.damaged(why.to_owned()))),
        }
    }
}

impl Frames<'_> {
    fn damaged(&self, why: String) -> CaptureError {
        CaptureError::Damaged { path: self.path.to_owned(), entry: self.entry.clone(), why }
    }
}

/// The JSON entries of a capture that is being opened.
struct Entries<'a> {
    path: &'a Path,
    archive: &'a mut ZipArchive<Shared>,
    limits: Limits,
    json_left: u64,
    /// The version of the program that collected it, once the manifest tells.
    collected_by: String,
}

impl Entries<'_> {
    fn manifest(&mut self) -> Result<Run, CaptureError> {
        let not_a_capture = |why: &str| CaptureError::NotACapture { path: self.path.to_owned(), why: why.to_owned() };
        let missing = not_a_capture("it is a zip file without a `manifest.json`");
        let foreign = not_a_capture("its `manifest.json` is of something else");
        let text = self.text(MANIFEST)?.ok_or(missing)?;
        let header: Header = serde_json::from_str(&text).map_err(|_| foreign)?;
        if header.format != FORMAT_NAME {
            return Err(CaptureError::NotACapture {
                path: self.path.to_owned(),
                why: "its `manifest.json` is of something else".to_owned(),
            });
        }
        if header.version > FORMAT_VERSION {
            return Err(CaptureError::TooNew { path: self.path.to_owned(), found: header.version });
        }
        let run: Run = serde_json::from_str(&text).map_err(|error| self.damaged(MANIFEST, error.to_string()))?;
        if run.targets.len() > self.limits.targets {
            return Err(CaptureError::TooLarge {
                path: self.path.to_owned(),
                entry: MANIFEST.to_owned(),
                limit: self.limits.targets as u64,
            });
        }
        let ordered = run.targets.windows(2).all(|pair| pair[0].id < pair[1].id);
        if !ordered {
            return Err(self.damaged(MANIFEST, "its targets are not in order, or one is there twice".to_owned()));
        }
        Ok(run)
    }

    /// Every target with the number of its entries and its outcome, ordered by id: the planned ones, and those that
    /// were found beside them.
    fn targets(&mut self, run: &Run) -> Result<Vec<(usize, Target, OutcomeFile)>, CaptureError> {
        let mut targets = Vec::new();
        for (index, planned) in run.targets.iter().enumerate() {
            let file = self.outcome(index)?.unwrap_or_else(|| OutcomeFile {
                target: planned.id.to_string(),
                finished: run.started,
                found: None,
                context: None,
                outcome: Outcome::Failed(Failure::new(Reason::CaptureIncomplete, "")),
            });
            targets.push((index, file.found.clone().unwrap_or_else(|| planned.clone()), file));
        }
        while let Some(file) = self.outcome(targets.len())? {
            let entry = outcome_entry(targets.len());
            if targets.len() >= self.limits.targets {
                let limit = self.limits.targets as u64;
                return Err(CaptureError::TooLarge { path: self.path.to_owned(), entry, limit });
            }
            let found = file.found.clone();
            let found =
                found.ok_or_else(|| self.damaged(&entry, "it does not say which target it is of".to_owned()))?;
            targets.push((targets.len(), found, file));
        }
        targets.sort_by(|a, b| a.1.id.cmp(&b.1.id));
        if targets.windows(2).any(|pair| pair[0].1.id == pair[1].1.id) {
            return Err(self.damaged(MANIFEST, "a target was found twice".to_owned()));
        }
        Ok(targets)
    }

    fn outcome(&mut self, index: usize) -> Result<Option<OutcomeFile>, CaptureError> {
        let entry = outcome_entry(index);
        let Some(file) = self.json::<OutcomeFile>(&entry)? else { return Ok(None) };
        let has_evidence = self.archive.index_for_name(&evidence_entry(index)).is_some();
        if matches!(file.outcome, Outcome::Observed(_)) && !has_evidence {
            return Err(self.damaged(&entry, "the target was observed and its evidence is missing".to_owned()));
        }
        Ok(Some(file))
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self, entry: &str) -> Result<Option<T>, CaptureError> {
        let Some(text) = self.text(entry)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            let (theirs, ours) = (&self.collected_by, env!("CARGO_PKG_VERSION"));
            let advice = if theirs == ours || theirs.is_empty() {
                String::new()
            } else {
                format!("; fleetdiag {theirs} collected it, which may know what this one ({ours}) does not: read it with that")
            };
            self.damaged(entry, format!("{error}{}", advice.escape_debug()))
        })
    }

    fn text(&mut self, entry: &str) -> Result<Option<String>, CaptureError> {
        let (limit, told) = if self.limits.json_bytes <= self.json_left {
            (self.limits.json_bytes, self.limits.json_bytes)
        } else {
            (self.json_left, self.limits.all_json_bytes)
        };
        let too_large = CaptureError::TooLarge { path: self.path.to_owned(), entry: entry.to_owned(), limit: told };
        let mut text = String::new();
        let read = match self.archive.by_name(entry) {
            Ok(file) => file.take(limit + 1).read_to_string(&mut text).map_err(|error| error.to_string()),
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => Err(error.to_string()),
        };
        read.map_err(|why| self.damaged(entry, why))?;
        if text.len() as u64 > limit {
            return Err(too_large);
        }
        self.json_left -= text.len() as u64;
        Ok(Some(text))
    }

    fn damaged(&self, entry: &str, why: String) -> CaptureError {
        CaptureError::Damaged { path: self.path.to_owned(), entry: entry.to_owned(), why }
    }
}

/// Copies the entries that a killed run finished into a whole archive, which has no name.
fn salvage(path: &Path, error: &zip::result::ZipError, limits: Limits) -> Result<ZipArchive<Shared>, CaptureError> {
    let failed = |source| CaptureError::Io { action: "read", path: path.to_owned(), source };
    let mut from = BufReader::new(File::open(path).map_err(failed)?);
    let mut magic = [0; 4];
    if from.read_exact(&mut magic).is_err() || magic != *b"PK\x03\x04" {
        return Err(CaptureError::NotACapture {
            path: path.to_owned(),
            why: format!("it is not a zip file ({error})"),
        });
    }
    from.seek(SeekFrom::Start(0)).map_err(failed)?;
    let spare = |source| CaptureError::Io { action: "make room beside", path: path.to_owned(), source };
    let mut whole = ZipWriter::new(tempfile::tempfile().map_err(spare)?);
    let mut entries = HashSet::new();
    while let Ok(Some(file)) = read_zipfile_from_stream(&mut from) {
        let Ok(name) = file.name().map(|name| name.into_owned()) else { break };
        if entries.len() > 2 * limits.targets + 2 || !entries.insert(name.clone()) {
            break;
        }
        if whole.start_file(name, SimpleFileOptions::default().large_file(true)).is_err() {
            break;
        }
        let copied = io::copy(&mut file.take(limits.target_bytes + 1), &mut whole);
        if copied.is_err() || copied.is_ok_and(|bytes| bytes > limits.target_bytes) {
            whole.abort_file().map_err(|error| spare(error.into()))?;
            break;
        }
    }
    let whole = whole.finish().map_err(|error| spare(error.into()))?;
    ZipArchive::new(Shared::new(whole)).map_err(|error| failed(error.into()))
}
