//! A file that several read at once, each at a place of its own.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes read at once, for whoever wants few.
const AHEAD: usize = 8 << 10;

/// One reader of the file. Its copies are others.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    file: Arc<File>,
    /// Where it reads next.
    at: u64,
    /// What was read ahead, and where that stands.
    ahead: Vec<u8>,
    ahead_at: u64,
}

impl Shared {
    pub(super) fn new(file: File) -> Self {
        Self { file: Arc::new(file), at: 0, ahead: Vec::new(), ahead_at: 0 }
    }

    /// What is there of `self.at` and behind it.
    fn known(&self) -> &[u8] {
        let skipped = self.at.checked_sub(self.ahead_at).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.ahead.get(skipped..)).unwrap_or_default()
    }
}

impl Read for Shared {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.known().is_empty() && into.len() < AHEAD {
            self.ahead.resize(AHEAD, 0);
            self.ahead_at = self.at;
            let read = self.file.read_at(&mut self.ahead, self.at).inspect_err(|_| self.ahead.clear())?;
            self.ahead.truncate(read);
        }
        let read = match self.known() {
            [] => self.file.read_at(into, self.at)?,
            known => {
                let length = known.len().min(into.len());
                into[..length].copy_from_slice(&known[..length]);
                length
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at =
            place.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the beginning of the file"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::Shared;
    use proptest::prelude::*;
    use std::io::{Cursor, Read, Seek, SeekFrom, Write};

    #[derive(Clone, Debug)]
    enum Step {
        Read(usize),
        Seek(SeekFrom),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_000usize).prop_map(Step::Read),
            (0..30_000u64).prop_map(|place| Step::Seek(SeekFrom::Start(place))),
            (-9_000..9_000i64).prop_map(|by| Step::Seek(SeekFrom::Current(by))),
            (-30_000..100i64).prop_map(|by| Step::Seek(SeekFrom::End(by))),
        ]
    }

    proptest! {
        #[test]
        fn each_reads_as_if_it_were_alone(steps in proptest::collection::vec((0..2usize, step()), 0..40)) {
            let bytes: Vec<u8> = (0..25_000u32).map(|n| (n * n / 7) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let shared = Shared::new(file);
            let mut readers = [shared.clone(), shared];
            let mut expected = [Cursor::new(&bytes), Cursor::new(&bytes)];
            for (who, step) in steps {
                match step {
                    Step::Read(length) => {
                        let (mut got, mut wanted) = (Vec::new(), Vec::new());
                        readers[who].by_ref().take(length as u64).read_to_end(&mut got).unwrap();
                        expected[who].by_ref().take(length as u64).read_to_end(&mut wanted).unwrap();
                        prop_assert!(got == wanted);
                    }
                    Step::Seek(to) => prop_assert_eq!(readers[who].seek(to).ok(), expected[who].seek(to).ok()),
                }
            }
        }
    }
}
