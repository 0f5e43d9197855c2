//! The histograms of one task, in both forms that consoles have sent.

use console_api::tasks::{DurationHistogram, TaskDetails, task_details::PollTimesHistogram};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use prost::Message;

use super::Malformed;
use crate::model::{Histograms, TimeHistogram};

/// Bytes before the counts: cookie, payload length, offset, digits, lowest, highest, ratio.
const HEADER: usize = 40;
/// The cookie of the uncompressed form; consoles never sent the other one.
const V2_COOKIE: u32 = 0x1c84_9313;
/// A run of zeros so long that its reader cannot turn its sign: the lowest number, as the payload writes it.
const ENDLESS_ZEROS: [u8; 9] = [0xff; 9];
/// Consoles record two digits, in every version. Each one more makes a histogram about ten times larger.
const MAX_DIGITS: u32 = 2;

/// What one message of `WatchTaskDetails` holds.
pub(super) struct Details {
    pub histograms: Histograms,
    /// In the form that consoles sent up to 0.1.5.
    pub is_legacy: bool,
    /// Histograms that were there and cannot be read.
    pub unreadable: u64,
}

pub(super) fn details(bytes: &[u8]) -> Result<Details, Malformed> {
    let message = TaskDetails::decode(bytes)?;
    let is_legacy = matches!(message.poll_times_histogram, Some(PollTimesHistogram::LegacyHistogram(_)));
    let polls = message.poll_times_histogram.map(|polls| match polls {
        PollTimesHistogram::LegacyHistogram(raw) => values(&raw).as_ref().map(TimeHistogram::of),
        PollTimesHistogram::Histogram(histogram) => times(&histogram),
    });
    let scheduled = message.scheduled_times_histogram.map(|histogram| times(&histogram));
    let unreadable = [&polls, &scheduled].iter().filter(|of| matches!(of, Some(None))).count() as u64;
    let histograms = Histograms { polls: polls.flatten(), scheduled: scheduled.flatten() };
    Ok(Details { histograms, is_legacy, unreadable })
}

fn times(from: &DurationHistogram) -> Option<TimeHistogram> {
    Some(TimeHistogram {
        outliers: from.high_outliers,
        highest_outlier: from.highest_outlier.map(std::time::Duration::from_nanos),
        ..TimeHistogram::of(&values(&from.raw_histogram)?)
    })
}

/// Reads `HdrHistogram` V2. The header is looked at first, because the reader would make room for whatever it claims.
fn values(raw: &[u8]) -> Option<Histogram<u64>> {
    let word = |at: usize| Some(u32::from_be_bytes(raw.get(at..at + 4)?.try_into().ok()?));
    let payload = raw.len().checked_sub(HEADER)?;
    let is_plausible = word(0)? == V2_COOKIE && word(4)? as usize == payload && word(12)? <= MAX_DIGITS;
    if !is_plausible || raw.get(HEADER..)?.windows(ENDLESS_ZEROS.len()).any(|bytes| bytes == ENDLESS_ZEROS) {
        return None;
    }
    Deserializer::new().deserialize(&mut &*raw).ok()
}

#[cfg(test)]
mod tests {
    use super::{HEADER, details, values};
    use console_api::tasks::{DurationHistogram, TaskDetails, task_details::PollTimesHistogram};
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer, V2Serializer};
    use proptest::prelude::*;
    use prost::Message;
    use std::time::Duration;

    fn raw(samples: &[u64]) -> Vec<u8> {
        let mut histogram = Histogram::<u64>::new_with_max(1_000_000_000, 2).unwrap();
        samples.iter().for_each(|sample| histogram.record(*sample).unwrap());
        let mut raw = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut raw).unwrap();
        raw
    }

    #[test]
    fn both_forms_are_read_and_outliers_stay_beside_the_values() {
        let polls = DurationHistogram {
            raw_histogram: raw(&[1000, 2000, 1_000_000_000]),
            max_value: 1_000_000_000,
            high_outliers: 1,
            highest_outlier: Some(7_000_000_000),
        };
        let mut message = TaskDetails {
            poll_times_histogram: Some(PollTimesHistogram::Histogram(polls.clone())),
            scheduled_times_histogram: Some(DurationHistogram { high_outliers: 0, highest_outlier: None, ..polls }),
            ..TaskDetails::default()
        };
        let read = details(&message.encode_to_vec()).unwrap();
        let polls = read.histograms.polls.unwrap();
        assert_eq!((polls.count(), polls.percentile(50)), (3, 2007));
        assert_eq!((polls.outliers, polls.highest_outlier), (1, Some(Duration::from_secs(7))));
        assert_eq!(read.histograms.scheduled.unwrap().count(), 3);
        assert!(!read.is_legacy && read.unreadable == 0);

        message.poll_times_histogram = Some(PollTimesHistogram::LegacyHistogram(raw(&[5, 6])));
        message.scheduled_times_histogram = None;
        let read = details(&message.encode_to_vec()).unwrap();
        assert_eq!(read.histograms.polls.unwrap().count(), 2);
        assert!(read.is_legacy && read.histograms.scheduled.is_none());
    }

    #[test]
    fn zeros_without_end_are_not_counted() {
        let good = raw(&[1, 2, 3]);
        let mut changed = [&good[..], &[0xff; 9], &[0; 9]].concat();
        let payload = u32::try_from(changed.len() - HEADER).unwrap();
        changed[4..8].copy_from_slice(&payload.to_be_bytes());
        assert!(values(&changed).is_none());
    }

    #[test]
    fn sizes_that_a_header_only_claims_are_not_believed() {
        let good = raw(&[1, 2, 3]);
        assert!(values(&good).is_some());
        let with = |at: usize, bytes: &[u8]| {
            let mut changed = good.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            changed
        };
        assert!(values(&with(4, &u32::MAX.to_be_bytes())).is_none(), "payload");
        assert!(values(&with(12, &3u32.to_be_bytes())).is_none(), "digits");
        assert!(values(&with(0, &0x1c84_9314_u32.to_be_bytes())).is_none(), "compressed");
        assert!(values(&good[..good.len() - 1]).is_none());
        assert!(values(&good[..HEADER - 1]).is_none());
    }

    proptest! {
        #[test]
        fn no_histogram_makes_it_panic(at in 0usize..60, byte: u8, rest: Vec<u8>) {
            let mut changed = raw(&[1, 500, 70_000]);
            if let Some(slot) = changed.get_mut(at) { *slot = byte }
            changed.extend(rest);
            let payload = u32::try_from(changed.len() - HEADER).unwrap();
            changed[4..8].copy_from_slice(&payload.to_be_bytes());
            if let Some(histogram) = values(&changed) {
                let _ = (histogram.max(), histogram.value_at_quantile(0.99), histogram.mean());
            }
        }
    }
}
