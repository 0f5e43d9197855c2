//! What can be detected: every detector with its thresholds, declared once. The enum that judging matches on, the loader,
//! the published schema and the documentation all come from this table.
//!
//! Rule ids are stable; a rule keeps its id for good. FD0xx are tokio-console's lints, FD1xx polls and scheduling, FD2xx
//! the life of tasks, FD3xx locks and channels, FD4xx the console and the process:
//!
//! | id | rule | id | rule |
//! | --- | --- | --- | --- |
//! | FD101 | long-poll | FD201 | task-leak |
//! | FD102 | stuck-poll | FD202 | cancelled-while-woken |
//! | FD103 | spinning | FD203 | waker-churn |
//! | FD104 | starved | FD301 | lock-contention |
//! | FD105 | slow-first-poll | FD302 | deadlock |
//! | FD106 | blocking-pool-queue | FD303 | channel-backlog |
//! | FD107 | busy | FD304 | permits-exhausted |
//! | FD108 | polled-for-nothing | FD204 | many-tasks |
//! | FD401 | console-memory | FD205 | task-growth |
//! | FD402 | exposed-console | FD403 | nothing-instrumented |
//! | FD404 | runtime-down | | |

use std::fmt;
use std::time::Duration;

use super::threshold::{Kind, Threshold, millis, secs};

/// What a detector looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One task at a time.
    Tasks,
    /// All tasks of a spawn site together.
    Sites,
    /// Locks, channels and semaphores, and who waits for them.
    Resources,
    /// The process, its runtime or its console as a whole.
    Targets,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tasks => "each task",
            Self::Sites => "all tasks of a spawn location together",
            Self::Resources => "locks, channels and semaphores",
            Self::Targets => "the process as a whole",
        })
    }
}

/// A detector, as the table below declares it.
#[derive(Debug, PartialEq, Eq)]
pub struct DetectorEntry {
    /// Its name in playbooks.
    pub name: &'static str,
    /// What it looks at.
    pub scope: Scope,
    /// What it recognises, one sentence.
    pub definition: &'static str,
    /// What of it can be set.
    pub thresholds: &'static [ThresholdEntry],
    /// Where the definition and the defaults come from.
    pub source: &'static str,
}

/// A threshold, as the table below declares it.
#[derive(Debug, PartialEq, Eq)]
pub struct ThresholdEntry {
    /// Its name in playbooks and in message templates.
    pub name: &'static str,
    /// What it measures.
    pub kind: Kind,
    /// Without a word about it.
    pub default: Threshold,
    /// The smallest value that makes sense.
    pub least: Threshold,
    /// The largest value that makes sense.
    pub most: Threshold,
    /// What it means, in a few words.
    pub definition: &'static str,
}

impl ThresholdEntry {
    /// Reads what a person wrote for it; else what is wrong, and what to write instead.
    pub(super) fn read(&self, text: &str) -> Result<Threshold, (String, String)> {
        let Some(value) = self.kind.parse(text) else {
            return Err((format!("`{}` is of another kind", self.name), self.kind.examples().to_owned()));
        };
        if (self.least.raw..=self.most.raw).contains(&value.raw) {
            return Ok(value);
        }
        let instead = if self.most.raw == u64::MAX {
            format!("at least {}", self.least)
        } else {
            format!("from {} to {}", self.least, self.most)
        };
        Err((format!("{value} is impossible for `{}`", self.name), instead))
    }
}

macro_rules! value_of {
    (Duration) => {
        Duration
    };
    ($kind:ident) => {
        u64
    };
}

macro_rules! to_value {
    (Duration, $threshold:expr) => {
        Duration::from_nanos($threshold.raw)
    };
    ($kind:ident, $threshold:expr) => {
        $threshold.raw
    };
}

macro_rules! to_raw {
    (Duration, $value:expr) => {
        u64::try_from($value.as_nanos()).unwrap_or(u64::MAX)
    };
    ($kind:ident, $value:expr) => {
        $value
    };
}

/// `Variant = "name", Scope, "definition" { threshold: Kind = default, least..most, "definition"; } from "source";`
macro_rules! detectors {
    ($(
        $variant:ident = $name:literal, $scope:ident, $definition:literal
        $({ $( $field:ident : $kind:ident = $default:expr, $least:expr => $most:expr, $meaning:literal; )+ })?
        from $source:literal;
    )+) => {
        /// What recognises a problem, with its thresholds. Native code, in `diagnose`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Detector {
            $(
                #[doc = $definition]
                $variant $({ $( #[doc = $meaning] $field: value_of!($kind), )+ })?,
            )+
        }

        /// Every detector, in the order of the table.
        pub const DETECTORS: &[DetectorEntry] = &[
            $( DetectorEntry {
                name: $name,
                scope: Scope::$scope,
                definition: $definition,
                thresholds: &[ $($( ThresholdEntry {
                    name: stringify!($field),
                    kind: Kind::$kind,
                    default: Threshold { kind: Kind::$kind, raw: $default },
                    least: Threshold { kind: Kind::$kind, raw: $least },
                    most: Threshold { kind: Kind::$kind, raw: $most },
                    definition: $meaning,
                }, )+)? ],
                source: $source,
            }, )+
        ];

        impl Detector {
            /// The detector `name` with the thresholds that `set` tells for each of its own.
            pub(super) fn build(name: &str, set: impl Fn(&str) -> Option<Threshold>) -> Option<Self> {
                let entry = DETECTORS.iter().find(|entry| entry.name == name)?;
                let value = |name: &str| {
                    let threshold = entry.thresholds.iter().find(|threshold| threshold.name == name)?;
                    Some(set(name).unwrap_or(threshold.default))
                };
                // Without thresholds nothing asks for a value.
                let _ = &value;
                match name {
                    $( $name => Some(Self::$variant $({
                        $( $field: to_value!($kind, value(stringify!($field))?), )+
                    })?), )+
                    _ => None,
                }
            }

            /// Its name in playbooks.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant { .. } => $name, )+ }
            }

            /// Its thresholds as they are set, in the order of the table.
            #[must_use]
            pub fn thresholds(self) -> Vec<(&'static str, Threshold)> {
                match self {
                    $( Self::$variant $({ $( $field, )+ })? => vec![ $($(
                        (stringify!($field), Threshold { kind: Kind::$kind, raw: to_raw!($kind, $field) }),
                    )+)? ], )+
                }
            }
        }
    };
}

detectors! {
    SelfWakes = "self-wakes", Tasks,
        "More than a share of the task's wakes is by the task itself." {
            self_wake_percent: Percent = 50, 0 => 99, "share of self-wakes in all wakes that is exceeded";
            wakes: Count = 10, 1 => 1_000_000_000, "wakes of the task that are reached: a share of fewer says nothing";
        } from "tokio-console 0.1.14, `warnings.rs`, which counts from the first wake on";
    LostWaker = "lost-waker", Tasks,
        "The task is alive, not running and not woken, and its last waker was dropped: nothing can ever wake it."
        from "tokio-console 0.1.14, `warnings.rs`";
    NeverYielded = "never-yielded", Tasks,
        "The task has been inside its first poll for a time." {
            busy: Duration = secs(1), millis(1) => secs(86_400), "time inside the first poll that is reached";
        } from "tokio-console 0.1.14, `warnings.rs`";
    AutoBoxedFuture = "auto-boxed-future", Tasks,
        "Tokio moved the task's future to the heap because of its size."
        from "tokio-console 0.1.14, `warnings.rs`; needs tokio 1.41";
    LargeFuture = "large-future", Tasks,
        "The task's future is of a size or larger." {
            size_bytes: Bytes = 1024, 1 => u64::MAX, "size of the future that is reached";
        } from "tokio-console 0.1.14, `warnings.rs`; needs tokio 1.41";
    LongPoll = "long-poll", Tasks,
        "The task's polls take long: on average in the window, in 1 of 100 as its histogram tells, or the one that is running; or those of tasks that end after a poll or two, on average." {
            typical: Duration = millis(100), millis(1) => secs(3600), "mean time of the polls in the window that is reached, of one task or of all that ended after a poll or two";
            p99: Duration = millis(250), millis(1) => secs(3600), "time that 1 of 100 polls of its life takes, where the histogram was read";
            current: Duration = secs(1), millis(1) => secs(86_400), "age of the running poll that is reached";
        } from "tokio-console issue 203; 100 ms is ten times what is usually called blocking";
    StuckPoll = "stuck-poll", Tasks,
        "The task has been inside one poll for a time, whichever poll it is; such tasks are counted against the worker threads." {
            age: Duration = secs(2), millis(100) => secs(86_400), "age of the running poll that is reached";
        } from "the hangs behind synchronous locks and blocking calls";
    Spinning = "spinning", Tasks,
        "The task is polled at a high rate in the window, mostly because it wakes itself." {
            polls_per_second: Rate = 1000, 1 => 1_000_000_000, "polls per second of the window that are reached";
            self_wake_percent: Percent = 50, 0 => 99, "share of self-wakes in the wakes of the window that is exceeded";
        } from "a rate, where lifetime poll counts say nothing";
    Starved = "starved", Tasks,
        "The task was woken and is not polled: it waits for a worker." {
            wait: Duration = secs(1), millis(10) => secs(86_400), "time since the wake that is reached";
            delay: Duration = millis(100), millis(1) => secs(3600), "mean time between wake and poll in the window that is reached";
        } from "tokio-console's scheduled time, in the window";
    SlowFirstPoll = "slow-first-poll", Tasks,
        "The task was spawned and its first poll came late, or has not come." {
            delay: Duration = secs(1), millis(1) => secs(86_400), "time from spawn to first poll that is reached";
        } from "tokio-metrics' first-poll delay";
    BlockingPoolQueue = "blocking-pool-queue", Tasks,
        "A blocking task waits for a thread of the blocking pool." {
            delay: Duration = millis(500), millis(1) => secs(86_400), "time in the queue that is reached";
        } from "the first poll of a blocking task is its start on a thread";
    Busy = "busy", Sites,
        "The tasks of a spawn location spent a share of the window inside polls; 100% is one CPU." {
            percent: Percent = 50, 1 => 10_000, "share of the window that is reached";
        } from "tokio-console's busy time, in the window";
    TaskLeak = "task-leak", Sites,
        "Tasks of a spawn location are born all through the window and hardly one ends." {
            born: Count = 10, 2 => 1_000_000_000, "tasks born in the window that are reached";
            ended_percent: Percent = 10, 0 => 90, "share of the tasks that ended which is not exceeded";
        } from "births and deaths by creation and end times, never by announcements";
    TaskGrowth = "task-growth", Sites,
        "The tasks of a spawn location are more in each of the last sweeps than in the one before it; only `sweep` has the history to judge it." {
            sweeps: Count = 4, 3 => 1000, "sweeps in a row, each with more tasks, that are reached";
            tasks: Count = 10, 1 => 1_000_000_000, "tasks more over all of them that are reached";
            percent: Percent = 20, 0 => 10_000, "growth over all of them that is reached, unless there are twice as many sweeps";
        } from "tasks alive at the end of each sweep; load that goes up and down is soon less than before";
    CancelledWhileWoken = "cancelled-while-woken", Sites,
        "Tasks are dropped with a wake that no poll followed: cancelled while they had something to do." {
            percent: Percent = 10, 1 => 100, "share of the completed tasks that is exceeded";
            tasks: Count = 10, 1 => 1_000_000_000, "tasks cancelled like this that are reached";
        } from "the field's rule of thumb: below 5% is normal, above 10% systematic";
    WakerChurn = "waker-churn", Sites,
        "Wakers are dropped far more often than used, or tasks woken far more often than polled." {
            ratio: Count = 10, 2 => 1_000_000, "drops per wake, or wakes per poll, that are reached";
            per_second: Rate = 1000, 1 => 1_000_000_000, "drops, or wakes, per second of the window that are reached";
        } from "tokio-console's waker counts, in the window";
    LockContention = "lock-contention", Resources,
        "Several tasks wait for one lock, and the longest of them long." {
            waiters: Count = 2, 1 => 1_000_000_000, "waiting tasks that are reached";
            wait: Duration = millis(500), millis(1) => secs(86_400), "the longest wait that is reached";
        } from "async ops that a task has polled and that have not ended";
    Deadlock = "deadlock", Resources,
        "Tasks wait for each other in a circle of locks and their probable holders, and nothing moved in the window."
        from "async ops and who obtained each lock last";
    ChannelBacklog = "channel-backlog", Resources,
        "Tasks wait to send into a bounded channel that is full." {
            waiters: Count = 1, 1 => 1_000_000_000, "waiting senders that are reached";
            wait: Duration = millis(500), millis(1) => secs(86_400), "the longest wait that is reached";
        } from "the semaphore inside tokio's bounded channels";
    PermitsExhausted = "permits-exhausted", Resources,
        "Tasks wait for permits of a semaphore that has none left." {
            waiters: Count = 1, 1 => 1_000_000_000, "waiting tasks that are reached";
            wait: Duration = millis(500), millis(1) => secs(86_400), "the longest wait that is reached";
        } from "async ops that a task has polled and that have not ended";
    ConsoleMemory = "console-memory", Targets,
        "The console itself keeps so many tasks that they take much memory: some 49 kB each." {
            memory: Bytes = 1 << 30, 1 << 20 => u64::MAX, "memory that is reached";
        } from "two histograms of 24.6 kB for each task that is alive or retained";
    ExposedConsole = "exposed-console", Targets,
        "The console, which asks for no password, can be reached from other machines."
        from "the address at which it was reached";
    NothingInstrumented = "nothing-instrumented", Targets,
        "The console answers and shows no task."
        from "the console's own state";
    RuntimeDown = "runtime-down", Targets,
        "The console's port accepts connections and no console answers: the runtime that serves it may be stuck."
        from "the way in which observing failed";
}

impl Detector {
    /// Its line in the table.
    #[must_use]
    pub fn entry(self) -> &'static DetectorEntry {
        // Every variant has its line: both come from the same declaration.
        DETECTORS.iter().find(|entry| entry.name == self.name()).unwrap_or(&DETECTORS[0])
    }
}

#[cfg(test)]
mod tests {
    use super::{DETECTORS, Detector};
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_consistent() {
        let names: BTreeSet<_> = DETECTORS.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), DETECTORS.len(), "names are unique");
        for entry in DETECTORS {
            let detector = Detector::build(entry.name, |_| None).unwrap();
            assert_eq!(detector.entry(), entry);
            let defaults: Vec<_> =
                entry.thresholds.iter().map(|threshold| (threshold.name, threshold.default)).collect();
            assert_eq!(detector.thresholds(), defaults);
            for threshold in entry.thresholds {
                assert!((threshold.least.raw..=threshold.most.raw).contains(&threshold.default.raw), "{threshold:?}");
            }
        }
    }
}
