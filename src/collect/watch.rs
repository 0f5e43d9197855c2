//! A console's window: updates as they come, help for a console that lags, and a closer look at a few tasks at the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tonic::Streaming;

use super::client::Client;
use super::observe::{Observer, failure_of, local};
use crate::decode::Glance;
use crate::model::{Ended, Failure, Reason, SpanId, Stage, Stream};

/// Neutral calls between the first two updates that show a lag; four times as many between the next two, and so on.
const FIRST_NUDGES: u32 = 64;

/// Neutral calls are spread over a tick, but over no longer than this.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// How long a console may take to catch up. One that creates more than it can take in never does.
const CATCH_UP: Duration = Duration::from_secs(8);

/// How long the closer look at all suspects of one target may take.
const DETAILS: Duration = Duration::from_secs(2);

/// A console that is being watched, and what was learnt of it.
pub(super) struct Watch {
    pub client: Client,
    /// The updates, and the first of them.
    pub updates: Option<(Streaming<Bytes>, Bytes)>,
    pub states: Option<Streaming<Bytes>>,
    pub paused: bool,
    pub bytes: u64,
    pub serves_state: Option<bool>,
    pub first_update_after: Duration,
    pub nudges: u32,
    glance: Glance,
    next_nudges: u32,
    catch_up_until: Option<Instant>,
}

impl Watch {
    pub(super) fn new(client: Client, max_details: usize) -> Self {
        Self {
            client,
            updates: None,
            states: None,
            paused: false,
            bytes: 0,
            serves_state: None,
            first_update_after: Duration::ZERO,
            nudges: 0,
            glance: Glance::new(max_details),
            next_nudges: FIRST_NUDGES,
            catch_up_until: None,
        }
    }

    /// Takes updates until the window is over, or something else ends it; then looks closer at the suspects.
    pub(super) async fn run(&mut self, observer: &mut Observer<'_>) -> Ended {
        let Some((mut updates, mut update)) = self.updates.take() else { return Ended::WindowOver };
        let window_ends = Instant::now() + observer.budget.window;
        loop {
            if let Err(ended) = self.take(observer, update) {
                return ended;
            }
            let lags = self.catches_up(observer.budget.max_catch_up_calls);
            if self.glance.seen() >= observer.budget.window && !lags {
                break;
            }
            let nudges = if lags { self.next_nudges.min(observer.budget.max_catch_up_calls - self.nudges) } else { 0 };
            update = match self.next_update(observer, &mut updates, window_ends, nudges).await {
                Ok(update) => update,
                // A console that somebody paused publishes nothing; there was no tick to wait for.
                Err(Ended::Broken(Failure { reason: Reason::StreamStalled, .. })) if self.paused => break,
                Err(ended) => return ended,
            };
        }
        self.look_closer(observer).await.map_or_else(|error| Ended::Broken(local(&error)), |()| Ended::WindowOver)
    }

    /// Whether the console lags and may still be helped.
    fn catches_up(&mut self, most: u32) -> bool {
        let now = Instant::now();
        self.glance.lag().is_some() && self.nudges < most && now < *self.catch_up_until.get_or_insert(now + CATCH_UP)
    }

    /// Keeps one update, and looks at it; an error is why it was the last.
    fn take(&mut self, observer: &mut Observer<'_>, update: Bytes) -> Result<(), Ended> {
        let learnt = self.glance.update(&update);
        observer.keep(self, Stream::Updates, update).map_err(|error| Ended::Broken(local(&error)))?;
        learnt.map_err(|error| Ended::Broken(Failure::new(Reason::MalformedUpdate, error.to_string())))?;
        let (bytes, entities) = (observer.budget.max_target_bytes, observer.budget.max_entities);
        if self.bytes > bytes {
            return Err(Ended::BoundHit { bound: format!("{bytes} bytes from one target") });
        }
        if self.glance.entities() > entities {
            return Err(Ended::BoundHit { bound: format!("{entities} entities of one target") });
        }
        Ok(())
    }

    /// Waits for the next update; meanwhile makes `nudges` neutral calls, and follows the console's state.
    async fn next_update(
        &mut self,
        observer: &mut Observer<'_>,
        updates: &mut Streaming<Bytes>,
        window_ends: Instant,
        nudges: u32,
    ) -> Result<Bytes, Ended> {
        let broken = |failure| Err(Ended::Broken(failure));
        let (stall, deadline) = (observer.budget.stall, observer.deadline);
        let since = Instant::now();
        let made = AtomicU32::new(0);
        let tick = self.glance.tick().min(LONGEST_TICK);
        let mut nudging = std::pin::pin!(nudge(self.client.clone(), nudges, tick, stall, &made));
        let mut nudged = false;
        let next = loop {
            let until = if self.paused { window_ends } else { since + stall };
            tokio::select! {
                biased;
                () = observer.stop.stopped() => {
                    break broken(Failure::new(observer.stop.reason(), "").at(Stage::Observe));
                }
                next = timeout_at(until.min(deadline), updates.message()) => break match next {
                    Ok(Ok(Some(update))) => Ok(update),
                    Ok(Ok(None)) => broken(Failure::new(Reason::StreamBroken, "the console ended the stream")),
                    Ok(Err(status)) => broken(failure_of(&status)),
                    Err(_) if Instant::now() >= deadline => {
                        Err(Ended::BoundHit { bound: format!("{:?} for one host", observer.budget.host_total) })
                    }
                    Err(_) => broken(Failure::new(Reason::StreamStalled, format!("nothing for {stall:?}"))),
                },
                Some(state) = next_state(&mut self.states), if self.states.is_some() => {
                    if let Err(error) = observer.state(self, state) {
                        break broken(local(&error));
                    }
                }
                () = &mut nudging, if !nudged => nudged = true,
            }
        };
        self.nudges += made.load(Ordering::Relaxed);
        if nudges > 0 {
            self.next_nudges = self.next_nudges.saturating_mul(4);
        }
        next
    }

    /// Fetches the histograms of the suspects, all at once. What does not come in time is left out.
    async fn look_closer(&mut self, observer: &mut Observer<'_>) -> std::io::Result<()> {
        let suspects = self.glance.suspects();
        let until = observer.deadline.min(Instant::now() + DETAILS);
        let mut calls = JoinSet::new();
        for (order, &task) in suspects.iter().enumerate() {
            let mut client = self.client.clone();
            calls.spawn(async move { (order, task, timeout_at(until, client.details(task)).await) });
        }
        let mut came: Vec<(usize, SpanId, Bytes)> = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = observer.stop.stopped() => break,
                next = calls.join_next() => match next {
                    Some(Ok((order, task, Ok(Ok(Some(details)))))) => came.push((order, task, details)),
                    Some(_) => {}
                    None => break,
                },
            }
        }
        came.sort_by_key(|(order, ..)| *order);
        for (_, task, details) in came {
            observer.keep(self, Stream::Details(task), details)?;
        }
        Ok(())
    }
}

/// Makes `count` neutral calls, spread evenly over `tick`, each of which lets the console take in what waits for it: so
/// little is left waiting when the tick comes. Counts those that were made.
async fn nudge(mut client: Client, count: u32, tick: Duration, patience: Duration, made: &AtomicU32) {
    let began = Instant::now();
    for call in 0..count {
        sleep_until(began + tick * call / count).await;
        made.fetch_add(1, Ordering::Relaxed);
        if !matches!(timeout(patience, client.nudge()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next state, for ever absent when there are none; a stream that ends is given up.
pub(super) async fn next_state(states: &mut Option<Streaming<Bytes>>) -> Option<Bytes> {
    let next = match states {
        Some(stream) => stream.message().await.ok().flatten(),
        None => None,
    };
    if next.is_none() {
        *states = None;
    }
    next
}
