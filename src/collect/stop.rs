//! Ending a run early: by signal, or at the deadline of the whole run.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::model::{Failure, Reason, Stage};

/// Waits for `time`, on a clock that nobody sets, or until a signal comes; tells whether one came.
///
/// # Errors
/// When the signal handlers cannot be set up.
pub fn pause(time: Duration) -> std::io::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = Stop::listen(Some(time))?;
        stop.orderly.cancelled().await;
        Ok(stop.is_interrupted())
    })
}

/// Shared by everything that must end when the run ends.
#[derive(Clone)]
pub(super) struct Stop {
    orderly: CancellationToken,
    at_once: CancellationToken,
    interrupted: Arc<AtomicBool>,
}

impl Stop {
    /// Listens for signals and counts down to `deadline`, until the runtime ends.
    pub(super) fn listen(deadline: Option<Duration>) -> std::io::Result<Self> {
        let stop = Self {
            orderly: CancellationToken::new(),
            at_once: CancellationToken::new(),
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let shared = stop.clone();
        tokio::spawn(async move {
            for token in [&shared.orderly, &shared.at_once] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                shared.interrupted.store(true, Ordering::Release);
                token.cancel();
            }
        });
        if let Some(deadline) = deadline {
            let orderly = stop.orderly.clone();
            tokio::spawn(async move {
                tokio::time::sleep(deadline).await;
                orderly.cancel();
            });
        }
        Ok(stop)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.orderly.is_cancelled()
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    pub(super) async fn stopped(&self) {
        self.orderly.cancelled().await;
    }

    pub(super) async fn at_once(&self) {
        self.at_once.cancelled().await;
    }

    /// Why the run stops early, once it does.
    pub(super) fn reason(&self) -> Reason {
        if self.is_interrupted() { Reason::Interrupted } else { Reason::DeadlineExceeded }
    }

    /// `work`, unless the run stops first: then the failure that says so, at `stage`.
    pub(super) async fn unless<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.stopped() => Err(Failure::new(self.reason(), "").at(stage)),
            done = work => done,
        }
    }
}
