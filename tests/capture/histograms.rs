//! Histograms of one spawn site, in the forms of an old console and of a new one, are one distribution of both hosts.

use std::time::Duration;

use console_api::instrument::Update;
use console_api::tasks::task_details::PollTimesHistogram;
use console_api::tasks::{self, DurationHistogram, Task, TaskDetails, TaskUpdate};
use console_api::{Field, Id, Location, RegisterMetadata, field, register_metadata::NewMetadata};
use fleetdiag::decode::{Decoder, Limits};
use fleetdiag::diagnose::{Fleet, Gate, RunFacts};
use fleetdiag::model::{Observation, Received, Snapshot, SpanId, Vintage};
use fleetdiag::playbook::built_in;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use prost::Message;
use prost_types::Timestamp;

use super::{observed, target};

fn raw(samples: &[u64]) -> Vec<u8> {
    let mut histogram = Histogram::<u64>::new_with_max(1_000_000_000, 2).unwrap();
    samples.iter().for_each(|sample| histogram.record(*sample).unwrap());
    let mut raw = Vec::new();
    V2Serializer::new().serialize(&histogram, &mut raw).unwrap();
    raw
}

/// A console with one task, and that task's histogram.
fn snapshot(serves_state: bool, histogram: PollTimesHistogram) -> Snapshot {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let kind = Field {
        name: Some(field::Name::StrName("kind".to_owned())),
        value: Some(field::Value::DebugVal("task".to_owned())),
        metadata_id: None,
    };
    let location = Location { file: Some("src/main.rs".to_owned()), line: Some(7), ..Location::default() };
    let task = Task { id: Some(Id { id: 1 }), location: Some(location), fields: vec![kind], ..Task::default() };
    let stats = tasks::Stats { created_at: at(1), ..tasks::Stats::default() };
    let tasks = TaskUpdate { new_tasks: vec![task], stats_update: [(1, stats)].into(), dropped_events: 0 };
    let metadata = RegisterMetadata { metadata: vec![NewMetadata::default()] };
    let mut decoder = Decoder::new(Limits::default());
    for update in [
        Update { now: at(10), task_update: Some(tasks), new_metadata: Some(metadata), ..Update::default() },
        Update { now: at(11), ..Update::default() },
    ] {
        decoder.update(Received(10_000_000_000), &update.encode_to_vec()).unwrap();
    }
    let details = TaskDetails { poll_times_histogram: Some(histogram), ..TaskDetails::default() };
    decoder.details(SpanId(1), &details.encode_to_vec());
    let fleetdiag::model::Outcome::Observed(observation) = observed(1) else { panic!() };
    decoder.finish(&Observation { serves_state: Some(serves_state), ..observation })
}

#[test]
fn both_forms_add_up_across_hosts() {
    let millis = |count: u64, millis: u64| vec![millis * 1_000_000; count as usize];
    let old = snapshot(false, PollTimesHistogram::LegacyHistogram(raw(&millis(90, 1))));
    let slow = DurationHistogram {
        raw_histogram: raw(&millis(10, 100)),
        max_value: 1_000_000_000,
        high_outliers: 2,
        highest_outlier: Some(7_000_000_000),
    };
    let new = snapshot(true, PollTimesHistogram::Histogram(slow));
    assert_eq!((old.vintage, new.vintage), (Some(Vintage::UpTo015), Some(Vintage::Since05)));
    let rules = built_in();
    let mut fleet = Fleet::new(&rules);
    fleet.observed(&target("relay-1"), old);
    fleet.observed(&target("relay-2"), new);
    let diagnosis = fleet.diagnose(RunFacts::default(), &Gate::default());
    let [site] = &diagnosis.sites[..] else { panic!("{:#?}", diagnosis.sites) };
    let polls = site.polls.as_ref().unwrap();
    let close =
        |given: Duration, millis: u64| given.as_millis().abs_diff(u128::from(millis)) <= u128::from(millis / 50);
    assert_eq!((polls.tasks, polls.outliers), (2, 2));
    assert!(close(polls.p50, 1) && close(polls.p90, 1) && close(polls.p99, 100), "{polls:?}");
    assert_eq!(polls.max, Duration::from_secs(7), "what is beyond the histogram's limit counts");
}
