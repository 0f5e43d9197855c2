//! One console, from its first byte to the end of its window.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Status, Streaming};

use super::classify;
use super::client::Client;
use super::stop::Stop;
use super::tap::{Seen, Tap};
use super::watch::{Watch, next_state};
use crate::capture::Spool;
use crate::decode;
use crate::model::{Failure, Frame, Observation, Reason, Received, Stage, Stream};
use crate::plan::Budget;

/// `WatchState` answers within milliseconds where it is served.
const STATE_WAIT: Duration = Duration::from_secs(1);

/// The HTTP/2 frame type of SETTINGS, which a gRPC server sends first (RFC 9113, 3.4 and 6.5).
const SETTINGS_FRAME: u8 = 4;

/// The answer to our question for the console's state, which may still be on its way.
type States = Pin<Box<dyn Future<Output = Result<Option<Streaming<Bytes>>, Status>> + Send>>;

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
        let (client, states) = self.greet(tap, seen).await?;
        (self.on_stage)(Stage::Observe);
        let stop = self.stop;
        let mut watch = stop.unless(Stage::Observe, self.subscribe(client, states)).await?;
        watch.first_update_after = began.elapsed();
        (self.on_first_update)();
        let ended = watch.run(&mut self).await;
        Ok(Observation {
            ended,
            serves_state: watch.serves_state,
            first_update_after: watch.first_update_after,
            bytes: watch.bytes,
            catch_up_calls: watch.nudges,
        })
    }

    /// Makes sure that a console answers, and asks for its state in the same breath: sshd has no reason to send small
    /// answers at once, so every round trip less counts twice.
    async fn greet<S>(&self, tap: Tap<S>, seen: &Seen) -> Result<(Client, States), Nothing>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limit = self.within(self.budget.first_byte);
        let ping = async {
            let mut client =
                Client::connect(tap, self.budget.max_message_bytes).await.map_err(|error| causes(&error))?;
            let (status, states) = ping_with_states(&mut client).await;
            Ok::<_, String>((client, states, status))
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
            Some(Ok((client, states, status))) if status.code() == Code::InvalidArgument => {
                return Ok((client, states));
            }
            Some(Ok((_, _, status))) => Some(describe(&status)),
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

    /// Takes the state, asks for the updates, and waits for the first of these.
    async fn subscribe(&mut self, client: Client, states: States) -> Result<Watch, Failure> {
        let limit = self.within(self.budget.first_update);
        let mut watch = Watch::new(client, self.budget.max_details);
        let early = |status: Status| failure_of(&status);
        let states = timeout_at(limit, states).await.map_err(|_| no_update(false))?.map_err(early)?;
        watch.serves_state = Some(states.is_some());
        watch.states = states;
        // It comes in milliseconds where it comes at all.
        if let Ok(Some(state)) = timeout(STATE_WAIT, next_state(&mut watch.states)).await {
            self.state(&mut watch, state).map_err(|error| local(&error))?;
        }
        let paused = watch.paused;
        let late = |_| no_update(paused);
        let mut updates = timeout_at(limit, watch.client.updates()).await.map_err(late)?.map_err(early)?;
        let first = timeout_at(limit, updates.message()).await.map_err(late)?.map_err(early)?;
        let first = first.ok_or_else(|| Failure::new(Reason::StreamBroken, "the console ended the stream"))?;
        watch.updates = Some((updates, first));
        Ok(watch)
    }

    /// Keeps a state that differs from the one before it: there is one for whatever the console does.
    pub(super) fn state(&mut self, watch: &mut Watch, state: Bytes) -> io::Result<()> {
        let paused = decode::is_paused(&state);
        if std::mem::replace(&mut watch.paused, paused) == paused && watch.bytes > 0 {
            return Ok(());
        }
        self.keep(watch, Stream::State, state)
    }

    pub(super) fn keep(&mut self, watch: &mut Watch, stream: Stream, bytes: Bytes) -> io::Result<()> {
        watch.bytes += bytes.len() as u64;
        let received = Received(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX));
        self.spool.push(&Frame { stream, received, bytes })
    }

    fn within(&self, stage: Duration) -> Instant {
        self.deadline.min(Instant::now() + stage)
    }
}

/// Sends both questions before it waits for the answer to the first.
async fn ping_with_states(client: &mut Client) -> (Status, States) {
    let mut asking = client.clone();
    let mut states: States = Box::pin(async move { asking.states().await });
    let mut early = None;
    let mut ping = std::pin::pin!(client.ping());
    let status = loop {
        tokio::select! {
            biased;
            status = &mut ping => break status,
            answer = &mut states, if early.is_none() => early = Some(answer),
        }
    };
    let states = early.map_or(states, |answer| Box::pin(std::future::ready(answer)) as States);
    (status, states)
}

async fn closed_without_a_byte(seen: &Seen) {
    seen.settled().await;
    if !seen.first_bytes().is_empty() {
        std::future::pending::<()>().await;
    }
}

fn no_update(paused: bool) -> Failure {
    // A paused console has no ticks, and its first message does not come when the state is too large for it.
    Failure::new(Reason::NoFirstUpdate, if paused { "somebody paused the console" } else { "" })
}

pub(super) fn local(error: &io::Error) -> Failure {
    Failure::new(Reason::LocalLimit, error.to_string()).at(Stage::Observe)
}

/// A gRPC status that ended an update stream.
pub(super) fn failure_of(status: &Status) -> Failure {
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
