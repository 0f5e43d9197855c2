//! The directory where every run leaves its capture.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::CaptureError;

/// How many captures a store keeps.
const KEEP: usize = 50;

const EXTENSION: &str = ".fdcap";
const PARTIAL: &str = ".fdcap.partial";

/// A directory of captures named `<label>-<UTC time>.fdcap`, of which the newest are kept.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// A capture of the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// `20261124T123000Z`: orders as text.
    time: String,
    /// Tells runs of the same second apart.
    number: u32,
    path: PathBuf,
    partial: bool,
}

/// Why a capture of the store cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be used.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A name such as `@last` that names nothing.
    #[error("there is no capture `{name}` in `{}`: run `fleetdiag snapshot` first", directory.display())]
    NoSuchCapture {
        /// The name.
        name: String,
        /// The store.
        directory: PathBuf,
    },
    /// A name that begins with `@` and is not known.
    #[error("`{name}` names no capture: `@last` is the newest, `@prev` the one before it")]
    UnknownName {
        /// The name.
        name: String,
    },
}

impl Store {
    /// The store in `directory`, which is made when the first capture is written.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// A free path for a capture that began at `started`; `label` says what of, and is reduced to file name characters.
    ///
    /// # Errors
    /// When the directory cannot be made or listed.
    pub fn new_path(&self, label: &str, started: jiff::Timestamp) -> Result<PathBuf, CaptureError> {
        std::fs::create_dir_all(&self.directory).map_err(|source| CaptureError::Io {
            action: "create",
            path: self.directory.clone(),
            source,
        })?;
        let time = started.strftime("%Y%m%dT%H%M%SZ").to_string();
        let taken = self.entries()?;
        let number = taken
            .iter()
            .filter(|entry| entry.time == time)
            .map(|entry| entry.number)
            .max()
            .map_or(0, |n| n.saturating_add(1));
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        Ok(self.directory.join(format!("{}-{time}{suffix}{EXTENSION}", file_label(label))))
    }

    /// The path that `name` stands for: `@last`, `@prev`, or a path as it is.
    ///
    /// # Errors
    /// When `name` begins with `@` and names nothing.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, StoreError> {
        let back = match name {
            "@last" => 0,
            "@prev" => 1,
            _ if name.starts_with('@') => return Err(StoreError::UnknownName { name: name.to_owned() }),
            path => return Ok(PathBuf::from(path)),
        };
        let complete = self.entries()?.into_iter().filter(|entry| !entry.partial);
        let found = complete.rev().nth(back).map(|entry| entry.path);
        found.ok_or_else(|| StoreError::NoSuchCapture { name: name.to_owned(), directory: self.directory.clone() })
    }

    /// Removes all but the newest captures; those still being written stay.
    ///
    /// # Errors
    /// When the directory cannot be listed or a file not be removed.
    pub fn prune(&self) -> Result<(), CaptureError> {
        let entries = self.entries()?;
        let surplus = entries.len().saturating_sub(KEEP);
        for entry in entries.into_iter().take(surplus).filter(|entry| !entry.partial || !is_locked(&entry.path)) {
            match std::fs::remove_file(&entry.path) {
                // Another run pruned it first.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|source| CaptureError::Io { action: "remove", path: entry.path, source })?,
            }
        }
        Ok(())
    }

    /// Captures by age, oldest first. Files of other names are not ours and are never touched.
    fn entries(&self) -> Result<Vec<Entry>, CaptureError> {
        let failed = |source| CaptureError::Io { action: "list", path: self.directory.clone(), source };
        let listing = match std::fs::read_dir(&self.directory) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut entries = Vec::new();
        for file in listing {
            let path = file.map_err(failed)?.path();
            entries.extend(parse_name(&path));
        }
        entries.sort();
        Ok(entries)
    }
}

fn parse_name(path: &Path) -> Option<Entry> {
    let name = path.file_name()?.to_str()?;
    let (stem, partial) = match name.strip_suffix(PARTIAL) {
        Some(stem) => (stem, true),
        None => (name.strip_suffix(EXTENSION)?, false),
    };
    let (rest, last) = stem.rsplit_once('-')?;
    let (time, number) = if is_time(last) { (last, 0) } else { (rest.rsplit_once('-')?.1, last.parse().ok()?) };
    is_time(time).then(|| Entry { time: time.to_owned(), number, path: path.to_owned(), partial })
}

fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 16
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

/// At most 40 characters that are harmless in a file name, never none.
fn file_label(label: &str) -> String {
    let harmless = |c: char| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' };
    let reduced: String = label.chars().map(harmless).take(40).collect();
    let reduced = reduced.trim_matches(['-', '.']);
    if reduced.is_empty() { "run".to_owned() } else { reduced.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{KEEP, Store, StoreError};
    use std::fs::File;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn names_are_unique_within_a_second_and_harmless() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let first = store.new_path("web:&../eu", at(0)).unwrap();
        File::create(&first).unwrap();
        let second = store.new_path("web:&../eu", at(0)).unwrap();
        assert_ne!(first, second);
        assert_eq!(first.parent(), Some(directory.path()));
        assert_eq!(second.file_name().unwrap().to_str().unwrap(), "web--..-eu-20260921T141320Z-1.fdcap");
    }

    #[test]
    fn last_and_prev_are_the_newest_whole_ones_by_time_not_by_label() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        assert!(matches!(store.resolve("@last"), Err(StoreError::NoSuchCapture { .. })));
        let old = store.new_path("zebra", at(0)).unwrap();
        let new = store.new_path("ape", at(60)).unwrap();
        let newest_but_partial = store.new_path("ape", at(120)).unwrap().with_extension("fdcap.partial");
        for path in [&old, &new, &newest_but_partial] {
            File::create(path).unwrap();
        }
        assert_eq!(store.resolve("@last").unwrap(), new);
        assert_eq!(store.resolve("@prev").unwrap(), old);
        assert_eq!(store.resolve("some/file.fdcap").unwrap().to_str(), Some("some/file.fdcap"));
        assert!(matches!(store.resolve("@lats"), Err(StoreError::UnknownName { .. })));
    }

    #[test]
    fn pruning_keeps_the_newest_those_being_written_and_what_is_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let running = store.new_path("run", at(0)).unwrap().with_extension("fdcap.partial");
        let lock = File::create(&running).unwrap();
        lock.try_lock().unwrap();
        let killed = store.new_path("run", at(1)).unwrap().with_extension("fdcap.partial");
        let foreign = directory.path().join("notes.fdcap");
        File::create(&killed).unwrap();
        File::create(&foreign).unwrap();
        for second in 2..(2 + KEEP as i64) {
            File::create(store.new_path("run", at(second)).unwrap()).unwrap();
        }
        store.prune().unwrap();
        assert!(running.exists() && foreign.exists() && !killed.exists());
        assert_eq!(store.entries().unwrap().len(), KEEP + 1);
    }
}
