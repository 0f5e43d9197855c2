//! The private directory of one run, where its sockets are.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = "fleetdiag-";
const LOCK: &str = "lock";

/// ssh binds `<path>.<16 random characters>` first, so of the 107 bytes of a socket address 90 remain.
const MAX_SOCKET_PATH: usize = 90;

/// The longest name that [`Directory::next_socket`] gives out, with its slash.
const LONGEST_NAME: usize = "/4294967295".len();

/// After this an unlocked directory without a lock file is no run that is just starting.
const STARTING: Duration = Duration::from_secs(60);

/// A directory that nobody else can enter. It goes when it is dropped; one that a killed run left goes when the next
/// run starts.
pub(super) struct Directory {
    path: TempDir,
    next: AtomicUsize,
    /// Locked as long as we live, so that another run can tell.
    _lock: File,
}

impl Directory {
    /// Makes one below `$XDG_RUNTIME_DIR`, or else the system's temporary directory, and sweeps what killed runs left there.
    pub(super) fn create() -> io::Result<Self> {
        let bases =
            [std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), Some(std::env::temp_dir()), Some("/tmp".into())];
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for base in bases.into_iter().flatten() {
            sweep(&base);
            match Self::create_in(&base) {
                Ok(directory) => return Ok(directory),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let path =
            tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(base)?;
        if path.path().as_os_str().len() + LONGEST_NAME > MAX_SOCKET_PATH {
            let why = format!("`{}` is too long a path for sockets", base.display());
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, why));
        }
        // Locked before it gets the name under which others look for it.
        let starting = path.path().join("starting");
        let lock = File::create(&starting)?;
        lock.try_lock()?;
        fs::rename(&starting, path.path().join(LOCK))?;
        Ok(Self { path, next: AtomicUsize::new(0), _lock: lock })
    }

    /// A path for a socket that was not given out before.
    pub(super) fn next_socket(&self) -> PathBuf {
        self.path.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

/// Removes our directories in `base` whose owner is gone. What cannot be removed stays for the next time.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_stale(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_stale(directory: &Path) -> bool {
    let ours = |metadata: &fs::Metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    let Some(metadata) = fs::symlink_metadata(directory).ok().filter(ours) else { return false };
    match File::open(directory.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => metadata.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STARTING),
    }
}

#[cfg(test)]
mod tests {
    use super::{Directory, LOCK, MAX_SOCKET_PATH, PREFIX, sweep};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nobody_else_can_enter_and_nothing_stays() {
        let base = tempfile::tempdir().unwrap();
        let directory = Directory::create_in(base.path()).unwrap();
        let path = directory.path.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_ne!(directory.next_socket(), directory.next_socket());
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn sweeping_takes_what_a_killed_run_left_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let alive = Directory::create_in(base.path()).unwrap();
        let killed = base.path().join(format!("{PREFIX}killed"));
        let foreign = base.path().join("other-killed");
        let starting = base.path().join(format!("{PREFIX}starting"));
        for directory in [&killed, &foreign, &starting] {
            fs::create_dir(directory).unwrap();
        }
        for directory in [&killed, &foreign] {
            fs::write(directory.join(LOCK), "").unwrap();
        }
        sweep(base.path());
        assert!(alive.path.path().exists() && foreign.exists() && starting.exists());
        assert!(!killed.exists());
    }

    #[test]
    fn a_base_too_long_for_sockets_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(MAX_SOCKET_PATH));
        fs::create_dir(&long).unwrap();
        assert!(Directory::create_in(&long).is_err());
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
    }
}
