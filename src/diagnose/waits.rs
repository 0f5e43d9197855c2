//! Who waits on what, over the fleet.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::detect::{Queue, site_of};
use super::diagnosis::Wait;
use crate::model::{Service, Site, Snapshot, SpawnLocation, TargetId};

/// A kind of resource of one service by where it was created.
type Place = (Service, &'static str, Option<SpawnLocation>);

/// Everything that tasks wait for, added up. Adding is associative and commutative.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(BTreeMap<Place, Sum>);

#[derive(Clone, Debug, Default)]
struct Sum {
    waiters: BTreeMap<Site, u64>,
    /// The longest wait, and who probably holds what is waited for.
    longest: (Duration, Reverse<Option<Site>>),
    targets: BTreeMap<TargetId, u64>,
}

impl Waits {
    pub(super) fn add(&mut self, service: &Service, target: &TargetId, queues: &[Queue<'_>], snapshot: &Snapshot) {
        for queue in queues {
            let location = queue.resource.and_then(|resource| resource.location.as_deref().cloned());
            let sum = self.0.entry((service.clone(), queue.kind.concrete_type(), location)).or_default();
            for wait in &queue.waits {
                if let Some(site) = site_of(snapshot, wait.task) {
                    *sum.waiters.entry(site.clone()).or_default() += 1;
                }
                let holder = wait.probable_holder.and_then(|holder| site_of(snapshot, holder)).cloned();
                sum.longest = std::mem::take(&mut sum.longest).max((wait.age(), Reverse(holder)));
            }
            *sum.targets.entry(target.clone()).or_default() += queue.waits.len() as u64;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (place, other) in other.0 {
            let sum = self.0.entry(place).or_default();
            for (site, count) in other.waiters {
                *sum.waiters.entry(site).or_default() += count;
            }
            sum.longest = std::mem::take(&mut sum.longest).max(other.longest);
            for (target, count) in other.targets {
                *sum.targets.entry(target).or_default() += count;
            }
        }
    }

    /// The longest first.
    pub(super) fn into_report(self) -> Vec<Wait> {
        let report = |((service, concrete_type, location), sum): (Place, Sum)| Wait {
            service,
            concrete_type: concrete_type.to_owned(),
            location,
            waiters: sum.waiters,
            longest: sum.longest.0,
            probable_holder: sum.longest.1.0,
            targets: sum.targets,
        };
        let mut waits: Vec<_> = self.0.into_iter().map(report).collect();
        // Stable: equal ones stay ordered by place.
        waits.sort_by_key(|wait| Reverse(wait.longest));
        waits
    }
}
