//! The end of the fold: what was learnt becomes a snapshot.

use super::Decoder;
use crate::model::{Observation, Snapshot, TaskKind};

impl Decoder {
    /// Ends the fold. Tasks whose statistics an update did not repeat have not changed, so their last sample
    /// holds until the end of the window.
    #[must_use]
    pub fn finish(mut self, observation: &Observation) -> Snapshot {
        let (mut tasks, incomplete_tasks) = std::mem::take(&mut self.tasks).into_known();
        let (mut resources, incomplete_resources) = std::mem::take(&mut self.resources).into_known();
        let (mut async_ops, incomplete_ops) = std::mem::take(&mut self.async_ops).into_known();
        self.counts.malformed += incomplete_tasks + incomplete_resources + incomplete_ops;
        let unknown = tasks
            .iter()
            .filter(|task| self.sites.kind(task.site).is_some_and(|kind| matches!(kind, TaskKind::Other(_))));
        self.counts.unknown_kind = unknown.count() as u64;

        let vintage = self.vintage(observation, !tasks.is_empty());
        let anomalies = self.anomalies(observation, vintage, tasks.is_empty());
        self.intervals.sort();
        self.window.publish_interval = self.intervals.get(self.intervals.len() / 2).copied();
        if let Some(end) = self.window.last {
            tasks.iter_mut().for_each(|task| task.last.at = end);
        }
        tasks.sort_unstable_by_key(|task| (task.created_at, task.id));
        resources.sort_unstable_by_key(|resource| (resource.created_at, resource.id));
        async_ops.sort_unstable_by_key(|op| (op.created_at, op.id));
        let (sites, names) = self.sites.into_sites_and_names();
        let mut snapshot = Snapshot {
            window: self.window,
            vintage,
            tokio_version: self.tokio_version,
            sites,
            names,
            tasks,
            resources,
            async_ops,
            details: self.details,
            workers: None,
            spawn_rate: None,
            anomalies,
        };
        snapshot.workers = snapshot.visible_workers();
        snapshot.spawn_rate = snapshot.measured_spawn_rate(self.lag.now().unwrap_or_default());
        snapshot
    }
}
