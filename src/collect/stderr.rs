//! What `ssh`, or another program, prints while it runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::time::timeout;

/// How much of it is kept, in bytes.
const MAX_STDERR: usize = 16 << 10;

/// How long the reason may come after a connection broke.
pub(super) const REASON_DELAY: Duration = Duration::from_millis(500);

/// Always drained, the last part kept.
#[derive(Clone)]
pub(super) struct Stderr {
    tail: Arc<Mutex<Tail>>,
    changed: watch::Receiver<()>,
}

#[derive(Default)]
struct Tail {
    text: String,
    /// Bytes that were dropped before `text`.
    dropped: usize,
}

impl Stderr {
    /// Reads it to its end, whether or not somebody asks.
    pub(super) fn drain<R: AsyncRead + Send + Unpin + 'static>(stderr: Option<R>) -> Self {
        let tail: Arc<Mutex<Tail>> = Arc::default();
        let (announce, changed) = watch::channel(());
        let kept = Arc::clone(&tail);
        if let Some(mut stderr) = stderr {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..read]);
                    announce.send_replace(());
                }
            });
        }
        Self { tail, changed }
    }

    /// A mark behind everything that came so far.
    pub(super) fn end(&self) -> usize {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.dropped + tail.text.len()
    }

    /// What came after `mark`, as far as it is kept.
    pub(super) fn text_from(&self, mark: usize) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.text.get(mark.saturating_sub(tail.dropped)..).unwrap_or(&tail.text).to_owned()
    }

    /// Everything, once it has ended, or as much as comes in the time in which a reason comes.
    pub(super) async fn whole(mut self) -> String {
        let _ = timeout(REASON_DELAY, self.wait_for(0, |_| false)).await;
        self.text_from(0)
    }

    /// Its program has closed it, and is ending.
    pub(super) fn has_ended(&self) -> bool {
        self.changed.has_changed().is_err()
    }

    /// Waits until what came after `mark` is `enough`; false when it ended first.
    pub(super) async fn wait_for(&mut self, mark: usize, enough: impl Fn(&str) -> bool) -> bool {
        loop {
            if enough(&self.text_from(mark)) {
                return true;
            }
            if self.changed.changed().await.is_err() {
                return enough(&self.text_from(mark));
            }
        }
    }
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.text.push_str(&String::from_utf8_lossy(bytes));
        if self.text.len() > MAX_STDERR {
            let least = self.text.len() - MAX_STDERR;
            let cut = (least..=self.text.len()).find(|&at| self.text.is_char_boundary(at)).unwrap_or(least);
            self.text.drain(..cut);
            self.dropped += cut;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_STDERR, Tail};

    #[test]
    fn what_ssh_prints_is_kept_within_bounds() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push("äöü ".repeat(100).as_bytes());
        }
        assert!(tail.text.len() <= MAX_STDERR);
        assert_eq!(tail.dropped + tail.text.len(), 100 * 700);
    }
}
