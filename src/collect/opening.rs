//! Why a stream ended before it said anything: who opened it knows.

use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::timeout;

use super::observe::Nothing;
use super::pipe::Complaints;
use super::ssh::Master;
use super::tap::Seen;
use crate::model::{Ended, Failure, Observation, Reason};

/// How long one target may keep the others of its server from opening theirs. An answer takes one round trip.
const OPENING: Duration = Duration::from_secs(1);

/// Who knows why a stream ended before it said anything.
pub(super) enum Cause<'a> {
    /// Nobody.
    Unknown,
    /// The session through which its channel was opened.
    Channel(Opening<'a>),
    /// The process that connects to this port for us.
    Process(Complaints, u16),
}

/// A channel that is being opened through a session.
pub(super) struct Opening<'a> {
    master: &'a Master,
    guard: Option<MutexGuard<'a, ()>>,
    mark: usize,
    /// Until here on stderr, what is said is about this channel; absent as long as we hold the guard.
    end: Option<usize>,
}

impl<'a> Opening<'a> {
    /// Begins when no other channel of the session is being opened.
    pub(super) async fn through(master: &'a Master) -> Self {
        Self { master, guard: Some(master.opening.lock().await), mark: master.mark(), end: None }
    }

    /// Runs `observing`, lets the next target open its channel once this one has answered, and finds out why when
    /// it never did.
    pub(super) async fn around<F>(mut self, observing: F, seen: &Seen) -> Result<Observation, Failure>
    where
        F: Future<Output = Result<Observation, Nothing>>,
    {
        let mut observing = std::pin::pin!(observing);
        let mut settled = std::pin::pin!(timeout(OPENING, seen.settled()));
        let observed = loop {
            tokio::select! {
                biased;
                observed = &mut observing => break observed,
                _ = &mut settled, if self.guard.is_some() && !seen.has_ended() => {
                    if !seen.has_ended() {
                        self.end = Some(self.master.mark());
                        self.guard = None;
                    }
                }
            }
        };
        let refusal = match &observed {
            Err(Nothing::ClosedAtOnce) => self.master.refusal_since(self.mark).await,
            // A refusal may have come without the stream's end.
            Err(Nothing::Failed(Failure { reason: Reason::SilentEndpoint, .. })) => {
                let end = self.end.unwrap_or_else(|| self.master.mark());
                self.master.refusal_between(self.mark, end)
            }
            _ => None,
        };
        drop(self.guard);
        let observed = with_lost_session(self.master, observed).await;
        match (observed, refusal) {
            (Err(Nothing::Failed(_)), Some(refusal)) => Err(refusal),
            (observed, refusal) => observed.map_err(|nothing| nothing.or(|| refusal.or_else(|| self.master.lost()))),
        }
    }
}

/// A stream that broke says so; that its whole session did is the better reason.
async fn with_lost_session(
    master: &Master,
    mut observed: Result<Observation, Nothing>,
) -> Result<Observation, Nothing> {
    let failure = match &mut observed {
        Ok(Observation { ended: Ended::Broken(failure), .. }) | Err(Nothing::Failed(failure)) => failure,
        _ => return observed,
    };
    if failure.reason == Reason::StreamBroken
        && let Some(lost) = master.lost_soon().await
    {
        *failure = lost.at(failure.stage);
    }
    observed
}

impl Nothing {
    /// The failure, with the cause that only whoever opened the stream knows.
    pub(super) fn or(self, cause: impl FnOnce() -> Option<Failure>) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::ClosedAtOnce => cause().unwrap_or_else(|| Failure::new(Reason::ClosedAtOnce, "")),
        }
    }
}
