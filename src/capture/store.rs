//! The directory where every run leaves its capture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::CaptureError;

/// How many captures a store keeps of each kind: of sweeps, and of all other runs.
pub const KEEP: usize = 50;

/// How the label of a sweep begins, so that its history is told from other runs.
pub const SWEEP: &str = "sweep-";

const EXTENSION: &str = ".fdcap";
const PARTIAL: &str = ".fdcap.partial";

/// The directory of tags: a file per tag, which holds the name of the tagged capture's file.
const TAGS: &str = "tags";

/// A directory of captures named `<label>-<UTC time>.fdcap`, of which the newest and the tagged are kept.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// A capture of the store. They order by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// `20261124T123000Z`: orders as text.
    pub time: String,
    /// Tells runs of the same second apart.
    number: u32,
    /// Where it is.
    pub path: PathBuf,
    /// What it is of.
    pub label: String,
    /// Still being written, or left by a run that was killed.
    pub partial: bool,
    /// Its tags, in order.
    pub tags: BTreeSet<String>,
}

impl Entry {
    /// Whether it is of a sweep's history.
    #[must_use]
    pub fn is_sweep(&self) -> bool {
        self.label.starts_with(SWEEP)
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }
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
    #[error("`{}` names no capture: there are `@last`, `@prev`, `@2026-11-24` (the last of that day) and `@tag:NAME`", name.escape_debug())]
    UnknownName {
        /// The name.
        name: String,
    },
    /// A tag that cannot be one.
    #[error("`{}` cannot be a tag: letters, digits and any of `.-_`, at most 60", name.escape_debug())]
    BadTag {
        /// The tag.
        name: String,
    },
    /// A tag that does not exist.
    #[error("there is no tag `{name}`{}", if tags.is_empty() { String::new() } else { format!("; there are: {}", tags.join(", ")) })]
    NoSuchTag {
        /// The tag.
        name: String,
        /// Those that exist.
        tags: Vec<String>,
    },
    /// Only captures of the store have tags.
    #[error("`{}` is not in the store `{}`; only what is there can be tagged", path.display(), directory.display())]
    NotInStore {
        /// The capture.
        path: PathBuf,
        /// The store.
        directory: PathBuf,
    },
}

impl Store {
    /// The store in `directory`, which is made when the first capture is written.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
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

    /// The path that `name` stands for: `@last`, `@prev`, `@tag:NAME`, the last of a day or of a moment
    /// (`@2026-11-24`, `@2026-11-24T15:03`, both UTC), or a path as it is.
    ///
    /// # Errors
    /// When `name` begins with `@` and names nothing.
    pub fn resolve(&self, name: &str) -> Result<PathBuf, StoreError> {
        let Some(short) = name.strip_prefix('@') else { return Ok(PathBuf::from(name)) };
        if let Some(tag) = short.strip_prefix("tag:") {
            return self.tagged(tag);
        }
        let mut complete = self.entries()?.into_iter().filter(|entry| !entry.partial).rev();
        let found = match (short, moment(short)) {
            ("last", _) => complete.next(),
            ("prev", _) => complete.nth(1),
            (_, Some(prefix)) => complete.find(|entry| entry.time.starts_with(&prefix)),
            _ => return Err(StoreError::UnknownName { name: name.to_owned() }),
        };
        let missing = || StoreError::NoSuchCapture { name: name.to_owned(), directory: self.directory.clone() };
        found.map(|entry| entry.path).ok_or_else(missing)
    }

    fn tagged(&self, tag: &str) -> Result<PathBuf, StoreError> {
        let tags = self.tags()?;
        let of = tags.iter().find(|(_, tags)| tags.contains(tag)).map(|(file, _)| self.directory.join(file));
        of.filter(|path| path.exists()).ok_or_else(|| StoreError::NoSuchTag {
            name: tag.escape_debug().to_string(),
            tags: tags.into_values().flatten().collect(),
        })
    }

    /// Gives a capture of the store a name that keeps it from being pruned. A tag that exists moves.
    ///
    /// # Errors
    /// When it is no tag, `path` is not in the store, or the disk is full.
    pub fn tag(&self, path: &Path, tag: &str) -> Result<(), StoreError> {
        let fine = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if tag.is_empty() || tag.len() > 60 || tag.starts_with('.') || !tag.chars().all(fine) {
            return Err(StoreError::BadTag { name: tag.to_owned() });
        }
        let entry = self.entries()?.into_iter().find(|entry| entry.path == path && !entry.partial);
        let Some(entry) = entry else {
            return Err(StoreError::NotInStore { path: path.to_owned(), directory: self.directory.clone() });
        };
        let directory = self.directory.join(TAGS);
        let write = || {
            std::fs::create_dir_all(&directory)?;
            let mut file = tempfile::NamedTempFile::new_in(&directory)?;
            io::Write::write_all(&mut file, entry.name().as_bytes())?;
            file.persist(directory.join(tag)).map_err(|error| error.error)
        };
        write()
            .map(drop)
            .map_err(|source| CaptureError::Io { action: "write the tag", path: directory.join(tag), source }.into())
    }

    /// Takes a tag away.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn untag(&self, tag: &str) -> Result<(), StoreError> {
        self.tagged(tag)?;
        let path = self.directory.join(TAGS).join(tag);
        std::fs::remove_file(&path).map_err(|source| CaptureError::Io { action: "remove", path, source }.into())
    }

    /// The tags by the file that they name.
    fn tags(&self) -> Result<BTreeMap<String, BTreeSet<String>>, CaptureError> {
        let directory = self.directory.join(TAGS);
        let failed = |source| CaptureError::Io { action: "list", path: directory.clone(), source };
        let mut tags: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let listing = match std::fs::read_dir(&directory) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tags),
            Err(error) => return Err(failed(error)),
        };
        for file in listing {
            let path = file.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
            if let (Some(name), Ok(of)) = (name, std::fs::read_to_string(&path)) {
                tags.entry(of).or_default().insert(name.to_owned());
            }
        }
        Ok(tags)
    }

    /// Removes all but the newest `keep` sweeps and the newest `keep` other runs; those that are tagged or still being
    /// written stay. Returns what was removed.
    ///
    /// # Errors
    /// When the directory cannot be listed or a file not be removed.
    pub fn prune(&self, keep: usize) -> Result<Vec<PathBuf>, CaptureError> {
        let mut removed = Vec::new();
        let (sweeps, others): (Vec<_>, Vec<_>) =
            self.entries()?.into_iter().filter(|entry| entry.tags.is_empty()).partition(Entry::is_sweep);
        for entries in [sweeps, others] {
            let surplus = entries.len().saturating_sub(keep);
            for entry in entries.into_iter().take(surplus).filter(|entry| !entry.partial || !is_locked(&entry.path)) {
                match std::fs::remove_file(&entry.path) {
                    // Another run pruned it first.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => return Err(CaptureError::Io { action: "remove", path: entry.path, source }),
                    Ok(()) => removed.push(entry.path),
                }
            }
        }
        Ok(removed)
    }

    /// The finished captures of one label, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn history(&self, label: &str) -> Result<Vec<Entry>, CaptureError> {
        let label = file_label(label);
        Ok(self.entries()?.into_iter().filter(|entry| entry.label == label && !entry.partial).collect())
    }

    /// Captures by age, oldest first. Files of other names are not ours and are never touched.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn entries(&self) -> Result<Vec<Entry>, CaptureError> {
        let failed = |source| CaptureError::Io { action: "list", path: self.directory.clone(), source };
        let listing = match std::fs::read_dir(&self.directory) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut tags = self.tags()?;
        let mut entries = Vec::new();
        for file in listing {
            let path = file.map_err(failed)?.path();
            if let Some(mut entry) = parse_name(&path) {
                entry.tags = tags.remove(entry.name()).unwrap_or_default();
                entries.push(entry);
            }
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
    let (label, time, number) = if is_time(last) {
        (rest, last, 0)
    } else {
        let (label, time) = rest.rsplit_once('-')?;
        (label, time, last.parse().ok()?)
    };
    is_time(time).then(|| Entry {
        time: time.to_owned(),
        number,
        path: path.to_owned(),
        label: label.to_owned(),
        partial,
        tags: BTreeSet::new(),
    })
}

/// How the times of a day or a moment begin: `2026-11-24T15:03` becomes `20261124T1503`.
fn moment(text: &str) -> Option<String> {
    let (day, clock) = text.split_once('T').unwrap_or((text, ""));
    let day: jiff::civil::Date = day.parse().ok()?;
    let clock: String = clock.trim_end_matches('Z').chars().filter(|c| *c != ':').collect();
    let fine = clock.len() <= 6 && clock.len().is_multiple_of(2) && clock.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| format!("{}T{clock}", day.strftime("%Y%m%d")))
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
        store.prune(KEEP).unwrap();
        assert!(running.exists() && foreign.exists() && !killed.exists());
        assert_eq!(store.entries().unwrap().len(), KEEP + 1);
    }

    #[test]
    fn days_moments_and_tags_name_captures() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let paths: Vec<_> = [0, 60, 24 * 3600].map(|second| store.new_path("run", at(second)).unwrap()).into();
        paths.iter().for_each(|path| drop(File::create(path).unwrap()));
        let resolve = |name: &str| store.resolve(name);
        assert_eq!(resolve("@2026-09-21").unwrap(), paths[1], "the last of the day");
        assert_eq!(resolve("@2026-09-21T14:13").unwrap(), paths[0]);
        assert!(matches!(resolve("@2026-09-20"), Err(StoreError::NoSuchCapture { .. })));
        assert!(matches!(resolve("@2026-13-20"), Err(StoreError::UnknownName { .. })));
        store.tag(&paths[0], "before").unwrap();
        assert_eq!(resolve("@tag:before").unwrap(), paths[0]);
        store.tag(&paths[1], "before").unwrap();
        assert_eq!(resolve("@tag:before").unwrap(), paths[1], "a tag moves");
        assert!(matches!(resolve("@tag:after"), Err(StoreError::NoSuchTag { tags, .. }) if tags == ["before"]));
        for bad in ["", "../x", "a b", ".hidden"] {
            assert!(matches!(store.tag(&paths[0], bad), Err(StoreError::BadTag { .. })), "{bad}");
        }
        assert!(matches!(store.tag(&directory.path().join("x.fdcap"), "x"), Err(StoreError::NotInStore { .. })));
        assert_eq!(store.prune(0).unwrap(), [paths[0].clone(), paths[2].clone()], "what is tagged stays");
        store.untag("before").unwrap();
        assert_eq!(store.prune(0).unwrap(), [paths[1].clone()]);
        assert!(matches!(store.untag("before"), Err(StoreError::NoSuchTag { .. })));
    }

    #[test]
    fn sweeps_do_not_push_other_runs_out() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().to_owned());
        let incident = store.new_path("relay-2", at(0)).unwrap();
        File::create(&incident).unwrap();
        for second in 1..5 {
            File::create(store.new_path("sweep-all", at(second)).unwrap()).unwrap();
        }
        assert_eq!(store.prune(2).unwrap().len(), 2);
        assert!(incident.exists());
    }
}
