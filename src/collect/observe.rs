//! One console, from its first byte to the end of its window.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status, Streaming};

use super::classify;
use super::client::Client;
use super::stop::Stop;
use super::tap::{Seen, Tap};
use crate::capture::Spool;
use crate::decode::{self, Glance};
use crate::model::{Ended, Failure, Frame, Observation, Reason, Received, Stage, Stream, TargetTime};
use crate::plan::Budget;

/// `WatchState` answers within milliseconds where it is served.
const STATE_WAIT: Duration = Duration::from_secs(1);

/// Neutral calls between two updates.
const NUDGES_AT_ONCE: u32 = 50;

/// The HTTP/2 frame type of SETTINGS, which a gRPC server sends first (RFC 9113, 3.4 and 6.5).
const SETTINGS_FRAME: u8 = 4;

/// Everything that observing one console needs.
pub(super) struct Observer<'a> {
    pub budget: &'a Budget,
    pub stop: &'a Stop,
    pub spool: &'a mut Spool,
    /// Everything for this host ends here.
    pub deadline: Instant,
    /// Told at each new stage.
    pub on_stage: &'a (dyn Fn(Stage) + Sync),
    /// Told when the first update has come.
    pub on_first_update: &'a (dyn Fn() + Sync),
}

/// Why nothing was observed: a failure that is known, or a stream that ended without a byte, whose cause only
/// whoever opened it can know.
pub(super) enum Nothing {
    Failed(Failure),
    ClosedAtOnce,
}

impl From<Failure> for Nothing {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Observer<'_> {
    /// Observes the console behind `tap` for the window.
    pub(super) async fn observe<S>(mut self, tap: Tap<S>, seen: &Seen) -> Result<Observation, Nothing>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let began = Instant::now();
        (self.on_stage)(Stage::Console);
        let mut client = self.greet(tap, seen).await?;
        (self.on_stage)(Stage::Observe);
        let mut watch =
            Watch { began, paused: false, bytes: 0, serves_state: None, first_update_after: Duration::ZERO, nudges: 0 };
        let first = self.stop.unless(Stage::Observe, self.subscribe(&mut client, &mut watch)).await?;
        (self.on_first_update)();
        let ended = self.watch(&mut client, &mut watch, first).await;
        Ok(Observation {
            ended,
            serves_state: watch.serves_state,
            first_update_after: watch.first_update_after,
            bytes: watch.bytes,
            catch_up_calls: watch.nudges,
        })
    }

    /// Makes sure that a console answers.
    async fn greet<S>(&self, tap: Tap<S>, seen: &Seen) -> Result<Client, Nothing>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limit = self.within(self.budget.first_byte);
        let ping = async {
            let mut client =
                Client::connect(tap, self.budget.max_message_bytes).await.map_err(|error| causes(&error))?;
            let status = client.ping().await;
            Ok::<_, String>((client, status))
        };
        let answered = self
            .stop
            .unless(Stage::Console, async {
                tokio::select! {
                    biased;
                    answered = timeout_at(limit, ping) => Ok(answered.ok()),
                    // A stream that ends before it has said anything fails in many ways; all of them mean this one.
                    () = closed_without_a_byte(seen) => Ok(None),
                }
            })
            .await?;
        let refusal = match answered {
            Some(Ok((client, status))) if status.code() == Code::InvalidArgument => return Ok(client),
            Some(Ok((_, status))) => Some(describe(&status)),
            Some(Err(error)) => Some(classify::detail(&error)),
            None => None,
        };
        let first_bytes = seen.first_bytes();
        if first_bytes.is_empty() && seen.has_ended() {
            return Err(Nothing::ClosedAtOnce);
        }
        let failure = match refusal {
            _ if first_bytes.is_empty() => Failure::new(Reason::SilentEndpoint, "not a byte came"),
            _ if first_bytes.get(3) != Some(&SETTINGS_FRAME) => {
                let began = classify::detail(&first_bytes.escape_ascii().to_string());
                Failure::new(Reason::NotGrpc, format!("it begins with \"{began}\""))
            }
            Some(refusal) => Failure::new(Reason::NotAConsole, refusal),
            None => Failure::new(Reason::SilentEndpoint, "HTTP/2 answers, the console does not"),
        };
        Err(failure.into())
    }

    /// Asks for the state and the updates, and waits for the first of these.
    async fn subscribe(
        &mut self,
        client: &mut Client,
        watch: &mut Watch,
    ) -> Result<(Streaming<Bytes>, Bytes), Failure> {
        let limit = self.within(self.budget.first_update);
        let early = |status: Status| failure_of(&status);
        let state = timeout_at(limit, client.state(STATE_WAIT)).await.map_err(|_| no_update())?.map_err(early)?;
        watch.serves_state = Some(state.is_some());
        let mut updates = timeout_at(limit, client.updates()).await.map_err(|_| no_update())?.map_err(early)?;
        let first = timeout_at(limit, updates.message()).await.map_err(|_| no_update())?.map_err(early)?;
        let first = first.ok_or_else(|| Failure::new(Reason::StreamBroken, "the console ended the stream"))?;
        watch.first_update_after = watch.began.elapsed();
        watch.paused = state.as_ref().and_then(Option::as_deref).is_some_and(decode::is_paused);
        let kept = state.flatten().map_or(Ok(()), |state| self.keep(watch, Stream::State, state));
        kept.map_err(|error| Failure::new(Reason::LocalLimit, error.to_string()).at(Stage::Observe))?;
        Ok((updates, first))
    }

    /// Takes updates until the window is over, or something else ends it.
    async fn watch(mut self, client: &mut Client, watch: &mut Watch, first: (Streaming<Bytes>, Bytes)) -> Ended {
        let (mut updates, mut update) = first;
        let window_ends = Instant::now() + self.budget.window;
        let mut lag = Lag::default();
        loop {
            let glance = decode::glance(&update);
            if let Err(error) = self.keep(watch, Stream::Updates, update) {
                return Ended::Broken(Failure::new(Reason::LocalLimit, error.to_string()).at(Stage::Observe));
            }
            let glance = match glance {
                Ok(glance) => glance,
                Err(error) => return Ended::Broken(Failure::new(Reason::MalformedUpdate, error.to_string())),
            };
            if watch.bytes > self.budget.max_target_bytes {
                return Ended::BoundHit { bound: format!("{} bytes from one target", self.budget.max_target_bytes) };
            }
            let lags = lag.learn(&glance) && watch.nudges < self.budget.max_catch_up_calls;
            if lag.seen() >= self.budget.window && !lags {
                return Ended::WindowOver;
            }
            if lags {
                self.catch_up(client, watch).await;
            }
            // A console that somebody paused publishes nothing; there is no tick to wait for.
            let until = if watch.paused { window_ends } else { Instant::now() + self.budget.stall };
            update = match self.next_update(&mut updates, until).await {
                Ok(update) => update,
                Err(Ended::Broken(Failure { reason: Reason::StreamStalled, .. })) if watch.paused => {
                    return Ended::WindowOver;
                }
                Err(ended) => return ended,
            };
        }
    }

    /// Neutral calls, so that the console takes in the events that wait for it.
    async fn catch_up(&self, client: &mut Client, watch: &mut Watch) {
        let left = self.budget.max_catch_up_calls.saturating_sub(watch.nudges);
        for _ in 0..left.min(NUDGES_AT_ONCE) {
            watch.nudges += 1;
            if !matches!(timeout(self.budget.stall, client.nudge()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    async fn next_update(&self, updates: &mut Streaming<Bytes>, until: Instant) -> Result<Bytes, Ended> {
        let broken = |failure| Err(Ended::Broken(failure));
        tokio::select! {
            biased;
            () = self.stop.stopped() => broken(Failure::new(self.stop.reason(), "").at(Stage::Observe)),
            next = timeout_at(until.min(self.deadline), updates.message()) => match next {
                Ok(Ok(Some(update))) => Ok(update),
                Ok(Ok(None)) => broken(Failure::new(Reason::StreamBroken, "the console ended the stream")),
                Ok(Err(status)) => broken(failure_of(&status)),
                Err(_) if Instant::now() >= self.deadline => {
                    Err(Ended::BoundHit { bound: format!("{:?} for one host", self.budget.host_total) })
                }
                Err(_) => broken(Failure::new(Reason::StreamStalled, format!("nothing for {:?}", self.budget.stall))),
            },
        }
    }

    fn keep(&mut self, watch: &mut Watch, stream: Stream, bytes: Bytes) -> io::Result<()> {
        watch.bytes += bytes.len() as u64;
        let received = Received(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
        self.spool.push(&Frame { stream, received, bytes })
    }

    fn within(&self, stage: Duration) -> Instant {
        self.deadline.min(Instant::now() + stage)
    }
}

/// What is learnt while watching.
struct Watch {
    began: Instant,
    paused: bool,
    bytes: u64,
    serves_state: Option<bool>,
    first_update_after: Duration,
    nudges: u32,
}

/// Whether the console takes in its own events late. It drains about 127 of them per tick; whatever a process
/// creates beyond that waits.
#[derive(Default)]
struct Lag {
    updates: u32,
    first_now: Option<TargetTime>,
    last_now: Option<TargetTime>,
}

/// A tick that announces this much may have been cut off by the console's own bound.
const BUSY_TICK: usize = 100;

impl Lag {
    /// How much of the target's time has been seen.
    fn seen(&self) -> Duration {
        self.last_now.zip(self.first_now).map_or(Duration::ZERO, |(last, first)| last.since(first))
    }

    /// Takes in one update; true when the youngest task in it is older than two ticks although more was waiting.
    fn learn(&mut self, glance: &Glance) -> bool {
        let tick = match (glance.now, self.last_now) {
            (Some(now), Some(last)) => now.since(last),
            _ => Duration::MAX,
        };
        self.first_now = self.first_now.or(glance.now);
        self.last_now = glance.now.or(self.last_now);
        self.updates += 1;
        // The first two updates may repeat everything there is, however old.
        self.updates > 2
            && glance.events >= BUSY_TICK
            && glance.youngest_task.is_some_and(|age| age > tick.saturating_mul(2))
    }
}

async fn closed_without_a_byte(seen: &Seen) {
    seen.settled().await;
    if !seen.first_bytes().is_empty() {
        std::future::pending::<()>().await;
    }
}

fn no_update() -> Failure {
    Failure::new(Reason::NoFirstUpdate, "")
}

/// A gRPC status that ended an update stream.
fn failure_of(status: &Status) -> Failure {
    let reason = match status.code() {
        Code::OutOfRange => Reason::MessageTooLarge,
        _ => Reason::StreamBroken,
    };
    Failure::new(reason, describe(status))
}

fn describe(status: &Status) -> String {
    classify::detail(&format!("gRPC {:?}: {}", status.code(), status.message()))
}

fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::Lag;
    use crate::decode::Glance;
    use crate::model::TargetTime;
    use std::time::Duration;

    #[test]
    fn only_a_busy_tick_of_old_tasks_is_lag() {
        let glance = |second: i64, events, age| Glance {
            now: Some(TargetTime::from_nanos(second * 1_000_000_000)),
            events,
            youngest_task: Some(Duration::from_secs(age)),
            ..Glance::default()
        };
        let mut lag = Lag::default();
        assert!(!lag.learn(&glance(1, 5000, 60)), "a full state is as old as it is");
        assert!(!lag.learn(&glance(2, 5000, 60)), "and is repeated once");
        assert!(lag.learn(&glance(3, 127, 9)));
        assert!(!lag.learn(&glance(4, 127, 1)));
        assert!(!lag.learn(&glance(5, 3, 60)), "a quiet process creates little");
    }
}
