//! What rules have recognised at a place, as counts that merge.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use super::detect::{Hit, Measure};
use crate::model::{TargetId, Task};
use crate::playbook::{Confidence, Detector, Limits};

/// What one rule recognised at one place. Adding is associative and commutative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    pub by_confidence: BTreeMap<Confidence, u64>,
    pub caps: BTreeMap<Confidence, BTreeSet<String>>,
    pub targets: BTreeMap<TargetId, u64>,
    /// Of how many tasks on these targets; zero at a spawn site, whose figures tell.
    pub of: u64,
    pub worst: Option<Worst>,
    /// What the rule's thresholds are on these targets.
    pub limits: Limits,
}

/// The worst case: by magnitude, then whatever makes it unique, so that the choice does not depend on order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worst {
    pub confidence: Confidence,
    pub magnitude: u64,
    pub beside: u64,
    pub measure: Measure,
    pub target: Reverse<TargetId>,
    pub task_id: Option<u64>,
    /// Its figures, where magnitude and beside do not say everything.
    pub words: Option<String>,
}

impl Hits {
    pub(super) fn merge(&mut self, other: Self) {
        for (confidence, count) in other.by_confidence {
            *self.by_confidence.entry(confidence).or_default() += count;
        }
        for (confidence, caps) in other.caps {
            self.caps.entry(confidence).or_default().extend(caps);
        }
        for (target, count) in other.targets {
            *self.targets.entry(target).or_default() += count;
        }
        self.of = self.of.saturating_add(other.of);
        self.worst = self.worst.take().max(other.worst);
        for (name, (least, most)) in other.limits {
            let known = self.limits.entry(name).or_insert((least, most));
            *known = (known.0.min(least), known.1.max(most));
        }
    }

    /// With the thresholds by which it was recognised.
    pub(super) fn by(mut self, detector: Detector) -> Self {
        self.limits = detector.thresholds().into_iter().map(|(name, value)| (name, (value.raw, value.raw))).collect();
        self
    }

    /// A hit on a place as a whole: `affected` tasks of `of`.
    pub(super) fn of_place(hit: Hit, target: &TargetId, affected: u64, of: u64, words: Option<String>) -> Self {
        let mut found = Found::default();
        found.add(hit, affected, None);
        Self { of, ..found.into_hits(target) }.with_words(words)
    }

    pub(super) fn with_words(mut self, words: Option<String>) -> Self {
        if let Some(worst) = &mut self.worst {
            worst.words = words;
        }
        self
    }

    /// Lowers what is surer than `most`.
    pub(super) fn capped(mut self, most: Option<&(Confidence, String)>) -> Self {
        let Some((most, why)) = most else { return self };
        let above = self.by_confidence.split_off(most);
        self.caps.retain(|confidence, _| confidence <= most);
        if above.is_empty() {
            return self;
        }
        if above.keys().any(|confidence| confidence > most) {
            self.caps.entry(*most).or_default().insert(why.clone());
        }
        self.by_confidence.insert(*most, above.values().sum());
        if let Some(worst) = &mut self.worst {
            worst.confidence = worst.confidence.min(*most);
        }
        self
    }

    pub(super) fn affected(&self) -> u64 {
        self.by_confidence.values().sum()
    }

    /// That of the surest case.
    pub(super) fn confidence(&self) -> Confidence {
        self.by_confidence.keys().next_back().copied().unwrap_or(Confidence::Low)
    }
}

/// What one rule recognises at one place of one target, while its tasks are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    by_confidence: [u64; 3],
    caps: Vec<(Confidence, &'static str)>,
    worst: Option<(Confidence, u64, u64, Measure, Option<u64>)>,
}

impl Found {
    pub(super) fn task(&mut self, hit: Hit, task: &Task) {
        self.add(hit, 1, task.task_id.map(NonZeroU64::get));
    }

    fn add(&mut self, hit: Hit, count: u64, task_id: Option<u64>) {
        let slot = match hit.confidence {
            Confidence::Low => &mut self.by_confidence[0],
            Confidence::Medium => &mut self.by_confidence[1],
            Confidence::High => &mut self.by_confidence[2],
        };
        *slot += count;
        if let Some(cap) = hit.cap.map(|cap| (hit.confidence, cap))
            && !self.caps.contains(&cap)
        {
            self.caps.push(cap);
        }
        self.worst = self.worst.max(Some((hit.confidence, hit.magnitude, hit.beside, hit.measure, task_id)));
    }

    pub(super) fn count(&self) -> u64 {
        self.by_confidence.iter().sum()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.by_confidence.iter_mut().zip(other.by_confidence).for_each(|(sum, count)| *sum += count);
        for cap in &other.caps {
            if !self.caps.contains(cap) {
                self.caps.push(*cap);
            }
        }
        self.worst = self.worst.max(other.worst);
    }

    pub(super) fn into_hits(self, target: &TargetId) -> Hits {
        let levels = [Confidence::Low, Confidence::Medium, Confidence::High];
        let mut caps: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (confidence, cap) in &self.caps {
            caps.entry(*confidence).or_default().insert((*cap).to_owned());
        }
        Hits {
            by_confidence: levels.into_iter().zip(self.by_confidence).filter(|(_, count)| *count > 0).collect(),
            caps,
            targets: BTreeMap::from([(target.clone(), self.count())]),
            of: 0,
            limits: Limits::new(),
            worst: self.worst.map(|(confidence, magnitude, beside, measure, task_id)| Worst {
                confidence,
                magnitude,
                beside,
                measure,
                target: Reverse(target.clone()),
                task_id,
                words: None,
            }),
        }
    }
}
