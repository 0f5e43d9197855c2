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
//! | FD401 | console-memory | FD402 | exposed-console |
//! | FD403 | nothing-instrumented | FD404 | runtime-down |

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
        } from "tokio-console 0.1.14, `warnings.rs`";
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
}

impl Detector {
    /// Its line in the table.
    #[must_use]
    pub fn entry(self) -> &'static DetectorEntry {
        // Every variant has its line: both come from the same declaration.
        DETECTORS.iter().find(|entry| entry.name == self.name()).unwrap_or(&DETECTORS[0])
    }

    /// `template` with `{threshold}` replaced by each threshold's value and unit.
    pub(super) fn fill(self, template: &str) -> String {
        let replace =
            |text: String, (name, value): (&str, Threshold)| text.replace(&format!("{{{name}}}"), &value.to_string());
        self.thresholds().into_iter().fold(template.to_owned(), replace)
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
