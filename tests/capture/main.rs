//! Captures as files: what is written is read, whatever happens to the file in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../entries/mod.rs"]
mod entries;
mod histograms;
mod hostile;
mod reader;
mod redaction;
mod versions;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use fleetdiag::capture::{Capture, CaptureError, End, FORMAT_VERSION, Limits, Run, Writer, merge};
use fleetdiag::model::{
    Ended, Endpoint, Failure, Frame, Observation, Outcome, Reason, Received, Route, Service, SpanId, Stream, Target,
    TargetId,
};

fn target(name: &str) -> Target {
    Target {
        id: TargetId { host: name.parse().unwrap(), console: None },
        service: Service("relay".to_owned()),
        route: Route::Direct,
        endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
        attributes: [("region".to_owned(), "eu".to_owned())].into(),
        thresholds: [("FD101".to_owned(), [("typical".to_owned(), "50ms".to_owned())].into())].into(),
        health_url: None,
        log: None,
    }
}

fn run(names: &[&str]) -> Run {
    Run {
        started: jiff::Timestamp::from_second(1_790_000_000).unwrap(),
        collected_by: "0.1.0".to_owned(),
        patterns: vec!["relay".to_owned()],
        window: Duration::from_millis(3000),
        targets: names.iter().map(|name| target(name)).collect(),
    }
}

fn observed(bytes: u64) -> Outcome {
    Outcome::Observed(Observation {
        ended: Ended::WindowOver,
        serves_state: Some(true),
        first_update_after: Duration::from_millis(12),
        bytes,
        catch_up_calls: 0,
    })
}

fn failed() -> Outcome {
    Outcome::Failed(Failure::new(Reason::ConnectionRefused, "connect to host relay-2 port 22: Connection refused"))
}

fn frames(seed: u8) -> Vec<Frame> {
    let streams = [Stream::State, Stream::Updates, Stream::Updates, Stream::Details(SpanId(7))];
    let frame = |(at, stream): (usize, &Stream)| Frame {
        stream: *stream,
        received: Received(1_790_000_000_000_000_000 + at as i64),
        bytes: Bytes::from(vec![seed.wrapping_add(at as u8); 3000 * at]),
    };
    streams.iter().enumerate().map(frame).collect()
}

/// Each name observed with frames of its own; a name that begins with `!` stands for a failed target.
fn write(path: &Path, names: &[&str]) -> PathBuf {
    let bare: Vec<_> = names.iter().map(|name| name.trim_start_matches('!')).collect();
    let mut writer = Writer::create(path, &run(&bare)).unwrap();
    // Not in the order of the plan, as in life.
    for (index, name) in names.iter().enumerate().rev() {
        if name.starts_with('!') {
            writer.finish_target(index, None, &failed()).unwrap();
            continue;
        }
        let mut spool = writer.spool().unwrap();
        for frame in frames(name.len() as u8) {
            spool.push(&frame).unwrap();
        }
        writer.finish_target(index, Some(spool), &observed(18_000)).unwrap();
    }
    writer.finish(End { interrupted: false }).unwrap()
}

fn open(path: &Path) -> Result<Capture, CaptureError> {
    Capture::open(path, Limits::default())
}

fn read_frames(capture: &mut Capture, index: usize) -> Result<Vec<Frame>, CaptureError> {
    capture.frames(index)?.collect()
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory.path().join("a.fdcap"), &["relay-1", "!relay-2", "relay-33"]);
    let mut capture = open(&path).unwrap();
    assert_eq!(capture.run(), &run(&["relay-1", "relay-2", "relay-33"]));
    assert!(!capture.interrupted());
    let outcomes: Vec<_> = capture.targets().map(|(_, outcome)| outcome.clone()).collect();
    assert_eq!(outcomes, [observed(18_000), failed(), observed(18_000)]);
    assert_eq!(read_frames(&mut capture, 0).unwrap(), frames(7));
    assert_eq!(read_frames(&mut capture, 2).unwrap(), frames(8));
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["a.fdcap"], "nothing but the capture may be left behind");
}

#[test]
fn a_killed_run_leaves_what_was_finished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.fdcap");
    let mut writer = Writer::create(&path, &run(&["relay-1", "relay-2"])).unwrap();
    let mut spool = writer.spool().unwrap();
    for frame in frames(1) {
        spool.push(&frame).unwrap();
    }
    writer.finish_target(1, Some(spool), &observed(18_000)).unwrap();
    // What a SIGKILL leaves on the disk is what has been flushed by now.
    let killed = directory.path().join("killed.fdcap");
    fs::copy(directory.path().join("a.fdcap.partial"), &killed).unwrap();
    let mut capture = open(&killed).unwrap();
    assert!(capture.interrupted());
    let outcomes: Vec<_> = capture.targets().map(|(_, outcome)| outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Failed(Failure::new(Reason::CaptureIncomplete, "")), observed(18_000)]);
    assert_eq!(read_frames(&mut capture, 1).unwrap(), frames(1));
}

#[test]
fn cut_anywhere_it_is_read_up_to_there_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(write(&directory.path().join("a.fdcap"), &["relay-1", "!relay-2"])).unwrap();
    let cut = directory.path().join("cut.fdcap");
    let mut salvaged = 0;
    for length in 0..whole.len() {
        fs::write(&cut, &whole[..length]).unwrap();
        match open(&cut) {
            Ok(mut capture) => {
                salvaged += 1;
                if matches!(capture.targets().next(), Some((_, Outcome::Observed(_)))) {
                    assert_eq!(read_frames(&mut capture, 0).unwrap(), frames(7));
                }
            }
            Err(error) => assert!(error.to_string().contains("cut.fdcap"), "{error}"),
        }
    }
    assert!(salvaged > 0);
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless_and_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(write(&directory.path().join("a.fdcap"), &["relay-1"])).unwrap();
    let flipped = directory.path().join("flipped.fdcap");
    let mut noticed = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&flipped, bytes).unwrap();
        let read = open(&flipped).and_then(|mut capture| {
            // A flip in the directory may hide the target; then it counts as not observed, which is said.
            let seen = matches!(capture.targets().next(), Some((_, Outcome::Observed(_))));
            if seen { read_frames(&mut capture, 0).map(Some) } else { Ok(None) }
        });
        match read {
            Ok(Some(read)) => assert_eq!(read, frames(7), "byte {at}: other content than was written"),
            Ok(None) => {}
            Err(error) => {
                noticed += 1;
                assert!(error.to_string().contains("flipped.fdcap"), "{error}");
            }
        }
    }
    assert!(noticed > whole.len() / 4, "only {noticed} of {} flips were noticed", whole.len());
}

fn zip_with(path: &Path, entries: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn message_of(path: &Path) -> String {
    open(path).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn other_files_are_refused_with_their_name_and_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.fdcap");
    assert!(message_of(&path).contains("cannot open"));
    for text in ["", "hello", "PK\u{3}\u{4}"] {
        fs::write(&path, text).unwrap();
        assert!(matches!(open(&path), Err(CaptureError::NotACapture { .. })), "{text:?}: {}", message_of(&path));
    }
    zip_with(&path, &[("readme.txt", b"hello")]);
    assert!(message_of(&path).contains("without a `manifest.json`"));
    zip_with(&path, &[("manifest.json", b"{\"format\": \"other\", \"version\": 1}")]);
    assert!(message_of(&path).contains("something else"));
    let newer = format!("{{\"format\": \"fleetdiag-capture\", \"version\": {}}}", FORMAT_VERSION + 1);
    zip_with(&path, &[("manifest.json", newer.as_bytes())]);
    assert!(matches!(open(&path), Err(CaptureError::TooNew { found, .. }) if found == FORMAT_VERSION + 1));
    zip_with(&path, &[("manifest.json", b"{\"format\": \"fleetdiag-capture\", \"version\": 1}")]);
    assert!(matches!(open(&path), Err(CaptureError::Damaged { .. })));
}

#[test]
fn a_decompression_bomb_is_refused_at_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(&directory.path().join("a.fdcap"), &["relay-1"]);
    let small = Limits { target_bytes: 4000, ..Limits::default() };
    let mut capture = Capture::open(&path, small).unwrap();
    assert!(matches!(read_frames(&mut capture, 0), Err(CaptureError::TooLarge { .. })));

    let bomb = directory.path().join("bomb.fdcap");
    zip_with(&bomb, &[("manifest.json", &vec![b' '; 10 << 20])]);
    let limits = Limits { json_bytes: 1 << 20, ..Limits::default() };
    assert!(matches!(Capture::open(&bomb, limits), Err(CaptureError::TooLarge { .. })));
}

#[test]
fn names_inside_a_capture_are_held_to_the_same_rules_as_typed_ones() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(&directory.path().join("a.fdcap"), &["relay-1"]);
    let mut archive = zip::ZipArchive::new(fs::File::open(good).unwrap()).unwrap();
    let mut manifest = String::new();
    std::io::Read::read_to_string(&mut archive.by_name("manifest.json").unwrap(), &mut manifest).unwrap();
    let hostile = directory.path().join("hostile.fdcap");
    zip_with(&hostile, &[("manifest.json", manifest.replace("relay-1", "-oProxyCommand").as_bytes())]);
    assert!(message_of(&hostile).contains("begins with `-`"), "{}", message_of(&hostile));
}

fn content(path: &Path) -> Vec<(String, Outcome, Vec<Frame>)> {
    let mut capture = open(path).unwrap();
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.id.to_string(), outcome.clone())).collect();
    let with_frames = |(index, (id, outcome)): (usize, (String, Outcome))| {
        let frames = if matches!(outcome, Outcome::Observed(_)) {
            read_frames(&mut capture, index).unwrap()
        } else {
            Vec::new()
        };
        (id, outcome, frames)
    };
    targets.into_iter().enumerate().map(with_frames).collect()
}

#[test]
fn merging_is_associative_and_does_not_depend_on_order() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let a = write(&at("a"), &["relay-1", "!relay-2"]);
    let b = write(&at("b"), &["!relay-1", "relay-2", "relay-3"]);
    let c = write(&at("c"), &["!relay-3", "relay-44"]);
    let merged =
        |name: &str, paths: &[&Path]| merge(paths.iter().map(|path| open(path).unwrap()).collect(), &at(name)).unwrap();
    let left = merged("left", &[&merged("ab", &[&a, &b]), &c]);
    let right = merged("right", &[&a, &merged("cb", &[&c, &b])]);
    let flat = merged("flat", &[&c, &a, &b]);
    assert_eq!(content(&left), content(&flat));
    assert_eq!(content(&right), content(&flat));
    assert_eq!(open(&left).unwrap().run(), open(&flat).unwrap().run());
    let ids: Vec<_> =
        content(&flat).into_iter().map(|(id, outcome, _)| (id, matches!(outcome, Outcome::Observed(_)))).collect();
    let observed = |id: &str| (id.to_owned(), true);
    assert_eq!(ids, [observed("relay-1"), observed("relay-2"), observed("relay-3"), observed("relay-44")]);
}
