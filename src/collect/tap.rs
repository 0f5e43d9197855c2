//! A stream that remembers how it began, so that a failure can be named after what really came.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Enough for `SSH-2.0-…`, `HTTP/1.1 400` or an HTTP/2 settings frame.
const KEPT: usize = 64;

/// What came through a [`Tap`], readable while and after it is used.
#[derive(Clone)]
pub(super) struct Seen {
    first: Arc<Mutex<Vec<u8>>>,
    spoke: CancellationToken,
    ended: CancellationToken,
    dropped: CancellationToken,
}

impl Seen {
    /// The first bytes that came, 64 at most.
    pub(super) fn first_bytes(&self) -> Vec<u8> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The other side closed.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Until a byte came or the other side closed.
    pub(super) async fn settled(&self) {
        tokio::select! {
            () = self.spoke.cancelled() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Until the stream is closed on our side.
    pub(super) async fn dropped(&self) {
        self.dropped.cancelled().await;
    }
}

/// A stream that keeps its first bytes.
pub(super) struct Tap<S> {
    stream: S,
    seen: Seen,
    _open: DropGuard,
}

impl<S> Tap<S> {
    pub(super) fn new(stream: S) -> (Self, Seen) {
        let dropped = CancellationToken::new();
        let seen = Seen {
            first: Arc::default(),
            spoke: CancellationToken::new(),
            ended: CancellationToken::new(),
            dropped: dropped.clone(),
        };
        (Self { stream, seen: seen.clone(), _open: dropped.drop_guard() }, seen)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(result) = &polled {
            let new = buffer.filled().get(before..).unwrap_or_default();
            if result.is_err() || new.is_empty() {
                self.seen.ended.cancel();
            } else if !self.seen.spoke.is_cancelled() || self.seen.first_bytes().len() < KEPT {
                let mut first = self.seen.first.lock().unwrap_or_else(PoisonError::into_inner);
                let room = KEPT - first.len();
                first.extend(new.iter().take(room));
                drop(first);
                self.seen.spoke.cancel();
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buffer);
        // Whoever writes to a closed stream may never read from it again.
        if matches!(polled, Poll::Ready(Err(_))) {
            self.seen.ended.cancel();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
