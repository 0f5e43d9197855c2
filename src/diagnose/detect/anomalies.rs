//! How the limits of the evidence cap what may be concluded from it.

use crate::model::Anomaly;
use crate::playbook::{Confidence, Detector};

/// Whether the target lost the announcements of tasks.
pub(super) fn tasks_were_dropped(anomalies: &[Anomaly]) -> bool {
    anomalies.iter().any(|anomaly| matches!(anomaly, Anomaly::DroppedEvents { tasks: 1.., .. }))
}

impl Detector {
    /// How sure a finding can be at most with these anomalies, and why.
    pub(in super::super) fn cap(self, anomalies: &[Anomaly]) -> Option<(Confidence, String)> {
        anomalies.iter().filter_map(|anomaly| self.cap_by(anomaly)).min()
    }

    fn cap_by(self, anomaly: &Anomaly) -> Option<(Confidence, String)> {
        let is_of_resources = matches!(
            self,
            Self::LockContention { .. } | Self::Deadlock | Self::ChannelBacklog { .. } | Self::PermitsExhausted { .. }
        );
        let cap = |confidence, why: String| Some((confidence, why));
        match (self, anomaly) {
            (Self::TaskLeak { .. }, Anomaly::DroppedEvents { tasks: tasks @ 1.., .. }) => cap(
                Confidence::Low,
                format!("the console lost {tasks} tasks: births and ends cannot be told apart from losses"),
            ),
            (Self::TaskLeak { .. }, Anomaly::PartialInitialState { .. }) => cap(
                Confidence::Low,
                "the console sent no full state: ends of tasks from before are not seen".to_owned(),
            ),
            (Self::TaskLeak { .. }, Anomaly::IdReused { .. }) => cap(
                Confidence::Medium,
                "span ids were used again: some tasks that ended are not seen any more".to_owned(),
            ),
            (Self::TaskLeak { .. }, Anomaly::IngestLag { lag }) => {
                cap(Confidence::Medium, format!("the console is {lag:.1?} behind with new tasks"))
            }
            (Self::CancelledWhileWoken { .. }, Anomaly::TornCounters { .. }) => {
                cap(Confidence::Medium, "some counters contradicted each other when they were read".to_owned())
            }
            (_, Anomaly::DroppedEvents { resources, async_ops, .. })
                if is_of_resources && resources + async_ops > 0 =>
            {
                let lost = resources.saturating_add(*async_ops);
                cap(
                    Confidence::Medium,
                    format!("the console lost {lost} resources and operations: who holds and waits is incomplete"),
                )
            }
            (_, Anomaly::PartialInitialState { .. }) if is_of_resources => {
                cap(Confidence::Medium, "the console sent no full state: who holds and waits is incomplete".to_owned())
            }
            (_, Anomaly::Restarted) if self != Self::RuntimeDown => {
                cap(Confidence::Medium, "the process restarted inside the window".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_cap_what_they_touch() {
        let leak = Detector::TaskLeak { born: 10, ended_percent: 10 };
        let dropped = |tasks, async_ops| [Anomaly::DroppedEvents { tasks, resources: 0, async_ops }];
        assert_eq!(leak.cap(&dropped(5, 0)).unwrap().0, Confidence::Low);
        assert_eq!(leak.cap(&dropped(0, 5)), None);
        assert_eq!(Detector::Deadlock.cap(&dropped(0, 5)).unwrap().0, Confidence::Medium);
        assert_eq!(Detector::LostWaker.cap(&dropped(5, 5)), None, "its samples are whole");
    }
}
