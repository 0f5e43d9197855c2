//! Writing a capture while it is collected.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use zip::write::{PreparedZipFile, SimpleFileOptions};
use zip::{CompressionMethod, ZipWriter};

use super::{
    CaptureError, END, End, FORMAT_NAME, FORMAT_VERSION, MANIFEST, Manifest, OutcomeFile, Run, evidence_entry,
    outcome_entry, record,
};
use crate::model::{Frame, HostContext, Outcome, Target};

/// Fast compression: collecting must not wait for it.
const COMPRESSION_LEVEL: i64 = 1;

/// A capture being written, under a temporary name until [`Writer::finish`].
///
/// A run that is killed leaves `<path>.partial`, which [`Capture::open`](super::Capture::open) reads up to
/// the last finished target.
pub struct Writer {
    zip: ZipWriter<BufWriter<File>>,
    run: Run,
    path: PathBuf,
    partial: PathBuf,
    /// The next place behind the planned ones, for what was found beside them.
    next: usize,
    compression: CompressionMethod,
}

/// Makes places for the messages of targets, on the capture's own file system.
#[derive(Clone, Debug)]
pub struct Spools {
    directory: PathBuf,
}

/// The messages of one target while they come in, in a file without a name: nothing is left of it, ever.
pub struct Spool {
    file: BufWriter<File>,
}

impl Spools {
    /// A place for one target's messages.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(&self) -> io::Result<Spool> {
        Ok(Spool { file: BufWriter::new(tempfile::tempfile_in(&self.directory)?) })
    }
}

impl Spool {
    /// Keeps one message.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn push(&mut self, frame: &Frame) -> io::Result<()> {
        self.file.write_all(&record::encode(frame))
    }
}

fn options(compression: CompressionMethod) -> SimpleFileOptions {
    let level = (compression == CompressionMethod::Deflated).then_some(COMPRESSION_LEVEL);
    SimpleFileOptions::default().compression_method(compression).compression_level(level).large_file(true)
}

impl Writer {
    /// Begins a capture of `run` that will stand at `path`, in a directory that exists.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, run: &Run) -> Result<Self, CaptureError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let failed = |source| CaptureError::Io { action: "create", path: partial.clone(), source };
        let file = File::create(&partial).map_err(failed)?;
        // Held while we live: tells a running capture from one that a killed run left behind.
        file.try_lock().map_err(|error| failed(error.into()))?;
        let mut writer = Self {
            zip: ZipWriter::new(BufWriter::new(file)),
            run: run.clone(),
            path: path.to_owned(),
            partial: partial.clone(),
            next: run.targets.len(),
            compression: CompressionMethod::Deflated,
        };
        let manifest = Manifest { format: FORMAT_NAME.to_owned(), version: FORMAT_VERSION, run: run.clone() };
        writer.json(MANIFEST, &manifest).map_err(failed)?;
        Ok(writer)
    }

    /// Writes evidence as it is from now on, for a capture that nobody keeps.
    #[must_use]
    pub fn uncompressed(self) -> Self {
        Self { compression: CompressionMethod::Stored, ..self }
    }

    /// What the capture is of.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// A place for one target's messages.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn spool(&self) -> io::Result<Spool> {
        self.spools().create()
    }

    /// What makes such places, for whoever collects.
    #[must_use]
    pub fn spools(&self) -> Spools {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Spools { directory: directory.to_owned() }
    }

    /// Adds a target that is done: its place in the run, its messages if any came, and its outcome.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn finish_target(&mut self, index: usize, spool: Option<Spool>, outcome: &Outcome) -> io::Result<()> {
        match self.run.targets.get(index).cloned() {
            Some(target) => self.finish_found(Some(index), &target, spool, outcome, None),
            None => Ok(()),
        }
    }

    /// Adds a target that turned out to be more than what was planned, such as one of several replicas. `place` is that
    /// of the planned target, for one of them; the others have none and stand behind all that was planned. `context` is
    /// what its server told beside its console.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn finish_found(
        &mut self,
        place: Option<usize>,
        target: &Target,
        spool: Option<Spool>,
        outcome: &Outcome,
        context: Option<HostContext>,
    ) -> io::Result<()> {
        let index = place.unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        let found = self.run.targets.get(index).is_none_or(|planned| planned != target).then(|| target.clone());
        let finished = jiff::Timestamp::now();
        let file = OutcomeFile { target: target.id.to_string(), finished, found, outcome: outcome.clone(), context };
        self.add_target(index, spool, &file)
    }

    pub(super) fn add_target(&mut self, index: usize, spool: Option<Spool>, outcome: &OutcomeFile) -> io::Result<()> {
        if let Some(spool) = spool {
            let mut file = spool.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            self.zip.start_file(evidence_entry(index), options(self.compression))?;
            io::copy(&mut file, &mut self.zip)?;
        }
        self.json(&outcome_entry(index), outcome)
    }

    /// Ends the capture and gives it its name.
    ///
    /// # Errors
    /// When the disk is full or fails; the partial file stays.
    pub fn finish(mut self, end: End) -> Result<PathBuf, CaptureError> {
        let Self { path, partial, .. } = &self;
        let (path, partial) = (path.clone(), partial.clone());
        let failed = |source| CaptureError::Io { action: "write", path: partial.clone(), source };
        self.json(END, &end).map_err(failed)?;
        let mut buffered = self.zip.finish().map_err(|error| failed(error.into()))?;
        buffered.flush().map_err(failed)?;
        drop(buffered);
        std::fs::rename(&partial, &path).map_err(|source| CaptureError::Io {
            action: "rename",
            path: partial.clone(),
            source,
        })?;
        Ok(path)
    }

    /// Adds a whole entry at once and closes it, so that a killed run leaves it, and what is before it, readable.
    fn json(&mut self, entry: &str, value: &impl serde::Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        self.zip.add_prepared_file(PreparedZipFile::from_data(entry, options(self.compression), &text)?)?;
        self.zip.flush()
    }
}
